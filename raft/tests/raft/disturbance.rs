// handout: file never
//! The rules for elections that disturb less (`CheckQuorum`, dissertation §6.2; `PreVote`, §9.6), one test
//! for each sentence.

use labrt::time::Duration;
use raft::rpc::{RequestVoteArgs, RequestVoteReply};
use raft::rules::{Reply, Request, Turn};
use tester::try_seed;

use crate::bare::*;
use crate::even::restart_all;

const MS: Duration = Duration::from_millis(1);

/// Server 0 of three, leader of term 1, with `CheckQuorum`.
fn leader() -> Server {
    let mut server = Server::boot(0, 3);
    server.state.check_quorum();
    server.elected()
}

fn with_pre_votes(mut server: Server) -> Server {
    server.state.ask_before_elections(ELECTION_TIMEOUT);
    server
}

/// The request for a pre-vote that a server whose timeout has elapsed sends to server 1.
fn asks(server: &mut Server) -> RequestVoteArgs {
    server.election_timeout_elapses();
    match server.request_to(1) {
        Request::RequestVote(args) => args,
        other => panic!("not a RequestVote: {other:?}"),
    }
}

fn answer(term: u64, vote_granted: bool) -> Reply {
    Reply::RequestVote(RequestVoteReply { term, vote_granted, bound: false })
}

/// "A leader in Raft steps down if an election timeout elapses without a successful round of heartbeats to a
/// majority of its cluster."
#[test]
fn a_leader_that_hears_nothing_gives_up() {
    let mut leader = leader();
    leader.wait(ELECTION_TIMEOUT - MS);
    assert!(!leader.is_due());
    leader.wait(MS);
    assert!(leader.is_due());
    leader.election_timeout_elapses();
    assert!(!leader.state.is_leader());
    assert_eq!(leader.state.term(), 1, "it gives up within its term");
    assert_eq!(leader.turn(1), Turn::Wait, "it falls silent");
}

/// Without the option it never does.
#[test]
fn a_leader_of_the_paper_stays() {
    let mut leader = Server::boot(0, 3).elected();
    leader.wait(100 * ELECTION_TIMEOUT);
    assert!(!leader.is_due());
}

/// An answer counts from when its message was made.
#[test]
fn an_answer_of_a_majority_keeps_the_leader() {
    let mut leader = leader();
    leader.wait(200 * MS);
    let request = leader.request_to(1);
    leader.wait(200 * MS);
    leader.reply(1, &request, success(1));
    leader.wait(ELECTION_TIMEOUT - 201 * MS);
    assert!(!leader.is_due());
    leader.wait(MS);
    assert!(leader.is_due());
}

/// In a cluster of five one answer is not enough.
#[test]
fn an_answer_of_a_minority_does_not() {
    let mut server = Server::boot(0, 5);
    server.state.check_quorum();
    let mut leader = server.elected();
    leader.wait(200 * MS);
    let request = leader.request_to(1);
    leader.reply(1, &request, success(1));
    leader.wait(ELECTION_TIMEOUT - 200 * MS);
    assert!(leader.is_due());
}

/// A cluster of one is its own majority.
#[test]
fn a_leader_without_followers_stays() {
    let mut server = Server::boot(0, 1);
    server.state.check_quorum();
    server.stand_for_election();
    server.wait(100 * ELECTION_TIMEOUT);
    assert!(server.state.is_leader() && !server.is_due());
}

/// A leader that has given up has voted in its term.
#[test]
fn a_leader_that_gave_up_votes_for_nobody_else() {
    let mut leader = leader();
    leader.wait(ELECTION_TIMEOUT);
    leader.election_timeout_elapses();
    assert!(!leader.request_vote(ask(1, 1, (9, 1))).vote_granted);
    assert!(leader.request_vote(ask(2, 1, (9, 1))).vote_granted);
}

/// "A candidate only increments its term if it first learns from a majority of the cluster that they would be
/// willing to grant the candidate their votes."
#[test]
fn a_server_asks_before_it_stands() {
    let mut server = with_pre_votes(Server::boot(0, 5)).in_term(3);
    let args = asks(&mut server);
    assert_eq!((args.term, args.pre_vote, server.state.term()), (4, true, 3));
    server.reply(1, &Request::RequestVote(args.clone()), answer(3, true));
    server.reply(1, &Request::RequestVote(args.clone()), answer(3, true));
    assert_eq!(server.state.term(), 3, "one server's answer counts once");
    server.reply(2, &Request::RequestVote(args), answer(3, true));
    assert_eq!(server.state.term(), 4);
    assert!(matches!(server.request_to(1), Request::RequestVote(args) if !args.pre_vote));
}

