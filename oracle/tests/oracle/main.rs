//! What a service sees of the oracle under faults, on the clusters of the Raft lab's tests. The tests of labs
//! 3 and 4 run over it, too: `cargo lab stress kvraft --over oracle`.

use std::time::Duration;

use labapi::{ApplyMsg, Consensus, Lease, Options, Persister};
use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use labrt::sync::Arc;
use labrt::thread;
use oracle::Oracle;
use tester::{Cluster, Command, ELECTION, Partial, Retry, Setup, Test, run, try_seed};

/// A leader that is cut off goes on believing, and nothing that it starts is ever committed.
#[test]
fn a_leader_that_is_cut_off_commits_nothing() {
    run("a_leader_that_is_cut_off_commits_nothing", |t: &Test| {
        let cluster = Cluster::<Oracle>::new(t, Setup::servers(3));
        cluster.agree_on(101, 3, Retry::Yes);
        let first = cluster.check_one_leader();
        cluster.disconnect(first);
        let lost = (102..=104).filter_map(|command| cluster.start(first, command)).count();
        t.expect(lost == 3, || format!("the leader that is cut off took {lost} of 3 commands"));
        let index = cluster.agree_on(103, 2, Retry::Yes);
        t.expect(index == 2, || format!("expected the lost commands to leave no trace, not index {index}"));
        let believes = cluster.get_state(first).is_some_and(|(_, leads)| leads);
        t.expect(believes, || "nothing can have told the old leader".to_owned());
        cluster.connect(first);
        cluster.agree_on(105, 3, Retry::Yes);
    });
}

/// What the oracle does not show is nobody's to show.
#[test]
fn a_report_does_not_complain_of_what_the_oracle_hides() {
    let verdict = try_seed("hides", 1, |t: &Test| {
        let cluster = Cluster::<Oracle>::new(t, Setup::servers(3));
        cluster.agree_on(1, 3, Retry::Yes);
    });
    assert!(verdict.ok, "{}", verdict.text);
    assert_eq!(verdict.report.unwatched, [""; 0]);
}

/// Without a majority nobody leads and nothing is committed.
#[test]
fn a_minority_does_nothing() {
    run("a_minority_does_nothing", |t: &Test| {
        let cluster = Cluster::<Oracle>::new(t, Setup::servers(5));
        let leader = cluster.check_one_leader();
        for distance in 0..3 {
            cluster.disconnect((leader + distance) % 5);
        }
        thread::sleep(2 * ELECTION);
        cluster.check_no_leader();
        cluster.connect(leader);
        cluster.check_one_leader();
        cluster.agree_on(1, 3, Retry::Yes);
    });
}

/// Servers crash and come back; those that were away for long get a snapshot, whatever the network loses.
#[test]
fn restarts_and_snapshots() {
    run("restarts_and_snapshots", |t: &Test| {
        let cluster = Cluster::<Oracle>::new(t, Setup::servers(3).unreliable().snapshots());
        for round in 0..10 {
            let leader = cluster.check_one_leader();
            let victim = (leader + round % 2) % 3;
            cluster.crash(victim);
            for _ in 0..12 {
                cluster.agree_on(Command::random(), 2, Retry::Yes);
            }
            let size = cluster.log_size();
            t.expect(size < 2000, || format!("snapshots leave {size} bytes"));
            cluster.restart(victim);
            cluster.connect(victim);
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
    });
}

/// Entries of a leader that is lost may vanish, and may be committed after all: over many elections both
/// happen.
#[test]
fn uncommitted_entries_vanish_or_are_committed_later() {
    run("uncommitted_entries_vanish_or_are_committed_later", |t: &Test| {
        let cluster = Cluster::<Oracle>::new(t, Setup::servers(5));
        let (mut vanished, mut stayed) = (0, 0);
        for round in 0..30 {
            let leader = cluster.check_one_leader();
            // One follower hears of the entry, and three do not.
            for distance in 2..5 {
                cluster.disconnect((leader + distance) % 5);
            }
            let entry = cluster.start(leader, 1000 + round);
            thread::sleep(Duration::from_millis(50));
            cluster.disconnect(leader);
            for distance in 2..5 {
                cluster.connect((leader + distance) % 5);
            }
            cluster.agree_on(Command::random(), 4, Retry::Yes);
            let found = entry.and_then(|(index, _)| cluster.n_committed(index).1);
            *(if found.and_then(|command| command.number()) == Some(1000 + round) {
                &mut stayed
            } else {
                &mut vanished
            }) += 1;
            cluster.connect(leader);
            cluster.agree_on(Command::random(), 5, Retry::Yes);
        }
        t.exercised(vanished > 0 && stayed > 0, "entries only vanished, or only stayed");
    });
}

/// The oracle with leases.
struct Leasing(Arc<Oracle>);

impl Consensus for Leasing {
    fn make(peers: Vec<ClientEnd>, me: usize, disk: Persister, apply: Sender<ApplyMsg>) -> Arc<Self> {
        let options = Options { lease: Some(Lease { max_clock_drift: 0.1 }), ..Options::default() };
        Arc::new(Leasing(Oracle::make_with(peers, me, disk, apply, options)))
    }

    fn service(self: &Arc<Self>) -> Service {
        self.0.service()
    }

    fn start(self: &Arc<Self>, command: Vec<u8>) -> Option<(u64, u64)> {
        self.0.start(command)
    }

    fn get_state(self: &Arc<Self>) -> (u64, bool) {
        self.0.get_state()
    }

    fn snapshot(self: &Arc<Self>, index: u64, snapshot: Vec<u8>) {
        self.0.snapshot(index, snapshot);
    }
}

/// Whoever tests leases over the oracle is told, once, that no rule of leases was tested.
#[test]
fn leases_are_said_to_be_none() {
    let told = |verdict: tester::Verdict| {
        assert!(verdict.ok, "{}", verdict.text);
        verdict.report.warnings.iter().filter(|warning| warning.contains("no leases")).count()
    };
    let with = try_seed("leases", 7, |t: &Test| {
        Cluster::<Leasing>::new(t, Setup::servers(3)).agree_on(1, 3, Retry::Yes);
    });
    let without = try_seed("no leases", 7, |t: &Test| {
        Cluster::<Oracle>::new(t, Setup::servers(3)).agree_on(1, 3, Retry::Yes);
    });
    assert_eq!((told(with), told(without)), (1, 0));
}

/// Whether another server leads, some elections after the leader has become deaf: the others hear it still.
fn another_follows_a_deaf_leader<R: Consensus>(t: &Test) -> bool {
    let cluster = Cluster::<R>::new(t, Setup::servers(3));
    let leader = cluster.check_one_leader();
    Partial::deaf(3, leader).begin(&cluster);
    thread::sleep(3 * ELECTION);
    let leads = |server| cluster.get_state(server).is_some_and(|(_, leads)| leads);
    (0..3).any(|server| server != leader && leads(server))
}

/// With leases, as with `check_quorum` and pre-votes, a leader that hears no majority gives up, as in a Raft.
#[test]
fn a_deaf_leader_gives_up_where_a_raft_would() {
    run("a_deaf_leader_gives_up_where_a_raft_would", |t: &Test| {
        let with = another_follows_a_deaf_leader::<Leasing>(t);
        t.expect(with, || "a deaf leader with leases keeps the others from electing another".to_owned());
        let without = another_follows_a_deaf_leader::<Oracle>(t);
        t.expect(!without, || "a deaf leader without leases gives up".to_owned());
    });
}
