//! Part ZB: reads at every replica, what they may return, and watches.

use labrt::thread;
use tester::Test;
use zookeeper::rpc::Action;
use zookeeper::{ANY_VERSION, EventKind, Flags, Operation, Outcome, Settings};

use crate::cluster::{Cluster, Zk, answer, expect_event, ms, play};
use crate::part_a::pipeline;

/// A server that leads, and one that does not.
fn leader_and_follower(cluster: &Cluster) -> (usize, usize) {
    (cluster.leader(), cluster.followers()[0])
}

/// Creates a node with the data "old", everywhere; then cuts a follower off and sets "new". Returns a writer,
/// at the leader, and the follower.
fn one_behind(t: &Test, cluster: &Cluster) -> (Zk, usize) {
    let (leader, behind) = leader_and_follower(cluster);
    let writer = cluster.client_at(leader);
    writer.create("x", b"old", Flags::REGULAR).expect("a new node");
    cluster.settle();
    t.scene("A follower is cut off from the others. Another client writes.");
    cluster.servers.disconnect(behind);
    writer.set_data("x", b"new", ANY_VERSION).expect("a majority is there");
    (writer, behind)
}

/// Reads are answered where they arrive, and write nothing to the log.
#[test]
fn zk_local_reads_scale() {
    play("zk_local_reads_scale", 3, |_, cluster| {
        let clients: Vec<_> =
            (0..6).map(|client| cluster.client_of(&[client % 3], Settings::default())).collect();
        clients[0].create("x", b"1", Flags::REGULAR).expect("a new node");
        clients.iter().for_each(|zk| zk.sync("x").expect("a leader is there"));
        let leader = cluster.leader();
        let writes = || cluster.watch.count(|one, _| matches!(one.action, Action::Write(_)));
        let (before, log) = (writes(), cluster.servers.log_size());
        let reads = || (0..3).map(|server| cluster.watch.reads(server)).collect::<Vec<_>>();
        let earlier = reads();
        for _ in 0..20 {
            let read = |zk: &Zk| zk.start(Operation::GetData { path: "x".into(), watch: false });
            let calls: Vec<_> = clients.iter().map(read).collect();
            assert!(
                calls
                    .into_iter()
                    .all(|call| matches!(call.wait(), Ok(Outcome::Data(data, _)) if data == b"1"))
            );
        }
        let done: Vec<u64> = reads().iter().zip(earlier).map(|(after, before)| after - before).collect();
        let all: u64 = done.iter().sum();
        // On a slow network clients leave their servers, perhaps for the leader, and ask there again what was
        // not answered.
        let is_each_once = if cluster.test.is_ordinary() { all == 120 } else { all >= 120 };
        assert!(is_each_once, "the servers answered {all} reads, and 120 were asked");
        let is_spread = done[leader] * 10 <= all * 4 || !cluster.test.is_ordinary();
        assert!(is_spread, "the leader answered {} of {all} reads", done[leader]);
        assert_eq!(writes(), before, "reads are no transactions");
        cluster.test.expect(!cluster.test.is_ordinary() || cluster.servers.log_size() == log, || {
            format!("the log has grown from {log} to {} bytes", cluster.servers.log_size())
        });
    });
}

/// A read may be old, and says so by its zxid. After a sync it is not.
#[test]
fn zk_stale_read_allowed() {
    play("zk_stale_read_allowed", 3, |t, cluster| {
        let (_, follower) = leader_and_follower(cluster);
        let reader = cluster.client_of(&[follower], Settings::default());
        reader.sync("").expect("a leader is there");
        let (_writer, behind) = one_behind(t, cluster);
        if behind != follower {
            return t.exercised(false, "the leader stayed");
        }
        let old = cluster.zxid(behind);
        let read = || reader.start(Operation::GetData { path: "x".into(), watch: false }).wait_with_zxid();
        let (zxid, answer) = read();
        assert!(
            matches!(answer, Ok(Outcome::Data(data, _)) if data == b"old"),
            "read at a server that is behind"
        );
        t.expect(Some(zxid) == old, || {
            format!("a read at a server in state {old:?} says that it shows state {zxid} (invariant 3)")
        });
        t.scene("The follower is back. The reader asks for a sync, then reads.");
        cluster.servers.connect(behind);
        reader.sync("x").expect("a leader is there");
        let (zxid, answer) = read();
        t.expect(matches!(&answer, Ok(Outcome::Data(data, _)) if data == b"new"), || {
            format!("\"new\" was written before the sync, and the read behind it gives {answer:?}")
        });
        t.expect(Some(zxid) > old, || format!("behind the sync the state is {zxid}, and before it {old:?}"));
    });
}

/// A client that has seen the new value never sees the old one again, wherever it goes.
#[test]
fn zk_no_backward_read() {
    play("zk_no_backward_read", 3, |t, cluster| {
        let (leader, follower) = leader_and_follower(cluster);
        let reader = cluster.client_of(&[leader, follower], Settings::default());
        reader.set_link(follower, false);
        reader.sync("").expect("a leader is there");
        let (_writer, behind) = one_behind(t, cluster);
        if behind != follower || cluster.leader() != leader {
            return t.exercised(false, "the leader stayed");
        }
        let read = reader.get_data("x").map(|(data, _)| data);
        t.expect(read.as_deref() == Ok(b"new"), || {
            format!("\"new\" was written, and the leader reads {read:?}")
        });
        t.scene("The reader loses its server, and knows no other than the one that is behind.");
        reader.set_link(leader, false);
        reader.set_link(follower, true);
        let pending = reader.start(Operation::GetData { path: "x".into(), watch: false });
        thread::sleep(ms(1000));
        t.expect(!pending.is_done(), || {
            "a server has answered whose state is older than what the client has seen (invariant 4)"
                .to_owned()
        });
        t.scene("That one catches up.");
        cluster.servers.connect(behind);
        let answer = answer(t, "a read at a server that has caught up", pending);
        t.expect(matches!(&answer, Ok(Outcome::Data(data, _)) if data == b"new"), || {
            format!("the client has read \"new\", and reads {answer:?} at the next server (invariant 4)")
        });
    });
}

