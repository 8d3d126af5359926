//! Directed: situations that chance rarely brings about.

use gfs::buffer::Buffer;
use gfs::disk::{ChunkDisk, Damaged};
use gfs::namespace::Record;
use gfs::oplog::Oplog;
use gfs::rpc::{ChunkError, DataId, FileChange, FindChunk, Grant, OpId, Purpose, PushData, WriteArgs};
use gfs_client::records::{RecordWriter, read_records};
use labapi::Persister;
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::{Duration, Instant};
use tester::{Test, run};

use crate::cluster::{Cluster, Setup, all_at_once, machine, ms, play, same, text};
use crate::watch::Who;

/// A client near each server reads what was written last.
#[track_caller]
fn new_everywhere(cluster: &Cluster) {
    for place in 0..3 {
        let read = cluster.client_at(Some(place)).read("/a", 0, 500);
        same(read, text("new", 500), &format!("near {place}"));
    }
}

/// A copy of a grant comes when the lease was taken back, or is over. It brings nothing back.
#[test]
fn gfs_late_grant() {
    play("gfs_late_grant", Setup::servers(3), |t, cluster| {
        let grants: Arc<Mutex<Vec<(usize, Grant)>>> = Arc::default();
        let seen = grants.clone();
        cluster.watch.before(move |who, method, bytes| {
            if let (Who::Server(server), "ChunkRpc.grant") = (who, method) {
                seen.lock().push((server, labgob::decode(bytes).expect("a grant")));
            }
        });
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("a", 64)).expect("a write");
        t.scene("A snapshot takes the lease back. Then the grant comes once more.");
        client.snapshot("/a", "/b").expect("a snapshot");
        let try_again = |number: u64| {
            let (primary, grant) = grants.lock().last().cloned().expect("a grant");
            let peer = cluster.server(primary);
            let _ = cluster.wait_for(5000, "an answer", || peer.grant(&grant).ok());
            let id = DataId { client: 8, number };
            let push = PushData { id, bytes: text("late", 64), chain: Vec::new() };
            cluster.wait_for(5000, "an answer", || peer.push_data(&push).ok()?.ok());
            let write = WriteArgs { handle: grant.handle, version: grant.version, offset: 0, data: vec![id] };
            let answer = cluster.wait_for(5000, "an answer", || peer.write(&write).ok());
            t.expect(matches!(answer, Err(ChunkError::NotPrimary | ChunkError::Stale)), || {
                format!("a write under a lease that is over, whose grant came again: {answer:?}")
            });
        };
        try_again(1);
        t.scene("A lease runs out. Then its grant comes once more.");
        client.write("/b", 0, &text("b", 64)).expect("a write");
        thread::sleep(ms(3000));
        try_again(2);
        same(cluster.client().read("/b", 0, 64), text("b", 64), "what was read");
        t.scene(
            "A primary gives its lease up, since the others lack the data. Then the grant comes once more.",
        );
        client.create("/c").expect("a new file");
        client.write("/c", 0, &text("c", 64)).expect("a write");
        let (primary, grant) = grants.lock().last().cloned().expect("a grant");
        let push = PushData { id: DataId { client: 8, number: 3 }, bytes: text("c", 64), chain: Vec::new() };
        cluster.wait_for(5000, "an answer", || cluster.server(primary).push_data(&push).ok()?.ok());
        let (handle, version) = (grant.handle, grant.version);
        let write = WriteArgs { handle, version, offset: 0, data: vec![push.id] };
        let answer = cluster.server(primary).write(&write);
        t.exercised(matches!(answer, Ok(Err(ChunkError::Failed(_)))), "a mutation fails at the secondaries");
        try_again(4);
    });
}

/// The master dies when two of three servers have a new version that its log does not hold. The third one
/// gets the next lease, while the two are cut off. They must not be taken for current later.
#[test]
fn gfs_version_used_once() {
    play("gfs_version_used_once", Setup::servers(3), use_up_a_version);
}

/// The same with a master that reads no log, but a checkpoint.
#[test]
fn gfs_version_used_once_behind_a_checkpoint() {
    let settings = gfs::Settings { checkpoint: 1, ..gfs::Settings::default() };
    let setup = Setup { settings, ..Setup::servers(3) };
    play("gfs_version_used_once_behind_a_checkpoint", setup, use_up_a_version);
}

