//! Part 2A: leader election.

use std::time::Duration;

use labrt::rand::random_range;
use labrt::thread;
use raft::Raft;
use tester::{Cluster, ELECTION, Setup, Test, run};

/// A leader is elected, and stays leader as long as nothing fails.
#[test]
fn initial_election_2a() {
    run("initial_election_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));

        t.scene("Three servers start. One of them is elected.");
        cluster.check_one_leader();

        t.scene("All servers have its term.");
        thread::sleep(Duration::from_millis(50));
        let term = cluster.check_terms_agree();
        t.expect(term >= 1, || format!("expected a leader's term to be at least 1, not {term}"));

        t.scene("Nothing fails, so no server has a reason to stand for election.");
        thread::sleep(2 * ELECTION);
        let later = cluster.check_terms_agree();
        if later != term {
            let message = format!("the term changed from {term} to {later} although nothing had failed");
            // A slow machine or a strange network may be the reason; in the usual simulation there is none.
            if t.is_ordinary() { t.fail(message) } else { t.warn(message) }
        }
        cluster.check_one_leader();
    });
}

/// Leaders are replaced when they are cut off, and only a majority has one.
#[test]
fn re_election_2a() {
    run("re_election_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let first = cluster.check_one_leader();

        t.scene("The leader is cut off. The others elect a new one.");
        cluster.disconnect(first);
        cluster.check_one_leader();

        t.scene("The old leader comes back. It must not disturb the new one.");
        cluster.connect(first);
        let second = cluster.check_one_leader();

        t.scene("Two of three are cut off. The third cannot win an election alone.");
        let third = (second + 1) % 3;
        cluster.disconnect(second);
        cluster.disconnect(third);
        thread::sleep(2 * ELECTION);
        cluster.check_no_leader();

        t.scene("A second server comes back: there is a majority again.");
        cluster.connect(third);
        cluster.check_one_leader();

        t.scene("The last one comes back.");
        cluster.connect(second);
        cluster.check_one_leader();
    });
}

/// Many elections in a row, with up to three of seven servers away.
#[test]
fn many_elections_2a() {
    run("many_elections_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(7));
        cluster.check_one_leader();
        for _ in 0..9 {
            t.scene("Three servers, or fewer, are cut off; four are left to have a leader.");
            let away: Vec<usize> = (0..3).map(|_| random_range(0..7)).collect();
            away.iter().for_each(|&server| cluster.disconnect(server));
            cluster.check_one_leader();
            away.iter().for_each(|&server| cluster.connect(server));
        }
        t.scene("All are back.");
        cluster.check_one_leader();
    });
}
