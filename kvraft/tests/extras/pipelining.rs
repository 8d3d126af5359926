// handout: file never
//! Leaders that send before they have the answer to the last message (dissertation §10.2.2): under all faults
//! at once, and how much faster operations are.

use std::time::Duration;

use kvraft::{KvServer, Reads};
use labapi::Options;
use labrt::rand::random_range;
use labrt::thread;
use labrt::time::Instant;
use tester::{Test, run};
use tester_kv::{KvCluster, KvSetup, Workload};

/// The limit of Raft's state that the servers are given, in bytes.
const MAX_RAFT_STATE: usize = 1000;

/// How many clients append at once.
const CLIENTS: usize = 16;

/// How often each of them appends.
const APPENDS: usize = 200;

const AHEAD: Options = Options { lease: None, check_quorum: false, pre_vote: false, messages_ahead: 4 };

fn cluster(t: &Test, setup: KvSetup, options: Options) -> KvCluster<KvServer> {
    KvCluster::with(t, setup, move |ends, me, persister, max_raft_state| {
        KvServer::start_with_options(ends, me, persister, max_raft_state, Reads::Log, options)
    })
}

fn play(t: &Test, workload: Workload) {
    workload.play(&cluster(t, workload.setup(), AHEAD));
}

#[test]
fn pipelining_3c() {
    run("pipelining_3c", |t: &Test| play(t, Workload::new(5, 5).unreliable().restarts().partitions()));
}

#[test]
fn pipelining_linearizable_3c() {
    run("pipelining_linearizable_3c", |t: &Test| {
        play(t, Workload::new(15, 7).unreliable().restarts().partitions().random_keys());
    });
}

#[test]
fn pipelining_snapshots_3c() {
    run("pipelining_snapshots_3c", |t: &Test| {
        play(t, Workload::new(5, 5).unreliable().restarts().partitions().snapshots(MAX_RAFT_STATE));
    });
}

/// A command that comes just after a message has gone out does not wait for the answer to it.
#[test]
fn pipelining_waits_for_less_3c() {
    run("pipelining_waits_for_less_3c", |t: &Test| {
        let steady = Some(Duration::from_millis(5));
        let (without, with) = (latency(t, Options::default(), steady), latency(t, AHEAD, steady));
        t.note(format!(
            "an append takes {without:.1?} one message at a time, {with:.1?} with messages ahead"
        ));
        let sends_entries = !crate::is_over_oracle();
        t.exercised(sends_entries, "the oracle sends no entries, so none ahead");
        t.expect(!sends_entries || 10 * with < 9 * without, || {
            format!("an append takes {with:?} with messages ahead, and {without:?} one message at a time")
        });
        let (without, with) = (latency(t, Options::default(), None), latency(t, AHEAD, None));
        t.note(format!("where messages overtake one another: {without:.1?} and {with:.1?}"));
    });
}

/// How long an append takes on average, of clients that append at any time. Each message takes as long as
/// `delay` says, or as long as the network draws.
fn latency(t: &Test, options: Options, delay: Option<Duration>) -> Duration {
    let cluster = cluster(t, KvSetup::servers(3), options);
    cluster.wait_leader();
    if let Some(delay) = delay {
        cluster.net().network().steady(delay);
    }
    let clients: Vec<_> = (0..CLIENTS).map(|_| cluster.make_client(&cluster.all())).collect();
    let appends = (CLIENTS * APPENDS) as u32;
    cluster.within(Duration::from_secs(60), "appends of all clients", move || {
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| {
                thread::spawn(move || {
                    let mut taken = Duration::ZERO;
                    for _ in 0..APPENDS {
                        thread::sleep(Duration::from_micros(random_range(0..40_000)));
                        let start = Instant::now();
                        client.append(&number.to_string(), "y");
                        taken += start.elapsed();
                    }
                    taken
                })
            })
            .collect();
        let taken: Duration =
            threads.into_iter().map(|thread| thread.join().expect("clients do not panic")).sum();
        taken / appends
    })
}
