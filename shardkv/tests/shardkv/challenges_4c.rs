//! Part 4C: the challenges of the course's part 4B. Former owners delete shards that have moved, and no shard
//! waits unnecessarily.

use shardctrler::GroupId;
use shardkv::key_to_shard;
use tester::{Test, run};

use crate::clients::Keys;
use crate::cluster::{Cluster, Options, gid, pause};

/// However often the shards move, the disks hold each shard once for each server of its group, and
/// little more.
#[test]
fn challenge_1_delete_4c() {
    run("challenge_1_delete_4c", |t: &Test| {
        const KEYS: usize = 30;
        /// For each of three servers: values of 1000 bytes, keys 0 to 2 twice because the course
        /// counts replies in the sessions, and 6000 bytes for the rest.
        const MOST: usize = 3 * ((KEYS - 3) * 1000 + 2 * 3 * 1000 + 6000);
        let cluster = Cluster::new(t, Options::new().snapshots(1));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, KEYS, 1000);
        let check = |keys: &mut Keys| (0..3).for_each(|key| keys.check(key));
        check(&mut keys);
        t.scene("The shards move back and forth.");
        for _ in 0..2 {
            cluster.join(&[1]);
            cluster.leave(&[0]);
            cluster.join(&[2]);
            pause(3000);
            check(&mut keys);
            cluster.leave(&[1]);
            cluster.join(&[0]);
            cluster.leave(&[2]);
            pause(3000);
            check(&mut keys);
        }
        t.scene("All groups are present. The test counts the bytes that they store.");
        cluster.join(&[1]);
        cluster.join(&[2]);
        for _ in 0..3 {
            pause(1000);
            check(&mut keys);
        }
        let stored = cluster.bytes_on_disks();
        t.expect(stored <= MOST, || {
            format!("expected at most {MOST} bytes on the disks, but they hold {stored}")
        });
        keys.check_all();
    });
}

/// The keys that a group owns in the newest configuration.
fn keys_of(cluster: &Cluster, group: GroupId) -> Vec<usize> {
    let shards = cluster.newest().shards;
    (0..10).filter(|key| shards[key_to_shard(&key.to_string())] == group).collect()
}

/// Checks that the keys have their expected values and can be changed.
fn expect_served(keys: &mut Keys, served: &[usize], mark: &str) {
    for &key in served {
        keys.check(key);
        let value = keys.values[key].clone() + mark;
        keys.set(key, value);
        keys.check(key);
    }
}

fn put_hundreds(cluster: &Cluster) -> Keys {
    let mut keys = Keys::put(cluster, 10, 0);
    (0..10).for_each(|key| keys.set(key, "100".to_owned()));
    keys
}

/// A group keeps serving the shards that it has, although it cannot get the shards that the next
/// configuration gives it.
#[test]
fn challenge_2_unaffected_4c() {
    run("challenge_2_unaffected_4c", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().unreliable().snapshots(100));
        cluster.join(&[0]);
        let mut keys = put_hundreds(&cluster);
        t.scene("Group 1 joins and gets its half.");
        cluster.join(&[1]);
        let served = keys_of(&cluster, gid(1));
        pause(1000);
        served.iter().for_each(|&key| keys.set(key, "101".to_owned()));
        t.scene("Group 0 is down and leaves. Group 1 cannot get the other half, and serves its own.");
        cluster.shutdown_group(0);
        cluster.leave(&[0]);
        pause(1000);
        expect_served(&mut keys, &served, "-1");
    });
}

/// A group serves each shard that has arrived, although it cannot get the others.
#[test]
fn challenge_2_partial_4c() {
    run("challenge_2_partial_4c", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().unreliable().snapshots(100));
        cluster.join(&[0, 1, 2]);
        pause(1000);
        let mut keys = put_hundreds(&cluster);
        let served = keys_of(&cluster, gid(2));
        t.scene("Group 0 is down. Groups 0 and 2 leave. Group 1 gets the shards of group 2 only.");
        cluster.shutdown_group(0);
        cluster.leave(&[0, 2]);
        pause(1000);
        expect_served(&mut keys, &served, "-2");
    });
}
