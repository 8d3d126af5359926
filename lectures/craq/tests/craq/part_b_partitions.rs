//! Part CB: partitions, messages of old epochs, and managers that crash.

use std::collections::BTreeSet;

use craq::rpc::{Ack, Forward, Heartbeat, NodeId, Read};
use craq::{Mode, ReadMode, Refusal, Settings};
use labrpc::{Direction, TapAction};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::Request;
use tester::Test;

use crate::cluster::{Cluster, Setup, chain, ms, play};
use crate::part_b::{drop_if, end, increments, is_for};
use crate::watch::{decode, last_served, seconds};

/// Cuts a node off from all others and from the managers. Clients still reach it.
pub(crate) fn cut_off(cluster: &Cluster, node: NodeId) {
    cluster.nodes.disconnect(node);
    cluster.set_managers(node, false);
}

pub(crate) fn mend(cluster: &Cluster, node: NodeId) {
    cluster.nodes.connect(node);
    cluster.set_managers(node, true);
}

/// So long managers' answers are under way in `chain_lease_comes_late`: less than a lease.
const SLOW: Duration = ms(1300);

/// What a reader of the node that is cut off has seen: when it was last served, and the last refusal.
pub(crate) type Served = Arc<Mutex<(Option<Instant>, Option<Refusal>)>>;

/// Somebody reads all the time at this node, and does not know that the chain may have changed.
pub(crate) fn read_at(cluster: &Cluster, node: NodeId) -> Served {
    let (served, seen) = (Served::default(), cluster.peer(node).timeout(ms(100)));
    let (at, told) = (cluster.header(), served.clone());
    thread::spawn_named("reader", move || {
        for _ in 0..1000 {
            let answer = seen.read(&Read { at, object: 1, mode: ReadMode::Strong });
            match answer {
                Ok(Ok(_)) => told.lock().0 = Some(Instant::now()),
                Ok(Err(refusal)) => told.lock().1 = Some(refusal),
                Err(_) => {}
            }
            thread::sleep(ms(5));
        }
    });
    served
}

/// Answers that a test holds back, and whether the one who has asked still waits for them. How long a node
/// waits is its solution's choice; where it gives up earlier, such a test shows nothing.
#[derive(Default)]
pub(crate) struct Late {
    /// When the last of them arrives.
    pub(crate) due: Option<Instant>,
    pub(crate) is_given_up: bool,
}

impl Late {
    /// An answer leaves, and takes so long.
    pub(crate) fn hold(&mut self, time: Duration) -> TapAction {
        self.due = Some(Instant::now() + time);
        TapAction::Delay(time)
    }

    /// The one who waits does something that it would not do while it waits.
    pub(crate) fn goes_on(&mut self) {
        self.is_given_up |= self.due.is_some_and(|due| Instant::now() < due);
    }
}

/// A node is cut off from the chain and the managers, and clients still reach it.
fn cut(t: &Test, cluster: &Cluster, node: NodeId, rest: &[NodeId], sum: i64) {
    t.scene(format!("Node {node} is cut off. Clients still reach it."));
    end(t, increments(cluster, 2), sum + 1);
    let is_head = node == 0;
    let served = read_at(cluster, node);
    cut_off(cluster, node);
    let when = Instant::now();
    let clients = increments(cluster, 3);
    cluster.wait(20_000, "the rest is the chain", || cluster.watch.chain() == rest);
    let in_force = Instant::now();
    cluster.wait_for_chain(rest);
    end(t, clients, sum + 3);
    // The head of a plain chain serves no reads.
    if !is_head {
        let (last, refusal) = *served.lock();
        let last = last.unwrap_or(when);
        t.expect(last < in_force, || {
            format!(
                "node {node} served at {}, and the new chain began at {}",
                seconds(last),
                seconds(in_force)
            )
        });
        t.expect(refusal == Some(Refusal::NoLease), || format!("it refuses with {refusal:?}"));
        t.expect(!t.is_ordinary() || last + ms(20) >= when, || "it stops before its lease ends".to_owned());
    }
    mend(cluster, node);
}

/// The lease of a node that is cut off ends before another chain begins.
#[test]
fn chain_link_cut_split_brain() {
    play(
        "chain_link_cut_split_brain",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            cut(t, cluster, 2, &[0, 1], 0);
            t.scene("It comes back as the tail.");
            cluster.wait_for_chain(&[0, 1, 2]);
            cut(t, cluster, 0, &[1, 2], 5);
            cluster.wait_for_chain(&[1, 2, 0]);
            assert_eq!(cluster.client().get(1).value, b"10", "the sum of all increments");
        },
    );
}

