//! Part 2A, directed: situations of an election that chance brings about too rarely.

use std::time::Duration;

use labrt::thread;
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
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let mut contested = 0;
        for _ in 0..4 {
            contested += u32::from(contest(&cluster));
            t.scene("The messages arrive that were held back.");
            each_link(|from, to| cluster.release_link(from, to));
        }
        cluster.check_one_leader();
        t.exercised(contested > 0, "no two servers stood for election in one term");
    });
}

/// One attempt; whether both followers stood for election in the same term, one after the other.
fn contest(cluster: &Cluster<Raft>) -> bool {
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
    t.scene(
        "It sends its voter a heartbeat. The other follower does not know of it, and asks for the same vote.",
    );
    thread::sleep(ELECTION / 10);
    cluster.release_link(rival, voter);
    let mut stood = false;
    wait_until(ELECTION, || {
        stood |= term(rival) == contested;
        t.expect(!(leads(winner, contested) && leads(rival, contested)), || {
            format!(
                "servers {winner} and {rival} both lead term {contested}: server {voter} has voted for both"
            )
        });
        term(rival) > contested
    });
    stood
}

fn each_link(act: impl Fn(usize, usize)) {
    let links = (0..3).flat_map(|from| (0..3).map(move |to| (from, to)));
    links.filter(|(from, to)| from != to).for_each(|(from, to)| act(from, to));
}
