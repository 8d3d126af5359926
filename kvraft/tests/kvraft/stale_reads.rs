//! A scenario that several ways to read must pass: reads at a leader that is cut off.

use std::time::Duration;

use kvraft::KvServer;
use labapi::KvServer as _;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use tester::ELECTION;
use tester_kv::KvCluster;

/// Time limit of a read after all links are restored.
const AFTER_HEALING: Duration = Duration::from_secs(3);

/// Clients read from a leader while it is cut off, and other clients put new values at its successor. No read
/// may return an old value.
pub(crate) fn stale_reads(cluster: &KvCluster<KvServer>) {
    let t = cluster.test();
    let all = cluster.all();
    let mut exercised = false;
    for round in 0..3 {
        let old = cluster.wait_leader();
        let others: Vec<usize> = all.iter().copied().filter(|&server| server != old).collect();
        let (mut writer, mut reader) = (cluster.make_client(&all), cluster.make_client(&[old]));
        let client = cluster.client(&reader);
        writer.put("x", &format!("{round} before"));

        t.scene("A client reads from the leader, and keeps doing so after the other servers are cut off.");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reads = cluster.begin(move || {
            while !stopped.load(Ordering::Relaxed) {
                reader.get("x");
            }
            reader.get("x")
        });
        thread::sleep(ELECTION / 10);
        cluster.partition(&[&others, &[old]]);
        let mut writer = cluster.make_client(&others);
        for number in 0..20 {
            writer.put("x", &format!("{round} after {number}"));
            let leads = cluster.visit(old, |server| server.is_leader());
            exercised |= leads == Some(true);
        }
        let (last, mut late) = (writer.get("x"), cluster.make_client(&[old]));
        let late_client = cluster.client(&late);
        let late = cluster.begin(move || late.get("x"));
        thread::sleep(ELECTION / 2);

        t.scene("All links are restored.");
        stop.store(true, Ordering::Relaxed);
        cluster.connect_all();
        [client, late_client].iter().for_each(|&client| cluster.connect_client(client, &all));
        for read in [reads, late] {
            let value = read.within(AFTER_HEALING, "a read sent to a minority");
            t.expect(value == last, || format!("expected key \"x\" to be {last:?}, but it is {value:?}"));
        }
    }
    t.exercised(exercised, "no old leader believed it led while a new one served");
}
