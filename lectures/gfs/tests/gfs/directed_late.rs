//! Directed, continued: messages that come late, masters that start from a checkpoint, and mutations that
//! take long.

use gfs::Settings;
use gfs::rpc::{
    ApplyArgs, ChangeRequest, ChunkError, FileChange, MasterError, Mutation, OpId, Purpose, PushData,
};
use labrpc::{Direction, Name, TapAction};
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::Instant;

use crate::cluster::{Setup, machine, ms, play, same, text};
use crate::part_b::{attentive, split_brain};
use crate::watch::Who;

/// A mutation comes to a secondary once more when a later one has written over it; then again when the server
/// has restarted, and counts from 0. It must not be carried out.
#[test]
fn gfs_late_apply() {
    play("gfs_late_apply", Setup::servers(3), |t, cluster| {
        let applies: Arc<Mutex<Vec<(usize, ApplyArgs)>>> = Arc::default();
        let seen = applies.clone();
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        cluster.watch.before(move |who, method, bytes| {
            if let (Who::Server(server), "ChunkRpc.apply") = (who, method) {
                seen.lock().push((server, labgob::decode(bytes).expect("a mutation")));
            }
        });
        client.write("/a", 0, &text("one", 200)).expect("a write");
        client.write("/a", 0, &text("two", 200)).expect("a write");
        cluster.watch.unhook();
        let (secondary, first) = applies.lock().first().cloned().expect("a mutation");
        let again = || {
            let Mutation::Write { data, .. } = &first.mutation else { t.fail("it is a write".to_owned()) };
            let peer = cluster.server(secondary);
            for &id in data {
                let push = PushData { id, bytes: text("one", 200), chain: Vec::new() };
                cluster.wait_for(5000, "an answer", || peer.push_data(&push).ok()?.ok());
            }
            // One that lacks those before it may also wait for them.
            (0..5).find_map(|_| peer.timeout(ms(1000)).apply(&first).ok())
        };
        let is_new = |what: &str| {
            same(cluster.client_at(Some(secondary)).read("/a", 0, 200), text("two", 200), what);
        };
        t.scene(format!("Server {secondary} gets the first mutation once more."));
        let _ = again();
        is_new("what was written last");
        t.scene("It restarts, and gets it again.");
        cluster.restart_server(secondary);
        let answer = again();
        t.expect(
            matches!(answer, None | Some(Err(ChunkError::Gap | ChunkError::Stale | ChunkError::NoChunk))),
            || {
                format!(
                    "a server that has restarted counts anew, and answers an old mutation with {answer:?}"
                )
            },
        );
        is_new("what was written last");
    });
}

/// A change that was made before a crash is not made again behind it, and what came before it is late for
/// ever: also if the master starts from a checkpoint.
#[test]
fn gfs_changes_in_a_checkpoint() {
    let settings = Settings { checkpoint: 1, ..Settings::default() };
    play("gfs_changes_in_a_checkpoint", Setup { settings, ..Setup::servers(3) }, |t, cluster| {
        let change = |number, change| ChangeRequest { op: OpId { client: 9, number }, change };
        let ask = |request: &ChangeRequest| {
            let master = cluster.master();
            cluster.wait_for(5000, "an answer", || master.change(request).ok())
        };
        let create = change(1, FileChange::Create { path: "/a".to_owned() });
        let delete = change(2, FileChange::Delete { path: "/a".to_owned() });
        assert_eq!(ask(&create), Ok(String::new()));
        let hidden = ask(&delete);
        assert!(hidden.is_ok(), "{hidden:?}");
        t.scene("The master restarts. Both changes come once more.");
        cluster.restart_master();
        assert_eq!(ask(&delete), hidden, "the same answer");
        assert_eq!(ask(&create), Err(MasterError::Retry), "a late copy is not carried out");
        assert_eq!(cluster.client().list("/a"), Ok(Vec::new()));
    });
}