fn use_up_a_version(t: &Test, cluster: &Cluster) {
    let mut client = cluster.client();
    client.create("/a").expect("a new file");
    client.write("/a", 0, &text("old", 500)).expect("a write");
    cluster.wait_for_replicas(20_000);
    t.scene("The lease runs out. The next raise reaches two servers, and the master dies.");
    thread::sleep(ms(3000));
    let (dying, raised) = (cluster.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = raised.clone();
    cluster.watch.before(move |who, method, _| {
        let (Who::Server(server), "ChunkRpc.raise") = (who, method) else { return };
        let mut raised = seen.lock();
        // A message may come twice.
        if raised.contains(&server) {
            return;
        }
        if raised.len() == 2 {
            drop(raised);
            dying.watch.unhook();
            dying.group.crash(0);
            // The third one never hears of it.
            loop {
                thread::sleep(ms(60_000));
            }
        }
        raised.push(server);
    });
    let writer = cluster.client().into_client();
    let writing = thread::spawn_named("client", move || {
        let mut client = writer;
        client.write("/a", 0, &text("new", 500)).expect("a write");
    });
    cluster.wait(10_000, "the master has died", || !cluster.group.is_alive(0));
    thread::sleep(ms(100));
    let mut ahead = raised.lock().clone();
    ahead.sort_unstable();
    assert_eq!(ahead.len(), 2, "{ahead:?}");
    let third = 3 - ahead[0] - ahead[1];
    // Its thread still waits; a new life ends that.
    cluster.restart_server(third);
    cluster.restart_master();
    ahead.iter().for_each(|&server| cluster.set_link(server, false));
    t.scene(format!("Server {third} alone is reached by the new master, and takes the write."));
    writing.join().expect("it does not panic");
    let alone = cluster.locate("/a", 0, Purpose::Read);
    t.exercised(alone.replicas == [third], "the third server has the lease alone");
    t.scene("The two others are back.");
    ahead.iter().for_each(|&server| cluster.set_link(server, true));
    thread::sleep(ms(2000));
    cluster.wait_for_replicas(20_000);
    new_everywhere(cluster);
}

/// A server has raised its version, and its answer was lost. It takes part in no lease, and is stale.
#[test]
fn gfs_lost_raise_answer() {
    play("gfs_lost_raise_answer", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("old", 500)).expect("a write");
        cluster.wait_for_replicas(20_000);
        thread::sleep(ms(3000));
        t.scene("The answers of server 1 to the master are lost.");
        let link = cluster.group.link(0, machine(1));
        cluster.net.network().cut_replies(link, true);
        client.write("/a", 0, &text("new", 500)).expect("a write without server 1");
        cluster.net.network().cut_replies(link, false);
        thread::sleep(ms(300));
        new_everywhere(cluster);
    });
}

/// A client's append waits behind those of others for longer than one append may take. It waits, and does
/// not append its record once more.
#[test]
fn gfs_append_behind_others() {
    play("gfs_append_behind_others", Setup::servers(3), |t, cluster| {
        cluster.client().create("/log").expect("a new file");
        cluster.client().append("/log", b"first").expect("an append");
        t.scene("Each mutation takes 200 ms at the secondaries, and eight come at once.");
        cluster.watch.before(|who, method, _| {
            if let (Who::Server(_), "ChunkRpc.apply") = (who, method) {
                thread::sleep(ms(200));
            }
        });
        let begun = Instant::now();
        let clients: Vec<_> = (0..8).map(|_| cluster.client().into_client()).collect();
        let places = all_at_once(clients, |number, mut client| {
            client.append("/log", &text(&number.to_string(), 100)).expect("an append")
        });
        t.exercised(begun.elapsed() > ms(1500), "the last append waits behind seven");
        cluster.watch.unhook();
        let bytes = cluster.client().read_all("/log").expect("a read");
        for (number, at) in places.iter().enumerate() {
            let record = text(&number.to_string(), 100);
            let copies = bytes.windows(record.len()).filter(|window| *window == record).count();
            t.expect(bytes[*at as usize..].starts_with(&record), || {
                format!("record {number} is not at {at}")
            });
            t.expect(copies == 1 || !t.is_ordinary(), || format!("record {number} is there {copies} times"));
        }
    });
}

// handout: drop
/// Mutations that wait for the primary are carried out in the order in which they came. The paper does not
/// ask for that, so it is this solution's own.
#[test]
fn gfs_first_come_first_served() {
    play("gfs_first_come_first_served", Setup::servers(3), |t, cluster| {
        cluster.client().create("/log").expect("a new file");
        cluster.client().append("/log", b"first").expect("an append");
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let seen = arrived.clone();
        t.scene("Appends come one after the other while the first of them takes a second.");
        let is_slow = Arc::new(Mutex::new(true));
        cluster.watch.before(move |who, method, bytes| match (who, method) {
            (Who::Server(_), "ChunkRpc.append") => {
                let append: gfs::rpc::AppendArgs = labgob::decode(bytes).expect("an append");
                seen.lock().extend(append.data);
            }
            (Who::Server(_), "ChunkRpc.apply") if std::mem::take(&mut *is_slow.lock()) => {
                thread::sleep(ms(1000));
            }
            _ => {}
        });
        let clients: Vec<_> = (0..8).map(|_| cluster.client().into_client()).collect();
        let places = all_at_once(clients, |number, mut client| {
            thread::sleep(ms(40 * number as u64));
            client.append("/log", &text(&number.to_string(), 100)).expect("an append")
        });
        cluster.watch.unhook();
        // A swarm's seed may bring messages twice, and in another order.
        if t.is_ordinary() {
            assert!(places.is_sorted(), "clients that came in their order are at {places:?}");
            assert_eq!(arrived.lock().len(), 8);
        }
    });
}
// handout: end

