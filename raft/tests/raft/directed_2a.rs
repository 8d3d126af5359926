//! Part 2A, directed: situations of an election that chance brings about too rarely.

use std::time::Duration;

use labrpc::{Direction, Name, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use labrt::time::Instant;
use raft::Raft;
use tester::{Cluster, ELECTION, Setup, Test, run};

use crate::waiting::wait_until;

/// A deposed leader that learns the new term only from replies steps down, too (§5.1: "if a server's current
/// term is smaller than the other's, then it updates").
#[test]
fn deaf_leader_2a() {
    run("deaf_leader_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let first = cluster.check_one_leader();
        let old_term = cluster.get_state(first).map_or(0, |(term, _)| term);

        t.scene("The leader is cut off. The others elect a new one.");
        cluster.disconnect(first);
        cluster.check_one_leader();
        let still = cluster.get_state(first) == Some((old_term, true));
        t.exercised(still, "the leader that was cut off had given up by itself");

        t.scene("It can send again, but receives no requests: only replies tell it of the new term.");
        for other in [1, 2].map(|distance| (first + distance) % 3) {
            cluster.open_link(first, other);
        }
        thread::sleep(ELECTION);
        t.expect(cluster.get_state(first) != Some((old_term, true)), || {
            format!("server {first} still leads term {old_term}, although replies had a later term")
        });

        t.scene("All links are there again.");
        cluster.connect(first);
        cluster.check_one_leader();
    });
}

/// How many elections a candidate has missed in [`outdated_candidate_2a`].
const MISSED: u64 = 6;

/// A candidate of an old term learns the new one from the first refusal (§5.1: "current terms are exchanged
/// whenever servers communicate"; Figure 2, results of RequestVote: "term: currentTerm, for candidate to
/// update itself"). It does not climb there, one election after the other.
#[test]
fn outdated_candidate_2a() {
    run("outdated_candidate_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(7));
        let first = cluster.check_one_leader();
        let candidate = (first + 1) % 7;
        let old_term = cluster.highest_term();

        t.scene("The leader is left with one follower. The other five elect leaders, one after the other.");
        let others: Vec<usize> = (0..7).filter(|&server| server != first && server != candidate).collect();
        cluster.partition(&[&others, &[first, candidate]]);
        for _ in 0..MISSED {
            let term = cluster.highest_term();
            let leader = leader_since(&cluster, &others, old_term);
            cluster.disconnect(leader);
            leader_since(&cluster, &others, term);
            cluster.connect(leader);
        }
        let new_term = cluster.highest_term();

        t.scene("The follower loses its leader. It can ask the others, who say nothing to it but replies.");
        let before = cluster.get_state(candidate).map(|(term, _)| term);
        cluster.disconnect(first);
        cluster.disconnect(candidate);
        others.iter().for_each(|&other| cluster.open_link(candidate, other));
        let term = || cluster.get_state(candidate).map_or(0, |(term, _)| term);
        let stands = wait_until(5 * ELECTION, || term() > before.unwrap_or(old_term));
        t.exercised(before == Some(old_term) && stands, "the follower had heard of a new term");
        thread::sleep(ELECTION / 2);
        // It has no replies unless it asks. Pauses, clocks and slow links of a swarm run may keep them away.
        t.expect(!t.is_ordinary() || !stands || term() >= new_term, || {
            format!("server {candidate} is in term {} still, although replies had term {new_term}", term())
        });
    });
}

/// Waits until one of these servers leads a later term than this, and returns the one of the latest term.
fn leader_since(cluster: &Cluster<Raft>, servers: &[usize], term: u64) -> usize {
    cluster.test().wait_for(5 * ELECTION, "a majority elects a leader", || {
        let state = servers.iter().filter_map(|&server| Some((cluster.get_state(server)?, server)));
        let leaders = state.filter(|&((now, leads), _)| leads && now > term);
        leaders.max().map(|(_, server)| server)
    })
}

/// Two of five servers cannot elect a leader, however often they exchange requests and replies: a vote counts
/// once (§5.2).
#[test]
fn minority_election_2a() {
    run("minority_election_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        let leader = cluster.check_one_leader();

        t.scene("Two servers that do not lead are on their own. Half of all requests arrive twice.");
        cluster.net().network().set_duplication(0.5);
        let [one, other] = [1, 2].map(|distance| (leader + distance) % 5);
        let rest: Vec<usize> = (0..5).filter(|&server| server != one && server != other).collect();
        cluster.partition(&[&[one, other], &rest]);
        let before = cluster.get_state(one).map_or(0, |(term, _)| term);
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(100));
            expect_no_leader(&cluster, &[one, other]);
        }
        let after = cluster.get_state(one).map_or(0, |(term, _)| term);
        t.exercised(after > before, "the two servers never held an election");

        t.scene("The others come back.");
        cluster.net().network().set_duplication(0.0);
        cluster.heal();
        cluster.check_one_leader();
    });
}