/// Two neighbours cannot talk to each other, and both reach the managers.
#[test]
fn chain_cut_neighbours_only() {
    play(
        "chain_cut_neighbours_only",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            end(t, increments(cluster, 2), 1);
            let front = labrt::rand::random_range(0..2);
            let before = cluster.watch.newest();
            // A client that does not know that the chain changes. The tail may be the one to go.
            let _ = read_at(cluster, 2);
            cluster.set_link(front, front + 1, false);
            let clients = increments(cluster, 3);
            t.scene("Nobody promotes itself; a manager removes one of the two.");
            let config = cluster.wait_for_epoch_after(before.epoch);
            let removed: Vec<_> = before.members.iter().filter(|one| !config.members.contains(one)).collect();
            t.expect(removed.len() == 1 && [front, front + 1].contains(&removed[0].node), || {
                let removed = cluster.watch.words(format!("{removed:?}"));
                format!("{removed} are removed, and the link {front} - {} is cut", front + 1)
            });
            end(t, clients, 3);
            assert_eq!(cluster.client().get(1).value, b"5", "the sum of all increments");
        },
    );
}

/// The tail is removed while its lease is fresh, and does not hear of it. The chain without it has to wait.
#[test]
fn chain_removed_with_a_fresh_lease() {
    play("chain_removed_with_a_fresh_lease", plain, |t, cluster| remove_the_tail(t, cluster, false, |_| {}));
}

/// The same, and the managers' last answers to the tail are long under way. A lease counts from the question.
#[test]
fn chain_lease_comes_late() {
    let setup = || {
        let usual = plain();
        // Whether a solution waits for managers as long as for nodes, or for a lease: answers come in time.
        Setup { settings: Settings { call: SLOW + ms(100), ..usual.settings }, ..usual }
    };
    play("chain_lease_comes_late", setup, |t, cluster| remove_the_tail(t, cluster, true, |_| {}));
}

/// The same, and the manager that has decided crashes. The next one knows the plan, and has to wait anew.
#[test]
fn chain_new_manager_waits() {
    play("chain_new_manager_waits", plain, |t, cluster| {
        remove_the_tail(t, cluster, false, |cluster| {
            thread::sleep(2 * cluster.settings.heartbeat);
            cluster.managers.crash(cluster.leader());
        });
    });
}

fn plain() -> Setup {
    chain(Mode::Plain, 3)
}

/// Middle and tail cannot talk, and from the moment when a manager knows it, it hears nothing of the tail.
/// Then something else happens, and at last a chain without the tail begins.
fn remove_the_tail(t: &Test, cluster: &Cluster, is_late: bool, meanwhile: fn(&Cluster)) {
    end(t, increments(cluster, 2), 1);
    let is_accused = Arc::new(AtomicBool::new(false));
    let (told, mut ends) = (is_accused.clone(), BTreeSet::new());
    let late = Arc::new(Mutex::new(Late::default()));
    let held = late.clone();
    cluster.watch.filter(move |event| {
        let is_heartbeat = event.method == "ManagerRpc.heartbeat";
        if is_heartbeat && event.direction == Direction::Reply {
            let is_slow = is_late && ends.contains(event.end);
            return if is_slow { held.lock().hold(SLOW) } else { TapAction::Deliver };
        }
        let is_tails = if is_heartbeat {
            let heartbeat: Request<Heartbeat> = decode(event.bytes);
            let Heartbeat { member, complaint, .. } = heartbeat.command;
            if complaint == Some(2) {
                told.store(true, Ordering::SeqCst);
            }
            if member.node == 2 {
                ends.insert(event.end.clone());
                held.lock().goes_on();
            }
            member.node == 2
        } else {
            is_for(event, "NodeRpc.new_config", 2)
        };
        let is_lost = is_tails && told.load(Ordering::SeqCst);
        if is_lost { TapAction::Drop } else { TapAction::Deliver }
    });
    let served = read_at(cluster, 2);
    t.scene("Middle and tail cannot talk. Once the middle says so, no manager hears of the tail.");
    cluster.set_link(1, 2, false);
    let clients = increments(cluster, 3);
    cluster.wait(20_000, "a manager knows it", || is_accused.load(Ordering::SeqCst));
    // The first reader may end before the late lease does.
    let served_later = is_late.then(|| read_at(cluster, 2));
    meanwhile(cluster);
    cluster.wait(20_000, "the tail is removed", || cluster.watch.chain() == [0, 1]);
    let in_force = Instant::now();
    end(t, clients, 3);
    let last = served_later.and_then(|later| later.lock().0).max(served.lock().0);
    let is_given_up = late.lock().is_given_up;
    t.exercised(!is_given_up, "the tail waits for a manager's answer until its lease would end");
    t.expect(last.is_some_and(|last| last < in_force), || {
        format!("the old tail {}, and the new chain began at {}", last_served(last), seconds(in_force))
    });
    cluster.watch.unfilter();
    cluster.set_link(1, 2, true);
}