/// A chunk is cloned while clients append to it. The new replica misses nothing.
#[test]
fn gfs_clone_while_appending() {
    let settings = gfs::Settings { clone_rate: 64 << 10, ..gfs::Settings::default() };
    let setup = Setup { settings, ..Setup::servers(4) };
    play("gfs_clone_while_appending", setup, |t, cluster| {
        let mut client = cluster.client();
        client.create("/log").expect("a new file");
        let mut writer = RecordWriter::default();
        for _ in 0..20 {
            writer.append(&mut client, "/log", &text("before", 1000)).expect("an append");
        }
        let located = cluster.locate("/log", 0, Purpose::Read);
        let clients: Vec<_> = (0..2).map(|_| cluster.client().into_client()).collect();
        let appending: Vec<_> = clients
            .into_iter()
            .map(|client| {
                thread::spawn_named("client", move || {
                    let (mut client, mut writer) = (client, RecordWriter::default());
                    for number in 0..60 {
                        writer
                            .append(&mut client, "/log", &text(&format!("r{number}"), 150))
                            .expect("an append");
                    }
                })
            })
            .collect();
        thread::sleep(ms(100));
        t.scene("A server dies. Its chunk is cloned, and appends go on.");
        cluster.crash_server(located.replicas[0]);
        appending.into_iter().for_each(|client| client.join().expect("it does not panic"));
        cluster.wait_for_replicas(30_000);
        cluster.check_contents();
        assert_eq!(read_records(&mut cluster.client(), "/log").expect("a read").len(), 140);
        t.exercised(cluster.watch.with(|facts| !facts.clones.is_empty()), "a chunk is cloned");
    });
}

/// A client asks for a lease while another one makes a snapshot. Whichever comes first, what is written from
/// then on is not in the snapshot.
#[test]
fn gfs_snapshot_beside_a_lease() {
    play("gfs_snapshot_beside_a_lease", Setup::servers(3), |t, cluster| {
        const FILES: usize = 24;
        let mut client = cluster.client();
        let (name, copy) = (|file: usize| format!("/file-{file}"), |file: usize| format!("/copy-{file}"));
        for file in 0..FILES {
            client.create(&name(file)).expect("a new file");
            client.write(&name(file), 0, &text("old", 50)).expect("a write");
        }
        thread::sleep(ms(3000));
        t.scene("No lease is in force. For each file both questions are looked at in the same moment.");
        cluster.watch.before(|who, method, _| {
            if let (Who::Master, "MasterRpc.change" | "MasterRpc.find_chunk") = (who, method) {
                let round = ms(10).as_nanos() as u64;
                let late = Instant::now().as_nanos() % round;
                thread::sleep(Duration::from_nanos(round - late));
            }
        });
        for file in 0..FILES {
            let (master, mut other) = (cluster.master(), cluster.client().into_client());
            let question = FindChunk { path: name(file), index: Some(0), purpose: Purpose::Write };
            // Whether it gets one, or shall ask again, is the same here.
            let asking = thread::spawn_named("client", move || drop(master.find_chunk(&question)));
            other.snapshot(&name(file), &copy(file)).expect("a snapshot");
            asking.join().expect("it does not panic");
            client.write(&name(file), 0, &text("new", 50)).expect("a write");
            same(client.read(&copy(file), 0, 50), text("old", 50), "the snapshot");
            same(client.read(&name(file), 0, 50), text("new", 50), "the file");
        }
    });
}

/// A master that restarts does not know the leases of its earlier life, and waits as long as they may last.
#[test]
fn gfs_restart_waits_for_leases() {
    play("gfs_restart_waits_for_leases", Setup::servers(4), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("old", 500)).expect("a write");
        let lease = cluster.lease("/a", 0);
        let primary = lease.primary.expect("a lease");
        t.scene("The master restarts. The primary is cut off from it, and clients are not.");
        cluster.set_link(primary, false);
        cluster.restart_master();
        cluster.set_link(primary, false);
        let restarted = Instant::now();
        let mut other = cluster.client();
        other.write("/a", 0, &text("new", 500)).expect("a write under another lease");
        let next = cluster.watch.with(|facts| facts.leases.get(&lease.handle).cloned()).expect("a lease");
        assert!(next.version > lease.version && next.primary != primary, "{next:?}");
        let waited = next.at.duration_since(restarted);
        let least = cluster.setup.settings.lease + cluster.setup.settings.clock_error;
        t.expect(waited + ms(10) >= least || !t.is_ordinary(), || {
            format!("a lease is granted {waited:?} after the restart, and an old one may last {least:?}")
        });
        cluster.set_link(primary, true);
    });
}

