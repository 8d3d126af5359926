//! Directed, one for a rule each: space that is freed, replicas that are too many, leases that are not taken
//! back for long, and what clients remember.

use gfs::Settings;
use gfs::buffer::Buffer;
use gfs::namespace::Record;
use gfs::oplog::Oplog;
use gfs::rpc::{DataId, FileChange, MasterError, OpId, Purpose, PushData};
use labapi::Persister;
use labrpc::{Direction, Name, TapAction};
use labrt::rand::random_range;
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::Instant;
use tester::run;

use crate::cluster::{Cluster, Setup, machine, ms, play, refused, same, text};
use crate::watch::Who;

/// Bytes of each chunk of such a text that stand side by side on a disk.
fn marks(cluster: &Cluster, text: &[u8]) -> Vec<Vec<u8>> {
    text.chunks(cluster.setup.settings.chunk).map(|chunk| chunk[136..184].to_vec()).collect()
}

/// Looks now and then whether something is so on the disks: to look through all of them takes long.
fn wait_for_disks(cluster: &Cluster, what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + ms(30_000);
    while !is_so() {
        cluster.test.expect(Instant::now() < until, || format!("after 30 s still not: {what}"));
        thread::sleep(ms(250));
    }
}

/// Waits until nothing of a text is on any disk.
fn is_freed(cluster: &Cluster, whole: &[u8], what: &str) {
    let marks = marks(cluster, whole);
    wait_for_disks(cluster, &format!("the space of {what} is free"), || {
        marks.iter().all(|mark| cluster.disks_with(mark).is_empty())
    });
}

/// A file of three chunks is replaced, another one is shared with a snapshot and written. In the end all are
/// deleted. Each chunk's space is free when no file has it any more, and not earlier.
#[test]
fn gfs_space_is_freed() {
    play("gfs_space_is_freed", Setup::servers(4), |t, cluster| {
        let mut client = cluster.client();
        let length = cluster.setup.settings.chunk * 2 + 5000;
        let (first, second) = (text("first", length), text("second", length));
        for (path, bytes) in [("/a", &first), ("/new", &second)] {
            client.create(path).expect("a new file");
            client.write(path, 0, bytes).expect("a write");
        }
        cluster.wait_for_replicas(20_000);
        t.scene("One file takes the place of the other.");
        client.publish("/new", "/a").expect("both are there");
        is_freed(cluster, &first, "a file that was replaced");
        same(client.read_all("/a"), &second, "the file that took its place");
        t.scene("A snapshot is made, and the file is written. Then the file is deleted.");
        client.snapshot("/a", "/kept").expect("a snapshot");
        client.write("/a", 1000, b"new").expect("a write");
        let hidden = client.delete("/a").expect("the file is there");
        let shared = client.snapshot(&hidden, "/b");
        t.expect(shared == Err(refused(MasterError::BadPath)), || {
            format!("a deleted file is read and renamed, and nothing else; a snapshot of it gives {shared:?}")
        });
        // It is gone for good, and so would be what it shared.
        thread::sleep(cluster.setup.settings.trash * 2);
        same(cluster.client().read_all("/kept"), &second, "the snapshot, when the file is gone");
        t.scene("The snapshot is deleted, too.");
        client.delete("/kept").expect("the file is there");
        is_freed(cluster, &second, "a file and its snapshot");
    });
}

/// A server that was taken for dead comes back with its replicas. There are too many then, and one goes.
#[test]
fn gfs_too_many_replicas() {
    play("gfs_too_many_replicas", Setup::servers(4), |t, cluster| {
        let mut client = cluster.client();
        let whole = text("a", 1000);
        client.create("/a").expect("a new file");
        client.write("/a", 0, &whole).expect("a write");
        cluster.wait_for_replicas(20_000);
        let mark = &whole[136..184];
        let down = cluster.locate("/a", 0, Purpose::Read).replicas[0];
        t.scene("A server dies, and its chunk is cloned. Then it is back.");
        cluster.crash_server(down);
        wait_for_disks(cluster, "all four disks have the chunk", || cluster.disks_with(mark).len() == 4);
        cluster.wait_for_replicas(20_000);
        cluster.restart_server(down);
        wait_for_disks(cluster, "three disks have the chunk (invariant 8)", || {
            cluster.disks_with(mark).len() == 3
        });
        same(cluster.client().read_all("/a"), &whole, "the file");
    });
}

