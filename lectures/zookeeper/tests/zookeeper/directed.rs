//! Directed: messages that a client of this crate would not send, and situations that chance rarely brings.

use std::fmt::Debug;

use labrpc::{Direction, Name, RpcError, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::thread;
use tester::Test;
use zookeeper::rpc::{Action, Connect, Connected, Delivery, Exchange, Refused, Request, ZkPeer};
use zookeeper::{ANY_VERSION, Error, EventKind, Flags, Operation, Outcome, SessionId, Settings};

use crate::cluster::{Cluster, Zk, answer, expect_event, ms, play};

pub(crate) fn peer(cluster: &Cluster, server: usize) -> ZkPeer {
    let (number, end) = cluster.net.make_end(cluster.servers.name(server));
    cluster.net.network().enable(number, true);
    ZkPeer::new(end)
}

pub(crate) fn connect(session: SessionId, secret: u64, connection: u64) -> Connect {
    let (last_zxid, answered, watches) = (0, 0, Vec::new());
    Connect { session, secret, timeout: 2000, connection, last_zxid, answered, watches }
}

pub(crate) fn exchange(
    session: SessionId,
    connection: u64,
    received: u64,
    requests: Vec<Request>,
) -> Exchange {
    Exchange { session, connection, last_zxid: 0, answered: 0, received, requests }
}

/// A server must refuse this, with one of these words.
#[track_caller]
fn expect_refused<T: Debug>(
    t: &Test,
    why: &str,
    answer: Result<Result<T, Refused>, RpcError>,
    due: &[Refused],
) {
    let is_due = matches!(&answer, Ok(Err(refused)) if due.contains(refused));
    t.expect(is_due, || format!("{why}: {due:?} was due, and the server answers {answer:?}"));
}

/// A server must take an open session that comes with its password.
#[track_caller]
fn expect_taken(t: &Test, answer: Result<Result<Connected, Refused>, RpcError>) {
    t.expect(matches!(answer, Ok(Ok(_))), || {
        format!("an open session comes with its password and a newer connection, and the server answers {answer:?}")
    });
}

/// Wrong passwords, sessions that never were, connections that are over, states that no server has, and a
/// server that reaches no leader.
#[test]
fn zk_refusals() {
    play("zk_refusals", 3, |t, cluster| {
        let server = cluster.leader();
        let peer = peer(cluster, server);
        let made = peer.connect(&connect(0, 0, 1)).expect("a server").expect("a new session");
        let (session, secret) = (made.session, made.secret);
        let expired = [Refused::Expired];
        expect_refused(t, "a wrong password", peer.connect(&connect(session, secret ^ 1, 2)), &expired);
        expect_refused(t, "no such session", peer.connect(&connect(session ^ 1, secret, 2)), &expired);
        let (ahead, behind) =
            ("the client has seen a state that no server has (invariant 4)", [Refused::Behind]);
        let connects = Connect { last_zxid: made.zxid + 100, ..connect(session, secret, 2) };
        expect_refused(t, ahead, peer.connect(&connects), &behind);
        let asks = Exchange { last_zxid: made.zxid + 100, ..exchange(session, 1, 0, Vec::new()) };
        expect_refused(t, ahead, peer.exchange(&asks), &behind);
        expect_taken(t, peer.connect(&connect(session, secret, 3)));
        let (late, gone) = ("connection 3 has taken the place of that one", [Refused::NotConnected]);
        expect_refused(t, late, peer.connect(&connect(session, secret, 2)), &gone);
        expect_refused(t, late, peer.exchange(&exchange(session, 1, 0, Vec::new())), &gone);
        let never = [Refused::NotConnected, Refused::Expired];
        expect_refused(t, "no such session", peer.exchange(&exchange(7, 1, 0, Vec::new())), &never);
        t.scene("Without the two others the server opens no session. It still has the old one.");
        let others: Vec<usize> = (0..3).filter(|&other| other != server).collect();
        cluster.servers.partition(&[&[server], &others]);
        let answer = peer.connect(&connect(0, 0, 1));
        if t.is_ordinary() {
            expect_refused(t, "no leader can open a session", answer, &[Refused::Unavailable]);
        }
        expect_taken(t, peer.connect(&connect(session, secret, 4)));
        cluster.servers.heal();
        cluster.wait(20_000, "there are new sessions again", || {
            matches!(peer.connect(&connect(0, 0, 1)), Ok(Ok(_)))
        });
    });
}

/// Requests come late, twice, and in the wrong order. They are handled once, in order.
#[test]
fn zk_requests_out_of_order() {
    play("zk_requests_out_of_order", 3, |t, cluster| {
        let peer = peer(cluster, cluster.leader());
        let made = peer.connect(&connect(0, 0, 1)).expect("a server").expect("a new session");
        let create = |xid: u64| {
            let path = format!("n{xid}");
            Request { xid, operation: Operation::Create { path, data: Vec::new(), flags: Flags::REGULAR } }
        };
        let list =
            Request { xid: 4, operation: Operation::GetChildren { path: String::new(), watch: false } };
        let list = || list.clone();
        let bring = |requests| peer.timeout(ms(100)).exchange(&exchange(made.session, 1, 0, requests));
        // The third and fourth come first, then the second twice, then the first.
        let _ = bring(vec![create(3), list()]);
        let _ = bring(vec![create(2), create(2)]);
        t.expect(cluster.watch.data("n2").is_none(), || {
            "request 2 is carried out, and request 1 has not come (invariant 2)".to_owned()
        });
        let _ = bring(vec![create(1), create(2)]);
        // A server need not keep what came early. Until it is answered, a client brings it again.
        let xids = |received: u64| {
            let again = vec![create(1), create(2), create(3), list()];
            let all = peer.exchange(&exchange(made.session, 1, received, again)).expect("a server");
            let all = all.expect("the connection is there");
            let xid = |delivery| match delivery {
                Delivery::Reply { xid, .. } => xid,
                Delivery::Event(_) => 0,
            };
            let old = (received + 1).saturating_sub(all.first) as usize;
            all.deliveries.into_iter().skip(old).map(xid).collect::<Vec<_>>()
        };
        // A server may hand over some first, and the next ones when those are taken.
        let mut taken: Vec<u64> = Vec::new();
        while taken.len() < 4 {
            let received = taken.len() as u64;
            let came = cluster.wait_for(5000, "the next of four replies", || {
                Some(xids(received)).filter(|came| !came.is_empty())
            });
            let again = xids(received);
            t.expect(again.starts_with(&came), || {
                format!(
                    "the replies to {came:?} were not taken, and the next answer brings those to {again:?}"
                )
            });
            taken.extend(came);
        }
        t.expect(taken == [1, 2, 3, 4], || {
            format!("requests 1 to 4 were asked for, and the replies come as {taken:?} (invariant 2)")
        });
    });
}

/// A server that was away so long that it gets a snapshot: its client's watch and write are not forgotten.
#[test]
fn zk_snapshot_reaches_clients() {
    crate::cluster::play_with("zk_snapshot_reaches_clients", 3, Some(1500), |t, cluster| {
        let (behind, reader) = client_of_a_follower(cluster);
        let writer = client_besides(cluster, behind);
        writer.create("x", b"", Flags::REGULAR).expect("a new node");
        writer.create("other", b"", Flags::REGULAR).expect("a new node");
        reader.sync("").expect("a leader is there");
        let (_, changes) = reader.watch_data("x").expect("the node is there");
        if !deafen(cluster, behind) {
            return;
        }
        writer.set_data("x", b"new", ANY_VERSION).expect("a majority is there");
        let create = Operation::Create { path: "y".into(), data: Vec::new(), flags: Flags::REGULAR };
        let write = reader.start(create);
        cluster.wait(10_000, "the reader's write is committed", || cluster.watch.data("y").is_some());
        t.scene("The others write until snapshots replace the log.");
        for round in 0..40_u8 {
            writer.set_data("other", &[round; 100], ANY_VERSION).expect("a majority is there");
        }
        t.exercised(has_snapshot(cluster, behind), "a snapshot replaced the log");
        assert!(!changes.has_fired() && !write.is_done(), "the follower hears something");
        t.scene("The follower hears again.");
        cluster.net.network().clear_tap();
        expect_event(t, "the data of x", changes, &[EventKind::Data]);
        let (written, due) = (answer(t, "the create of y", write), Ok(Outcome::Created("y".to_owned())));
        t.expect(written == due, || format!("the create of y is done, and is answered {written:?}"));
        let read = reader.get_data("x").map(|(data, _)| data);
        t.expect(read.as_deref() == Ok(b"new"), || {
            format!("the event of x has come, and a read behind it gives {read:?} (invariant 6)")
        });
    });
}

/// A server that does not lead, and a client of it alone. Leaders may change while the client finds its
/// server.
pub(crate) fn client_of_a_follower(cluster: &Cluster) -> (usize, Zk) {
    loop {
        let follower = cluster.followers()[0];
        let client = cluster.client_of(&[follower], Settings { timeout: ms(20_000), patience: None });
        client.sync("").expect("a leader is there");
        if cluster.leader() != follower {
            return (follower, client);
        }
    }
}

/// A client that knows all servers but this one.
pub(crate) fn client_besides(cluster: &Cluster, behind: usize) -> Zk {
    let others: Vec<usize> = (0..3).filter(|&server| server != behind).collect();
    cluster.client_of(&others, Settings::default())
}

/// Whether all other servers have a snapshot, so that the one that is behind needs it.
pub(crate) fn has_snapshot(cluster: &Cluster, behind: usize) -> bool {
    let mut others = (0..3).filter(|&server| server != behind);
    others.all(|server| cluster.servers.persister(server).snapshot_size() > 0)
}

/// A follower still forwards what its clients write, but no longer hears what is committed. Whether it is a
/// follower still.
pub(crate) fn deafen(cluster: &Cluster, server: usize) -> bool {
    let follows = cluster.leader() != server;
    cluster.test.exercised(follows, "the server became the leader before it was cut off");
    cluster.test.scene("A follower forwards writes, but no longer hears what is committed.");
    let links = (0..3).flat_map(|other| [(server, other), (other, server)]);
    let links: Vec<Name> = links.map(|(from, to)| Name::from(cluster.servers.link(from, to))).collect();
    cluster.net.network().set_tap(move |event| {
        let is_lost = links.contains(event.end) && !event.method.starts_with("ZkRpc");
        if is_lost { TapAction::Drop } else { TapAction::Deliver }
    });
    follows
}

/// The same, and the client has closed its session by then. With the session its answers are gone: the client
/// hears that the session is over, and cannot know whether its last write was carried out.
#[test]
fn zk_snapshot_behind_a_session() {
    crate::cluster::play_with("zk_snapshot_behind_a_session", 3, Some(1500), |t, cluster| {
        let (behind, client) = client_of_a_follower(cluster);
        let writer = client_besides(cluster, behind);
        writer.create("other", b"", Flags::REGULAR).expect("a new node");
        if !deafen(cluster, behind) {
            return;
        }
        let create = Operation::Create { path: "y".into(), data: Vec::new(), flags: Flags::EPHEMERAL };
        let (write, close) = (client.start(create), client.start(Operation::Close));
        let session = client.session();
        let is_closed = (0..500).any(|_| {
            thread::sleep(ms(20));
            cluster.watch.ended(session).is_some()
        });
        t.exercised(is_closed, "a close was forwarded behind a write that its server has not applied");
        if !is_closed {
            return;
        }
        for round in 0..40_u8 {
            writer.set_data("other", &[round; 100], ANY_VERSION).expect("a majority is there");
        }
        t.exercised(has_snapshot(cluster, behind), "a snapshot replaced the log");
        t.scene("The follower hears again.");
        cluster.net.network().clear_tap();
        let (written, closed) = (answer(t, "the create of y", write), answer(t, "the close", close));
        let is_known = [Ok(Outcome::Created("y".to_owned())), Err(Error::SessionExpired)].contains(&written);
        t.expect(is_known, || format!("a write is carried out, or nobody knows; it is answered {written:?}"));
        let is_closed = [Ok(Outcome::Done), Err(Error::SessionExpired)].contains(&closed);
        t.expect(is_closed, || format!("the session is over, and its close is answered {closed:?}"));
        t.expect(cluster.watch.data("y").is_none(), || {
            "the ephemeral node y outlives its session (invariant 7)".to_owned()
        });
    });
}

/// Watches move with their client to another server (rule 5). Those that have missed nothing fire later; and
/// what a server has found out, but could not deliver, the next one finds out as well.
#[test]
fn zk_restored_watches() {
    play("zk_restored_watches", 3, |t, cluster| {
        let writer = cluster.client_at(cluster.leader());
        for path in ["a", "b", "c"] {
            writer.create(path, b"", Flags::REGULAR).expect("a new node");
        }
        let reader = cluster.client_of(&[0, 1, 2], Settings::default());
        reader.sync("").expect("a leader is there");
        let (_, later) = reader.watch_data("a").expect("the node is there");
        let (_, absent) = reader.watch_exists("later").expect("a read");
        let (_, child) = reader.watch_children("b").expect("the node is there");
        t.scene("A child comes while the reader is away. The next server can tell it nothing.");
        reader.set_links(false);
        writer.create("b/child", b"", Flags::REGULAR).expect("a new node");
        cluster.settle();
        let second = cluster.servers.name(1).clone();
        cluster.net.network().set_tap(move |event| {
            let is_lost = event.method == "ZkRpc.exchange" && *event.server == second;
            if is_lost { TapAction::Drop } else { TapAction::Deliver }
        });
        reader.set_link(1, true);
        thread::sleep(ms(600));
        reader.set_link(2, true);
        expect_event(t, "the children of b", child, &[EventKind::Children]);
        t.expect(!later.has_fired() && !absent.has_fired(), || {
            "the watches of a and later have moved with the client and fire, and nothing has happened to them \
             (invariant 6)"
                .to_owned()
        });
        cluster.net.network().clear_tap();
        t.scene("Then something happens to the others.");
        writer.set_data("a", b"1", ANY_VERSION).expect("the node is there");
        writer.create("later", b"", Flags::REGULAR).expect("a new node");
        expect_event(t, "the data of a", later, &[EventKind::Data]);
        expect_event(t, "the node later, which was absent", absent, &[EventKind::Created]);
    });
}

/// A client watches, and asks for nothing more: there is no reply that could overtake an event. That each
/// watch fires is looked at when the test ends, as in each test.
#[test]
fn zk_quiet_client_hears() {
    play("zk_quiet_client_hears", 3, |t, cluster| {
        let writer = cluster.client_at(cluster.leader());
        for path in ["data", "children", "gone"] {
            writer.create(path, b"", Flags::REGULAR).expect("a new node");
        }
        let reader = cluster.client_of(&[0, 1, 2], Settings::default());
        reader.sync("").expect("a leader is there");
        let _data = reader.watch_data("data").expect("the node is there");
        let _absent = reader.watch_exists("later").expect("a read");
        let _children = ["children", "gone"].map(|path| reader.watch_children(path).expect("a node"));
        t.scene("Each node changes. The reader has gone to sleep; its session lives.");
        writer.set_data("data", b"1", ANY_VERSION).expect("the node is there");
        writer.create("later", b"", Flags::REGULAR).expect("a new node");
        writer.create("children/one", b"", Flags::REGULAR).expect("a new node");
        writer.delete("gone", ANY_VERSION).expect("the node is there");
    });
}

/// Numbers of sequential nodes are not used again, also by servers that have only a snapshot of what was.
#[test]
fn zk_numbers_in_snapshots() {
    crate::cluster::play_with("zk_numbers_in_snapshots", 3, Some(1500), |t, cluster| {
        let zk = cluster.client_of(&[0, 1, 2], Settings { timeout: ms(20_000), patience: None });
        zk.create("d", b"", Flags::REGULAR).expect("a new node");
        let create = || zk.create("d/n", b"", Flags::SEQUENTIAL).expect("a new node");
        let before: Vec<String> = (0..5).map(|_| create()).collect();
        before[2..].iter().for_each(|path| zk.delete(path, ANY_VERSION).expect("it is there"));
        t.scene("Snapshots replace the log, and all servers start from them.");
        for round in 0..40_u8 {
            zk.set_data("d", &[round; 100], ANY_VERSION).expect("a majority is there");
        }
        cluster.settle();
        let has_snapshot = |server| cluster.servers.persister(server).snapshot_size() > 0;
        t.exercised((0..3).all(has_snapshot), "a snapshot replaced the log everywhere");
        (0..3).for_each(|server| cluster.servers.crash(server));
        for server in 0..3 {
            cluster.servers.restart(server);
            cluster.servers.connect(server);
        }
        let next = create();
        t.expect(next > before[4], || format!("{next} is made behind {before:?} (invariant 8)"));
    });
}

/// A server that is cut off from the others answers its clients all the same. It says that nobody else hears
/// of them, so a client that wants to keep its session goes elsewhere in time.
#[test]
fn zk_server_is_cut_off() {
    play("zk_server_is_cut_off", 3, |t, cluster| {
        let follower = cluster.followers()[0];
        let zk = cluster.client_at(follower);
        zk.create("mine", b"", Flags::EPHEMERAL).expect("a new node");
        t.scene("All is well, and the client stays where it is.");
        let moves = Arc::new(AtomicU64::new(0));
        let counted = moves.clone();
        cluster.net.network().set_tap(move |event| {
            if event.method == "ZkRpc.connect" && event.direction == Direction::Request {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            TapAction::Deliver
        });
        thread::sleep(ms(5000));
        let moved = moves.load(Ordering::SeqCst);
        t.expect(moved == 0 || !t.is_ordinary(), || format!("an idle client has moved {moved} times"));
        t.scene("The client's server is cut off from the two others.");
        let others: Vec<usize> = (0..3).filter(|&server| server != follower).collect();
        cluster.servers.partition(&[&[follower], &others]);
        thread::sleep(ms(8000));
        t.expect(cluster.watch.data("mine").is_some() || !t.is_ordinary(), || {
            "the session has ended although its client reached all servers".to_owned()
        });
        cluster.servers.heal();
    });
}

/// A client closes its session through two servers, since the first one is slow. What comes second finds no
/// session, and changes nothing.
#[test]
fn zk_close_comes_twice() {
    play("zk_close_comes_twice", 3, |t, cluster| {
        let follower = cluster.followers()[0];
        let (first, second) = (peer(cluster, follower), peer(cluster, cluster.leader()));
        let made = cluster.wait_for(20_000, "a session", || first.connect(&connect(0, 0, 1)).ok()?.ok());
        let (session, secret) = (made.session, made.secret);
        t.scene("The first server cannot forward what it is asked for.");
        let links = (0..3).map(|to| Name::from(cluster.servers.link(follower, to)));
        let links: Vec<Name> = links.collect();
        cluster.net.network().set_tap(move |event| {
            let is_lost = event.method == "ZkRpc.forward" && event.direction == Direction::Request;
            if is_lost && links.contains(event.end) { TapAction::Drop } else { TapAction::Deliver }
        });
        let close = || vec![Request { xid: 1, operation: Operation::Close }];
        let _ = first.timeout(ms(100)).exchange(&exchange(session, 1, 0, close()));
        t.scene("The client goes to the leader, and closes its session there.");
        cluster.wait(20_000, "the session is closed", || {
            if second.connect(&connect(session, secret, 2)).is_ok_and(|answer| answer.is_ok()) {
                let _ = second.timeout(ms(100)).exchange(&exchange(session, 2, 0, close()));
            }
            cluster.watch.ended(session).is_some()
        });
        let ended = cluster.watch.ended(session);
        t.scene("The first server gets through.");
        cluster.net.network().clear_tap();
        let closes = || {
            cluster
                .watch
                .count(|one, _| one.session == session && one.action == Action::Write(Operation::Close))
        };
        thread::sleep(ms(2000));
        t.exercised(closes() == 2, "it came twice");
        t.expect(cluster.watch.ended(session) == ended, || {
            "a session that is over ends once more, by a late close (invariant 7)".to_owned()
        });
        cluster.client_at(0).create("next", b"", Flags::REGULAR).expect("a new node");
    });
}
