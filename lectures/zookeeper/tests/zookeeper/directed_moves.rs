//! Directed: a client that moves, messages that are lost, and a client that closes its session.

use labrpc::{Direction, Name, TapAction};
use labrt::node::Node;
use labrt::thread;
use labrt::time::Instant;
use zookeeper::{ANY_VERSION, Client, EventKind, Flags, Operation, Outcome, Settings};

use crate::cluster::{answer, expect_event, ms, play};
use crate::directed::client_of_a_follower;

const LONG: Settings = Settings { timeout: ms(20_000), patience: None };

/// A client has opened its session, and moves to a server that has not heard of it yet. That one is behind,
/// and the session lives.
#[test]
fn zk_new_session_moves() {
    play("zk_new_session_moves", 3, |t, cluster| {
        let (leader, behind) = (cluster.settled_leader(), cluster.followers()[0]);
        cluster.servers.disconnect(behind);
        t.scene("A server is cut off. A client opens its session at another one, and then knows that server only.");
        let zk = cluster.client_of(&[leader, behind], Settings { timeout: ms(40_000), patience: None });
        zk.set_link(behind, false);
        cluster.wait(20_000, "a session", || zk.session() != 0);
        zk.set_link(leader, false);
        zk.set_link(behind, true);
        let create = Operation::Create { path: "x".into(), data: Vec::new(), flags: Flags::EPHEMERAL };
        let create = zk.start(create);
        // It leaves the first server when two thirds of its timeout are over.
        thread::sleep(ms(30_000));
        t.scene("The server hears the others again.");
        cluster.servers.connect(behind);
        let created = answer(t, "a create", create);
        t.expect(created == Ok(Outcome::Created("x".into())), || {
            format!(
                "a session that lives comes to a server that is behind; its create is answered {created:?}"
            )
        });
    });
}

/// A client leaves a watch in the very state in which the node was deleted, and moves: nothing has happened
/// since.
#[test]
fn zk_watch_behind_a_deletion() {
    play("zk_watch_behind_a_deletion", 3, |t, cluster| {
        let zk = cluster.client_of(&[0, 1, 2], LONG);
        zk.create("x", b"", Flags::REGULAR).expect("a new node");
        zk.delete("x", ANY_VERSION).expect("the node is there");
        let (stat, watch) = zk.watch_exists("x").expect("a read");
        t.expect(stat.is_none(), || format!("x is deleted, and exists gives {stat:?}"));
        cluster.settle();
        t.scene("The client moves.");
        zk.set_link(0, false);
        zk.sync("x").expect("a leader is there");
        t.expect(!watch.has_fired(), || {
            "the watch of x, which was absent when it was left, fires, and it has not come (invariant 6)"
                .to_owned()
        });
    });
}

/// A node has come and gone, and so have more than a thousand others since: the reader that was away hears of
/// it all the same.
#[test]
fn zk_many_deletions() {
    play("zk_many_deletions", 3, |t, cluster| {
        let long = Settings { timeout: ms(40_000), patience: None };
        let (writer, reader) = (cluster.client_of(&[0, 1, 2], LONG), cluster.client_of(&[0, 1, 2], long));
        let (_, flash) = reader.watch_exists("flash").expect("a read");
        t.scene("The reader is away. A node comes and goes, and then 1,100 others.");
        reader.set_links(false);
        writer.create("flash", b"", Flags::REGULAR).expect("a new node");
        writer.delete("flash", ANY_VERSION).expect("the node is there");
        let create = || Operation::Create { path: "n".into(), data: Vec::new(), flags: Flags::REGULAR };
        let delete = || Operation::Delete { path: "n".into(), version: ANY_VERSION };
        for _ in 0..11 {
            let calls = (0..200).map(|at| writer.start(if at % 2 == 0 { create() } else { delete() }));
            let calls: Vec<_> = calls.collect();
            for call in calls {
                let done = call.wait();
                t.expect(done.is_ok(), || format!("n is created and deleted in turn: {done:?}"));
            }
        }
        t.scene("The reader comes back, to another server.");
        [1, 2].into_iter().for_each(|server| reader.set_link(server, true));
        let kinds = [EventKind::Created, EventKind::Deleted];
        // It leaves the first server when two thirds of its timeout are over.
        let session = reader.session();
        cluster.wait(60_000, "the event of flash, which came and went (invariant 6)", || flash.has_fired());
        if cluster.watch.ended(session).is_some() {
            return t.exercised(false, "the session lived while 1,100 nodes came and went");
        }
        expect_event(t, "the node flash, which came and went", flash, &kinds);
    });
}