/// Changes are refused, and copies of them come when nothing is in their way any more, and when the master
/// has restarted. It starts from its log, and later from a checkpoint.
#[test]
fn gfs_refusals_outlive_the_master() {
    play("gfs_refusals_outlive_the_master", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        let (a, b) = (|| "/a".to_owned(), || "/b".to_owned());
        let changes = [
            FileChange::Delete { path: a() },
            FileChange::Rename { from: a(), to: b(), replace: true },
            FileChange::Snapshot { from: a(), to: b() },
        ];
        let refused: Vec<ChangeRequest> = (10..)
            .zip(changes)
            .map(|(client, change)| ChangeRequest { op: OpId { client, number: 1 }, change })
            .collect();
        let ask = |request: &ChangeRequest| {
            let master = cluster.master();
            cluster.wait_for(10_000, "an answer", || {
                master.change(request).ok().filter(|answer| *answer != Err(MasterError::Retry))
            })
        };
        for request in &refused {
            let answer = ask(request);
            t.expect(answer == Err(MasterError::NoFile), || {
                format!("/a is not there: {request:?}: {answer:?}")
            });
        }
        client.create("/a").expect("a new file");
        for start in ["its log", "a checkpoint"] {
            cluster.restart_master();
            t.scene(format!("The master has started from {start}. A copy of each change comes late."));
            for request in &refused {
                let late = ask(request);
                t.expect(late.is_err(), || {
                    format!("a late copy of a change that was refused is carried out: {request:?}: {late:?}")
                });
            }
            let names = cluster.client().list("/a");
            t.expect(names == Ok(vec![a()]), || format!("nothing has changed, and there is {names:?}"));
            (0..100).for_each(|file| client.create(&format!("/from {start} {file}")).expect("a new file"));
        }
    });
}

/// The master's answers to the primary, which extend its lease, are long under way. The lease counts from the
/// question. Then nothing of the primary reaches the master any more.
#[test]
fn gfs_extension_comes_late() {
    play("gfs_extension_comes_late", attentive(), |_, cluster| {
        split_brain(cluster, None, |cluster, primary| {
            let ends = [(0, machine(primary)), (machine(primary), 0)];
            let ends = ends.map(|(from, to)| Name::from(cluster.group.link(from, to)));
            let is_cut = Arc::new(Mutex::new(false));
            let cutting = is_cut.clone();
            cluster.net.network().set_tap(move |event| {
                let is_theirs = ends.contains(event.end);
                match event.direction {
                    Direction::Request if is_theirs && *is_cut.lock() => TapAction::Drop,
                    Direction::Reply if is_theirs && event.method == "MasterRpc.heartbeat" => {
                        TapAction::Delay(ms(270))
                    }
                    _ => TapAction::Deliver,
                }
            });
            thread::sleep(ms(300));
            *cutting.lock() = true;
        });
    });
}

/// A snapshot waits for a lease to come back, and meanwhile its file is deleted: the snapshot is refused. The
/// file comes back, and then a late copy of the request comes. It must not be carried out.
#[test]
fn gfs_snapshot_of_a_file_that_goes() {
    play("gfs_snapshot_of_a_file_that_goes", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("old", 500)).expect("a write");
        cluster.wait_for_replicas(20_000);
        let is_asked = Arc::new(Mutex::new(false));
        let asked = is_asked.clone();
        cluster.watch.before(move |who, method, _| {
            if let (Who::Server(_), "ChunkRpc.revoke") = (who, method) {
                *asked.lock() = true;
                thread::sleep(ms(250));
            }
        });
        t.scene("A server takes 250 ms to give a lease back. Meanwhile the file is deleted.");
        let change = FileChange::Snapshot { from: "/a".to_owned(), to: "/b".to_owned() };
        let request = ChangeRequest { op: OpId { client: 9, number: 1 }, change };
        let (master, first) = (cluster.master(), request.clone());
        // "Retry" is no refusal, so the same is asked again.
        let asking = thread::spawn_named("client", move || {
            (0..20).find_map(|_| {
                thread::sleep(ms(10));
                master.change(&first).ok().filter(|answer| *answer != Err(MasterError::Retry))
            })
        });
        // On a bad network the lease may be over, so that there is none to be taken back.
        let at = Instant::now();
        while !*is_asked.lock() && at.elapsed() < ms(2000) {
            thread::sleep(ms(1));
        }
        let hidden = client.delete("/a").expect("the file is there");
        let answer = asking.join().expect("it does not panic");
        t.exercised(answer == Some(Err(MasterError::NoFile)), "the snapshot came too late");
        t.scene("The file is back. A copy of the request comes late.");
        client.rename(&hidden, "/a").expect("the file is there");
        let master = cluster.master();
        let late = cluster.wait_for(10_000, "an answer", || master.change(&request).ok());
        t.expect(answer != Some(Err(MasterError::NoFile)) || late.is_err(), || {
            format!("a late copy of a snapshot that was refused gives {late:?}")
        });
    });
}

