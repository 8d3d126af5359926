//! Directed: how long a session may be silent, several watches of one node, and what is not there any more.

use labrt::thread;
use zookeeper::rpc::{Delivery, Request};
use zookeeper::{ANY_VERSION, Error, EventKind, Flags, Operation, Outcome, Settings};

use crate::cluster::{Cluster, Zk, answer, expect_event, ms, play, play_with};
use crate::directed::{connect, exchange, peer};

/// How much later than its timeout a session may end: heartbeats, reports to the leader, and judgements come
/// in intervals, and clocks may be slow.
const LATER: u64 = 4000;

/// A client whose session may be silent for so long, in milliseconds, with an ephemeral node.
fn client_with_node(cluster: &Cluster, name: &str, timeout: u64) -> Zk {
    let zk = cluster.client_of(&[0, 1, 2], Settings { timeout: ms(timeout), patience: None });
    zk.create(name, b"", Flags::EPHEMERAL).expect("a new node");
    zk
}

/// Sessions end when they have been silent for their own timeouts: the one with a short timeout soon, the one
/// with a long timeout later.
#[test]
fn zk_timeouts_differ() {
    play("zk_timeouts_differ", 3, |t, cluster| {
        cluster.settled_leader();
        let clients =
            [("short", 1500), ("long", 9000)].map(|(name, timeout)| client_with_node(cluster, name, timeout));
        // Their servers have just heard them.
        clients.iter().for_each(|zk| zk.sync("").expect("a leader is there"));
        t.scene("Two clients are cut off: one with a timeout of 1.5 s, one with 9 s.");
        clients.iter().for_each(|zk| zk.set_links(false));
        let has_ended = |at: usize| cluster.watch.ended(clients[at].session()).is_some();
        thread::sleep(ms(1500 + LATER));
        // Where faults come all the time leaders change, and each gives all sessions their time anew.
        t.expect(has_ended(0) || !t.is_ordinary(), || {
            format!(
                "a session with a timeout of 1.5 s was silent for {} ms, and lives (rule 7)",
                1500 + LATER
            )
        });
        thread::sleep(ms(8000 - 1500 - LATER));
        t.expect(!has_ended(1), || {
            "a session with a timeout of 9 s was silent for 8 s, and has ended (rule 7)".to_owned()
        });
        thread::sleep(ms(1000 + LATER));
        t.expect(has_ended(1) || !t.is_ordinary(), || {
            format!("a session with a timeout of 9 s was silent for {} ms, and lives (rule 7)", 9000 + LATER)
        });
    });
}

/// The servers start from snapshots, which tell how long each session may be silent.
#[test]
fn zk_timeouts_in_snapshots() {
    play_with("zk_timeouts_in_snapshots", 3, Some(1500), |t, cluster| {
        let (zk, writer) = (client_with_node(cluster, "mine", 12_000), cluster.client_at(0));
        writer.create("other", b"", Flags::REGULAR).expect("a new node");
        for round in 0..40_u8 {
            writer.set_data("other", &[round; 100], ANY_VERSION).expect("a majority is there");
        }
        cluster.settle();
        let has_snapshot = |server| cluster.servers.persister(server).snapshot_size() > 0;
        t.exercised((0..3).all(has_snapshot), "a snapshot replaced the log everywhere");
        zk.sync("").expect("a leader is there");
        t.scene("A client is cut off. All servers start from their snapshots.");
        zk.set_links(false);
        (0..3).for_each(|server| cluster.servers.crash(server));
        for server in 0..3 {
            cluster.servers.restart(server);
            cluster.servers.connect(server);
        }
        thread::sleep(ms(9000));
        let ended = cluster.watch.ended(zk.session());
        t.expect(ended.is_none(), || {
            "a session with a timeout of 12 s was silent for 9 s, and has ended (rule 7)".to_owned()
        });
        zk.set_links(true);
        let mine = zk.exists("mine");
        t.expect(matches!(mine, Ok(Some(_))) || !t.is_ordinary(), || {
            format!(
                "a client comes back within its timeout, and its ephemeral node is {mine:?} (invariant 7)"
            )
        });
    });
}