fn expect_no_leader(cluster: &Cluster<Raft>, servers: &[usize]) {
    for &server in servers {
        if let Some((term, true)) = cluster.get_state(server) {
            cluster.test().fail(format!("server {server} leads term {term} with the votes of a minority"));
        }
    }
}

/// A server has one vote a term, and no second one after a message from the leader that it has elected
/// (§5.2).
#[test]
fn one_vote_a_term_2a() {
    run("one_vote_a_term_2a", |t: &Test| {
        contests(t, Asked::Voter);
    });
}

/// A candidate votes for itself, and keeps that vote when it has won: a rival candidate of its own term does
/// not get it (Figure 2, rules for candidates).
#[test]
fn winner_keeps_its_vote_2a() {
    run("winner_keeps_its_vote_2a", |t: &Test| contests(t, Asked::Winner));
}

/// Whom the second candidate of a term asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The server that has voted for the first one.
    Voter,
    /// The first one, which has won.
    Winner,
}

fn contests(t: &Test, asked: Asked) {
    let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
    let mut contested = 0;
    for _ in 0..8 {
        contested += u32::from(contest(&cluster, asked));
        t.scene("The messages arrive that were held back.");
        each_link(|from, to| cluster.release_link(from, to));
        if contested == 4 {
            break;
        }
    }
    cluster.check_one_leader();
    t.exercised(contested > 0, "no two servers stood for election in one term");
}

/// One attempt; whether both followers stood for election in the same term, one after the other.
fn contest(cluster: &Cluster<Raft>, asked: Asked) -> bool {
    let t = cluster.test();
    let voter = cluster.check_one_leader();
    let followers = [1, 2].map(|distance| (voter + distance) % 3);
    let term = |server| cluster.get_state(server).map_or(0, |(term, _)| term);
    let leads = |server, term| cluster.get_state(server) == Some((term, true));
    let contested = term(voter) + 1;

    t.scene(
        "All messages are held back. A follower stands for election, and gets the vote of the old leader.",
    );
    each_link(|from, to| cluster.hold_link(from, to));
    let stands = |&server: &usize| term(server) == contested;
    wait_until(Duration::from_secs(3), || followers.iter().any(stands));
    let Some(winner) = followers.into_iter().find(stands) else { return false };
    let rival = 3 - voter - winner;
    cluster.release_link(winner, voter);
    if !wait_until(Duration::from_millis(150), || leads(winner, contested)) {
        return false;
    }
    let (words, asked) = match asked {
        Asked::Voter => ("asks for the same vote", voter),
        Asked::Winner => ("asks the winner for its vote", winner),
    };
    t.scene(format!("It sends its voter a heartbeat. The other follower does not know of it, and {words}."));
    thread::sleep(ELECTION / 10);
    cluster.release_link(rival, asked);
    let mut stood = false;
    wait_until(ELECTION, || {
        stood |= term(rival) == contested;
        t.expect(!(leads(winner, contested) && leads(rival, contested)), || {
            format!(
                "servers {winner} and {rival} both lead term {contested}: server {asked} has voted for both"
            )
        });
        term(rival) > contested
    });
    stood
}

/// A candidate that hears from the leader of its own term gives up (§5.2: "if the leader's term … is at least
/// as large as the candidate's current term, then the candidate recognizes the leader as legitimate").
#[test]
fn candidate_gives_up_2a() {
    run("candidate_gives_up_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let mut lost = 0;
        for _ in 0..12 {
            lost += u32::from(lose(&cluster));
            t.scene("The messages arrive that were held back.");
            each_link(|from, to| cluster.release_link(from, to));
            if lost == 3 {
                break;
            }
        }
        cluster.check_one_leader();
        t.exercised(lost > 0, "no candidate lost an election that it knew nothing of");
    });
}

