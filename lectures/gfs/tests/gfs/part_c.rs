//! Part GC: the master's log, and its shadows.

use gfs::rpc::{AddChunk, ChangeRequest, FileChange, FindChunk, MasterError, OpId, Purpose};
use gfs_client::Error;
use gfs_client::records::{RecordWriter, read_records};
use labrt::rand::random_range;
use labrt::sync::{Arc, Mutex};
use labrt::thread;

use crate::cluster::{Cluster, Setup, ms, play, refused, same, text};

/// Crashes the master at one of its next writes.
fn crash_at_a_write(cluster: &Cluster, within: u64) {
    let mut left = random_range(0..within);
    cluster.group.on_write(0, move |group, _| {
        if left == 0 {
            group.crash(0);
        }
        left = left.saturating_sub(1);
    });
}

/// A client works, whatever happens to the master. Returns its files with their contents.
fn work(cluster: &Cluster, number: usize, rounds: usize, snapshots: bool) -> Vec<(String, Vec<u8>)> {
    let mut client = cluster.client();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for round in 0..rounds {
        let (path, body) = (format!("/w{number}/{round}"), text(&format!("w{number}.{round}"), 700));
        client.create(&path).expect("a new file");
        client.write(&path, 0, &body).expect("a write");
        client.append("/log", format!("{path} is written\n").as_bytes()).expect("an append");
        match round % 4 {
            0 => {
                let to = format!("/w{number}/renamed-{round}");
                client.rename(&path, &to).expect("a rename");
                files.push((to, body));
            }
            1 if snapshots => {
                let to = format!("/w{number}/snapshot-{round}");
                client.snapshot(&path, &to).expect("a snapshot");
                let new = text("changed", 700);
                client.write(&path, 0, &new).expect("a write");
                files.extend([(path, new), (to, body)]);
            }
            1 | 2 => {
                let hidden = client.delete(&path).expect("the file is there");
                client.rename(&hidden, &path).expect("it is restored");
                files.push((path, body));
            }
            _ => drop(client.delete(&path).expect("the file is there")),
        }
    }
    files
}

fn check(cluster: &Cluster, files: &[(String, Vec<u8>)]) {
    let mut reader = cluster.client();
    let mut listed = reader.list("/w").expect("a list");
    let mut expected: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    for (path, body) in files {
        same(reader.read_all(path), body, path);
    }
}

/// Invariants 5 and 6: the master dies at any of its writes, again and again, and work goes on. Snapshots are
/// part GD.
pub(crate) fn restarts(cluster: &Cluster, rounds: u32, snapshots: bool) {
    cluster.client().create("/log").expect("a new file");
    let running: Vec<_> = (0..3)
        .map(|number| {
            let cluster = cluster.clone();
            thread::spawn_named("client", move || work(&cluster, number, 8, snapshots))
        })
        .collect();
    for round in 1..=rounds {
        crash_at_a_write(cluster, 25);
        thread::sleep(ms(random_range(200..1500)));
        if !cluster.group.is_alive(0) {
            cluster.test.scene(format!("Restart {round}: the master has died at a write."));
        }
        cluster.restart_master();
    }
    let mut files = Vec::new();
    running.into_iter().for_each(|client| files.extend(client.join().expect("no client panics")));
    check(cluster, &files);
    cluster.test.scene("One more restart. All places are learned anew.");
    cluster.restart_master();
    check(cluster, &files);
}

#[test]
fn gfs_master_restart() {
    play("gfs_master_restart", Setup::servers(5), |_, cluster| restarts(cluster, 6, false));
}

/// The same on disks that lose and tear what is not synced; the chunkservers crash, too.
#[test]
fn gfs_unsynced_writes_are_lost() {
    let setup = Setup { loses_writes: true, ..Setup::servers(5) };
    play("gfs_unsynced_writes_are_lost", setup, |_, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        let body = text("a", 3000);
        client.write("/a", 0, &body).expect("a write");
        (0..5).for_each(|server| cluster.crash_server(server));
        cluster.restart_master();
        (0..5).for_each(|server| cluster.restart_server(server));
        same(cluster.client().read("/a", 0, 3000), &body, "what was read");
        restarts(cluster, 3, false);
    });
}

