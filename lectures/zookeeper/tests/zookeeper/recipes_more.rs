//! The recipes without points of their own.

use labrt::quiet::Mutex;
use labrt::rand;
use labrt::sync::Arc;
use labrt::thread;
use zookeeper::{ANY_VERSION, Error, EventKind, Flags};
use zookeeper_recipes::{Access, Election, Membership, Queue, ReadWriteLock, Rendezvous};

use crate::cluster::{Zk, ms, play};

/// Readers share, writers do not, and nobody overtakes.
#[test]
fn zk_read_write_lock() {
    play("zk_read_write_lock", 3, |t, cluster| {
        let opener = cluster.client_at(0);
        opener.create("rw", b"", Flags::REGULAR).expect("a new node");
        let inside: Arc<Mutex<(i32, i32, i32)>> = Arc::default();
        let work = |client: usize| {
            let (zk, inside) = (cluster.client_at(client % 3), inside.clone());
            thread::spawn(move || {
                let access = if client.is_multiple_of(3) { Access::Write } else { Access::Read };
                let lock = ReadWriteLock::new(&zk, "rw");
                let held = lock.acquire(access).expect("the session lives");
                let is_writer = i32::from(access == Access::Write);
                {
                    let (readers, writers, most) = &mut *inside.lock();
                    (*readers, *writers) = (*readers + 1 - is_writer, *writers + is_writer);
                    *most = (*most).max(*readers);
                    assert!(*writers == 0 || (*writers, *readers) == (1, 0), "a writer is not alone");
                }
                thread::sleep(rand::random_range(ms(50)..=ms(100)));
                {
                    let (readers, writers, _) = &mut *inside.lock();
                    (*readers, *writers) = (*readers - 1 + is_writer, *writers - is_writer);
                }
                lock.release(&held).expect("the session lives");
            })
        };
        let workers: Vec<_> = (0..12).map(work).collect();
        workers.into_iter().for_each(|worker| worker.join().expect("it gets the lock"));
        t.exercised(inside.lock().2 > 1, "readers shared the lock");
    });
}

/// A member that dies is missed; its seat goes to another one.
#[test]
fn zk_membership_and_primary() {
    play("zk_membership_and_primary", 3, |t, cluster| {
        let clients: Vec<_> = (0..3).map(|server| cluster.client_at(server)).collect();
        for (at, zk) in clients.iter().enumerate() {
            Membership::new(zk, "group").expect("it lives").join(&format!("m{at}"), b"").expect("a new name");
        }
        assert!(Election::new(&clients[0], "seat").stand(b"m0").expect("it lives"));
        assert!(!Election::new(&clients[1], "seat").stand(b"m1").expect("it lives"));
        clients[2].sync("").expect("a leader is there");
        let group = Membership::new(&clients[2], "group").expect("it lives");
        let (members, changes) = group.members().expect("it lives");
        assert_eq!(members, ["m0", "m1", "m2"]);
        clients[1].sync("").expect("a leader is there");
        let seat = Election::new(&clients[1], "seat");
        let (primary, over) = seat.primary().expect("it lives").expect("there is a primary");
        assert_eq!(primary, b"m0");
        t.scene("The primary dies.");
        clients[0].crash();
        assert_eq!(changes.wait().map(|event| event.kind), Some(EventKind::Children));
        assert_eq!(group.members().expect("it lives").0, ["m1", "m2"]);
        assert_eq!(over.wait().map(|event| event.kind), Some(EventKind::Deleted));
        assert!(seat.stand(b"m1").expect("it lives"), "the seat is free");
    });
}

/// Each item is taken once, in order.
#[test]
fn zk_queue_and_rendezvous() {
    play("zk_queue_and_rendezvous", 3, |_, cluster| {
        let (producer, taken) = (cluster.client_at(0), Arc::new(Mutex::new(Vec::new())));
        producer.create("place", b"", Flags::REGULAR).expect("a new node");
        cluster.settle();
        let work = |client: usize| {
            let (zk, taken) = (Arc::new(cluster.client_at(client)), taken.clone());
            thread::spawn(move || {
                let zk: &Zk = &zk;
                assert_eq!(Rendezvous::new(zk, "place").meet().expect("it lives"), b"go");
                let queue = Queue::new(zk, "items").expect("it lives");
                for _ in 0..5 {
                    let item = queue.pop().expect("it lives");
                    taken.lock().push(item);
                }
            })
        };
        let workers: Vec<_> = (0..3).map(work).collect();
        Rendezvous::new(&producer, "place").announce(b"go").expect("it lives");
        let queue = Queue::new(&producer, "items").expect("it lives");
        (0..15_u8).for_each(|item| queue.push(&[item]).expect("it lives"));
        workers.into_iter().for_each(|worker| worker.join().expect("it ends"));
        let mut taken = taken.lock().clone();
        taken.sort_unstable();
        assert!(taken.into_iter().eq((0..15).map(|item| vec![item])), "each item once");
        producer.delete("place", ANY_VERSION).expect("the node is there");
        assert_eq!(Rendezvous::new(&producer, "place").meet(), Err(Error::NoNode));
    });
}