/// One attempt; whether a candidate heard from the winner of its own election.
fn lose(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let voter = cluster.check_one_leader();
    let followers = [1, 2].map(|distance| (voter + distance) % 3);
    let term = |server| cluster.get_state(server).map_or(0, |(term, _)| term);
    let contested = term(voter) + 1;

    t.scene(
        "All messages are held back. Both followers stand for election, and the old leader votes for one.",
    );
    each_link(|from, to| cluster.hold_link(from, to));
    let stands = |&server: &usize| term(server) == contested;
    let has_begun =
        wait_until(Duration::from_secs(3), || followers.iter().any(|&server| term(server) >= contested));
    let Some(winner) = followers.into_iter().find(stands).filter(|_| has_begun) else { return false };
    let rival = 3 - voter - winner;
    wait_until(ELECTION, || term(rival) >= contested || term(winner) > contested);
    cluster.release_link(winner, voter);
    let has_won =
        wait_until(Duration::from_millis(150), || cluster.get_state(winner) == Some((contested, true)));
    if !has_won || term(rival) != contested {
        return false;
    }
    t.scene("The other one hears from the winner, and nobody hears from it.");
    cluster.release_link(winner, rival);
    // Long enough for a heartbeat. If it has stood again before that came, nothing follows.
    thread::sleep(ELECTION / 8);
    if term(rival) != contested {
        return false;
    }
    for _ in 0..10 {
        thread::sleep(ELECTION / 10);
        t.expect(term(rival) == contested, || {
            format!(
                "server {rival} stands in term {}, although it hears from the leader of {contested}",
                term(rival)
            )
        });
    }
    true
}

/// A vote counts in the election in which it was asked for: granted in one term, it is none in the next
/// (§5.2). The replies take longer than the election.
#[test]
fn late_votes_2a() {
    run("late_votes_2a", |t: &Test| {
        let mut came_late = 0;
        for _ in 0..3 {
            let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
            came_late += u32::from(vote_late(&cluster));
        }
        t.exercised(came_late > 0, "no vote came to a candidate of a later term");
    });
}

/// One attempt; whether the votes came when their candidate stood for election in a later term.
fn vote_late(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let term = |server| cluster.get_state(server).map_or(0, |(term, _)| term);
    let contested = term(leader) + 1;

    t.scene("All messages are held back. A follower stands for election, and two others vote for it.");
    each_link_of(5, |from, to| cluster.hold_link(from, to));
    let followers = (0..5).filter(|&server| server != leader);
    let mut candidate = None;
    wait_until(Duration::from_secs(3), || {
        candidate = followers.clone().find(|&server| term(server) == contested);
        candidate.is_some()
    });
    let Some(candidate) = candidate else { return false };
    let voters: Vec<usize> = followers.filter(|&server| server != candidate).take(2).collect();
    let links = [0, 1].map(|vote| Name::from(cluster.link(candidate, voters[vote])));
    let are_over = Arc::new(AtomicBool::new(false));
    let closed = Arc::clone(&are_over);
    cluster.net().network().set_tap(move |event| match event.direction {
        _ if !links.contains(event.end) => TapAction::Deliver,
        Direction::Reply => TapAction::Delay(LATE),
        Direction::Request if closed.load(Ordering::Relaxed) => TapAction::Drop,
        Direction::Request => TapAction::Deliver,
    });
    voters.iter().for_each(|&voter| cluster.release_link(candidate, voter));
    let voted =
        wait_until(Duration::from_millis(100), || voters.iter().all(|&voter| term(voter) == contested));

    t.scene("The votes are late. The candidate stands again meanwhile, and nobody hears of it.");
    are_over.store(true, Ordering::Relaxed);
    let again = wait_until(LATE - ELECTION / 2, || term(candidate) > contested);
    thread::sleep(LATE);
    wait_until(ELECTION / 2, || {
        let state = cluster.get_state(candidate);
        t.expect(!state.is_some_and(|(term, leads)| leads && term > contested), || {
            format!("server {candidate} leads {state:?}, elected by votes of term {contested}")
        });
        false
    });
    cluster.net().network().clear_tap();
    voted && again
}

/// How long the votes take in [`late_votes_2a`].
const LATE: Duration = Duration::from_millis(2500);

