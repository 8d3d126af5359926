// handout: file guided
//! Figure 7 of the paper, played: a new leader finds six followers whose logs differ from
//! its own in every way in which logs can, and repairs them one by one.
//!
//! Each test ends with the messages in both directions, as text: read them beside the
//! figure.

use raft::rpc::*;
use raft::rules::{HEARTBEAT_INTERVAL, Reply, Request};

use crate::bare::*;

/// The followers (a) to (f) of the figure, with the terms of their entries, from index 1.
const FOLLOWERS: [(char, &[u64]); 6] = [
    ('a', &[1, 1, 1, 4, 4, 5, 5, 6, 6]),
    ('b', &[1, 1, 1, 4]),
    ('c', &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
    ('d', &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
    ('e', &[1, 1, 1, 4, 4, 4, 4]),
    ('f', &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
];

/// The log of "the leader at the top".
const LEADER: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];

/// The servers of the figure: the leader to be is server 0, (a) to (f) are 1 to 6. Server
/// (d), who led term 7, had the leader's vote.
fn figure_7() -> (Server, Vec<Server>) {
    let mut leader = Server::boot(0, 7).with_log(LEADER);
    assert!(leader.request_vote(ask(7, 4, (10, 6))).vote_granted);
    let follower =
        |(number, (_, terms)): (usize, (char, &[u64]))| Server::boot(number + 1, 7).with_log(terms);
    (leader, FOLLOWERS.into_iter().enumerate().map(follower).collect())
}

/// The leader of term 8 is elected, as in the figure, and a client gives it a first
/// command.
fn leader_of_term_8(leader: &mut Server, followers: &mut [Server]) {
    leader.stand_for_election();
    for follower in followers.iter_mut() {
        // Once it has a majority it asks no more.
        if !leader.state.is_leader() {
            leader.exchange(follower);
        }
    }
    assert!(leader.state.is_leader());
    assert_eq!(leader.state.term(), 8);
}

/// "When the leader at the top comes to power": which servers elect it? (c) has a longer log and (d)
/// a later term, so they refuse; the other five are a majority of seven.
#[test]
fn who_votes_for_the_leader_of_term_8() {
    let (mut leader, mut followers) = figure_7();
    leader.stand_for_election();
    let votes: String = FOLLOWERS
        .iter()
        .zip(&mut followers)
        .filter_map(|((name, _), server)| {
            server.request_vote(ask(8, 0, (10, 6))).vote_granted.then_some(name)
        })
        .collect();
    assert_eq!(votes, "abef");
}

/// "It is possible that any of scenarios (a–f) could occur in follower logs": the consistency
/// check finds each of them, and the leader repairs it. A heartbeat is on its way when the
/// client's command comes, so the first message carries no entries.
#[test]
fn the_leader_repairs_every_follower() {
    let (mut leader, mut followers) = figure_7();
    leader_of_term_8(&mut leader, &mut followers);
    let mut story = String::new();
    for ((name, _), follower) in FOLLOWERS.iter().zip(&mut followers) {
        story += &format!("({name}) has {}\n", runs(&follower.terms()));
        let (request, reply) = leader.exchange(follower);
        story += &line(&request, &reply);
    }
    assert_eq!(story, FIRST_HEARTBEAT);

    leader.start("the first command of term 8");
    let mut story = String::new();
    for ((name, _), follower) in FOLLOWERS.iter().zip(&mut followers) {
        story += &format!("({name})\n");
        leader.repair(follower, |request, reply| story += &line(request, reply));
        story += &format!("    has {}; committed {}\n", runs(&follower.terms()), leader.state.commit_index);
    }
    assert_eq!(story, REPAIR);

    // The followers learn from the next heartbeat what is committed.
    leader.wait(HEARTBEAT_INTERVAL);
    for follower in &mut followers {
        leader.exchange(follower);
        assert_eq!((follower.terms(), follower.state.commit_index), (leader.terms(), 11));
    }
}

/// The heartbeat that announces the leader: three followers have its last entry, whatever
/// they have behind it. A follower removes an entry only when another takes its place, so (c)
/// and (d) keep theirs.
const FIRST_HEARTBEAT: &str = "\
(a) has 1x3 4x2 5x2 6x2
    behind index 10 of term 6? no, perhaps behind index 9 of term 6
(b) has 1x3 4x1
    behind index 10 of term 6? no, perhaps behind index 4 of term 4
(c) has 1x3 4x2 5x2 6x4
    behind index 10 of term 6? yes
(d) has 1x3 4x2 5x2 6x3 7x2
    behind index 10 of term 6? yes
(e) has 1x3 4x4
    behind index 10 of term 6? no, perhaps behind index 7 of term 4
(f) has 1x3 2x3 3x5
    behind index 10 of term 6? no, perhaps behind index 9 of term 3
";

/// The repair, follower by follower. Each refusal led the leader to the right place at
/// once: nothing of (e)'s log is newer than term 4, which in the leader's own log ends at
/// index 5; and what (f) has is of term 3 at the most, while the leader has nothing between
/// terms 1 and 4. With (c) the new entry is on four of seven servers.
const REPAIR: &str = "\
(a)
    behind index 9 of term 6, then 6x1 8x1? yes
    has 1x3 4x2 5x2 6x3 8x1; committed 0
(b)
    behind index 4 of term 4, then 4x1 5x2 6x3 8x1? yes
    has 1x3 4x2 5x2 6x3 8x1; committed 0
(c)
    behind index 10 of term 6, then 8x1? yes
    has 1x3 4x2 5x2 6x3 8x1; committed 11
(d)
    behind index 10 of term 6, then 8x1? yes
    has 1x3 4x2 5x2 6x3 8x1; committed 11
(e)
    behind index 5 of term 4, then 5x2 6x3 8x1? yes
    has 1x3 4x2 5x2 6x3 8x1; committed 11
(f)
    behind index 3 of term 1, then 4x2 5x2 6x3 8x1? yes
    has 1x3 4x2 5x2 6x3 8x1; committed 11
";

/// A log as the figure draws it: `1x3 4x2` for three entries of term 1 and two of term 4.
fn runs(terms: &[u64]) -> String {
    let run = |run: &[u64]| format!("{}x{}", run[0], run.len());
    terms.chunk_by(|a, b| a == b).map(run).collect::<Vec<_>>().join(" ")
}

/// One exchange as a line.
fn line(request: &Request, reply: &Reply) -> String {
    let (Request::AppendEntries(args), Reply::AppendEntries(reply)) = (request, reply) else {
        panic!("{request:?} has no part in Figure 7");
    };
    let terms: Vec<u64> = args.entries.iter().map(|entry| entry.term).collect();
    let AppendEntriesReply { success, conflict_term, conflict_index, .. } = reply;
    let answer = match success {
        true => "yes".to_owned(),
        false => format!("no, perhaps behind index {conflict_index} of term {conflict_term}"),
    };
    let sent = if terms.is_empty() { String::new() } else { format!(", then {}", runs(&terms)) };
    format!("    behind index {} of term {}{sent}? {answer}\n", args.prev_log_index, args.prev_log_term)
}
