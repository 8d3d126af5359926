//! The lecture's stories: what a failed mutation leaves, and how readers live with it.

use gfs::rpc::{AppendArgs, ChunkError, DataId, Purpose, PushData, WriteArgs};
use gfs_client::records::{Record, RecordId, read_records, scan};

use crate::cluster::{Cluster, Setup, machine, ms, play, same, text};

/// Cuts or mends the links between two chunkservers.
fn set_between(cluster: &Cluster, one: usize, other: usize, is_open: bool) {
    for (from, to) in [(one, other), (other, one)] {
        cluster.net.network().enable(cluster.group.link(machine(from), machine(to)), is_open);
    }
}

/// Pushes data to each server of the chunk by itself, so that a cut link between two does not matter.
fn push(cluster: &Cluster, servers: &[usize], number: u64, bytes: &[u8]) -> DataId {
    let id = DataId { client: 77, number };
    for &server in servers {
        let push = PushData { id, bytes: bytes.to_vec(), chain: Vec::new() };
        let pushed = || cluster.server(server).push_data(&push).ok()?.ok();
        cluster.wait_for(5000, "data are pushed", pushed);
    }
    id
}

/// Server 3 misses the append of `b`. The client hears "failed" and tries again: `a b . b c`.
#[test]
fn gfs_story_append_twice() {
    play("gfs_story_append_twice", Setup::servers(5), |t, cluster| {
        let mut client = cluster.client();
        client.create("/log").expect("a new file");
        let record = |name: &str, number: u64| {
            Record { id: RecordId { writer: 1, number }, payload: text(name, 40) }.encode()
        };
        client.append("/log", &record("a", 1)).expect("an append");
        let lease = cluster.lease("/log", 0);
        let primary = lease.primary.expect("a lease");
        let misses = *lease.replicas.iter().find(|&&server| server != primary).expect("a secondary");
        t.scene(format!("Server {misses} does not hear primary {primary}. The append of b fails."));
        set_between(cluster, primary, misses, false);
        let b = record("b", 2);
        let data = vec![push(cluster, &lease.replicas, 1, &b)];
        let args = AppendArgs { handle: lease.handle, version: lease.version, data, length: b.len() };
        let answer = cluster.server(primary).append(&args).expect("the primary answers");
        if answer == Err(ChunkError::NotPrimary) && !t.is_ordinary() {
            return t.exercised(false, "the lease lasts as long as a slow network needs");
        }
        // What the primary has is known from what it sends to the third one.
        let is_known = lease.replicas.len() > 2
            && !matches!(&answer, Err(ChunkError::Failed(failed)) if failed.len() > 1);
        if !is_known && !t.is_ordinary() {
            return t.exercised(false, "a third replica takes part, and hears the primary");
        }
        t.expect(answer == Err(ChunkError::Failed(vec![misses])), || format!("the append of b: {answer:?}"));
        let copies = |server: usize| {
            let found =
                scan(cluster.watch.with(|facts| facts.content(server, lease.handle).to_vec()).as_slice());
            found.iter().filter(|(_, record)| record.id.number == 2).count()
        };
        let there = (copies(primary), copies(misses));
        // The test's own message may come twice on a bad network, and is then carried out twice.
        t.expect(there == (1, 0) || there.0 > 0 && there.1 == 0 && !t.is_ordinary(), || {
            format!("the region is not inconsistent: the primary and the other one have b {there:?} times")
        });
        t.scene("The client tries again, and appends c.");
        client.append("/log", &b).expect("at least once");
        client.append("/log", &record("c", 3)).expect("an append");
        let next = cluster.lease("/log", 0);
        t.expect(!next.replicas.contains(&misses) || !t.is_ordinary(), || {
            format!("server {misses} has missed a mutation, and takes part in the next lease: {next:?}")
        });
        set_between(cluster, primary, misses, true);
        let bytes = cluster.client().read_all("/log").expect("a read");
        let mut numbers: Vec<u64> = scan(&bytes).iter().map(|(_, record)| record.id.number).collect();
        t.met("b is there twice", u64::from(numbers.len() > 3));
        numbers.dedup();
        assert_eq!(numbers, [1, 2, 3], "repetitions stand behind one another");
        let read = read_records(&mut cluster.client(), "/log").expect("a read");
        let numbers: Vec<u64> = read.iter().map(|record| record.id.number).collect();
        assert_eq!(numbers, [1, 2, 3], "the reader drops the repetition");
    });
}

