// handout: file never
//! The rules of an option: messages that do not wait for the answer to the last one (dissertation §10.2.2).

use labrt::time::Duration;
use raft::rpc::AppendEntriesArgs;
use raft::rules::{HEARTBEAT_INTERVAL, MAX_MESSAGE_BYTES, Request, Turn};

use crate::bare::*;

/// Server 0 of three, a leader that pipelines, and its follower 1, whose log is known to match.
fn leader_and_follower() -> (Server, Server) {
    let mut leader = Server::boot(0, 3);
    leader.state.pipeline();
    let mut leader = leader.elected();
    let mut follower = Server::boot(1, 3);
    leader.start("first");
    leader.exchange(&mut follower);
    assert_eq!(leader.state.peers[1].match_index, 1);
    (leader, follower)
}

/// Two messages that are under way: the second goes ahead of the answer to the first.
fn two_under_way(leader: &mut Server) -> (AppendEntriesArgs, AppendEntriesArgs) {
    leader.start("second");
    let second = leader.append_entries_to(1);
    leader.start("third");
    (second, leader.ahead(1).expect("the stream is open"))
}

/// The indices of the entries that a message carries.
fn indices(args: &AppendEntriesArgs) -> Vec<u64> {
    (1..=args.entries.len() as u64).map(|position| args.prev_log_index + position).collect()
}

/// Brings a message to the follower, and the answer back to the leader.
fn deliver(leader: &mut Server, follower: &mut Server, args: AppendEntriesArgs) {
    let (request, sent) = (Request::AppendEntries(args), leader.now);
    let reply = follower.handle(&request);
    leader.reply_to(1, &request, sent, reply);
}

#[test]
fn a_new_entry_does_not_wait_for_an_answer() {
    let (mut leader, mut follower) = leader_and_follower();
    let (second, third) = two_under_way(&mut leader);
    assert_eq!((indices(&second), indices(&third)), (vec![2], vec![3]));
    assert_eq!(leader.ahead(1), None, "nothing is left to send");
    deliver(&mut leader, &mut follower, second);
    deliver(&mut leader, &mut follower, third);
    assert_eq!((leader.state.commit_index, follower.state.log()), (3, leader.state.log()));
}

/// Without the option it waits.
#[test]
fn a_leader_of_the_paper_waits() {
    let mut leader = Server::boot(0, 3).elected();
    let mut follower = Server::boot(1, 3);
    leader.start("first");
    leader.exchange(&mut follower);
    leader.start("second");
    assert_eq!(indices(&leader.append_entries_to(1)), [2]);
    leader.start("third");
    assert_eq!(leader.ahead(1), None);
}

/// Where the logs agree is not known yet, so nothing goes ahead of the answer.
#[test]
fn a_new_leader_guesses_one_message_at_a_time() {
    let mut leader = Server::boot(0, 3).with_log(&[1, 1]);
    leader.state.pipeline();
    let mut leader = leader.elected();
    leader.start("third");
    let guess = leader.append_entries_to(1);
    assert_eq!(indices(&guess), [3]);
    leader.start("fourth");
    assert_eq!(leader.ahead(1), None);
}

/// The follower lacks what the overtaken message brings. It refuses, and gets everything again.
#[test]
fn a_message_that_overtakes_another_is_refused_and_comes_again() {
    let (mut leader, mut follower) = leader_and_follower();
    let (second, third) = two_under_way(&mut leader);
    deliver(&mut leader, &mut follower, third);
    assert_eq!((leader.state.peers[1].match_index, follower.state.log().last_index()), (1, 1));
    let again = leader.ahead(1).expect("the stream is still open");
    assert_eq!(indices(&again), [2, 3]);
    deliver(&mut leader, &mut follower, second);
    deliver(&mut leader, &mut follower, again);
    assert_eq!((leader.state.peers[1].match_index, follower.state.log()), (3, leader.state.log()));
}

