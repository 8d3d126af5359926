//! Directed: what a sync waits for, and what a server must not forget when it jumps ahead with a snapshot.

use labrpc::{Direction, Name, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use zookeeper::rpc::{Connect, Delivery, Refused, Request};
use zookeeper::{ANY_VERSION, Flags, Operation, Outcome, Settings};

use crate::cluster::{Cluster, Zk, answer, ms, play, play_with};
use crate::directed::{client_besides, client_of_a_follower, connect, deafen, exchange, has_snapshot, peer};

/// A leader has said how far a sync must wait. Another client of that server asks for a sync behind this, and
/// behind a write of which it was told: the old answer does not do for it.
#[test]
fn zk_sync_behind_a_sync() {
    play("zk_sync_behind_a_sync", 3, |t, cluster| {
        let (behind, first) = client_of_a_follower(cluster);
        let (second, writer) = (alone(cluster, behind), client_besides(cluster, behind));
        writer.create("x", b"old", Flags::REGULAR).expect("a new node");
        [&first, &second].into_iter().for_each(|zk| zk.sync("x").expect("a leader is there"));
        t.scene(
            "A follower no longer hears what is committed. What a leader answers to its syncs takes long.",
        );
        let links = (0..3).flat_map(|other| [(behind, other), (other, behind)]);
        let links: Vec<Name> = links.map(|(from, to)| Name::from(cluster.servers.link(from, to))).collect();
        let has_answered = Arc::new(AtomicBool::new(false));
        let answered = has_answered.clone();
        cluster.net.network().set_tap(move |event| {
            if !links.contains(event.end) {
                return TapAction::Deliver;
            }
            match (event.method, event.direction) {
                ("ZkRpc.sync_point", Direction::Reply) => {
                    answered.store(true, Ordering::SeqCst);
                    TapAction::Delay(ms(300))
                }
                (method, _) if method.starts_with("ZkRpc") => TapAction::Deliver,
                _ => TapAction::Drop,
            }
        });
        let sync = || Operation::Sync { path: "x".into() };
        let old = first.start(sync());
        let is_asked = (0..200).any(|_| {
            thread::sleep(ms(5));
            has_answered.load(Ordering::SeqCst)
        });
        t.exercised(is_asked, "a leader has answered how far a sync must wait");
        t.scene("A writes, and tells B. B asks for a sync and reads.");
        writer.set_data("x", b"new", ANY_VERSION).expect("a majority is there");
        let _new = second.start(sync());
        let read = second.start(Operation::GetData { path: "x".into(), watch: false });
        thread::sleep(ms(1000));
        cluster.net.network().clear_tap();
        let read = answer(t, "a read behind a sync", read);
        t.expect(matches!(&read, Ok(Outcome::Data(data, _)) if data == b"new"), || {
            format!("\"new\" was written before the sync, and the read behind it gives {read:?}")
        });
        let old = answer(t, "a sync of another client", old);
        t.expect(old.is_ok(), || format!("a sync is answered {old:?}"));
    });
}

/// A client that knows this server alone.
fn alone(cluster: &Cluster, server: usize) -> Zk {
    cluster.client_of(&[server], Settings { timeout: ms(20_000), patience: None })
}

/// Writes until a snapshot has just replaced the log of both other servers: nothing follows it.
fn write_up_to_a_snapshot(cluster: &Cluster, writer: &Zk, behind: usize) {
    let others = || (0..3).filter(move |&server| server != behind);
    let sizes = || others().map(|server| cluster.servers.persister(server).state_size()).collect::<Vec<_>>();
    for round in 0..100_u8 {
        let before = sizes();
        writer.set_data("other", &[round; 100], ANY_VERSION).expect("a majority is there");
        // The follower applies the write behind the next heartbeat.
        thread::sleep(ms(250));
        let is_new = sizes().iter().zip(&before).all(|(now, before)| now < before);
        if round > 20 && is_new && has_snapshot(cluster, behind) {
            return;
        }
    }
    cluster.test.exercised(false, "a snapshot is the last that a follower gets");
}

/// A sync waits at a server that is behind. What it waits for comes with a snapshot, and nothing behind it.
#[test]
fn zk_snapshot_ends_a_sync() {
    play_with("zk_snapshot_ends_a_sync", 3, Some(1500), |t, cluster| {
        let (behind, reader) = client_of_a_follower(cluster);
        let writer = client_besides(cluster, behind);
        writer.create("other", b"", Flags::REGULAR).expect("a new node");
        if !deafen(cluster, behind) {
            return;
        }
        writer.set_data("other", b"1", ANY_VERSION).expect("a majority is there");
        let sync = reader.start(Operation::Sync { path: String::new() });
        thread::sleep(ms(500));
        t.expect(!sync.is_done(), || {
            "a sync is answered by a server that has not the write before it".to_owned()
        });
        t.scene("The others write until a snapshot replaces the log.");
        write_up_to_a_snapshot(cluster, &writer, behind);
        t.scene("The follower hears again. Nobody writes any more.");
        cluster.net.network().clear_tap();
        let synced = answer(t, "a sync, at a server that has all that was written", sync);
        t.expect(synced == Ok(Outcome::Done), || format!("a sync is answered {synced:?}"));
    });
}

/// A session ends, and the server that it came from learns that from a snapshot: no more reads there.
#[test]
fn zk_snapshot_ends_a_session() {
    play_with("zk_snapshot_ends_a_session", 3, Some(1500), |t, cluster| {
        let (behind, _reader) = client_of_a_follower(cluster);
        let writer = client_besides(cluster, behind);
        writer.create("other", b"", Flags::REGULAR).expect("a new node");
        let at = peer(cluster, behind);
        let begin = Connect { timeout: 20_000, ..connect(0, 0, 1) };
        let made = cluster.wait_for(20_000, "a session", || at.connect(&begin).ok()?.ok());
        let session = made.session;
        if !deafen(cluster, behind) {
            return;
        }
        t.scene("The client closes its session at another server.");
        let others: Vec<_> =
            (0..3).filter(|&other| other != behind).map(|other| peer(cluster, other)).collect();
        let close = || vec![Request { xid: 1, operation: Operation::Close }];
        cluster.wait(20_000, "the session is closed", || {
            for other in &others {
                if other.connect(&connect(session, made.secret, 2)).is_ok_and(|answer| answer.is_ok()) {
                    let _ = other.timeout(ms(300)).exchange(&exchange(session, 2, 0, close()));
                }
            }
            cluster.watch.ended(session).is_some()
        });
        for round in 0..40_u8 {
            writer.set_data("other", &[round; 100], ANY_VERSION).expect("a majority is there");
        }
        t.exercised(has_snapshot(cluster, behind), "a snapshot replaced the log");
        t.scene("The follower hears again. It is asked by the session's first connection.");
        cluster.net.network().clear_tap();
        let refused = [Refused::Expired, Refused::NotConnected];
        let mut received = 0;
        let is_over = (0..40).any(|_| {
            thread::sleep(ms(100));
            match at.exchange(&exchange(session, 1, received, Vec::new())) {
                Ok(Err(why)) => refused.contains(&why),
                Ok(Ok(told)) => {
                    received = received.max(told.first + told.deliveries.len() as u64 - 1);
                    false
                }
                Err(_) => false,
            }
        });
        t.expect(is_over || !t.is_ordinary(), || {
            format!("a session is over for 4 s, and its server, which has the end, refuses it with none of {refused:?}")
        });
    });
}

/// A late copy of a connect comes when the connection is in use: it changes nothing.
#[test]
fn zk_connect_comes_twice() {
    play("zk_connect_comes_twice", 3, |t, cluster| {
        let peer = peer(cluster, cluster.settled_leader());
        let made = cluster.wait_for(20_000, "a session", || peer.connect(&connect(0, 0, 1)).ok()?.ok());
        let again = connect(made.session, made.secret, 2);
        cluster
            .wait(5000, "the server takes the session", || peer.connect(&again).is_ok_and(|it| it.is_ok()));
        let exists = |xid| Request { xid, operation: Operation::Exists { path: "x".into(), watch: false } };
        let ask = |xid: u64| {
            let due = format!("delivery {xid}, the reply to request {xid}");
            let asks = exchange(made.session, 2, xid - 1, vec![exists(xid)]);
            let asks = zookeeper::rpc::Exchange { answered: xid - 1, ..asks };
            cluster.wait(5000, &due, || {
                let Ok(Ok(told)) = peer.exchange(&asks) else { return false };
                let numbered = (told.first..).zip(told.deliveries);
                let mut replies = numbered.filter_map(|(number, delivery)| match delivery {
                    Delivery::Reply { xid, .. } => Some((number, xid)),
                    Delivery::Event(_) => None,
                });
                replies.any(|reply| reply == (xid, xid))
            });
        };
        ask(1);
        t.scene("The connect comes once more. Then the client takes the reply, and asks for more.");
        let copy = peer.connect(&again);
        t.expect(!matches!(copy, Ok(Err(_))), || format!("a copy of a connect is answered {copy:?}"));
        ask(2);
    });
}

/// A write has failed, and its answer is lost. The next server answers the same.
#[test]
fn zk_failure_is_kept() {
    play("zk_failure_is_kept", 3, |t, cluster| {
        let zk = cluster.client_at(0);
        zk.create("x", b"", Flags::REGULAR).expect("a new node");
        let peers = [0, 1].map(|server| peer(cluster, server));
        let made = cluster.wait_for(20_000, "a session", || peers[0].connect(&connect(0, 0, 1)).ok()?.ok());
        let operation = Operation::Create { path: "x".into(), data: Vec::new(), flags: Flags::REGULAR };
        let create = Request { xid: 1, operation };
        let ask = |connection: u64| {
            let asks = exchange(made.session, connection, 0, vec![create.clone()]);
            cluster.wait_for(5000, "the answer to request 1, a create", || {
                let told = peers[connection as usize - 1].exchange(&asks).ok()?.ok()?;
                told.deliveries.into_iter().find_map(|delivery| match delivery {
                    Delivery::Reply { answer, .. } => Some(answer),
                    Delivery::Event(_) => None,
                })
            })
        };
        let first = ask(1);
        cluster.settle();
        t.scene("The client has no answer, and asks another server.");
        let moves = connect(made.session, made.secret, 2);
        cluster.wait(5000, "the next server takes the session", || {
            peers[1].connect(&moves).is_ok_and(|answer| answer.is_ok())
        });
        let again = ask(2);
        t.expect(first == again, || {
            format!("a create is answered {first:?}, and when it is asked for again {again:?} (invariant 1)")
        });
    });
}
