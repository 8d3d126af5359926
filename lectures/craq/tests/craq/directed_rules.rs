//! Directed tests, one for a rule each: what counts as committed, what is over with an epoch, what must stay.

use craq::rpc::{Content, CopyState, Header, NewConfig, Read, Taken, Update, VersionQuery, Versioned};
use craq::{Config, Mode, Op, Plan, RaftRegistry, ReadMode, Refusal, Registry};
use labrpc::{Direction, TapAction};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::Request;
use tester::{Boot, Net, Test};

use crate::cluster::{Cluster, Ground, Setup, chain, ms, play, run};
use crate::part_b::{drop_if, is_for};
use crate::part_b_partitions::{cut_off, mend};

/// What a successor has received is not committed: only what the tail has.
#[test]
fn craq_received_is_not_committed() {
    play(
        "craq_received_is_not_committed",
        || chain(Mode::Craq, 4),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            cluster.settle();
            t.scene("All nodes but the tail have an update. The second one of four is lost.");
            drop_if(cluster, |event| is_for(event, "NodeRpc.forward", 3));
            let mut writer = cluster.client();
            let writing = thread::spawn_named("writer", move || writer.put(1, "new"));
            cluster.wait(5000, "node 2 has the update", || cluster.seen().hist(2) == 2);
            cluster.nodes.crash(1);
            cluster.wait_for_chain(&[0, 2, 3]);
            for node in [0, 2] {
                let read = client.get_at(1, node);
                t.expect(read.value == b"old" || !t.is_ordinary(), || {
                    format!("the tail has not got version 2, and node {node} reads {read:?} (invariant 6)")
                });
            }
            t.scene("The tail gets it.");
            cluster.watch.unfilter();
            writing.join().expect("the writer ends");
            let read = client.get_at(1, 0);
            t.expect(read.value == b"new", || format!("version 2 is committed, and the head reads {read:?}"));
        },
    );
}

/// No node reaches the managers for long. Whoever would be removed last is all that is left of the objects.
#[test]
fn chain_nobody_reaches_the_managers() {
    play(
        "chain_nobody_reaches_the_managers",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            client.put(2, "kept");
            cluster.settle();
            t.scene("No node reaches the managers, for ten times a lease.");
            (0..3).for_each(|node| cluster.set_managers(node, false));
            thread::sleep(cluster.settings.lease * 10);
            (0..3).for_each(|node| cluster.set_managers(node, true));
            t.scene("All of them do.");
            let put = client.update_for(1, Op::Put(b"new".to_vec()), ms(60_000));
            t.expect(put.is_some_and(|put| put.is_ok()), || {
                format!("all nodes live and reach the managers for a minute, and a put ends with {put:?}")
            });
            let read = client.get(2);
            t.expect(read.value == b"kept", || {
                format!("an update was committed in a chain of three that all live, and is read as {read:?}")
            });
        },
    );
}

/// Each message of an earlier epoch is refused, and so is the earlier configuration itself.
#[test]
fn craq_messages_of_an_earlier_epoch() {
    play(
        "craq_messages_of_an_earlier_epoch",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            cluster.client().put(1, "one");
            cluster.nodes.crash(1);
            cluster.wait_for_chain(&[0, 2]);
            cluster.settle();
            let config = cluster.watch.newest();
            let chain = cluster.settings.chain;
            let (front, back) = (cluster.peer(config.members[0].node), cluster.peer(config.members[1].node));
            t.scene("Everything comes once more, of the epoch before.");
            let at = Header { chain, epoch: config.epoch - 1 };
            let due = Some(Refusal::WrongEpoch(config.epoch));
            let expect = |what: &str, told: Option<Refusal>| {
                t.expect(told == due || !t.is_ordinary(), || {
                    format!("{what} of epoch {} comes in epoch {}: {told:?}", at.epoch, config.epoch)
                });
            };
            let request = Request { client: 77, sequence: 1, command: Op::Put(b"late".to_vec()) };
            let read = Read { at, object: 1, mode: ReadMode::Eventual };
            let query = VersionQuery { at, object: 1 };
            expect("an update", front.update(&Update { at, object: 1, request }).ok().and_then(Result::err));
            expect("a read", back.read(&read).ok().and_then(Result::err));
            expect("a version query", back.version_query(&query).ok().and_then(Result::err));
            let earlier = Config { epoch: at.epoch, members: config.members.clone() };
            let (successor_has, lease) = (Some(0), cluster.settings.lease);
            let news = NewConfig { chain, config: earlier, successor_has, lease };
            expect("a configuration", front.new_config(&news).ok().and_then(Result::err));
            let again = front.new_config(&NewConfig { config: config.clone(), ..news });
            t.expect(!matches!(again, Ok(Err(_))) || !t.is_ordinary(), || {
                format!("the configuration in force comes once more, and is answered {again:?}")
            });
            let read = cluster.client().get(1);
            t.expect(read.value == b"one", || format!("nothing has changed, and object 1 reads {read:?}"));
        },
    );
}

