//! Directed tests: situations that chance rarely brings about.

use std::fmt::Debug;

use craq::rpc::{Content, CopyState, Header, NewConfig, Outcome, Read, Update, VersionQuery};
use craq::{Config, Member, Mode, Op, ReadMode, Refusal};
use labrpc::{Direction, TapAction};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use rsm::Request;
use tester::Test;

use crate::cluster::{Cluster, Setup, chain, ms, play};
use crate::part_b::{drop_if, end, increments, is_for};
use crate::part_b_partitions::{cut_off, mend};
use crate::watch::decode;

fn update(at: Header, object: u64, client: u64, sequence: u64, op: Op) -> Update {
    Update { at, object, request: Request { client, sequence, command: op } }
}

/// A message is not for this node of this epoch. Which of the two reasons it says depends on what it looks at
/// first.
#[track_caller]
fn is_outside<T: Debug, E: Debug>(answer: Result<Result<T, Refusal>, E>, epoch: u64) {
    let is_right = match &answer {
        Ok(Err(Refusal::NotMember)) => true,
        Ok(Err(Refusal::WrongEpoch(own))) => *own == epoch,
        _ => false,
    };
    assert!(is_right, "neither NotMember nor WrongEpoch({epoch}): {answer:?}");
}

/// Each refusal is a value, and changes nothing.
#[test]
fn craq_refusals() {
    play(
        "craq_refusals",
        || chain(Mode::Craq, 3).with_spares(1),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "text");
            cluster.settle();
            let at = cluster.header();
            let other_chain = Header { chain: at.chain + 1, ..at };
            let (old, new) = (Header { epoch: at.epoch - 1, ..at }, Header { epoch: at.epoch + 1, ..at });
            let (head, middle) = (cluster.peer(0), cluster.peer(1));
            let op = || Op::Append(b"!".to_vec());
            t.scene("Other chains, other epochs, other roles.");
            let of = |at| head.update(&update(at, 1, 90, 1, op()));
            let wrong_epoch = Refusal::WrongEpoch(at.epoch);
            assert_eq!(of(other_chain), Ok(Err(Refusal::WrongChain)), "an update of another chain");
            assert_eq!(of(old), Ok(Err(wrong_epoch)), "an update of an earlier epoch");
            assert_eq!(of(new), Ok(Err(wrong_epoch)), "an update of a later epoch");
            let taken = middle.update(&update(at, 1, 90, 1, op()));
            assert_eq!(taken, Ok(Err(Refusal::NotHead)), "an update at the middle");
            let query = middle.version_query(&VersionQuery { at, object: 1 });
            assert_eq!(query, Ok(Err(Refusal::NotTail)), "a version query at the middle");
            let read = Read { at: new, object: 1, mode: ReadMode::Eventual };
            assert_eq!(middle.read(&read), Ok(Err(wrong_epoch)), "a read of a later epoch");
            t.scene("Operations that cannot be.");
            assert_eq!(
                client.update(1, Op::Increment(1)),
                Err(Refusal::NotANumber),
                "an increment of a text"
            );
            client.put(2, &i64::MAX.to_string());
            cluster.settle();
            assert_eq!(
                client.update(2, Op::Increment(1)),
                Err(Refusal::NotANumber),
                "beyond the largest number"
            );
            let test_and_set = Op::TestAndSet { version: 7, value: b"seven".to_vec() };
            cluster.settle();
            assert_eq!(
                client.update(1, test_and_set),
                Err(Refusal::BadVersion(1)),
                "a test-and-set of version 7"
            );
            t.scene("A spare does nothing for clients, and takes no copy that has no beginning.");
            cluster.start(3);
            let spare = cluster.peer(3);
            is_outside(spare.update(&update(at, 1, 90, 1, op())), 0);
            is_outside(spare.read(&Read { at, ..read }), 0);
            let content = Content::Suffix { records: Vec::new(), is_last: true };
            let part = CopyState { at, attempt: 1, part: 1, content };
            assert_eq!(spare.copy_state(&part), Ok(Err(Refusal::Gap)), "part 1 of a copy without part 0");
            let taken = middle.copy_state(&part);
            assert!(matches!(taken, Ok(Err(_))), "a member needs no copy of its own epoch: {taken:?}");
            let stranger = Member { node: 3, life: 1 };
            let config = Config { epoch: at.epoch + 1, members: vec![stranger] };
            let news = NewConfig { chain: at.chain, config, successor_has: None, lease: ms(1000) };
            assert_eq!(spare.new_config(&news), Ok(Err(Refusal::NotMember)), "another life of the node");
            let stale = NewConfig { config: Config { epoch: at.epoch - 1, ..news.config.clone() }, ..news };
            is_outside(middle.new_config(&stale), at.epoch);
            cluster.settle();
            let read = client.get(1);
            assert_eq!((read.version, read.value), (1, b"text".to_vec()), "nothing has changed");
        },
    );
}

