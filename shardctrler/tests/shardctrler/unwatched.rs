// handout: file never
//! What the checkers notice of a controller's Raft without its observer.

use std::time::Duration;

use labrt::thread;
use tester::{Invariant, Test, try_unwatched};

use crate::cluster::{Cluster, groups};

/// A server whose disk is empty after a crash has forgotten its term, and is caught at its restart.
#[test]
fn a_lost_disk_is_noticed_without_an_observer() {
    let verdict = try_unwatched("lost_disk_4a", 1, |test: &Test| {
        let cluster = Cluster::new(test);
        let joined = cluster.clerk().join(groups([(1, &["x"])]));
        assert!(joined.is_ok(), "nothing forbids it");
        cluster.crash(1);
        cluster.persister(1).save(&[], None);
        cluster.restart(1);
        thread::sleep(Duration::from_millis(10));
    });
    assert_eq!(verdict.invariant, Some(Invariant::GrowingTerm), "{}", verdict.text);
    assert!(verdict.text.contains("server 1 says that it is in term 0 (its life 2)"), "{}", verdict.text);
}

/// Without an observer everything else is watched, and the report says so.
#[test]
fn only_the_observer_is_missed() {
    let verdict = try_unwatched("watched_4a", 1, |test: &Test| {
        let cluster = Cluster::new(test);
        let joined = cluster.clerk().join(groups([(1, &["x"])]));
        assert!(joined.is_ok(), "nothing forbids it");
    });
    assert!(verdict.ok, "{}", verdict.text);
    let missed = ["logs, roles and commit indices at each change: the servers do not show them (`watch`)"];
    assert_eq!(verdict.report.unwatched, missed);
}
