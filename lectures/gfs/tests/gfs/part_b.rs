//! Part GB: leases, versions, and the order of mutations.

use std::collections::{BTreeMap, BTreeSet};

use gfs::rpc::{
    ChunkError, DataId, FindChunk, MasterError, Purpose, PushData, ReadArgs, ServerId, WriteArgs,
};
use gfs_client::records::{RecordWriter, read_records, read_to_checkpoint, scan, write_checkpoint};
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::Instant;

use crate::cluster::{Cluster, Setup, all_at_once, ms, play, refused, same, text};

/// Ten clients append to one file. Without faults each record is there once, and each client's in its order.
#[test]
fn gfs_append_concurrent() {
    play("gfs_append_concurrent", Setup::servers(5), |t, cluster| {
        cluster.client().create("/log").expect("a new file");
        let clients: Vec<_> = (0..10).map(|_| cluster.client().into_client()).collect();
        let written = all_at_once(clients, |number, mut client| {
            let mut writer = RecordWriter::default();
            let append = |record: usize| {
                let payload = text(&format!("{number}-{record}"), 50 + 13 * record % 200);
                writer.append(&mut client, "/log", &payload).expect("an append")
            };
            (0..100).map(append).collect::<Vec<_>>()
        });
        let bytes = cluster.client().read_all("/log").expect("a read");
        let mut places: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for (at, record) in scan(&bytes) {
            places.entry(record.id).or_default().push(at as u64);
        }
        for written in &written {
            for (id, at) in written {
                let found = places.get(id).cloned().unwrap_or_default();
                t.expect(found.contains(at), || format!("{id:?} should be at {at}, and is at {found:?}"));
                t.expect(found.len() == 1 || !t.is_ordinary(), || format!("{id:?} is there {found:?}"));
            }
            assert!(written.is_sorted_by_key(|(_, at)| at), "a client's records are out of order");
        }
        assert_eq!(places.len(), 1000);
        t.exercised(bytes.len() > cluster.setup.settings.chunk, "the file has a second chunk");
    });
}

/// A record that does not fit goes to the next chunk. The rest of the chunk is padding, on all replicas.
#[test]
fn gfs_append_padding() {
    play("gfs_append_padding", Setup::servers(5), |t, cluster| {
        let mut client = cluster.client();
        client.create("/log").expect("a new file");
        let chunk = cluster.setup.settings.chunk;
        let length = chunk / 4 - 300;
        let mut writer = RecordWriter::default();
        let written: Vec<_> = (0..10)
            .map(|number| {
                let payload = text(&format!("r{number}"), length);
                writer.append(&mut client, "/log", &payload).expect("an append")
            })
            .collect();
        cluster.wait_for_replicas(20_000);
        for index in 0..2 {
            let located = cluster.locate("/log", index, Purpose::Read);
            for &server in &located.replicas {
                let read = || cluster.read_replica(server, &located);
                let bytes = cluster.wait_for(5000, "a replica is read", read);
                t.expect(bytes.len() == chunk, || {
                    format!(
                        "chunk {index} has {} bytes on server {server}, and should be padded",
                        bytes.len()
                    )
                });
                if t.is_ordinary() {
                    let end = 4 * (length + 28);
                    assert!(bytes[end..].iter().all(|byte| *byte == 0), "padding on server {server}");
                }
            }
        }
        let bytes = client.read_all("/log").expect("a read");
        let places: BTreeSet<_> =
            scan(&bytes).into_iter().map(|(at, record)| (record.id, at as u64)).collect();
        for written in &written {
            assert!(places.contains(written), "{written:?} is not there");
        }
        assert!(places.len() == 10 || !t.is_ordinary(), "{places:?}");
    });
}

