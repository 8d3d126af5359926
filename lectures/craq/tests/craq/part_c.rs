//! Part CC: reads at every node.

use craq::rpc::{NodeId, Read};
use craq::{Mode, Op, ReadMode, Refusal, Versioned};
use labrpc::Direction;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::thread;
use labrt::time::{Duration, Instant};
use tester::Test;

use crate::cluster::{Cluster, Talker, chain, ms, play, play_for};
use crate::part_b::{drop_if, is_for};
use crate::part_b_partitions::{cut_off, mend};

/// Without writes all nodes answer, and the tail's share of the load is one of t.
#[test]
fn craq_clean_reads_any_node() {
    play(
        "craq_clean_reads_any_node",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "clean");
            cluster.settle();
            let before = cluster.watch.count("NodeRpc.read");
            for node in 0..3 {
                assert_eq!(client.get_at(1, node).value, b"clean", "a clean object, at node {node}");
            }
            let reads = 300;
            (0..reads).for_each(|_| assert_eq!(client.get(1).value, b"clean", "a clean object"));
            let requests = cluster.watch.count("NodeRpc.read") - before;
            let refused = cluster.watch.refused_reads();
            let reads = reads + 3;
            assert!(
                !t.is_ordinary() || requests == reads,
                "{requests} requests for {reads} reads; {refused}"
            );
            assert!(
                !t.is_ordinary() || cluster.watch.count("NodeRpc.version_query") == 0,
                "the tail is asked"
            );
            let tail = cluster.watch.reads(2) as f64 / reads as f64;
            assert!(!t.is_ordinary() || tail <= 1.0 / 3.0 + 0.1, "the tail serves {tail:.2} of the reads");
        },
    );
}

/// Loses acknowledgements to the head, so that what is committed stays dirty there.
fn lose_acks(cluster: &Cluster) {
    drop_if(cluster, |event| is_for(event, "NodeRpc.ack", 0));
}

/// A read of a dirty object asks the tail for the version.
#[test]
fn craq_dirty_read_version_query() {
    play(
        "craq_dirty_read_version_query",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            cluster.settle();
            t.scene("The tail commits a version, and the head does not learn it.");
            lose_acks(cluster);
            client.put(1, "new");
            let queries = cluster.watch.count("NodeRpc.version_query");
            let read = client.get_at(1, 0);
            assert_eq!((read.version, read.value), (2, b"new".to_vec()), "the tail has committed it");
            let asked = cluster.watch.count("NodeRpc.version_query") - queries;
            assert!(asked >= 1 && (!t.is_ordinary() || asked == 1), "the head asks {asked} times");
            t.scene("A version is under way, and the tail does not have it.");
            drop_if(cluster, |event| is_for(event, "NodeRpc.forward", 2) || is_for(event, "NodeRpc.ack", 0));
            let writer = append_later(cluster, 1);
            cluster.wait(5000, "the middle has the update", || cluster.seen().hist(1) == 3);
            let read = client.get_at(1, 0);
            assert_eq!((read.version, read.value), (2, b"new".to_vec()), "the committed version");
            cluster.watch.unfilter();
            writer.join().expect("the writer ends");
            cluster.settle();
            assert_eq!(client.get_at(1, 0).version, 3, "at the head, when all is committed");
        },
    );
}

/// A client that appends to an object.
fn append_later(cluster: &Cluster, object: u64) -> thread::JoinHandle<()> {
    let mut client = cluster.client();
    thread::spawn_named("writer", move || _ = client.update(object, Op::Append(b"!".to_vec())))
}

/// Who has read the new value at the tail never reads the old one at the head.
#[test]
fn craq_no_backward_read() {
    play(
        "craq_no_backward_read",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "0");
            cluster.settle();
            lose_acks(cluster);
            t.scene("The head does not learn what is committed.");
            for round in 1..=10 {
                client.put(1, &round.to_string());
                let new = client.get_at(1, 2);
                for node in [0, 1, 0] {
                    let read = client.get_at(1, node);
                    t.expect(read.version >= new.version, || {
                        format!("version {} at the tail, then {} at node {node}", new.version, read.version)
                    });
                }
            }
            cluster.watch.unfilter();
        },
    );
}

