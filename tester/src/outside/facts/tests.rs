//! Each rule from outside, broken and kept.

use super::*;

fn disk(writes: u64) -> Disk {
    Disk { writes, has_snapshot: false, at: Duration::ZERO }
}

fn append(term: u64, prev: (u64, u64), entries: &[(u64, u64)]) -> Request {
    let (prev_index, prev_term) = prev;
    Request::Append { term, leader: 0, prev_index, prev_term, entries: entries.to_vec(), commit_index: 0 }
}

fn vote(term: u64, candidate: usize, (last_index, last_term): (u64, u64)) -> Request {
    Request::Vote { term, candidate, last_index, last_term }
}

/// Three servers, of which server 2 was restarted, so that promises count.
fn facts() -> Facts {
    let mut facts = Facts::new(3);
    (0..3).for_each(|server| assert_eq!(facts.starts(server, 1, 0), Ok(())));
    assert_eq!(facts.starts(2, 2, 0), Ok(()));
    facts
}

fn rule(result: Result<(), Broken>) -> Option<Invariant> {
    result.err().and_then(|broken| broken.invariant)
}

#[test]
fn an_acknowledged_entry_that_is_gone_after_a_crash_is_missed() {
    let mut facts = facts();
    let both = append(3, (0, 0), &[(3, 7), (3, 8)]);
    let arrival = facts.request(1, 0, &both).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(1), &both, Reply::Granted), Ok(()));
    let behind = append(3, (2, 3), &[(3, 9)]);
    // In the same life a refusal may be an old one; after a crash it is a loss.
    let arrival = facts.request(1, 1, &behind).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(1), &behind, Reply::Refused), Ok(()));
    assert_eq!(facts.starts(1, 2, 1), Ok(()));
    let arrival = facts.request(1, 1, &behind).expect("nothing is wrong");
    let covered = Disk { has_snapshot: true, ..disk(1) };
    assert_eq!(facts.reply(1, arrival, covered, &behind, Reply::Refused), Ok(()));
    let lost = facts.reply(1, arrival, disk(1), &behind, Reply::Refused);
    assert_eq!(rule(lost), Some(Invariant::AcknowledgedEntry));
}

#[test]
fn a_loss_in_a_later_term_is_no_breach() {
    let mut facts = facts();
    let entry = append(3, (0, 0), &[(3, 7)]);
    let arrival = facts.request(1, 0, &entry).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(1), &entry, Reply::Granted), Ok(()));
    assert_eq!(facts.starts(1, 2, 1), Ok(()));
    let later = append(4, (1, 3), &[]);
    let arrival = facts.request(1, 1, &later).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(1), &later, Reply::Refused), Ok(()));
}

#[test]
fn one_write_is_enough_for_requests_that_overlap() {
    let mut facts = facts();
    let (long, short) = (append(3, (0, 0), &[(3, 7), (3, 8)]), append(3, (0, 0), &[(3, 7)]));
    let first = facts.request(1, 0, &long).expect("nothing is wrong");
    // The handler of the long one has written and not answered yet.
    let second = facts.request(1, 1, &short).expect("nothing is wrong");
    assert_eq!(facts.reply(1, second, disk(1), &short, Reply::Granted), Ok(()));
    assert_eq!(facts.reply(1, first, disk(1), &long, Reply::Granted), Ok(()));
    assert_eq!(facts.reply(1, first, disk(1), &long, Reply::Granted), Ok(()), "a copy needs no write");
}

#[test]
fn a_vote_without_a_write_counts_where_servers_are_restarted() {
    let vote = vote(5, 0, (0, 0));
    let mut without_restarts = Facts::new(3);
    let arrival = without_restarts.request(1, 0, &vote).expect("nothing is wrong");
    assert_eq!(without_restarts.reply(1, arrival, disk(0), &vote, Reply::Granted), Ok(()));
    assert_eq!(without_restarts.take_hollow(), None, "a server that never writes");
    assert_eq!(rule(without_restarts.starts(1, 2, 0)), Some(Invariant::DurablePromise));

    let mut facts = facts();
    let arrival = facts.request(1, 4, &vote).expect("nothing is wrong");
    let unwritten = facts.reply(1, arrival, disk(4), &vote, Reply::Granted);
    assert_eq!(rule(unwritten), Some(Invariant::DurablePromise));
    let vote_for_0 = Promise::Vote { term: 5, candidate: 0 };
    assert_eq!((facts.take_hollow(), facts.take_hollow()), (Some(vote_for_0), None));
    assert_eq!(facts.reply(1, arrival, disk(5), &vote, Reply::Granted), Ok(()));
    assert_eq!(facts.take_hollow(), None, "it has written");
}

#[test]
fn a_hollow_promise_is_marked_also_where_no_server_was_restarted() {
    let mut facts = Facts::new(3);
    let vote = vote(5, 0, (0, 0));
    let arrival = facts.request(1, 4, &vote).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(4), &vote, Reply::Granted), Ok(()));
    assert_eq!(facts.take_hollow(), Some(Promise::Vote { term: 5, candidate: 0 }));
}

#[test]
fn a_candidate_votes_for_itself() {
    let mut facts = facts();
    let request = |candidate| vote(5, candidate, (0, 0));
    let arrival = facts.request(1, 0, &request(0)).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(1), &request(0), Reply::Granted), Ok(()));
    let stands = facts.request(2, 0, &request(1)).map(drop);
    assert_eq!(rule(stands), Some(Invariant::OneVote));
}