/// Two messages meet the same gap. The leader sends again what the gap lacks, and only once.
#[test]
fn of_two_refusals_the_first_counts() {
    let (mut leader, mut follower) = leader_and_follower();
    let (_, third) = two_under_way(&mut leader);
    leader.start("fourth");
    let fourth = leader.ahead(1).expect("the stream is open");
    let (sent, mut again) = (leader.now, Vec::new());
    for args in [fourth, third] {
        leader.wait(Duration::from_millis(1));
        let request = Request::AppendEntries(args);
        let reply = follower.handle(&request);
        leader.reply_to(1, &request, sent, reply);
        again.extend(leader.ahead(1).map(|args| indices(&args)));
    }
    assert_eq!(again, [[2, 3, 4]], "the second refusal changed nothing");
}

/// A call without an answer says nothing about what was sent behind it, so that goes out again, too.
#[test]
fn after_a_lost_message_the_leader_goes_on_from_what_is_confirmed() {
    let (mut leader, mut follower) = leader_and_follower();
    let (second, _) = two_under_way(&mut leader);
    leader.no_reply(1, &Request::AppendEntries(second));
    assert_eq!(leader.ahead(1), None);
    assert!(matches!(leader.turn(1), Turn::WaitUntil(_)), "the follower seems to be away");
    leader.wait(HEARTBEAT_INTERVAL);
    let again = leader.append_entries_to(1);
    assert_eq!(indices(&again), [2, 3]);
    deliver(&mut leader, &mut follower, again);
    assert_eq!(follower.state.log(), leader.state.log());
}

/// What became of a message from before the present stream does not end it.
#[test]
fn an_old_answer_does_not_end_a_new_stream() {
    let (mut leader, mut follower) = leader_and_follower();
    leader.start("second");
    let (second, then) = (Request::AppendEntries(leader.append_entries_to(1)), leader.now);
    leader.no_reply(1, &second);
    leader.wait(HEARTBEAT_INTERVAL);
    leader.exchange(&mut follower);
    leader.start("third");
    let third = leader.ahead(1).expect("the stream is open again");
    leader.state.handle_reply(1, &second, then, None, leader.now);
    assert_eq!(leader.state.peers[1].next_index, 4);
    deliver(&mut leader, &mut follower, third);
    assert_eq!(follower.state.log(), leader.state.log());
}

/// What goes ahead fits into one message together with what is not confirmed.
#[test]
fn a_slow_follower_is_not_flooded() {
    let (mut leader, _) = leader_and_follower();
    let half = "x".repeat(MAX_MESSAGE_BYTES / 2);
    leader.start(&half);
    leader.append_entries_to(1);
    leader.start(&half);
    assert_eq!(leader.ahead(1).map(|args| indices(&args)), Some(vec![3]));
    leader.start("no room");
    assert_eq!(leader.ahead(1), None);
}

/// The leader has discarded entries that the follower may lack.
#[test]
fn nothing_goes_ahead_of_a_snapshot() {
    let (mut leader, mut follower) = leader_and_follower();
    leader.start("second");
    leader.append_entries_to(1);
    leader.start("third");
    let mut other = Server::boot(2, 3);
    leader.exchange(&mut other);
    assert_eq!(leader.state.commit_index, 3);
    leader.applied();
    leader.snapshot(3, "three entries, of which the follower was sent two");
    leader.start("fourth");
    leader.start("fifth");
    assert_eq!(leader.ahead(1), None);
    leader.wait(HEARTBEAT_INTERVAL);
    leader.repair(&mut follower, |_, _| ());
}

/// A deposed leader sends nothing.
#[test]
fn a_stream_ends_with_the_term() {
    let (mut leader, _) = leader_and_follower();
    leader.start("second");
    leader.request_vote(ask(2, 1, (9, 1)));
    assert_eq!(leader.ahead(1), None);
    let mut leader = leader.elected();
    leader.start("third");
    assert_eq!(leader.ahead(1), None, "a new term begins with a guess");
}
