// handout: file never
//! The rules for reads without the log (dissertation §6.4), one test for each sentence.

use labrt::time::Duration;
use raft::Lease;
use raft::rpc::RequestVoteReply;
use raft::rules::{HEARTBEAT_INTERVAL, Reply, Turn};

use crate::bare::*;

const MS: Duration = Duration::from_millis(1);

/// Server 0 of three, leader of term 1 with a committed entry of that term.
fn leader() -> Server {
    let mut leader = Server::boot(0, 3).elected();
    leader.start("first");
    let request = leader.request_to(1);
    leader.reply(1, &request, success(1));
    assert_eq!(leader.state.commit_index, 1);
    leader
}

/// Lets a server answer the leader's next message.
fn hear(leader: &mut Server, peer: usize) {
    leader.state.send_heartbeats_at(leader.now);
    let request = leader.request_to(peer);
    leader.reply(peer, &request, success(leader.state.term()));
}

fn with_leases(mut server: Server) -> Server {
    server.state.keep_leases(Lease { max_clock_drift: 0.1 }, ELECTION_TIMEOUT);
    server
}

/// "If the leader has not yet marked an entry from its current term committed, it waits
/// until it has done so."
#[test]
fn a_new_leader_does_not_know_what_is_committed() {
    let mut server = Server::boot(0, 3).with_log(&[1, 1]).elected();
    assert_eq!(server.state.read_index(), None);
    let index = server.start("of the new term");
    assert_eq!(server.state.read_index(), None);
    let request = server.request_to(1);
    server.reply(1, &request, success(2));
    assert_eq!(server.state.read_index(), Some(index));
}

/// "The leader needs to make sure it has not been superseded by a newer leader of which it
/// is unaware": a majority answers messages that were sent after the read began.
#[test]
fn an_answer_counts_for_reads_before_the_message_was_sent() {
    let mut leader = leader();
    let answered = leader.now;
    assert!(leader.state.led_at(answered));
    leader.wait(MS);
    let asked = leader.now;
    assert!(!leader.state.led_at(asked));
    hear(&mut leader, 2);
    assert!(leader.state.led_at(asked));
    assert!(!leader.state.led_at(asked + MS));
}

/// The answer counts from when the message was sent: the follower may have left since.
#[test]
fn a_late_answer_says_nothing_about_the_time_after_the_message() {
    let mut leader = leader();
    leader.state.send_heartbeats_at(leader.now);
    let sent = leader.now;
    let request = leader.request_to(1);
    leader.wait(50 * MS);
    leader.reply(1, &request, success(1));
    assert!(leader.state.led_at(sent));
    assert!(!leader.state.led_at(sent + MS));
}

/// In a cluster of five one answer is not enough, nor is the same one twice.
#[test]
fn a_majority_must_answer() {
    let mut leader = Server::boot(0, 5).elected();
    leader.wait(MS);
    hear(&mut leader, 1);
    hear(&mut leader, 1);
    assert!(!leader.state.led_at(leader.now));
    hear(&mut leader, 2);
    assert!(leader.state.led_at(leader.now));
}

/// Answers of an earlier term say nothing about this one.
#[test]
fn answers_of_an_earlier_term_do_not_count() {
    let mut leader = leader();
    hear(&mut leader, 1);
    let then = leader.now;
    let again = leader.in_term(2).elected();
    assert_eq!(again.state.term(), 3);
    assert!(!again.state.led_at(then));
}

/// A read makes the leader send heartbeats at once.
#[test]
fn a_read_does_not_wait_for_the_heartbeat() {
    let mut leader = leader();
    hear(&mut leader, 1);
    assert!(matches!(leader.turn(1), Turn::WaitUntil(_)));
    leader.state.send_heartbeats_at(leader.now);
    assert!(matches!(leader.turn(1), Turn::Send(_)));
    assert!(matches!(leader.turn(1), Turn::WaitUntil(_)), "one message for each read");
}

