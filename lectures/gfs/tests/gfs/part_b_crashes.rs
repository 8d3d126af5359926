//! Part GB: crashes in the middle of an append.

use std::collections::{BTreeMap, BTreeSet};

use gfs::rpc::Purpose;
use gfs_client::records::{RecordId, RecordWriter, read_records, scan};
use labrt::rand::random_range;
use labrt::sync::{Arc, Mutex};
use tester::Test;

use crate::cluster::{Cluster, Setup, play, text};
use crate::watch::Who;

/// Appends records, one after the other, while something happens.
fn append(cluster: &Cluster, records: u64) -> Vec<(RecordId, u64)> {
    let mut client = cluster.client();
    let mut writer = RecordWriter::default();
    let append = |number: u64| {
        let payload = text(&format!("r{number}"), 100 + 31 * number as usize % 400);
        writer.append(&mut client, "/log", &payload).expect("at least once")
    };
    (0..records).map(append).collect()
}

/// No record is lost, and what is there twice is dropped by the reader.
fn check(cluster: &Cluster, written: &[(RecordId, u64)]) -> usize {
    let mut reader = cluster.client();
    let bytes = reader.read_all("/log").expect("a read");
    let mut places: BTreeMap<RecordId, Vec<u64>> = BTreeMap::new();
    for (at, record) in scan(&bytes) {
        places.entry(record.id).or_default().push(at as u64);
    }
    for (id, at) in written {
        let found = places.get(id).cloned().unwrap_or_default();
        cluster.test.expect(found.contains(at), || format!("{id:?} should be at {at}, and is at {found:?}"));
    }
    let read = read_records(&mut reader, "/log").expect("a read");
    let ids: BTreeSet<RecordId> = read.iter().map(|record| record.id).collect();
    assert_eq!(read.len(), ids.len(), "the reader drops repeated records");
    assert_eq!(ids, written.iter().map(|(id, _)| *id).collect(), "each record once");
    places.values().filter(|places| places.len() > 1).count()
}

/// Has something done when so many mutations have come to secondaries, once.
fn at_apply(cluster: &Cluster, after: u64, action: impl Fn(usize, u64) + Send + Sync + 'static) {
    let left = Arc::new(Mutex::new(Some(after)));
    cluster.watch.before(move |who, method, bytes| {
        let (Who::Server(server), "ChunkRpc.apply") = (who, method) else { return };
        let mut count = left.lock();
        match *count {
            Some(0) => {
                *count = None;
                drop(count);
                let apply: gfs::rpc::ApplyArgs = labgob::decode(bytes).expect("a message of the lab");
                action(server, apply.handle);
            }
            Some(more) => *count = Some(more - 1),
            None => {}
        }
    });
}

/// Nobody has crashed. On a bad network a primary may go on alone, since the others did not answer in time.
fn nobody(t: &Test) {
    t.expect(!t.is_ordinary(), || "no mutation comes to a secondary: each primary goes on alone".to_owned());
    t.exercised(false, "a lease has secondaries");
}

/// A secondary dies when it has the data, and before it has applied them.
#[test]
fn gfs_append_secondary_crash() {
    play("gfs_append_secondary_crash", Setup::servers(5), |t, cluster| {
        cluster.client().create("/log").expect("a new file");
        let crashing = cluster.clone();
        at_apply(cluster, random_range(5..20), move |server, _| {
            crashing.test.scene(format!("Server {server} dies between push and apply."));
            crashing.crash_server(server);
        });
        let written = append(cluster, 40);
        let down = (0..5).find(|&server| !cluster.group.is_alive(crate::cluster::machine(server)));
        let Some(down) = down else { return nobody(t) };
        let done = cluster.watch.with(|facts| facts.successes.len() as u64);
        let tries = cluster.watch.calls("ChunkRpc.append");
        t.expect(tries > done, || "the primary says that the append is done, without a secondary".to_owned());
        let located = cluster.locate("/log", 0, Purpose::Read);
        assert!(!located.replicas.contains(&down), "{located:?}");
        let repeated = check(cluster, &written);
        t.met("records that are there twice", repeated as u64);
        t.scene("It comes back.");
        cluster.restart_server(down);
        check(cluster, &written);
    });
}

/// The primary dies while its secondaries apply a mutation.
#[test]
fn gfs_append_primary_crash() {
    play("gfs_append_primary_crash", Setup::servers(5), |t, cluster| {
        cluster.client().create("/log").expect("a new file");
        let (crashing, crashed) = (cluster.clone(), Arc::new(Mutex::new(None)));
        let seen = crashed.clone();
        at_apply(cluster, random_range(5..20), move |server, handle| {
            let lease = crashing.watch.with(|facts| facts.leases.get(&handle).cloned());
            let Some(lease) = lease.filter(|lease| lease.primary != server) else { return };
            crashing.test.scene(format!("Primary {} dies in mid-apply.", lease.primary));
            *seen.lock() = Some((handle, lease.version, lease.primary));
            crashing.crash_server(lease.primary);
        });
        let written = append(cluster, 40);
        let Some((handle, version, down)) = crashed.lock().take() else { return nobody(t) };
        let now = cluster.watch.with(|facts| facts.leases.get(&handle).cloned()).expect("a lease");
        t.expect(now.version > version && now.primary != down, || {
            format!("the new lease is {now:?}, after {version} of server {down}")
        });
        let repeated = check(cluster, &written);
        t.met("records that are there twice", repeated as u64);
        t.scene("It comes back.");
        cluster.restart_server(down);
        check(cluster, &written);
    });
}
