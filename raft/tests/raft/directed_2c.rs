//! Directed tests of part 2C: crashes at the moments that matter.

use crate::rivals::{Rivals, release_all, wait_until};
use crate::watching::{LARGE, watch_for_acknowledgement};
use labrt::sync::atomic::Ordering;
use labrt::thread;
use raft::Raft;
use std::time::Duration;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, run};

/// A server that crashes right after it has voted still knows of its vote (Figure 2, persistent state).
#[test]
fn crash_after_vote_2c() {
    run("crash_after_vote_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let mut contested = false;
        for _ in 0..3 {
            t.scene("Nobody hears anything. A follower stands for election and gets the old leader's vote.");
            if let Some(rivals) = Rivals::arise(&cluster) {
                t.scene("The voter crashes and starts again. The third server knows nothing, and asks for the same vote.");
                cluster.restart(rivals.voter);
                cluster.connect(rivals.voter);
                contested |= rivals.contest(&cluster);
            }
            t.scene("Everything arrives that was under way.");
            release_all(&cluster);
        }
        cluster.agree_on(1, 3, Retry::Yes);
        t.exercised(contested, "no two servers stood for election in one term");
    });
}

/// What a follower has acknowledged is on its disk, also if it crashes in the moment when its reply has left (Figure 2:
/// "updated on stable storage before responding to RPCs").
#[test]
fn crash_after_acknowledgement_2c() {
    run("crash_after_acknowledgement_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let mut exercised = false;
        for round in 1..=3 {
            cluster.agree_on(10 * round, 3, Retry::Yes);
            let leader = cluster.check_one_leader();
            let [follower, away] = [1, 2].map(|distance| (leader + distance) % 3);

            t.scene("With one follower away, the other one acknowledges a command, and crashes.");
            cluster.disconnect(away);
            let acknowledged = watch_for_acknowledgement(&cluster, leader, follower);
            let accepted = cluster.start(leader, Command::random_text(LARGE));
            while accepted.is_some() && !acknowledged.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_micros(50));
            }
            cluster.crash(follower);
            cluster.net().network().clear_tap();

            t.scene(
                "The leader, who may have committed the command, is cut off. The others go on without it.",
            );
            let index = accepted.map_or(0, |(index, _)| index);
            let committed = wait_until(ELECTION / 5, || cluster.n_committed(index).0 > 0);
            cluster.disconnect(leader);
            cluster.restart(follower);
            [follower, away].iter().for_each(|&server| cluster.connect(server));
            let next = cluster.agree_on(Command::random(), 2, Retry::Yes);
            t.expect(next > index || !committed, || {
                format!("a command was agreed on at index {next}, although everything up to index {index} was committed before")
            });
            exercised |= committed;
            cluster.connect(leader);
        }
        cluster.agree_on(100, 3, Retry::Yes);
        t.exercised(exercised, "no command was committed thanks to a follower that crashed then");
    });
}
