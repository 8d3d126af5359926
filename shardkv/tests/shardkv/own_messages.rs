// handout: file guided
//! Tests that send or intercept this solution's own messages, so that they need its RPCs: garbage whose
//! messages are lost, and requests that nobody sends.

use std::sync::Arc;

use kvraft::Operation;
use labrpc::{Direction, TapAction, TapEvent};
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::time::Instant;
use rsm::Request;
use shardkv::{GroupView, Handover, KvError, PullError, ShardPeer, Stage};
use tester::{Test, run};

use crate::clients::Keys;
use crate::cluster::{Cluster, Options, PATIENCE, SERVERS, pause};

/// The next owner's messages that the shards have arrived are lost. The former owner keeps the
/// shards through all crashes, and deletes them after a message gets through.
#[test]
fn garbage_4c() {
    run("garbage_4c", |t: &Test| {
        let cluster = Cluster::new(t, Options::new().snapshots(300));
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 100);
        t.scene("Group 1 takes over. Its messages that it has the shards are lost.");
        let lost = drop_all(&cluster, "ShardRpc.discard", Direction::Request);
        cluster.join(&[1]);
        cluster.leave(&[0]);
        keys.check_all();
        pause(1000);
        expect_waiting(&cluster, 0, 10);
        t.exercised(lost.load(Ordering::SeqCst) > 0, "group 1 sent no message about garbage");
        t.scene("Both groups restart. Group 0 still keeps the shards.");
        for group in [1, 0] {
            cluster.shutdown_group(group);
            cluster.start_group(group);
        }
        keys.check_all();
        expect_waiting(&cluster, 0, 10);
        t.scene("The messages get through, but the replies are lost. Group 0 deletes its copies.");
        let lost = drop_all(&cluster, "ShardRpc.discard", Direction::Reply);
        pause(2000);
        expect_waiting(&cluster, 0, 0);
        t.exercised(lost.load(Ordering::SeqCst) > 0, "no reply was lost");
        cluster.net.network().clear_tap();
        cluster.settle_without_garbage(PATIENCE);
        keys.check_all();
    });
}

/// Waits until each server of the group keeps `expected` shards for their next owners.
fn expect_waiting(cluster: &Cluster, group: usize, expected: usize) {
    if !cluster.sees_groups() {
        return cluster.test.unwatched("shards kept for others; implement `watch_group`");
    }
    let waiting =
        |view: &GroupView| view.tenures.iter().filter(|tenure| tenure.stage == Stage::Waiting).count();
    let found = || -> Vec<Option<usize>> {
        (0..SERVERS).map(|server| cluster.shown_by(group, server, waiting)).collect()
    };
    let deadline = Instant::now() + PATIENCE;
    while found() != [Some(expected); SERVERS] {
        cluster.test.expect_in_time(Instant::now() < deadline, || {
            format!(
                "expected group {group}'s servers to keep {expected} shards for others, but they keep {:?}",
                found()
            )
        });
        pause(50);
    }
}

/// Drops all messages of this kind from now on. Returns their number so far.
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

/// Servers refuse requests that no clerk or group sends, and the requests change nothing.
#[test]
fn strange_requests_4b() {
    run("strange_requests_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let leader = cluster.leader_of(0);
        let peer = ShardPeer::new(cluster.end_of(0, leader));
        t.scene("Requests for handovers that do not exist.");
        for (shard, config) in [(0, 0), (0, 1), (0, u64::MAX), (10, 1), (usize::MAX, 1)] {
            let handover = Handover { shard, config };
            let answer = peer.pull(&handover);
            t.expect(matches!(answer, Ok(Err(PullError::NotYet | PullError::Gone))), || {
                format!("{answer:?}")
            });
            drop(peer.discard(&handover));
        }
        t.scene("A key that is too long, and the empty key.");
        let long = "k".repeat(kvraft::MAX_KEY + 1);
        let command = Operation::Put { key: long, value: String::new() };
        let answer = peer.operate(&Request { client: 1, sequence: 1, command });
        assert_eq!(answer, Ok(Err(KvError::TooLarge)));
        keys.check_and_append_all(5);
        let empty = cluster.client().get("");
        assert_eq!(empty, "", "the empty key was never written");
        keys.check_all();
    });
}
