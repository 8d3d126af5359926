//! Situations that chance brings about too rarely: whoever is needed for a move fails in the
//! middle of it.

use crate::clients::{Clients, Keys};
use crate::cluster::{Cluster, GROUPS, Options, SERVERS, gid, pause};
use kvraft::Operation;
use labgob::decode;
use labrpc::{Direction, TapAction, TapEvent};
use labrt::rand::random_range;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::time::Instant;
use rsm::Request;
use shardkv::key_to_shard;
use std::sync::Arc;
use std::time::Duration;
use tester::{Test, run};

/// How long everything may take to come to rest after the faults.
const PATIENCE: Duration = Duration::from_secs(10);

/// The controllers' leader is cut off from the others in the middle of each move, and does not
/// know that it is deposed.
#[test]
fn controller_partition_4b() {
    run("controller_partition_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(1000));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let clients = Clients::append(&cluster, &keys, 5, 10);
        for round in 0..3 {
            t.scene("A group joins. At the same moment the controllers' leader is cut off.");
            cluster.join(&[(round + 1) % GROUPS]);
            let cut_off = cluster.leading_controller().unwrap_or(0);
            let others: Vec<usize> = (0..SERVERS).filter(|&server| server != cut_off).collect();
            cluster.controllers.partition(&[&others, &[cut_off]]);
            pause(random_range(0..300));
            t.scene("Another leads, and takes the next change.");
            cluster.leave(&[round % GROUPS]);
            pause(500);
            cluster.controllers.heal();
            pause(random_range(0..300));
        }
        clients.stop_and_check(&mut keys);
        cluster.settle(PATIENCE);
    });
}

/// All controllers crash in the middle of a move, and start again much later. What the groups
/// know already they carry out without them.
#[test]
fn controller_crash_4b() {
    run("controller_crash_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(1000));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let clients = Clients::append(&cluster, &keys, 5, 10);
        for (joins, leaves) in [(1, 0), (2, 1), (0, 2)] {
            t.scene("In the middle of a move all controllers crash.");
            cluster.join(&[joins]);
            cluster.leave(&[leaves]);
            // Sometimes before, sometimes after the groups have heard of it.
            pause(random_range(0..250));
            cluster.shutdown_controllers();
            pause(1000);
            t.scene("They start again.");
            cluster.start_controllers();
            pause(500);
        }
        clients.stop_and_check(&mut keys);
        cluster.settle(PATIENCE);
    });
}

/// Without controllers, clients who know where to go are served, also by a group that has got
/// the shard a moment ago.
#[test]
fn without_controllers_4b() {
    run("without_controllers_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0, 1]);
        let mut keys = Keys::put(&cluster, 10, 5);
        cluster.leave(&[0]);
        cluster.settle(PATIENCE);
        // The client learns where everything is now.
        keys.check_all();
        t.scene("All controllers crash. Who has the shards serves them.");
        cluster.shutdown_controllers();
        keys.check_and_append_all(5);
        keys.check_all();
        t.scene("Group 1 starts again, and still does.");
        cluster.shutdown_group(1);
        cluster.start_group(1);
        keys.check_and_append_all(5);
        keys.check_all();
    });
}

/// A group is down while three configurations give it shards, take them away and give them to
/// others. The living groups exchange theirs meanwhile, and nobody waits who need not.
#[test]
fn group_down_for_three_configurations_4b() {
    run("group_down_for_three_configurations_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(300));
        cluster.join(&[0, 1, 2]);
        let mut keys = Keys::put(&cluster, 10, 5);
        keys.check_all();
        let first = cluster.newest();
        let away: Vec<usize> =
            (0..10).filter(|key| first.shards[key_to_shard(&key.to_string())] == gid(0)).collect();
        t.exercised(!away.is_empty(), "group 0 had no shards");
        let others: Vec<usize> = (0..10).filter(|key| !away.contains(key)).collect();

        t.scene("Group 0 goes down, leaves, joins, and leaves again.");
        cluster.shutdown_group(0);
        for step in 0..3 {
            match step {
                1 => cluster.join(&[0]),
                _ => cluster.leave(&[0]),
            }
            pause(random_range(0..500));
        }
        t.scene("Meanwhile the others exchange their shards, and serve them.");
        cluster.leave(&[1]);
        let reachable = serveable(&cluster, &first.shards, &others);
        t.exercised(!reachable.is_empty(), "no shard moved between living groups");
        // A new client, which goes where the newest configuration says.
        keys.client = cluster.client();
        reachable.iter().for_each(|&key| keys.check_and_append(key, 5));

        t.scene("Group 0 is back. Nothing is lost.");
        cluster.start_group(0);
        keys.check_and_append_all(5);
        cluster.join(&[0, 1]);
        keys.check_all();
        cluster.settle(PATIENCE);
    });
}

