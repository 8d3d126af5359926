//! Part 2D: snapshots.

use labrt::rand::random_range;
use raft::Raft;
use tester::{Cluster, Command, Retry, Setup, Test, run};

/// No server's Raft state may become longer than this, in bytes.
const MAX_LOG_SIZE: usize = 2000;

/// What happens to a server while the others go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Disconnect,
    Crash,
}

/// Snapshots keep the log short.
#[test]
fn snapshot_basic_2d() {
    run("snapshot_basic_2d", |t: &Test| snapshots(t, Setup::servers(3), Fault::None));
}

/// A follower that was cut off for long gets a snapshot.
#[test]
fn snapshot_install_2d() {
    run("snapshot_install_2d", |t: &Test| snapshots(t, Setup::servers(3), Fault::Disconnect));
}

/// The same on an unreliable network.
#[test]
fn snapshot_install_unreliable_2d() {
    run("snapshot_install_unreliable_2d", |t: &Test| {
        snapshots(t, Setup::servers(3).unreliable(), Fault::Disconnect);
    });
}

/// A follower that had crashed gets a snapshot.
#[test]
fn snapshot_install_crash_2d() {
    run("snapshot_install_crash_2d", |t: &Test| snapshots(t, Setup::servers(3), Fault::Crash));
}

/// The same on an unreliable network.
#[test]
fn snapshot_install_un_crash_2d() {
    run("snapshot_install_un_crash_2d", |t: &Test| {
        snapshots(t, Setup::servers(3).unreliable(), Fault::Crash);
    });
}

/// What the five tests above have in common.
fn snapshots(t: &Test, setup: Setup, fault: Fault) {
    let cluster = Cluster::<Raft>::new(t, setup.snapshots());
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let mut leader = cluster.check_one_leader();
    for iteration in 0..30 {
        let next = (leader + 1) % 3;
        // In every third round it happens to the leader.
        let (victim, sender) = if iteration % 3 == 1 { (leader, next) } else { (next, leader) };
        t.scene(format!("Round {iteration}: enough commands for a snapshot."));
        match fault {
            Fault::None => {}
            Fault::Disconnect => cluster.disconnect(victim),
            Fault::Crash => cluster.crash(victim),
        }
        if fault != Fault::None {
            cluster.agree_on(Command::random(), 2, Retry::Yes);
        }
        for _ in 0..11 {
            cluster.start(sender, Command::random());
        }
        cluster.agree_on(Command::random(), 2, Retry::Yes);
        let size = cluster.log_size();
        t.expect(size < MAX_LOG_SIZE, || {
            format!("expected logs shorter than {MAX_LOG_SIZE} bytes thanks to snapshots, but one has {size}")
        });
        match fault {
            Fault::None => continue,
            Fault::Disconnect => cluster.connect(victim),
            Fault::Crash => {
                cluster.restart(victim);
                cluster.connect(victim);
            }
        }
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        leader = cluster.check_one_leader();
    }
}

/// All servers crash at once, with and without snapshots, and go on where they were.
#[test]
fn snapshot_all_crash_2d() {
    run("snapshot_all_crash_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        for _ in 0..5 {
            t.scene("Some commands, perhaps enough for a snapshot.");
            for _ in 0..random_range(5..15) {
                cluster.agree_on(Command::random(), 3, Retry::Yes);
            }
            let before = cluster.agree_on(Command::random(), 3, Retry::Yes);

            t.scene("All servers crash and start again.");
            crash_all(&cluster);
            let after = cluster.agree_on(Command::random(), 3, Retry::Yes);
            t.expect(after > before, || {
                format!("a command was agreed on at index {after}, although index {before} was used before the crash")
            });
        }
    });
}

/// A server that starts from a snapshot knows that everything in it is committed and applied.
#[test]
fn snapshot_init_2d() {
    run("snapshot_init_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        t.scene("Enough commands for a snapshot.");
        for _ in 0..12 {
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
        t.scene("All crash, start again, and write to their disks.");
        crash_all(&cluster);
        cluster.agree_on(Command::random(), 3, Retry::Yes);

        t.scene("All crash again.");
        crash_all(&cluster);
        cluster.agree_on(Command::random(), 3, Retry::Yes);
    });
}

/// Crashes all servers, then starts and connects all.
fn crash_all(cluster: &Cluster<Raft>) {
    (0..cluster.len()).for_each(|server| cluster.crash(server));
    for server in 0..cluster.len() {
        cluster.restart(server);
        cluster.connect(server);
    }
}
