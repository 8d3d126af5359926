//! Directed: what a watch tells of, what it does not tell of, and how it ends.

use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use zookeeper::rpc::{Delivery, Request};
use zookeeper::{ANY_VERSION, Error, Event, EventKind, Flags, Operation, Settings};

use crate::cluster::{answer, expect_event, ms, play, play_with};
use crate::directed::{client_besides, client_of_a_follower, connect, deafen, exchange, has_snapshot, peer};

/// A watch fires for its own node, and for what it looks at: not for the data of a child, not for what is
/// deeper, and not for children that come to a node whose data are watched.
#[test]
fn zk_watches_stay_quiet() {
    play("zk_watches_stay_quiet", 3, |t, cluster| {
        let writer = cluster.client_at(cluster.leader());
        for path in ["d", "d/a"] {
            writer.create(path, b"", Flags::REGULAR).expect("a new node");
        }
        let reader = cluster.client_of(&[0, 1, 2], Settings::default());
        reader.sync("").expect("a leader is there");
        let (_, children) = reader.watch_children("d").expect("the node is there");
        let (_, absent) = reader.watch_exists("d/c").expect("a read");
        t.scene("The data of a child are set. A node comes and goes below it, and one beside it.");
        writer.set_data("d/a", b"1", ANY_VERSION).expect("the node is there");
        for path in ["d/a/deep", "d-c"] {
            writer.create(path, b"", Flags::REGULAR).expect("a new node");
            writer.delete(path, ANY_VERSION).expect("the node is there");
        }
        reader.sync("").expect("a leader is there");
        t.expect(!children.has_fired(), || {
            "the watch of the children of d fires, and no child has come or gone (invariant 6)".to_owned()
        });
        t.expect(!absent.has_fired(), || {
            "the watch of d/c, which is absent, fires, and it has not come (invariant 6)".to_owned()
        });
        let (_, data) = reader.watch_data("d").expect("the node is there");
        t.scene("A child comes.");
        writer.create("d/c", b"", Flags::REGULAR).expect("a new node");
        expect_event(t, "the children of d", children, &[EventKind::Children]);
        expect_event(t, "d/c, which was absent", absent, &[EventKind::Created]);
        reader.sync("").expect("a leader is there");
        t.expect(!data.has_fired(), || {
            "the watch of the data of d fires, and only a child has come (invariant 6)".to_owned()
        });
        writer.set_data("d", b"1", ANY_VERSION).expect("the node is there");
        expect_event(t, "the data of d", data, &[EventKind::Data]);
    });
}

/// A node is deleted and created anew while its reader moves: it is another node than the one that was read.
#[test]
fn zk_watched_node_is_another() {
    play("zk_watched_node_is_another", 3, |t, cluster| {
        let writer = cluster.client_at(cluster.leader());
        for path in ["data", "children"] {
            writer.create(path, b"", Flags::REGULAR).expect("a new node");
        }
        let reader = cluster.client_of(&[0, 1, 2], Settings { timeout: ms(6000), patience: None });
        reader.sync("").expect("a leader is there");
        let (_, data) = reader.watch_data("data").expect("the node is there");
        let (_, children) = reader.watch_children("children").expect("the node is there");
        t.scene("The reader is away. Both nodes are deleted and created anew.");
        reader.set_links(false);
        for path in ["data", "children"] {
            writer.delete(path, ANY_VERSION).expect("the node is there");
            writer.create(path, b"", Flags::REGULAR).expect("a new node");
        }
        cluster.settle();
        t.scene("The reader comes to another server.");
        [1, 2].into_iter().for_each(|server| reader.set_link(server, true));
        expect_event(t, "the node data, which is another now", data, &[EventKind::Deleted, EventKind::Data]);
        let kinds = [EventKind::Deleted, EventKind::Children];
        expect_event(t, "the node children, which is another now", children, &kinds);
    });
}

/// A server jumps over changes of all kinds with a snapshot. Every watch of its client hears of its own.
#[test]
fn zk_snapshot_tells_all_watches() {
    play_with("zk_snapshot_tells_all_watches", 3, Some(1500), |t, cluster| {
        let (behind, reader) = client_of_a_follower(cluster);
        let writer = client_besides(cluster, behind);
        for path in ["d", "gone", "again", "other"] {
            writer.create(path, b"", Flags::REGULAR).expect("a new node");
        }
        reader.sync("").expect("a leader is there");
        let (_, came) = reader.watch_exists("came").expect("a read");
        let (_, flash) = reader.watch_exists("flash").expect("a read");
        let (_, children) = reader.watch_children("d").expect("the node is there");
        let (_, gone) = reader.watch_data("gone").expect("the node is there");
        let (_, again) = reader.watch_data("again").expect("the node is there");
        if !deafen(cluster, behind) {
            return;
        }
        for path in ["came", "flash", "d/child"] {
            writer.create(path, b"", Flags::REGULAR).expect("a new node");
        }
        for path in ["flash", "gone", "again"] {
            writer.delete(path, ANY_VERSION).expect("the node is there");
        }
        writer.create("again", b"", Flags::REGULAR).expect("a new node");
        t.scene("The others write until snapshots replace the log.");
        for round in 0..40_u8 {
            writer.set_data("other", &[round; 100], ANY_VERSION).expect("a majority is there");
        }
        t.exercised(has_snapshot(cluster, behind), "a snapshot replaced the log");
        t.scene("The follower hears again.");
        cluster.net.network().clear_tap();
        expect_event(t, "the node came, which was absent", came, &[EventKind::Created]);
        let kinds = [EventKind::Created, EventKind::Deleted];
        expect_event(t, "the node flash, which came and went", flash, &kinds);
        expect_event(t, "the children of d", children, &[EventKind::Children]);
        expect_event(t, "the node gone", gone, &[EventKind::Deleted]);
        let kinds = [EventKind::Deleted, EventKind::Data];
        expect_event(t, "the node again, which is another now", again, &kinds);
    });
}

