//! Part 4B: the course's tests without concurrent clients and without the challenges.

use std::time::Duration;

use labrt::channel::bounded;
use labrt::thread;
use shardkv::Clerk;
use tester::{Test, run};
use tester_kv::Recorded;

use crate::clients::Keys;
use crate::cluster::{Cluster, GROUPS, Options, controllers, pause};

/// Ten clients get one key each at the same time. The five whose shards are served get the right
/// values, and the other five get no answer.
fn expect_half(t: &Test, keys: &Keys, client: impl Fn() -> Recorded<Clerk>) {
    let (sender, answers) = bounded(keys.values.len());
    for key in 0..keys.values.len() {
        let (mut client, sender) = (client(), sender.clone());
        // A client of a group that is down gets its answer later, or never.
        drop(thread::spawn(move || {
            let value = client.get(&key.to_string());
            drop(sender.send((key, value)));
        }));
    }
    let mut right = 0;
    while let Ok((key, value)) = answers.recv_timeout(Duration::from_secs(2)) {
        t.expect(value == keys.values[key], || {
            format!("expected key {key} to hold {:?}, but it holds {value:?}", keys.values[key])
        });
        right += 1;
    }
    t.expect(right == 5, || format!("expected 5 of 10 shards to be served, but {right} were"));
}

/// Two groups. One of them is down for a while.
#[test]
fn static_shards_4b() {
    run("static_shards_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        cluster.join(&[1]);
        let mut keys = Keys::put(&cluster, 10, 20);
        keys.check_all();

        t.scene("Group 1 is down. Only group 0's half of the shards is served.");
        cluster.shutdown_group(1);
        cluster.check_logs();
        expect_half(t, &keys, || cluster.client());

        t.scene("Group 1 restarts.");
        cluster.start_group(1);
        keys.check_all();
    });
}

/// The course's test of 2024: a group refuses clients that ask for shards it does not own.
#[test]
fn rejection_4b() {
    run("rejection_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        cluster.join(&[1]);
        let mut keys = Keys::put(&cluster, 10, 20);
        keys.check_all();

        t.scene("Other controllers know only group 0. Their clients find half of the shards there.");
        let others = controllers(t, &cluster.net, "other-controller", 12);
        cluster.join_at(&others, &[0]);
        expect_half(t, &keys, || cluster.client_of(&others));
    });
}

/// A group joins, and another leaves.
#[test]
fn join_leave_4b() {
    run("join_leave_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        keys.check_all();
        t.scene("Group 1 joins.");
        cluster.join(&[1]);
        keys.check_and_append_all(5);
        t.scene("Group 0 leaves.");
        cluster.leave(&[0]);
        keys.check_and_append_all(5);
        t.scene("A second later the service no longer needs group 0.");
        pause(1000);
        cluster.check_logs();
        cluster.shutdown_group(0);
        keys.check_all();
    });
}

/// Snapshots while shards move, and a restart of everything.
#[test]
fn snapshot_4b() {
    run("snapshot_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(1000));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 30, 20);
        keys.check_all();
        t.scene("Groups 1 and 2 join, group 0 leaves.");
        cluster.join(&[1]);
        cluster.join(&[2]);
        cluster.leave(&[0]);
        keys.check_and_append_all(20);
        t.scene("Group 1 leaves, group 0 joins.");
        cluster.leave(&[1]);
        cluster.join(&[0]);
        keys.check_and_append_all(20);
        pause(1000);
        keys.check_all();
        pause(1000);
        cluster.check_logs();
        t.scene("All groups restart.");
        cluster.shutdown_groups();
        cluster.start_groups();
        keys.check_all();
    });
}

/// A server of each group misses configurations.
#[test]
fn miss_change_4b() {
    run("miss_change_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(1000));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 20);
        keys.check_all();
        cluster.join(&[1]);
        t.scene("Server 0 of each group is down, and misses several configurations.");
        (0..GROUPS).for_each(|group| cluster.shutdown_server(group, 0));
        cluster.join(&[2]);
        cluster.leave(&[1]);
        cluster.leave(&[0]);
        keys.check_and_append_all(20);
        cluster.join(&[1]);
        keys.check_and_append_all(20);
        t.scene("The servers restart.");
        (0..GROUPS).for_each(|group| cluster.start_server(group, 0));
        keys.check_and_append_all(20);
        pause(2000);
        t.scene(
            "Server 1 of each group is down. The majorities need the servers that missed configurations.",
        );
        (0..GROUPS).for_each(|group| cluster.shutdown_server(group, 1));
        cluster.join(&[0]);
        cluster.leave(&[2]);
        keys.check_and_append_all(20);
        (0..GROUPS).for_each(|group| cluster.start_server(group, 1));
        keys.check_all();
    });
}