/// Keys among `keys` whose shards have never been on group 0 since `before`.
fn serveable(cluster: &Cluster, before: &[u64; 10], keys: &[usize]) -> Vec<usize> {
    let newest = cluster.newest();
    let mut administrator = cluster.administrator();
    let configs: Vec<_> = (1..=newest.number).map(|number| administrator.query(number as i64)).collect();
    let start = configs.iter().rposition(|config| config.shards == *before).unwrap_or(0);
    let never_on_0 = |key: &&usize| {
        let shard = key_to_shard(&key.to_string());
        configs[start..].iter().all(|config| config.shards[shard] != gid(0))
    };
    keys.iter().filter(never_on_0).copied().collect()
}

/// A leader that is cut off from its group, and not from clients, knows nothing of what the group
/// got since. It must not keep on sending them away.
#[test]
fn stale_leader_4b() {
    run("stale_leader_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0, 1]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let before = cluster.newest();
        t.scene("Group 1's leader is cut off. The others take over everything.");
        let leader = cluster.leader_of(1);
        let others: Vec<usize> = (0..SERVERS).filter(|&server| server != leader).collect();
        cluster.groups[1].partition(&[&others, &[leader]]);
        cluster.leave(&[0]);
        let start = Instant::now();
        // Those that move first: a client that waits in vain for an answer would find the new
        // leader by itself.
        let moving = |key: &usize| before.shards[key_to_shard(&key.to_string())] == gid(0);
        let (moving, staying): (Vec<usize>, Vec<usize>) = (0..10).partition(moving);
        moving.into_iter().chain(staying).for_each(|key| keys.check_and_append(key, 5));
        t.expect(start.elapsed() < PATIENCE, || format!("it took {:?} to be served", start.elapsed()));
        cluster.groups[1].heal();
        cluster.settle(PATIENCE);
        keys.check_all();
    });
}

/// Groups give each other shards at the same time, again and again: each waits for the other.
#[test]
fn exchange_4b() {
    run("exchange_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(300));
        cluster.join(&[0, 1]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let clients = Clients::append(&cluster, &keys, 5, 10);
        t.scene("Two groups exchange their shards.");
        for round in 1..4 {
            for shard in 0..10 {
                let owner = if shard < 5 { round % 2 } else { 1 - round % 2 };
                cluster.move_shard(shard, owner);
            }
            pause(random_range(0..300));
        }
        clients.stop_and_check(&mut keys);
        cluster.settle(PATIENCE);
    });
}

/// Ten moves in a row, and everything starts again in the middle of them.
#[test]
fn restart_in_ten_moves_4b() {
    run("restart_in_ten_moves_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(300));
        cluster.join(&[0, 1, 2]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let clients = Clients::append(&cluster, &keys, 5, 20);
        t.scene("Each shard moves to the next group.");
        let halt = random_range(1..10);
        for shard in 0..10 {
            let owner = cluster.newest().shards[shard] as usize - 100;
            cluster.move_shard(shard, (owner + 1) % GROUPS);
            if shard == halt {
                pause(random_range(0..200));
                t.scene("All servers crash, and start again.");
                cluster.shutdown_controllers();
                cluster.shutdown_groups();
                pause(100);
                cluster.start_groups();
                cluster.start_controllers();
            }
        }
        pause(1000);
        clients.stop_and_check(&mut keys);
        cluster.settle(PATIENCE);
    });
}

/// Nobody hears that the shards have arrived: their former owner keeps them, whoever crashes,
/// until somebody says so at last; and then they are deleted.
#[test]
fn garbage_4b() {
    run("garbage_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(300));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 100);
        t.scene("Group 1 takes over. Its word that it has the shards does not get through.");
        let lost = drop_all(&cluster, "ShardRpc.discard", Direction::Request);
        cluster.join(&[1]);
        cluster.leave(&[0]);
        keys.check_all();
        pause(1000);
        expect_waiting(&cluster, 0, 10);
        t.exercised(lost.load(Ordering::SeqCst) > 0, "nobody tried to have garbage deleted");
        t.scene("Both groups start again. It is as it was.");
        for group in [1, 0] {
            cluster.shutdown_group(group);
            cluster.start_group(group);
        }
        keys.check_all();
        expect_waiting(&cluster, 0, 10);
        t.scene("It gets through, but the answer does not. The garbage goes; group 1 keeps asking.");
        let lost = drop_all(&cluster, "ShardRpc.discard", Direction::Reply);
        pause(2000);
        expect_waiting(&cluster, 0, 0);
        t.exercised(lost.load(Ordering::SeqCst) > 0, "no answer was lost");
        cluster.net.network().clear_tap();
        cluster.settle(PATIENCE);
        keys.check_all();
    });
}

/// Group `group`'s servers hold so many shards that are not theirs any more, as soon as they
/// have all applied what there is.
fn expect_waiting(cluster: &Cluster, group: usize, expected: usize) {
    let waiting = |group: &shardkv::Group| {
        group.tenures().filter(|tenure| tenure.stage == shardkv::Stage::Waiting).count()
    };
    let found = || -> Vec<Option<usize>> {
        let of_server = |server| cluster.groups[group].visit(server, move |server| server.inspect(waiting));
        (0..SERVERS).map(of_server).collect()
    };
    let deadline = Instant::now() + PATIENCE;
    while found() != [Some(expected); SERVERS] {
        cluster.test.expect(Instant::now() < deadline, || {
            format!(
                "expected servers of group {group} to hold {expected} shards for others, not {:?}",
                found()
            )
        });
        pause(50);
    }
}

