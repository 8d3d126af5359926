//! Parts 2A to 2C: clusters of four and two. Half of four servers are no majority, though "at least half"
//! and "more than half" are the same for odd clusters.

use std::time::Duration;

use labrt::thread;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, run};

/// Two of four servers elect nobody. With a third one they do.
#[test]
fn four_servers_2a() {
    run("four_servers_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(4));
        let leader = cluster.check_one_leader();
        let server = |distance: usize| (leader + distance) % 4;

        t.scene("Two servers are on the leader's side, and two on the other, which elect nobody.");
        cluster.partition(&[&[leader, server(1)], &[server(2), server(3)]]);
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(100));
            expect_no_new_leader(&cluster, &[server(2), server(3)]);
        }
        t.scene("The leader is alone, and the three others elect one of them.");
        cluster.partition(&[&[leader], &[server(1), server(2), server(3)]]);
        cluster.disconnect(leader);
        cluster.check_one_leader();
        t.scene("All come back.");
        cluster.heal();
        cluster.connect(leader);
        cluster.check_one_leader();
    });
}

fn expect_no_new_leader(cluster: &Cluster<Raft>, servers: &[usize]) {
    for &server in servers {
        if let Some((term, true)) = cluster.get_state(server) {
            cluster
                .test()
                .fail(format!("server {server} leads term {term} with the votes of two of four servers"));
        }
    }
}

/// Two of four servers commit nothing. With a third one they do.
#[test]
fn four_servers_2b() {
    run("four_servers_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(4));
        for round in 0..4 {
            cluster.agree_on(Command::random(), 4, Retry::Yes);
            let leader = cluster.check_one_leader();
            let server = |distance: usize| (leader + distance) % 4;

            t.scene("Two servers are on the leader's side, and two on the other. Nothing is committed.");
            cluster.partition(&[&[leader, server(1)], &[server(2), server(3)]]);
            let accepted = cluster.start(leader, Command::random());
            t.exercised(accepted.is_some(), "the leader took no command");
            thread::sleep(2 * ELECTION);
            if let Some((index, _)) = accepted {
                let (count, _) = cluster.n_committed(index);
                t.expect(count == 0, || {
                    format!("{count} servers have applied index {index}, which two of four have")
                });
            }
            t.scene("One of the other two comes to the leader's side, or the side without the leader grows.");
            let three = if round % 2 == 0 {
                [leader, server(1), server(2)]
            } else {
                [server(1), server(2), server(3)]
            };
            let alone = if round % 2 == 0 { server(3) } else { leader };
            cluster.partition(&[&three, &[alone]]);
            cluster.disconnect(alone);
            cluster.agree_on(Command::random(), 3, Retry::Yes);
            t.scene("All come back.");
            cluster.heal();
            cluster.connect(alone);
        }
        cluster.agree_on(Command::random(), 4, Retry::Yes);
    });
}

/// One of two servers is no majority.
#[test]
fn two_servers_2b() {
    run("two_servers_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(2));
        cluster.agree_on(Command::random(), 2, Retry::Yes);
        let leader = cluster.check_one_leader();
        t.scene("The two servers are cut off from each other. Nothing is committed.");
        cluster.partition(&[&[0], &[1]]);
        let accepted = cluster.start(leader, Command::random());
        t.exercised(accepted.is_some(), "the leader took no command");
        thread::sleep(3 * ELECTION);
        expect_no_new_leader_beside(&cluster, leader);
        if let Some((index, _)) = accepted {
            let (count, _) = cluster.n_committed(index);
            t.expect(count == 0, || {
                format!("{count} servers have applied index {index}, which one of two has")
            });
        }
        t.scene("They reach each other again.");
        cluster.heal();
        cluster.agree_on(Command::random(), 2, Retry::Yes);
    });
}

fn expect_no_new_leader_beside(cluster: &Cluster<Raft>, leader: usize) {
    if let Some((term, true)) = cluster.get_state(1 - leader) {
        cluster.test().fail(format!("server {} leads term {term} with its own vote of two", 1 - leader));
    }
}

/// All servers of clusters of two and four crash and start again, and keep what they have committed.
#[test]
fn small_clusters_2c() {
    run("small_clusters_2c", |t: &Test| {
        for servers in [2, 4] {
            restart_all(t, servers);
        }
    });
}

/// All servers of a cluster crash and start again, three times.
pub(crate) fn restart_all(t: &Test, servers: usize) {
    t.scene(format!("A cluster of {servers}: all servers crash and start again, three times."));
    let cluster = Cluster::<Raft>::new(t, Setup::servers(servers));
    let mut last = cluster.agree_on(Command::random(), servers, Retry::Yes);
    for _ in 0..3 {
        (0..servers).for_each(|server| cluster.crash(server));
        (0..servers).for_each(|server| {
            cluster.restart(server);
            cluster.connect(server);
        });
        let index = cluster.agree_on(Command::random(), servers, Retry::Yes);
        t.expect(index > last, || {
            format!("index {last} was committed before the crash, and used again at {index}")
        });
        last = index;
    }
}
