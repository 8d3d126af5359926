//! Directed: the order of a session's operations, what is kept of them, and when a session ends.

use labrpc::{Direction, Name, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use tester::Test;
use zookeeper::rpc::{Action, Delivery, Request};
use zookeeper::{ANY_VERSION, Error, Flags, Operation, Outcome, SessionId, Settings};

use crate::cluster::{Cluster, answer, ms, play};
use crate::directed::{client_of_a_follower, connect, exchange, peer};

/// The counter of a parent skips names that are there, and begins anew with a new parent.
#[test]
fn zk_sequential_counters() {
    play("zk_sequential_counters", 3, |t, cluster| {
        let zk = cluster.client_at(0);
        let next = |due: &str, why: &str| {
            let created = zk.create("d/n-", b"", Flags::SEQUENTIAL);
            t.expect(created.as_deref() == Ok(due), || {
                format!("a sequential node below d: {created:?}, and {due} was due: {why}")
            });
        };
        zk.create("d", b"", Flags::REGULAR).expect("a new node");
        next("d/n-0000000000", "the counter begins at 0");
        t.scene("Somebody takes the next name without a counter.");
        zk.create("d/n-0000000001", b"", Flags::REGULAR).expect("a new node");
        next("d/n-0000000002", "the name with the number 1 is there, and is skipped");
        t.scene("All nodes are deleted, and the parent is created anew.");
        for path in ["d/n-0000000000", "d/n-0000000001", "d/n-0000000002", "d"] {
            zk.delete(path, ANY_VERSION).expect("the node is there");
        }
        zk.create("d", b"", Flags::REGULAR).expect("a new node");
        next("d/n-0000000000", "a new parent has a new counter");
    });
}

/// A write waits for the reads before it, if they must not see it: also for one behind a sync.
#[test]
fn zk_reads_before_writes() {
    play("zk_reads_before_writes", 3, |t, cluster| {
        let (_, zk) = client_of_a_follower(cluster);
        zk.create("x", &[0], Flags::REGULAR).expect("a new node");
        let read = || zk.start(Operation::GetData { path: "x".into(), watch: false });
        let set = |data| Operation::SetData { path: "x".into(), data: vec![data], version: ANY_VERSION };
        t.scene("A client asks for 60 operations at once: a sync, a read, a write, again and again.");
        let rounds = (1..=20_u8).map(|round| {
            zk.begin(Operation::Sync { path: "x".into() }, |_, _| ());
            let before = read();
            (round, before, zk.start(set(round)), read())
        });
        let rounds: Vec<_> = rounds.collect();
        for (round, before, written, behind) in rounds {
            let data = |pending, which: &str| match answer(t, &format!("the read {which} {round}"), pending) {
                Ok(Outcome::Data(data, _)) => data,
                other => t.fail(format!("the read {which} {round} gives {other:?}")),
            };
            let (before, behind) = (data(before, "before write"), data(behind, "behind write"));
            t.expect(before == [round - 1] && behind == [round], || {
                format!(
                    "the reads before and behind a session's write of {round} give {before:?} and {behind:?}: \
                     its operations are not carried out in order"
                )
            });
            t.expect(written.is_done(), || format!("write {round} is answered behind the next read"));
        }
    });
}

/// Many writes of one client are carried out, and it has no answer. The next server knows all of them.
#[test]
fn zk_answers_are_kept() {
    play("zk_answers_are_kept", 3, |t, cluster| {
        let (leader, first) = (cluster.settled_leader(), cluster.followers()[0]);
        let zk = cluster.client_of(&[first, leader], Settings::default());
        zk.create("d", b"", Flags::REGULAR).expect("a new node");
        t.scene("What the client's server answers is lost. 100 creates are under way.");
        let name = cluster.servers.name(first).clone();
        cluster.net.network().set_tap(move |event| {
            let is_answer = event.method == "ZkRpc.exchange" && event.direction == Direction::Reply;
            if is_answer && *event.server == name { TapAction::Drop } else { TapAction::Deliver }
        });
        let create = || Operation::Create { path: "d/n".into(), data: Vec::new(), flags: Flags::SEQUENTIAL };
        let calls: Vec<_> = (0..100).map(|_| zk.start(create())).collect();
        let is_one = |action: &Action| *action == Action::Write(create());
        // A client may have fewer than these under way.
        let is_done = (0..50).any(|_| {
            thread::sleep(ms(20));
            cluster.watch.count(|one, _| is_one(&one.action)) == 100
        });
        t.exercised(is_done, "100 writes of a client are carried out, and it has no answer");
        t.scene("The client goes to another server, and asks there for all of them.");
        zk.set_link(first, false);
        cluster.net.network().clear_tap();
        for (number, call) in calls.into_iter().enumerate() {
            let answer = answer(t, &format!("create {number}, which was carried out"), call);
            let due = Ok(Outcome::Created(format!("d/n{number:010}")));
            t.expect(answer == due, || {
                format!(
                    "create {number} is answered {answer:?}, and {due:?} is what it has done (invariant 9)"
                )
            });
        }
    });
}

/// A write reaches the log when its session is over: it changes nothing.
#[test]
fn zk_write_behind_the_end() {
    play("zk_write_behind_the_end", 3, |t, cluster| {
        let follower = cluster.followers()[0];
        let peer = peer(cluster, follower);
        let made = cluster.wait_for(20_000, "a session", || peer.connect(&connect(0, 0, 1)).ok()?.ok());
        t.scene("A server cannot forward what its client writes. The client dies.");
        let links: Vec<Name> = (0..3).map(|to| Name::from(cluster.servers.link(follower, to))).collect();
        cluster.net.network().set_tap(move |event| {
            let is_lost = event.method == "ZkRpc.forward" && event.direction == Direction::Request;
            if is_lost && links.contains(event.end) { TapAction::Drop } else { TapAction::Deliver }
        });
        let operation = Operation::Create { path: "late".into(), data: Vec::new(), flags: Flags::EPHEMERAL };
        let create = vec![Request { xid: 1, operation }];
        let _ = peer.timeout(ms(100)).exchange(&exchange(made.session, 1, 0, create));
        cluster
            .wait(20_000, "the session ends (invariant 7)", || cluster.watch.ended(made.session).is_some());
        t.scene("The server gets through.");
        cluster.net.network().clear_tap();
        thread::sleep(ms(2000));
        t.expect(cluster.watch.data("late").is_none(), || {
            "a session that is over has created an ephemeral node (invariant 7)".to_owned()
        });
        let is_late = |session: SessionId, action: &Action| {
            session == made.session && matches!(action, Action::Write(Operation::Create { .. }))
        };
        let refused = cluster
            .watch
            .count(|one, answer| is_late(one.session, &one.action) && *answer == Err(Error::SessionExpired));
        t.exercised(refused > 0, "the write came into the log behind its session's end");
    });
}

/// A server has opened a session, and does not learn that the leader has taken its batch. It sends it again
/// and again. The session has written elsewhere by then, and its answers are not forgotten.
#[test]
fn zk_opening_comes_again() {
    play("zk_opening_comes_again", 3, |t, cluster| {
        let (leader, followers) = (cluster.leader(), cluster.followers());
        let links: Vec<Name> = (0..3).map(|to| Name::from(cluster.servers.link(followers[0], to))).collect();
        t.scene("What is answered to the forwards of a server is lost.");
        cluster.net.network().set_tap(move |event| {
            let is_lost = event.method == "ZkRpc.forward" && event.direction == Direction::Reply;
            if is_lost && links.contains(event.end) { TapAction::Drop } else { TapAction::Deliver }
        });
        let peers = [followers[0], leader, followers[1]].map(|server| peer(cluster, server));
        let made = cluster.wait_for(20_000, "a session", || peers[0].connect(&connect(0, 0, 1)).ok()?.ok());
        let path = "n-".to_owned();
        let operation = Operation::Create { path, data: Vec::new(), flags: Flags::SEQUENTIAL };
        let create = Request { xid: 1, operation };
        let ask = |connection: u64| {
            let peer = &peers[connection as usize - 1];
            cluster.wait_for(5000, "the next server takes the session", || {
                peer.connect(&connect(made.session, made.secret, connection)).ok()?.ok()
            });
            cluster.wait_for(5000, "the answer to request 1, a create", || {
                let asks = exchange(made.session, connection, 0, vec![create.clone()]);
                match peer.exchange(&asks).ok()?.ok()?.deliveries.into_iter().next()? {
                    Delivery::Reply { answer, .. } => Some(answer),
                    Delivery::Event(_) => None,
                }
            })
        };
        t.scene("The client creates a node through another server, and asks a third one for the answer.");
        let first = ask(2);
        thread::sleep(ms(800));
        let again = ask(3);
        t.expect(first == again, || {
            format!("a create is answered {first:?}, and when it is asked for again {again:?} (invariant 1)")
        });
    });
}

/// A client that is dropped is silent, and its session ends.
#[test]
fn zk_dropped_client() {
    play("zk_dropped_client", 3, |t, cluster| {
        let zk = cluster.client_at(0);
        zk.create("mine", b"", Flags::EPHEMERAL).expect("a new node");
        let session = zk.session();
        t.scene("The last handle to a client is dropped. Its computer runs on.");
        let node = zk.node.clone();
        drop(zk);
        cluster.wait(20_000, "the session of a client that was dropped ends (invariant 7)", || {
            cluster.watch.ended(session).is_some()
        });
        drop(node);
    });
}

/// A session that some client keeps up must be open.
fn expect_open(t: &Test, cluster: &Cluster, session: SessionId, why: &str) {
    let is_open = cluster.watch.ended(session).is_none();
    t.expect(is_open || !t.is_ordinary(), || format!("the session has ended, although {why}"));
}

/// The leader and a follower are cut off from the other three, with a client that reaches all five. What that
/// leader hears of a session counts for nothing, so the client goes to the majority in time.
#[test]
fn zk_deposed_leader_hears() {
    play("zk_deposed_leader_hears", 5, |t, cluster| {
        let leader = cluster.settled_leader();
        let follower = cluster.followers()[0];
        let others: Vec<usize> = (0..5).filter(|server| ![leader, follower].contains(server)).collect();
        let order: Vec<usize> = [follower].iter().chain(&others).chain([&leader]).copied().collect();
        let zk = cluster.client_of(&order, Settings::default());
        zk.create("mine", b"", Flags::EPHEMERAL).expect("a new node");
        t.scene("The leader and the client's server are cut off from the other three.");
        cluster.servers.partition(&[&[leader, follower], &others]);
        thread::sleep(ms(8000));
        expect_open(t, cluster, zk.session(), "its client reached a majority and its leader");
        cluster.servers.heal();
    });
}

/// A leader hears of nobody for longer than a session's timeout, and stays the leader, since the others hear
/// it. It gives all sessions their full time when it hears again.
#[test]
fn zk_leader_hears_again() {
    play("zk_leader_hears_again", 3, |t, cluster| {
        let (leader, followers) = (cluster.settled_leader(), cluster.followers());
        let zk = cluster.client_of(&followers, Settings::default());
        zk.create("mine", b"", Flags::EPHEMERAL).expect("a new node");
        t.scene("The leader no longer hears the others. They hear it, and elect nobody.");
        let link = |from, to| Name::from(cluster.servers.link(from, to));
        let to_leader: Vec<Name> = followers.iter().map(|&from| link(from, leader)).collect();
        let from_leader: Vec<Name> = followers.iter().map(|&to| link(leader, to)).collect();
        let hears = Arc::new(AtomicBool::new(false));
        let heard = hears.clone();
        cluster.net.network().set_tap(move |event| {
            let is_deaf = !heard.load(Ordering::SeqCst);
            let is_lost = match event.direction {
                Direction::Request => {
                    (is_deaf || event.method == "ZkRpc.touch") && to_leader.contains(event.end)
                }
                Direction::Reply => is_deaf && from_leader.contains(event.end),
            };
            if is_lost { TapAction::Drop } else { TapAction::Deliver }
        });
        thread::sleep(ms(4000));
        t.exercised(cluster.leader() == leader, "the leader stayed while it heard nobody");
        t.scene("It hears again, and learns of the clients a little later.");
        hears.store(true, Ordering::SeqCst);
        thread::sleep(ms(500));
        cluster.net.network().clear_tap();
        thread::sleep(ms(3000));
        expect_open(t, cluster, zk.session(), "the leader could not hear of its client for a while");
    });
}

/// A leader has judged that a session is over, but is cut off before anybody learns it. The next one hears
/// the client: the old judgement counts for nothing.
#[test]
fn zk_judgement_is_overtaken() {
    play("zk_judgement_is_overtaken", 3, |t, cluster| {
        let (leader, followers) = (cluster.settled_leader(), cluster.followers());
        let zk = cluster.client_of(&followers, Settings::default());
        zk.create("mine", b"", Flags::EPHEMERAL).expect("a new node");
        cluster.settle();
        t.scene("The leader no longer learns who was heard. It is cut off when it writes its judgement.");
        let is_cut_off = Arc::new(AtomicBool::new(false));
        let cut_off = is_cut_off.clone();
        cluster.servers.on_write(leader, move |_, _| cut_off.store(true, Ordering::SeqCst));
        let others = followers.iter().flat_map(|&other| [(leader, other), (other, leader)]);
        let links: Vec<Name> = others.map(|(from, to)| Name::from(cluster.servers.link(from, to))).collect();
        let cut_off = is_cut_off.clone();
        cluster.net.network().set_tap(move |event| {
            let is_touch = event.method == "ZkRpc.touch" || cut_off.load(Ordering::SeqCst);
            if is_touch && links.contains(event.end) { TapAction::Drop } else { TapAction::Deliver }
        });
        // It writes its judgement, unless it is deposed before.
        let _ = (0..1000).any(|_| {
            thread::sleep(ms(20));
            is_cut_off.load(Ordering::SeqCst) || cluster.leader() != leader
        });
        let has_judged = is_cut_off.load(Ordering::SeqCst);
        t.exercised(has_judged, "the leader judged, and wrote it");
        if !has_judged {
            return;
        }
        cluster.wait(20_000, "another server leads", || cluster.leader() != leader);
        let other = cluster.client_of(&followers, Settings::default());
        other.create("other", b"", Flags::REGULAR).expect("a majority is there");
        t.exercised(cluster.watch.ended(zk.session()).is_none(), "the judgement reached nobody");
        let was_open = cluster.watch.ended(zk.session()).is_none();
        t.scene("The old leader is back.");
        cluster.net.network().clear_tap();
        thread::sleep(ms(3000));
        if was_open {
            expect_open(t, cluster, zk.session(), "only a leader that was deposed has judged so");
        }
    });
}
