//! Directed tests of the challenges: garbage whose messages are lost, garbage after faults and restarts, a
//! leader that is deposed while it deletes, and a group that is down while others move their shards.

use labrpc::{Direction, TapAction, TapEvent};
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::thread;
use labrt::time::Instant;
use shardkv::key_to_shard;
use tester::{ELECTION, Test, run};

use crate::callers::Caller;
use crate::clients::{Clients, Keys};
use crate::cluster::{Cluster, GROUPS, Options, PATIENCE, SERVERS, gid, pause};
use crate::deposed_4b::cut_off;

/// A group is down while three configurations take its shards away, give it shards, and take them
/// away again. The running groups exchange their shards meanwhile, and none waits unnecessarily.
#[test]
fn group_down_for_three_configurations_4c() {
    run("group_down_for_three_configurations_4c", |t: &Test| {
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
        t.scene("Meanwhile the other groups exchange their shards and serve them.");
        cluster.leave(&[1]);
        let reachable = serveable(&cluster, &first.shards, &others);
        t.exercised(!reachable.is_empty(), "no shard moved between running groups");
        // A new client goes by the newest configuration.
        keys.client = cluster.client();
        let mut keys = served_meanwhile(keys, reachable);

        t.scene("Group 0 restarts. Nothing is lost.");
        cluster.start_group(0);
        keys.check_and_append_all(5);
        cluster.join(&[0, 1]);
        keys.check_all();
        cluster.settle_without_garbage(PATIENCE);
    });
}

/// Works on these keys, whose shards only running groups have owned, and returns once that is done.
fn served_meanwhile(mut keys: Keys, reachable: Vec<usize>) -> Keys {
    let (test, deadline) = (keys.test.clone(), Instant::now() + PATIENCE);
    let client = thread::spawn(move || {
        reachable.iter().for_each(|&key| keys.check_and_append(key, 5));
        keys
    });
    while !client.is_finished() {
        test.expect_in_time(Instant::now() < deadline, || {
            format!(
                "for {PATIENCE:?} a client has waited for a shard that went from one running group to another: a \
                 group must adopt the next configuration although shards of the group that is down are missing"
            )
        });
        pause(50);
    }
    client.join().expect("a panic of the thread fails the run by itself")
}

/// The keys among `keys` whose shards have never been on group 0 since the owners were `before`.
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

/// Shards move while servers of all groups and controllers crash. In the end no garbage is left.
#[test]
fn garbage_after_faults_4c() {
    run("garbage_after_faults_4c", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().unreliable().snapshots(300));
        cluster.join(&[0, 1, 2]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let clients = Clients::append(&cluster, &keys, 5, 20);
        t.scene("Groups leave and join, while servers crash and restart.");
        for round in 0..4 {
            let group = round % GROUPS;
            cluster.leave(&[group]);
            pause(random_range(0..300));
            let (other, server) = (random_range(0..GROUPS), random_range(0..SERVERS));
            cluster.shutdown_server(other, server);
            cluster.shutdown_group(group);
            pause(random_range(0..300));
            cluster.start_group(group);
            if other != group {
                cluster.start_server(other, server);
            }
            cluster.join(&[group]);
        }
        clients.stop_and_check(&mut keys);
        cluster.set_reliable(true);
        cluster.settle_without_garbage(PATIENCE);
    });
}

/// A former owner goes down when its contents have left it, and the new owner starts again from its snapshot
/// before the other is back. It still knows whom to tell that the copies are not needed any more.
#[test]
fn garbage_outlives_restarts_4c() {
    run("garbage_outlives_restarts_4c", |t: &Test| {
        const KEYS: usize = 30;
        const LENGTH: usize = 3000;
        /// Each value once for each of three servers, and 10,000 bytes for the rest. Half of the shards would
        /// be 45,000 bytes more for each.
        const MOST: usize = 3 * (KEYS * LENGTH + 10_000);
        let cluster = Cluster::new(t, Options::new().snapshots(1));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, KEYS, LENGTH);
        t.scene("Group 0 goes down as soon as the contents of five shards are on their way to group 1.");
        let contents = count_contents(&cluster, LENGTH);
        cluster.join(&[1]);
        let deadline = Instant::now() + ELECTION;
        while contents.load(Ordering::Relaxed) < 5 && Instant::now() < deadline {
            pause(1);
        }
        cluster.shutdown_group(0);
        t.exercised(contents.load(Ordering::Relaxed) > 0, "no content had left group 0");
        t.scene("Group 1 starts again, and then group 0.");
        pause(300);
        cluster.shutdown_group(1);
        cluster.start_group(1);
        pause(1000);
        cluster.start_group(0);
        cluster.net.network().clear_tap();

        t.scene("The test counts the bytes on the disks, while clients go on.");
        wait_for_fewer_bytes(&cluster, &mut keys, MOST);
        keys.check_all();
    });
}

