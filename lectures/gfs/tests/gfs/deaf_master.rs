// handout: file never
//! A master that was cut off, which the specification says nothing about: this solution loses no replica.

use gfs::rpc::{FindChunk, Purpose};
use labrt::thread;

use crate::cluster::{Setup, play, text};

/// The master hears no server for longer than the time after which a silent one counts as dead. Nobody was
/// silent, so no replica is left behind when it hears them again, one after the other.
#[test]
fn gfs_deaf_master() {
    play("gfs_deaf_master", Setup::servers(3), |t, cluster| {
        let mut client = cluster.client();
        client.create("/a").expect("a new file");
        client.write("/a", 0, &text("old", 500)).expect("a write");
        t.scene("The master is cut off from all servers until every lease is long over.");
        (0..3).for_each(|server| cluster.set_link(server, false));
        thread::sleep(cluster.setup.settings.lease * 2 + cluster.setup.settings.silence);
        t.scene("It hears them again, while somebody asks for a lease all the time.");
        let master = cluster.master();
        (0..3).for_each(|server| cluster.set_link(server, true));
        let lease = cluster.wait_for(20_000, "a lease is granted", || {
            let question = FindChunk { path: "/a".to_owned(), index: Some(0), purpose: Purpose::Write };
            (0..50).find_map(|_| master.find_chunk(&question).ok()?.ok())
        });
        t.expect(lease.replicas.len() == 3 || !t.is_ordinary(), || {
            format!("all three servers live, and the lease is {lease:?}")
        });
    });
}