/// Reads that are bounded in time, at a node that is cut off: what it may have missed is younger than the
/// bound.
#[test]
fn craq_bounded_in_time() {
    play(
        "craq_bounded_in_time",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            cluster.settle();
            let (middle, at) = (cluster.peer(1).timeout(ms(100)), cluster.header());
            t.scene("The middle is cut off, and the chain goes on without it.");
            cut_off(cluster, 1);
            cluster.wait_for_chain(&[0, 2]);
            client.put(1, "new");
            let (committed, bound) = (Instant::now(), Duration::from_secs(6));
            let read = Read { at, object: 1, mode: ReadMode::BoundedTime(bound) };
            let mut last = None;
            while committed.elapsed() < bound * 3 {
                if let Ok(Ok(Versioned { version: 1, .. })) = middle.read(&read) {
                    last = Some(committed.elapsed());
                }
                thread::sleep(ms(50));
            }
            t.exercised(last.is_some(), "the node answered for a while");
            // Clocks are slow by a twentieth at most.
            let most = bound + bound / 20 + ms(200);
            t.expect(last.is_none_or(|last| last <= most), || {
                format!("version 2 is committed for {last:?}, and a read within {bound:?} gives version 1 (invariant 9)")
            });
            mend(cluster, 1);
            cluster.wait_for_chain(&[0, 2, 1]);
        },
    );
}

/// A node asks the tail, and learns of a newer commit before it has the answer. It holds the version that the
/// tail named, or the newer one.
#[test]
fn craq_commit_overtakes_the_answer() {
    play(
        "craq_commit_overtakes_the_answer",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            cluster.client().put(1, "old");
            cluster.settle();
            t.scene("The tail says that version 1 is committed. Its answer takes long, and version 2 is committed.");
            let is_told = Arc::new(AtomicBool::new(false));
            let told = is_told.clone();
            cluster.watch.filter(move |event| {
                if event.method == "NodeRpc.version_query" && event.direction == Direction::Reply {
                    told.store(true, Ordering::SeqCst);
                    return TapAction::Delay(ms(100));
                }
                let waits = !told.load(Ordering::SeqCst) && is_for(event, "NodeRpc.forward", 2);
                if waits { TapAction::Drop } else { TapAction::Deliver }
            });
            let mut writer = cluster.client();
            let writing = thread::spawn_named("writer", move || writer.put(1, "new"));
            cluster.wait(5000, "the middle has the update", || cluster.seen().hist(1) == 2);
            let (middle, at) = (cluster.peer(1), cluster.header());
            let read = middle.read(&Read { at, object: 1, mode: ReadMode::Strong });
            writing.join().expect("the writer ends");
            t.exercised(is_told.load(Ordering::SeqCst), "the middle asked the tail");
            let is_right = matches!(&read, Ok(Ok(Versioned { version: 1 | 2, .. })));
            t.expect(is_right || !t.is_ordinary(), || {
                format!("the middle holds version 2, which is committed, and answers {read:?}")
            });
        },
    );
}

/// A copy brings everything, also when there is much of it: 128 objects, each of another client.
#[test]
fn chain_copy_of_many() {
    play(
        "chain_copy_of_many",
        || chain(Mode::Plain, 2).with_spares(1),
        |t, cluster| {
            let append = |number| {
                let request = Request { client: number, sequence: 1, command: Op::Append(b"!".to_vec()) };
                Update { at: cluster.header(), object: number, request }
            };
            let done = |node| {
                let head = cluster.peer(node);
                for number in 1000..1128 {
                    cluster.wait(10_000, "an update is done", || {
                        matches!(head.update(&append(number)), Ok(Ok(Taken::Done(_))))
                    });
                }
            };
            done(0);
            t.scene("A spare takes the tail's place, and then it is alone.");
            cluster.nodes.crash(1);
            cluster.wait_for_chain(&[0]);
            cluster.start(2);
            cluster.wait_for_chain(&[0, 2]);
            cluster.nodes.crash(0);
            cluster.wait_for_chain(&[2]);
            t.scene("All updates come once more.");
            done(2);
            let (at, tail) = (cluster.header(), cluster.peer(2));
            for number in 1000..1128 {
                let read = cluster.wait_for(10_000, "a read", || {
                    tail.read(&Read { at, object: number, mode: ReadMode::Strong }).ok()?.ok()
                });
                t.expect((read.version, read.value.as_slice()) == (1, b"!"), || {
                    format!("object {number} was appended to once, came with a copy, and is {read:?} (invariant 5)")
                });
            }
        },
    );
}