/// Two clients write over each other. All replicas hold the same, but what that is nobody has written.
#[test]
fn gfs_concurrent_writes_undefined() {
    play("gfs_concurrent_writes_undefined", Setup::servers(5), |t, cluster| {
        let length = 3 * cluster.setup.settings.chunk;
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("old", length)).expect("a write");
        let clients: Vec<_> = (0..2).map(|_| cluster.client().into_client()).collect();
        let names = ["left", "right"];
        all_at_once(clients, move |number, mut client| {
            client.write("/a", 0, &text(names[number], length)).expect("a write");
        });
        let mut mingled = 0;
        for index in 0..3 {
            let located = cluster.locate("/a", index, Purpose::Read);
            let read = |server: &usize| cluster.read_replica(*server, &located);
            let replicas: Vec<Vec<u8>> = located
                .replicas
                .iter()
                .map(|server| cluster.wait_for(5000, "a replica is read", || read(server)))
                .collect();
            t.expect(replicas.windows(2).all(|pair| pair[0] == pair[1]), || {
                format!("the replicas of chunk {index} differ: inconsistent")
            });
            let chunk = cluster.setup.settings.chunk;
            let of = |name: &str| text(name, length)[index as usize * chunk..][..chunk] == replicas[0];
            let owner = names.iter().find(|name| of(name));
            mingled += u64::from(owner.is_none());
            t.note(match owner {
                Some(name) => format!("chunk {index}: defined, all of it is {name}'s"),
                None => format!("chunk {index}: consistent and undefined, both are in it"),
            });
        }
        t.met("chunks with bytes of both writers", mingled);
    });
}

/// A server that was down during a mutation is stale when it comes back, and nobody is sent there.
#[test]
fn gfs_stale_replica() {
    play("gfs_stale_replica", Setup::servers(5), |t, cluster| {
        let mut writer = cluster.client();
        writer.create("/a").expect("a new file");
        let old = text("old", 1000);
        writer.write("/a", 0, &old).expect("a write");
        cluster.wait_for_replicas(20_000);
        let before = cluster.locate("/a", 0, Purpose::Read);
        // The reader is nearest to a server that stays.
        let (down, stays) = (before.replicas[2], before.replicas[0]);
        let mut reader = cluster.client_at(Some(stays));
        same(reader.read("/a", 0, 1000), &old, "what was read");
        t.scene(format!("Server {down} is down while the chunk is written."));
        cluster.crash_server(down);
        let new = text("new", 1000);
        writer.write("/a", 0, &new).expect("a write without the server that is down");
        let after = cluster.locate("/a", 0, Purpose::Read);
        assert!(after.version > before.version, "{after:?} after {before:?}");
        assert!(!after.replicas.contains(&down), "{after:?}");
        t.scene("It comes back, with the old version.");
        cluster.restart_server(down);
        let (handle, version) = (before.handle, before.version);
        let args = ReadArgs { handle, version, offset: 0, length: 1000 };
        let answer = cluster.wait_for(5000, "a replica answers", || cluster.server(stays).read(&args).ok());
        assert_eq!(answer, Err(ChunkError::Stale), "for whoever knows the old version only");
        same(reader.read("/a", 0, 1000), &new, "the reader asks the master again");
        cluster.wait(20_000, "the old bytes are gone from all disks", || {
            cluster.disks_with(&old[136..184]).is_empty()
        });
        let answer = cluster.server(down).read(&args);
        assert!(!matches!(answer, Ok(Ok(_))), "{answer:?}");
    });
}

