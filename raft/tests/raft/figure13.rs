// handout: file guided
//! Figure 13 of the paper, InstallSnapshot: a test for each sentence, and what §7 says about
//! the server's own snapshots.

use raft::ApplyMsg;
use raft::rpc::InstallSnapshotReply;
use raft::rules::{MAX_MESSAGE_BYTES, Request, Role, Turn};

use crate::bare::*;

/// A server that has committed and applied the first `count` entries of its log.
fn with_applied(terms: &[u64], count: u64) -> Server {
    let mut server = Server::boot(0, 3).with_log(terms);
    let term = server.state.term();
    server.append_entries(append(term, (count, terms[count as usize - 1]), &[], count));
    assert_eq!(server.applied().len() as u64, count);
    server
}

/// The snapshot that the service gets, if it gets one.
fn delivered(server: &mut Server) -> Option<(u64, u64, Vec<u8>)> {
    match server.applied().pop() {
        Some(ApplyMsg::Snapshot { index, term, snapshot }) => Some((index, term, snapshot)),
        _ => None,
    }
}

/// Receiver 1: "Reply immediately if term < currentTerm".
#[test]
fn install_snapshot_1_an_older_term_is_refused() {
    let mut server = with_applied(&[1, 3], 1);
    server.wait(ELECTION_TIMEOUT);
    let reply = server.install_snapshot(install(2, (5, 2), "old"));
    assert_eq!(reply.term, 3);
    assert_eq!((server.terms(), delivered(&mut server)), (vec![1, 3], None));
    assert!(server.is_due(), "a deposed leader does not restart the timer");
}

/// A leader's snapshot shows as well as its entries that it is alive.
#[test]
fn a_leaders_snapshot_makes_a_follower_and_restarts_the_election_timer() {
    let mut server = Server::boot(0, 3);
    server.stand_for_election();
    server.wait(ELECTION_TIMEOUT);
    assert_eq!(server.install_snapshot(install(1, (5, 1), "new")).term, 1);
    assert_eq!(server.state.role, Role::Follower);
    assert!(!server.is_due());
}

/// Receiver 2 to 4: "Create new snapshot file if first chunk (offset is 0)", "Write data into
/// snapshot file at given offset", "Reply and wait for more data chunks if done is false".
#[test]
fn install_snapshot_2_to_4_chunks_become_a_snapshot() {
    let mut server = Server::boot(0, 3);
    for (offset, next_offset) in [(0, Some(4)), (4, Some(8)), (8, None)] {
        assert_eq!(delivered(&mut server), None);
        let reply = server.install_snapshot(chunk(1, (5, 1), "0123456789", offset, 4));
        assert_eq!(reply, InstallSnapshotReply { term: 1, next_offset });
    }
    assert_eq!(delivered(&mut server), Some((5, 1, "0123456789".into())));
}

/// "At given offset": a chunk that comes twice is written once, one that leaves a gap is not
/// written, and the reply says where the next one has to start.
#[test]
fn install_snapshot_3_chunks_join_on() {
    let mut server = Server::boot(0, 3);
    for (offset, next_offset) in [(4, 0), (0, 4), (0, 4), (8, 4), (4, 8), (0, 8)] {
        let reply = server.install_snapshot(chunk(1, (5, 1), "0123456789", offset, 4));
        assert_eq!(reply.next_offset, Some(next_offset), "after the chunk at {offset}");
    }
    assert_eq!(server.install_snapshot(chunk(1, (5, 1), "0123456789", 8, 4)).next_offset, None);
    assert_eq!(delivered(&mut server), Some((5, 1, "0123456789".into())));
    // The last chunk once more, late: the follower has everything.
    assert_eq!(server.install_snapshot(chunk(1, (5, 1), "0123456789", 8, 4)).next_offset, None);
    assert_eq!(delivered(&mut server), None);
}

