//! Parts 2B and 2D: one link that is slower than all others, and a snapshot that takes longer than all other
//! messages.

use std::time::Duration;

use labrpc::{DelayModel, Direction, Name, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicU64, Ordering};
use raft::Raft;
use tester::{Cluster, Command, Retry, Setup, Test, run};

/// One-way delay of the slow link. A round trip takes two of these, which is much longer than on the other
/// links, and shorter than an election timeout.
const SLOW: Duration = Duration::from_millis(100);

/// A follower of five is behind a slow link. Its answers come late and count all the same: it gets every
/// command, and the leader stays.
#[test]
fn slow_link_2b() {
    run("slow_link_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        cluster.agree_on(Command::random(), 5, Retry::Yes);
        let leader = cluster.check_one_leader();
        let follower = (leader + 1) % 5;
        let term = cluster.highest_term();

        t.scene(format!("A round trip between the leader and server {follower} takes {:?}.", 2 * SLOW));
        for (from, to) in [(leader, follower), (follower, leader)] {
            cluster.net().network().set_end_delay(cluster.link(from, to), DelayModel::fixed(SLOW));
        }
        for _ in 0..20 {
            cluster.agree_on(Command::random(), 5, Retry::Yes);
        }
        t.exercised(cluster.highest_term() == term, "another server leads, over quick links");

        t.scene("The other followers are cut off but one, so that the slow one is needed.");
        let leader = cluster.check_one_leader();
        let others = (0..5).filter(|&server| server != leader && server != follower);
        others.skip(1).for_each(|server| cluster.disconnect(server));
        for _ in 0..5 {
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
        (0..5).for_each(|server| cluster.connect(server));
        cluster.agree_on(Command::random(), 5, Retry::Yes);
    });
}

/// Length of the commands in [`slow_snapshot_2d`]: a snapshot of 29 of them is longer than any other message.
const TEXT: usize = 1000;

/// How long a message with a snapshot is on its way in [`slow_snapshot_2d`].
const TRANSFER: Duration = Duration::from_millis(500);

/// A snapshot takes half a second, and all other messages are quick. The leader must not give up the call,
/// send the snapshot anew and forget the answer that comes after all; nor may it be silent for so long.
#[test]
fn slow_snapshot_2d() {
    run("slow_snapshot_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let victim = (cluster.check_one_leader() + 1) % 3;
        cluster.crash(victim);
        t.scene("The others go on without a follower, until they have a snapshot that it needs.");
        for _ in 0..32 {
            cluster.agree_on(Command::random_text(TEXT), 2, Retry::Yes);
        }
        t.scene("The follower is back. Messages with a snapshot take half a second.");
        let delayed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&delayed);
        cluster.restart(victim);
        let links = [1, 2].map(|distance| Name::from(cluster.link((victim + distance) % 3, victim)));
        cluster.net().network().set_tap(move |event| {
            let is_snapshot = event.direction == Direction::Request && event.bytes.len() > 20 * TEXT;
            if !is_snapshot || !links.contains(event.end) {
                return TapAction::Deliver;
            }
            count.fetch_add(1, Ordering::Relaxed);
            TapAction::Delay(TRANSFER)
        });
        cluster.connect(victim);
        for _ in 0..5 {
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
        cluster.net().network().clear_tap();
        t.exercised(delayed.load(Ordering::Relaxed) > 0, "no message carried a snapshot");
    });
}