/// A late copy of a test-and-set that was refused does not succeed, and one of an update that was answered
/// gets the same answer.
#[test]
fn craq_late_copies() {
    play(
        "craq_late_copies",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let (at, head) = (cluster.header(), cluster.peer(0));
            let mut client = cluster.client();
            client.put(1, "one");
            cluster.settle();
            t.scene("A test-and-set comes while a version is under way.");
            drop_if(cluster, |event| is_for(event, "NodeRpc.forward", 2));
            let mut writer = cluster.client();
            let writing = thread::spawn_named("writer", move || writer.put(1, "two"));
            cluster.wait(5000, "the middle has the update", || cluster.seen().hist(1) == 2);
            let late = update(at, 1, 77, 1, Op::TestAndSet { version: 2, value: b"late".to_vec() });
            assert_eq!(head.update(&late), Ok(Err(Refusal::Busy)), "a test-and-set beside a dirty version");
            cluster.watch.unfilter();
            writing.join().expect("the writer ends");
            cluster.settle();
            t.scene("Its late copy finds the version that it expects.");
            assert_eq!(head.update(&late), Ok(Err(Refusal::Busy)), "its client was told that it failed");
            assert_eq!(client.get(1).value, b"two", "the test-and-set has changed nothing");
            let append = update(at, 5, 78, 1, Op::Append(b"!".to_vec()));
            let taken = head.update(&append);
            assert!(taken.is_ok(), "the head answers an append: {taken:?}");
            cluster.settle();
            let done = craq::rpc::Taken::Done(Outcome { version: 1, number: 0 });
            assert_eq!(head.update(&append), Ok(Ok(done)), "the same answer");
            let next = update(at, 5, 78, 2, Op::Append(b"?".to_vec()));
            let taken = head.update(&next);
            assert!(taken.is_ok(), "the head answers the next append: {taken:?}");
            assert_eq!(head.update(&append), Ok(Err(Refusal::Stale)), "its client has gone on");
            cluster.settle();
            assert_eq!(cluster.seen().object(5).value, b"!?", "each append counts once");
        },
    );
}

/// The head refuses an increment because of an update that is then lost with the head. The client must not
/// have seen that update in the refusal: others read the older value afterwards.
#[test]
fn craq_refusal_and_a_lost_update() {
    play(
        "craq_refusal_and_a_lost_update",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut reader = cluster.client();
            reader.put(1, "5");
            cluster.settle();
            t.scene("The head has an update that no other node gets. Another client increments.");
            drop_if(cluster, |event| event.method == "NodeRpc.forward");
            let mut writer = cluster.client();
            let writing = thread::spawn_named("writer", move || writer.put(1, "text"));
            cluster.wait(5000, "the head has the update", || cluster.seen().hist(0) == 2);
            let answer = cluster.client().update_for(1, Op::Increment(1), ms(1000));
            t.note(format!("the increment: {answer:?}"));
            t.scene("The head dies. The update comes again when somebody has read.");
            drop_if(cluster, |event| ["NodeRpc.forward", "NodeRpc.update"].contains(&event.method));
            cluster.nodes.crash(0);
            cluster.wait_for_chain(&[1, 2]);
            assert_eq!(reader.get(1).value, b"5", "the update is lost with the head");
            cluster.watch.unfilter();
            writing.join().expect("the writer ends");
            // The clients' history is checked at the end.
        },
    );
}

/// A copy of the chain's state brings what clients were told, too: the new tail may be the head one day, and
/// knows an update that comes again.
#[test]
fn craq_copy_knows_answers() {
    play("craq_copy_knows_answers", pair_and_spare, |t, cluster| copy_and_repeat(t, cluster, false));
}

/// The same, and the update comes while the copy is under way: it is among those that follow the copy.
#[test]
fn craq_copy_follows_answers() {
    play("craq_copy_follows_answers", pair_and_spare, |t, cluster| copy_and_repeat(t, cluster, true));
}

fn pair_and_spare() -> Setup {
    chain(Mode::Craq, 2).with_spares(1)
}