/// The master is down. A shadow answers reads of what it knows, and changes nothing.
#[test]
fn gfs_shadow_stale_reads() {
    let setup = Setup { shadows: 1, ..Setup::servers(5) };
    play("gfs_shadow_stale_reads", setup, |t, cluster| {
        let mut client = cluster.client();
        client.create("/old").expect("a new file");
        let body = text("old", 1000);
        client.write("/old", 0, &body).expect("a write");
        let shadow = cluster.shadow();
        let find = |path: &str, purpose| FindChunk { path: path.to_owned(), index: Some(0), purpose };
        cluster.wait(20_000, "the shadow knows the file", || {
            matches!(shadow.find_chunk(&find("/old", Purpose::Read)), Ok(Ok(_)))
        });
        t.scene("A file is created, and the master dies.");
        client.create("/new").expect("a new file");
        cluster.group.crash(0);
        let impatient = gfs::Settings { patience: ms(3000), ..cluster.setup.settings.clone() };
        let mut other = cluster.client_with(None, impatient);
        same(other.read("/old", 0, 1000), &body, "by the shadow");
        let new = other.read("/new", 0, 1000);
        t.met("a new file is not known to the shadow", u64::from(new != Ok(Vec::new())));
        assert!(
            matches!(new, Ok(_) | Err(Error::Master(MasterError::NoFile))),
            "a read of a file that the shadow may not know: bytes or NoFile are expected, not {new:?}"
        );
        t.scene("Changes are refused.");
        let read_only = refused(MasterError::ReadOnly);
        assert_eq!(other.write("/old", 0, b"x"), Err(read_only), "a write ends with the shadow's answer");
        assert_eq!(other.create("/x"), Err(read_only), "a change ends with the shadow's answer");
        let refuses = |answer: Result<Result<(), MasterError>, labrpc::RpcError>| {
            matches!(answer, Ok(Err(MasterError::ReadOnly)) | Err(_))
        };
        assert!(refuses(shadow.find_chunk(&find("/old", Purpose::Write)).map(|answer| answer.map(|_| ()))));
        let add = AddChunk { path: "/old".to_owned(), after: Some(0) };
        assert!(refuses(shadow.add_chunk(&add).map(|answer| answer.map(|_| ()))));
        t.scene("The master is back. The shadow follows again.");
        cluster.restart_master();
        client.write("/new", 0, b"hello").expect("a write");
        cluster.wait(20_000, "the shadow knows the new file", || {
            matches!(shadow.find_chunk(&find("/new", Purpose::Read)), Ok(Ok(_)))
        });
    });
}

/// A change is answered when a remote copy of the log has it. With that copy, the store goes on where the
/// master's disk was lost.
#[test]
fn gfs_log_on_a_remote_copy() {
    let settings = gfs::Settings { remote_copies: 1, ..gfs::Settings::default() };
    let setup = Setup { shadows: 1, settings, ..Setup::servers(5) };
    play("gfs_log_on_a_remote_copy", setup, |t, cluster| {
        let mut client = cluster.client();
        client.create("/log").expect("a new file");
        t.scene("The shadow is down: no change is answered.");
        let shadow = 6;
        cluster.group.crash(shadow);
        let request = ChangeRequest {
            op: OpId { client: 1, number: 1 },
            change: FileChange::Create { path: "/waits".to_owned() },
        };
        for asked in ["asked for the first time", "asked again"] {
            let answer = cluster.master().timeout(ms(3000)).change(&request);
            assert!(!matches!(answer, Ok(Ok(_))), "{asked}: {answer:?} without a remote copy");
        }
        cluster.group.restart(shadow);
        cluster.group.connect(shadow);
        cluster.wait(20_000, "the same change is answered", || {
            matches!(cluster.master().change(&request), Ok(Ok(_)))
        });
        let mut writer = RecordWriter::default();
        for number in 0..10 {
            writer.append(&mut client, "/log", &text(&format!("r{number}"), 200)).expect("an append");
        }
        t.scene("The master loses its disk. It starts with the copy of the shadow's.");
        cluster.group.crash(0);
        cluster.replace_disk(0, shadow);
        cluster.restart_master();
        assert_eq!(read_records(&mut cluster.client(), "/log").expect("a read").len(), 10);
        assert_eq!(client.list("/"), Ok(vec!["/log".to_owned(), "/waits".to_owned()]));
        let seen = Arc::new(Mutex::new(0));
        *seen.lock() += cluster.watch.calls("MasterRpc.ship_log");
        t.exercised(*seen.lock() > 0, "the log is shipped");
    });
}
