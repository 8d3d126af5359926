//! Directed, continued: copies of a file, of a chunk and of the log, and what comes late to them.

use gfs::Settings;
use gfs::rpc::{ChunkPeer, CloneFrom, FindChunk, Purpose, Shipment};
use labrpc::{Direction, Name, TapAction};
use labrt::sync::{Arc, Mutex};
use labrt::thread;

use crate::cluster::{Cluster, Setup, machine, ms, play, same, text};
use crate::directed_news::shipments;
use crate::watch::Who;

/// A file is deleted, and so is another one that had the same name. Either can be restored.
#[test]
fn gfs_deleted_twice() {
    play("gfs_deleted_twice", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        let names = ["first", "second"];
        let hidden = names.map(|name| {
            client.create("/a").expect("a new file");
            client.write("/a", 0, &text(name, 64)).expect("a write");
            client.delete("/a").expect("the file is there")
        });
        t.expect(hidden[0] != hidden[1], || format!("two deleted files have one hidden name: {hidden:?}"));
        for (name, hidden) in names.iter().zip(&hidden) {
            client.rename(hidden, &format!("/{name}")).expect("it is not too late");
            same(client.read_all(&format!("/{name}")), text(name, 64), &format!("the {name} file"));
        }
    });
}

/// All servers of a chunk but one die, and a little later it is read.
fn read_alone(cluster: &Cluster, server: usize, expected: &[u8]) {
    cluster.test.scene(format!("Server {server} alone is left."));
    (0..cluster.setup.servers).filter(|other| *other != server).for_each(|other| cluster.crash_server(other));
    // Answers that are under way come now.
    thread::sleep(ms(500));
    same(cluster.client().read("/a", 0, expected.len()), expected, &format!("on server {server} alone"));
}

/// The order to clone a chunk comes twice, and the second fetch ends when the new replica has already taken
/// part in a lease. What it brings is old by then.
#[test]
fn gfs_clone_comes_late() {
    // A clone takes two seconds.
    let settings = Settings { clone_rate: 2 << 10, ..Settings::default() };
    play("gfs_clone_comes_late", Setup { settings, ..Setup::servers(4) }, |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        let mut body = text("old", 4000);
        client.write("/a", 0, &body).expect("a write");
        cluster.wait_for_replicas(20_000);
        let seen: Arc<Mutex<Option<(usize, CloneFrom)>>> = Arc::default();
        let orders = seen.clone();
        cluster.watch.before(move |who, method, bytes| {
            if let (Who::Server(server), "ChunkRpc.clone_replica") = (who, method) {
                *orders.lock() = Some((server, labgob::decode(bytes).expect("an order")));
            }
        });
        t.scene("A server dies. Its chunk is cloned, and the order comes once more, a second later.");
        cluster.crash_server(cluster.locate("/a", 0, Purpose::Read).replicas[0]);
        let order = || *seen.lock();
        let (target, order) = cluster.wait_for(20_000, "a clone is ordered", order);
        thread::sleep(ms(1000));
        let (peer, done): (ChunkPeer, Arc<Mutex<bool>>) = (cluster.server(target), Arc::default());
        let says = done.clone();
        let late = thread::spawn_named("late", move || {
            let _ = peer.clone_replica(&order);
            *says.lock() = true;
        });
        let has_it = || cluster.locate("/a", 0, Purpose::Read).replicas.contains(&target);
        cluster.wait(20_000, "the chunk is cloned", has_it);
        body[..500].copy_from_slice(&text("new", 500));
        client.write("/a", 0, &body[..500]).expect("a write");
        let takes_part = cluster.locate("/a", 0, Purpose::Read).replicas.contains(&target);
        let is_late = takes_part && !*done.lock();
        t.exercised(is_late, "the second fetch ends when the chunk was written");
        late.join().expect("it does not panic");
        thread::sleep(ms(300));
        if is_late {
            read_alone(cluster, target, &body);
        }
    });
}