/// A leader of an old term that hears no replies goes on sending. The others refuse it, and do not take it
/// for a sign of their own leader (Figure 2, rules for followers: "receiving AppendEntries RPC from current
/// leader").
#[test]
fn mute_replies_2a() {
    run("mute_replies_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        let old = cluster.check_one_leader();
        t.scene("The leader is cut off. The others elect a new one.");
        cluster.disconnect(old);
        let new = cluster.check_one_leader();
        let term = cluster.highest_term();

        t.scene("The old one can send again, but no reply reaches it, and the new one is cut off.");
        let others: Vec<usize> = (0..5).filter(|&server| server != old && server != new).collect();
        let links: Vec<Name> = others.iter().map(|&other| Name::from(cluster.link(old, other))).collect();
        cluster.net().network().set_tap(move |event| {
            let is_lost = event.direction == Direction::Reply && links.contains(event.end);
            if is_lost { TapAction::Drop } else { TapAction::Deliver }
        });
        others.iter().for_each(|&other| cluster.open_link(old, other));
        cluster.disconnect(new);
        let elected = wait_until(5 * ELECTION, || {
            let leads =
                |&server: &usize| cluster.get_state(server).is_some_and(|(now, leads)| leads && now > term);
            others.iter().any(leads)
        });
        let still = cluster.get_state(old).is_some_and(|(now, leads)| leads && now < term);
        t.exercised(still, "the old leader had heard of the new term");
        t.expect(elected, || {
            format!("three of five servers elected nobody within 5 s, while server {old} sent heartbeats of an old term")
        });

        t.scene("All are back.");
        cluster.net().network().clear_tap();
        (0..5).for_each(|server| cluster.connect(server));
        cluster.check_one_leader();
    });
}

/// How many elections [`timeouts_vary_2a`] watches.
const WATCHED: usize = 10;

/// A server that stands again and again waits for another time before each election (§5.2: "each candidate
/// restarts its randomized election timeout at the start of an election"). Servers that draw their timeouts
/// once, and nearly the same ones, split the votes in all elections.
#[test]
fn timeouts_vary_2a() {
    run("timeouts_vary_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let alone = (cluster.check_one_leader() + 1) % 3;
        t.scene("A follower is cut off. It stands for election again and again.");
        cluster.disconnect(alone);
        let mut term = cluster.get_state(alone).map(|(term, _)| term);
        let mut stood = Vec::new();
        wait_until(30 * ELECTION, || {
            let now = cluster.get_state(alone).map(|(term, _)| term);
            if now != term {
                term = now;
                stood.push(Instant::now());
            }
            stood.len() > WATCHED
        });
        let waited: Vec<Duration> = stood.windows(2).map(|moments| moments[1] - moments[0]).collect();
        let longest = waited.iter().max().copied().unwrap_or_default();
        t.exercised(stood.len() > WATCHED, "a server that hears nobody stood for few elections");
        let varies = waited.iter().any(|&time| longest - time > Duration::from_millis(10));
        t.expect(varies || waited.len() < WATCHED, || {
            format!("server {alone} waited for {longest:?} before each of {} elections", stood.len())
        });

        t.scene("It is back.");
        cluster.connect(alone);
        cluster.check_one_leader();
    });
}

/// How often [`granted_votes_wait_2a`] has a leader elected, and how long its messages take: long enough that
/// a timer which was not restarted often elapses before the winner's first heartbeat, and far too short for
/// one that was.
const ELECTIONS: u32 = 16;
const TAKES: Duration = Duration::from_millis(40);

/// A vote restarts the voter's election timer (Figure 2, rules for followers: "without … granting vote to
/// candidate"), so that it waits for the leader that it has elected.
#[test]
fn granted_votes_wait_2a() {
    run("granted_votes_wait_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let (mut elected, mut deposed) = (0, 0);
        for _ in 0..ELECTIONS {
            let old = cluster.check_one_leader();
            let term = cluster.highest_term();
            t.scene("Messages take 40 ms. The leader is cut off, and the others elect a new one.");
            cluster.net().network().set_tap(|_| TapAction::Delay(TAKES));
            cluster.disconnect(old);
            let others = [1, 2].map(|distance| (old + distance) % 3);
            let leads = |&server: &usize| {
                cluster.get_state(server).filter(|&(now, leads)| leads && now > term).map(|_| server)
            };
            let mut new = None;
            wait_until(5 * ELECTION, || {
                new = others.iter().find_map(leads);
                new.is_some()
            });
            if let Some(new) = new {
                elected += 1;
                let won = cluster.get_state(new);
                thread::sleep(ELECTION / 2);
                deposed += u32::from(cluster.get_state(new) != won);
            }
            cluster.net().network().clear_tap();
            cluster.connect(old);
        }
        t.exercised(elected > ELECTIONS / 2, "no leader was elected within 5 s");
        // Pauses and clocks of a swarm run may depose a leader, too.
        t.expect(!t.is_ordinary() || 8 * deposed < elected, || {
            format!("{deposed} of {elected} leaders were deposed by the server that had just voted for them")
        });
    });
}

fn each_link(act: impl Fn(usize, usize)) {
    each_link_of(3, act);
}

fn each_link_of(servers: usize, act: impl Fn(usize, usize)) {
    let links = (0..servers).flat_map(|from| (0..servers).map(move |to| (from, to)));
    links.filter(|(from, to)| from != to).for_each(|(from, to)| act(from, to));
}