/// From now on messages of this kind are lost; tells how many were.
fn drop_all(cluster: &Cluster, method: &'static str, direction: Direction) -> Arc<AtomicU64> {
    let lost = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&lost);
    cluster.net.network().set_tap(move |event: &TapEvent<'_>| {
        if event.method == method && event.direction == direction {
            count.fetch_add(1, Ordering::SeqCst);
            return TapAction::Drop;
        }
        TapAction::Deliver
    });
    lost
}

/// A group carries out an append, its answer is lost, and the shard moves: the other group
/// must know that it is done.
#[test]
fn sessions_move_4b() {
    run("sessions_move_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        t.scene("Group 0 carries out appends, but nobody hears of it.");
        // Until group 1 has everything; only what comes from there is heard.
        let lost = Arc::new(AtomicU64::new(0));
        let (count, from_0) = (Arc::clone(&lost), format!("server-{}", gid(0)));
        cluster.net.network().set_tap(move |event: &TapEvent<'_>| {
            let answer = event.method == "ShardRpc.operate" && event.direction == Direction::Reply;
            let done = answer && matches!(decode::<Result<String, shardkv::KvError>>(event.bytes), Ok(Ok(_)));
            if done && event.server.to_string().starts_with(&from_0) {
                count.fetch_add(1, Ordering::SeqCst);
                return TapAction::Drop;
            }
            TapAction::Deliver
        });
        let clients =
            Clients::start(&cluster, 10, |client, clerk, _| clerk.append(&client.to_string(), "once"));
        pause(500);
        t.scene("Group 1 takes over, and is asked the same.");
        cluster.join(&[1]);
        cluster.leave(&[0]);
        clients.stop();
        cluster.net.network().clear_tap();
        t.exercised(lost.load(Ordering::SeqCst) > 0, "no answer was lost");
        keys.values.iter_mut().for_each(|value| *value += "once");
        keys.check_all();
    });
}

/// Messages between groups arrive twice, some of them much later; shards go to and fro.
#[test]
fn late_handovers_4b() {
    run("late_handovers_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        cluster.net.network().set_tap(|event: &TapEvent<'_>| {
            let of_groups = event.method == "ShardRpc.pull" || event.method == "ShardRpc.discard";
            match random_range(0..4) {
                0 if of_groups => TapAction::Duplicate,
                1 if of_groups => TapAction::Delay(Duration::from_millis(random_range(0..1500))),
                _ => TapAction::Deliver,
            }
        });
        let clients = Clients::append(&cluster, &keys, 3, 10);
        t.scene("Shards go to and fro.");
        for _ in 0..4 {
            cluster.join(&[1]);
            cluster.leave(&[0]);
            pause(random_range(0..600));
            cluster.join(&[0]);
            cluster.leave(&[1]);
            pause(random_range(0..600));
        }
        cluster.net.network().clear_tap();
        pause(500);
        clients.stop_and_check(&mut keys);
        cluster.settle(PATIENCE);
    });
}

/// All groups leave, and one comes back: what they served is still there.
#[test]
fn nobody_left_4b() {
    run("nobody_left_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(300));
        cluster.join(&[0, 1]);
        let mut keys = Keys::put(&cluster, 10, 5);
        t.scene("Everybody leaves.");
        cluster.leave(&[1]);
        cluster.leave(&[0]);
        pause(500);
        t.scene("Another group joins, and has all that there was.");
        cluster.join(&[2]);
        keys.check_and_append_all(5);
        cluster.settle(PATIENCE);
        t.scene("It leaves, and returns.");
        cluster.leave(&[2]);
        pause(500);
        cluster.join(&[2]);
        keys.check_all();
        cluster.settle(PATIENCE);
    });
}

/// Requests that no clerk would send are refused, and do no harm.
#[test]
fn strange_requests_4b() {
    use shardkv::{Handover, KvError, PullError, ShardPeer};
    run("strange_requests_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let leader = cluster.leader_of(0);
        let peer = ShardPeer::new(cluster.end_of(0, leader));
        t.scene("Handovers that there are not.");
        for (shard, config) in [(0, 0), (0, 1), (0, u64::MAX), (10, 1), (usize::MAX, 1)] {
            let handover = Handover { shard, config };
            let answer = peer.pull(&handover);
            t.expect(matches!(answer, Ok(Err(PullError::NotYet | PullError::Gone))), || {
                format!("{answer:?}")
            });
            drop(peer.discard(&handover));
        }
        t.scene("Keys and values that are too long.");
        let long = "k".repeat(kvraft::MAX_KEY + 1);
        let command = Operation::Put { key: long, value: String::new() };
        let answer = peer.operate(&Request { client: 1, sequence: 1, command });
        assert_eq!(answer, Ok(Err(KvError::TooLarge)));
        keys.check_and_append_all(5);
        let empty = cluster.client().get("");
        assert_eq!(empty, "", "the empty key is a key like any other");
        keys.check_all();
    });
}
