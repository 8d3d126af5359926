//! Refusals that need a situation of their own. Each of them is a value, and loses nothing.

use craq::rpc::{
    Ack, Content, CopyState, Forward, Header, Heartbeat, ManagerPeer, NewConfig, Outcome, Read, Record,
    Update, VersionQuery,
};
use craq::{Config, Mode, Op, ReadMode, Refusal};
use labrpc::{Direction, TapAction};
use labrt::thread;
use rsm::Request;

use crate::cluster::{chain, play};
use crate::part_b::{drop_if, is_for};
use crate::watch::decode;

/// The head holds a version that it does not know to be committed, and cannot reach the tail. It says neither
/// the old value nor the new one.
#[test]
fn craq_unreachable_tail() {
    play(
        "craq_unreachable_tail",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            client.put(2, "clean");
            cluster.settle();
            t.scene("The tail commits a version. The head hears neither of that nor of the tail.");
            drop_if(cluster, |event| is_for(event, "NodeRpc.ack", 0));
            client.put(1, "new");
            cluster.set_link(0, 2, false);
            let (at, head) = (cluster.header(), cluster.peer(0));
            let read = |object, mode| head.read(&Read { at, object, mode });
            let answer = read(1, ReadMode::Strong);
            assert!(
                !t.is_ordinary() || answer == Ok(Err(Refusal::Unreachable)),
                "a strong read gives {answer:?}"
            );
            let version = |object, mode| read(object, mode).map(|read| read.map(|read| read.version));
            let (weak, clean) = (version(1, ReadMode::Eventual), version(2, ReadMode::Strong));
            assert!(!t.is_ordinary() || weak == Ok(Ok(2)), "a weak read needs no tail: {weak:?}");
            assert!(!t.is_ordinary() || clean == Ok(Ok(1)), "a clean object needs no tail: {clean:?}");
            t.scene("The link is mended.");
            cluster.set_link(0, 2, true);
            cluster.watch.unfilter();
            assert_eq!(client.get_at(1, 0).value, b"new", "a read at the head, with the link mended");
        },
    );
}

/// A tail that has stepped back answers nothing: what it says may be over, and what it takes is lost. If the
/// spare does not get the last part, it goes on as before.
#[test]
fn chain_tail_steps_back() {
    play(
        "chain_tail_steps_back",
        || chain(Mode::Plain, 3).with_spares(1),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "one");
            cluster.nodes.crash(0);
            cluster.nodes.crash(1);
            cluster.wait_for_chain(&[2]);
            t.scene("The last part of the copy is lost. Tail and head are one.");
            cluster.watch.filter(|event| {
                let is_copy = event.method == "NodeRpc.copy_state" && event.direction == Direction::Request;
                let is_last = is_copy && {
                    let part: CopyState = decode(event.bytes);
                    matches!(part.content, Content::Suffix { is_last: true, .. })
                };
                if is_last { TapAction::Drop } else { TapAction::Deliver }
            });
            cluster.start(3);
            let (at, tail) = (cluster.header(), cluster.peer(2));
            let read = Read { at, object: 1, mode: ReadMode::Strong };
            let awaited = "the tail has stepped back: it refuses a strong read with HandingOver";
            cluster.wait(10_000, awaited, || tail.read(&read) == Ok(Err(Refusal::HandingOver)));
            let request = Request { client: 77, sequence: 1, command: Op::Put(b"lost".to_vec()) };
            let taken = tail.update(&Update { at, object: 1, request });
            let query = tail.version_query(&VersionQuery { at, object: 1 });
            if t.is_ordinary() {
                assert_eq!(taken, Ok(Err(Refusal::HandingOver)), "an update");
                assert_eq!(query, Ok(Err(Refusal::HandingOver)), "a version query");
                t.scene("The tail gives the copy up, and goes on.");
                cluster.wait(10_000, "it answers again", || matches!(tail.read(&read), Ok(Ok(_))));
                assert_eq!(client.put(1, "two").version, 2, "nothing was taken meanwhile");
            }
            cluster.watch.unfilter();
            cluster.wait_for_chain(&[2, 3]);
            client.put(1, "three");
            assert_eq!(client.get(1).value, b"three", "the value after the join");
        },
    );
}

/// Messages of another chain, of every kind.
#[test]
fn chain_other_chain() {
    play(
        "chain_other_chain",
        || chain(Mode::Plain, 3).with_spares(1),
        |_, cluster| {
            let mut client = cluster.client();
            client.put(1, "one");
            cluster.settle();
            let here = cluster.header();
            let at = Header { chain: here.chain + 1, ..here };
            let (head, tail) = (cluster.peer(0), cluster.peer(2));
            let outcome = Outcome { version: 2, number: 0 };
            let record = Record {
                n: 2,
                object: 1,
                version: 2,
                value: b"two".to_vec(),
                client: 77,
                sequence: 1,
                outcome,
            };
            let wrong = Refusal::WrongChain;
            assert_eq!(tail.forward(&Forward { at, record }), Ok(Err(wrong)), "a forward");
            assert_eq!(head.ack(&Ack { at, n: 2 }), Ok(Err(wrong)), "an acknowledgement");
            let read = tail.read(&Read { at, object: 1, mode: ReadMode::Eventual });
            assert_eq!(read, Ok(Err(wrong)), "a read");
            let query = tail.version_query(&VersionQuery { at, object: 1 });
            assert_eq!(query, Ok(Err(wrong)), "a version query");
            let config = Config { epoch: at.epoch + 1, members: cluster.watch.newest().members };
            let lease = cluster.settings.lease;
            let news = NewConfig { chain: at.chain, config, successor_has: None, lease };
            assert_eq!(tail.new_config(&news), Ok(Err(wrong)), "a configuration");
            cluster.start(3);
            let part = CopyState { at, attempt: 1, part: 0, content: Content::Begin { n: 0 } };
            assert_eq!(cluster.peer(3).copy_state(&part), Ok(Err(wrong)), "a part of a copy");
            let manager = ManagerPeer::new(cluster.manager_end(cluster.leader()));
            assert!(!matches!(manager.config(&at.chain), Ok(Ok(_))), "a manager knows its own chain only");
            let member = cluster.watch.newest().members[0];
            let heartbeat = Heartbeat {
                chain: at.chain,
                member,
                epoch: at.epoch,
                received: 1,
                acked: 1,
                complaint: None,
                handed: None,
            };
            let beat = Request { client: member.life, sequence: 1_000_000, command: heartbeat };
            assert!(!matches!(manager.heartbeat(&beat), Ok(Ok(_))), "a manager answers {beat:?}");
            thread::sleep(cluster.settings.suspicion);
            assert_eq!((client.get(1).version, cluster.seen().committed()), (1, 1), "nothing has changed");
            assert_eq!(client.put(1, "two").version, 2, "the next version");
        },
    );
}