/// A version is committed between the tail's answer and the node's.
#[test]
fn craq_commit_between_query_and_reply() {
    play(
        "craq_commit_between_query_and_reply",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            cluster.settle();
            t.scene("The tail does not have the new version, and says so. Its answer takes long.");
            let held = Arc::new(AtomicU64::new(0));
            let seen = held.clone();
            cluster.watch.filter(move |event| {
                if event.method == "NodeRpc.version_query" && event.direction == Direction::Reply {
                    seen.fetch_add(1, Ordering::SeqCst);
                    return labrpc::TapAction::Delay(ms(100));
                }
                let waits = seen.load(Ordering::SeqCst) == 0 && is_for(event, "NodeRpc.forward", 2);
                if waits { labrpc::TapAction::Drop } else { labrpc::TapAction::Deliver }
            });
            let writer = append_later(cluster, 1);
            cluster.wait(5000, "the middle has the update", || cluster.seen().hist(1) == 2);
            let mut reader = cluster.client();
            let reading = thread::spawn_named("reader", move || reader.get_at(1, 1));
            cluster.wait(5000, "the version is committed", || cluster.seen().committed() == 2);
            let before_answer = held.load(Ordering::SeqCst) > 0;
            t.exercised(before_answer, "the tail had answered when the version was committed");
            let read: Versioned = reading.join().expect("the reader ends");
            let expected = [(1, b"old".to_vec()), (2, b"old!".to_vec())];
            assert!(
                expected.contains(&(read.version, read.value.clone())),
                "versions 1, old, and 2, old!, are right: the middle answers {read:?}"
            );
            writer.join().expect("the writer ends");
            cluster.watch.unfilter();
            assert_eq!(client.get_at(1, 1).version, 2, "at the middle, when all is committed");
        },
    );
}

/// A client that works until a moment, with what it has done.
fn worker(cluster: &Cluster, until: Instant) -> thread::JoinHandle<u64> {
    let mut client = cluster.client();
    thread::spawn_named("client", move || {
        let mut done = 0;
        while Instant::now() < until {
            let is_done = one_of_many(&mut client);
            done += u64::from(is_done);
            thread::sleep(ms(labrt::rand::random_range(0..6000)));
        }
        done
    })
}

fn one_of_many(client: &mut Talker) -> bool {
    const PATIENCE: Duration = Duration::from_secs(12);
    let object = labrt::rand::random_range(1..=4);
    match labrt::rand::random_range(0..8) {
        0 => client.update_for(object, Op::Put(b"x".to_vec()), PATIENCE).is_some(),
        1 | 2 => client.update_for(object, Op::Append(b"y".to_vec()), PATIENCE).is_some(),
        3 | 4 => client.update_for(9, Op::Increment(1), PATIENCE).is_some(),
        5 => {
            let version = client.client.config().epoch % 7;
            let op = Op::TestAndSet { version, value: b"z".to_vec() };
            client.update_for(object, op, PATIENCE).is_some()
        }
        6 => client.get_for(9, None, PATIENCE).is_some(),
        _ => client.get_for(object, None, PATIENCE).is_some(),
    }
}