/// A restart loses the chunks, and the leader learns it.
#[test]
fn chunks_do_not_outlive_a_crash() {
    let mut server = Server::boot(0, 3);
    server.install_snapshot(chunk(1, (5, 1), "0123456789", 0, 4));
    let mut server = server.reboot();
    assert_eq!(server.install_snapshot(chunk(1, (5, 1), "0123456789", 4, 4)).next_offset, Some(0));
}

/// Receiver 5, "discard any … partial snapshot with a smaller index". The chunks of two
/// snapshots never mix, nor those of two leaders, who may encode the same state differently.
#[test]
fn install_snapshot_5_a_partial_snapshot_is_discarded_for_a_newer_one() {
    let mut server = Server::boot(0, 3);
    server.install_snapshot(chunk(1, (5, 1), "old old old", 0, 4));
    assert_eq!(server.install_snapshot(chunk(1, (7, 1), "newer", 4, 4)).next_offset, Some(0));
    server.install_snapshot(chunk(1, (7, 1), "newer", 0, 4));
    // A chunk of the old one that was late.
    server.install_snapshot(chunk(1, (5, 1), "old old old", 4, 4));
    assert_eq!(server.install_snapshot(chunk(2, (7, 1), "other", 4, 4)).next_offset, Some(0));
    server.install_snapshot(chunk(2, (7, 1), "other", 0, 4));
    server.install_snapshot(chunk(2, (7, 1), "other", 4, 4));
    assert_eq!(delivered(&mut server), Some((7, 1, "other".into())));
}

/// The leader's side: "Send next chunk … always … in order", one message after the other.
#[test]
fn the_leader_sends_a_large_snapshot_in_chunks() {
    let state = "x".repeat(2 * MAX_MESSAGE_BYTES + 1);
    let (mut leader, mut follower) = (leader_with_snapshot(&state), Server::boot(1, 3));
    leader.exchange(&mut follower);
    let mut sizes = Vec::new();
    while follower.state.log().last_included_index() == 0 {
        // No chunk waits for the heartbeat.
        let (request, _) = leader.exchange(&mut follower);
        sizes.push(request.payload());
    }
    assert_eq!(sizes, [MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES, 1]);
    assert_eq!(delivered(&mut follower).map(|(_, _, snapshot)| snapshot), Some(state.into_bytes()));
    leader.exchange(&mut follower);
    assert_eq!(follower.state.log(), leader.state.log());
}

/// A lost chunk is sent again, and nothing before it. Until some answer comes, the leader sends
/// chunks without bytes: the chunk may still be on its way, over a slow link.
#[test]
fn a_lost_chunk_costs_only_itself() {
    let state = "x".repeat(2 * MAX_MESSAGE_BYTES);
    let (mut leader, mut follower) = (leader_with_snapshot(&state), Server::boot(1, 3));
    leader.exchange(&mut follower);
    leader.exchange(&mut follower);
    let lost = leader.request_to(1);
    leader.no_reply(1, &lost);
    leader.wait(ELECTION_TIMEOUT);
    let (probe, _) = leader.exchange(&mut follower);
    assert_eq!(probe.payload(), 0);
    assert_eq!(leader.request_to(1), lost);
    // A follower that has lost everything gets everything again, after a pause.
    follower = follower.reboot();
    let reply = follower.handle(&lost);
    leader.reply(1, &lost, reply);
    assert!(matches!(leader.turn(1), Turn::WaitUntil(_)));
    leader.wait(ELECTION_TIMEOUT);
    let Request::InstallSnapshot(args) = leader.request_to(1) else { panic!("not a snapshot") };
    assert_eq!(args.offset, 0);
}

