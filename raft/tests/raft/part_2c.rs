//! Part 2C: persistence.

use std::time::Duration;

use labrt::rand::{random_bool, random_range};
use labrt::thread;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, run};

use crate::churn::churn;

/// Servers restart, all at once and one by one, and remember their state.
#[test]
fn persist_1_2c() {
    run("persist_1_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(11, 3, Retry::Yes);

        t.scene("All servers crash and start again.");
        (0..3).for_each(|server| cluster.restart(server));
        for server in 0..3 {
            cluster.disconnect(server);
            cluster.connect(server);
        }
        cluster.agree_on(12, 3, Retry::Yes);

        t.scene("The leader crashes and starts again.");
        let leader = cluster.check_one_leader();
        restart(&cluster, leader);
        cluster.agree_on(13, 3, Retry::Yes);

        t.scene("The leader is cut off, and crashes before it comes back.");
        let leader = cluster.check_one_leader();
        cluster.disconnect(leader);
        cluster.agree_on(14, 2, Retry::Yes);
        restart(&cluster, leader);
        // Without a term, waiting cannot end with `Moved`.
        let _ = cluster.wait_committed(4, 3, None);

        t.scene("A follower is cut off, and crashes before it comes back.");
        let follower = (cluster.check_one_leader() + 1) % 3;
        cluster.disconnect(follower);
        cluster.agree_on(15, 2, Retry::Yes);
        restart(&cluster, follower);
        cluster.agree_on(16, 3, Retry::Yes);
    });
}

/// Majorities change, with restarts in between.
#[test]
fn persist_2_2c() {
    run("persist_2_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        let mut command = 10;
        let mut agree = |servers| {
            command += 1;
            cluster.agree_on(command, servers, Retry::Yes)
        };
        for _ in 0..5 {
            agree(5);
            let leader = cluster.check_one_leader();
            let server = |distance: usize| (leader + distance) % 5;

            t.scene("Two followers are cut off; three servers agree.");
            cluster.disconnect(server(1));
            cluster.disconnect(server(2));
            agree(3);

            t.scene("These crash. The two start again, with a third server: only it has the last command.");
            [0, 3, 4].iter().for_each(|&distance| cluster.disconnect(server(distance)));
            restart(&cluster, server(1));
            restart(&cluster, server(2));
            thread::sleep(ELECTION);
            restart(&cluster, server(3));
            agree(3);

            t.scene("The last two come back.");
            cluster.connect(server(4));
            cluster.connect(server(0));
        }
        cluster.agree_on(1000, 5, Retry::Yes);
    });
}

/// A leader and a follower crash; the third server goes on with the leader.
#[test]
fn persist_3_2c() {
    run("persist_3_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(101, 3, Retry::Yes);

        t.scene("One follower is cut off and misses a command.");
        let leader = cluster.check_one_leader();
        let [follower, away] = [1, 2].map(|distance| (leader + distance) % 3);
        cluster.disconnect(away);
        cluster.agree_on(102, 2, Retry::Yes);

        t.scene("The two that have it crash. The leader starts again, with the one that missed it.");
        cluster.crash(leader);
        cluster.crash(follower);
        cluster.connect(away);
        restart(&cluster, leader);
        cluster.agree_on(103, 2, Retry::Yes);

        t.scene("The other one starts again, too.");
        restart(&cluster, follower);
        cluster.agree_on(104, 3, Retry::Yes);
    });
}

/// Figure 8 of the paper, by chance: leaders take a command and crash, most of them before another server has
/// it.
#[test]
fn figure_8_2c() {
    run("figure_8_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        cluster.agree_on(Command::random(), 1, Retry::Yes);
        t.scene("Leaders take a command each, and crash soon after it. Three servers are kept alive.");
        let mut up = 5;
        for _ in 0..1000 {
            let leader = start_everywhere(&cluster).pop();
            pause_of_figure_8();
            if let Some(leader) = leader {
                cluster.crash(leader);
                up -= 1;
            }
            if up < 3 {
                let server = random_range(0..5);
                if !cluster.is_alive(server) {
                    restart(&cluster, server);
                    up += 1;
                }
            }
        }
        t.scene("All come back, and must agree.");
        for server in 0..5 {
            if !cluster.is_alive(server) {
                restart(&cluster, server);
            }
        }
        cluster.agree_on(Command::random(), 5, Retry::Yes);
        expect_lost_suffix(&cluster);
    });
}

