//! Part 4B with groups of four servers, of which two are no majority.

use tester::{ELECTION, Test, run};

use crate::clients::{Clients, Keys};
use crate::cluster::{Cluster, Options, PATIENCE, pause};

/// Each group is divided in the middle while a shard is to move, gets one server back on its leader's side,
/// loses one to a crash, and is whole again. What clients appended is there, once.
#[test]
fn four_servers_4b() {
    run("four_servers_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().servers(4).snapshots(1000));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        for group in [0, 1] {
            let clients = Clients::append(&cluster, &keys, 3, 5);
            pause(500);
            let leader = cluster.leader_of(group);
            let server = |distance: usize| (leader + distance) % 4;

            t.scene(format!("Group {group} is divided in the middle, and another group joins."));
            cluster.groups[group].partition(&[&[leader, server(1)], &[server(2), server(3)]]);
            cluster.join(&[group + 1]);
            pause(2 * ELECTION.as_millis() as u64);
            t.scene("A third server comes to the leader's side.");
            cluster.groups[group].partition(&[&[leader, server(1), server(2)], &[server(3)]]);
            pause(2 * ELECTION.as_millis() as u64);
            t.scene("The fourth is back, and the leader crashes.");
            cluster.groups[group].heal();
            pause(ELECTION.as_millis() as u64);
            cluster.shutdown_server(group, leader);
            pause(ELECTION.as_millis() as u64);
            cluster.start_server(group, leader);
            clients.stop_and_check(&mut keys);
        }
        cluster.settle(PATIENCE);
    });
}