/// Writes to a primary by hand, again and again: when each write that was accepted came back.
fn hammer(cluster: &Cluster, for_ms: u64) -> (Vec<Instant>, u64) {
    let lease = cluster.lease("/a", 0);
    let primary = lease.primary.expect("a lease");
    let peer = cluster.server(primary);
    let mut chain = lease.replicas.clone();
    chain.retain(|&server| server != primary);
    let end = Instant::now() + ms(for_ms);
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let refused = Arc::new(Mutex::new(0));
    let mut running = Vec::new();
    for number in 0.. {
        if Instant::now() >= end {
            break;
        }
        let id = DataId { client: 1, number };
        let bytes = text(&format!("h{number}"), 16);
        let push = PushData { id, bytes, chain: chain.clone() };
        let offset = 16 * (number as usize % 1000);
        let write = WriteArgs { handle: lease.handle, version: lease.version, offset, data: vec![id] };
        let (peer, accepted, refused) = (peer.clone(), accepted.clone(), refused.clone());
        running.push(thread::spawn(move || {
            let _ = peer.push_data(&push);
            match peer.write(&write) {
                Ok(Ok(())) => accepted.lock().push(Instant::now()),
                _ => *refused.lock() += 1,
            }
        }));
        thread::sleep(ms(5));
    }
    running.into_iter().for_each(|write| write.join().expect("it does not panic"));
    let accepted = accepted.lock().clone();
    (accepted, *refused.lock())
}

/// The master cannot reach the primary, and clients can. The primary goes on until its lease is over, and
/// another one begins later.
pub(crate) fn split_brain(cluster: &Cluster, rate: Option<f64>, cut: fn(&Cluster, ServerId)) {
    let (t, settings) = (&cluster.test, &cluster.setup.settings);
    let mut client = cluster.client();
    client.create("/a").expect("a new file");
    client.write("/a", 0, &text("old", 1000)).expect("a write");
    let lease = cluster.lease("/a", 0);
    let primary = lease.primary.expect("a lease");
    t.scene(format!("Server {primary} is cut off from the master. A client goes on writing there."));
    if let Some(rate) = rate {
        cluster.group.node(crate::cluster::machine(primary)).expect("it lives").set_clock_rate(rate);
    }
    cut(cluster, primary);
    let cut = Instant::now();
    let asking = cluster.clone();
    let other = thread::spawn(move || {
        let master = asking.master();
        let question = FindChunk { path: "/a".to_owned(), index: Some(0), purpose: Purpose::Write };
        asking.wait_for(20_000, "another server gets the lease", || {
            master.find_chunk(&question).ok()?.ok().filter(|located| located.primary != Some(primary))
        })
    });
    let (accepted, refused) = hammer(cluster, 3000);
    let next = other.join().expect("it does not panic");
    let granted = cluster.watch.with(|facts| {
        let lease = facts.leases.get(&next.handle).filter(|lease| lease.version == next.version);
        lease.map(|lease| lease.at)
    });
    let granted = granted.expect("the newest lease");
    t.note(format!("{} writes are accepted, {refused} are not", accepted.len()));
    t.expect(refused > 0, || "the old primary goes on for ever".to_owned());
    let last = accepted.iter().max().copied();
    // Where messages are slow or servers pause, no write may be done in time.
    t.exercised(last.is_some_and(|last| last >= cut + ms(200)), "the old primary accepts writes for a while");
    if t.is_ordinary() {
        let last = last.expect("the old primary's lease goes on for a while");
        // An answer is up to 10 ms on its way.
        let slack = ms(10);
        // A slow clock uses up what the master waits longer.
        let wait = if rate.is_some() { ms(0) } else { settings.clock_error };
        t.expect(granted + slack >= last + wait, || {
            format!("a lease is granted at {granted:?}, and the old primary accepts a write at {last:?}")
        });
        let end = cut + settings.lease.mul_f64(1.0 / rate.unwrap_or(1.0)) + slack;
        t.expect(last <= end, || format!("a write is accepted at {last:?}, after the lease's end {end:?}"));
    }
    t.scene("The new primary takes writes. The link is mended.");
    let new = text("new", 1000);
    client.write("/a", 0, &new).expect("a write through the new primary");
    cluster.net.network().clear_tap();
    cluster.set_link(primary, true);
    same(cluster.client().read("/a", 0, 1000), &new, "what was read");
}

fn cut_off(cluster: &Cluster, primary: ServerId) {
    cluster.set_link(primary, false);
}

