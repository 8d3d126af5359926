// handout: file never
//! What the checkers notice of a replica's Raft without its observer.

use std::time::Duration;

use labrt::thread;
use tester::{Invariant, Test, try_unwatched};

use crate::counter::Counters;

/// A server whose disk is empty after a crash has forgotten its term, and is caught at its restart.
#[test]
fn a_lost_disk_is_noticed_without_an_observer() {
    let verdict = try_unwatched("lost_disk_rsm", 1, |test: &Test| {
        let counters = Counters::new(test, false, labapi::Options::default());
        counters.client(1).add(1);
        counters.check(1, &[0, 1, 2]);
        counters.group.crash(1);
        counters.group.persister(1).save(&[], None);
        counters.group.restart(1);
        thread::sleep(Duration::from_millis(10));
    });
    assert_eq!(verdict.invariant, Some(Invariant::GrowingTerm), "{}", verdict.text);
    assert!(verdict.text.contains("server 1 says that it is in term 0 (its life 2)"), "{}", verdict.text);
}

/// The messages are read: two leaders that go their own ways send different entries.
#[test]
fn what_was_acknowledged_and_lost_is_noticed_on_the_wire() {
    let verdict = try_unwatched("lost_entries_rsm", 1, |test: &Test| {
        let counters = Counters::new(test, false, labapi::Options::default());
        counters.client(1).add(1);
        counters.check(1, &[0, 1, 2]);
        let empty = counters.group.persister(0).copy();
        for amount in 1..=5 {
            counters.client(1 + amount).add(1);
        }
        counters.check(6, &[0, 1, 2]);
        let follower = (counters.leader() + 1) % 3;
        counters.group.crash(follower);
        // The term is still right, the last entries are gone.
        counters.group.persister(follower).save(&empty.state(), None);
        counters.group.restart(follower);
        counters.group.connect(follower);
        counters.client(10).add(1);
        counters.check(7, &[0, 1, 2]);
    });
    assert_eq!(verdict.invariant, Some(Invariant::AcknowledgedEntry), "{}", verdict.text);
}
