// handout: file guided
//! Figure 2 of the paper, the box "Rules for Servers", a test for each sentence (the other
//! boxes are in `figure2.rs`).

use labrt::time::Duration;
use raft::ApplyMsg;
use raft::rules::{HEARTBEAT_INTERVAL, Request, Role, Turn};

use crate::bare::*;

const MS: Duration = Duration::from_millis(1);

// ---- All servers

/// "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state
/// machine (§5.3)".
#[test]
fn committed_entries_are_applied_in_order_and_once() {
    let mut server = Server::boot(0, 3).with_log(&[1, 1, 2]);
    assert_eq!(server.applied(), []);
    server.append_entries(append(2, (3, 2), &[], 2));
    let command = |index, term, text: &str| ApplyMsg::Command { index, term, command: text.into() };
    assert_eq!(server.applied(), [command(1, 1, "1 of 1"), command(2, 1, "2 of 1")]);
    assert_eq!(server.state.last_applied, 2);
    server.append_entries(append(2, (3, 2), &[], 3));
    assert_eq!(server.applied(), [command(3, 2, "3 of 2")]);
    assert_eq!(server.applied(), []);
}

/// "If RPC request … contains term T > currentTerm: set currentTerm = T, convert to
/// follower (§5.1)": whatever the request, whatever the role.
#[test]
fn a_newer_term_in_a_request_makes_a_follower() {
    let requests = [
        Request::RequestVote(ask(9, 1, (0, 0))),
        Request::AppendEntries(append(9, (7, 7), &[], 0)),
        Request::InstallSnapshot(install(9, (1, 1), "old")),
    ];
    for request in requests {
        let mut candidate = Server::boot(0, 3).with_log(&[1]);
        candidate.stand_for_election();
        for mut server in
            [Server::boot(0, 3).with_log(&[1]), candidate, Server::boot(0, 3).with_log(&[1]).elected()]
        {
            server.handle(&request);
            assert_eq!((server.state.role, server.state.term()), (Role::Follower, 9), "{request:?}");
            assert_eq!(server.state.voted_for(), None, "nobody has the vote in the new term");
        }
    }
}

/// "If RPC … response contains term T > currentTerm …", to a candidate.
#[test]
fn a_newer_term_in_a_vote_reply_makes_a_follower() {
    let mut server = Server::boot(0, 3);
    server.stand_for_election();
    let request = server.request_to(1);
    server.reply(1, &request, vote(9, false));
    assert_eq!((server.state.role, server.state.term()), (Role::Follower, 9));
}

/// "If RPC … response contains term T > currentTerm …", to a leader; and its election
/// timer, which did not run, begins a full timeout.
#[test]
fn a_newer_term_in_a_replication_reply_makes_a_follower() {
    let mut server = Server::boot(0, 3).elected();
    server.wait(10 * ELECTION_TIMEOUT);
    let request = server.request_to(1);
    server.reply(1, &request, refusal(9, (0, 0)));
    assert_eq!((server.state.role, server.state.term()), (Role::Follower, 9));
    assert!(!server.is_due());
}

// ---- Followers

/// "If election timeout elapses without receiving AppendEntries RPC from current leader or
/// granting vote to candidate: convert to candidate": the two reasons to wait.
#[test]
fn a_leader_or_a_granted_vote_restarts_the_election_timer() {
    let mut server = Server::boot(0, 3);
    server.wait(ELECTION_TIMEOUT - MS);
    assert!(!server.is_due());
    server.append_entries(append(1, (5, 1), &[], 0));
    server.wait(ELECTION_TIMEOUT - MS);
    assert!(!server.is_due(), "a leader is alive, even if its entries did not fit");
    server.request_vote(ask(2, 1, (0, 0)));
    server.wait(ELECTION_TIMEOUT - MS);
    assert!(!server.is_due(), "a candidate was given a chance");
    server.wait(MS);
    assert!(server.is_due());
}

