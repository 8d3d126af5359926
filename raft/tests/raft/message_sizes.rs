// handout: file guided
//! No message is longer than its bound, whatever a follower lacks: a follower far behind gets
//! many messages, and each of them is a sign of the leader.

use raft::rules::{MAX_MESSAGE_BYTES, MAX_MESSAGE_ENTRIES, Request};

use crate::bare::*;

/// A leader with these commands in its log, and a follower without any, after the leader's
/// first guess.
fn behind_by(commands: impl IntoIterator<Item = String>) -> (Server, Server) {
    let (mut leader, mut follower) = (Server::boot(0, 3).elected(), Server::boot(1, 3));
    leader.exchange(&mut follower);
    commands.into_iter().for_each(|command| _ = leader.start(&command));
    (leader, follower)
}

/// The number of entries and of bytes in each message until the follower has everything. No
/// message waits for a heartbeat.
fn catch_up(leader: &mut Server, follower: &mut Server) -> Vec<(usize, usize)> {
    let mut messages = Vec::new();
    while follower.state.log() != leader.state.log() {
        let (request, _) = leader.exchange(follower);
        let Request::AppendEntries(args) = &request else { panic!("not an AppendEntries: {request:?}") };
        messages.push((args.entries.len(), request.payload()));
    }
    messages
}

#[test]
fn a_message_carries_a_bounded_number_of_entries() {
    let (mut leader, mut follower) = behind_by((0..2 * MAX_MESSAGE_ENTRIES + 1).map(|_| "x".to_owned()));
    let messages = catch_up(&mut leader, &mut follower);
    let full = (MAX_MESSAGE_ENTRIES, MAX_MESSAGE_ENTRIES);
    assert_eq!(messages, [full, full, (1, 1)]);
}

#[test]
fn a_message_carries_a_bounded_number_of_bytes() {
    let third = "x".repeat(MAX_MESSAGE_BYTES / 3);
    let (mut leader, mut follower) = behind_by((0..7).map(|_| third.clone()));
    let messages = catch_up(&mut leader, &mut follower);
    assert_eq!(messages, [3, 3, 1].map(|count| (count, count * third.len())));
}

/// An entry has no bound. One that is too long for any message travels alone.
#[test]
fn a_long_command_travels_alone() {
    let long = "x".repeat(3 * MAX_MESSAGE_BYTES);
    let (mut leader, mut follower) = behind_by(["a".to_owned(), long.clone(), long.clone(), "b".to_owned()]);
    let messages = catch_up(&mut leader, &mut follower);
    assert_eq!(messages, [(1, 1), (1, long.len()), (1, long.len()), (1, 1)]);
}

/// "min(leaderCommit, index of last new entry)" (Figure 2): a part of the entries brings no
/// more of the commit index than it has.
#[test]
fn the_commit_index_follows_the_entries() {
    let (mut leader, mut follower) = behind_by((0..MAX_MESSAGE_ENTRIES + 1).map(|_| "x".to_owned()));
    let mut other = Server::boot(2, 3);
    leader.exchange(&mut other);
    catch_up(&mut leader, &mut other);
    assert_eq!(leader.state.commit_index, MAX_MESSAGE_ENTRIES as u64 + 1);
    leader.exchange(&mut follower);
    assert_eq!(follower.state.commit_index, MAX_MESSAGE_ENTRIES as u64);
}