/// A master that notices soon that the primary is silent, and so waits for nothing but the end of its lease.
pub(crate) fn attentive() -> Setup {
    let settings = gfs::Settings { silence: ms(400), ..gfs::Settings::default() };
    Setup { settings, ..Setup::servers(5) }
}

#[test]
fn gfs_lease_split_brain() {
    play("gfs_lease_split_brain", attentive(), |_, cluster| split_brain(cluster, None, cut_off));
}

/// The same with a primary whose clock runs slow: its lease lasts longer than the master counts.
#[test]
fn gfs_slow_clock() {
    play("gfs_slow_clock", attentive(), |_, cluster| split_brain(cluster, Some(0.88), cut_off));
}

/// Only an old version can be reached. It is not taken for the current one.
#[test]
fn gfs_all_replicas_missing_current() {
    play("gfs_all_replicas_missing_current", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("old", 1000)).expect("a write");
        cluster.wait_for_replicas(20_000);
        t.scene("Server 2 misses a write. Then the two others are down, and server 2 is back.");
        cluster.crash_server(2);
        let new = text("new", 1000);
        client.write("/a", 0, &new).expect("a write on two servers");
        let located = cluster.locate("/a", 0, Purpose::Read);
        assert!(!located.replicas.contains(&2), "{located:?}");
        [0, 1].into_iter().for_each(|server| cluster.crash_server(server));
        // Until then the master believes the two to be there, and would have the old copy deleted.
        thread::sleep(cluster.setup.settings.silence * 2);
        cluster.restart_server(2);
        let impatient = gfs::Settings { patience: ms(4000), ..cluster.setup.settings.clone() };
        let mut other = cluster.client_with(None, impatient);
        assert_eq!(other.read("/a", 0, 1000), Err(refused(MasterError::Unavailable)));
        assert_eq!(other.write("/a", 0, b"x"), Err(refused(MasterError::Unavailable)));
        assert_eq!(other.append("/a", b"x"), Err(refused(MasterError::Unavailable)));
        assert!(!cluster.disks_with(&text("old", 1000)[136..184]).is_empty(), "the last copy is not deleted");
        t.scene("The master restarts. It knows the version still.");
        cluster.restart_master();
        assert_eq!(other.read("/a", 0, 1000), Err(refused(MasterError::Unavailable)));
        t.scene("One server with the current version comes back.");
        cluster.restart_server(0);
        same(client.read("/a", 0, 1000), &new, "what was read");
    });
}

/// Readers of a file that grows stop where the writer says that it is valid.
#[test]
fn gfs_checkpoint() {
    play("gfs_checkpoint", Setup::servers(5), |t, cluster| {
        let (mut client, mut reader) = (cluster.client(), cluster.client());
        client.create("/log").expect("a new file");
        assert_eq!(
            read_to_checkpoint(&mut reader, "/log"),
            Err(refused(MasterError::NoFile)),
            "nothing is valid"
        );
        let mut writer = RecordWriter::default();
        let mut payloads = Vec::new();
        for number in 0..20_u32 {
            let payload = text(&format!("r{number}"), 700);
            let (_, at) = writer.append(&mut client, "/log", &payload).expect("an append");
            payloads.push(payload);
            if number % 5 == 4 {
                let valid = at + 700 + 28;
                write_checkpoint(&mut client, "/log", valid).expect("a checkpoint");
            }
            let valid = (number as usize + 1) / 5 * 5;
            if valid > 0 {
                let records = read_to_checkpoint(&mut reader, "/log").expect("a checkpoint");
                let read: Vec<_> = records.into_iter().map(|record| record.payload).collect();
                t.expect(read == payloads[..valid], || {
                    let which = |read| payloads.iter().position(|payload| payload == read);
                    let read: Vec<_> = read.iter().map(which).collect();
                    format!(
                        "record {number} is written, {valid} records are valid, and a reader gets {read:?}"
                    )
                });
            }
        }
        assert_eq!(read_records(&mut reader, "/log").expect("a read").len(), 20);
    });
}
