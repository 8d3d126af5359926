//! Part CB: nodes crash, and join.

use craq::Mode;
use craq::rpc::NodeId;
use labrpc::{Direction, TapAction, TapEvent};
use labrt::thread::{self, JoinHandle};
use labrt::time::{Duration, Instant};
use tester::Test;

use crate::cluster::{Cluster, chain, ms, play};

/// Whether this is a request of `method` to a node.
pub(crate) fn is_for(event: &TapEvent<'_>, method: &str, node: NodeId) -> bool {
    let name = format!("node-{node}");
    event.method == method && event.direction == Direction::Request && event.server.to_string() == name
}

/// Drops the messages for which this holds.
pub(crate) fn drop_if(cluster: &Cluster, is_lost: impl Fn(&TapEvent<'_>) -> bool + Send + 'static) {
    cluster.watch.filter(move |event| if is_lost(event) { TapAction::Drop } else { TapAction::Deliver });
}

/// So many clients increment object 1 once each, all at a time.
pub(crate) fn increments(cluster: &Cluster, clients: u32) -> Vec<JoinHandle<i64>> {
    let increment = |_| {
        let mut client = cluster.client();
        thread::spawn_named("client", move || client.increment(1))
    };
    (0..clients).map(increment).collect()
}

/// All clients end, and their numbers are those from `first` on, each once.
pub(crate) fn end(t: &Test, clients: Vec<JoinHandle<i64>>, first: i64) {
    let mut numbers: Vec<i64> =
        clients.into_iter().map(|client| client.join().expect("a client ends")).collect();
    numbers.sort_unstable();
    let expected: Vec<i64> = (first..).take(numbers.len()).collect();
    t.expect(numbers == expected, || format!("increments gave {numbers:?}, expected {expected:?}"));
}

/// The head dies with updates that it has not forwarded.
#[test]
fn chain_head_crash() {
    play(
        "chain_head_crash",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            end(t, increments(cluster, 3), 1);
            cluster.settle();
            t.scene("The tail has an update, and neither its client nor the head hears of it.");
            let is_answer = |event: &TapEvent<'_>| {
                is_for(event, "NodeRpc.ack", 0) || event.method == "ReplyRpc.update_reply"
            };
            drop_if(cluster, is_answer);
            let mut clients = increments(cluster, 1);
            cluster.wait(5000, "the tail has it", || cluster.seen().committed() == 4);
            t.scene("The head takes updates, and its successor does not get them.");
            drop_if(cluster, move |event| is_answer(event) || is_for(event, "NodeRpc.forward", 1));
            clients.extend(increments(cluster, 5));
            cluster.wait(5000, "the head has five more", || cluster.seen().hist(0) == 9);
            assert_eq!(cluster.seen().hist(1), 4, "the updates at the successor, which got none of the five");
            cluster.nodes.crash(0);
            cluster.watch.unfilter();
            cluster.wait_for_chain(&[1, 2]);
            end(t, clients, 4);
            let mut reader = cluster.client();
            assert_eq!(reader.get(1).value, b"9", "each increment counts once");
        },
    );
}

/// The tail dies when it has applied an update, and before anybody hears of it.
#[test]
fn chain_tail_crash() {
    play(
        "chain_tail_crash",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            end(t, increments(cluster, 3), 1);
            cluster.settle();
            t.scene("The tail applies an update. Nobody hears of it.");
            drop_if(cluster, |event| {
                is_for(event, "NodeRpc.ack", 1) || event.method == "ReplyRpc.update_reply"
            });
            let clients = increments(cluster, 1);
            cluster.wait(5000, "the tail has the update", || cluster.seen().committed() == 4);
            cluster.nodes.crash(2);
            cluster.watch.unfilter();
            cluster.wait_for_chain(&[0, 1]);
            // The new tail may answer, or leave it to the head, when the client asks again.
            end(t, clients, 4);
            cluster.settle();
            let mut reader = cluster.client();
            let read = reader.get(1);
            assert_eq!((read.version, read.value), (4, b"4".to_vec()), "the update counts once");
        },
    );
}