/// "Once the leader's heartbeats were acknowledged by a majority of the cluster, the leader
/// would extend its lease to start + election timeout / clock drift bound" (§6.4.1).
#[test]
fn a_lease_lasts_shorter_than_the_promise() {
    let mut leader = with_leases(leader());
    assert!(leader.state.holds_lease(leader.now));
    // 500 ms × 0.9 / 1.1, to the nanosecond.
    leader.wait(409 * MS);
    assert!(leader.state.holds_lease(leader.now));
    leader.wait(MS);
    assert!(!leader.state.holds_lease(leader.now));
    hear(&mut leader, 2);
    assert!(leader.state.holds_lease(leader.now));
}

/// With the option off there is no lease, however many followers answer.
#[test]
fn without_the_option_there_is_no_lease() {
    let mut leader = leader();
    hear(&mut leader, 1);
    hear(&mut leader, 2);
    assert!(!leader.state.holds_lease(leader.now));
}

/// A follower that has promised grants no vote, and does not even adopt the candidate's term,
/// until the promise has run out.
#[test]
fn a_promise_is_kept() {
    let mut follower = with_leases(Server::boot(0, 3)).in_term(1);
    follower.wait(ELECTION_TIMEOUT - MS);
    assert!(!follower.request_vote(ask(7, 1, (9, 6))).vote_granted);
    assert_eq!(follower.state.term(), 1);
    follower.wait(MS);
    assert!(follower.request_vote(ask(7, 1, (9, 6))).vote_granted);
}

/// A voter that refuses only because of its promise may vote later in the same election. So
/// its refusal does not count as an answer, and the candidate asks it again.
#[test]
fn a_bound_voter_is_asked_again() {
    let mut candidate = with_leases(Server::boot(0, 3));
    let mut voter = with_leases(Server::boot(1, 3)).in_term(1);
    candidate.stand_for_election();
    candidate.stand_for_election();
    let (_, reply) = candidate.exchange(&mut voter);
    assert_eq!(reply, Reply::RequestVote(RequestVoteReply { term: 1, vote_granted: false, bound: true }));
    candidate.wait(HEARTBEAT_INTERVAL);
    voter.wait(ELECTION_TIMEOUT);
    candidate.exchange(&mut voter);
    assert!(candidate.state.is_leader());
}

/// Any other refusal is an answer for the whole election.
#[test]
fn a_voter_that_has_refused_is_not_asked_again() {
    let mut candidate = Server::boot(0, 3);
    let mut voter = Server::boot(1, 3).with_log(&[1]);
    candidate.stand_for_election();
    candidate.exchange(&mut voter);
    candidate.wait(HEARTBEAT_INTERVAL);
    assert_eq!(candidate.turn(1), Turn::Wait);
}

/// A crash does not end a promise, though the server has forgotten it.
#[test]
fn a_promise_outlives_a_crash() {
    let follower = with_leases(Server::boot(0, 3)).in_term(1);
    let mut again = with_leases(follower.reboot());
    again.wait(ELECTION_TIMEOUT - MS);
    assert!(!again.request_vote(ask(7, 1, (9, 6))).vote_granted);
}

/// The leader is bound to itself as long as the others are.
#[test]
fn a_leader_with_a_lease_is_not_deposed_by_a_candidate() {
    let mut leader = with_leases(leader());
    assert!(!leader.request_vote(ask(7, 2, (9, 6))).vote_granted);
    assert!(leader.state.is_leader());
    leader.wait(410 * MS);
    assert!(leader.request_vote(ask(7, 2, (9, 6))).vote_granted);
    assert!(!leader.state.is_leader());
}

/// Only a leader's message makes a promise; a vote does not.
#[test]
fn a_vote_is_no_promise() {
    let mut voter = with_leases(Server::boot(0, 3));
    voter.wait(ELECTION_TIMEOUT);
    assert!(voter.request_vote(ask(1, 1, (0, 0))).vote_granted);
    voter.wait(HEARTBEAT_INTERVAL);
    assert!(voter.request_vote(ask(2, 2, (0, 0))).vote_granted);
}