/// A write that fails at one replica leaves the region inconsistent: readers see the old or the new bytes.
/// The next write makes it defined.
#[test]
fn gfs_story_failed_write() {
    play("gfs_story_failed_write", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("old", 64)).expect("a write");
        cluster.wait_for_replicas(20_000);
        let lease = cluster.lease("/a", 0);
        let primary = lease.primary.expect("a lease");
        let misses = *lease.replicas.iter().find(|&&server| server != primary).expect("a secondary");
        set_between(cluster, primary, misses, false);
        let new = text("new", 64);
        let data = vec![push(cluster, &lease.replicas, 1, &new)];
        let args = WriteArgs { handle: lease.handle, version: lease.version, offset: 0, data };
        let answer = cluster.server(primary).write(&args).expect("the primary answers");
        if answer == Err(ChunkError::NotPrimary) && !t.is_ordinary() {
            return t.exercised(false, "the lease lasts as long as a slow network needs");
        }
        t.expect(answer == Err(ChunkError::Failed(vec![misses])), || format!("the write: {answer:?}"));
        let read = |server: usize| {
            let read = || {
                let now = cluster.locate("/a", 0, Purpose::Read);
                cluster.read_replica(server, &now)
            };
            cluster.wait_for(20_000, &format!("the replica on server {server} is read"), read)
        };
        same(Ok(read(primary)), &new, "on the primary");
        // The master may have had it cloned again.
        let other = read(misses);
        t.met("the region is inconsistent", u64::from(other != new));
        if other != new {
            same(Ok(other), text("old", 64), "on the server that missed the write");
        }
        t.scene("The client tries again. The lease is a new one, and all replicas take part.");
        set_between(cluster, primary, misses, true);
        client.write("/a", 0, &new).expect("a write");
        cluster.wait_for_replicas(20_000);
        (0..3).for_each(|server| same(Ok(read(server)), &new, &format!("on server {server}")));
        let after = cluster.lease("/a", 0);
        assert!(after.version > lease.version, "{after:?} after {lease:?}");
    });
}

/// Invariant 8: all links are cut now and then, and servers crash. Records are appended all the time, and
/// none is lost.
#[test]
fn gfs_story_bad_day() {
    play("gfs_story_bad_day", Setup::servers(6), |t, cluster| {
        cluster.client().create("/log").expect("a new file");
        let client = cluster.client().into_client();
        let appending = labrt::thread::spawn_named("client", move || {
            let mut client = client;
            let mut writer = gfs_client::records::RecordWriter::default();
            let append = |number: usize| {
                let payload = text(&format!("r{number}"), 300);
                writer.append(&mut client, "/log", &payload).expect("at least once").0
            };
            (0..120).map(append).collect::<Vec<_>>()
        });
        for round in 0..8 {
            labrt::thread::sleep(ms(labrt::rand::random_range(50..600)));
            let server = labrt::rand::random_range(0..6);
            match round % 4 {
                0 => cluster.crash_server(server),
                1 => cluster.set_link(server, false),
                2 => set_between(cluster, server, (server + 1) % 6, false),
                _ => cluster.restart_master(),
            }
            t.scene(format!("Round {round}: something happens around server {server}."));
            labrt::thread::sleep(ms(labrt::rand::random_range(50..1500)));
            match round % 4 {
                0 => cluster.restart_server(server),
                1 => cluster.set_link(server, true),
                2 => set_between(cluster, server, (server + 1) % 6, true),
                _ => {}
            }
        }
        let written = appending.join().expect("it does not panic");
        let read = read_records(&mut cluster.client(), "/log").expect("a read");
        let read: Vec<RecordId> = read.iter().map(|record| record.id).collect();
        let lost: Vec<_> = written.iter().filter(|id| !read.contains(id)).collect();
        t.expect(lost.is_empty() && read.len() == written.len(), || {
            format!("lost: {lost:?} of {}", read.len())
        });
    });
}