/// An exchange is lost. The client brings its request again, to the server at which it is.
#[test]
fn zk_exchange_is_lost() {
    play("zk_exchange_is_lost", 3, |t, cluster| {
        let zk = cluster.client_of(&[0], LONG);
        zk.create("x", b"", Flags::REGULAR).expect("a new node");
        let name = cluster.servers.name(0).clone();
        t.scene("What the client sends is lost for a moment.");
        cluster.net.network().set_tap(move |event| {
            let is_lost = event.method == "ZkRpc.exchange" && event.direction == Direction::Request;
            if is_lost && *event.server == name { TapAction::Drop } else { TapAction::Deliver }
        });
        let read = zk.start(Operation::GetData { path: "x".into(), watch: false });
        thread::sleep(ms(500));
        cluster.net.network().clear_tap();
        let read = answer(t, "a read that was lost once", read);
        t.expect(read.is_ok(), || format!("x is there, and the read gives {read:?}"));
    });
}

/// A server tells the leader whom it has heard, and the message is lost. It says so again.
#[test]
fn zk_touch_is_lost() {
    play("zk_touch_is_lost", 3, |t, cluster| {
        let (follower, _) = client_of_a_follower(cluster);
        let zk = cluster.client_of(&[follower], Settings::default());
        zk.create("mine", b"", Flags::EPHEMERAL).expect("a new node");
        t.scene("Whenever the client speaks, what its server says to others of it is lost for a moment.");
        let name = cluster.servers.name(follower).clone();
        let links: Vec<Name> = (0..3).map(|to| Name::from(cluster.servers.link(follower, to))).collect();
        let mut heard: Option<Instant> = None;
        cluster.net.network().set_tap(move |event| {
            if event.direction == Direction::Reply {
                return TapAction::Deliver;
            }
            let is_client = ["ZkRpc.exchange", "ZkRpc.connect"].contains(&event.method);
            if is_client && *event.server == name {
                heard = Some(Instant::now());
            }
            let is_lost = heard.is_some_and(|heard| heard.elapsed() < ms(250));
            let is_touch = event.method == "ZkRpc.touch" && links.contains(event.end);
            if is_touch && is_lost { TapAction::Drop } else { TapAction::Deliver }
        });
        thread::sleep(ms(10_000));
        let is_open = cluster.watch.ended(zk.session()).is_none();
        t.expect(is_open || !t.is_ordinary(), || {
            "the session has ended, although its client was heard and its server could tell the leader"
                .to_owned()
        });
        cluster.net.network().clear_tap();
    });
}

/// A client closes its session: that is done when the call returns, and no timeout is waited for.
#[test]
fn zk_client_closes() {
    play("zk_client_closes", 3, |t, cluster| {
        let node = Node::new("closing client");
        let ends = (0..3).map(|server| {
            let (number, end) = cluster.net.make_end(cluster.servers.name(server));
            cluster.net.network().enable(number, true);
            end
        });
        let ends = ends.collect();
        let client = node.enter(|| Client::open(ends, Settings { timeout: ms(60_000), patience: None }));
        client.create("mine", b"", Flags::EPHEMERAL).expect("a new node");
        let session = client.session();
        t.scene("The client closes its session.");
        let closed = client.close();
        t.expect(closed.is_ok(), || format!("a session that is open is closed: {closed:?}"));
        t.expect(cluster.watch.ended(session).is_some() && cluster.watch.data("mine").is_none(), || {
            "a client has closed its session, and it is open and has its ephemeral node (invariant 7)"
                .to_owned()
        });
    });
}