/// The master does not reach a primary, which reaches the master and asks for more time again and again: its
/// file is busy. A snapshot has to wait for the lease's end, and that must come.
#[test]
fn gfs_snapshot_of_a_busy_file() {
    play("gfs_snapshot_of_a_busy_file", Setup::servers(4), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("a", 1000)).expect("a write");
        cluster.wait_for_replicas(20_000);
        let primary = cluster.lease("/a", 0).primary.expect("a lease");
        let (mut writer, is_over) = (cluster.client().into_client(), Arc::new(Mutex::new(false)));
        let over = is_over.clone();
        let writing = thread::spawn_named("client", move || {
            while !*over.lock() {
                let _ = writer.write("/a", 2000, b"busy");
            }
        });
        thread::sleep(ms(300));
        t.scene(format!("The master does not reach server {primary} any more, which is the primary."));
        cluster.net.network().enable(cluster.group.link(0, machine(primary)), false);
        let asked = Instant::now();
        let snapshot = client.snapshot("/a", "/b");
        t.note(format!("the snapshot takes {:?}", asked.elapsed()));
        *is_over.lock() = true;
        t.expect(snapshot.is_ok(), || {
            format!(
                "a lease lasts {:?}, and a snapshot that waits for its end gives {snapshot:?}",
                cluster.setup.settings.lease
            )
        });
        cluster.net.network().enable(cluster.group.link(0, machine(primary)), true);
        writing.join().expect("it does not panic");
    });
}

/// Every replica of a chunk that a snapshot shares copies it for the file that is written: the copy is no
/// less safe than the original.
#[test]
fn gfs_copied_by_all() {
    play("gfs_copied_by_all", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("a", 1000)).expect("a write");
        cluster.wait_for_replicas(20_000);
        client.snapshot("/a", "/b").expect("a snapshot");
        t.scene("The file is written, and its chunk is copied. Clones are not what makes it safe.");
        let clones = cluster.watch.calls("ChunkRpc.clone_replica");
        client.write("/a", 0, b"new").expect("a write");
        let located = cluster.lease("/a", 0);
        let cloned = cluster.watch.calls("ChunkRpc.clone_replica") - clones;
        t.expect((located.replicas.len(), cloned) == (3, 0) || !t.is_ordinary(), || {
            format!(
                "three servers have the shared chunk; its copy is on {:?}, after {cloned} clones",
                located.replicas
            )
        });
    });
}

/// The answers to a grant are lost. The server may have the lease, so no other one gets it before its end.
#[test]
fn gfs_unanswered_grant() {
    let settings = Settings { lease: ms(4000), silence: ms(400), ..Settings::default() };
    play("gfs_unanswered_grant", Setup { settings, ..Setup::servers(4) }, |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        let grants: Arc<Mutex<Vec<(usize, Instant)>>> = Arc::default();
        let seen = grants.clone();
        cluster.watch.before(move |who, method, _| {
            if let (Who::Server(server), "ChunkRpc.grant") = (who, method) {
                seen.lock().push((server, Instant::now()));
            }
        });
        t.scene("What the first primary answers to its grant is lost. Then the master does not reach it.");
        cluster.net.network().set_tap(|event| {
            let is_lost = event.method == "ChunkRpc.grant" && event.direction == Direction::Reply;
            if is_lost { TapAction::Drop } else { TapAction::Deliver }
        });
        let mut writer = cluster.client().into_client();
        let writing = thread::spawn_named("client", move || writer.write("/a", 0, &text("a", 500)));
        let (primary, at) = cluster.wait_for(20_000, "a lease is granted", || grants.lock().first().copied());
        cluster.set_link(primary, false);
        let end: Name = cluster.group.link(0, machine(primary)).into();
        cluster.net.network().set_tap(move |event| {
            let is_lost = *event.end == end && event.direction == Direction::Reply;
            if is_lost { TapAction::Drop } else { TapAction::Deliver }
        });
        let (next, then) = cluster.wait_for(30_000, "another server gets the lease", || {
            grants.lock().iter().find(|(server, _)| *server != primary).copied()
        });
        let lease = cluster.setup.settings.lease;
        t.expect(then >= at + lease || !t.is_ordinary(), || {
            format!(
                "server {primary} got a lease of {lease:?} at {at:?}, its answer was lost, and server {next} \
                 got one at {then:?} (invariant 1)"
            )
        });
        cluster.net.network().clear_tap();
        cluster.set_link(primary, true);
        let written = writing.join().expect("it does not panic");
        t.expect(written.is_ok(), || format!("a write waits for the lease's end, and gives {written:?}"));
    });
}

/// Four records of a quarter of a chunk fill a chunk to the last byte. The fifth goes to the next one.
#[test]
fn gfs_records_fill_a_chunk() {
    play("gfs_records_fill_a_chunk", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        let quarter = cluster.setup.settings.chunk / 4;
        for number in 0..5 {
            let at = client.append("/a", &text("record", quarter)).expect("an append");
            // A try that fails somewhere leaves a record, and is made again.
            t.expect(at == number * quarter as u64 || !t.is_ordinary(), || {
                format!("record {number} of five, of {quarter} bytes each, is at {at}")
            });
        }
    });
}