/// A client's update comes before a copy or during it, and again when the node that has the copy is alone.
fn copy_and_repeat(t: &Test, cluster: &Cluster, is_during: bool) {
    let append = |at| update(at, 1, 77, 1, Op::Append(b"!".to_vec()));
    let head = cluster.peer(0);
    let take = || {
        cluster.wait(20_000, "the head takes the update", || {
            matches!(head.update(&append(cluster.header())), Ok(Ok(_)))
        });
    };
    cluster.client().put(2, "there is something to copy");
    if !is_during {
        take();
    }
    cluster.settle();
    t.scene("A spare takes the tail's place, and then it is alone.");
    cluster.nodes.crash(1);
    cluster.wait_for_chain(&[0]);
    let follows = is_during.then(|| slow_copy(cluster));
    cluster.start(2);
    if is_during {
        let copies = cluster.watch.count("NodeRpc.copy_state");
        cluster.wait(10_000, "the copy has begun", || cluster.watch.count("NodeRpc.copy_state") > copies);
        take();
    }
    cluster.wait_for_chain(&[0, 2]);
    let is_met = follows.is_none_or(|follows| follows.load(Ordering::SeqCst));
    t.exercised(is_met, "the update follows the copy");
    cluster.watch.unfilter();
    cluster.nodes.crash(0);
    cluster.wait_for_chain(&[2]);
    t.scene("The update comes once more.");
    let done = craq::rpc::Taken::Done(Outcome { version: 1, number: 0 });
    let head = cluster.peer(2);
    let answer = cluster.wait_for(5000, "the head answers", || {
        let answer = head.update(&append(cluster.header())).ok()?;
        (answer != Err(Refusal::NoLease)).then_some(answer)
    });
    assert_eq!(answer, Ok(done), "it is the same update");
    assert_eq!(cluster.seen().object(1).value, b"!", "the update counts once");
}

/// Each part of a copy takes a while from now on. Says whether updates have followed one.
fn slow_copy(cluster: &Cluster) -> Arc<AtomicBool> {
    let follows = Arc::new(AtomicBool::new(false));
    let seen = follows.clone();
    cluster.watch.filter(move |event| {
        if event.method != "NodeRpc.copy_state" || event.direction == Direction::Reply {
            return TapAction::Deliver;
        }
        let part: CopyState = decode(event.bytes);
        if let Content::Suffix { records, .. } = part.content {
            seen.fetch_or(!records.is_empty(), Ordering::SeqCst);
        }
        TapAction::Delay(ms(80))
    });
    follows
}

/// A node that was removed forgets what it had, also which updates it had taken: they may be lost.
#[test]
fn craq_removed_node_forgets() {
    play(
        "craq_removed_node_forgets",
        || chain(Mode::Craq, 2),
        |t, cluster| {
            t.scene("The head has an update that the tail does not get, and is cut off.");
            drop_if(cluster, |event| event.method == "NodeRpc.forward");
            let append = |at| update(at, 1, 77, 1, Op::Append(b"!".to_vec()));
            let head = cluster.peer(0);
            cluster.wait(5000, "the head takes it", || {
                matches!(head.update(&append(cluster.header())), Ok(Ok(_)))
            });
            cut_off(cluster, 0);
            cluster.wait_for_chain(&[1]);
            cluster.watch.unfilter();
            t.scene("It comes back, and then it is alone.");
            mend(cluster, 0);
            cluster.wait_for_chain(&[1, 0]);
            cluster.nodes.crash(1);
            cluster.wait_for_chain(&[0]);
            t.scene("The update comes once more.");
            cluster.wait(5000, "the update is done", || {
                let answer = head.update(&append(cluster.header()));
                matches!(answer, Ok(Ok(craq::rpc::Taken::Done(_))))
            });
            let stored = (cluster.seen().object(1).value, cluster.seen().committed());
            assert_eq!(stored, (b"!".to_vec(), 1), "the value, and how many updates are committed");
        },
    );
}

/// A node hears of a configuration when the next one is in force, which leaves it out. To be told of one is
/// no lease.
#[test]
fn craq_late_configuration() {
    play(
        "craq_late_configuration",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            cluster.settle();
            t.scene("The middle dies. The tail does not hear of the new chain, and is cut off.");
            let late: Arc<Mutex<Option<NewConfig>>> = Arc::default();
            let seen = late.clone();
            drop_if(cluster, move |event| {
                let is_late = is_for(event, "NodeRpc.new_config", 2);
                if is_late {
                    *seen.lock() = Some(decode(event.bytes));
                }
                is_late
            });
            cluster.nodes.crash(1);
            let news = cluster.wait_for(20_000, "a chain without the middle", || {
                late.lock().clone().filter(|news| news.config.members.len() == 2)
            });
            cut_off(cluster, 2);
            cluster.wait_for_chain(&[0]);
            client.put(1, "new");
            t.scene("Now the tail hears of it.");
            cluster.watch.unfilter();
            let tail = cluster.peer(2);
            let answer = tail.new_config(&news);
            assert!(matches!(answer, Ok(Ok(_))), "it is a later configuration: {answer:?}");
            let at = Header { epoch: news.config.epoch, ..cluster.header() };
            let read = tail.read(&Read { at, object: 1, mode: ReadMode::Strong });
            assert_eq!(read, Ok(Err(Refusal::NoLease)), "the value is old");
            mend(cluster, 2);
            cluster.wait_for_chain(&[0, 2]);
        },
    );
}

