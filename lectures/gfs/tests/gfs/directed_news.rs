//! Directed, continued: news that come late, servers that are full, and chunks that a crash tears.

use gfs::Settings;
use gfs::disk::{ChunkDisk, Damaged};
use gfs::rpc::{Heartbeat, Purpose, Shipment};
use labapi::Persister;
use labrt::rand::random_range;
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use tester::run;

use crate::cluster::{Cluster, Setup, ms, play, text};
use crate::watch::Who;

/// The heartbeats in which each server has told that it has no chunk come once more, when it has one. Old
/// news must not undo newer ones: a server does not tell the same twice.
#[test]
fn gfs_heartbeat_comes_late() {
    play("gfs_heartbeat_comes_late", Setup::servers(3), |t, cluster| {
        let beats: Arc<Mutex<Vec<Heartbeat>>> = Arc::default();
        let seen = beats.clone();
        cluster.watch.before(move |who, method, bytes| {
            if let (Who::Master, "MasterRpc.heartbeat") = (who, method) {
                seen.lock().push(labgob::decode(bytes).expect("a heartbeat"));
            }
        });
        t.scene("The master restarts, and every server lists its chunks: it has none.");
        cluster.restart_master();
        let of =
            |server: usize| beats.lock().iter().find(|beat| beat.server == server && beat.is_full).cloned();
        let first = |server| cluster.wait_for(10_000, "a server lists all its chunks", || of(server));
        let late: Vec<Heartbeat> = (0..3).map(first).collect();
        cluster.watch.unhook();
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("a", 500)).expect("a write");
        cluster.wait_for_replicas(20_000);
        thread::sleep(ms(500));
        t.scene("The same lists come once more.");
        let master = cluster.master();
        for beat in &late {
            cluster.wait_for(5000, "an answer", || master.heartbeat(beat).ok());
        }
        let found = cluster.locate("/a", 0, Purpose::Read);
        t.expect(found.replicas.len() == 3 || !t.is_ordinary(), || {
            format!("all three servers have the chunk and have told so, and the master knows {found:?}")
        });
    });
}

/// The shipments that come to the shadow from now on, until the hook is taken away.
pub(crate) fn shipments(cluster: &Cluster) -> Arc<Mutex<Vec<Shipment>>> {
    let shipments: Arc<Mutex<Vec<Shipment>>> = Arc::default();
    let seen = shipments.clone();
    cluster.watch.before(move |who, method, bytes| {
        if let (Who::Shadow, "MasterRpc.ship_log") = (who, method) {
            seen.lock().push(labgob::decode(bytes).expect("a shipment"));
        }
    });
    shipments
}

/// Shipments of the log come once more, late. A shadow does not go back: the master may have answered for
/// what the shadow holds.
#[test]
fn gfs_shipment_comes_late() {
    let settings = Settings { checkpoint: 1, remote_copies: 1, ..Settings::default() };
    play("gfs_shipment_comes_late", Setup { shadows: 1, settings, ..Setup::servers(3) }, |t, cluster| {
        let shipments = shipments(cluster);
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.create("/b").expect("a new file");
        cluster.watch.unhook();
        t.scene("Both files are on the remote copy. All shipments come once more, the oldest one last.");
        let shadow = cluster.shadow();
        let late = shipments.lock().clone();
        let mut holds = 0;
        for shipment in late.iter().rev() {
            let answer = cluster.wait_for(5000, "an answer", || shadow.ship_log(shipment).ok());
            t.expect(answer >= holds, || {
                format!("the shadow held {holds} records, and {answer} behind a late copy of {shipment:?}")
            });
            holds = answer;
            let names = cluster.wait_for(5000, "an answer", || shadow.list(&"/".to_owned()).ok());
            assert_eq!(names, ["/a", "/b"], "what the shadow knows");
        }
        t.met("shipments that came late", late.len() as u64);
    });
}