/// Data that are pushed again take the place of those before them, and push nothing else out.
#[test]
fn gfs_pushed_again() {
    run("gfs_pushed_again", |t| {
        let id = |number| DataId { client: 1, number };
        let mut buffer = Buffer::new(100);
        buffer.put(id(1), vec![1; 40]);
        (0..10).for_each(|_| buffer.put(id(2), vec![2; 40]));
        let both = buffer.get(&[id(1), id(2)]);
        t.expect(both.is_some_and(|both| both.len() == 80), || {
            "40 bytes are pushed, and then 40 others ten times under one number: 80 of 100 bytes are used, and \
             some are gone"
                .to_owned()
        });
    });
}

/// A client remembers for a limited time where a file's chunks are. Then it sees that another file has the
/// name.
#[test]
fn gfs_places_are_forgotten() {
    let settings = Settings { cache: ms(500), trash: ms(60_000), ..Settings::default() };
    play("gfs_places_are_forgotten", Setup { settings, ..Setup::servers(3) }, |t, cluster| {
        let (mut writer, mut reader) = (cluster.client(), cluster.client());
        for (path, name) in [("/a", "old"), ("/b", "new")] {
            writer.create(path).expect("a new file");
            writer.write(path, 0, &text(name, 1000)).expect("a write");
        }
        same(reader.read("/a", 0, 1000), text("old", 1000), "the file before it is replaced");
        t.scene("Another file takes its place. The reader knows where the old one is, for half a second.");
        writer.publish("/b", "/a").expect("both are there");
        thread::sleep(ms(1000));
        same(reader.read("/a", 0, 1000), text("new", 1000), "the file, a second after it was replaced");
    });
}

/// Data go along a chain of servers, each the nearest to the one before (§3.2).
#[test]
fn gfs_pushed_along_the_nearest() {
    play("gfs_pushed_along_the_nearest", Setup::servers(6), |t, cluster| {
        const PLACE: usize = 2;
        let mut client = cluster.client_at(Some(PLACE));
        for file in 0..8 {
            let path = format!("/{file}");
            client.create(&path).expect("a new file");
            client.write(&path, 0, b"first").expect("a write");
            let replicas = cluster.lease(&path, 0).replicas;
            let chain: Arc<Mutex<Option<Vec<usize>>>> = Arc::default();
            let seen = chain.clone();
            cluster.watch.before(move |who, method, bytes| {
                if let (Who::Server(server), "ChunkRpc.push_data") = (who, method) {
                    let push: PushData = labgob::decode(bytes).expect("pushed data");
                    seen.lock().get_or_insert([&[server][..], &push.chain].concat());
                }
            });
            client.write(&path, 0, b"second").expect("a write");
            cluster.watch.unhook();
            let chain = chain.lock().clone().unwrap_or_default();
            // At each place of the chain no server that comes later is nearer.
            let is_nearest = (0..chain.len()).all(|at| {
                let from = if at == 0 { PLACE } else { chain[at - 1] };
                chain[at..].iter().all(|other| from.abs_diff(*other) >= from.abs_diff(chain[at]))
            });
            let is_whole = chain.len() == replicas.len() && chain.iter().all(|one| replicas.contains(one));
            t.expect(is_whole && is_nearest || !t.is_ordinary(), || {
                format!("a client near server {PLACE} pushes to {replicas:?} along {chain:?}, not along the nearest")
            });
        }
    });
}

/// The master crashes at any of its writes, with a log that is replaced by a checkpoint again and again, on a
/// disk that loses what is not synced. No record is lost, and none counts twice.
#[test]
fn gfs_crash_amid_a_checkpoint() {
    run("gfs_crash_amid_a_checkpoint", |t| {
        const LIMIT: usize = 200;
        let disk = Persister::new();
        disk.lose_unsynced();
        let records: Arc<Mutex<u64>> = Arc::default();
        let left: Arc<Mutex<Vec<(u64, Persister)>>> = Arc::default();
        let mut log = Oplog::open(disk.clone(), LIMIT);
        let (own, seen, made) = (disk.clone(), left.clone(), records.clone());
        disk.on_write(move |_| {
            let crashed = (0..3).map(|_| (*made.lock(), own.after_crash(|below| random_range(0..below)).0));
            seen.lock().extend(crashed);
        });
        for number in 1..=40 {
            *records.lock() = number;
            let change = FileChange::Create { path: format!("/{number}") };
            log.append(&Record::Change { op: OpId { client: 1, number }, change, at: 0 });
        }
        disk.on_write(|_| ());
        let left = std::mem::take(&mut *left.lock());
        t.met("disks that a crash has left", left.len() as u64);
        for (number, disk) in left {
            let log = Oplog::open(disk, LIMIT);
            let (position, files) = (log.namespace().position(), log.namespace().list("/").len() as u64);
            t.expect([number - 1, number].contains(&position) && files == position, || {
                format!(
                    "the master crashes while it writes record {number}, which creates a file, and starts with \
                     {position} records and {files} files"
                )
            });
        }
    });
}
