//! A follower that crashes when it has acknowledged a snapshot, for Part 2D and for disks that lose writes.

use std::time::Duration;

use labrpc::{Direction, Name, TapAction};
use labrt::channel::unbounded;
use labrt::thread;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Retry};

/// Length of the commands.
const TEXT: usize = 1000;

/// Bytes from which on a request carries a snapshot. Entries are sent one by one.
const CARRIES_SNAPSHOT: usize = 15 * TEXT;

/// One attempt; whether the follower crashed when it had acknowledged a snapshot.
pub(crate) fn take_snapshot_and_crash(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let follower = (leader + 1) % 3;
    t.scene("The others go on without a follower, until they have a snapshot that it needs.");
    cluster.disconnect(follower);
    for _ in 0..22 {
        cluster.agree_on(Command::random_text(TEXT), 2, Retry::Yes);
    }
    t.scene("It is back, and crashes as soon as it has acknowledged the snapshot.");
    let (sender, receiver) = unbounded();
    let links = [0, 1, 2].map(|from| Name::from(cluster.link(from, follower)));
    let mut sent = false;
    cluster.net().network().set_tap(move |event| {
        if links.contains(event.end) {
            sent |= event.direction == Direction::Request && event.bytes.len() >= CARRIES_SNAPSHOT;
            if sent && event.direction == Direction::Reply {
                // After the first one the channel is closed.
                let _ = sender.send(());
            }
        }
        TapAction::Deliver
    });
    cluster.connect(follower);
    let acknowledged = receiver.recv_timeout(3 * ELECTION).is_ok();
    // The tap sees the reply just before it leaves: wait until it has left.
    thread::sleep(Duration::from_micros(1));
    cluster.crash(follower);
    cluster.net().network().clear_tap();
    t.scene("It starts again, and the leader goes on as if nothing had happened.");
    thread::sleep(ELECTION / 20);
    cluster.restart(follower);
    cluster.connect(follower);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    acknowledged
}
