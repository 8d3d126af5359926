//! Part 2A, directed: situations of an election that chance brings about too rarely.

use labrt::thread;
use raft::Raft;
use std::time::Duration;
use tester::{Cluster, ELECTION, Setup, Test, run};

/// A deposed leader that hears of the new term only in replies steps down, too (§5.1: "if a server's current term is smaller
/// than the other's, then it updates").
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

        t.scene("It can speak again, but nobody can speak to it: the replies alone tell it of the new term.");
        for other in [1, 2].map(|distance| (first + distance) % 3) {
            cluster.open_link(first, other);
        }
        thread::sleep(ELECTION);
        t.expect(cluster.get_state(first) != Some((old_term, true)), || {
            format!(
                "server {first} still leads term {old_term}, although replies have told it of a later one"
            )
        });

        t.scene("All links are there again.");
        cluster.recover();
    });
}

/// Two of five servers cannot elect a leader, however often they exchange requests and replies: a vote counts once
/// (§5.2).
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
        cluster.recover();
    });
}

fn expect_no_leader(cluster: &Cluster<Raft>, servers: &[usize]) {
    for &server in servers {
        if let Some((term, true)) = cluster.get_state(server) {
            cluster.test().fail(format!("server {server} leads term {term} with the votes of a minority"));
        }
    }
}
