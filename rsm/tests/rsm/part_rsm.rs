//! The course's tests of 2025, with the same numbers.

use std::time::Duration;

use labrpc::RpcError;
use labrt::thread;
use labrt::time::Instant;
use tester::Test;

use crate::counter::{Counters, Outcome, PATIENCE, Refusal};

/// Commands in the tests that need many.
const MANY: u64 = 100;

/// All replicas carry out one command after the other.
fn basic(test: &Test, snapshots: bool) {
    let counters = Counters::new(test, snapshots, labapi::Options::default());
    let mut client = counters.client(1);
    for expected in 1..=10 {
        let counter = client.add(1);
        test.expect(counter == expected, || format!("the counter is {counter} and not {expected}"));
        counters.check(expected, &[0, 1, 2]);
    }
}

/// Many clients submit at once.
fn concurrent(test: &Test, snapshots: bool) {
    let counters = Counters::new(test, snapshots, labapi::Options::default());
    let clients: Vec<_> = (1..=50)
        .map(|client| {
            let mut client = counters.client(client);
            thread::spawn(move || client.add(1))
        })
        .collect();
    let mut replies: Vec<u64> = clients.into_iter().filter_map(|client| client.join().ok()).collect();
    replies.sort_unstable();
    test.expect(replies.iter().copied().eq(1..=50), || format!("the counter was {replies:?}"));
    counters.check(50, &[0, 1, 2]);
}

/// The others go on without the leader, and it catches up later.
fn leader_failure(test: &Test, snapshots: bool) {
    let counters = Counters::new(test, snapshots, labapi::Options::default());
    let mut client = counters.client(1);
    client.add(1);
    test.scene("The leader is cut off.");
    let leader = counters.leader();
    counters.group.disconnect(leader);
    // Its clients can still reach it, but it can commit nothing.
    let others: Vec<usize> = (0..3).filter(|&server| server != leader).collect();
    client.add(1);
    counters.check(2, &others);
    test.scene("It is back.");
    counters.group.connect(leader);
    client.add(1);
    counters.check(3, &[0, 1, 2]);
}

/// Submits at a leader in a minority end as soon as it hears of its successor, and their
/// commands are never carried out.
fn leader_partition(test: &Test, snapshots: bool) {
    let counters = Counters::new(test, snapshots, labapi::Options::default());
    let mut client = counters.client(1);
    (0..MANY).for_each(|_| _ = client.add(1));
    test.scene("The leader is alone, and takes commands.");
    let leader = counters.leader();
    counters.group.disconnect(leader);
    let (ended, outcomes) = labrt::channel::unbounded();
    for client in 100..150 {
        let stub = counters.stub(leader);
        let (request, ended) = (counters.client(client).request(1000), ended.clone());
        drop(thread::spawn(move || ended.send((stub.submit(&request), Instant::now()))));
    }
    let others: Vec<usize> = (0..3).filter(|&server| server != leader).collect();
    client.add(1);
    counters.check(MANY + 1, &others);
    test.expect(outcomes.is_empty(), || "a leader in a minority has answered".to_owned());
    test.scene("It is back.");
    let healed = Instant::now();
    counters.group.connect(leader);
    for _ in 100..150 {
        expect_overtaken(test, outcomes.recv_timeout(PATIENCE), healed);
    }
    client.add(1);
    counters.check(MANY + 2, &[0, 1, 2]);
}

/// Checks how and when a submit at a deposed leader has ended: [`Refusal::Overtaken`], at once after the
/// leader was connected again.
fn expect_overtaken<E>(test: &Test, ended: Result<(Result<Outcome, RpcError>, Instant), E>, healed: Instant) {
    // Two heartbeats and a round trip; on real threads whatever a busy machine takes.
    let at_once = if test.is_ordinary() { Duration::from_millis(300) } else { PATIENCE };
    let allowed = at_once.as_millis();
    let Ok((outcome, when)) = ended else {
        test.fail(format!(
            "a submit at the deposed leader still waits {PATIENCE:?} after the reconnection; {allowed} ms are allowed"
        ))
    };
    test.expect(outcome == Ok(Err(Refusal::Overtaken)), || {
        format!("a submit at a deposed leader ended with {outcome:?}, and not as overtaken")
    });
    let taken = (when - healed).as_millis();
    test.expect(when - healed <= at_once, || {
        format!("an overtaken submit ended {taken} ms after the reconnection; {allowed} ms are allowed")
    });
}

