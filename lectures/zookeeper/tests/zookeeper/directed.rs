//! Directed: messages that a client of this crate would not send, and situations that chance rarely brings.

use labrt::thread;
use zookeeper::rpc::{Connect, Delivery, Exchange, Refused, Request, ZkPeer};
use zookeeper::{Flags, Operation, SessionId, Settings};

use crate::cluster::{Cluster, ms, play};

fn peer(cluster: &Cluster, server: usize) -> ZkPeer {
    let (number, end) = cluster.net.make_end(cluster.servers.name(server));
    cluster.net.network().enable(number, true);
    ZkPeer::new(end)
}

fn connect(session: SessionId, secret: u64, connection: u64) -> Connect {
    let (last_zxid, answered, watches) = (0, 0, Vec::new());
    Connect { session, secret, timeout: 2000, connection, last_zxid, answered, watches }
}

fn exchange(session: SessionId, connection: u64, received: u64, requests: Vec<Request>) -> Exchange {
    Exchange { session, connection, last_zxid: 0, answered: 0, received, requests }
}

/// Wrong passwords, sessions that never were, connections that are over, states that no server has.
#[test]
fn zk_refusals() {
    play("zk_refusals", 3, |_, cluster| {
        let peer = peer(cluster, cluster.leader());
        let made = peer.connect(&connect(0, 0, 1)).expect("a server").expect("a new session");
        let (session, secret) = (made.session, made.secret);
        assert_eq!(peer.connect(&connect(session, secret ^ 1, 2)), Ok(Err(Refused::Expired)));
        assert_eq!(peer.connect(&connect(session ^ 1, secret, 2)), Ok(Err(Refused::Expired)));
        let ahead = Connect { last_zxid: made.zxid + 100, ..connect(session, secret, 2) };
        assert_eq!(peer.connect(&ahead), Ok(Err(Refused::Behind)));
        let ahead = Exchange { last_zxid: made.zxid + 100, ..exchange(session, 1, 0, Vec::new()) };
        assert_eq!(peer.exchange(&ahead), Ok(Err(Refused::Behind)));
        assert!(peer.connect(&connect(session, secret, 3)).is_ok_and(|answer| answer.is_ok()));
        assert_eq!(peer.connect(&connect(session, secret, 2)), Ok(Err(Refused::NotConnected)));
        assert_eq!(peer.exchange(&exchange(session, 1, 0, Vec::new())), Ok(Err(Refused::NotConnected)));
        assert_eq!(peer.exchange(&exchange(7, 1, 0, Vec::new())), Ok(Err(Refused::NotConnected)));
    });
}

/// Requests come late, twice, and in the wrong order. They are handled once, in order.
#[test]
fn zk_requests_out_of_order() {
    play("zk_requests_out_of_order", 3, |_, cluster| {
        let peer = peer(cluster, cluster.leader());
        let made = peer.connect(&connect(0, 0, 1)).expect("a server").expect("a new session");
        let create = |xid: u64| {
            let path = format!("n{xid}");
            Request { xid, operation: Operation::Create { path, data: Vec::new(), flags: Flags::REGULAR } }
        };
        let list =
            Request { xid: 4, operation: Operation::GetChildren { path: String::new(), watch: false } };
        let bring = |requests| peer.timeout(ms(100)).exchange(&exchange(made.session, 1, 0, requests));
        // The third and fourth come first, then the second twice, then the first.
        let _ = bring(vec![create(3), list]);
        let _ = bring(vec![create(2), create(2)]);
        assert_eq!(cluster.watch.data("n2"), None, "a request has overtaken another one");
        let _ = bring(vec![create(1), create(2)]);
        let xids = || {
            let all = peer.exchange(&exchange(made.session, 1, 0, Vec::new())).expect("a server");
            let xid = |delivery| match delivery {
                Delivery::Reply { xid, .. } => xid,
                Delivery::Event(_) => 0,
            };
            all.expect("the connection is there").deliveries.into_iter().map(xid).collect::<Vec<_>>()
        };
        cluster.wait(5000, "four replies in order, kept until they are taken", || xids() == [1, 2, 3, 4]);
    });
}

/// A server that was away so long that it gets a snapshot: its client's watch and write are not forgotten.
#[test]
fn zk_snapshot_reaches_clients() {
    crate::cluster::play_with("zk_snapshot_reaches_clients", 3, Some(1500), |t, cluster| {
        let (leader, behind) = (cluster.leader(), cluster.followers()[0]);
        let writer = cluster.client_at(leader);
        writer.create("x", b"", Flags::REGULAR).expect("a new node");
        let settings = Settings { timeout: ms(20_000), patience: None };
        let reader = cluster.client_of(&[behind], settings);
        reader.sync("").expect("a leader is there");
        let (_, changes) = reader.watch_data("x").expect("the node is there");
        t.scene("A follower is cut off. The others write until snapshots replace the log.");
        cluster.servers.disconnect(behind);
        for round in 0..40_u8 {
            writer.set_data("x", &[round; 100], zookeeper::ANY_VERSION).expect("a majority is there");
        }
        let write =
            reader.start(Operation::Create { path: "y".into(), data: Vec::new(), flags: Flags::REGULAR });
        assert!(!changes.has_fired());
        thread::sleep(ms(200));
        t.scene("The follower is back.");
        cluster.servers.connect(behind);
        assert!(changes.wait_for(ms(10_000)).is_some(), "the watch fires");
        assert!(write.wait().is_ok());
        assert_eq!(reader.get_data("x").expect("the node is there").0, [39; 100]);
    });
}
