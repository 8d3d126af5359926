// handout: file guided
//! Figure 2 of the paper, a test for each sentence: read the figure beside this file. The box
//! "Rules for Servers" is in `figure2_servers.rs`.
//!
//! Section numbers are those of the extended version of the paper. Server 0 is the one under
//! test, in a cluster of three; each test plays servers 1 and 2.

use raft::rules::Role;

use crate::bare::*;

// ---- State

/// "Persistent state on all servers: updated on stable storage before responding to RPCs."
/// The vote, with its term.
#[test]
fn a_vote_is_on_the_disk_before_the_reply() {
    let mut server = Server::boot(0, 3);
    assert!(server.request_vote(ask(4, 1, (0, 0))).vote_granted);
    let mut later = server.reboot();
    assert_eq!((later.state.term(), later.state.voted_for()), (4, Some(1)));
    assert!(!later.request_vote(ask(4, 2, (0, 0))).vote_granted, "a crash must not give a second vote");
}

/// The same for a term alone: after a crash the server must not follow a leader that it has
/// seen deposed.
#[test]
fn a_term_is_on_the_disk_before_the_reply() {
    let mut server = Server::boot(0, 3).with_log(&[3]);
    assert!(!server.request_vote(ask(7, 1, (0, 0))).vote_granted);
    assert_eq!(server.reboot().state.term(), 7);
}

/// The same for the log: an entry may have been committed because of the acknowledgement.
#[test]
fn entries_are_on_the_disk_before_the_reply() {
    let mut server = Server::boot(0, 3).with_log(&[1, 1, 2]);
    assert!(server.append_entries(append(3, (2, 1), &[3, 3], 0)).success);
    let later = server.reboot();
    assert_eq!(later.terms(), [1, 1, 3, 3]);
    assert_eq!(later.state.log(), server.state.log());
}

/// And for a server's own steps: a candidacy is a vote, a command is an entry.
#[test]
fn a_candidacy_and_a_command_are_on_the_disk_at_once() {
    let mut leader = Server::boot(0, 3).elected();
    leader.start("x");
    let later = leader.reboot();
    assert_eq!((later.state.term(), later.state.voted_for()), (1, Some(0)));
    assert_eq!(later.terms(), [1]);
}

/// "currentTerm … initialized to 0 on first boot"; "votedFor … or null if none"; "log[] …
/// first index is 1"; "commitIndex … lastApplied … initialized to 0".
#[test]
fn the_first_boot() {
    let server = Server::boot(0, 3);
    assert_eq!((server.state.term(), server.state.voted_for()), (0, None));
    assert_eq!(server.state.log().last_index(), 0, "the first entry will have index 1");
    assert_eq!((server.state.commit_index, server.state.last_applied), (0, 0));
    assert_eq!(server.state.role, Role::Follower, "when servers start up, they begin as followers (§5.2)");
}

/// "Volatile state on leaders (reinitialized after election): nextIndex … initialized to
/// leader last log index + 1; matchIndex … initialized to 0".
#[test]
fn a_new_leader_knows_nothing_of_its_followers() {
    let mut leader = Server::boot(0, 3).with_log(&[1, 1]).elected();
    leader.start("x");
    let request = leader.request_to(1);
    leader.reply(1, &request, success(2));
    assert_eq!((leader.state.peers[1].next_index, leader.state.peers[1].match_index), (4, 3));
    // Deposed, and elected again.
    leader.append_entries(append(3, (3, 2), &[3], 0));
    let leader = leader.elected();
    for peer in [1, 2] {
        assert_eq!((leader.state.peers[peer].next_index, leader.state.peers[peer].match_index), (5, 0));
    }
}

// ---- AppendEntries RPC

/// "term: currentTerm, for leader to update itself".
#[test]
fn an_append_entries_reply_carries_the_newer_term() {
    let mut server = Server::boot(0, 3).in_term(2);
    assert_eq!(server.append_entries(append(1, (0, 0), &[], 0)).term, 2);
    assert_eq!(server.append_entries(append(5, (0, 0), &[], 0)).term, 5);
}

/// Receiver 1: "Reply false if term < currentTerm (§5.1)". Nothing else happens: no entry, no
/// commit, and the election timer does not restart.
#[test]
fn append_entries_1_an_older_term_is_refused() {
    let mut server = Server::boot(0, 3).with_log(&[1, 2]);
    server.wait(ELECTION_TIMEOUT);
    assert!(!server.append_entries(append(1, (1, 1), &[1], 2)).success);
    assert_eq!((server.terms(), server.state.commit_index), (vec![1, 2], 0));
    assert!(server.is_due(), "a deposed leader does not restart the timer");
}

/// Receiver 2: "Reply false if log doesn't contain an entry at prevLogIndex whose term
/// matches prevLogTerm (§5.3)". Here the log is too short; the refusal says where it ends.
#[test]
fn append_entries_2_a_gap_is_refused() {
    let mut server = Server::boot(0, 3).with_log(&[1, 2]);
    let reply = server.append_entries(append(3, (4, 3), &[3], 5));
    assert!(!reply.success);
    assert_eq!((reply.conflict_index, reply.conflict_term), (2, 2));
    assert_eq!((server.terms(), server.state.commit_index), (vec![1, 2], 0));
}

/// Receiver 2, with another entry at prevLogIndex. The refusal helps the leader "to bypass
/// all of the conflicting entries in that term" (§5.3): it steps over entries that are newer
/// than any that the leader can have there.
#[test]
fn append_entries_2_a_conflict_is_refused() {
    for (prev_log_term, may_agree) in [(4, (3, 2)), (2, (3, 2)), (1, (1, 1))] {
        let mut server = Server::boot(0, 3).with_log(&[1, 2, 2, 3]);
        let reply = server.append_entries(append(4, (4, prev_log_term), &[4], 5));
        assert!(!reply.success);
        assert_eq!((reply.conflict_index, reply.conflict_term), may_agree, "for term {prev_log_term}");
        assert_eq!((server.terms(), server.state.commit_index), (vec![1, 2, 2, 3], 0));
    }
}