/// The same sentence, the other way round: no other message restarts the timer. Otherwise a
/// candidate that cannot win could keep others from standing.
#[test]
fn a_refused_vote_does_not_restart_the_election_timer() {
    let mut server = Server::boot(0, 3).with_log(&[1]);
    server.wait(ELECTION_TIMEOUT);
    server.request_vote(ask(8, 1, (0, 0)));
    assert!(server.is_due());
}

/// "Respond to RPCs from candidates and leaders", and send none: "followers are passive"
/// (§5.1).
#[test]
fn a_follower_sends_nothing() {
    let mut server = Server::boot(0, 3);
    server.wait(10 * ELECTION_TIMEOUT);
    assert_eq!(server.turn(1), Turn::Wait);
}

// ---- Candidates

/// "On conversion to candidate, start election: increment currentTerm, vote for self, reset
/// election timer, send RequestVote RPCs to all other servers".
#[test]
fn a_candidate_starts_an_election() {
    let mut server = Server::boot(0, 3).with_log(&[1, 4]);
    server.wait(ELECTION_TIMEOUT);
    server.stand_for_election();
    assert_eq!(
        (server.state.role, server.state.term(), server.state.voted_for()),
        (Role::Candidate, 5, Some(0))
    );
    assert!(!server.is_due());
    for peer in [1, 2] {
        assert_eq!(server.request_to(peer), Request::RequestVote(ask(5, 0, (2, 4))));
    }
}

/// "If votes received from majority of servers: become leader".
#[test]
fn a_majority_of_votes_makes_a_leader() {
    let mut server = Server::boot(0, 5);
    server.stand_for_election();
    for (peer, granted, role) in [
        (1, true, Role::Candidate),
        (2, false, Role::Candidate),
        (3, true, Role::Leader),
        (4, true, Role::Leader),
    ] {
        let request = Request::RequestVote(ask(1, 0, (0, 0)));
        server.reply(peer, &request, vote(1, granted));
        assert_eq!(server.state.role, role, "after the answer of server {peer}");
    }
}

/// The same sentence: a majority of *servers*. A reply that the network delivers twice is
/// still one vote.
#[test]
fn a_vote_that_is_delivered_twice_counts_once() {
    let mut server = Server::boot(0, 5);
    server.stand_for_election();
    let request = server.request_to(1);
    for _ in 0..3 {
        server.reply(1, &request, vote(1, true));
        assert_eq!(server.state.role, Role::Candidate);
    }
}

/// The same sentence: votes of this election. A reply to an older request says nothing
/// about it.
#[test]
fn a_vote_of_an_earlier_election_does_not_count() {
    let mut server = Server::boot(0, 3);
    server.stand_for_election();
    let earlier = server.request_to(1);
    server.stand_for_election();
    server.reply(1, &earlier, vote(1, true));
    assert_eq!((server.state.role, server.state.term()), (Role::Candidate, 2));
}

/// "If AppendEntries RPC received from new leader: convert to follower". The new leader's
/// term may be the candidate's own: the other one has won.
#[test]
fn a_candidate_yields_to_the_leader_of_its_term() {
    let mut server = Server::boot(0, 3);
    server.stand_for_election();
    assert!(server.append_entries(append(1, (0, 0), &[1], 0)).success);
    assert_eq!((server.state.role, server.state.term()), (Role::Follower, 1));
    server.stand_for_election();
    server.append_entries(append(1, (0, 0), &[], 0));
    assert_eq!(server.state.role, Role::Candidate, "a leader of an earlier term is none");
}

/// "If election timeout elapses: start new election".
#[test]
fn a_split_vote_is_followed_by_another_election() {
    let mut server = Server::boot(0, 3);
    server.stand_for_election();
    server.wait(ELECTION_TIMEOUT);
    assert!(server.is_due());
    server.stand_for_election();
    assert_eq!(
        (server.state.role, server.state.term(), &*server.state.votes),
        (Role::Candidate, 2, &[0][..])
    );
}

