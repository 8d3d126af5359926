//! What the checker over all groups allows, by views alone: a tenure that ended while no group owned the
//! shard is handed over to whoever owns the shard next.

use shardkv::{GroupView, Stage, TenureView};

use crate::custody::Ledger;

/// A group with one tenure of shard 6, or none.
fn view(changes: u64, config: u64, tenure: Option<(u64, Option<u64>, Stage)>) -> GroupView {
    let tenures = tenure.map(|(since, until, stage)| TenureView { shard: 6, since, until, stage });
    GroupView { changes, config, tenures: tenures.into_iter().collect(), garbage: Vec::new() }
}

/// Enters these views of groups, in order, and returns what the last one is judged to be.
fn last_of(views: &[(u64, GroupView)]) -> Result<(), String> {
    let mut ledger = Ledger::default();
    let mut judged = Ok(());
    for (group, view) in views {
        judged.expect("only the last view may break a rule");
        judged = ledger.enter(*group, 0, view.clone()).map(|_| ());
    }
    judged
}

/// Configuration 3 takes the shard from group 100 and gives it to nobody, 4 gives it to group 102.
#[test]
fn a_copy_may_go_once_the_owner_after_a_gap_has_it() {
    let serves = view(1, 2, Some((2, None, Stage::Serving)));
    let waits = view(2, 3, Some((2, Some(3), Stage::Waiting)));
    let arrives = (102, view(2, 4, Some((4, None, Stage::Serving))));
    let gone = (100, view(3, 4, None));
    assert_eq!(last_of(&[(100, serves.clone()), (100, waits.clone()), arrives, gone.clone()]), Ok(()));
    let broken = last_of(&[(100, serves), (100, waits), (102, view(1, 4, None)), gone]);
    assert!(broken.is_err_and(|broken| broken.contains("the only copy of shard 6")));
}

/// The next owner waits for the content, and the owner after it shows one: that is not the copy that went.
#[test]
fn a_copy_may_not_go_before_its_next_owner_has_it() {
    let serves = (100, view(1, 2, Some((2, None, Stage::Serving))));
    let waits = (100, view(2, 3, Some((2, Some(3), Stage::Waiting))));
    let next = (101, view(1, 3, Some((3, None, Stage::Pulling))));
    let after_it = (102, view(1, 4, Some((4, None, Stage::Serving))));
    let broken = last_of(&[serves, waits, next, after_it, (100, view(3, 4, None))]);
    assert!(broken.is_err_and(|broken| broken.contains("the only copy of shard 6")));
}

/// The next owner is the last one, which opens a new tenure with the content of the old one.
#[test]
fn the_same_owner_may_begin_a_new_tenure_with_its_copy() {
    let before = (102, view(1, 4, Some((4, None, Stage::Serving))));
    let waits = (102, view(2, 5, Some((4, Some(5), Stage::Waiting))));
    let reopened = |changes| (102, view(changes, 6, Some((6, None, Stage::Serving))));
    assert_eq!(last_of(&[before.clone(), waits, reopened(3)]), Ok(()));
    assert_eq!(last_of(&[before.clone(), reopened(2)]), Ok(()), "closed and opened in one step");
    let forgotten = (102, view(2, 6, Some((6, None, Stage::Pulling))));
    assert!(last_of(&[before, forgotten]).is_err());
}