/// The registry takes the plan behind the present one, and no other: two managers that both believe they lead
/// cannot both decide.
#[test]
fn chain_registry_compares() {
    run("chain_registry_compares", 600, |t| {
        let registries: Arc<Mutex<Vec<Arc<dyn Registry>>>> = Arc::default();
        let made = registries.clone();
        let ground = move |_: &Test, _: &Net| -> Ground {
            let made = made.clone();
            Box::new(move |boot: Boot| {
                let registry = RaftRegistry::start(boot.ends, boot.me, boot.persister);
                let service = registry.service();
                made.lock().push(registry.clone());
                (registry, vec![service])
            })
        };
        let cluster = Cluster::new(t, Setup { ground: Arc::new(ground), ..chain(Mode::Plain, 2) });
        let newest = || {
            cluster.wait_for(20_000, "a registry answers", || {
                let all = registries.lock().clone();
                all.into_iter().find_map(|registry| registry.newest().ok())
            })
        };
        let plan = newest();
        t.scene("A manager publishes plans that are not behind the present one.");
        for revision in [0, plan.revision - 1, plan.revision, plan.revision + 2, plan.revision + 100] {
            let active = Config { epoch: plan.active.epoch, members: plan.active.members[..1].to_vec() };
            let wrong = Plan { revision, active, next: None };
            let all = registries.lock().clone();
            let is_published = all.iter().any(|registry| registry.publish(&wrong).is_ok());
            t.exercised(is_published, "a leader had the plan committed");
            let now = newest();
            t.expect(now == plan || !t.is_ordinary(), || {
                format!(
                    "the plan has revision {}, one of revision {revision} came, and now it is {now:?}",
                    plan.revision
                )
            });
        }
        cluster.finish();
    });
}

/// In a plain chain the tail alone answers reads, whatever they ask for.
#[test]
fn chain_reads_at_the_tail() {
    play(
        "chain_reads_at_the_tail",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            cluster.client().put(1, "one");
            cluster.settle();
            let at = cluster.header();
            let modes = [ReadMode::Strong, ReadMode::Eventual, ReadMode::BoundedVersions(9)];
            for (node, mode) in [0, 1].into_iter().flat_map(|node| modes.map(|mode| (node, mode))) {
                let read = cluster.peer(node).read(&Read { at, object: 1, mode });
                t.expect(read == Ok(Err(Refusal::NotTail)) || !t.is_ordinary(), || {
                    format!(
                        "a read ({mode:?}) at node {node} of a plain chain, which is not the tail: {read:?}"
                    )
                });
            }
        },
    );
}

/// A tail gives a copy up and begins another one. What is late of the first is no part of the second.
#[test]
fn chain_copy_of_another_attempt() {
    play(
        "chain_copy_of_another_attempt",
        || chain(Mode::Plain, 3).with_spares(1),
        |t, cluster| {
            cluster.client().put(1, "one");
            cluster.settle();
            cluster.start(3);
            let (at, spare, n) = (cluster.header(), cluster.peer(3), cluster.seen().hist(0));
            let part = |attempt, part, content| CopyState { at, attempt, part, content };
            let ask = |part: CopyState| {
                cluster.wait_for(5000, "the spare answers", || spare.copy_state(&part).ok())
            };
            let objects = Content::Objects(vec![(1, Versioned { version: 1, value: b"late".to_vec() })]);
            let answers = [
                ask(part(2, 0, Content::Begin { n })),
                ask(part(1, 1, objects.clone())),
                ask(part(1, 0, Content::Begin { n: 0 })),
                ask(part(2, 2, objects)),
                ask(part(2, 0, Content::Begin { n })),
            ];
            let due = [Ok(()), Err(Refusal::Stale), Err(Refusal::Stale), Err(Refusal::Gap), Ok(())];
            t.expect(answers == due || !t.is_ordinary(), || {
                format!(
                    "part 0 of attempt 2; 1 and 0 of attempt 1; 2 of attempt 2; 0 of attempt 2 again: \
                     {answers:?}, expected {due:?}"
                )
            });
        },
    );
}
