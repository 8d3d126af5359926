//! Directed tests about epochs and leases: what is over with an epoch, and what must wait for a lease's end.

use craq::rpc::{Forward, Granted, Heartbeat, NewConfig, NotLeader, Read};
use craq::{Mode, Op, ReadMode, Refusal, Settings};
use labrpc::{Direction, TapAction};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::Request;
use tester::Test;

use crate::cluster::{Cluster, MANAGERS, Setup, chain, ms, play, run};
use crate::part_b::{drop_if, end, increments, is_for};
use crate::part_b_partitions::{Late, cut_off, mend, read_at};
use crate::watch::{decode, last_served, seconds};

/// A cluster whose managers lose patience long before a lease ends. Where messages are slow or nodes pause
/// they have the usual patience: otherwise the tests would be about nothing else.
fn impatient(t: &Test, setup: Setup, lease: u64, suspicion: u64) -> Cluster {
    let usual = setup.settings;
    let settings = Settings { lease: ms(lease), suspicion: ms(suspicion), ..usual };
    Cluster::new(t, Setup { settings: if t.is_ordinary() { settings } else { usual }, ..setup })
}

/// A second node is lost while the first one's lease runs out. The plan without both is a new one, and has to
/// wait for the lease of the second node, too.
#[test]
fn chain_second_loss_waits_anew() {
    run("chain_second_loss_waits_anew", 600, |t| {
        let cluster = impatient(t, chain(Mode::Craq, 3), 1500, 400);
        let mut client = cluster.client();
        client.put(1, "old");
        cluster.settle();
        t.scene("The tail is cut off. The plan without it waits for its lease.");
        cut_off(&cluster, 2);
        thread::sleep(cluster.settings.suspicion + ms(900));
        t.scene("Shortly before the lease ends the middle is cut off, with a fresh lease. Clients reach it.");
        let served = read_at(&cluster, 1);
        cut_off(&cluster, 1);
        let writing = thread::spawn_named("writer", move || client.put(1, "new"));
        cluster.wait(20_000, "the head is alone", || cluster.watch.chain() == [0]);
        let in_force = Instant::now();
        writing.join().expect("the writer ends");
        thread::sleep(cluster.settings.lease);
        let last = served.lock().0;
        t.expect(last.is_some_and(|last| last < in_force), || {
            format!(
                "the middle {}, and the chain without it began at {}",
                last_served(last),
                seconds(in_force)
            )
        });
        [1, 2].into_iter().for_each(|node| mend(&cluster, node));
        cluster.finish();
    });
}

/// The tail is removed, and the head does not know it. Nor does the tail, which the head can reach. A version
/// that the tail never had is committed in the chain without it.
#[test]
fn craq_version_query_needs_a_lease() {
    play(
        "craq_version_query_needs_a_lease",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "old");
            cluster.settle();
            let (at, head) = (cluster.header(), cluster.peer(0));
            t.scene("The tail reaches the head, and neither the middle nor the managers.");
            drop_if(cluster, |event| is_for(event, "NodeRpc.new_config", 0));
            cluster.set_link(1, 2, false);
            cluster.set_managers(2, false);
            let put = Op::Put(b"new".to_vec());
            let is_put = client.update_for(1, put, ms(10_000)).is_some();
            t.exercised(is_put, "the shorter chain has answered");
            t.scene("The middle is the tail, and has answered a client. The head has not heard of that.");
            let queries = cluster.watch.count("NodeRpc.version_query");
            let read = head.read(&Read { at, object: 1, mode: ReadMode::Strong });
            let is_old = matches!(&read, Ok(Ok(read)) if read.version < 2);
            t.expect(!is_old || !is_put, || format!("the head answers {read:?}, and version 2 is committed"));
            t.exercised(
                cluster.watch.count("NodeRpc.version_query") > queries,
                "the head asked the old tail",
            );
            // It passes on what the tail says, or says that the tail has not answered the question.
            let refused = [Ok(Err(Refusal::NoLease)), Ok(Err(Refusal::Unreachable))];
            assert!(!t.is_ordinary() || refused.contains(&read), "a strong read at the head: {read:?}");
            cluster.watch.unfilter();
            cluster.set_link(1, 2, true);
            cluster.set_managers(2, true);
            cluster.wait_for_chain(&[0, 1, 2]);
        },
    );
}