/// A session sees its own writes, also at a server that is behind.
#[test]
fn zk_read_own_write_moves() {
    play("zk_read_own_write_moves", 3, |t, cluster| {
        let (leader, behind) = leader_and_follower(cluster);
        let zk = cluster.client_of(&[leader, behind], Settings::default());
        zk.create("x", b"0", Flags::REGULAR).expect("a new node");
        for round in 1..=3_u8 {
            cluster.settle();
            t.scene("A follower is cut off; the client writes, and must move there.");
            cluster.servers.disconnect(behind);
            zk.set_data("x", &[round], ANY_VERSION).expect("a majority is there");
            zk.set_link(leader, false);
            let pending = zk.start(Operation::GetData { path: "x".into(), watch: false });
            thread::sleep(ms(700));
            t.expect(!pending.is_done(), || {
                "a server has answered that does not have the client's last write (invariant 5)".to_owned()
            });
            cluster.servers.connect(behind);
            let answer = answer(t, "a read at a server that has caught up", pending);
            t.expect(matches!(&answer, Ok(Outcome::Data(data, _)) if data == &[round]), || {
                format!("the client has written {round}, and reads {answer:?} (invariant 5)")
            });
            t.scene("It returns to the first server.");
            zk.set_link(leader, true);
            zk.set_link(behind, false);
            let read = zk.get_data("x").map(|(data, _)| data);
            t.expect(read.as_deref() == Ok(&[round]), || {
                format!("the client has written {round}, and reads {read:?} (invariant 5)")
            });
            zk.set_link(behind, true);
        }
    });
}

/// Invariant 6 while the client changes servers: each watch fires once.
#[test]
fn zk_watch_once_and_reconnect() {
    play("zk_watch_once_and_reconnect", 3, |t, cluster| {
        let writer = cluster.client_at(cluster.leader());
        writer.create("d", b"", Flags::REGULAR).expect("a new node");
        let reader = cluster.client_at(0);
        reader.sync("").expect("a leader is there");
        for round in 0..6_usize {
            t.scene(format!("Round {}: four watches are left, and the reader loses its server.", round + 1));
            reader.sync("").expect("a leader is there");
            let (_, data) = reader.watch_data("d").expect("the node is there");
            let (_, children) = reader.watch_children("d").expect("the node is there");
            let (_, absent) = reader.watch_exists("d/new").expect("a read");
            let (_, quiet) = reader.watch_exists("never").expect("a read");
            let server = round % 3;
            // In every second round the changes come while the reader is cut off from all.
            let is_away = round % 2 == 1;
            if is_away {
                reader.set_links(false);
            } else {
                reader.set_link(server, false);
            }
            writer.set_data("d", b"1", ANY_VERSION).expect("the node is there");
            writer.create("d/new", b"", Flags::REGULAR).expect("a new node");
            if round >= 4 {
                writer.delete("d/new", 0).expect("the node is there");
            }
            thread::sleep(ms(300));
            reader.set_links(true);
            reader.set_link(server, false);
            expect_event(t, "the data of d", data, &[EventKind::Data]);
            expect_event(t, "the children of d", children, &[EventKind::Children]);
            expect_event(t, "d/new, which was absent", absent, &[EventKind::Created, EventKind::Deleted]);
            t.expect(!quiet.has_fired(), || {
                "the watch of never, which is absent, has fired, and it has not come (invariant 6)".to_owned()
            });
            reader.set_link(server, true);
            let _ = writer.delete("d/new", ANY_VERSION);
        }
        t.exercised(cluster.watch.events("d") >= 18, "three watches in each of six rounds");
    });
}

/// Two clients that talk besides: what A has written, B sees behind a sync.
#[test]
fn zk_sync_fresh() {
    play("zk_sync_fresh", 5, |t, cluster| {
        let (leader, follower) = leader_and_follower(cluster);
        let (a, b) = (cluster.client_at(leader), cluster.client_at(follower));
        a.create("x", b"0", Flags::REGULAR).expect("a new node");
        let mut stale = 0;
        for round in 1..=20_u8 {
            a.set_data("x", &[round], ANY_VERSION).expect("the node is there");
            let without = b.get_data("x").map(|(data, _)| data);
            stale += usize::from(without != Ok(vec![round]));
            b.sync("x").expect("a leader is there");
            let read = b.get_data("x").map(|(data, _)| data);
            t.expect(read.as_deref() == Ok(&[round]), || {
                format!("A has told B of {round}, and B reads {read:?} behind a sync")
            });
        }
        t.exercised(stale > 0, "a read without a sync was old");
    });
}

/// As in part ZA, but with watches: no answer overtakes the event of a change that it shows.
#[test]
fn zk_pipeline_watched() {
    play("zk_pipeline_watched", 3, |t, cluster| pipeline(t, cluster, true));
}
