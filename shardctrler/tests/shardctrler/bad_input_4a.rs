//! Invalid commands. Every server refuses them for the same reason, and they change nothing.

use std::collections::BTreeMap;

use shardctrler::{Clerk, Config, GroupId, Refusal};
use tester::{Test, run};

use crate::cluster::{Cluster, groups, parts};

/// Each kind of refusal, while each server in turn is down.
#[test]
fn refusals_4a() {
    run("refusals_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let clerk = &mut cluster.clerk();
        clerk.join(groups([(1, &["x"]), (2, &["y"])])).unwrap();
        let before = clerk.query(-1);
        for server in 0..cluster.len() {
            t.scene(format!("Server {server} is down."));
            cluster.crash(server);
            refuse_everything(clerk);
            assert_eq!(parts(&clerk.query(-1)), parts(&before), "a refused command made a configuration");
            cluster.revive(server);
        }
        t.scene("Valid commands still work.");
        assert_eq!(clerk.join(groups([(3, &["z"])])), Ok(before.number + 1), "a valid join");
        assert_eq!(clerk.leave(&[3, 3]), Ok(before.number + 2), "a group named twice leaves once");
    });
}

fn refuse_everything(clerk: &mut Clerk) {
    let mut join = |joining: BTreeMap<GroupId, Vec<String>>, why| {
        assert_eq!(clerk.join(joining.clone()), Err(why), "the answer to a join of {joining:?}");
    };
    join(groups([(1, &["other"])]), Refusal::KnownGroup(1));
    join(groups([(2, &["y"]), (5, &["new"])]), Refusal::KnownGroup(2));
    join(groups([(5, &[])]), Refusal::NoServers(5));
    join(groups([(0, &["zero"])]), Refusal::Reserved);
    join(BTreeMap::new(), Refusal::NoGroups);
    for (leaving, why) in
        [(&[7][..], Refusal::UnknownGroup(7)), (&[1, 7], Refusal::UnknownGroup(7)), (&[], Refusal::NoGroups)]
    {
        assert_eq!(clerk.leave(leaving), Err(why), "the answer to a leave of {leaving:?}");
    }
    for (shard, group, why) in [
        (0, 7, Refusal::UnknownGroup(7)),
        (0, 0, Refusal::UnknownGroup(0)),
        (10, 1, Refusal::UnknownShard(10)),
        (usize::MAX, 1, Refusal::UnknownShard(usize::MAX)),
    ] {
        let moved = clerk.move_shard(shard, group);
        assert_eq!(moved, Err(why), "the answer to a move of shard {shard} to group {group}");
    }
}

/// Queries of numbers that no configuration has return the newest.
#[test]
fn strange_queries_4a() {
    run("strange_queries_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let clerk = &mut cluster.clerk();
        for number in [-1, 0, 1, i64::MIN, i64::MAX] {
            assert_eq!(parts(&clerk.query(number)), parts(&Config::default()), "only configuration 0 exists");
        }
        clerk.join(groups([(1, &["x"])])).unwrap();
        let newest = clerk.query(-1);
        assert_eq!(newest.number, 1, "the number of the newest configuration, after one join");
        for number in [1, 2, 1000, i64::MAX, -2, i64::MIN] {
            let answer = clerk.query(number);
            assert_eq!(parts(&answer), parts(&newest), "the answer to a query of {number}, and the newest");
        }
        let none = clerk.query(0);
        assert_eq!(parts(&none), parts(&Config::default()), "configuration 0, after a join");
    });
}

/// The last group leaves, and its shards are on no group. The next group gets all of them.
#[test]
fn last_group_leaves_4a() {
    run("last_group_leaves_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let clerk = &mut cluster.clerk();
        clerk.join(groups([(1, &["x"])])).unwrap();
        clerk.leave(&[1]).unwrap();
        assert_eq!(clerk.query(-1).shards, [0; 10], "owners, after the last group has left");
        assert_eq!(clerk.move_shard(3, 1), Err(Refusal::UnknownGroup(1)), "a move to a group that has left");
        clerk.join(groups([(2, &["y"])])).unwrap();
        assert_eq!(clerk.query(-1).shards, [2; 10], "owners, after the only group has joined");
    });
}