/// "Servers retry RPCs if they do not receive a response in a timely manner" (§5.1). A server
/// that has answered is not asked again.
#[test]
fn a_request_vote_is_repeated_until_it_is_answered() {
    let mut server = Server::boot(0, 5);
    server.stand_for_election();
    let (first, second) = (server.request_to(1), server.request_to(2));
    server.no_reply(1, &first);
    server.reply(2, &second, vote(1, false));
    assert_eq!(server.turn(1), Turn::WaitUntil(server.now + HEARTBEAT_INTERVAL));
    server.wait(HEARTBEAT_INTERVAL);
    assert_eq!(server.turn(1), Turn::Send(first));
    assert_eq!(server.turn(2), Turn::Wait);
}

// ---- Leaders

/// "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server; repeat
/// during idle periods to prevent election timeouts (§5.2)".
#[test]
fn a_leader_sends_heartbeats() {
    let mut leader = Server::boot(0, 3).with_log(&[1]).elected();
    for _ in 0..3 {
        for peer in [1, 2] {
            let request = leader.request_to(peer);
            let Request::AppendEntries(args) = &request else { panic!("not a heartbeat: {request:?}") };
            assert_eq!(
                (args.term, args.prev_log_index, args.prev_log_term, args.entries.len()),
                (2, 1, 1, 0)
            );
            leader.reply(peer, &request, success(2));
            assert_eq!(leader.turn(peer), Turn::WaitUntil(leader.now + HEARTBEAT_INTERVAL));
        }
        leader.wait(HEARTBEAT_INTERVAL);
    }
    assert_eq!(leader.state.election_deadline(), None, "a leader has no election timeout");
}

/// "If command received from client: append entry to local log, respond after entry applied
/// to state machine (§5.3)". The service responds; Raft returns the entry's index at once.
#[test]
fn a_command_becomes_an_entry_of_the_leader() {
    let mut leader = Server::boot(0, 3).with_log(&[1]).elected();
    assert_eq!(leader.state.start("x".into()), Some((2, 2)));
    assert_eq!(leader.terms(), [1, 2]);
    assert_eq!(leader.state.commit_index, 0);
    assert_eq!(Server::boot(0, 3).state.start("x".into()), None, "only a leader accepts commands");
}

/// "If last log index ≥ nextIndex for a follower: send AppendEntries RPC with log entries
/// starting at nextIndex", and at once.
#[test]
fn new_entries_are_sent_from_next_index() {
    let mut leader = Server::boot(0, 3).with_log(&[1, 1]).elected();
    let heartbeat = leader.request_to(1);
    leader.reply(1, &heartbeat, success(2));
    leader.start("x");
    leader.start("y");
    let args = leader.append_entries_to(1);
    assert_eq!((args.prev_log_index, args.prev_log_term), (2, 1));
    assert_eq!(args.entries, leader.state.log().suffix(3));
}

/// "If successful: update nextIndex and matchIndex for follower (§5.3)": by what was sent,
/// since the log may have grown meanwhile.
#[test]
fn a_success_confirms_what_was_sent() {
    let mut leader = Server::boot(0, 3).elected();
    leader.start("x");
    let request = leader.request_to(1);
    leader.start("y");
    leader.reply(1, &request, success(1));
    assert_eq!((leader.state.peers[1].match_index, leader.state.peers[1].next_index), (1, 2));
}

/// The same sentence, with replies that come twice or late: no index goes back.
#[test]
fn an_overtaken_success_takes_nothing_back() {
    let mut leader = Server::boot(0, 3).elected();
    leader.start("x");
    let earlier = leader.request_to(1);
    leader.start("y");
    leader.wait(HEARTBEAT_INTERVAL);
    let later = leader.request_to(1);
    leader.reply(1, &later, success(1));
    leader.reply(1, &earlier, success(1));
    assert_eq!((leader.state.peers[1].match_index, leader.state.peers[1].next_index), (2, 3));
}