/// A server that was down is told to delete its old replica, and the answer that says so is long on its way.
/// Meanwhile a new replica is cloned there.
#[test]
fn gfs_delete_comes_late() {
    play("gfs_delete_comes_late", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("old", 500)).expect("a write");
        cluster.wait_for_replicas(20_000);
        let down = 2;
        t.scene("Server 2 misses a write. When it is back, the answers to its heartbeats are late.");
        cluster.crash_server(down);
        client.write("/a", 0, &text("new", 500)).expect("a write on two servers");
        thread::sleep(ms(3000));
        cluster.restart_server(down);
        // A new life has links of its own.
        let ends = [(0, machine(down)), (machine(down), 0)];
        let ends = ends.map(|(from, to)| Name::from(cluster.group.link(from, to)));
        cluster.net.network().set_tap(move |event| match event.direction {
            Direction::Reply if ends.contains(event.end) && event.method == "MasterRpc.heartbeat" => {
                TapAction::Delay(ms(270))
            }
            _ => TapAction::Deliver,
        });
        let has_it = || cluster.locate("/a", 0, Purpose::Read).replicas.contains(&down);
        cluster.wait(20_000, "the chunk is cloned", has_it);
        if t.is_ordinary() {
            read_alone(cluster, down, &text("new", 500));
        }
        cluster.net.network().clear_tap();
    });
}

/// A shadow that has lost its disk gets a shipment that begins behind what it holds. It takes nothing of it,
/// and says so; then it gets everything.
#[test]
fn gfs_shipment_with_a_gap() {
    let settings = Settings { checkpoint: 1 << 20, remote_copies: 1, ..Settings::default() };
    play("gfs_shipment_with_a_gap", Setup { shadows: 1, settings, ..Setup::servers(3) }, |t, cluster| {
        let shipments = shipments(cluster);
        let mut client = cluster.client();
        let names = ["/a", "/b", "/c"];
        names.iter().for_each(|name| client.create(name).expect("a new file"));
        cluster.watch.unhook();
        t.scene("The shadow loses its disk. A shipment comes without the records before it.");
        let shadow = 4;
        cluster.group.crash(shadow);
        let disk = cluster.group.persister(shadow);
        disk.file_names().iter().for_each(|name| disk.delete_file(name));
        disk.save(&[], Some(&[]));
        cluster.group.restart(shadow);
        cluster.net.network().enable(cluster.group.link(0, shadow), false);
        let has_gap = |shipment: &Shipment| shipment.checkpoint.is_none() && shipment.position > 0;
        let mut late = shipments.lock().clone();
        late.retain(|shipment| has_gap(shipment) && !shipment.records.is_empty());
        t.exercised(!late.is_empty(), "a shipment begins behind the first record");
        for shipment in &late {
            let position = shipment.position;
            let held = cluster.wait_for(5000, "an answer", || cluster.shadow().ship_log(shipment).ok());
            t.expect(held == 0, || {
                format!("the shadow holds no record, gets some behind {position} others, and tells of {held}")
            });
        }
        t.scene("The master reaches it again.");
        cluster.group.connect(shadow);
        cluster.net.network().enable(cluster.group.link(0, shadow), true);
        let knows = || cluster.shadow().list(&"/".to_owned()).is_ok_and(|listed| listed == names);
        cluster.wait(20_000, "the shadow knows the same names as the master", knows);
    });
}

/// A number for a version is on the remote copy before any server gets it. If the master's disk is lost, the
/// copy is all that is known, and would give the number to other replicas once more.
#[test]
fn gfs_version_on_a_remote_copy() {
    let settings = Settings { remote_copies: 1, ..Settings::default() };
    play(
        "gfs_version_on_a_remote_copy",
        Setup { shadows: 1, settings, ..Setup::servers(3) },
        |t, cluster| {
            let mut client = cluster.client();
            client.create("/a").expect("a new file");
            client.write("/a", 0, &text("old", 500)).expect("a write");
            t.scene("The lease runs out, and the shadow is down. Somebody asks for another lease.");
            thread::sleep(ms(3000));
            let shadow = 4;
            cluster.group.crash(shadow);
            let before = cluster.watch.calls("ChunkRpc.raise");
            let question = FindChunk { path: "/a".to_owned(), index: Some(0), purpose: Purpose::Write };
            let answer = cluster.master().timeout(ms(3000)).find_chunk(&question);
            let raised = cluster.watch.calls("ChunkRpc.raise") - before;
            // On a bad network a copy of an earlier message may come.
            let is_held = raised == 0 || !t.is_ordinary();
            t.expect(is_held, || format!("{raised} raises to a number that no remote copy has: {answer:?}"));
            cluster.group.restart(shadow);
            cluster.group.connect(shadow);
            client.write("/a", 0, &text("new", 500)).expect("a write");
            same(cluster.client().read("/a", 0, 500), text("new", 500), "what was written");
        },
    );
}
