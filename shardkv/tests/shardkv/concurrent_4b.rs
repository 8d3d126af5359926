//! Part 4B: the course's tests with clients at work while shards move.

use std::time::Duration;

use labrt::rand::random_range;
use labrt::time::Instant;
use tester::{Test, run};

use crate::clients::{Clients, Keys};
use crate::cluster::{Cluster, Options, pause};

/// Groups join and leave, and are down for a moment.
#[test]
fn concurrent_1_4b() {
    run("concurrent_1_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(100));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        t.scene("Ten clients append, while groups join and leave.");
        let clients = Clients::append(&cluster, &keys, 5, 10);
        pause(150);
        cluster.join(&[1]);
        pause(500);
        cluster.join(&[2]);
        pause(500);
        t.scene("All groups crash, one after the other. Two of them leave.");
        cluster.leave(&[0]);
        cluster.shutdown_group(0);
        pause(100);
        cluster.shutdown_group(1);
        pause(100);
        cluster.shutdown_group(2);
        cluster.leave(&[2]);
        pause(100);
        t.scene("All groups restart.");
        cluster.start_groups();
        pause(100);
        cluster.join(&[0]);
        cluster.leave(&[1]);
        pause(500);
        cluster.join(&[1]);
        pause(1000);
        clients.stop_and_check(&mut keys);
    });
}

/// Several configurations at once, then a pause, again and again. Two groups restart.
#[test]
fn concurrent_2_4b() {
    run("concurrent_2_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[1]);
        cluster.join(&[0]);
        cluster.join(&[2]);
        let mut keys = Keys::put(&cluster, 10, 1);
        t.scene("Ten clients append, while groups join and leave.");
        let clients = Clients::append(&cluster, &keys, 1, 50);
        cluster.leave(&[0]);
        cluster.leave(&[2]);
        pause(3000);
        cluster.join(&[0]);
        cluster.join(&[2]);
        cluster.leave(&[1]);
        pause(3000);
        cluster.join(&[1]);
        cluster.leave(&[0]);
        cluster.leave(&[2]);
        pause(3000);
        t.scene("Groups 1 and 2 restart.");
        cluster.shutdown_group(1);
        cluster.shutdown_group(2);
        pause(1000);
        cluster.start_group(1);
        cluster.start_group(2);
        pause(2000);
        clients.stop_and_check(&mut keys);
    });
}

/// All groups restart again and again in the middle of changes of configuration. (In the course's
/// editions before 2022 this is a test of the first challenge.)
#[test]
fn concurrent_3_4b() {
    run("concurrent_3_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(300));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 1);
        t.scene("Ten clients append, while groups join, restart, and leave.");
        let clients = Clients::append(&cluster, &keys, 1, 0);
        let end = Instant::now() + Duration::from_secs(12);
        while Instant::now() < end {
            cluster.join(&[2]);
            cluster.join(&[1]);
            pause(random_range(0..900));
            cluster.shutdown_groups();
            cluster.start_groups();
            pause(random_range(0..900));
            cluster.leave(&[1]);
            cluster.leave(&[2]);
            pause(random_range(0..900));
        }
        pause(2000);
        clients.stop_and_check(&mut keys);
    });
}

/// One client, on a network that loses messages.
#[test]
fn unreliable_1_4b() {
    run("unreliable_1_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().unreliable().snapshots(100));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        t.scene("Groups 1 and 2 join, group 0 leaves.");
        cluster.join(&[1]);
        cluster.join(&[2]);
        cluster.leave(&[0]);
        (0..20).for_each(|step| keys.check_and_append(step % 10, 5));
        t.scene("Group 0 joins, group 1 leaves.");
        cluster.join(&[0]);
        cluster.leave(&[1]);
        (0..20).for_each(|step| keys.check(step % 10));
    });
}

/// Ten clients, on a network that loses messages.
#[test]
fn unreliable_2_4b() {
    run("unreliable_2_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().unreliable().snapshots(100));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let clients = Clients::append(&cluster, &keys, 5, 0);
        come_and_go(t, &cluster);
        clients.tell_to_stop();
        cluster.set_reliable(true);
        clients.stop_and_check(&mut keys);
    });
}

/// The same with clients that share keys. The check of the history judges their results.
#[test]
fn unreliable_3_4b() {
    run("unreliable_3_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().unreliable().snapshots(100));
        cluster.join(&[0]);
        drop(Keys::put(&cluster, 10, 5));
        let clients = Clients::mixed(&cluster, 10, 5);
        come_and_go(t, &cluster);
        clients.tell_to_stop();
        cluster.set_reliable(true);
        drop(clients.stop());
    });
}

fn come_and_go(t: &Test, cluster: &Cluster) {
    t.scene("Ten clients at work, while groups join and leave.");
    pause(150);
    cluster.join(&[1]);
    pause(500);
    cluster.join(&[2]);
    pause(500);
    cluster.leave(&[0]);
    pause(500);
    cluster.leave(&[1]);
    pause(500);
    cluster.join(&[1]);
    cluster.join(&[0]);
    pause(2000);
}