/// Updates and acknowledgements of an old epoch arrive late.
#[test]
fn chain_old_epoch() {
    play(
        "chain_old_epoch",
        || chain(Mode::Plain, 3),
        |t, cluster| {
            let late: Arc<Mutex<(Vec<Forward>, Vec<Ack>)>> = Arc::default();
            let seen = late.clone();
            drop_if(cluster, move |event| {
                if is_for(event, "NodeRpc.forward", 1) {
                    seen.lock().0.push(decode(event.bytes));
                } else if is_for(event, "NodeRpc.ack", 0) {
                    seen.lock().1.push(decode(event.bytes));
                }
                false
            });
            let old = cluster.header();
            end(t, increments(cluster, 4), 1);
            cluster.settle();
            t.scene("The tail is lost, and its predecessor has a new epoch.");
            cluster.nodes.crash(2);
            cluster.wait_for_chain(&[0, 1]);
            cluster.watch.unfilter();
            let (mut forwards, mut acks) = std::mem::take(&mut *late.lock());
            forwards.retain(|forward| forward.at == old);
            acks.retain(|ack| ack.at == old);
            t.expect(!forwards.is_empty() && !acks.is_empty(), || "there were no messages".to_owned());
            // One that would be next, if its epoch were right.
            let mut next = forwards[0].clone();
            (next.record.n, next.record.version, next.record.sequence) = (5, 5, 100);
            forwards.push(next);
            let epoch = cluster.header().epoch;
            let (head, tail) = (cluster.peer(0), cluster.peer(1));
            for forward in forwards {
                let answer = tail.forward(&forward);
                assert_eq!(answer, Ok(Err(Refusal::WrongEpoch(epoch))), "a late update");
            }
            for ack in acks {
                assert_eq!(head.ack(&ack), Ok(Err(Refusal::WrongEpoch(epoch))), "a late acknowledgement");
                let beyond = head.ack(&Ack { n: 99, ..ack });
                assert_eq!(
                    beyond,
                    Ok(Err(Refusal::WrongEpoch(epoch))),
                    "a late acknowledgement of update 99"
                );
            }
            assert_eq!((cluster.seen().hist(1), cluster.seen().committed()), (4, 4), "nothing has changed");
            end(t, increments(cluster, 1), 5);
        },
    );
}

/// The manager that leads crashes between its plan and the new chain, and while it tells the nodes.
#[test]
fn chain_manager_failover() {
    play(
        "chain_manager_failover",
        || chain(Mode::Plain, 3).with_spares(1),
        |t, cluster| {
            end(t, increments(cluster, 2), 1);
            t.scene("The middle crashes, and then the manager that leads, before the new chain is in force.");
            cluster.nodes.crash(1);
            thread::sleep(ms(labrt::rand::random_range(1400..3300)));
            let first = cluster.leader();
            cluster.managers.crash(first);
            cluster.wait_for_chain(&[0, 2]);
            end(t, increments(cluster, 2), 3);
            cluster.managers.restart(first);
            cluster.managers.connect(first);
            t.scene(
                "A spare joins. The manager that leads crashes when the tail knows it and the head does not.",
            );
            drop_if(cluster, |event| is_for(event, "NodeRpc.new_config", 0));
            cluster.start(3);
            cluster.wait(20_000, "the new tail is in", || cluster.seen().config(3).members.len() == 3);
            cluster.managers.crash(cluster.leader());
            cluster.watch.unfilter();
            cluster.wait_for_chain(&[0, 2, 3]);
            end(t, increments(cluster, 2), 5);
        },
    );
}

/// The successor's answers are lost, and its acknowledgement is not, although it may take long: the update is
/// committed, and there is nothing more to be said. Nobody has a reason to complain, however quiet it is.
#[test]
fn chain_complaint_ends() {
    let setup = || {
        let usual = plain();
        // One thread sends, and it waits a little between two tries: an acknowledgement can come meanwhile.
        Setup { settings: Settings { window: 1, ..usual.settings }, ..usual }
    };
    play("chain_complaint_ends", setup, |t, cluster| {
        let (mut client, call) = (cluster.client(), cluster.settings.call);
        client.put(1, "a");
        cluster.settle();
        let epoch = cluster.watch.newest().epoch;
        for is_slow in [false, true, true, true] {
            let slow = if is_slow { ", and its acknowledgements take as long as a call" } else { "" };
            t.scene(format!("The tail's answers to the middle are lost{slow}."));
            cluster.watch.filter(move |event| {
                let is_answer = event.method == "NodeRpc.forward" && event.direction == Direction::Reply;
                match event.server.to_string().as_str() {
                    "node-2" if is_answer => TapAction::Drop,
                    "node-1" if is_slow && is_for(event, "NodeRpc.ack", 1) => TapAction::Delay(call),
                    _ => TapAction::Deliver,
                }
            });
            client.put(1, "b");
            cluster.settle();
            thread::sleep(call * 2);
            cluster.watch.unfilter();
            t.scene("They are lost no longer. Clients are quiet for long.");
            thread::sleep(cluster.settings.suspicion * 6);
            let newest = cluster.watch.newest();
            t.expect(newest.epoch == epoch || !t.is_ordinary(), || {
                format!("no node is silent and no link is cut, and the managers have made {newest:?}")
            });
        }
    });
}