/// A tail hands its state over, and then the head is lost. In the chain of the next epoch updates go on, so
/// what was handed over is no longer all.
#[test]
fn chain_handover_of_an_old_epoch() {
    run("chain_handover_of_an_old_epoch", 600, |t| {
        let cluster = impatient(t, chain(Mode::Plain, 3).with_spares(1), 600, 500);
        end(t, increments(&cluster, 2), 1);
        cluster.nodes.crash(1);
        cluster.wait_for_chain(&[0, 2]);
        let (holds, is_alone, is_handed) = hold_copy_and_news(&cluster);
        t.scene("A spare gets its copy, and the head crashes before it is complete.");
        let copies = cluster.watch.count("NodeRpc.copy_state");
        cluster.start(3);
        cluster.wait(10_000, "the copy has begun", || cluster.watch.count("NodeRpc.copy_state") > copies);
        cluster.nodes.crash(0);
        thread::sleep(cluster.settings.suspicion + ms(200));
        holds.store(false, Ordering::SeqCst);
        cluster.wait(20_000, "the tail is alone", || is_alone.load(Ordering::SeqCst));
        t.exercised(is_handed.load(Ordering::SeqCst), "the tail had told that it has handed over");
        t.scene("Clients go on in the next epoch. For a while no manager hears of it.");
        end(t, increments(&cluster, 3), 3);
        thread::sleep(ms(500));
        cluster.watch.unfilter();
        cluster.wait_for_chain(&[2, 3]);
        end(t, increments(&cluster, 2), 6);
        cluster.settle();
        cluster.finish();
    });
}

/// Three facts of the test above: parts of a copy are held back; the tail, node 2, has heard that it is
/// alone; it had told a manager before that node 3 has its copy. Behind the second one its heartbeats are
/// lost for a while, and node 3 hears late of whatever configuration there is.
fn hold_copy_and_news(cluster: &Cluster) -> (Flag, Flag, Flag) {
    let (holds, is_alone, is_handed) = (flag(true), flag(false), flag(false));
    let (held, alone, handed, mut since) = (holds.clone(), is_alone.clone(), is_handed.clone(), None);
    cluster.watch.filter(move |event| {
        if event.direction == Direction::Reply {
            return TapAction::Deliver;
        }
        match event.method {
            "NodeRpc.copy_state" if held.load(Ordering::SeqCst) => TapAction::Drop,
            "NodeRpc.new_config" if is_for(event, "NodeRpc.new_config", 3) => TapAction::Delay(ms(140)),
            "NodeRpc.new_config" => {
                let news: NewConfig = decode(event.bytes);
                if news.config.members.len() == 1 && !alone.swap(true, Ordering::SeqCst) {
                    since = Some(Instant::now());
                }
                TapAction::Deliver
            }
            "ManagerRpc.heartbeat" => {
                let heartbeat: Request<Heartbeat> = decode(event.bytes);
                let is_tails = heartbeat.command.member.node == 2;
                let has_handed = is_tails && heartbeat.command.handed.is_some() && since.is_none();
                handed.fetch_or(has_handed, Ordering::SeqCst);
                let is_lost = is_tails && since.is_some_and(|since: Instant| since.elapsed() < ms(400));
                if is_lost { TapAction::Drop } else { TapAction::Deliver }
            }
            _ => TapAction::Deliver,
        }
    });
    (holds, is_alone, is_handed)
}

type Flag = Arc<AtomicBool>;

fn flag(is_set: bool) -> Flag {
    Arc::new(AtomicBool::new(is_set))
}

/// A node has told its predecessor what is committed, and the predecessor dies with it. The next predecessor
/// has to hear it as well, although nothing new is committed.
#[test]
fn chain_new_predecessor_hears_of_commits() {
    play(
        "chain_new_predecessor_hears_of_commits",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            t.scene("The middle knows what is committed, and the head does not hear of it.");
            drop_if(cluster, |event| is_for(event, "NodeRpc.ack", 0));
            end(t, increments(cluster, 3), 1);
            let known = |node| cluster.nodes.visit(node, |node| node.inspect(craq::State::committed));
            cluster.wait(10_000, "the middle knows it", || known(1) == Some(3));
            cluster.nodes.crash(1);
            cluster.watch.unfilter();
            t.scene("The middle is lost. The tail has another predecessor.");
            cluster.wait_for_chain(&[0, 2]);
            cluster.settle();
            let queries = cluster.watch.count("NodeRpc.version_query");
            assert_eq!(cluster.client().get_at(1, 0).value, b"3", "the sum, at the head");
            assert_eq!(cluster.watch.count("NodeRpc.version_query"), queries, "the head need not ask");
        },
    );
}