/// A node came and went while its reader was away, and the servers that the reader comes back to have started
/// from snapshots since.
#[test]
fn zk_deletions_in_snapshots() {
    play_with("zk_deletions_in_snapshots", 3, Some(1500), |t, cluster| {
        let long = Settings { timeout: ms(10_000), patience: None };
        let (writer, reader) = (cluster.client_of(&[0, 1, 2], long), cluster.client_of(&[0, 1, 2], long));
        writer.create("other", b"", Flags::REGULAR).expect("a new node");
        let (_, flash) = reader.watch_exists("flash").expect("a read");
        t.scene("The reader is away. A node comes and goes, and snapshots replace the log.");
        reader.set_links(false);
        writer.create("flash", b"", Flags::REGULAR).expect("a new node");
        writer.delete("flash", ANY_VERSION).expect("the node is there");
        // Ten at a time: the session of the reader must live through this.
        for round in 0..4_u8 {
            let set = |data| Operation::SetData { path: "other".into(), data, version: ANY_VERSION };
            let calls: Vec<_> = (0..10).map(|_| writer.start(set(vec![round; 100]))).collect();
            calls.into_iter().for_each(|call| drop(answer(t, "a write of another client", call)));
        }
        cluster.settle();
        let has_snapshot = |server| cluster.servers.persister(server).snapshot_size() > 0;
        t.exercised((0..3).all(has_snapshot), "a snapshot replaced the log everywhere");
        t.scene("All servers start from their snapshots. The reader comes back.");
        (0..3).for_each(|server| cluster.servers.crash(server));
        for server in 0..3 {
            cluster.servers.restart(server);
            cluster.servers.connect(server);
        }
        writer.sync("").expect("a leader is there");
        reader.set_links(true);
        let kinds = [EventKind::Created, EventKind::Deleted];
        expect_event(t, "the node flash, which came and went", flash, &kinds);
    });
}

/// A server keeps an event until the client says that it has it. The exchange that brings it may be lost.
#[test]
fn zk_events_are_kept() {
    play("zk_events_are_kept", 3, |t, cluster| {
        let server = cluster.leader();
        let writer = cluster.client_at(server);
        writer.create("x", b"", Flags::REGULAR).expect("a new node");
        let peer = peer(cluster, server);
        let made = cluster.wait_for(20_000, "a session", || peer.connect(&connect(0, 0, 1)).ok()?.ok());
        let read = Request { xid: 1, operation: Operation::GetData { path: "x".into(), watch: true } };
        // The delivery with the number behind `received`.
        let next = |received: u64, requests: &[Request]| {
            let exchanged = peer.exchange(&exchange(made.session, 1, received, requests.to_vec()));
            let exchanged = exchanged.ok()?.ok()?;
            let at = (received + 1).checked_sub(exchanged.first)?;
            exchanged.deliveries.into_iter().nth(at as usize)
        };
        cluster.wait_for(5000, "the reply to a read that leaves a watch", || {
            next(0, std::slice::from_ref(&read)).filter(|one| matches!(one, Delivery::Reply { xid: 1, .. }))
        });
        writer.set_data("x", b"1", ANY_VERSION).expect("the node is there");
        let event = cluster.wait_for(5000, "the event of x, which is set (invariant 6)", || next(1, &[]));
        let is_due =
            matches!(&event, Delivery::Event(Event { kind: EventKind::Data, path, .. }) if path == "x");
        t.expect(is_due, || format!("delivery 2 is {event:?}, and the event of x was due (invariant 6)"));
        t.scene("The client asks again, for it has not got the event.");
        for _ in 0..3 {
            let again =
                cluster
                    .wait_for(2000, "the event of x once more: the client has not taken it", || next(1, &[]));
            t.expect(again == event, || format!("delivery 2 was {event:?}, and is {again:?} the next time"));
        }
    });
}

/// The watch of a read that fails ends without an event. A watch whose session ends hears of that.
#[test]
fn zk_watches_end() {
    play("zk_watches_end", 3, |t, cluster| {
        let zk = cluster.client_at(0);
        let read = Operation::GetData { path: "none".into(), watch: true };
        let (answer, watch) = zk.start_with_watch(read);
        let answer = answer.wait();
        t.expect(answer == Err(Error::NoNode), || format!("a read of a node that is not there: {answer:?}"));
        let told: Arc<Mutex<Option<Option<Event>>>> = Arc::default();
        let heard = told.clone();
        thread::spawn(move || *heard.lock() = Some(watch.wait()));
        let told = cluster.wait_for(5000, "Watch::wait returns: its read has failed", || told.lock().clone());
        t.expect(told.is_none(), || format!("the watch of a read that failed tells {told:?}"));
        let (_, left) = zk.watch_exists("later").expect("a read");
        t.scene("The client is cut off until its session is over. Then it comes back.");
        zk.set_links(false);
        cluster.wait(20_000, "the session that is cut off ends (invariant 7)", || {
            cluster.watch.ended(zk.session()).is_some()
        });
        zk.set_links(true);
        expect_event(t, "the node later, by a session that is over", left, &[EventKind::Session]);
    });
}
