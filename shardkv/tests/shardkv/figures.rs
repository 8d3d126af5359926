// handout: file never
//! Figures: more groups serve more operations, and the move of a shard does not slow down the others.
//! The figures are in virtual time, on the default network, so they depend on the seed alone.

use std::sync::Arc;
use std::time::Duration;

use labrt::runtime;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::time::Instant;
use shardkv::key_to_shard;
use tester::{Test, run};

use crate::clients::Clients;
use crate::cluster::{Cluster, Options, gid, pause};

/// Two groups serve almost twice as many operations as one, and three groups almost three times.
#[test]
fn throughput_4b() {
    run("throughput_4b", |t: &Test| {
        let one = throughput(t, 1);
        for groups in 2..=3 {
            let several = throughput(t, groups);
            let (found, wanted) = (several / one, 0.9 * groups as f64);
            t.note(format!("{groups} groups serve {found:.2} times as much as one"));
            // On a slow machine, or a network that a seed draws, the figures measure that instead.
            t.expect(!t.is_ordinary() || found >= wanted, || {
                format!(
                    "expected {groups} groups to serve {wanted:.1} times as much as one, but it is {found:.2}"
                )
            });
        }
    });
}

/// Operations per second of this many groups, with enough clients to keep all of them busy.
fn throughput(t: &Test, groups: usize) -> f64 {
    /// Six clients for each shard keep even a group with three shards busy.
    const CLIENTS: usize = 60;
    const COST: Duration = Duration::from_millis(5);
    const MEASURED_MS: u64 = 1000;
    let cluster = Cluster::new(t, Options::new().cost(COST));
    cluster.join(&(0..groups).collect::<Vec<_>>());
    t.scene(format!("{groups} groups, {CLIENTS} clients"));
    let done = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&done);
    let clients = Clients::start(&cluster, CLIENTS, move |client, clerk, stop| {
        let key = (client % 10).to_string();
        while !stop.load(Ordering::SeqCst) {
            clerk.put(&key, "value");
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    // The clients need a moment to find their groups.
    pause(1000);
    let before = done.load(Ordering::SeqCst);
    pause(MEASURED_MS);
    let measured = done.load(Ordering::SeqCst) - before;
    clients.stop();
    let a_second = measured as f64 * 1000.0 / MEASURED_MS as f64;
    t.note(format!("{groups} groups serve {a_second} operations a second"));
    a_second
}

/// A shard of ten thousand keys moves within a second, and operations on other shards take no longer
/// meanwhile.
#[test]
fn large_shard_4c() {
    run("large_shard_4c", |t: &Test| {
        const KEYS: usize = 10_000;
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0, 1]);
        t.scene(format!("Clients put {KEYS} keys into one shard."));
        let shard = key_to_shard("a");
        cluster.move_shard(shard, 0);
        fill(&cluster, KEYS);

        t.scene("Forty clients work on the other shards. At first no shard moves.");
        let latency = Arc::new(Latency::default());
        let clients = others(&cluster, shard, &latency);
        pause(500);
        latency.take();
        pause(1000);
        let before = mean([latency.take()]);

        t.scene("The shard moves back and forth.");
        let mut slowest = Duration::ZERO;
        // A single move is too short for a reliable mean.
        let during = mean([1, 0, 1, 0, 1, 0, 1].map(|group| {
            latency.take();
            cluster.move_shard(shard, group);
            let start = Instant::now();
            // A new client asks the new owner. Others might still get an answer from the old one.
            assert_eq!(cluster.client().get("a9999"), "9999");
            slowest = slowest.max(start.elapsed());
            let during = latency.take();
            pause(200);
            during
        }));
        clients.stop();
        t.expect(cluster.newest().shards[shard] == gid(1), || "the shard has not moved".to_owned());
        assert_eq!(cluster.client().get("a0"), "0");
        t.note(format!(
            "a move took {slowest:.0?} at most; other shards {before:.2} ms before, {during:.2} ms meanwhile"
        ));
        t.expect(!t.is_ordinary() || slowest <= Duration::from_secs(1), || {
            format!("a move took {slowest:?}")
        });
        t.expect(!t.is_ordinary() || (0.9..=1.1).contains(&(during / before)), || {
            format!(
                "other shards' operations took {before:.2} ms before the moves, {during:.2} ms during them"
            )
        });
    });
}

/// Puts keys "a0", "a1" and so on.
fn fill(cluster: &Cluster, keys: usize) {
    const CLIENTS: usize = 500;
    let clients = Clients::start(cluster, CLIENTS, move |client, clerk, _| {
        for key in (client..keys).step_by(CLIENTS) {
            clerk.put(&format!("a{key}"), &key.to_string());
        }
    });
    clients.stop();
}

/// Starts clients of all shards but one.
fn others(cluster: &Cluster, shard: usize, latency: &Arc<Latency>) -> Clients<()> {
    let latency = Arc::clone(latency);
    Clients::start(cluster, 40, move |client, clerk, stop| {
        let keys: Vec<String> = (0..10).map(|key| key.to_string()).collect();
        let keys: Vec<&String> = keys.iter().filter(|key| key_to_shard(key) != shard).collect();
        while !stop.load(Ordering::SeqCst) {
            let start = runtime::now();
            clerk.put(keys[client % keys.len()], "value");
            latency.add(runtime::now() - start);
        }
    })
}

/// The latencies of operations since the last look.
#[derive(Default)]
struct Latency {
    operations: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Latency {
    fn add(&self, took: Duration) {
        self.operations.fetch_add(1, Ordering::SeqCst);
        self.nanoseconds.fetch_add(took.as_nanos() as u64, Ordering::SeqCst);
    }

    /// Number and total latency of the operations since the last call.
    fn take(&self) -> (u64, u64) {
        (self.operations.swap(0, Ordering::SeqCst), self.nanoseconds.swap(0, Ordering::SeqCst))
    }
}

/// The mean latency in milliseconds.
fn mean<const N: usize>(taken: [(u64, u64); N]) -> f64 {
    let operations: u64 = taken.iter().map(|(operations, _)| operations).sum();
    let nanoseconds: u64 = taken.iter().map(|(_, nanoseconds)| nanoseconds).sum();
    nanoseconds as f64 / 1e6 / operations as f64
}