/// A manager that led, was cut off for long, and leads again. What it heard of nodes is old, and says nothing
/// about them.
#[test]
fn chain_manager_returns() {
    play(
        "chain_manager_returns",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            let first = cluster.leader();
            t.scene("The manager that leads is cut off from the others.");
            cluster.managers.disconnect(first);
            let others: Vec<usize> = (0..MANAGERS).filter(|&one| one != first).collect();
            let leads = |one: usize| cluster.managers.visit(one, |manager| manager.leads()) == Some(true);
            cluster.wait(20_000, "another one leads", || others.iter().any(|&one| leads(one)));
            thread::sleep(cluster.settings.suspicion * 2);
            cluster.managers.connect(first);
            let epoch = cluster.header().epoch;
            t.scene("Whoever leads instead is cut off, until it leads again.");
            cluster.wait(100_000, "it leads again", || {
                if let Some(&one) = others.iter().find(|&&one| leads(one)) {
                    cluster.managers.disconnect(one);
                    thread::sleep(cluster.settings.suspicion + ms(1000));
                    cluster.managers.connect(one);
                    // Now it hears that another one leads.
                    thread::sleep(ms(500));
                }
                leads(first) && !others.iter().any(|&one| leads(one))
            });
            thread::sleep(cluster.settings.lease * 3);
            let chain = cluster.watch.newest();
            t.expect(!t.is_ordinary() || chain.epoch == epoch, || {
                let chain = cluster.watch.words(format!("{chain:?}"));
                format!("all nodes live, and the chain changes from epoch {epoch} to {chain}")
            });
            end(t, increments(cluster, 2), 1);
        },
    );
}

/// The head is removed, and learns that when it reaches the managers again. What it forwarded just before
/// arrives later, at a node that has not heard of the new chain either: that node takes it.
#[test]
fn chain_forward_of_a_node_that_left() {
    play(
        "chain_forward_of_a_node_that_left",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.increment(1);
            cluster.settle();
            t.scene("The head is cut off with an update that it has not forwarded.");
            cut_off(cluster, 0);
            let writing = thread::spawn_named("writer", move || client.increment(1));
            cluster.watch.filter(|event| match event.method {
                "NodeRpc.forward" => TapAction::Delay(ms(100)),
                "NodeRpc.new_config" if is_for(event, "NodeRpc.new_config", 1) => TapAction::Delay(ms(600)),
                _ => TapAction::Deliver,
            });
            cluster.wait(20_000, "the head is removed", || cluster.watch.chain() == [1, 2]);
            t.scene("It is back, and hears of the new chain before its successor does.");
            mend(cluster, 0);
            let left = cluster.watch.count("NodeRpc.forward");
            thread::sleep(ms(400));
            t.exercised(cluster.watch.count("NodeRpc.forward") > left, "the head forwards once more");
            cluster.watch.unfilter();
            let number = writing.join().expect("the writer ends");
            t.expect(number == 2, || format!("the second increment gives {number}"));
        },
    );
}

/// A node was in a chain, was removed, and is a spare. A copy of its old configuration comes late. Whoever
/// took it would be a member without objects, and answer eventual reads with less than before (invariant 9).
#[test]
fn chain_configuration_that_was_left() {
    play(
        "chain_configuration_that_was_left",
        || chain(Mode::Craq, 3),
        |t, cluster| {
            let mut client = cluster.client();
            client.put(1, "shown");
            cluster.settle();
            let (at, config) = (cluster.header(), cluster.seen().config(1).clone());
            let read = Read { at, object: 1, mode: ReadMode::Eventual };
            let shown = cluster.peer(1).read(&read);
            assert!(matches!(&shown, Ok(Ok(shown)) if shown.version == 1), "it has the object: {shown:?}");
            t.scene("The middle is removed, comes back, and is a spare. No copy reaches it.");
            drop_if(cluster, |event| is_for(event, "NodeRpc.copy_state", 1));
            cut_off(cluster, 1);
            cluster.wait_for_chain(&[0, 2]);
            mend(cluster, 1);
            cluster.wait(20_000, "the node has left", || cluster.seen().config(1).epoch == 0);
            t.scene("Its old configuration comes once more.");
            let Settings { chain, lease, .. } = cluster.settings;
            let middle = cluster.peer(1);
            let answer = middle.new_config(&NewConfig { chain, config, successor_has: Some(1), lease });
            assert!(matches!(answer, Ok(Err(_))), "the node has left that configuration: {answer:?}");
            let again = middle.read(&read);
            assert!(
                !matches!(&again, Ok(Ok(again)) if again.version < 1),
                "the node showed version 1 before: {again:?}"
            );
            cluster.watch.unfilter();
            cluster.wait_for_chain(&[0, 2, 1]);
        },
    );
}

