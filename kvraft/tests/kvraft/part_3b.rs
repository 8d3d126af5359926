//! Part 3B: a key/value service with snapshots.

use kvraft::KvServer;
use labrt::thread;
use tester::{ELECTION, Test, run};
use tester_kv::{KvCluster, KvSetup, Workload, speed};

use crate::part_3a::expect_value;

/// The limit of Raft's state that the servers are given, in bytes.
pub(crate) const MAX_RAFT_STATE: usize = 1000;

/// A server that was cut off for a long time catches up from a snapshot.
#[test]
fn snapshot_rpc_3b() {
    run("snapshot_rpc_3b", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3).snapshots(MAX_RAFT_STATE));
        let mut first = cluster.make_client(&[0, 1, 2]);
        first.put("a", "A");
        expect_value(t, "a", "A", &first.get("a"));

        // The course's 50 fill the log only just, if a solution writes small entries.
        t.scene("Server 2 is cut off while a client puts 100 keys.");
        cluster.partition(&[&[0, 1], &[2]]);
        let mut clerk = cluster.make_client(&[0, 1]);
        for number in 0..100 {
            clerk.put(&number.to_string(), &number.to_string());
        }
        thread::sleep(ELECTION);
        clerk.put("b", "B");
        cluster.expect_short_logs();

        t.scene("Server 1 is cut off instead. The majority needs server 2, which must catch up.");
        cluster.partition(&[&[0, 2], &[1]]);
        let mut clerk = cluster.make_client(&[0, 2]);
        clerk.put("c", "C");
        clerk.put("d", "D");
        for (key, value) in [("a", "A"), ("b", "B"), ("1", "1"), ("49", "49")] {
            expect_value(t, key, value, &clerk.get(key));
        }
        t.exercised(cluster.persister(2).snapshot_size() > 0, "server 2 never had a snapshot");

        t.scene("All links are restored.");
        cluster.partition(&[&[0, 1, 2]]);
        first.put("e", "E");
        for (key, value) in [("c", "C"), ("e", "E"), ("1", "1")] {
            expect_value(t, key, value, &first.get(key));
        }
    });
}

/// Snapshots stay small and keep the log short.
#[test]
fn snapshot_size_3b() {
    run("snapshot_size_3b", |t: &Test| {
        /// Limit of a snapshot in bytes; the state is a single character.
        const MAX_SNAPSHOT: usize = 500;
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3).snapshots(MAX_RAFT_STATE));
        let mut clerk = cluster.make_client(&cluster.all());
        cluster.usual_delays();
        t.scene("One key changes 400 times.");
        for _ in 0..200 {
            for value in ["0", "1"] {
                clerk.put("x", value);
                expect_value(t, "x", value, &clerk.get("x"));
            }
        }
        cluster.expect_short_logs();
        cluster.expect_snapshots_up_to(MAX_SNAPSHOT);
        t.exercised(cluster.snapshot_size() > 0, "no server ever made a snapshot");
    });
}

/// An operation takes less than a heartbeat, also with snapshots.
#[test]
fn speed_3b() {
    run("speed_3b", |t: &Test| {
        speed(&KvCluster::<KvServer>::new(t, KvSetup::servers(3).snapshots(MAX_RAFT_STATE)));
    });
}

/// All servers crash and restart from snapshots.
#[test]
fn snapshot_recover_3b() {
    run("snapshot_recover_3b", |t: &Test| {
        Workload::new(1, 5).restarts().snapshots(MAX_RAFT_STATE).run::<KvServer>(t);
    });
}

/// The same with many clients.
#[test]
fn snapshot_recover_many_clients_3b() {
    run("snapshot_recover_many_clients_3b", |t: &Test| {
        Workload::new(20, 5).restarts().snapshots(MAX_RAFT_STATE).run::<KvServer>(t);
    });
}

/// Snapshots over a network that loses messages.
#[test]
fn snapshot_unreliable_3b() {
    run("snapshot_unreliable_3b", |t: &Test| {
        Workload::new(5, 5).unreliable().snapshots(MAX_RAFT_STATE).run::<KvServer>(t);
    });
}

/// The same with crashes of all servers.
#[test]
fn snapshot_unreliable_recover_3b() {
    run("snapshot_unreliable_recover_3b", |t: &Test| {
        Workload::new(5, 5).unreliable().restarts().snapshots(MAX_RAFT_STATE).run::<KvServer>(t);
    });
}

/// The same with partitions.
#[test]
fn snapshot_unreliable_recover_concurrent_partition_3b() {
    run("snapshot_unreliable_recover_concurrent_partition_3b", |t: &Test| {
        let workload = Workload::new(5, 5).unreliable().restarts().partitions();
        workload.snapshots(MAX_RAFT_STATE).run::<KvServer>(t);
    });
}

/// The same with more servers, and with many clients that share all keys.
#[test]
fn snapshot_unreliable_recover_concurrent_partition_linearizable_3b() {
    run("snapshot_unreliable_recover_concurrent_partition_linearizable_3b", |t: &Test| {
        let workload = Workload::new(15, 7).unreliable().restarts().partitions().random_keys();
        workload.snapshots(MAX_RAFT_STATE).run::<KvServer>(t);
    });
}
