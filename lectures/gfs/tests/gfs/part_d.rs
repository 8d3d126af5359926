//! Part GD: damage, lost servers, snapshots.

use std::collections::BTreeSet;

use gfs::rpc::{ChunkError, CloneFrom, Handle, MasterError, Purpose, ReadArgs, ServerId};
use labrpc::{Direction, TapAction};
use labrt::rand::random_range;
use labrt::sync::{Arc, Mutex};

use crate::cluster::{Cluster, Setup, handles, machine, ms, play, refused, same, text};
use crate::part_c::restarts;

/// A bit flips on one disk. No client ever reads it, and the replica is replaced.
#[test]
fn gfs_checksum() {
    play("gfs_checksum", Setup::servers(5), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        let mut body = text("a", 10_000);
        client.write("/a", 0, &body).expect("a write");
        cluster.wait_for_replicas(20_000);
        let located = cluster.locate("/a", 0, Purpose::Read);
        let bad = located.replicas[random_range(0..3)];
        cluster.flip(bad, &body[4808..4816]);
        t.scene("A client reads, first of all from that server.");
        let mut reader = cluster.client_at(Some(bad));
        same(reader.read("/a", 0, 10_000), &body, "what was read");
        t.scene("The replica is replaced.");
        cluster.wait(20_000, "three good replicas, and no bad one", || {
            let now = cluster.locate("/a", 0, Purpose::Read);
            let args = ReadArgs { handle: now.handle, version: now.version, offset: 0, length: body.len() };
            let answer = cluster.server(bad).read(&args);
            let is_replaced = match answer {
                Ok(Ok(_)) => true,
                Ok(Err(ChunkError::Corrupt)) | Err(_) => false,
                // It has been deleted, perhaps since the master answered.
                Ok(Err(_)) => !now.replicas.contains(&bad),
            };
            now.replicas.len() >= 3 && is_replaced
        });
        assert!(cluster.watch.with(|facts| !facts.clones.is_empty()), "it is cloned from a good one");
        t.scene("Another bit flips. A write covers a part of its block.");
        let located = cluster.locate("/a", 0, Purpose::Read);
        let bad = located.replicas[random_range(0..located.replicas.len())];
        cluster.flip(bad, &body[6408..6416]);
        client.write("/a", 6416, b"sixteen new bytes").expect("a write, without that server if need be");
        body[6416..6433].copy_from_slice(b"sixteen new bytes");
        for place in 0..5 {
            same(cluster.client_at(Some(place)).read("/a", 0, 10_000), &body, &format!("near {place}"));
        }
        t.scene("A third one flips, where nobody reads.");
        cluster.wait_for_replicas(20_000);
        let located = cluster.locate("/a", 0, Purpose::Read);
        let bad = located.replicas[0];
        let clones = cluster.watch.with(|facts| facts.clones.len());
        cluster.flip(bad, &body[8008..8016]);
        cluster.wait(30_000, "the damage is found and repaired", || {
            cluster.watch.with(|facts| facts.clones.len()) > clones
        });
    });
}

/// The chunks whose clones are ordered from now on, in the order in which the orders leave the master.
fn clone_orders(cluster: &Cluster) -> Arc<Mutex<Vec<Handle>>> {
    let orders: Arc<Mutex<Vec<Handle>>> = Arc::default();
    let sent = orders.clone();
    cluster.net.network().set_tap(move |event| {
        if (event.direction, event.method) == (Direction::Request, "ChunkRpc.clone_replica") {
            let order: CloneFrom = labgob::decode(event.bytes).expect("an order");
            let mut sent = sent.lock();
            if !sent.contains(&order.handle) {
                sent.push(order.handle);
            }
        }
        TapAction::Deliver
    });
    orders
}

