//! Directed tests, which stage rare interleavings: servers that a move needs fail in the middle of
//! it.

use std::sync::Arc;
use std::time::Duration;

use labrpc::{Direction, TapAction, TapEvent};
use labrt::rand::random_range;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::time::Instant;
use shardkv::key_to_shard;
use tester::{Test, run};

use crate::callers::Caller;
use crate::clients::{Clients, Keys};
use crate::cluster::{Cluster, GROUPS, Options, PATIENCE, SERVERS, gid, pause};

/// The controllers' leader is cut off from the others in the middle of each move. It does not know
/// that it is deposed.
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
            t.scene("Another controller leads and takes the next change.");
            cluster.leave(&[round % GROUPS]);
            pause(500);
            cluster.controllers.heal();
            pause(random_range(0..300));
        }
        clients.stop_and_check(&mut keys);
        cluster.settle(PATIENCE);
    });
}

/// All controllers crash in the middle of a move and restart much later. Meanwhile the groups finish
/// the moves of configurations that they have adopted.
#[test]
fn controller_crash_4b() {
    run("controller_crash_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(1000));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let clients = Clients::append(&cluster, &keys, 5, 10);
        for (joins, leaves) in [(1, 0), (2, 1), (0, 2)] {
            t.scene("All controllers crash in the middle of a move.");
            cluster.join(&[joins]);
            cluster.leave(&[leaves]);
            // The groups may or may not have adopted the configuration by then.
            pause(random_range(0..250));
            cluster.shutdown_controllers();
            pause(1000);
            t.scene("The controllers restart.");
            cluster.start_controllers();
            pause(500);
        }
        clients.stop_and_check(&mut keys);
        cluster.settle(PATIENCE);
    });
}

/// While all controllers are down, groups serve the clients that know the configuration, including
/// shards that arrived a moment ago.
#[test]
fn without_controllers_4b() {
    run("without_controllers_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0, 1]);
        let mut keys = Keys::put(&cluster, 10, 5);
        cluster.leave(&[0]);
        cluster.settle(PATIENCE);
        // The client learns the newest configuration.
        keys.check_all();
        t.scene("All controllers crash. The owners keep serving the shards.");
        cluster.shutdown_controllers();
        keys.check_and_append_all(5);
        keys.check_all();
        t.scene("Group 1 restarts and serves its shards again.");
        cluster.shutdown_group(1);
        cluster.start_group(1);
        keys.check_and_append_all(5);
        keys.check_all();
    });
}

/// A leader is cut off from its group but not from clients. It does not know of the shards that the
/// group received since, and must not keep refusing clients that ask for them.
#[test]
fn stale_leader_4b() {
    run("stale_leader_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0, 1]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let before = cluster.newest();
        t.scene("Group 1's leader is cut off. The rest of group 1 takes over all shards.");
        let leader = cluster.leader_of(1);
        let others: Vec<usize> = (0..SERVERS).filter(|&server| server != leader).collect();
        cluster.groups[1].partition(&[&others, &[leader]]);
        cluster.leave(&[0]);
        let start = Instant::now();
        // Keys that move come first. On other keys the client would wait for the old leader in vain,
        // and so find the new leader by itself.
        let moving = |key: &usize| before.shards[key_to_shard(&key.to_string())] == gid(0);
        let (moving, staying): (Vec<usize>, Vec<usize>) = (0..10).partition(moving);
        moving.into_iter().chain(staying).for_each(|key| keys.check_and_append(key, 5));
        t.expect_in_time(start.elapsed() < PATIENCE, || {
            format!("the client was served only after {:?}", start.elapsed())
        });
        cluster.groups[1].heal();
        cluster.settle(PATIENCE);
        keys.check_all();
    });
}

/// Two groups give each other shards at the same time, again and again. Each waits for the other.
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

/// Ten moves in a row, with a restart of all servers in the middle.
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
                t.scene("All servers crash and restart.");
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