/// The service may make snapshots faster than a slow follower can take them: the leader goes
/// on with the one that it has begun to send.
#[test]
fn a_newer_snapshot_does_not_interrupt_the_one_on_its_way() {
    let state = "x".repeat(2 * MAX_MESSAGE_BYTES);
    let (mut leader, mut follower) = (leader_with_snapshot(&state), Server::boot(1, 3));
    let mut voter = Server::boot(2, 3).with_log(&[1, 1, 1, 1]);
    leader.exchange(&mut follower);
    leader.exchange(&mut follower);
    leader.start("five");
    leader.exchange(&mut voter);
    assert_eq!(leader.applied().len(), 2);
    leader.snapshot(5, "newer");
    leader.exchange(&mut follower);
    assert_eq!(delivered(&mut follower).map(|(index, _, _)| index), Some(3));
    // The next one begins with the newest.
    leader.exchange(&mut follower);
    assert_eq!(delivered(&mut follower), Some((5, 2, "newer".into())));
}

/// A leader whose snapshot reaches to index 3 of 4.
fn leader_with_snapshot(state: &str) -> Server {
    let mut server = with_applied(&[1, 1, 1, 1], 3);
    server.snapshot(3, state);
    server.elected()
}

/// Receiver 5: "Save snapshot file, discard any existing or partial snapshot with a smaller
/// index".
#[test]
fn install_snapshot_5_the_newer_snapshot_replaces_the_older() {
    let mut server = with_applied(&[1, 1, 1], 2);
    server.snapshot(1, "own");
    server.install_snapshot(install(2, (9, 2), "leader's"));
    assert_eq!(delivered(&mut server), Some((9, 2, "leader's".into())));
    let mut later = server.reboot();
    assert_eq!((later.state.log().last_included_index(), later.state.log().last_included_term()), (9, 2));
    assert_eq!(later.state.last_applied, 9, "the service loads the snapshot itself when it boots");
    assert_eq!(delivered(&mut later), None);
}

/// The same sentence, the other way round: a message that was delayed brings a snapshot of a
/// state that the service has left behind. Going back to it would undo commands.
#[test]
fn install_snapshot_5_an_older_snapshot_changes_nothing() {
    let mut server = with_applied(&[1, 1, 1, 1], 3);
    server.install_snapshot(install(1, (2, 1), "older"));
    assert_eq!((server.terms(), delivered(&mut server)), (vec![1, 1, 1, 1], None));
    server.snapshot(3, "own");
    server.install_snapshot(install(1, (2, 1), "older"));
    assert_eq!((server.state.log().last_included_index(), delivered(&mut server)), (3, None));
}

/// Receiver 6: "If existing log entry has same index and term as snapshot's last included
/// entry, retain log entries following it and reply".
#[test]
fn install_snapshot_6_the_suffix_of_the_same_log_is_retained() {
    let mut server = with_applied(&[1, 1, 2, 2, 2], 1);
    server.install_snapshot(install(2, (3, 2), "new"));
    assert_eq!(server.state.log().suffix(4), entries(4, &[2, 2]));
    assert_eq!(server.reboot().state.log(), server.state.log());
}

/// Receiver 7: "Discard the entire log".
#[test]
fn install_snapshot_7_any_other_log_is_discarded() {
    let mut server = with_applied(&[1, 1, 2, 2, 2], 1);
    server.install_snapshot(install(4, (3, 3), "new"));
    assert_eq!((server.state.log().last_index(), server.state.log().last_term()), (3, 3));
    assert_eq!(server.reboot().state.log(), server.state.log());
}

/// Receiver 8: "Reset state machine using snapshot contents". The entries behind it follow, and
/// none before it.
#[test]
fn install_snapshot_8_the_state_machine_goes_on_from_the_snapshot() {
    let mut server = with_applied(&[1, 1, 2], 2);
    server.install_snapshot(install(2, (7, 2), "new"));
    server.append_entries(append(2, (7, 2), &[2], 8));
    assert_eq!(delivered(&mut server), Some((7, 2, "new".into())));
    let next = ApplyMsg::Command { index: 8, term: 2, command: "8 of 2".into() };
    assert_eq!(server.applied(), [next]);
}

