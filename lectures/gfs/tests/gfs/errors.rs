//! Every error is a value, and changes nothing.

// handout: drop
use gfs::path::{MAX_PATH, check, check_new};
// handout: end
use gfs::rpc::{
    AddChunk, AppendArgs, ApplyArgs, ChangeRequest, ChunkError, ChunkPeer, ChunkVersion, CloneFrom,
    CopyChunk, DataId, FileChange, FindChunk, Grant, Located, MasterError, Mutation, OpId, Purpose, PushData,
    Raise, ReadArgs, WriteArgs,
};
use gfs_client::Error;
use gfs_client::records::{Record, RecordId, scan};
use tester::run;

use crate::cluster::{Cluster, Setup, machine, ms, play, refused, same, text};

// handout: drop
/// Students are given what is tested here.
#[test]
fn gfs_paths() {
    run("gfs_paths", |_| {
        let long = format!("/{}", "x".repeat(MAX_PATH));
        for path in ["", "a", "a/b", "/", "//a", "/a/", "/a//b", "/.", "/a/..", "/a/./b", "/a\0b", &long] {
            assert_eq!(check(path), Err(MasterError::BadPath), "{path:?}");
        }
        for path in ["/a", "/a/b.c", "/..a", "/ ", "/ä", &long[..MAX_PATH]] {
            assert_eq!(check(path), Ok(()), "{path:?}");
        }
        assert_eq!((check("/.deleted/1/a"), check_new("/.deleted/1/a")), (Ok(()), Err(MasterError::BadPath)));
    });
}
// handout: end

/// What the name space refuses. A repeated change is answered as the first time, and not made twice.
#[test]
fn gfs_refused_changes() {
    play("gfs_refused_changes", Setup::servers(3), |_, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.create("/b").expect("a new file");
        let (no_file, exists) = (refused(MasterError::NoFile), refused(MasterError::Exists));
        let bad = refused(MasterError::BadPath);
        assert_eq!(client.create("/a"), Err(exists));
        assert_eq!(client.create("a"), Err(bad));
        assert_eq!(client.create("/.deleted/1/a"), Err(bad), "such names are the master's");
        assert_eq!(client.delete("/x"), Err(no_file));
        assert_eq!(client.delete("/x/"), Err(bad));
        assert_eq!(client.rename("/x", "/y"), Err(no_file));
        assert_eq!(client.rename("/a", "/b"), Err(exists));
        assert_eq!(client.rename("/a", "/a"), Err(exists));
        assert_eq!(client.publish("/a", "/a"), Ok(()), "nothing happens");
        assert_eq!(client.publish("/a", "/.deleted/1/a"), Err(bad));
        assert_eq!(client.read("/x", 0, 1), Err(no_file));
        assert_eq!(client.read("x", 0, 1), Err(bad));
        assert_eq!(client.write("/x", 0, b"x"), Err(no_file));
        assert_eq!(client.length("/x"), Err(no_file));
        let hidden = client.delete("/b").expect("the file is there");
        assert_eq!(client.delete(&hidden), Err(bad));
        assert_eq!(client.write(&hidden, 0, b"x"), Err(bad), "a deleted file is only read");
        assert_eq!(client.list("/"), Ok(vec!["/a".to_owned()]), "nothing has changed");
    });
}