/// Whichever byte of a chunk's file changes, nobody reads it.
#[test]
fn gfs_every_byte_is_covered() {
    run("gfs_every_byte_is_covered", |_| {
        let body = text("a", 150);
        let length = {
            let disk = Persister::new();
            ChunkDisk::new(disk.clone(), 64).put(7, 3, &body);
            disk.file_size(&disk.file_names()[0]).expect("a file")
        };
        for at in 0..length {
            let disk = Persister::new();
            let chunks = ChunkDisk::new(disk.clone(), 64);
            chunks.put(7, 3, &body);
            assert_eq!((chunks.length(7), chunks.read(7, 10, 100)), (150, Ok(body[10..110].to_vec())));
            let name = disk.file_names().remove(0);
            assert!(disk.flip(&name, at, 1 << (at % 8)));
            assert_eq!(chunks.verify(7, 3), Err(Damaged), "byte {at}");
            // It is gone, or it was mended, or a read says that it is damaged.
            let loaded = chunks.load();
            let read = chunks.read(7, 0, 150);
            let is_mended = loaded == [(7, 3)] && read == Ok(body.clone());
            assert!(loaded.is_empty() || is_mended || read == Err(Damaged), "byte {at}: {loaded:?}");
        }
    });
}

/// Writes at all offsets, and what they do to lengths, gaps and the blocks beside them.
#[test]
fn gfs_writes_of_all_places() {
    run("gfs_writes_of_all_places", |_| {
        for (offset, length) in (0..80).flat_map(|offset| [1, 15, 16, 17, 40].map(|length| (offset, length)))
        {
            let chunks = ChunkDisk::new(Persister::new(), 16);
            let mut expected = text("old", 50);
            chunks.put(1, 1, &expected);
            let new = text("NEW", length);
            assert_eq!(chunks.write(1, offset, &new), Ok(()));
            expected.resize(expected.len().max(offset + length), 0);
            expected[offset..offset + length].copy_from_slice(&new);
            assert_eq!(
                (chunks.length(1), chunks.read(1, 0, 1000)),
                (expected.len(), Ok(expected)),
                "{offset} {length}"
            );
            assert_eq!(chunks.load(), [(1, 1)]);
        }
    });
}

/// A record that a crash has torn was never answered for. It is dropped, and the log goes on behind the last
/// whole one; also behind a checkpoint.
#[test]
fn gfs_torn_log() {
    run("gfs_torn_log", |_| {
        let create = |number: u64| {
            let change = FileChange::Create { path: format!("/{number}") };
            Record::Change { op: OpId { client: 1, number }, change, at: 0 }
        };
        for checkpoint in [40, 1000] {
            let disk = Persister::new();
            let mut log = Oplog::open(disk.clone(), checkpoint);
            (1..=5).for_each(|number| drop(log.append(&create(number))));
            let whole = disk.state();
            for torn in 1..20 {
                let torn = [&whole[..], &vec![9; torn]].concat();
                let disk = disk.copy();
                disk.save(&torn, None);
                let mut log = Oplog::open(disk.clone(), checkpoint);
                assert_eq!(log.namespace().list("/").len(), 5);
                log.append(&create(6));
                let log = Oplog::open(disk, checkpoint);
                assert_eq!((log.namespace().list("/").len(), log.namespace().position()), (6, 6));
                assert!(log.records_from(6).is_some_and(|records| records.is_empty()));
                assert_eq!(log.records_from(7), None, "nobody is ahead");
            }
        }
    });
}

/// Pushed data that were not used for longest go first.
#[test]
fn gfs_buffer_is_limited() {
    run("gfs_buffer_is_limited", |_| {
        let id = |number| DataId { client: 1, number };
        let mut buffer = Buffer::new(100);
        (1..=3).for_each(|number| buffer.put(id(number), vec![number as u8; 30]));
        assert_eq!(buffer.get(&[id(1), id(2)]), Some([vec![1; 30], vec![2; 30]].concat()));
        buffer.put(id(4), vec![4; 30]);
        assert_eq!(buffer.get(&[id(3)]), None, "the least recently used");
        assert_eq!(buffer.get(&[id(1), id(9)]), None, "one is missing");
        buffer.put(id(5), vec![5; 500]);
        assert_eq!(buffer.get(&[id(5)]), Some(vec![5; 500]), "the newest stays");
        assert_eq!(buffer.get(&[id(4)]), None);
    });
}
