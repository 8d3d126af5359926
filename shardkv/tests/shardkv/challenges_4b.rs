//! Part 4B: the course's challenges. Shards that have moved are deleted where they were, and
//! those that need not wait do not.

use crate::clients::Keys;
use crate::cluster::{Cluster, Options, gid, pause};
use shardctrler::GroupId;
use shardkv::key_to_shard;
use tester::{Test, run};

/// However often the shards have moved, the disks hold them once for each server of their
/// group, and little more.
#[test]
fn challenge_1_delete_4b() {
    run("challenge_1_delete_4b", |t: &Test| {
        const KEYS: usize = 30;
        /// Values of 1000 bytes for each of three servers, keys 0 to 2 a second time as results
        /// that are kept, and 6000 bytes for everything else.
        const MOST: usize = 3 * ((KEYS - 3) * 1000 + 2 * 3 * 1000 + 6000);
        let cluster = Cluster::new(t, Options::new().snapshots(1));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, KEYS, 1000);
        let check = |keys: &mut Keys| (0..3).for_each(|key| keys.check(key));
        check(&mut keys);
        t.scene("The shards move to and fro.");
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
        t.scene("All groups are there. What do they store?");
        cluster.join(&[1]);
        cluster.join(&[2]);
        for _ in 0..3 {
            pause(1000);
            check(&mut keys);
        }
        let stored = cluster.bytes_on_disks();
        t.expect(stored <= MOST, || {
            format!("expected at most {MOST} bytes on the disks, but there are {stored}")
        });
        keys.check_all();
    });
}

/// Which keys are on a group in the newest configuration.
fn keys_of(cluster: &Cluster, group: GroupId) -> Vec<usize> {
    let shards = cluster.newest().shards;
    (0..10).filter(|key| shards[key_to_shard(&key.to_string())] == group).collect()
}

/// The keys hold what they should, and can be changed.
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

/// A group serves what it had before a change of configuration, although it cannot get what
/// the change gives it.
#[test]
fn challenge_2_unaffected_4b() {
    run("challenge_2_unaffected_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().unreliable().snapshots(100));
        cluster.join(&[0]);
        let mut keys = put_hundreds(&cluster);
        t.scene("Group 1 joins, and gets its half.");
        cluster.join(&[1]);
        let served = keys_of(&cluster, gid(1));
        pause(1000);
        served.iter().for_each(|&key| keys.set(key, "101".to_owned()));
        t.scene("Group 0 is down and leaves: group 1 can't get the other half, and serves its own.");
        cluster.shutdown_group(0);
        cluster.leave(&[0]);
        pause(1000);
        expect_served(&mut keys, &served, "-1");
    });
}

/// A group serves what it has got already, although it cannot get the rest.
#[test]
fn challenge_2_partial_4b() {
    run("challenge_2_partial_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().unreliable().snapshots(100));
        cluster.join(&[0, 1, 2]);
        pause(1000);
        let mut keys = put_hundreds(&cluster);
        let served = keys_of(&cluster, gid(2));
        t.scene("Group 0 is down. It and group 2 leave: group 1 gets the shards of the latter only.");
        cluster.shutdown_group(0);
        cluster.leave(&[0, 2]);
        pause(1000);
        expect_served(&mut keys, &served, "-2");
    });
}