/// Receiver 2 holds for heartbeats as well: they are AppendEntries without entries, and only
/// the check makes `leader_commit` apply to our entries.
#[test]
fn append_entries_2_holds_for_heartbeats() {
    let mut server = Server::boot(0, 3).with_log(&[1, 2, 2]);
    assert!(!server.append_entries(append(3, (3, 3), &[], 3)).success);
    assert_eq!(server.state.commit_index, 0);
}

/// Receiver 3: "If an existing entry conflicts with a new one (same index but different
/// terms), delete the existing entry and all that follow it (§5.3)".
#[test]
fn append_entries_3_conflicting_entries_are_deleted() {
    let mut server = Server::boot(0, 3).with_log(&[1, 1, 2, 2, 2]);
    assert!(server.append_entries(append(3, (1, 1), &[1, 3], 0)).success);
    assert_eq!(server.terms(), [1, 1, 3]);
}

/// Receiver 3, the "if": a message that a later one has overtaken holds fewer entries than the
/// log, and none that conflicts. The leader may have counted this follower for the other
/// entries already.
#[test]
fn append_entries_3_an_overtaken_message_deletes_nothing() {
    let mut server = Server::boot(0, 3).with_log(&[1]);
    let earlier = append(2, (1, 1), &[2], 0);
    assert!(server.append_entries(append(2, (1, 1), &[2, 2, 2], 0)).success);
    assert!(server.append_entries(earlier).success);
    assert_eq!(server.terms(), [1, 2, 2, 2]);
    assert!(server.append_entries(append(2, (0, 0), &[], 0)).success, "nor does a heartbeat");
    assert_eq!(server.terms(), [1, 2, 2, 2]);
}

/// Receiver 4: "Append any new entries not already in the log".
#[test]
fn append_entries_4_only_missing_entries_are_appended() {
    let mut server = Server::boot(0, 3).with_log(&[1, 1]);
    let request = append(2, (1, 1), &[1, 2, 2], 0);
    for _ in 0..2 {
        assert!(server.append_entries(request.clone()).success, "a second delivery changes nothing");
        assert_eq!(server.terms(), [1, 1, 2, 2]);
    }
    assert_eq!(server.state.log().suffix(2), entries(2, &[1, 2, 2]));
}

/// Receiver 5: "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of
/// last new entry)".
#[test]
fn append_entries_5_the_commit_index_follows_the_leader() {
    let mut server = Server::boot(0, 3).with_log(&[1, 1, 1]);
    server.append_entries(append(1, (3, 1), &[], 2));
    assert_eq!(server.state.commit_index, 2);
    server.append_entries(append(1, (3, 1), &[], 1));
    assert_eq!(server.state.commit_index, 2, "a late message does not lower the commit index");
}

/// Receiver 5, the "min": the log may go on with entries that the leader does not have.
#[test]
fn append_entries_5_not_beyond_the_last_new_entry() {
    let mut server = Server::boot(0, 3).with_log(&[1, 1, 1, 1]);
    server.append_entries(append(2, (1, 1), &[1], 4));
    assert_eq!(server.state.commit_index, 2, "entries 3 and 4 are not known to be the leader's");
}

// ---- RequestVote RPC

/// "term: currentTerm, for candidate to update itself".
#[test]
fn a_request_vote_reply_carries_the_newer_term() {
    let mut server = Server::boot(0, 3).in_term(2);
    assert_eq!(server.request_vote(ask(1, 1, (0, 0))).term, 2);
    assert_eq!(server.request_vote(ask(5, 1, (0, 0))).term, 5);
}

/// Receiver 1: "Reply false if term < currentTerm (§5.1)".
#[test]
fn request_vote_1_an_older_term_is_refused() {
    let mut server = Server::boot(0, 3).in_term(2);
    assert!(!server.request_vote(ask(1, 1, (9, 1))).vote_granted);
    assert_eq!(server.state.voted_for(), None);
}

/// Receiver 2: "If votedFor is null or candidateId …": one vote a term, first come first
/// served (§5.2).
#[test]
fn request_vote_2_one_vote_a_term() {
    let mut server = Server::boot(0, 3);
    assert!(server.request_vote(ask(1, 1, (0, 0))).vote_granted);
    assert!(!server.request_vote(ask(1, 2, (0, 0))).vote_granted);
    assert!(server.request_vote(ask(1, 1, (0, 0))).vote_granted, "the first reply may have been lost");
    assert!(server.request_vote(ask(2, 2, (0, 0))).vote_granted, "a new term, a new vote");
}

/// Receiver 2: "… and candidate's log is at least as up-to-date as receiver's log, grant
/// vote (§5.2, §5.4)". "If the logs have last entries with different terms, then the log
/// with the later term is more up-to-date. If the logs end with the same term, then
/// whichever log is longer is more up-to-date" (§5.4.1).
#[test]
fn request_vote_2_only_for_a_log_as_up_to_date() {
    let cases =
        [((3, 2), true), ((4, 2), true), ((1, 3), true), ((2, 2), false), ((9, 1), false), ((0, 0), false)];
    for (last, granted) in cases {
        let mut server = Server::boot(0, 3).with_log(&[1, 2, 2]);
        let reply = server.request_vote(ask(5, 1, last));
        assert_eq!(reply.vote_granted, granted, "a candidate whose log ends with {last:?} (index, term)");
        assert_eq!(server.state.voted_for(), granted.then_some(1), "a server that refuses keeps its vote");
    }
}