/// A node crashes, and starts again before anybody has noticed. It has lost everything, and is a spare.
#[test]
fn craq_quick_restart() {
    play(
        "craq_quick_restart",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            end(t, increments(cluster, 3), 1);
            let node = labrt::rand::random_range(0..3);
            t.scene(format!("Node {node} restarts at once."));
            let epoch = cluster.header().epoch;
            cluster.nodes.crash(node);
            cluster.start(node);
            let clients = increments(cluster, 3);
            cluster.wait_for_epoch_after(epoch);
            end(t, clients, 4);
            let mut chain: Vec<_> = (0..3).filter(|&one| one != node).collect();
            chain.push(node);
            cluster.wait_for_chain(&chain);
            end(t, increments(cluster, 3), 7);
            assert_eq!(cluster.client().get_at(1, node).value, b"9", "the sum, at the node that restarted");
        },
    );
}

/// The spare crashes while it gets its copy, and so does the tail while it gives one.
#[test]
fn craq_copy_breaks_off() {
    play(
        "craq_copy_breaks_off",
        || chain(Mode::Craq, 3).with_spares(2),
        |t, cluster| {
            let mut client = cluster.client();
            (0..200).for_each(|object| _ = client.put(object, "a value"));
            cluster.nodes.crash(1);
            cluster.wait_for_chain(&[0, 2]);
            t.scene("The spare crashes while it gets its copy.");
            cluster.watch.filter(|event| {
                let is_copy = event.method == "NodeRpc.copy_state";
                if is_copy { TapAction::Delay(ms(30)) } else { TapAction::Deliver }
            });
            let copies = cluster.watch.count("NodeRpc.copy_state");
            cluster.start(3);
            cluster.wait(10_000, "the copy has begun", || cluster.watch.count("NodeRpc.copy_state") > copies);
            cluster.nodes.crash(3);
            client.put(1, "while there is no spare");
            t.scene("Another spare gets a copy, and the tail crashes meanwhile.");
            let copies = cluster.watch.count("NodeRpc.copy_state");
            cluster.start(4);
            cluster.wait(10_000, "the copy has begun", || {
                cluster.watch.count("NodeRpc.copy_state") > copies + 3
            });
            cluster.nodes.crash(2);
            client.put(1, "when the tail is lost");
            cluster.watch.unfilter();
            cluster.wait_for_chain(&[0, 4]);
            assert_eq!(
                client.get_at(1, 4).value,
                b"when the tail is lost",
                "the newest value, at the new tail"
            );
        },
    );
}

/// Updates come repeated and in the wrong order. They are applied in order, once.
#[test]
fn craq_forwards_out_of_order() {
    play(
        "craq_forwards_out_of_order",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            t.scene("Every update to the middle takes another time, and some are lost.");
            cluster.watch.filter(|event| match event.method {
                "NodeRpc.forward" | "NodeRpc.ack" => match labrt::rand::random_range(0..4) {
                    0 => TapAction::Drop,
                    1 => TapAction::Duplicate,
                    _ => TapAction::Delay(ms(labrt::rand::random_range(0..60))),
                },
                _ => TapAction::Deliver,
            });
            end(t, increments(cluster, 12), 1);
            end(t, increments(cluster, 12), 13);
            cluster.watch.unfilter();
            cluster.settle();
            assert_eq!(cluster.client().get_at(1, 1).value, b"24", "the sum, at the middle");
        },
    );
}

/// Reads of what a node has received and not committed, after its chain has become shorter.
#[test]
fn craq_tail_lost_with_dirty_versions() {
    play(
        "craq_tail_lost_with_dirty_versions",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            cluster.settle();
            drop_if(cluster, |event| is_for(event, "NodeRpc.forward", 2));
            let mut writer = cluster.client();
            let writing = thread::spawn_named("writer", move || writer.put(1, "new"));
            cluster.wait(5000, "the middle has the update", || cluster.seen().hist(1) == 2);
            assert_eq!(client.get_at(1, 0).value, b"old", "at the head: the tail has not got the update");
            assert_eq!(client.get_at(1, 1).value, b"old", "at the middle: the tail has not got the update");
            t.scene("The tail is lost. What its predecessor kept is committed.");
            cluster.nodes.crash(2);
            cluster.watch.unfilter();
            cluster.wait_for_chain(&[0, 1]);
            assert_eq!(writing.join().expect("the writer ends").version, 2, "the version of the kept update");
            assert_eq!(client.get_at(1, 0).value, b"new", "at the head, without the old tail");
            assert_eq!(client.get_at(1, 1).value, b"new", "at the new tail");
        },
    );
}