/// Many commands at the same time over an unreliable network.
#[test]
fn unreliable_agree_2c() {
    run("unreliable_agree_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5).unreliable());
        t.scene("Five commands at a time.");
        let mut threads = Vec::new();
        for round in 1..50_u64 {
            for number in 0..4 {
                let cluster = cluster.clone();
                threads.push(thread::spawn(move || cluster.agree_on(100 * round + number, 1, Retry::Yes)));
            }
            cluster.agree_on(round, 1, Retry::Yes);
        }
        t.scene("The network becomes reliable.");
        cluster.net().network().set_reliable(true);
        for thread in threads {
            // The thread ends with an index, or fails the test.
            let _ = thread.join();
        }
        cluster.agree_on(100, 5, Retry::Yes);
    });
}

/// Figure 8 by chance, with links instead of crashes, on an unreliable network that delays replies for
/// seconds.
#[test]
fn figure_8_unreliable_2c() {
    run("figure_8_unreliable_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5).unreliable());
        cluster.agree_on(random_range(0..10_000), 1, Retry::Yes);
        t.scene("Leaders take a command each, and are often cut off soon after it. Three servers keep their links.");
        let mut up = 5;
        for iteration in 0..1000 {
            if iteration == 200 {
                t.scene("From now on two of three replies are late.");
                cluster.net().network().set_long_reordering(true);
            }
            // A leader that is cut off takes commands, too; it must not hide the one that the others follow.
            let accepted = start_everywhere(&cluster);
            let leader = accepted.into_iter().rfind(|&server| cluster.is_connected(server));
            pause_of_figure_8();
            if let Some(leader) = leader.filter(|_| random_bool(0.5)) {
                cluster.disconnect(leader);
                up -= 1;
            }
            if up < 3 {
                let server = random_range(0..5);
                if !cluster.is_connected(server) {
                    cluster.connect(server);
                    up += 1;
                }
            }
        }
        t.scene("All come back, and must agree in spite of the network.");
        for server in 0..5 {
            if !cluster.is_connected(server) {
                cluster.connect(server);
            }
        }
        cluster.agree_on(random_range(0..10_000), 5, Retry::Yes);
        expect_lost_suffix(&cluster);
    });
}

/// Clients keep starting commands while servers crash, start again, and lose their links.
#[test]
fn reliable_churn_2c() {
    run("reliable_churn_2c", |t: &Test| churn(t, Setup::servers(5)));
}

/// The same on an unreliable network.
#[test]
fn unreliable_churn_2c() {
    run("unreliable_churn_2c", |t: &Test| churn(t, Setup::servers(5).unreliable()));
}

/// Crashes the server if it is alive, starts it, and connects it.
fn restart(cluster: &Cluster<Raft>, server: usize) {
    cluster.restart(server);
    cluster.connect(server);
}

/// Starts a command on every server that is alive, connected or not; those that accept, in order.
fn start_everywhere(cluster: &Cluster<Raft>) -> Vec<usize> {
    let alive = (0..5).filter(|&server| cluster.is_alive(server));
    alive.filter(|&server| cluster.start(server, random_range(0..10_000)).is_some()).collect()
}

/// Mostly too short for a command to reach a majority, now and then long enough for an election.
fn pause_of_figure_8() {
    let longest = if random_bool(0.1) { ELECTION.as_millis() as u64 / 2 } else { 13 };
    thread::sleep(Duration::from_millis(random_range(0..longest)));
}

/// The tests of Figure 8 are about entries that give way to those of a later leader.
fn expect_lost_suffix(cluster: &Cluster<Raft>) {
    cluster.test().exercised(cluster.lost_suffixes() != Some(0), "no leader ever lost an uncommitted suffix");
}