/// A snapshot is asked for while a mutation is under way. It waits for the mutation's end: from then on the
/// bytes that it shares stand still, on every replica.
#[test]
fn gfs_snapshot_behind_a_mutation() {
    play("gfs_snapshot_behind_a_mutation", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("old", 500)).expect("a write");
        cluster.wait_for_replicas(20_000);
        t.scene("A secondary takes 250 ms for a mutation. Meanwhile a snapshot is asked for.");
        let is_held = Arc::new(Mutex::new(false));
        let holding = is_held.clone();
        cluster.watch.before(move |who, method, _| {
            if let (Who::Server(_), "ChunkRpc.apply") = (who, method)
                && !std::mem::replace(&mut *holding.lock(), true)
            {
                thread::sleep(ms(250));
            }
        });
        let writer = cluster.client().into_client();
        let writing = thread::spawn_named("client", move || {
            let mut client = writer;
            client.write("/a", 0, &text("new", 500)).expect("a write");
        });
        cluster.wait(10_000, "a mutation is under way", || *is_held.lock());
        client.snapshot("/a", "/b").expect("a snapshot");
        let shared = cluster.locate("/b", 0, Purpose::Read);
        let read = || shared.replicas.iter().map(|&server| cluster.read_replica(server, &shared));
        let at_first: Vec<_> = read().collect();
        writing.join().expect("it does not panic");
        thread::sleep(ms(500));
        for ((server, before), after) in shared.replicas.iter().zip(at_first).zip(read()) {
            // What was lost on its way, or has another version by now, says nothing.
            let (Some(before), Some(after)) = (before, after) else { continue };
            t.expect(before == after || !t.is_ordinary(), || {
                let line = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(16)]).into_owned();
                let (before, after) = (line(&before), line(&after));
                format!("invariant 9: on server {server} the snapshot began with {before:?}, and then with {after:?}")
            });
        }
        same(cluster.client().read("/a", 0, 500), text("new", 500), "what was written");
    });
}

/// A file grows while a snapshot of it takes leases back. Either the snapshot ends before the new chunk, or
/// that chunk's lease is taken back, too.
#[test]
fn gfs_snapshot_of_a_growing_file() {
    play("gfs_snapshot_of_a_growing_file", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        let chunk = cluster.setup.settings.chunk;
        client.create("/a").expect("a new file");
        client.write("/a", (chunk - 500) as u64, &text("first", 500)).expect("a write");
        cluster.wait_for_replicas(20_000);
        t.scene("A server takes 250 ms to give its lease back. Meanwhile the file gets another chunk.");
        let is_held = Arc::new(Mutex::new(false));
        let holding = is_held.clone();
        cluster.watch.before(move |who, method, _| {
            if let (Who::Server(_), "ChunkRpc.revoke") = (who, method)
                && !std::mem::replace(&mut *holding.lock(), true)
            {
                thread::sleep(ms(250));
            }
        });
        let other = cluster.client().into_client();
        let snapshot = thread::spawn_named("client", move || {
            let mut client = other;
            client.snapshot("/a", "/b").expect("a snapshot");
        });
        // On a bad network the lease may be over, so that there is none to be taken back.
        let at = Instant::now();
        while !*is_held.lock() && at.elapsed() < ms(2000) {
            thread::sleep(ms(1));
        }
        client.write("/a", chunk as u64, &text("old", 500)).expect("a write");
        snapshot.join().expect("it does not panic");
        let kept = cluster.client().read_all("/b").expect("a read");
        t.met("the snapshot has the new chunk", u64::from(kept.len() > chunk));
        client.write("/a", chunk as u64, &text("new", 500)).expect("a write");
        for place in 0..3 {
            let what = format!("the snapshot, near {place}");
            same(cluster.client_at(Some(place)).read_all("/b"), &kept, &what);
            same(cluster.client_at(Some(place)).read("/a", chunk as u64, 500), text("new", 500), "the file");
        }
    });
}
