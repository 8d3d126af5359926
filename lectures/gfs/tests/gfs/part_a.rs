//! Part GA: files, chunks, and the client library.

use std::collections::BTreeMap;

use gfs::rpc::{MasterError, Purpose};
use labrt::thread;

use crate::cluster::{Setup, all_at_once, machine, ms, play, refused, same, text};

/// What is read is what was written, also across the borders of chunks.
#[test]
fn gfs_create_read_write() {
    play("gfs_create_read_write", Setup::servers(5), |t, cluster| {
        let mut client = cluster.client();
        let chunk = cluster.setup.settings.chunk;
        client.create("/data/a").expect("a new file");
        assert_eq!(client.read("/data/a", 0, 100), Ok(Vec::new()), "an empty file");
        assert_eq!(client.length("/data/a"), Ok(0));
        t.scene("A file of two and a half chunks is written and read.");
        let mut whole = text("a", chunk * 5 / 2);
        client.write("/data/a", 0, &whole).expect("a write");
        assert_eq!(client.length("/data/a"), Ok(whole.len() as u64));
        same(client.read_all("/data/a"), &whole, "what was read");
        let (from, length) = (chunk as u64 - 100, chunk + 200);
        let read = client.read("/data/a", from, length).expect("a read across two borders");
        same(Ok(read), &whole[from as usize..from as usize + length], "across two borders");
        t.scene("A part is overwritten, across a border. Another client reads it.");
        let new = text("new", 3000);
        client.write("/data/a", chunk as u64 - 1234, &new).expect("a write across a border");
        whole[chunk - 1234..chunk - 1234 + 3000].copy_from_slice(&new);
        let mut other = cluster.client();
        same(other.read_all("/data/a"), &whole, "what was read");
        let end = whole.len() as u64;
        same(other.read("/data/a", end - 10, 100), &whole[whole.len() - 10..], "to the end");
        assert_eq!(other.read("/data/a", end + 10, 100), Ok(Vec::new()), "beyond the end");
        t.scene("A write leaves a gap of two chunks. The gap is zeros.");
        client.write("/data/a", end + 2 * chunk as u64, b"far").expect("a write beyond the end");
        whole.resize(whole.len() + 2 * chunk, 0);
        whole.extend(b"far");
        same(other.read("/data/a", 0, whole.len() + 7), &whole, "what was read");
        assert_eq!(client.list("/data/"), Ok(vec!["/data/a".to_owned()]));
    });
}

/// The master is asked once; then the client knows.
#[test]
fn gfs_client_cache() {
    play("gfs_client_cache", Setup::servers(5), |t, cluster| {
        let mut writer = cluster.client();
        writer.create("/a").expect("a new file");
        let whole = text("a", 20_000);
        writer.write("/a", 0, &whole).expect("a write");
        let mut reader = cluster.client_at(Some(2));
        let before = cluster.watch.master_calls();
        for number in 0..1000 {
            let at = number * 19;
            same(reader.read("/a", at as u64, 19), &whole[at..at + 19], "what was read");
        }
        let calls = cluster.watch.master_calls() - before;
        // On a slow network the reads take longer than places are remembered.
        let limit = if t.is_ordinary() { 2 } else { 20 };
        t.expect(calls <= limit, || {
            format!("1,000 reads of a chunk ask the master {calls} times, at most {limit}")
        });
    });
}

/// Each chunk is on three servers, and the servers have about the same number.
#[test]
fn gfs_three_replicas() {
    play("gfs_three_replicas", Setup::servers(5), |t, cluster| {
        let mut client = cluster.client();
        for file in 0..20 {
            let path = format!("/file-{file}");
            client.create(&path).expect("a new file");
            client.write(&path, 0, &text(&path, 500)).expect("a write");
        }
        cluster.wait_for_replicas(20_000);
        let chunks = cluster.chunks();
        assert_eq!(chunks.len(), 20);
        let mut load: BTreeMap<usize, usize> = (0..5).map(|server| (server, 0)).collect();
        for ((path, _), located) in &chunks {
            assert!(located.replicas.len() >= 3, "{path} is on {:?}", located.replicas);
            let expected = text(path, 500);
            for &server in &located.replicas {
                *load.entry(server).or_default() += 1;
                let read = || cluster.read_replica(server, located);
                assert_eq!(cluster.wait_for(5000, "a replica is read", read), expected, "{path} at {server}");
            }
        }
        let (least, most) = (load.values().min().copied(), load.values().max().copied());
        t.expect(most <= least.map(|least| 2 * least), || format!("chunks by server: {load:?}"));
    });
}