/// "If AppendEntries fails because of log inconsistency: decrement nextIndex and retry
/// (§5.3)", at once, and by as much as the refusal allows.
#[test]
fn a_refusal_moves_next_index_back() {
    let cases = [
        // The follower's log is short, and may agree to its end.
        ((2, 4), 3),
        // Its run of term 4 is longer than the leader's.
        ((5, 4), 4),
        // It has nothing of the leader's term 4.
        ((5, 3), 2),
        // It has nothing at all.
        ((0, 0), 1),
    ];
    for (conflict, next_index) in cases {
        let mut leader = Server::boot(0, 3).with_log(&[1, 4, 4, 5, 5, 6]).elected();
        let request = leader.request_to(1);
        leader.reply(1, &request, refusal(7, conflict));
        assert_eq!(leader.append_entries_to(1).prev_log_index + 1, next_index, "{conflict:?}");
    }
}

/// The same sentence, with an outdated refusal: the follower has passed that index.
#[test]
fn an_overtaken_refusal_moves_nothing() {
    let mut leader = Server::boot(0, 3).with_log(&[1, 1]).elected();
    let heartbeat = leader.request_to(1);
    leader.reply(1, &heartbeat, refusal(2, (0, 0)));
    let repair = leader.request_to(1);
    leader.reply(1, &repair, success(2));
    leader.reply(1, &heartbeat, refusal(2, (0, 0)));
    assert_eq!((leader.state.peers[1].match_index, leader.state.peers[1].next_index), (2, 3));
}

/// §5.1, "servers retry RPCs", to a follower that is away: at the pace of heartbeats, however
/// many entries it lacks.
#[test]
fn an_unanswered_append_entries_is_repeated_at_the_heartbeats_pace() {
    let mut leader = Server::boot(0, 3).elected();
    let heartbeat = leader.request_to(1);
    leader.no_reply(1, &heartbeat);
    leader.start("x");
    assert_eq!(leader.turn(1), Turn::WaitUntil(leader.now + HEARTBEAT_INTERVAL));
    leader.wait(HEARTBEAT_INTERVAL);
    assert_eq!(leader.append_entries_to(1).entries.len(), 1);
}

/// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] ≥ N …: set
/// commitIndex = N (§5.3)". The leader itself counts.
#[test]
fn an_entry_on_a_majority_is_committed() {
    let mut leader = Server::boot(0, 5).elected();
    leader.start("x");
    let requests = [1, 2].map(|peer| leader.request_to(peer));
    leader.reply(1, &requests[0], success(1));
    assert_eq!(leader.state.commit_index, 0, "two of five");
    leader.reply(2, &requests[1], success(1));
    assert_eq!(leader.state.commit_index, 1, "three of five");
}

/// "… and log[N].term == currentTerm … (§5.4)": "only log entries from the leader's current
/// term are committed by counting replicas"; the older ones "are committed indirectly"
/// (§5.4.2). See `figure8` for why.
#[test]
fn an_entry_of_an_older_term_is_not_committed_by_counting() {
    let mut leader = Server::boot(0, 3).with_log(&[1, 1]).elected();
    let heartbeat = leader.request_to(1);
    leader.reply(1, &heartbeat, success(2));
    assert_eq!((leader.state.peers[1].match_index, leader.state.commit_index), (2, 0));
    leader.start("x");
    let request = leader.request_to(1);
    leader.reply(1, &request, success(2));
    assert_eq!(leader.state.commit_index, 3, "with an entry of the leader's own term all before it are safe");
}

/// A reply is for the term of its request: "drop the reply and return" is what a leader
/// must do with one of an earlier term.
#[test]
fn a_reply_of_an_earlier_term_says_nothing() {
    let mut leader = Server::boot(0, 3).elected();
    leader.start("x");
    let earlier = leader.request_to(1);
    // Deposed, its entry overwritten, and elected again.
    leader.append_entries(append(2, (0, 0), &[2], 0));
    let mut leader = leader.elected();
    leader.reply(1, &earlier, success(1));
    assert_eq!((leader.state.peers[1].match_index, leader.state.commit_index), (0, 0));
}

/// A cluster of one elects itself and commits by itself: its majority is one (§5.2, §5.3).
#[test]
fn a_single_server_is_a_majority() {
    let mut server = Server::boot(0, 1);
    server.stand_for_election();
    assert!(server.state.is_leader());
    server.start("x");
    assert_eq!(server.state.commit_index, 1);
}