/// A client leaves two watches on one node, and a third one for its children. Each of them fires.
#[test]
fn zk_two_watches_of_one_node() {
    play("zk_two_watches_of_one_node", 3, |t, cluster| {
        let (reader, writer) = (cluster.client_at(0), cluster.client_at(1));
        reader.create("x", b"", Flags::REGULAR).expect("a new node");
        let (_, first) = reader.watch_data("x").expect("the node is there");
        let (_, second) = reader.watch_exists("x").expect("a read");
        let (_, third) = reader.watch_data("x").expect("the node is there");
        let (_, children) = reader.watch_children("x").expect("the node is there");
        writer.sync("").expect("a leader is there");
        t.scene("The node is set.");
        writer.set_data("x", b"1", ANY_VERSION).expect("the node is there");
        for (which, watch) in [("first", first), ("second", second), ("third", third)] {
            let what = format!("x, the {which} of three that look at its data");
            expect_event(t, &what, watch, &[EventKind::Data]);
        }
        t.scene("A child comes.");
        writer.create("x/child", b"", Flags::REGULAR).expect("a new node");
        expect_event(t, "the children of x", children, &[EventKind::Children]);
        let (_, children) = reader.watch_children("x").expect("the node is there");
        t.scene("The child goes.");
        writer.delete("x/child", ANY_VERSION).expect("the node is there");
        expect_event(t, "the children of x, one of which goes", children, &[EventKind::Children]);
    });
}

/// A watch is left right behind the change of what it looks at, and its client moves: nothing has happened
/// since.
#[test]
fn zk_watch_behind_a_change() {
    play("zk_watch_behind_a_change", 3, |t, cluster| {
        let zk = cluster.client_of(&[0, 1, 2], Settings { timeout: ms(20_000), patience: None });
        zk.create("x", b"", Flags::REGULAR).expect("a new node");
        let (_, created) = zk.watch_data("x").expect("the node is there");
        let quiet = |watch: &zookeeper::Watch, from: usize, what: &str| {
            cluster.settle();
            t.scene(format!("The client moves, and {what} when its watch was left."));
            (0..3).for_each(|server| zk.set_link(server, server != from));
            zk.sync("x").expect("a leader is there");
            t.expect(!watch.has_fired(), || {
                format!("a watch of x fires when its client moves, and nothing has happened since it was left: {what} before (invariant 6)")
            });
        };
        quiet(&created, 0, "x was just created");
        zk.set_data("x", b"1", ANY_VERSION).expect("the node is there");
        expect_event(t, "x, which is set", created, &[EventKind::Data]);
        let (_, set) = zk.watch_data("x").expect("the node is there");
        quiet(&set, 1, "x was just set");
        zk.create("x/child", b"", Flags::REGULAR).expect("a new node");
        let (_, children) = zk.watch_children("x").expect("the node is there");
        quiet(&children, 2, "a child had just come");
    });
}

/// What comes of an earlier connection is refused, and has no effect: what waits for the client stays.
#[test]
fn zk_earlier_connection_takes_nothing() {
    play("zk_earlier_connection_takes_nothing", 3, |t, cluster| {
        let peer = peer(cluster, cluster.settled_leader());
        let made = cluster.wait_for(20_000, "a session", || peer.connect(&connect(0, 0, 1)).ok()?.ok());
        let again = connect(made.session, made.secret, 2);
        cluster
            .wait(5000, "the server takes the session", || peer.connect(&again).is_ok_and(|it| it.is_ok()));
        let read = Operation::Exists { path: "x".into(), watch: false };
        let asks = exchange(made.session, 2, 0, vec![Request { xid: 1, operation: read }]);
        let reply = |due: &str| {
            cluster.wait(5000, due, || {
                let Ok(Ok(told)) = peer.exchange(&asks) else { return false };
                let reply = (told.first..).zip(told.deliveries).next();
                matches!(reply, Some((1, Delivery::Reply { xid: 1, .. })))
            });
        };
        reply("the reply to request 1");
        t.scene("A late exchange of the connection before says that the client has taken deliveries.");
        let _ = peer.exchange(&exchange(made.session, 1, 5, Vec::new()));
        reply("the reply to request 1 once more: in this connection the client has taken nothing");
    });
}

/// A client comes to a server that is behind and stays so. It looks for another one, while its session lives.
#[test]
fn zk_server_stays_behind() {
    play("zk_server_stays_behind", 3, |t, cluster| {
        let leader = cluster.settled_leader();
        let [behind, other] = cluster.followers()[..] else { unreachable!("three servers, one leads") };
        let writer = cluster.client_of(&[leader, other], Settings::default());
        writer.create("x", b"old", Flags::REGULAR).expect("a new node");
        let zk =
            cluster.client_of(&[leader, behind, other], Settings { timeout: ms(20_000), patience: None });
        t.scene("A server is cut off, and misses a write that a client of the leader sees.");
        cluster.servers.disconnect(behind);
        writer.set_data("x", b"new", ANY_VERSION).expect("a majority is there");
        zk.sync("x").expect("a majority is there");
        t.scene("That client loses the leader. The next server that it knows is the one that is behind.");
        zk.set_link(leader, false);
        let read = zk.start(Operation::GetData { path: "x".into(), watch: false });
        let read = answer(t, "a read: one of two servers has all that its client has seen (rule 3)", read);
        let data = read.clone().map(|outcome| matches!(outcome, Outcome::Data(data, _) if data == b"new"));
        t.expect(data == Ok(true) || !t.is_ordinary(), || {
            format!("x is new, its client has seen that, and a read at its next server gives {read:?}")
        });
    });
}

