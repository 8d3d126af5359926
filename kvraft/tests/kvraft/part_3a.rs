//! Part 3A: a key/value service without snapshots.

use std::time::Duration;

use kvraft::KvServer;
use labrt::thread;
use tester::{ELECTION, Test, run};
use tester_kv::{KvCluster, KvSetup, Workload, check_appends, element, speed};

/// One client, no faults.
#[test]
fn basic_3a() {
    run("basic_3a", |t: &Test| Workload::new(1, 5).run::<KvServer>(t));
}

/// An operation takes less than a heartbeat.
#[test]
fn speed_3a() {
    run("speed_3a", |t: &Test| speed(&KvCluster::<KvServer>::new(t, KvSetup::servers(3))));
}

/// Five clients, no faults.
#[test]
fn concurrent_3a() {
    run("concurrent_3a", |t: &Test| Workload::new(5, 5).run::<KvServer>(t));
}

/// The network loses requests and replies.
#[test]
fn unreliable_3a() {
    run("unreliable_3a", |t: &Test| Workload::new(5, 5).unreliable().run::<KvServer>(t));
}

/// Many clients append to one key, over a network that loses requests and replies.
#[test]
fn unreliable_one_key_3a() {
    run("unreliable_one_key_3a", |t: &Test| {
        const CLIENTS: usize = 5;
        const APPENDS: usize = 10;
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3).unreliable());
        let all = cluster.all();
        let mut clerk = cluster.make_client(&all);
        clerk.put("k", "");

        t.scene(format!("{CLIENTS} clients append to one key, {APPENDS} times each."));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let mut clerk = cluster.make_client(&all);
                thread::spawn(move || {
                    (0..APPENDS).for_each(|number| clerk.append("k", &element(client, number)));
                })
            })
            .collect();
        for client in clients {
            // A panic of the thread fails the run by itself.
            let _ = client.join();
        }
        let value = clerk.get("k");
        let counts: Vec<_> = (0..CLIENTS).map(|client| (client, APPENDS)).collect();
        if let Err(complaint) = check_appends(&value, &counts) {
            t.fail(complaint);
        }
        t.exercised(cluster.lost_replies() > 0, "no reply to a client was ever lost");
    });
}

/// A majority makes progress without the others. The minority answers nothing, and catches up after the
/// partition.
#[test]
fn one_partition_3a() {
    run("one_partition_3a", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(5));
        let all = cluster.all();
        let mut first = cluster.make_client(&all);
        first.put("1", "13");

        t.scene("The leader is in a minority. The majority makes progress.");
        let (majority, minority) = cluster.make_partition();
        cluster.partition(&[&majority, &minority]);
        let mut clerk = cluster.make_client(&majority);
        let [mut putting, mut getting] = [(); 2].map(|()| cluster.make_client(&minority));
        let others = [cluster.client(&putting), cluster.client(&getting)];
        clerk.put("1", "14");
        expect_value(t, "1", "14", &clerk.get("1"));

        t.scene("The minority must not answer.");
        let put = cluster.begin(move || putting.put("1", "15"));
        let get = cluster.begin(move || getting.get("1"));
        thread::sleep(Duration::from_secs(1));
        t.expect(!put.is_done(), || "a minority carried out a put".to_owned());
        t.expect(!get.is_done(), || "a minority answered a get".to_owned());
        expect_value(t, "1", "14", &clerk.get("1"));
        clerk.put("1", "16");
        expect_value(t, "1", "16", &clerk.get("1"));

        t.scene("All links are restored. The requests sent to the minority complete now.");
        cluster.connect_all();
        others.iter().for_each(|&client| cluster.connect_client(client, &all));
        thread::sleep(ELECTION);
        put.within(Duration::from_secs(3), "the put sent to the minority");
        let value = get.within(Duration::from_secs(3), "the get sent to the minority");
        // The get is concurrent with the put.
        t.expect(value == "16" || value == "15", || {
            format!("expected a get of key \"1\" to read \"16\" or \"15\", but it read {value:?}")
        });
        expect_value(t, "1", "15", &first.get("1"));
        let elected = cluster.elections().is_none_or(|elections| elections > 1);
        t.exercised(elected, "the leader did not change");
    });
}

/// Fails the test unless a key has the expected value.
pub(crate) fn expect_value(t: &Test, key: &str, expected: &str, value: &str) {
    t.expect(value == expected, || format!("expected key {key:?} to be {expected:?}, but it is {value:?}"));
}

/// Partitions change again and again.
#[test]
fn many_partitions_one_client_3a() {
    run("many_partitions_one_client_3a", |t: &Test| Workload::new(1, 5).partitions().run::<KvServer>(t));
}

/// The same with many clients.
#[test]
fn many_partitions_many_clients_3a() {
    run("many_partitions_many_clients_3a", |t: &Test| Workload::new(5, 5).partitions().run::<KvServer>(t));
}

/// All servers crash and restart from their disks.
#[test]
fn persist_one_client_3a() {
    run("persist_one_client_3a", |t: &Test| Workload::new(1, 5).restarts().run::<KvServer>(t));
}

/// The same with many clients.
#[test]
fn persist_concurrent_3a() {
    run("persist_concurrent_3a", |t: &Test| Workload::new(5, 5).restarts().run::<KvServer>(t));
}

/// The same over a network that loses messages.
#[test]
fn persist_concurrent_unreliable_3a() {
    run("persist_concurrent_unreliable_3a", |t: &Test| {
        Workload::new(5, 5).unreliable().restarts().run::<KvServer>(t);
    });
}

/// Partitions and crashes.
#[test]
fn persist_partition_3a() {
    run("persist_partition_3a", |t: &Test| Workload::new(5, 5).restarts().partitions().run::<KvServer>(t));
}

/// Partitions and crashes, over a network that loses messages.
#[test]
fn persist_partition_unreliable_3a() {
    run("persist_partition_unreliable_3a", |t: &Test| {
        Workload::new(5, 5).unreliable().restarts().partitions().run::<KvServer>(t);
    });
}

/// The same with more servers, and with many clients that share all keys.
#[test]
fn persist_partition_unreliable_linearizable_3a() {
    run("persist_partition_unreliable_linearizable_3a", |t: &Test| {
        Workload::new(15, 7).unreliable().restarts().partitions().random_keys().run::<KvServer>(t);
    });
}
