//! Part 3B, directed: the content of snapshots, and crashes right after one is written.

use std::time::Duration;

use kvraft::KvServer;
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicUsize, Ordering};
use labrt::thread;
use tester::{ELECTION, Test, run};
use tester_kv::{KvCluster, KvSetup, PATIENCE, element};

use crate::directed_3a::expect_appends;
use crate::part_3b::MAX_RAFT_STATE;

/// The servers apply an append, and its reply is lost. Before the client retries, all servers crash and
/// restart from snapshots. The snapshots must hold the sessions, or the append takes effect twice.
#[test]
fn sessions_in_snapshots_3b() {
    run("sessions_in_snapshots_3b", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3).snapshots(MAX_RAFT_STATE));
        let all = cluster.all();
        let (mut clerk, mut other) = (cluster.make_client(&all), cluster.make_client(&all));
        let client = cluster.client(&clerk);
        clerk.put("x", "");
        for number in 0..3 {
            t.scene("The servers apply an append, but its reply is lost.");
            cluster.cut_replies(client, &all, true);
            let append = cluster.begin(move || {
                clerk.append("x", &element(0, number));
                clerk
            });
            thread::sleep(ELECTION / 4);
            cluster.disconnect_client(client, &all);
            cluster.cut_replies(client, &all, false);

            t.scene("Another client writes enough for a snapshot. All servers crash and restart.");
            (0..100).for_each(|number| other.put("y", &number.to_string()));
            let made =
                cluster.all().into_iter().filter(|&server| cluster.persister(server).snapshot_size() > 0);
            t.exercised(made.count() >= 2, "a majority of the servers made no snapshot");
            cluster.crash_all();
            cluster.restart_all();

            t.scene("The client retries.");
            cluster.connect_client(client, &all);
            clerk = append.within(PATIENCE, "an append that took effect before a crash");
        }
        expect_appends(t, &clerk.get("x"), &[(0, 3)]);
    });
}

/// Clients wait for a leader that is cut off. After the links are restored, a snapshot carries that server
/// past the places of their commands. It never learns which commands took those places, and must still end
/// the waits.
#[test]
fn deposed_leader_3b() {
    run("deposed_leader_3b", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3).snapshots(MAX_RAFT_STATE));
        let all = cluster.all();
        let mut first = cluster.make_client(&all);
        first.put("x", "");
        let old = cluster.wait_leader();
        let others: Vec<usize> = all.iter().copied().filter(|&server| server != old).collect();
        let before = cluster.persister(old).snapshot();

        t.scene(
            "The leader is cut off with three clients. The others write so much that they make snapshots.",
        );
        cluster.partition(&[&others, &[old]]);
        let (clients, appends): (Vec<_>, Vec<_>) = (0..3)
            .map(|client| {
                let mut clerk = cluster.make_client(&[old]);
                let name = cluster.client(&clerk);
                (name, cluster.begin(move || clerk.append("x", &element(client, 0))))
            })
            .unzip();
        let mut clerk = cluster.make_client(&others);
        (0..100).for_each(|number| clerk.put("y", &number.to_string()));

        t.scene("All links are restored.");
        cluster.connect_all();
        thread::sleep(ELECTION);
        t.exercised(cluster.persister(old).snapshot() != before, "the old leader did not receive a snapshot");
        clients.into_iter().for_each(|client| cluster.connect_client(client, &all));
        for append in appends {
            append.within(Duration::from_secs(3), "an append sent to a deposed leader");
        }
        expect_appends(t, &first.get("x"), &[(0, 1), (1, 1), (2, 1)]);
    });
}

/// Servers crash right after they write a snapshot to their disks, while clients go on.
#[test]
fn crash_after_snapshot_3b() {
    run("crash_after_snapshot_3b", |t: &Test| {
        const APPENDS: usize = 100;
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3).snapshots(MAX_RAFT_STATE));
        let mut first = cluster.make_client(&cluster.all());
        first.put("x", "");
        t.scene("Two clients append to one key. Some servers crash right after they write a snapshot.");
        let clients = [0, 1].map(|client| {
            let mut clerk = cluster.make_client(&cluster.all());
            cluster.begin(move || {
                (0..APPENDS).for_each(|number| clerk.append("x", &element(client, number)));
            })
        });
        let crashes = Arc::new(AtomicUsize::new(0));
        for _ in 0..8 {
            let victim = random_range(0..3);
            crash_at_snapshot(&cluster, victim, &crashes);
            thread::sleep(ELECTION / 2);
            cluster.restart(victim);
            cluster.connect(victim);
        }
        cluster.recover();
        t.exercised(crashes.load(Ordering::Relaxed) > 0, "no server crashed after a snapshot");
        for client in clients {
            client.within(3 * PATIENCE, "a client's appends");
        }
        expect_appends(t, &first.get("x"), &[(0, APPENDS), (1, APPENDS)]);
    });
}

/// Has the server's present incarnation crash right after its next snapshot.
fn crash_at_snapshot(cluster: &KvCluster<KvServer>, server: usize, crashes: &Arc<AtomicUsize>) {
    let crashes = Arc::clone(crashes);
    cluster.on_write(server, move |group, write| {
        if write.snapshot {
            crashes.fetch_add(1, Ordering::Relaxed);
            group.crash(server);
        }
    });
}