/// Crashes, joins and partitions at random, for twenty minutes.
#[test]
fn craq_linearizable_chaos() {
    let setup = || {
        let mut setup = chain(Mode::Craq, 3).with_spares(2);
        // Twenty minutes of heartbeats, fewer of them.
        setup.settings.heartbeat = ms(1000);
        setup.settings.lease = ms(3000);
        setup.settings.clock_error = ms(450);
        setup.settings.suspicion = ms(3500);
        setup
    };
    play_for("craq_linearizable_chaos", 1800, setup, |t, cluster| {
        // On real threads it takes the time that it plays.
        let minutes = if labrt::world() == labrt::World::Simulated { 20 } else { 2 };
        let until = Instant::now() + Duration::from_secs(60 * minutes);
        let workers: Vec<_> = (0..4).map(|_| worker(cluster, until)).collect();
        (3..5).for_each(|node| cluster.start(node));
        let mut faults = 0;
        while Instant::now() < until {
            chaos(t, cluster);
            faults += 1;
        }
        t.scene("Everything is mended.");
        mend_all(cluster);
        let done: u64 = workers.into_iter().map(|worker| worker.join().expect("a client ends")).sum();
        t.exercised(done > 10 * minutes && faults > minutes, "clients worked, and there were faults");
        let mut client = cluster.client();
        let sum = client.increment(9);
        assert_eq!(client.get(9).value, sum.to_string().into_bytes(), "what the last increment has given");
    });
}

fn mend_all(cluster: &Cluster) {
    cluster.nodes.heal();
    for node in 0..cluster.nodes.len() {
        if cluster.nodes.is_alive(node) {
            mend(cluster, node);
        } else {
            cluster.start(node);
        }
    }
}

/// One fault, which is mended. One node at a time: what all nodes of a chain lose is lost.
fn chaos(t: &Test, cluster: &Cluster) {
    let chain = cluster.watch.chain();
    let node = chain[labrt::rand::random_range(0..chain.len())];
    let lasts = ms(labrt::rand::random_range(500..9000));
    match labrt::rand::random_range(0..5) {
        0 | 1 => {
            cluster.nodes.crash(node);
            thread::sleep(lasts);
            cluster.start(node);
        }
        2 => {
            cut_off(cluster, node);
            thread::sleep(lasts);
            mend(cluster, node);
        }
        3 if chain.len() > 1 => {
            let place = labrt::rand::random_range(1..chain.len());
            let (front, back): (NodeId, NodeId) = (chain[place - 1], chain[place]);
            cluster.set_link(front, back, false);
            thread::sleep(lasts);
            cluster.set_link(front, back, true);
        }
        _ => {
            let manager = cluster.leader();
            cluster.managers.crash(manager);
            thread::sleep(lasts);
            cluster.managers.restart(manager);
            cluster.managers.connect(manager);
        }
    }
    wait_until_whole(t, cluster);
    thread::sleep(ms(labrt::rand::random_range(0..6_000)));
}

/// Waits until the chain is as long as before, and stays so. A manager may have decided, before the fault was
/// mended or before it heard of that, to go on without a node, and waits for the node's lease: until then the
/// chain only looks whole. Faults that come meanwhile can take the last node that holds everything.
fn wait_until_whole(t: &Test, cluster: &Cluster) {
    let settings = cluster.settings;
    let undecided = 2 * settings.heartbeat + settings.lease + settings.clock_error;
    let (begun, mut since, mut epoch) = (Instant::now(), Instant::now(), 0);
    while since.elapsed() < undecided {
        let chain = cluster.watch.chain();
        let is_whole = chain.len() == settings.length && cluster.is_in_force(&chain);
        let now = cluster.header().epoch;
        if !is_whole || now != epoch {
            (since, epoch) = (Instant::now(), now);
        }
        t.expect(begun.elapsed() < Duration::from_secs(60) + undecided, || {
            "after a minute the chain is not whole again, or does not stay so".to_owned()
        });
        thread::sleep(ms(100));
    }
    t.note("the chain is whole");
}