/// What the master refuses itself, whoever asks.
#[test]
fn gfs_refused_by_the_master() {
    play("gfs_refused_by_the_master", Setup::servers(3), |_, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        let master = cluster.master();
        let find = |index, purpose| FindChunk { path: "/a".to_owned(), index, purpose };
        for (index, purpose) in
            [(None, Purpose::Read), (Some(0), Purpose::Write), (Some(u64::MAX), Purpose::Read)]
        {
            let ask = || master.find_chunk(&find(index, purpose)).ok();
            assert_eq!(cluster.wait_for(5000, "an answer", ask), Err(MasterError::NoChunk));
        }
        let add = AddChunk { path: "/a".to_owned(), after: Some(3) };
        assert_eq!(
            cluster.wait_for(5000, "an answer", || master.add_chunk(&add).ok()),
            Err(MasterError::NoChunk)
        );
        let change = |number, change| ChangeRequest { op: OpId { client: 9, number }, change };
        let create = change(1, FileChange::Create { path: "/c".to_owned() });
        let ask =
            |request: &ChangeRequest| cluster.wait_for(5000, "an answer", || master.change(request).ok());
        assert_eq!(ask(&create), Ok(String::new()));
        for client in 100..120 {
            let change = FileChange::Create { path: format!("/of-{client}") };
            assert_eq!(ask(&ChangeRequest { op: OpId { client, number: 1 }, change }), Ok(String::new()));
        }
        assert_eq!(ask(&create), Ok(String::new()), "the same change, after those of twenty other clients");
        let delete = change(2, FileChange::Delete { path: "/c".to_owned() });
        let hidden = ask(&delete);
        assert!(hidden.is_ok());
        assert_eq!(ask(&delete), hidden, "the same answer");
        assert_eq!(ask(&create), Err(MasterError::Retry), "a late copy is not carried out");
        assert_eq!(client.list("/c"), Ok(Vec::new()));
        let refused = change(3, FileChange::Create { path: "/a".to_owned() });
        assert_eq!(ask(&refused), Err(MasterError::Exists));
        client.delete("/a").expect("the file is there");
        let late = ask(&refused);
        assert!(late.is_err(), "a late copy of a change that was refused gives {late:?}");
        assert_eq!(client.list("/a"), Ok(Vec::new()));
    });
}

/// A record of more than a quarter of a chunk.
#[test]
fn gfs_too_large() {
    play("gfs_too_large", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        assert_eq!(client.append("/x", b"x"), Err(refused(MasterError::NoFile)));
        let most = cluster.setup.settings.chunk / 4;
        assert_eq!(client.append("/a", &vec![1; most + 1]), Err(Error::TooLarge));
        assert_eq!(client.length("/a"), Ok(0), "nothing was written");
        let at = client.append("/a", &vec![1; most]).expect("a record of a quarter of a chunk");
        // If the first try failed somewhere, the record stands behind what that has left.
        t.expect(at == 0 || !t.is_ordinary(), || format!("the first record of a file is at {at}, not at 0"));
        let lease = cluster.lease("/a", 0);
        let primary = cluster.server(lease.primary.expect("a lease"));
        let args = AppendArgs {
            handle: lease.handle,
            version: lease.version,
            data: vec![DataId { client: 1, number: 1 }],
            length: most + 1,
        };
        let ask = || primary.append(&args).ok().filter(|answer| *answer != Err(ChunkError::NotPrimary));
        let answer = primary.append(&args);
        assert!(matches!(answer, Ok(Err(ChunkError::OutOfRange)) | Err(_)) || ask().is_none(), "{answer:?}");
    });
}

/// Why a chunkserver refuses, once it answers; None if it does not refuse.
fn told<T>(ask: impl Fn() -> Result<Result<T, ChunkError>, labrpc::RpcError>) -> Option<ChunkError> {
    (0..20).find_map(|_| ask().ok())?.err()
}