/// A group applies an append, the reply is lost, and the shard moves. The next owner must recognise
/// the repetition.
#[test]
fn sessions_move_4b() {
    run("sessions_move_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        t.scene("Group 0 applies appends, but its replies are lost.");
        // Only group 1's replies get through.
        let lost = Arc::new(AtomicU64::new(0));
        let (count, from_0) = (Arc::clone(&lost), format!("server-{}", gid(0)));
        let caller = cluster.callers();
        cluster.net.network().set_tap(move |event: &TapEvent<'_>| {
            let answer = event.direction == Direction::Reply && caller(event) == Some(Caller::Client);
            if answer && event.server.to_string().starts_with(&from_0) {
                count.fetch_add(1, Ordering::SeqCst);
                return TapAction::Drop;
            }
            TapAction::Deliver
        });
        let clients =
            Clients::start(&cluster, 10, |client, clerk, _| clerk.append(&client.to_string(), "once"));
        pause(500);
        t.scene("Group 1 takes over, and the clients repeat their appends there.");
        cluster.join(&[1]);
        cluster.leave(&[0]);
        clients.stop();
        cluster.net.network().clear_tap();
        t.exercised(lost.load(Ordering::SeqCst) > 0, "no reply was lost");
        keys.values.iter_mut().for_each(|value| *value += "once");
        keys.check_all();
    });
}

/// Messages between groups arrive twice or much later, while shards move back and forth.
#[test]
fn late_handovers_4b() {
    run("late_handovers_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let caller = cluster.callers_of_groups();
        cluster.net.network().set_tap(move |event: &TapEvent<'_>| {
            let of_groups = caller(event) == Some(Caller::Group);
            match random_range(0..4) {
                0 if of_groups => TapAction::Duplicate,
                1 if of_groups => TapAction::Delay(Duration::from_millis(random_range(0..1500))),
                _ => TapAction::Deliver,
            }
        });
        let clients = Clients::append(&cluster, &keys, 3, 10);
        t.scene("Shards move back and forth.");
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

/// All groups leave, and another one joins. No value is lost.
#[test]
fn nobody_left_4b() {
    run("nobody_left_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(300));
        cluster.join(&[0, 1]);
        let mut keys = Keys::put(&cluster, 10, 5);
        t.scene("All groups leave.");
        cluster.leave(&[1]);
        cluster.leave(&[0]);
        pause(500);
        t.scene("Another group joins and gets all shards.");
        cluster.join(&[2]);
        keys.check_and_append_all(5);
        cluster.settle(PATIENCE);
        t.scene("Group 2 leaves and joins again.");
        cluster.leave(&[2]);
        pause(500);
        cluster.join(&[2]);
        keys.check_all();
        cluster.settle(PATIENCE);
    });
}

/// The former owner is down when a group adopts the configuration that gives it shards, and the group
/// starts again from its snapshot before the other is back. No configuration comes after that: its servers
/// must know by themselves what is still to be fetched.
#[test]
fn restart_before_handover_4b() {
    run("restart_before_handover_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(1));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        t.scene("Group 0 goes down, and group 1 is to have half of its shards.");
        cluster.shutdown_group(0);
        cluster.join(&[1]);
        pause(random_range(300..800));
        t.scene("Group 1 starts again, and then group 0.");
        cluster.shutdown_group(1);
        cluster.start_group(1);
        pause(random_range(0..1500));
        cluster.start_group(0);
        keys.check_and_append_all(5);
        cluster.settle(PATIENCE);
    });
}

/// A group joined under names that no server has. It leaves, and joins again under the right ones. A client
/// that has asked in vain before goes by the new names.
#[test]
fn joined_under_other_names_4b() {
    run("joined_under_other_names_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        t.scene("Group 0 joins under wrong names, and a client asks for it.");
        let wrong = (0..SERVERS).map(|server| format!("server-{}-{server}", gid(GROUPS))).collect();
        let made = cluster.administrator().join([(gid(0), wrong)].into());
        t.expect(made.is_ok(), || format!("the controller refused a join: {made:?}"));
        let mut client = cluster.client();
        let asking = labrt::thread::spawn(move || {
            client.append("0", "x");
            client
        });
        pause(1000);
        t.exercised(!asking.is_finished(), "a client was served by a group that it cannot reach");
        t.scene("It leaves, and joins under the right names.");
        cluster.leave(&[0]);
        cluster.join(&[0]);
        let start = Instant::now();
        while !asking.is_finished() {
            t.expect_in_time(start.elapsed() < PATIENCE, || {
                format!(
                    "for {PATIENCE:?} a client has not found the servers under which its group has joined"
                )
            });
            pause(50);
        }
        let mut client = asking.join().expect("a panic of the thread fails the run by itself");
        let found = client.get("0");
        t.expect(found == "x", || format!("expected key 0 to hold \"x\", but it holds {found:?}"));
        cluster.settle(PATIENCE);
    });
}