/// "The leader … send[s] snapshots to followers that lag behind … when [it] has already
/// discarded the next log entry that it needs to send" (§7), and goes on behind it.
#[test]
fn a_follower_behind_the_logs_beginning_gets_the_snapshot() {
    let mut leader = with_applied(&[1, 1, 1, 1], 3);
    leader.snapshot(3, "own");
    let mut leader = leader.elected();
    let mut follower = Server::boot(1, 3);
    let (request, _) = leader.exchange(&mut follower);
    assert!(matches!(request, Request::AppendEntries(_)), "a first guess");
    let (request, _) = leader.exchange(&mut follower);
    let Request::InstallSnapshot(args) = request else { panic!("not a snapshot: {request:?}") };
    assert_eq!((args.last_included_index, args.last_included_term, &args.data[..]), (3, 1, &b"own"[..]));
    leader.exchange(&mut follower);
    assert_eq!(follower.state.log(), leader.state.log());
    assert_eq!(leader.state.peers[1].match_index, 4);
}

/// The boundary of the last rule: with nextIndex just behind the snapshot the entries
/// suffice, because the term of the last included entry is remembered ("these are preserved
/// to support the AppendEntries consistency check", §7).
#[test]
fn a_follower_at_the_logs_beginning_gets_entries() {
    let mut leader = with_applied(&[1, 1, 1, 1], 3);
    leader.snapshot(3, "own");
    let mut leader = leader.elected();
    let mut follower = Server::boot(1, 3).with_log(&[1, 1, 1]);
    leader.exchange(&mut follower);
    let args = leader.append_entries_to(1);
    assert_eq!((args.prev_log_index, args.prev_log_term, args.entries.len()), (3, 1, 1));
}

/// The receiving side of the boundary: entries that the snapshot holds already are passed
/// over, whatever `prev_log_index` the leader starts from.
#[test]
fn entries_that_the_snapshot_holds_are_passed_over() {
    let mut server = with_applied(&[1, 1, 1, 1], 3);
    server.snapshot(3, "own");
    assert!(server.append_entries(append(1, (1, 1), &[1, 1, 1, 1], 5)).success);
    assert_eq!((server.state.log().last_index(), server.state.commit_index), (5, 5));
    assert!(server.append_entries(append(1, (0, 0), &[1], 0)).success);
    assert_eq!(server.state.log().suffix(4), entries(4, &[1, 1]));
}

/// "Servers take snapshots independently, covering just the committed entries in their
/// logs" (§7): the entries go, their last index and term stay, and what follows is
/// retained.
#[test]
fn a_snapshot_replaces_the_entries_that_it_covers() {
    let mut server = with_applied(&[1, 1, 2, 2], 3);
    server.snapshot(2, "own");
    let log = server.state.log();
    assert_eq!((log.last_included_index(), log.last_included_term(), log.last_index()), (2, 1, 4));
    assert_eq!(log.suffix(1), entries(3, &[2, 2]));
    server.snapshot(1, "older");
    assert_eq!(server.state.log().last_included_index(), 2, "an older snapshot changes nothing");
    let later = server.reboot();
    assert_eq!(later.state.log(), server.state.log());
    assert_eq!((later.state.commit_index, later.state.last_applied), (2, 2));
}

/// The same sentence, "just the committed entries".
#[test]
// Whoever words this assertion in another way writes the new words here.
#[should_panic(expected = "only 1 entries have been applied")]
fn a_snapshot_of_what_was_not_applied_is_a_mistake() {
    with_applied(&[1, 1], 1).snapshot(2, "too much");
}

/// A log that is all snapshot still votes and stands for election by the last included
/// entry (§5.4.1, §7).
#[test]
fn an_empty_log_behind_a_snapshot_is_as_up_to_date_as_the_snapshot() {
    let mut server = with_applied(&[1, 2], 2);
    server.snapshot(2, "own");
    assert!(!server.request_vote(ask(3, 1, (1, 2))).vote_granted);
    assert!(server.request_vote(ask(4, 1, (2, 2))).vote_granted);
    server.stand_for_election();
    assert_eq!(server.request_to(1), Request::RequestVote(ask(5, 0, (2, 2))));
}