/// Weak reads at a node in the middle that is cut off.
#[test]
fn craq_eventual_and_bounded() {
    play(
        "craq_eventual_and_bounded",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            cluster.settle();
            let (middle, at) = (cluster.peer(1), cluster.header());
            let read = |mode| middle.read(&Read { at, object: 1, mode }).expect("clients reach it");
            let version = |mode| read(mode).map(|read| read.version);
            t.scene("A version is under way: weak reads see it, within their bounds.");
            drop_if(cluster, |event| is_for(event, "NodeRpc.forward", 2));
            let writer = append_later(cluster, 1);
            cluster.wait(5000, "the middle has the update", || cluster.seen().hist(1) == 2);
            let minute = ReadMode::BoundedTime(Duration::from_secs(60));
            assert_eq!(version(ReadMode::Eventual), Ok(2), "an eventual read: the newest version");
            assert_eq!(version(minute), Ok(2), "within a minute: the newest version");
            assert_eq!(version(ReadMode::BoundedVersions(1)), Ok(2), "one above the committed version");
            assert_eq!(version(ReadMode::BoundedVersions(0)), Ok(1), "the committed one");
            thread::sleep(ms(50));
            assert_eq!(version(ReadMode::BoundedTime(ms(1))), Ok(1), "the committed one");
            assert_eq!(version(ReadMode::Strong), Ok(1), "a strong read: the committed one");
            t.scene("The node is cut off, and the chain goes on without it.");
            cut_off(cluster, 1);
            cluster.watch.unfilter();
            writer.join().expect("the writer ends");
            cluster.wait_for_chain(&[0, 2]);
            client.put(1, "newer");
            assert_eq!(version(ReadMode::Eventual), Ok(2), "old, and not older than before");
            assert_eq!(version(minute), Ok(2), "within a minute: what it has");
            let refused = [
                (ReadMode::BoundedTime(ms(50)), Refusal::TooOld),
                (ReadMode::BoundedVersions(5), Refusal::TooOld),
                (ReadMode::Strong, Refusal::NoLease),
            ];
            for (mode, refusal) in refused {
                assert_eq!(version(mode), Err(refusal), "{mode:?} at a node that is cut off");
            }
            mend(cluster, 1);
            cluster.wait_for_chain(&[0, 2, 1]);
            let answer = client.client.read_for(1, ReadMode::Eventual, Some(1), ms(5000));
            assert_eq!(answer.map(|read| read.map(|read| read.version)), Some(Ok(3)), "a new copy");
        },
    );
}

/// Ten clients increment a number through test-and-set.
#[test]
fn craq_test_and_set() {
    play(
        "craq_test_and_set",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let clients: Vec<_> = (0..10).map(|_| counting(cluster)).collect();
            let mut tries = (0, 0, 0);
            for client in clients {
                let (won, lost, busy) = client.join().expect("a client ends");
                tries = (tries.0 + won, tries.1 + lost, tries.2 + busy);
            }
            let (won, lost, busy) = tries;
            t.note(format!("{won} succeeded, {lost} found another version, {busy} found one under way"));
            t.exercised(lost > 0 && busy > 0, "clients got into each other's way");
            let read = cluster.client().get(1);
            assert_eq!(
                (read.version, read.value),
                (won, won.to_string().into_bytes()),
                "each success counts once"
            );
            let most = cluster.seen().most_versions();
            assert!(most <= 2, "{most} versions at a time: more than one was not committed");
        },
    );
}

/// A client's successes, and its two kinds of failures.
fn counting(cluster: &Cluster) -> thread::JoinHandle<(u64, u64, u64)> {
    let mut client = cluster.client();
    thread::spawn_named("client", move || {
        let (mut won, mut lost, mut busy) = (0, 0, 0);
        for _ in 0..12 {
            let read = client.get(1);
            let text = String::from_utf8(read.value).expect("digits");
            let number: u64 = if text.is_empty() { 0 } else { text.parse().expect("digits") };
            let value = (number + 1).to_string().into_bytes();
            match client.update(1, Op::TestAndSet { version: read.version, value }) {
                Ok(outcome) => {
                    assert_eq!(outcome.version, read.version + 1, "what a test-and-set has made");
                    won += 1;
                }
                Err(Refusal::BadVersion(_)) => lost += 1,
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Busy, "a test-and-set that finds no other version");
                    busy += 1;
                }
            }
        }
        (won, lost, busy)
    })
}
