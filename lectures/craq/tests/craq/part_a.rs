//! Part CA: a chain without failures.

use craq::{Mode, Op, ReplyFrom, Settings};
use labrt::thread;
use tester::Test;

use crate::cluster::{Cluster, Setup, chain, ms, play};

/// Values, versions, and what an update and a read cost (invariant 10).
#[test]
fn chain_basic() {
    play(
        "chain_basic",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            let mut client = cluster.client();
            assert_eq!(client.get(1).version, 0, "an object that was never written");
            assert_eq!(client.put(1, "one").version, 1, "the first version");
            assert_eq!(client.put(1, "two").version, 2, "the second version");
            let read = client.get(1);
            assert_eq!((read.version, read.value), (2, b"two".to_vec()), "a read after two puts");
            let appended = client.update(1, Op::Append(b"!".to_vec())).expect("no refusal");
            assert_eq!(appended.version, 3, "an append makes the third version");
            assert_eq!(client.get(1).value, b"two!", "a read after the append");
            assert_eq!(client.increment(2), 1, "an increment of an object that was never written");
            assert_eq!(client.increment(2), 2, "the second increment");
            cluster.settle();
            let methods = ["NodeRpc.update", "NodeRpc.forward", "NodeRpc.ack", "NodeRpc.read"];
            let count = || methods.map(|method| cluster.watch.count(method));
            t.scene("What an update costs on a chain of three.");
            let before = count();
            (0..10).for_each(|round| _ = client.put(3, &format!("{round}")));
            cluster.settle();
            let after = count();
            let cost: Vec<u64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
            // An acknowledgement may stand for several updates.
            let is_cheap = cost[..2] == [10, 20] && cost[2] <= 20 && cost[3] == 0;
            assert!(
                !t.is_ordinary() || is_cheap,
                "10 updates cost {cost:?} of {methods:?}, and are to cost 10, 20, at most 20, 0"
            );
            t.scene("What a read costs.");
            (0..10).for_each(|_| assert_eq!(client.get(3).value, b"9", "the value of the last put"));
            let reads = count()[3] - after[3];
            assert!(
                !t.is_ordinary() || reads == 10,
                "10 reads cost {reads}; {}",
                cluster.watch.refused_reads()
            );
            let queries = cluster.watch.count("NodeRpc.version_query");
            assert!(
                !t.is_ordinary() || queries == 0,
                "in a plain chain nobody asks the tail: {queries} queries"
            );
        },
    );
}

/// Five clients put, append, increment, test and set, and read a few objects.
fn mix(cluster: &Cluster, rounds: u32) {
    let talkers = (0..5).map(|_| {
        let mut client = cluster.client();
        thread::spawn_named("client", move || {
            for round in 0..rounds {
                let object = labrt::rand::random_range(1..=3);
                let word = format!("{round} ").into_bytes();
                match labrt::rand::random_range(0..10) {
                    0 => _ = client.update(object, Op::Put(word)),
                    1 | 2 => _ = client.update(object, Op::Append(word)),
                    3 | 4 => _ = client.increment(9),
                    5 => {
                        let version = client.get(object).version;
                        _ = client.update(object, Op::TestAndSet { version, value: word });
                    }
                    6 => _ = client.get(9),
                    _ => _ = client.get(object),
                }
            }
        })
    });
    let talkers: Vec<_> = talkers.collect();
    talkers.into_iter().for_each(|talker| talker.join().expect("a client ends"));
}

/// Plain, CRAQ, and CRAQ whose head answers.
fn forms() -> [Setup; 3] {
    let plain = chain(Mode::Plain, 3);
    let craq = chain(Mode::Craq, 3);
    let settings = Settings { reply_from: ReplyFrom::Head, ..craq.settings };
    [plain, craq.clone(), Setup { settings, ..craq }]
}

fn linearizable(t: &Test, rounds: u32, is_reliable: bool) {
    for (form, mut setup) in ["Plain.", "CRAQ.", "CRAQ, the head answers."].into_iter().zip(forms()) {
        t.scene(form);
        if !is_reliable {
            // Two of three answers take up to 2.4 seconds.
            setup.settings.lease = ms(4000);
            setup.settings.clock_error = ms(600);
            setup.settings.suspicion = ms(5000);
        }
        let cluster = Cluster::new(t, setup);
        if !is_reliable {
            cluster.net.network().set_reliable(false);
            cluster.net.network().set_long_reordering(true);
            cluster.net.network().set_duplication(0.1);
        }
        mix(&cluster, rounds);
        cluster.check_history(true);
        cluster.finish();
    }
}

/// Invariants 1, 2 and 4, per object and over all objects, in every form of the chain.
#[test]
fn chain_linearizable_reliable() {
    crate::cluster::run("chain_linearizable_reliable", 600, |t| linearizable(t, 30, true));
}

/// The same with lost, repeated and reordered messages. Nodes may be taken for dead, and come back.
#[test]
fn chain_linearizable_unreliable() {
    crate::cluster::run("chain_linearizable_unreliable", 600, |t| linearizable(t, 8, false));
}

/// An increment whose answers are lost is carried out once.
#[test]
fn chain_lost_answers() {
    play(
        "chain_lost_answers",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            let mut client = cluster.client();
            assert_eq!(client.increment(1), 1, "the first increment");
            t.scene("The answers of head and tail are lost for a while.");
            cluster.watch.filter(|event| {
                let is_answer = event.method == "ReplyRpc.update_reply"
                    || (event.method == "NodeRpc.update" && event.direction == labrpc::Direction::Reply);
                if is_answer { labrpc::TapAction::Drop } else { labrpc::TapAction::Deliver }
            });
            assert_eq!(client.update_for(1, Op::Increment(1), ms(2000)), None, "all answers are lost");
            cluster.watch.unfilter();
            assert_eq!(client.increment(1), 3, "the increment after one without an answer");
            assert_eq!(cluster.seen().object(1).version, 3, "the increment without an answer counts once");
        },
    );
}
