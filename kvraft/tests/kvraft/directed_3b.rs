//! Part 3B, directed: what must survive in a snapshot, and crashes while one is written.

use crate::directed_3a::expect_appends;
use crate::part_3b::MAX_RAFT_STATE;
use kvraft::KvServer;
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicUsize, Ordering};
use labrt::thread;
use std::time::Duration;
use tester::kv::{KvCluster, KvSetup, PATIENCE, element};
use tester::{ELECTION, Test, run};

/// An append is carried out, and its reply is lost. Before it is asked for again, all servers crash, and start from snapshots:
/// these must know what has been done for whom.
#[test]
fn sessions_in_snapshots_3b() {
    run("sessions_in_snapshots_3b", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3).snapshots(MAX_RAFT_STATE));
        let all = cluster.all();
        let (mut clerk, mut other) = (cluster.make_client(&all), cluster.make_client(&all));
        let client = cluster.client(&clerk);
        clerk.put("x", "");
        for number in 0..3 {
            t.scene("An append is carried out, but its client does not hear of it.");
            cluster.cut_replies(client, &all, true);
            let append = cluster.begin(move || {
                clerk.append("x", &element(0, number));
                clerk
            });
            thread::sleep(ELECTION / 4);
            cluster.disconnect_client(client, &all);
            cluster.cut_replies(client, &all, false);

            t.scene("Others do enough for a snapshot. All servers crash and start again.");
            (0..100).for_each(|number| other.put("y", &number.to_string()));
            let made =
                cluster.all().into_iter().filter(|&server| cluster.persister(server).snapshot_size() > 0);
            t.exercised(made.count() >= 2, "a majority of the servers made no snapshot");
            cluster.crash_all();
            cluster.restart_all();

            t.scene("The client asks again.");
            cluster.connect_client(client, &all);
            clerk = append.within(PATIENCE, "an append that was carried out before a crash");
        }
        expect_appends(t, &clerk.get("x"), &[(0, 3)]);
    });
}

/// Clients wait for a leader that is cut off. When it is back, a snapshot puts it behind the places of their commands: it never
/// learns what stood there, and must let the clients go.
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
            "The leader is cut off, with three clients. The others go on, so far that they need snapshots.",
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

        t.scene("All links are there again.");
        cluster.connect_all();
        thread::sleep(ELECTION);
        t.exercised(cluster.persister(old).snapshot() != before, "the old leader got no snapshot");
        clients.into_iter().for_each(|client| cluster.connect_client(client, &all));
        for append in appends {
            append.within(Duration::from_secs(3), "an append that a deposed leader was asked for");
        }
        expect_appends(t, &first.get("x"), &[(0, 1), (1, 1), (2, 1)]);
    });
}

/// Servers crash right after they have written a snapshot to their disks, while clients go on.
#[test]
fn crash_after_snapshot_3b() {
    run("crash_after_snapshot_3b", |t: &Test| {
        const APPENDS: usize = 100;
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3).snapshots(MAX_RAFT_STATE));
        let mut first = cluster.make_client(&cluster.all());
        first.put("x", "");
        t.scene("Two clients append to one key. Whoever makes a snapshot may crash over it.");
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
        t.exercised(crashes.load(Ordering::Relaxed) > 0, "no server crashed over a snapshot");
        for client in clients {
            client.within(3 * PATIENCE, "a client's appends");
        }
        expect_appends(t, &first.get("x"), &[(0, APPENDS), (1, APPENDS)]);
    });
}

/// The server's present incarnation crashes right behind its next snapshot.
fn crash_at_snapshot(cluster: &KvCluster<KvServer>, server: usize, crashes: &Arc<AtomicUsize>) {
    let crashes = Arc::clone(crashes);
    cluster.on_write(server, move |group, write| {
        if write.snapshot {
            crashes.fetch_add(1, Ordering::Relaxed);
            group.crash(server);
        }
    });
}