/// The middle dies with ten updates that the tail does not have.
#[test]
fn chain_middle_crash() {
    play(
        "chain_middle_crash",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            end(t, increments(cluster, 3), 1);
            cluster.settle();
            t.scene("The middle gets ten updates, and the tail does not.");
            drop_if(cluster, |event| is_for(event, "NodeRpc.forward", 2));
            let clients = increments(cluster, 10);
            cluster.wait(10_000, "the middle has ten updates", || cluster.seen().hist(1) == 13);
            assert_eq!(cluster.seen().hist(2), 3, "the updates at the tail, which got none of the ten");
            cluster.nodes.crash(1);
            cluster.watch.unfilter();
            let forwards = cluster.watch.count("NodeRpc.forward");
            cluster.wait_for_chain(&[0, 2]);
            end(t, clients, 4);
            cluster.settle();
            let after = cluster.watch.count("NodeRpc.forward") - forwards;
            // Those to the node that has crashed go on until the head knows better.
            assert!(after >= 10, "the head sends the tail the ten updates that it lacks: {after} were sent");
            assert_eq!(cluster.client().get(1).value, b"13", "the sum of all increments");
        },
    );
}

/// Head and middle of four die together.
#[test]
fn chain_double_crash() {
    play(
        "chain_double_crash",
        || chain(Mode::Plain, 4),
        |t, cluster| {
            end(t, increments(cluster, 3), 1);
            let middle = labrt::rand::random_range(1..3);
            let rest: Vec<NodeId> = (1..4).filter(|&node| node != middle).collect();
            let clients = increments(cluster, 6);
            thread::sleep(ms(labrt::rand::random_range(0..30)));
            t.scene("Head and middle die together.");
            cluster.nodes.crash(0);
            cluster.nodes.crash(middle);
            end(t, clients, 4);
            cluster.wait_for_chain(&rest);
            end(t, increments(cluster, 3), 10);
            assert_eq!(cluster.client().get(1).value, b"12", "the sum of all increments");
        },
    );
}

/// A spare joins at the tail while clients work.
#[test]
fn chain_join_at_tail() {
    play(
        "chain_join_at_tail",
        || chain(Mode::Plain, 3).with_spares(1),
        |t, cluster| {
            let mut client = cluster.client();
            (0..150).for_each(|object| _ = client.put(object + 100, "a value"));
            t.scene("The middle is lost.");
            cluster.nodes.crash(1);
            cluster.wait_for_chain(&[0, 2]);
            let stop = Instant::now() + Duration::from_secs(4);
            let load: Vec<_> = (0..4)
                .map(|_| {
                    let mut client = cluster.client();
                    thread::spawn_named("client", move || {
                        let mut done = 0_i64;
                        while Instant::now() < stop {
                            client.increment(1);
                            done += 1;
                        }
                        done
                    })
                })
                .collect();
            thread::sleep(ms(1000));
            cluster.seen().take_longest_pause();
            t.scene("A spare is added under load.");
            cluster.start(3);
            cluster.wait_for_chain(&[0, 2, 3]);
            thread::sleep(ms(500));
            let pause = cluster.seen().take_longest_pause();
            t.note(format!("the longest pause between two commits: {pause:?}"));
            // The last updates, a heartbeat, a plan, and the configuration to three nodes.
            assert!(!t.is_ordinary() || pause < ms(500), "updates pause for {pause:?}");
            let done: i64 = load.into_iter().map(|client| client.join().expect("a client ends")).sum();
            assert!(cluster.seen().is_installed(3), "the new tail has a copy");
            cluster.settle();
            assert_eq!(client.get_at(1, 3).value, done.to_string().into_bytes(), "the sum, at the new tail");
            assert_eq!(client.get_at(249, 3).value, b"a value", "an old object, at the new tail");
            t.exercised(done > 20, "there was load");
        },
    );
}
