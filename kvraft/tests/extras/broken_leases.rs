// handout: file never
//! Leases on a clock that drifts more than they allow. The check of the history finds the stale read.

use kvraft::{KvServer, Reads};
use labapi::Lease;
use labrt::thread;
use tester::{ELECTION, Test, try_seed};
use tester_kv::{KvCluster, KvSetup};

/// The leader's clock runs at `rate` while the leader is cut off from the other servers. At a rate of 0.1 it
/// holds its lease ten times as long as they promised. A client reads from it after the others have a new
/// leader and a new value.
fn slow_leader(t: &Test, rate: f64) {
    let reads = Reads::Lease(Lease { max_clock_drift: 0.1 });
    let cluster = KvCluster::with(t, KvSetup::servers(3), move |ends, me, persister, max_raft_state| {
        KvServer::start_with(ends, me, persister, max_raft_state, reads)
    });
    let mut writer = cluster.make_client(&cluster.all());
    writer.put("x", "old");
    let old = cluster.wait_leader();
    let others: Vec<usize> = cluster.all().into_iter().filter(|&server| server != old).collect();
    let (mut writer, mut reader) = (cluster.make_client(&others), cluster.make_client(&[old]));

    t.scene("The leader's clock is slow. The leader is cut off, and the other servers go on.");
    cluster.set_clock_rate(old, rate);
    cluster.partition(&[&others, &[old]]);
    writer.put("x", "new");
    let client = cluster.client(&reader);
    let read = cluster.begin(move || reader.get("x"));
    thread::sleep(ELECTION);

    t.scene("All links are restored.");
    cluster.connect_all();
    cluster.connect_client(client, &cluster.all());
    read.within(tester_kv::PATIENCE, "a read");
}

#[test]
fn a_lease_holds_as_long_as_its_clocks() {
    for seed in 0..20 {
        let verdict = try_seed("slow_leader", seed, |t: &Test| slow_leader(t, 0.9));
        assert!(verdict.ok, "{}", verdict.text);
    }
}

#[test]
fn a_lease_whose_clock_is_too_slow_is_caught() {
    let caught = (0..20).filter(|&seed| {
        let verdict = try_seed("slow_leader", seed, |t: &Test| slow_leader(t, 0.1));
        assert!(verdict.ok || verdict.message.contains("stale read"), "{}", verdict.text);
        assert!(verdict.ok || verdict.text.contains("runs 0.100 times as fast"), "{}", verdict.text);
        !verdict.ok
    });
    let caught = caught.count();
    // The oracle asks its book in place of leases, and no clock deceives that.
    let expected = if crate::is_over_oracle() { 0..=0 } else { 15..=20 };
    assert!(expected.contains(&caught), "{caught} of 20 seeds showed a stale read");
}
