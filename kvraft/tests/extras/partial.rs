// handout: file never
//! Servers that reach some of the others but not all, for each way to answer gets. As long as one server
//! reaches a majority and is reached by it, operations succeed.
//!
//! Raft asks for one thing more: that server must have every entry that others have. It cannot win against a
//! server that has more and reaches too few. So all logs are alike when a fault begins.

use std::time::Duration;

use kvraft::{KvServer, Reads};
use labapi::{Lease, Options};
use labrt::thread;
use labrt::time::Instant;
use tester::{Partial, Test, run};
use tester_kv::{KvCluster, KvSetup, Recorded};

/// How long an operation may take while the fault lasts. A server that reaches too few others may be a
/// candidate again and again before the right one wins.
const PROGRESS: Duration = Duration::from_secs(60);

/// The same with pre-votes, where such a server never is a candidate.
const PROGRESS_WITH_PRE_VOTES: Duration = Duration::from_secs(10);

const LEASE: Reads = Reads::Lease(Lease { max_clock_drift: 0.1 });

const CHECK_QUORUM: Options = Options { lease: None, check_quorum: true, pre_vote: false, messages_ahead: 0 };
const PRE_VOTE: Options = Options { lease: None, check_quorum: false, pre_vote: true, messages_ahead: 0 };

fn cluster(t: &Test, servers: usize, reads: Reads, options: Options) -> KvCluster<KvServer> {
    KvCluster::with(t, KvSetup::servers(servers), move |ends, me, persister, max_raft_state| {
        KvServer::start_with_options(ends, me, persister, max_raft_state, reads, options)
    })
}

/// All faults of five servers that one friend, one bridge, a star, a chain, a ring, one deaf or mute server
/// and one cut link make, and those of three servers.
fn partial_partitions(t: &Test, reads: Reads, options: Options) {
    let progress = if options.pre_vote { PROGRESS_WITH_PRE_VOTES } else { PROGRESS };
    let number = Partial::of_five(&[0, 1, 2, 3, 4]).len();
    for kind in 0..number {
        let five = cluster(t, 5, reads, options);
        let leader = five.wait_leader();
        let order = [0, 1, 2, 3, 4].map(|distance| (leader + distance) % 5);
        go_on_with(&five, &Partial::of_five(&order)[kind], progress);
    }
    for servers in [3, 5] {
        let cluster = cluster(t, servers, reads, options);
        for distance in 0..2 {
            let server = (cluster.wait_leader() + distance) % servers;
            go_on_with(&cluster, &Partial::deaf(servers, server), progress);
            let server = (cluster.wait_leader() + distance) % servers;
            go_on_with(&cluster, &Partial::mute(servers, server), progress);
        }
        for fault in Partial::one_way(servers) {
            go_on_with(&cluster, &fault, progress);
        }
    }
}

/// A client writes and reads while the fault lasts, and after it.
fn go_on_with(cluster: &KvCluster<KvServer>, fault: &Partial, progress: Duration) {
    let t = cluster.test();
    t.scene(format!("A client goes on although {}.", fault.name));
    let mut client = cluster.make_client(&cluster.all());
    client = operate(cluster, client, Duration::from_secs(10));
    // Every log has the client's entries.
    thread::sleep(Duration::from_millis(300));
    fault.begin(cluster);
    for _ in 0..3 {
        client = operate(cluster, client, progress);
    }
    fault.end(cluster);
    operate(cluster, client, Duration::from_secs(10));
}

/// A put and a get.
fn operate(
    cluster: &KvCluster<KvServer>,
    mut client: Recorded<<KvServer as labapi::KvServer>::Clerk>,
    limit: Duration,
) -> Recorded<<KvServer as labapi::KvServer>::Clerk> {
    cluster.within(limit, "a put and a get", move || {
        client.put("x", "y");
        client.get("x");
        client
    })
}

#[test]
fn log_partial_partitions_3c() {
    run("log_partial_partitions_3c", |t: &Test| partial_partitions(t, Reads::Log, CHECK_QUORUM));
}

#[test]
fn read_index_partial_partitions_3c() {
    run("read_index_partial_partitions_3c", |t: &Test| {
        partial_partitions(t, Reads::ReadIndex, CHECK_QUORUM);
    });
}

#[test]
fn lease_partial_partitions_3c() {
    run("lease_partial_partitions_3c", |t: &Test| partial_partitions(t, LEASE, Options::default()));
}

#[test]
fn pre_vote_partial_partitions_3c() {
    run("pre_vote_partial_partitions_3c", |t: &Test| partial_partitions(t, Reads::ReadIndex, PRE_VOTE));
}

/// A follower that no message reaches stands for election again and again, and deposes each leader; with
/// pre-votes it disturbs nobody (dissertation §9.6).
#[test]
fn pre_vote_deaf_follower_3c() {
    run("pre_vote_deaf_follower_3c", |t: &Test| {
        let (without, disturbed) = append_beside_a_deaf_follower(t, Options::default());
        let (with, elections) = append_beside_a_deaf_follower(t, PRE_VOTE);
        t.note(format!(
            "in 20 s {without} appends and {disturbed} elections without pre-votes, {with} and {elections} with them"
        ));
        let is_disturbed = disturbed > 4;
        t.exercised(is_disturbed, "the deaf follower disturbed nobody");
        t.expect(elections == 0, || {
            format!("expected no election with pre-votes, but there were {elections}")
        });
        t.expect(!is_disturbed || with > without, || {
            format!("{with} appends with pre-votes, and {without} without")
        });
    });
}

/// One client appends for 20 s; how often, and how many elections there were meanwhile.
fn append_beside_a_deaf_follower(t: &Test, options: Options) -> (u64, u64) {
    let cluster = cluster(t, 5, Reads::Log, options);
    let client = operate(&cluster, cluster.make_client(&cluster.all()), Duration::from_secs(10));
    let deaf = (cluster.wait_leader() + 1) % 5;
    let before = cluster.elections().unwrap_or(0);
    Partial::deaf(5, deaf).begin(&cluster);
    let appends = cluster.within(Duration::from_secs(60), "appends for 20 s", move || {
        let (mut client, start, mut appends) = (client, Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(20) {
            client.append("x", "y");
            appends += 1;
        }
        appends
    });
    (appends, cluster.elections().unwrap_or(0) - before)
}