/// Two of eight servers die. Chunks that have one replica left are cloned first, and not too many at once.
#[test]
fn gfs_rereplication_priority() {
    let settings = gfs::Settings { clones: 2, clone_rate: 32 << 10, ..gfs::Settings::default() };
    let setup = Setup { settings, ..Setup::servers(8) };
    play("gfs_rereplication_priority", setup, |t, cluster| {
        let mut client = cluster.client();
        for file in 0..24 {
            let path = format!("/file-{file:02}");
            client.create(&path).expect("a new file");
            client.write(&path, 0, &text(&path, 8000)).expect("a write");
        }
        cluster.wait_for_replicas(60_000);
        let chunks: Vec<(Handle, Vec<ServerId>)> =
            cluster.chunks().into_values().map(|located| (located.handle, located.replicas)).collect();
        let shared = |one: ServerId, other: ServerId| {
            let both =
                chunks.iter().filter(|(_, on)| on.contains(&one) && on.contains(&other) && on.len() == 3);
            both.map(|(handle, _)| *handle).collect::<BTreeSet<Handle>>()
        };
        let pairs = (0..8).flat_map(|one| (0..one).map(move |other| (one, other)));
        let (one, other) = pairs.max_by_key(|&(one, other)| shared(one, other).len()).expect("28 pairs");
        let urgent = shared(one, other);
        t.exercised(urgent.len() > 1, "chunks have one replica left");
        t.scene(format!("Servers {one} and {other} die. {} chunks have one replica left.", urgent.len()));
        let orders = clone_orders(cluster);
        [one, other].into_iter().for_each(|server| cluster.crash_server(server));
        cluster.wait_for_replicas(120_000);
        cluster.net.network().clear_tap();
        let order = orders.lock().clone();
        let last = order.iter().rposition(|handle| urgent.contains(handle)).unwrap_or(0);
        let early = order[..last].iter().filter(|handle| !urgent.contains(handle)).count();
        // The master may notice one server's silence before the other's. Of those that it begins at once one
        // may overtake the others: they need not all have a lease that is to be taken back.
        let clones = cluster.setup.settings.clones;
        t.note(format!("{urgent:?} are urgent, and the order is {order:?}"));
        t.expect(early < 2 * clones || !t.is_ordinary(), || {
            format!("{early} chunks with two replicas are cloned before one of {urgent:?}: {order:?}")
        });
        let (most, fastest) = cluster.watch.clone_limits();
        t.expect(most <= clones || !t.is_ordinary(), || format!("{most} clones at once, at most {clones}"));
        let limit = cluster.setup.settings.clone_rate as f64;
        let rate = fastest.map_or(0.0, |clone| clone.rate());
        t.expect(rate <= limit * 1.1 || !t.is_ordinary(), || {
            let fastest = fastest.expect("there is a clone");
            let (handle, from, to, at) = (fastest.handle, fastest.source, fastest.target, fastest.at);
            format!("server {to} clones chunk {handle} from server {from} at {at:?} with {rate:.0} bytes a second, at most {limit}")
        });
    });
}

/// A snapshot shares all chunks, until one side writes. Then that chunk alone is copied.
#[test]
fn gfs_snapshot_cow() {
    play("gfs_snapshot_cow", Setup::servers(5), |t, cluster| {
        let chunk = cluster.setup.settings.chunk;
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        let old = text("old", 3 * chunk);
        client.write("/a", 0, &old).expect("a write");
        assert_eq!(client.snapshot("/x", "/y"), Err(refused(MasterError::NoFile)));
        assert_eq!(client.snapshot("/a", "/a"), Err(refused(MasterError::Exists)));
        let before = handles(cluster, "/a");
        t.scene("A snapshot, in the middle of another client's writes.");
        let busy = cluster.clone();
        let writer = labrt::thread::spawn_named("client", move || {
            let mut client = busy.client();
            for number in 0..20_usize {
                let line = text(&format!("busy{number}"), 16);
                client.write("/a", (2 * chunk + number * 16) as u64, &line).expect("a write");
            }
        });
        labrt::thread::sleep(ms(random_range(0..300)));
        client.snapshot("/a", "/b").expect("a snapshot");
        let kept = cluster.client().read_all("/b").expect("a read");
        same(Ok(kept[..2 * chunk].to_vec()), &old[..2 * chunk], "the snapshot");
        writer.join().expect("it does not panic");
        assert_eq!(handles(cluster, "/b"), before, "the snapshot shares all chunks");
        assert_eq!(handles(cluster, "/a")[..2], before[..2], "the file shares what was not written since");
        same(cluster.client().read_all("/b"), &kept, "later writes do not change it");
        t.scene("Both sides write.");
        client.write("/a", 10, b"new in a").expect("a write");
        client.write("/b", chunk as u64 + 10, b"new in b").expect("a write");
        let (a, b) = (handles(cluster, "/a"), handles(cluster, "/b"));
        assert_ne!(a[0], before[0], "the chunk that was written is a copy");
        assert_eq!(b[0], before[0]);
        assert_eq!(a[1], before[1], "of the other one the snapshot's side is the copy");
        assert_ne!(b[1], before[1]);
        let (mut in_a, mut in_b) = (old.clone(), kept);
        in_a[10..18].copy_from_slice(b"new in a");
        in_b[chunk + 10..chunk + 18].copy_from_slice(b"new in b");
        same(cluster.client().read("/a", 0, 2 * chunk), &in_a[..2 * chunk], "the file");
        same(cluster.client().read_all("/b"), &in_b, "what was read");
        let copied = cluster.watch.calls("ChunkRpc.copy");
        let at_most = if t.is_ordinary() { 3 * 3 } else { 100 };
        t.expect(copied <= at_most, || format!("servers copy {copied} chunks"));
        t.scene("The file is deleted and reclaimed. The snapshot stays.");
        client.delete("/a").expect("the file is there");
        labrt::thread::sleep(cluster.setup.settings.trash + ms(1000));
        same(cluster.client().read("/b", 0, 10), &old[..10], "what was read");
        assert!((0..5).all(|server| cluster.group.is_alive(machine(server))));
    });
}

/// As in part GC, with snapshots: the master may die in the middle of one.
#[test]
fn gfs_restarts_amid_snapshots() {
    play("gfs_restarts_amid_snapshots", Setup::servers(5), |_, cluster| restarts(cluster, 6, true));
}
