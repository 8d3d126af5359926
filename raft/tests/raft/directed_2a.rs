//! Directed tests of part 2A. Each brings about by force what the course's tests meet by chance at best.

use crate::rivals::{Rivals, release_all, wait_until};
use labrt::thread;
use raft::Raft;
use std::time::Duration;
use tester::{Cluster, ELECTION, Setup, Test, run};

/// A server has one vote a term, and keeps to it also when it has heard from the leader whom it elected (§5.2).
#[test]
fn one_vote_a_term_2a() {
    run("one_vote_a_term_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let mut contested = false;
        for _ in 0..3 {
            t.scene("Nobody hears anything. A follower stands for election and gets the old leader's vote.");
            if let Some(rivals) = Rivals::arise(&cluster) {
                t.scene("It speaks to its voter as leader. The third server knows nothing, and asks for the same vote.");
                thread::sleep(Duration::from_millis(100));
                contested |= rivals.contest(&cluster);
            }
            t.scene("Everything arrives that was under way.");
            release_all(&cluster);
        }
        cluster.check_one_leader();
        t.exercised(contested, "no two servers stood for election in one term");
    });
}

/// Two of five servers are no majority, however often they vote for one another.
#[test]
fn no_majority_2a() {
    run("no_majority_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        for _ in 0..3 {
            t.scene("The leader and two more are cut off. The other two ask each other for votes, again and again.");
            let leader = cluster.check_one_leader();
            let away = [0, 1, 2].map(|distance| (leader + distance) % 5);
            away.iter().for_each(|&server| cluster.disconnect(server));
            thread::sleep(3 * ELECTION);
            cluster.check_no_leader();

            t.scene("A third one makes a majority.");
            cluster.connect(away[1]);
            cluster.check_one_leader();
            away.iter().for_each(|&server| cluster.connect(server));
        }
    });
}

/// A leader whom nobody can reach learns of a newer term from the answers to its own messages (§5.1).
#[test]
fn refusals_depose_2a() {
    run("refusals_depose_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let old = cluster.check_one_leader();
        let old_term = cluster.get_state(old).map_or(0, |(term, _)| term);
        let others = [1, 2].map(|distance| (old + distance) % 3);

        t.scene("The leader is cut off, and the others elect a new one.");
        cluster.disconnect(old);
        cluster.check_one_leader();

        t.scene("The old one can speak to the others again, but they cannot speak to it except in answer.");
        let requests = |cut| {
            others
                .iter()
                .for_each(|&other| cluster.net().network().cut_requests(cluster.link(other, old), cut));
        };
        requests(true);
        cluster.connect(old);
        let deposed = || cluster.get_state(old).is_some_and(|(term, _)| term > old_term);
        t.expect(wait_until(10 * ELECTION, deposed), || {
            format!(
                "server {old} still believes to lead term {old_term}, although the others, who are in a newer term, have \
                 been answering it for ten seconds"
            )
        });

        t.scene("All links work.");
        requests(false);
        cluster.check_one_leader();
    });
}