/// What chunkservers refuse.
#[test]
fn gfs_refused_by_chunkservers() {
    play("gfs_refused_by_chunkservers", Setup::servers(4), |_, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("a", 1000)).expect("a write");
        cluster.wait_for_replicas(20_000);
        let lease = cluster.lease("/a", 0);
        let (handle, version, chunk) = (lease.handle, lease.version, cluster.setup.settings.chunk);
        let primary = lease.primary.expect("a lease");
        let secondary = *lease.replicas.iter().find(|&&server| server != primary).expect("a secondary");
        let at = cluster.server(secondary);
        let missing = vec![DataId { client: 5, number: 5 }];
        let read = |handle, version, offset, length| ReadArgs { handle, version, offset, length };
        assert_eq!(told(|| at.read(&read(handle, version + 1, 0, 1))), Some(ChunkError::Stale));
        assert_eq!(told(|| at.read(&read(handle + 99, 1, 0, 1))), Some(ChunkError::NoChunk));
        for (offset, length) in [(chunk, 1), (1, chunk), (usize::MAX, 1), (0, usize::MAX)] {
            let answer = told(|| at.read(&read(handle, version, offset, length)));
            assert_eq!(answer, Some(ChunkError::OutOfRange), "a read of {length} bytes at {offset}");
        }
        let write = |offset| WriteArgs { handle, version, offset, data: missing.clone() };
        assert_eq!(told(|| at.write(&write(0))), Some(ChunkError::NotPrimary), "a secondary has no lease");
        let first = cluster.server(primary);
        let answer = told(|| first.write(&write(0)));
        let is_over = answer == Some(ChunkError::NotPrimary);
        assert!(is_over || answer == Some(ChunkError::MissingData), "{answer:?}");
        let id = DataId { client: 6, number: 6 };
        let push = |server: usize, chain: Vec<usize>| {
            told(|| {
                cluster.server(server).push_data(&PushData { id, bytes: vec![7; 10], chain: chain.clone() })
            })
        };
        assert_eq!(push(primary, Vec::new()), None);
        assert_eq!(push(secondary, vec![99]), Some(ChunkError::Unreachable), "there is no server 99");
        for offset in [chunk - 9, usize::MAX] {
            let args = WriteArgs { handle, version, offset, data: vec![id] };
            let answer = told(|| first.write(&args));
            let expected = [Some(ChunkError::OutOfRange), Some(ChunkError::NotPrimary)];
            assert!(expected.contains(&answer), "offset {offset}: {answer:?}");
        }
        let apply = |serial, version| {
            let mutation = Mutation::Write { offset: 0, data: missing.clone() };
            ApplyArgs { handle, version, serial, mutation }
        };
        // One that comes early may also wait for those before it, and these never come.
        let early = (0..3).find_map(|_| at.timeout(ms(1000)).apply(&apply(99, version)).ok());
        assert!(
            matches!(early, None | Some(Err(ChunkError::Gap))),
            "mutation 99 before all others: {early:?}"
        );
        // No lease comes to that many, so nobody else has said what this one is.
        assert_eq!(told(|| at.apply(&apply(999, version - 1))), Some(ChunkError::Stale));
        refuses_other_versions(cluster, &lease, &at);
        same(cluster.client().read("/a", 0, 1000), text("a", 1000), "nothing has changed");
        assert!(cluster.group.is_alive(machine(primary)));
    });
}

/// What is said of other versions and chunks than a secondary has, and of other lives than it lives.
fn refuses_other_versions(cluster: &Cluster, lease: &Located, at: &ChunkPeer) {
    let (handle, version, outside) = (lease.handle, lease.version, cluster.without(lease)[0]);
    let primary = lease.primary.expect("a lease");
    let raise = |from, to| Raise { handle, from, to };
    assert_eq!(told(|| at.raise(&raise(version - 1, version + 1))), Some(ChunkError::Stale));
    assert_eq!(
        told(|| cluster.server(outside).raise(&raise(version, version + 1))),
        Some(ChunkError::NoChunk)
    );
    let grant = Grant { handle, version, boot: 1, until: u64::MAX, secondaries: Vec::new() };
    assert_eq!(told(|| at.grant(&grant)), Some(ChunkError::NotPrimary), "a lease of another life");
    let copy = CopyChunk { from: handle, version: version + 1, to: handle + 50 };
    assert_eq!(told(|| at.copy(&copy)), Some(ChunkError::Stale));
    let order = CloneFrom { handle, version: version - 1, source: primary };
    assert_eq!(told(|| cluster.server(outside).clone_replica(&order)), Some(ChunkError::Stale));
    let gone = ChunkVersion { handle: handle + 99, version: 1 };
    let answer = told(|| at.revoke(&gone));
    assert!(matches!(answer, None | Some(ChunkError::NoChunk)), "a chunk that is not there: {answer:?}");
    assert_eq!(told(|| at.create(&ChunkVersion { handle, version: 1 })), Some(ChunkError::Stale));
}

/// Records among padding, broken ones and repetitions.
#[test]
fn gfs_records_are_found() {
    run("gfs_records_are_found", |_| {
        let record = |number: u64, length: usize| {
            Record { id: RecordId { writer: 3, number }, payload: vec![0xF5; length] }.encode()
        };
        let mut broken = record(9, 50);
        broken[40] ^= 1;
        let mut cut = record(8, 50);
        cut.truncate(60);
        let mut huge = record(7, 10);
        huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let parts = [
            vec![0; 100],
            record(1, 0),
            broken,
            record(2, 300),
            cut,
            vec![0xF5; 7],
            record(2, 300),
            huge,
            record(3, 1),
        ];
        let bytes = parts.concat();
        let found: Vec<u64> = scan(&bytes).iter().map(|(_, record)| record.id.number).collect();
        assert_eq!(found, [1, 2, 2, 3]);
        for (at, record) in scan(&bytes) {
            assert_eq!(Record::decode(&bytes[at..]), Some((record.clone(), record.encode().len())));
        }
        assert_eq!(Record::decode(&record(1, 20)[..47]), None);
    });
}
