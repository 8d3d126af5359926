//! Directed tests of part 2D: crashes at the moments that matter.

use crate::rivals::wait_until;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, run};

/// How many commands bring a snapshot for certain.
const COMMANDS_PER_SNAPSHOT: usize = 10;

/// A snapshot and the log that goes on behind it change together: a crash between two writes to the disk finds either the
/// old ones or the new ones (§7).
#[test]
fn crash_at_snapshot_2d() {
    run("crash_at_snapshot_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        for distance in 0..3 {
            let victim = (cluster.check_one_leader() + distance) % 3;
            t.scene(format!("Server {victim} crashes while it saves its service's snapshot."));
            crash_at_snapshot(&cluster, victim);
            for _ in 0..COMMANDS_PER_SNAPSHOT {
                cluster.agree_on(Command::random(), 2, Retry::Yes);
            }
            expect_recovery(&cluster, victim);

            t.scene(format!(
                "Server {victim} misses some commands, and crashes while it saves the leader's snapshot."
            ));
            cluster.disconnect(victim);
            for _ in 0..COMMANDS_PER_SNAPSHOT {
                cluster.agree_on(Command::random(), 2, Retry::Yes);
            }
            crash_at_snapshot(&cluster, victim);
            cluster.connect(victim);
            expect_recovery(&cluster, victim);
        }
    });
}

/// From now on the server crashes as soon as a write brings a snapshot, or makes the Raft state shorter: right after this
/// write, before any other.
fn crash_at_snapshot(cluster: &Cluster<Raft>, server: usize) {
    let mut longest = 0;
    cluster.on_write(server, move |group, write| {
        let size = group.persister(server).state_size();
        if write.snapshot || size < longest {
            group.crash(server);
        }
        longest = longest.max(size);
    });
}

/// The server crashes soon, starts again, and has not lost anything.
fn expect_recovery(cluster: &Cluster<Raft>, server: usize) {
    let crashed = wait_until(2 * ELECTION, || !cluster.is_alive(server));
    cluster.test().exercised(crashed, "a server got no snapshot and so did not crash with it");
    cluster.restart(server);
    cluster.connect(server);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
}
