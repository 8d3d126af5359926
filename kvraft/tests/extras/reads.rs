// handout: file never
//! Faster reads: each way to answer gets without the log passes the same tests as the log, on servers whose
//! clocks drift.

use kvraft::{KvServer, Reads};
use labapi::Lease;
use tester::{Test, run};
use tester_kv::{KvCluster, KvSetup, Workload};

use crate::stale_reads::stale_reads;

/// The limit of Raft's state that the servers are given, in bytes.
const MAX_RAFT_STATE: usize = 1000;

/// ReadIndex relies on no clock, so the drift may be large.
const ANY_DRIFT: f64 = 0.3;

/// The drift that the lease allows.
const DRIFT: f64 = 0.1;

const LEASE: Reads = Reads::Lease(Lease { max_clock_drift: DRIFT });

/// A cluster whose servers answer gets in this way.
fn cluster(t: &Test, setup: KvSetup, reads: Reads) -> KvCluster<KvServer> {
    KvCluster::with(t, setup, move |ends, me, persister, max_raft_state| {
        KvServer::start_with(ends, me, persister, max_raft_state, reads)
    })
}

fn play(t: &Test, workload: Workload, reads: Reads) {
    workload.play(&cluster(t, workload.setup(), reads));
}

/// All faults at once. Each client writes its own key and knows what it must read.
fn faults() -> Workload {
    Workload::new(5, 5).unreliable().restarts().partitions()
}

/// All faults at once. The clients share all keys.
fn random_keys() -> Workload {
    Workload::new(15, 7).unreliable().restarts().partitions().random_keys()
}

#[test]
fn read_index_3c() {
    run("read_index_3c", |t: &Test| play(t, faults().clock_drift(ANY_DRIFT), Reads::ReadIndex));
}

#[test]
fn read_index_linearizable_3c() {
    run("read_index_linearizable_3c", |t: &Test| {
        play(t, random_keys().clock_drift(ANY_DRIFT), Reads::ReadIndex);
    });
}

#[test]
fn read_index_stale_reads_3c() {
    run("read_index_stale_reads_3c", |t: &Test| {
        stale_reads(&cluster(t, KvSetup::servers(5).clock_drift(ANY_DRIFT), Reads::ReadIndex));
    });
}

#[test]
fn lease_3c() {
    run("lease_3c", |t: &Test| play(t, faults().clock_drift(DRIFT), LEASE));
}

#[test]
fn lease_linearizable_3c() {
    run("lease_linearizable_3c", |t: &Test| play(t, random_keys().clock_drift(DRIFT), LEASE));
}

#[test]
fn lease_stale_reads_3c() {
    run("lease_stale_reads_3c", |t: &Test| {
        stale_reads(&cluster(t, KvSetup::servers(5).clock_drift(DRIFT), LEASE));
    });
}

#[test]
fn read_index_snapshots_3c() {
    run("read_index_snapshots_3c", |t: &Test| {
        play(t, faults().clock_drift(ANY_DRIFT).snapshots(MAX_RAFT_STATE), Reads::ReadIndex);
    });
}

#[test]
fn lease_snapshots_3c() {
    run("lease_snapshots_3c", |t: &Test| {
        play(t, faults().clock_drift(DRIFT).snapshots(MAX_RAFT_STATE), LEASE);
    });
}