/// Length of the values in [`deposed_while_it_deletes_4c`], so that the disks' bytes tell whether one was
/// left behind.
const LONG: usize = 15_000;

/// The leader of a former owner is asked to delete a copy, and is deposed before that is committed. It does
/// not know whether its group will delete the copy.
#[test]
fn deposed_while_it_deletes_4c() {
    run("deposed_while_it_deletes_4c", |t: &Test| {
        /// Each value once for each of three servers, and 10,000 bytes for the rest. One value more would
        /// be 45,000 bytes.
        const MOST: usize = 3 * (10 * LONG + 10_000);
        let cluster = Cluster::new(t, Options::new().snapshots(1));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, LONG);
        t.scene("Group 0's leader is cut off from its group as soon as a content is on its way to group 1.");
        let leader = cluster.leader_of(0);
        let contents = reach_one_server(&cluster, leader);
        cluster.join(&[1]);
        let deadline = Instant::now() + PATIENCE;
        while contents.load(Ordering::Relaxed) == 0 && Instant::now() < deadline {
            pause(1);
        }
        t.exercised(contents.load(Ordering::Relaxed) > 0, "no content was on its way");
        cut_off(&cluster, 0, leader);
        t.scene("Group 1 reaches that leader alone. It is deposed.");
        pause(2 * ELECTION.as_millis() as u64);
        cluster.groups[0].heal();
        pause(1000);
        cluster.net.network().clear_tap();
        t.scene("The test counts the bytes on the disks, while clients go on.");
        wait_for_fewer_bytes(&cluster, &mut keys, MOST);
        keys.check_all();
    });
}

/// From the first content on that goes from one group to another, the other groups reach one server of
/// group 0 alone. Counts the contents.
fn reach_one_server(cluster: &Cluster, server: usize) -> Arc<AtomicU64> {
    let contents = Arc::new(AtomicU64::new(0));
    let (count, caller) = (Arc::clone(&contents), cluster.callers());
    let (of_group, reached) = (format!("server-{}-", gid(0)), cluster.groups[0].name(server).clone());
    cluster.net.network().set_tap(move |event: &TapEvent<'_>| {
        if caller(event) != Some(Caller::Group) {
            return TapAction::Deliver;
        }
        if event.bytes.len() >= LONG {
            count.fetch_add(1, Ordering::Relaxed);
            return TapAction::Deliver;
        }
        let at_other = event.server.to_string().starts_with(&of_group) && *event.server != reached;
        let is_request = event.direction == Direction::Request;
        if is_request && at_other && count.load(Ordering::Relaxed) > 0 {
            TapAction::Drop
        } else {
            TapAction::Deliver
        }
    });
    contents
}

/// Waits until the disks hold at most so many bytes, while clients go on.
fn wait_for_fewer_bytes(cluster: &Cluster, keys: &mut Keys, most: usize) {
    let deadline = Instant::now() + PATIENCE;
    let mut stored = usize::MAX;
    while stored > most {
        cluster.test.expect_in_time(Instant::now() < deadline, || {
            format!("expected at most {most} bytes on the disks in the end, but they hold {stored}")
        });
        pause(500);
        for key in 0..10 {
            keys.client.append(&key.to_string(), "y");
            keys.values[key].push('y');
        }
        stored = cluster.bytes_on_disks();
    }
}

/// Counts the messages between groups that hold at least one value of this length.
fn count_contents(cluster: &Cluster, length: usize) -> Arc<AtomicU64> {
    let contents = Arc::new(AtomicU64::new(0));
    let (count, caller) = (Arc::clone(&contents), cluster.callers_of_groups());
    cluster.net.network().set_tap(move |event: &TapEvent<'_>| {
        if caller(event) == Some(Caller::Group) && event.bytes.len() >= length {
            count.fetch_add(1, Ordering::Relaxed);
        }
        TapAction::Deliver
    });
    contents
}
