//! Part 2B: servers that reach some of the others but not all. As long as one server reaches a majority and
//! is reached by it, commands are committed.

use std::time::Duration;

use labrt::thread;
use labrt::time::Instant;
use raft::Raft;
use tester::{Cluster, Command, Partial, Retry, Setup, Test, run};

/// Until a command is committed after such a fault, with the elections that may fail before. Raft promises
/// progress with some server in the middle, but it leaves to chance when that server stands for election
/// first.
const PROGRESS: Duration = Duration::from_secs(60);

/// Links that work in both directions or in none: a bridge, a chain, a ring, a star.
#[test]
fn partial_partitions_2b() {
    run("partial_partitions_2b", |t: &Test| {
        for number in 0..Partial::of_five(&[0, 1, 2, 3, 4]).len() {
            let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
            cluster.agree_on(Command::random(), 5, Retry::Yes);
            let leader = cluster.check_one_leader();
            let order = [0, 1, 2, 3, 4].map(|distance| (leader + distance) % 5);
            go_on_with(&cluster, &Partial::of_five(&order)[number]);
        }
    });
}

/// One link of three servers works in one direction only; then one server hears nothing, or is not heard.
#[test]
fn one_way_links_2b() {
    run("one_way_links_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        for fault in Partial::one_way(3) {
            go_on_with(&cluster, &fault);
        }
        let leader = cluster.check_one_leader();
        go_on_with(&cluster, &Partial::mute(3, leader));
        // A leader that hears nothing is left out: in the paper's protocol its heartbeats keep the others
        // from standing for election.
        let follower = (cluster.check_one_leader() + 1) % 3;
        go_on_with(&cluster, &Partial::deaf(3, follower));
        go_on_with(&cluster, &Partial::mute(3, follower));
    });
}

/// Three commands are committed while the fault lasts, and one after it.
fn go_on_with(cluster: &Cluster<Raft>, fault: &Partial) {
    let t = cluster.test();
    t.scene(format!("Commands are committed although {}.", fault.name));
    cluster.agree_on(Command::random(), cluster.len(), Retry::Yes);
    fault.begin(cluster);
    let majority = cluster.len() / 2 + 1;
    for _ in 0..3 {
        let start = Instant::now();
        while !commits_one(cluster, majority) {
            t.expect_in_time(start.elapsed() < PROGRESS, || {
                format!(
                    "expected a command to be committed within {} s although {}: one server reaches a majority and \
                     is reached by it",
                    PROGRESS.as_secs(),
                    fault.name
                )
            });
        }
    }
    fault.end(cluster);
    cluster.agree_on(Command::random(), cluster.len(), Retry::Yes);
}

/// Offers a command to whoever claims to lead; whether a majority has applied one of the copies half a second
/// later.
fn commits_one(cluster: &Cluster<Raft>, majority: usize) -> bool {
    let command = Command::random();
    let accepted: Vec<u64> = (0..cluster.len())
        .filter_map(|server| cluster.start(server, command.clone()))
        .map(|(index, _)| index)
        .collect();
    let is_committed = |&index: &u64| {
        let (count, value) = cluster.n_committed(index);
        count >= majority && value.as_ref() == Some(&command)
    };
    let offered = Instant::now();
    while offered.elapsed() < Duration::from_millis(500) {
        if accepted.iter().any(is_committed) {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}
