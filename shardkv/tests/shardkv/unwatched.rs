// handout: file never
//! What the checkers notice of the Rafts of controllers and groups without their observers.

use tester::{Invariant, Test, Verdict, try_unwatched};

use crate::cluster::{Cluster, Options, PATIENCE, pause};

fn verdict(lose: impl Fn(&Cluster) + Send + Sync + 'static) -> Verdict {
    try_unwatched("lost_disk_4b", 1, move |test: &Test| {
        let cluster = Cluster::new(test, Options::new());
        cluster.join(&[0, 1]);
        cluster.settle(PATIENCE);
        lose(&cluster);
    })
}

#[track_caller]
fn assert_lost_term(verdict: &Verdict) {
    assert_eq!(verdict.invariant, Some(Invariant::GrowingTerm), "{}", verdict.text);
    assert!(verdict.text.contains("server 2 says that it is in term 0 (its life 2)"), "{}", verdict.text);
}

/// A server whose disk is empty after a crash has forgotten its term, and is caught at its restart. Each
/// group has checkers of its own.
#[test]
fn a_lost_disk_of_a_group_is_noticed_without_an_observer() {
    assert_lost_term(&verdict(|cluster| {
        cluster.shutdown_server(1, 2);
        cluster.groups[1].persister(2).save(&[], None);
        cluster.start_server(1, 2);
        pause(10);
    }));
}

#[test]
fn a_lost_disk_of_a_controller_is_noticed_without_an_observer() {
    assert_lost_term(&verdict(|cluster| {
        cluster.controllers.crash(2);
        cluster.controllers.persister(2).save(&[], None);
        cluster.controllers.restart(2);
        pause(10);
    }));
}