/// Servers that start again reach the state that they were in.
fn restart_replay(test: &Test, snapshots: bool) {
    let counters = Counters::new(test, snapshots, labapi::Options::default());
    let mut client = counters.client(1);
    (0..MANY).for_each(|_| _ = client.add(1));
    test.scene("All servers crash and start again.");
    counters.crash_all();
    counters.restart_all();
    // Without any client: the no-op of the new leader is enough.
    counters.check(MANY, &[0, 1, 2]);
    client.add(1);
    counters.check(MANY + 1, &[0, 1, 2]);
    let kept = counters.group.snapshot_size();
    test.expect(!snapshots || kept > 0, || "there never was a snapshot".to_owned());
}

/// A crash ends the submits that wait.
fn shutdown(test: &Test, snapshots: bool) {
    let counters = Counters::new(test, snapshots, labapi::Options::default());
    counters.client(1).add(1);
    let leader = counters.leader();
    let (ended, outcomes) = labrt::channel::unbounded();
    test.scene("The leader is cut off, so the submits wait.");
    counters.group.disconnect(leader);
    for client in 100..150 {
        let stub = counters.stub(leader);
        let (request, ended) = (counters.client(client).request(1), ended.clone());
        drop(thread::spawn(move || ended.send(stub.submit(&request))));
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    let waiting = || counters.group.visit(leader, |server| server.rsm.waiting()).unwrap_or(0);
    while waiting() < 50 {
        test.expect_in_time(Instant::now() < deadline, || format!("only {} submits wait", waiting()));
        thread::sleep(Duration::from_millis(5));
    }
    test.scene("All servers crash.");
    counters.crash_all();
    for _ in 100..150 {
        let outcome = outcomes.recv_timeout(Duration::from_secs(1));
        test.expect(matches!(outcome, Ok(Err(_))), || format!("a submit ended so, or not: {outcome:?}"));
    }
}

/// A crash in the middle of many submits: each command is carried out once, whatever its
/// client was told.
fn restart_submit(test: &Test, snapshots: bool) {
    let counters = Counters::new(test, snapshots, labapi::Options::default());
    let mut client = counters.client(1);
    (0..MANY).for_each(|_| _ = client.add(1));
    counters.crash_all();
    counters.restart_all();
    client.add(1);
    counters.check(MANY + 1, &[0, 1, 2]);
    test.scene("Fifty clients submit while all servers crash.");
    let clients: Vec<_> = (100..150)
        .map(|client| {
            let mut client = counters.client(client);
            thread::spawn(move || client.add(1))
        })
        .collect();
    thread::sleep(Duration::from_millis(labrt::rand::random_range(1..40)));
    counters.crash_all();
    thread::sleep(Duration::from_millis(200));
    counters.restart_all();
    for client in clients {
        test.expect(client.join().is_ok(), || "a client has failed".to_owned());
    }
    client.add(1);
    counters.check(MANY + 52, &[0, 1, 2]);
}

/// Each scenario twice.
macro_rules! with_and_without_snapshots {
    ($($scenario:ident, $plain:ident, $with_snapshots:ident;)*) => {$(
        #[test]
        fn $plain() {
            tester::run(stringify!($plain), |test| $scenario(test, false));
        }

        #[test]
        fn $with_snapshots() {
            tester::run(stringify!($with_snapshots), |test| $scenario(test, true));
        }
    )*};
}

with_and_without_snapshots! {
    basic, basic_rsm, basic_snapshots_rsm;
    concurrent, concurrent_rsm, concurrent_snapshots_rsm;
    leader_failure, leader_failure_rsm, leader_failure_snapshots_rsm;
    leader_partition, leader_partition_rsm, leader_partition_snapshots_rsm;
    restart_replay, restart_replay_rsm, restart_replay_snapshots_rsm;
    shutdown, shutdown_rsm, shutdown_snapshots_rsm;
    restart_submit, restart_submit_rsm, restart_submit_snapshots_rsm;
}