/// A read that fails leaves no watch: nobody is told when the node comes.
#[test]
fn zk_failed_reads_leave_nothing() {
    play("zk_failed_reads_leave_nothing", 3, |t, cluster| {
        let (reader, writer) = (cluster.client_at(0), cluster.client_at(1));
        let reads = [
            Operation::GetData { path: "x".into(), watch: true },
            Operation::GetChildren { path: "x".into(), watch: true },
        ];
        for read in reads {
            let read = answer(t, "a read of a node that is not there", reader.start(read));
            t.expect(read == Err(Error::NoNode), || format!("x is not there, and a read gives {read:?}"));
        }
        t.scene("The node comes, and is set. An event would be one without a watch (invariant 6).");
        writer.create("x", b"", Flags::REGULAR).expect("a new node");
        writer.set_data("x", b"1", ANY_VERSION).expect("the node is there");
        writer.create("x/child", b"", Flags::REGULAR).expect("a new node");
        // An event would have to come before the read's answer. The watch over the test sees both.
        reader.sync("x").expect("a leader is there");
        reader.get_data("x").expect("the node is there");
        cluster.settle();
        reader.get_data("x").expect("the node is there");
        let events = cluster.watch.events("x");
        t.expect(events == 0, || {
            format!("{events} events of x have left, and nobody watches it (invariant 6)")
        });
    });
}

/// -1 means any version, and no other number does.
#[test]
fn zk_other_negative_versions() {
    play("zk_other_negative_versions", 3, |t, cluster| {
        let zk = cluster.client_at(0);
        zk.create("x", b"old", Flags::REGULAR).expect("a new node");
        for version in [-2, i64::MIN, 1, i64::MAX] {
            let (set, deleted) = (zk.set_data("x", b"new", version), zk.delete("x", version));
            t.expect(set == Err(Error::BadVersion) && deleted == Err(Error::BadVersion), || {
                format!("x has version 0; a set that expects {version} gives {set:?}, a delete {deleted:?}")
            });
        }
        let read = zk.get_data("x").map(|(data, stat)| (data, stat.version));
        t.expect(read == Ok((b"old".to_vec(), 0)), || format!("nothing has changed, and x reads {read:?}"));
    });
}

/// A write that fails changes nothing, so no watch hears of it.
#[test]
fn zk_failed_writes_are_quiet() {
    play("zk_failed_writes_are_quiet", 3, |t, cluster| {
        let (reader, writer) = (cluster.client_at(0), cluster.client_at(1));
        for path in ["x", "x/child", "mine"] {
            let flags = if path == "mine" { Flags::EPHEMERAL } else { Flags::REGULAR };
            writer.create(path, b"", flags).expect("a new node");
        }
        reader.sync("").expect("a leader is there");
        let watches = [
            reader.watch_data("x").expect("the node is there").1,
            reader.watch_children("x").expect("the node is there").1,
            reader.watch_data("x/child").expect("the node is there").1,
            reader.watch_exists("mine/child").expect("a read").1,
        ];
        t.scene("Writes fail: other versions, a node with a child, a node that is there, and one below an ephemeral one.");
        let failed = [
            writer.set_data("x", b"1", 7).map(drop),
            writer.delete("x", 7),
            writer.delete("x", ANY_VERSION),
            writer.delete("x/child", 7),
            writer.create("x/child", b"", Flags::REGULAR).map(drop),
            writer.create("mine/child", b"", Flags::REGULAR).map(drop),
        ];
        t.expect(failed.iter().all(|one| one.is_err()), || format!("all must fail: {failed:?}"));
        reader.sync("").expect("a leader is there");
        reader.exists("x").expect("a read");
        let fired = watches.iter().filter(|watch| watch.has_fired()).count();
        t.expect(fired == 0, || format!("{fired} watches have fired, and nothing has changed (invariant 6)"));
    });
}