/// The successor has taken an update, and is removed with it. Its answer comes when another node has its
/// place: that one lacks the update, whatever the old one says.
#[test]
fn chain_answer_of_an_old_successor() {
    run("chain_answer_of_an_old_successor", 600, |t| {
        let mut setup = chain(Mode::Plain, 3);
        // One thread sends, and waits for the answer, which takes longer than a new chain.
        let slow = if t.is_ordinary() { ms(3000) } else { ms(7000) };
        (setup.settings.window, setup.settings.call) = (1, slow + ms(500));
        let cluster = impatient(t, setup, 600, 500);
        end(t, increments(&cluster, 2), 1);
        cluster.settle();
        t.scene("The middle takes an update. Its answer takes long, and the tail does not get the update.");
        let late = hold_answers_of_the_middle(&cluster, slow);
        let clients = increments(&cluster, 1);
        cluster.wait(5000, "the middle has the update", || cluster.seen().hist(1) == 3);
        t.scene("The middle is removed. The answer comes in the chain without it.");
        cluster.set_managers(1, false);
        cluster.wait_for_chain(&[0, 2]);
        let in_force = Instant::now();
        cluster.wait(10_000, "the head sends its new successor the update, and it is committed", || {
            cluster.seen().committed() == 3
        });
        end(t, clients, 3);
        let is_met = late.lock().due.is_some_and(|due| in_force < due) && !late.lock().is_given_up;
        t.exercised(is_met, "the old successor answers in the new epoch, before the update is sent again");
        cluster.watch.unfilter();
        cluster.set_managers(1, true);
        cluster.wait_for_chain(&[0, 2, 1]);
        cluster.finish();
    });
}

/// From now on the middle's answers to updates take so long. The tail gets those of later epochs only.
fn hold_answers_of_the_middle(cluster: &Cluster, slow: Duration) -> Arc<Mutex<Late>> {
    let (late, epoch) = (Arc::new(Mutex::new(Late::default())), cluster.header().epoch);
    let held = late.clone();
    cluster.watch.filter(move |event| {
        if event.method != "NodeRpc.forward" {
            return TapAction::Deliver;
        }
        let is_answer = event.direction == Direction::Reply;
        match event.server.to_string().as_str() {
            "node-1" if is_answer => held.lock().hold(slow),
            "node-2" if !is_answer => {
                let forward: Forward = decode(event.bytes);
                if forward.at.epoch == epoch {
                    return TapAction::Drop;
                }
                held.lock().goes_on();
                TapAction::Deliver
            }
            _ => TapAction::Deliver,
        }
    });
    late
}

/// A spare has joined, and hears that it is no member: an answer to a heartbeat from before, which is about
/// the chain before. The node stays, with all it has.
#[test]
fn chain_answer_from_before_the_join() {
    run("chain_answer_from_before_the_join", 600, |t| {
        let mut setup = chain(Mode::Craq, 2).with_spares(1);
        if t.is_ordinary() {
            // Answers to heartbeats are awaited long enough, be it for this time or for a part of a lease.
            (setup.settings.call, setup.settings.lease) = (ms(450), ms(2000));
        }
        let cluster = Cluster::new(t, setup);
        let mut client = cluster.client();
        client.put(1, "old");
        cluster.nodes.crash(1);
        cluster.wait_for_chain(&[0]);
        t.scene("A spare joins. It hears late that it is none of the chain before.");
        let late = hold_answers_to_spares(&cluster);
        cluster.start(2);
        cluster.wait_for_chain(&[0, 2]);
        let joined = Instant::now();
        thread::sleep(ms(600));
        let is_met = late.lock().due.is_some_and(|due| joined < due) && !late.lock().is_given_up;
        t.exercised(is_met, "an answer from before the join comes after it");
        t.expect(!t.is_ordinary() || cluster.is_in_force(&[0, 2]), || {
            "node 2 has joined, and leaves when it hears that it was no member before".to_owned()
        });
        cluster.watch.unfilter();
        client.put(1, "new");
        let read = client.get_at(1, 2);
        assert_eq!((read.version, read.value), (2, b"new".to_vec()), "what the node that joined has");
        cluster.finish();
    });
}

/// Managers' answers to nodes in no chain take 400 ms from now on.
fn hold_answers_to_spares(cluster: &Cluster) -> Arc<Mutex<Late>> {
    let late = Arc::new(Mutex::new(Late::default()));
    let held = late.clone();
    cluster.watch.filter(move |event| {
        if event.method != "ManagerRpc.heartbeat" {
            return TapAction::Deliver;
        }
        if event.direction == Direction::Request {
            let heartbeat: Request<Heartbeat> = decode(event.bytes);
            if heartbeat.command.member.node == 2 {
                held.lock().goes_on();
            }
            return TapAction::Deliver;
        }
        let answer: Result<Granted, NotLeader> = decode(event.bytes);
        let is_spares = answer.is_ok_and(|granted| !granted.is_member);
        if is_spares { held.lock().hold(ms(400)) } else { TapAction::Deliver }
    });
    late
}