#[test]
fn the_term_of_the_entry_before_belongs_to_the_entry() {
    let mut facts = facts();
    facts.request(1, 0, &append(3, (4, 2), &[(3, 7)])).expect("nothing is wrong");
    let other = facts.request(2, 0, &append(3, (4, 1), &[(3, 7)])).map(drop);
    assert_eq!(rule(other), Some(Invariant::LogMatching));
}

#[test]
fn a_state_that_was_asked_for_earlier_may_be_older() {
    let mut facts = facts();
    let lowest = facts.lowest_term(1);
    assert_eq!(facts.state(1, 1, facts.lowest_term(1), (7, false)), Ok(()));
    assert_eq!(facts.state(1, 1, lowest, (6, false)), Ok(()), "asked before, told later");
    let back = facts.state(1, 1, facts.lowest_term(1), (6, false));
    assert_eq!(rule(back), Some(Invariant::GrowingTerm));
}

#[test]
fn a_leader_is_not_elected_twice_in_a_term() {
    let mut facts = facts();
    assert_eq!(facts.state(1, 1, 0, (7, true)), Ok(()));
    assert_eq!(facts.state(1, 1, 0, (7, true)), Ok(()));
    assert_eq!(rule(facts.state(1, 2, 0, (7, true))), Some(Invariant::ElectionSafety));
    let heartbeat = facts.request(2, 0, &append(7, (0, 0), &[])).map(drop);
    assert_eq!(rule(heartbeat), Some(Invariant::ElectionSafety));
}

fn snapshot(term: u64, last_included_index: u64) -> Request {
    Request::Snapshot { term, leader: 0, last_included_index }
}

#[test]
fn an_acknowledged_snapshot_is_on_the_disk() {
    let mut facts = facts();
    let arrival = facts.request(1, 4, &snapshot(3, 9)).expect("nothing is wrong");
    let unwritten = facts.reply(1, arrival, disk(4), &snapshot(3, 9), Reply::Granted);
    assert_eq!(rule(unwritten), Some(Invariant::DurablePromise));
    let again = facts.request(1, 4, &snapshot(3, 9)).expect("nothing is wrong");
    assert_eq!(facts.reply(1, again, disk(4), &snapshot(3, 9), Reply::Granted), Ok(()), "a copy");
    assert_eq!(rule(facts.starts(1, 2, 4)), Some(Invariant::DurablePromise));
}

#[test]
fn a_snapshot_of_what_the_log_has_needs_no_write() {
    let mut facts = facts();
    let entries = append(3, (0, 0), &[(3, 7), (3, 8)]);
    let first = facts.request(1, 0, &entries).expect("nothing is wrong");
    // The entries are on the disk, and their handler has not answered yet.
    let second = facts.request(1, 1, &snapshot(3, 2)).expect("nothing is wrong");
    assert_eq!(facts.reply(1, second, disk(1), &snapshot(3, 2), Reply::Granted), Ok(()));
    assert_eq!(facts.reply(1, first, disk(1), &entries, Reply::Granted), Ok(()));
    let third = facts.request(1, 1, &snapshot(3, 1)).expect("nothing is wrong");
    assert_eq!(facts.reply(1, third, disk(1), &snapshot(3, 1), Reply::Granted), Ok(()));
}

#[test]
fn a_candidate_that_asks_itself_votes_when_it_answers() {
    let mut facts = facts();
    facts.may_call_itself(&Arc::new(AtomicBool::new(true)));
    let (own, other) = (vote(5, 2, (0, 0)), vote(5, 1, (0, 0)));
    facts.request(1, 0, &own).expect("nothing is wrong");
    let arrival = facts.request(2, 0, &other).expect("nothing is wrong");
    assert_eq!(facts.reply(2, arrival, disk(1), &other, Reply::Granted), Ok(()));
    let arrival = facts.request(2, 1, &own).expect("nothing is wrong");
    assert_eq!(facts.reply(2, arrival, disk(1), &own, Reply::Refused), Ok(()));
    let twice = facts.reply(2, arrival, disk(1), &own, Reply::Granted);
    assert_eq!(rule(twice), Some(Invariant::OneVote));
}

#[test]
fn a_snapshot_of_a_leader_whose_term_is_over_is_not_acknowledged() {
    let mut facts = facts();
    assert_eq!(facts.state(1, 1, 0, (4, false)), Ok(()));
    let arrival = facts.request(1, 4, &snapshot(3, 9)).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(4), &snapshot(3, 9), Reply::Granted), Ok(()));
}

/// A `wire` need not compare the terms of request and reply for that.
#[test]
fn a_refusal_in_a_later_term_is_no_loss() {
    let mut facts = facts();
    let entry = append(3, (0, 0), &[(3, 7)]);
    let arrival = facts.request(1, 0, &entry).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(1), &entry, Reply::Granted), Ok(()));
    assert_eq!(facts.starts(1, 2, 1), Ok(()));
    assert_eq!(facts.state(1, 2, 0, (4, false)), Ok(()));
    let behind = append(3, (1, 3), &[]);
    let arrival = facts.request(1, 1, &behind).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(1), &behind, Reply::Refused), Ok(()));
}

#[test]
fn behind_a_snapshot_that_was_not_read_nothing_is_known() {
    let mut facts = facts();
    facts.takes_unread_snapshot(1);
    let covered = append(3, (0, 0), &[(3, 7)]);
    let arrival = facts.request(1, 1, &covered).expect("nothing is wrong");
    assert_eq!(facts.reply(1, arrival, disk(1), &covered, Reply::Granted), Ok(()));
}
