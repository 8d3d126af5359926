// handout: file never
//! Reads without the log, directed: answers that come late, and clocks at the limit of what a lease allows.

use std::time::Duration;

use kvraft::{KvServer, Reads};
use labapi::{KvServer as _, Lease};
use labrpc::{DelayModel, Direction, Name, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use labrt::thread;
use tester::{ELECTION, Test, run};
use tester_kv::{KvCluster, KvSetup, PATIENCE};

fn cluster(t: &Test, servers: usize, reads: Reads) -> KvCluster<KvServer> {
    KvCluster::with(t, KvSetup::servers(servers), move |ends, me, persister, max_raft_state| {
        KvServer::start_with(ends, me, persister, max_raft_state, reads)
    })
}

/// Followers answer their leader, and the answers take two seconds. Meanwhile the leader is cut off, and the
/// others have a new one. A read at the old leader must not take the late answers for a proof that it leads
/// now: they prove that it led when its messages left (dissertation §6.4, step 3).
#[test]
fn read_index_late_answers_3c() {
    run("read_index_late_answers_3c", |t: &Test| {
        let cluster = cluster(t, 3, Reads::ReadIndex);
        let mut deceived = 0;
        for round in 0..3 {
            let mut writer = cluster.make_client(&cluster.all());
            writer.put("x", &format!("{round} old"));
            let old = cluster.wait_leader();
            let others: Vec<usize> = (0..3).filter(|&server| server != old).collect();

            t.scene("Answers to the leader take two seconds. It is cut off after a heartbeat.");
            let delayed = Arc::new(AtomicU64::new(0));
            let count = Arc::clone(&delayed);
            let links: Vec<Name> = others.iter().map(|&to| Name::from(cluster.link(old, to))).collect();
            cluster.net().network().set_tap(move |event| {
                if event.direction == Direction::Reply && links.contains(event.end) {
                    count.fetch_add(1, Ordering::Relaxed);
                    return TapAction::Delay(Duration::from_secs(2));
                }
                TapAction::Deliver
            });
            thread::sleep(Duration::from_millis(250));
            cluster.partition(&[&others, &[old]]);
            cluster.net().network().clear_tap();

            t.scene("The others have a new leader and a new value. A client reads at the old leader.");
            let mut writer = cluster.make_client(&others);
            let new = format!("{round} new");
            writer.put("x", &new);
            let mut reader = cluster.make_client(&[old]);
            let client = cluster.client(&reader);
            deceived += u64::from(cluster.visit(old, |server| server.is_leader()) == Some(true));
            let read = cluster.begin(move || reader.get("x"));
            thread::sleep(2 * ELECTION);
            t.scene("All links are restored.");
            cluster.connect_all();
            cluster.connect_client(client, &cluster.all());
            let value = read.within(PATIENCE, "a read");
            t.expect(value == new, || format!("expected key \"x\" to be {new:?}, but it is {value:?}"));
            t.exercised(delayed.load(Ordering::Relaxed) > 1, "no answers came late");
        }
        t.exercised(deceived > 0, "no old leader believed it led when it was asked");
    });
}

/// The leader's clock is as slow as the lease allows, and all others are as fast. The leader's lease must end
/// before the promises do (dissertation §6.4.1: a lease lasts for the election timeout divided by the clock
/// drift bound).
#[test]
fn lease_at_the_limit_of_drift_3c() {
    run("lease_at_the_limit_of_drift_3c", |t: &Test| {
        const DRIFT: f64 = 0.1;
        let mut exercised = false;
        for _ in 0..30 {
            let cluster = cluster(t, 5, Reads::Lease(Lease { max_clock_drift: DRIFT }));
            cluster.net().network().set_delay(DelayModel::fixed(Duration::from_micros(100)));
            let mut writer = cluster.make_client(&cluster.all());
            writer.put("x", "before");
            let old = cluster.wait_leader();
            let others: Vec<usize> = (0..5).filter(|&server| server != old).collect();
            for server in 0..5 {
                cluster.set_clock_rate(server, if server == old { 1.0 - DRIFT } else { 1.0 + DRIFT });
            }
            thread::sleep(ELECTION / 2);

            t.scene(
                "A client reads from the leader all the time. The leader is cut off, and the others go on.",
            );
            let (mut reader, mut writer) = (cluster.make_client(&[old]), cluster.make_client(&others));
            let client = cluster.client(&reader);
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = Arc::clone(&stop);
            let reads = cluster.begin(move || {
                while !stopped.load(Ordering::Relaxed) {
                    reader.get("x");
                    thread::sleep(Duration::from_millis(1));
                }
            });
            thread::sleep(Duration::from_millis(100));
            cluster.partition(&[&others, &[old]]);
            for number in 0..10 {
                writer.put("x", &format!("after {number}"));
            }
            exercised |= cluster.elections().is_none_or(|elections| elections > 1);
            stop.store(true, Ordering::Relaxed);
            cluster.connect_all();
            cluster.connect_client(client, &cluster.all());
            reads.within(PATIENCE, "the reads");
        }
        t.exercised(exercised, "the others elected no leader");
    });
}
