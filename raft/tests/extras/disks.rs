// handout: file never
//! Disks as real ones are: a crash loses what was not synced, or tears it.

use std::time::Duration;

use labrt::rand::{random_bool, random_range};
use labrt::thread;
use raft::Raft;
use tester::{Cluster, Command, Retry, Setup, Test, run};

use crate::snapshot_crash::take_snapshot_and_crash;

/// Servers crash at any moment, also between a write and its sync.
#[test]
fn unsynced_writes_2e() {
    run("unsynced_writes_2e", |t: &Test| crashes(t, Setup::servers(3)));
}

/// The same with snapshots: what replaces the log and its snapshot is lost or not.
#[test]
fn unsynced_snapshots_2e() {
    run("unsynced_snapshots_2e", |t: &Test| crashes(t, Setup::servers(3).snapshots()));
}

/// The same with five servers on a network that loses messages.
#[test]
fn unsynced_unreliable_2e() {
    run("unsynced_unreliable_2e", |t: &Test| crashes(t, Setup::servers(5).unreliable().snapshots()));
}

/// A follower crashes at the moment when it has acknowledged a snapshot, which must be synced by then: the
/// leader sends it only what comes behind.
#[test]
fn unsynced_acknowledged_snapshot_2e() {
    run("unsynced_acknowledged_snapshot_2e", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.lose_unsynced_writes();
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let crashed = (0..4).filter(|_| take_snapshot_and_crash(&cluster)).count();
        t.exercised(crashed > 0, "no follower crashed right after it had acknowledged a snapshot");
    });
}

/// How often servers crash in a test. Only one crash in four tears a record.
const ROUNDS: usize = 24;

fn crashes(t: &Test, setup: Setup) {
    let cluster = Cluster::<Raft>::new(t, setup);
    let servers = cluster.len();
    cluster.lose_unsynced_writes();
    let mut last = cluster.agree_on(Command::random(), servers, Retry::Yes);
    for round in 0..ROUNDS {
        let victims = if round % 4 != 3 {
            t.scene("Servers crash right after one of their next writes.");
            crash_at_writes(&cluster)
        } else {
            t.scene("All servers crash at once.");
            start_commands(&cluster);
            thread::sleep(Duration::from_millis(random_range(0..30)));
            (0..servers).for_each(|server| cluster.crash(server));
            servers
        };
        t.scene(format!(
            "{victims} of {servers} have crashed. They start again, and lose nothing that was committed."
        ));
        for server in 0..servers {
            cluster.restart(server);
            cluster.connect(server);
        }
        let index = cluster.agree_on(Command::random(), servers, Retry::Yes);
        t.expect(index > last, || {
            format!("index {last} was committed before the crash, and used again at {index}")
        });
        last = index;
    }
}

/// Some servers crash at one of their next writes, before they can sync it; returns how many.
fn crash_at_writes(cluster: &Cluster<Raft>) -> usize {
    for server in 0..cluster.len() {
        let mut left = random_range(1..6);
        if random_bool(0.8) {
            cluster.on_write(server, move |group, _| {
                left -= 1;
                if left == 0 {
                    group.crash(server);
                }
            });
        }
    }
    for _ in 0..5 {
        start_commands(cluster);
        thread::sleep(Duration::from_millis(random_range(5..200)));
    }
    (0..cluster.len()).filter(|&server| !cluster.is_alive(server)).count()
}

fn start_commands(cluster: &Cluster<Raft>) {
    for server in 0..cluster.len() {
        for _ in 0..random_range(1..4) {
            cluster.start(server, Command::random());
        }
    }
}