/// A pre-vote changes nothing at the server that grants it, and binds it to nothing.
#[test]
fn a_pre_vote_is_no_promise() {
    let mut voter = with_pre_votes(Server::boot(0, 3)).in_term(1);
    voter.wait(ELECTION_TIMEOUT);
    for candidate in [1, 2] {
        let args = RequestVoteArgs { pre_vote: true, ..ask(2, candidate, (0, 0)) };
        assert!(voter.request_vote(args).vote_granted);
        assert_eq!((voter.state.term(), voter.state.voted_for()), (1, None));
    }
    assert!(voter.is_due(), "the election timer was not restarted");
}

/// "… and they have not received heartbeats from a valid leader for at least a baseline election timeout."
#[test]
fn a_server_that_hears_its_leader_says_no() {
    let mut voter = with_pre_votes(Server::boot(0, 3)).in_term(1);
    voter.wait(ELECTION_TIMEOUT - MS);
    let args = RequestVoteArgs { pre_vote: true, ..ask(2, 1, (0, 0)) };
    assert!(!voter.request_vote(args.clone()).vote_granted);
    voter.wait(MS);
    assert!(voter.request_vote(args).vote_granted);
    let mut leader = with_pre_votes(Server::boot(0, 3)).elected();
    let args = RequestVoteArgs { pre_vote: true, ..ask(7, 1, (0, 0)) };
    assert!(!leader.request_vote(args).vote_granted);
    assert!(leader.state.is_leader());
}

/// "… because the candidate's log is sufficiently up-to-date …"
#[test]
fn an_outdated_log_gets_no_pre_vote() {
    let mut voter = with_pre_votes(Server::boot(0, 3)).with_log(&[1, 1]);
    voter.wait(ELECTION_TIMEOUT);
    let args = |last| RequestVoteArgs { pre_vote: true, ..ask(2, 1, last) };
    assert!(!voter.request_vote(args((1, 1))).vote_granted);
    assert!(voter.request_vote(args((2, 1))).vote_granted);
}

/// A leader's message ends the question; what is answered later does not start an election.
#[test]
fn a_leader_ends_the_question() {
    let mut server = with_pre_votes(Server::boot(0, 3));
    let args = asks(&mut server);
    server.append_entries(append(0, (0, 0), &[], 0));
    server.reply(1, &Request::RequestVote(args), answer(0, true));
    assert_eq!(server.state.term(), 0);
    assert_eq!(server.turn(1), Turn::Wait);
}

/// A server that says no may say yes in the same poll: it is asked again. A later term ends the poll.
#[test]
fn a_server_that_says_no_is_asked_again() {
    let mut server = with_pre_votes(Server::boot(0, 3)).in_term(1);
    let args = asks(&mut server);
    server.reply(1, &Request::RequestVote(args.clone()), answer(1, false));
    server.wait(ELECTION_TIMEOUT / 2);
    assert_eq!(server.request_to(1), Request::RequestVote(args.clone()));
    server.reply(1, &Request::RequestVote(args), answer(5, false));
    assert_eq!(server.state.term(), 5);
    assert_eq!(server.turn(1), Turn::Wait);
}

/// A reply that comes after the next message was sent counts as what it answers: it proves that the server
/// led when its own message was made, not later.
#[test]
fn a_late_answer_counts_for_its_own_message() {
    let mut leader = Server::boot(0, 3).elected();
    let (first, sent) = (leader.request_to(1), leader.now);
    leader.no_reply(1, &first);
    leader.wait(200 * MS);
    let second = leader.request_to(1);
    leader.reply_to(1, &first, sent, success(1));
    assert!(leader.state.led_at(sent));
    assert!(!leader.state.led_at(sent + MS));
    leader.reply(1, &second, success(1));
    assert!(leader.state.led_at(sent + 200 * MS));
}

/// A cluster of one is a majority, too: it elects itself, commits alone, and keeps that over crashes. The
/// labs have no such cluster, so this is no test of theirs.
#[test]
fn a_cluster_of_one_restarts() {
    for seed in 0..5 {
        let verdict = try_seed("a_cluster_of_one_restarts", seed, |t| restart_all(t, 1));
        assert!(verdict.ok, "{}", verdict.text);
    }
}