/// A deleted file can be restored for a while. Then its space is free, everywhere.
#[test]
fn gfs_lazy_delete() {
    play("gfs_lazy_delete", Setup::servers(5), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        let whole = text("a", 1000);
        client.write("/a", 0, &whole).expect("a write");
        let mark = &whole[136..184];
        t.scene("The file is deleted, and restored in time.");
        let hidden = client.delete("/a").expect("the file is there");
        assert_eq!(client.read_all("/a"), Err(refused(MasterError::NoFile)));
        assert_eq!(client.list("/"), Ok(Vec::new()), "deleted files are not listed");
        same(client.read_all(&hidden), &whole, "it can be read by its hidden name");
        client.rename(&hidden, "/a").expect("it is not too late");
        // The time that a file is kept begins anew with the next delete.
        thread::sleep(cluster.setup.settings.trash + ms(500));
        same(client.read_all("/a"), &whole, "what was read");
        t.scene("It is deleted again, while one of its servers is down.");
        let located = cluster.locate("/a", 0, Purpose::Read);
        let down = located.replicas[0];
        cluster.crash_server(down);
        let hidden = client.delete("/a").expect("the file is there");
        cluster.wait(20_000, "the space is free on all servers that are up", || {
            cluster.disks_with(mark).iter().all(|&server| server == down)
        });
        assert_eq!(client.rename(&hidden, "/a"), Err(refused(MasterError::NoFile)), "too late");
        assert_eq!(cluster.disks_with(mark), [down], "the server that is down still has it");
        t.scene("The server comes back.");
        cluster.restart_server(down);
        cluster.wait(20_000, "the space is free there, too", || cluster.disks_with(mark).is_empty());
        assert!(cluster.group.is_alive(machine(down)));
    });
}

/// A file that is written under another name and then renamed is seen as a whole, or not at all.
#[test]
fn gfs_atomic_publish() {
    play("gfs_atomic_publish", Setup::servers(5), |t, cluster| {
        let length = cluster.setup.settings.chunk + 5000;
        let versions: Vec<Vec<u8>> = (0..=4).map(|version| text(&format!("v{version}"), length)).collect();
        let mut setup = cluster.client();
        setup.create("/result").expect("a new file");
        setup.write("/result", 0, &versions[0]).expect("a write");
        let clients: Vec<_> = (0..4).map(|_| cluster.client().into_client()).collect();
        t.scene("One client publishes versions, and three poll.");
        let seen = all_at_once(clients, move |number, mut client| {
            let mut seen = Vec::new();
            if number == 0 {
                for (version, body) in versions.iter().enumerate().skip(1) {
                    let temporary = format!("/tmp/{version}");
                    client.create(&temporary).expect("a new file");
                    client.write(&temporary, 0, body).expect("a write");
                    client.publish(&temporary, "/result").expect("a rename");
                    client.publish(&format!("/tmp/{version}"), "/x").expect_err("it has another name now");
                }
                return seen;
            }
            for _ in 0..25 {
                let read = client.read_all("/result").expect("there is always a version");
                let version = versions.iter().position(|version| read == *version);
                seen.push(version.unwrap_or_else(|| panic!("{} bytes of no version", read.len())));
                thread::sleep(ms(20));
            }
            seen
        });
        for seen in &seen {
            assert!(seen.is_sorted(), "a reader goes back: {seen:?}");
        }
        let versions: std::collections::BTreeSet<_> = seen.iter().flatten().collect();
        t.exercised(versions.len() > 1, "a reader sees a version come");
    });
}