/// Two chunks fit on each server, and two are on three of four servers. What comes then goes where room is.
#[test]
fn gfs_full_servers() {
    let capacity = Settings::default().chunk as u64 * 5 / 2;
    let settings = Settings { capacity, ..Settings::default() };
    play("gfs_full_servers", Setup { settings, ..Setup::servers(4) }, |t, cluster| {
        let chunk = cluster.setup.settings.chunk;
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("a", chunk * 2)).expect("a write");
        cluster.wait_for_replicas(20_000);
        thread::sleep(ms(500));
        t.scene("Two servers are full, or nearly all. A third chunk is made.");
        let impatient = Settings { patience: ms(3000), ..cluster.setup.settings.clone() };
        let mut client = cluster.client_with(None, impatient);
        client.create("/b").expect("a new file");
        let written = client.write("/b", 0, &text("b", chunk));
        t.met("a chunk has too few replicas for lack of room", u64::from(written.is_ok()));
        // Time for clones that there is no room for.
        thread::sleep(ms(2000));
        let mut held = [0; 4];
        let chunks = cluster.chunks();
        let replicas = chunks.values().flat_map(|located| &located.replicas);
        replicas.for_each(|&server| held[server] += 1);
        t.expect(held.iter().all(|held| *held <= 2) || !t.is_ordinary(), || {
            format!("two chunks fit on a server, and the servers hold {held:?}")
        });
        client.delete("/b").expect("the file is there");
        thread::sleep(cluster.setup.settings.trash + ms(1000));
    });
}

/// What a crash at any moment of `work` can leave of a disk, and what one afterwards leaves. Each moment has
/// so many of the first.
fn crashes(disk: &Persister, each: usize, work: impl Fn(&ChunkDisk)) -> (Vec<Persister>, Persister) {
    let chunks = ChunkDisk::new(disk.clone(), 64);
    disk.lose_unsynced();
    let left: Arc<Mutex<Vec<Persister>>> = Arc::default();
    let (seen, own) = (left.clone(), disk.clone());
    disk.on_write(move |_| {
        seen.lock().extend((0..each).map(|_| own.after_crash(|below| random_range(0..below)).0));
    });
    work(&chunks);
    disk.on_write(|_| ());
    let left = std::mem::take(&mut *left.lock());
    assert!(!left.is_empty(), "nothing was written to the disk");
    // All is lost that is not synced.
    (left, disk.after_crash(|_| 0).0)
}

/// A crash comes while a chunk is put in place of an older one, or gets another version, on a disk that tears
/// what is not synced. Nothing half is taken for whole.
#[test]
fn gfs_torn_chunk() {
    run("gfs_torn_chunk", |_| {
        let (old, new) = (text("old", 150), text("new", 200));
        let with_old = || {
            let disk = Persister::new();
            ChunkDisk::new(disk.clone(), 64).put(7, 1, &old);
            disk
        };
        let found = |disk: Persister| {
            let chunks = ChunkDisk::new(disk, 64);
            chunks.load().first().map(|&(handle, version)| (version, chunks.read(handle, 0, 1000)))
        };
        let (amid, behind) = crashes(&with_old(), 100, |chunks| chunks.put(7, 2, &new));
        assert_eq!(found(behind), Some((2, Ok(new.clone()))), "a crash behind a `put`");
        for left in amid.into_iter().filter_map(found) {
            let is_whole = left == (1, Ok(old.clone())) || left == (2, Ok(new.clone()));
            assert!(is_whole || left.1 == Err(Damaged), "a crash amid a `put`: {}", shown(&left));
        }
        let (amid, behind) = crashes(&with_old(), 100, |chunks| chunks.set_version(7, 2));
        assert_eq!(found(behind), Some((2, Ok(old.clone()))), "a crash behind a new version");
        for disk in amid {
            let left = found(disk.copy()).expect("a crash while the version changes takes no chunk away");
            assert!(matches!(left.0, 1 | 2) && left.1 == Ok(old.clone()), "{}", shown(&left));
            // The server starts with that, tells its version, and crashes at the next change.
            let next = left.0 + 1;
            ChunkDisk::new(disk.clone(), 64).load();
            for again in crashes(&disk, 5, |chunks| chunks.set_version(7, next)).0 {
                let after = found(again).expect("a second such crash takes no chunk away");
                let is_kept = (left.0..=next).contains(&after.0) && after.1 == Ok(old.clone());
                assert!(is_kept, "version {} was told, and {}", left.0, shown(&after));
            }
        }
    });
}

fn shown((version, read): &(u64, Result<Vec<u8>, Damaged>)) -> String {
    let length = read.as_ref().map(Vec::len);
    format!("the disk has version {version} afterwards, and a read gives {length:?} bytes")
}
