//! The churn tests of part 2C: clients and faults at the same time.

use std::collections::BTreeSet;
use std::time::Duration;

use labrt::rand::{random_bool, random_range};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test};

pub(crate) fn churn(t: &Test, setup: Setup) {
    let cluster = Cluster::<Raft>::new(t, setup);
    let stop = Arc::new(AtomicBool::new(false));

    t.scene("Three clients start commands, and remember those that are committed.");
    let clients: Vec<_> = (0..3)
        .map(|number| {
            let (cluster, stop) = (cluster.clone(), Arc::clone(&stop));
            thread::spawn(move || client(&cluster, number, &stop))
        })
        .collect();

    t.scene("Servers come and go.");
    for _ in 0..20 {
        disturb(&cluster);
        // Some elections succeed in this time, and some do not.
        thread::sleep(ELECTION * 7 / 10);
    }

    t.scene("All come back.");
    thread::sleep(ELECTION);
    cluster.net().network().set_reliable(true);
    for server in 0..5 {
        if !cluster.is_alive(server) {
            cluster.restart(server);
        }
        cluster.connect(server);
    }
    stop.store(true, Ordering::SeqCst);
    let remembered: Vec<u64> =
        clients.into_iter().filter_map(|client| client.join().ok()).flatten().collect();
    t.exercised(!remembered.is_empty(), "no client saw a command committed while servers came and went");

    t.scene("Everything that a client saw committed is in the logs of all servers.");
    thread::sleep(ELECTION);
    let last = cluster.agree_on(Command::random(), 5, Retry::Yes);
    // Without a term, waiting cannot end with `Moved`.
    let committed = (1..=last).filter_map(|index| cluster.wait_committed(index, 5, None).ok());
    let committed: BTreeSet<u64> = committed.filter_map(|command| command.number()).collect();
    for command in remembered {
        t.expect(committed.contains(&command), || {
            format!("a client saw command {command} committed, but no log has it any more")
        });
    }
}

/// Cuts off, starts, crashes a server, with some chance each.
fn disturb(cluster: &Cluster<Raft>) {
    if random_bool(0.2) {
        cluster.disconnect(random_range(0..5));
    }
    if random_bool(0.5) {
        let server = random_range(0..5);
        if !cluster.is_alive(server) {
            cluster.restart(server);
        }
        cluster.connect(server);
    }
    if random_bool(0.2) {
        let server = random_range(0..5);
        if cluster.is_alive(server) {
            cluster.crash(server);
        }
    }
}

/// A client; returns the commands that it saw committed.
fn client(cluster: &Cluster<Raft>, number: u64, stop: &AtomicBool) -> Vec<u64> {
    let mut remembered = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let command = random_range(0..u64::MAX);
        let accepted = (0..5).filter_map(|server| cluster.start(server, command)).next_back();
        match accepted {
            Some((index, _)) => remembered.extend(was_committed(cluster, index, command).then_some(command)),
            None => thread::sleep(Duration::from_millis(79 + 17 * number)),
        }
    }
    remembered
}

/// Looks for a while whether anything is committed at `index`, and whether it is the command.
fn was_committed(cluster: &Cluster<Raft>, index: u64, command: u64) -> bool {
    for pause in [0, 10, 20, 50, 100, 200] {
        let (count, value) = cluster.n_committed(index);
        if count > 0 {
            return value == Some(Command::from(command));
        }
        thread::sleep(Duration::from_millis(pause));
    }
    false
}
