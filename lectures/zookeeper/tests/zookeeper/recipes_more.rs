//! The recipes without points of their own.

use labrpc::{Direction, TapAction};
use labrt::quiet::Mutex;
use labrt::rand;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Instant;
use zookeeper::rpc::{Delivery, Exchanged, Refused};
use zookeeper::{ANY_VERSION, Error, EventKind, Flags, MAX_DATA, Operation, Outcome, Settings};
use zookeeper_recipes::{
    Access, Config, Counter, DoubleBarrier, Election, Membership, Queue, ReadWriteLock, Rendezvous,
};

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

/// Each item is taken once.
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

/// First in, first out; and the items outlive the client that brought them.
#[test]
fn zk_queue_in_order() {
    play("zk_queue_in_order", 3, |t, cluster| {
        let producer = cluster.client_at(0);
        let queue = Queue::new(&producer, "items").expect("it lives");
        (0..5_u8).for_each(|item| queue.push(&[item]).expect("it lives"));
        t.scene("The producer closes its session. One consumer takes what is there.");
        let _ = producer.start(Operation::Close).wait();
        let consumer = cluster.client_at(1);
        consumer.sync("items").expect("a leader is there");
        let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
        let popped = taken.clone();
        let worker = thread::spawn(move || {
            let queue = Queue::new(&consumer, "items").expect("it lives");
            for _ in 0..5 {
                let item = queue.pop().expect("it lives");
                popped.lock().extend(item);
            }
        });
        cluster.wait(20_000, "five items are taken, which were pushed", || taken.lock().len() == 5);
        worker.join().expect("it ends");
        let taken = taken.lock().clone();
        t.expect(taken == [0, 1, 2, 3, 4], || {
            format!("items 0 to 4 were pushed in this order, and are taken as {taken:?}")
        });
    });
}

/// A client dies inside a barrier. The others leave it.
#[test]
fn zk_barrier_without_one() {
    play("zk_barrier_without_one", 3, |t, cluster| {
        let left: Arc<Mutex<usize>> = Arc::default();
        let inside: Arc<Mutex<usize>> = Arc::default();
        let clients: Vec<_> = (0..3).map(|client| Arc::new(cluster.client_at(client))).collect();
        let work = |(client, zk): (usize, &Arc<Zk>)| {
            let (zk, left, inside) = (zk.clone(), left.clone(), inside.clone());
            thread::spawn(move || {
                let zk: &Zk = &zk;
                let barrier = DoubleBarrier::new(zk, "barrier", 3).expect("the session lives");
                barrier.enter(&client.to_string()).expect("the session lives");
                *inside.lock() += 1;
                if client > 0 {
                    barrier.leave(&client.to_string()).expect("the session lives");
                    *left.lock() += 1;
                }
            })
        };
        let workers: Vec<_> = clients.iter().enumerate().map(work).collect();
        cluster.wait(60_000, "three clients enter a barrier for three", || *inside.lock() == 3);
        t.scene("Two want to leave. The third one dies inside.");
        clients[0].crash();
        cluster.wait(60_000, "two leave the barrier, and the third one is dead", || *left.lock() == 2);
        workers.into_iter().for_each(|worker| worker.join().expect("it ends"));
    });
}

/// What fails is passed on: a name that is taken, data that are too long.
#[test]
fn zk_recipes_fail() {
    play("zk_recipes_fail", 3, |t, cluster| {
        let (one, two) = (cluster.client_at(0), cluster.client_at(1));
        Membership::new(&one, "group").expect("it lives").join("m", b"").expect("a new name");
        let joined = Membership::new(&two, "group").expect("it lives").join("m", b"");
        t.expect(joined == Err(Error::NodeExists), || {
            format!("m is a member already, and joins: {joined:?}")
        });
        let config = Config::new(&one, "config").expect("it lives");
        let written = config.write(b"1", &[("f", &[7; MAX_DATA + 1])]);
        t.expect(written == Err(Error::TooLarge), || {
            format!("a file of a configuration is too large, and it is written: {written:?}")
        });
    });
}

/// A counter's client loses the answer to its write. It does not count twice.
#[test]
fn zk_counter_loses_an_answer() {
    play("zk_counter_loses_an_answer", 3, |t, cluster| {
        let settings = Settings { timeout: ms(20_000), patience: Some(ms(3000)) };
        let zk = cluster.client_of(&[0], settings);
        let counter = Counter::new(&zk, "counter").expect("it lives");
        t.scene("The answer to a set is lost, until the client has no more patience.");
        let until = Instant::now() + ms(3500);
        cluster.net.network().set_tap(move |event| {
            let is_answer = event.method == "ZkRpc.exchange" && event.direction == Direction::Reply;
            let is_lost = is_answer && Instant::now() < until && brings_a_set(event.bytes);
            if is_lost { TapAction::Drop } else { TapAction::Deliver }
        });
        let sum = counter.increment();
        t.expect([Ok(1), Err(Error::ConnectionLoss)].contains(&sum), || {
            format!("one is added to 0, the answer is lost, and the call gives {sum:?}")
        });
        t.exercised(sum.is_err(), "the answer to an increment was lost");
        let data = cluster.watch.data("counter");
        t.expect(data.as_deref() == Some(b"1"), || {
            format!("one call has added one to 0, and the counter is {data:?}")
        });
    });
}

/// Whether what a server answers to an exchange holds the answer to a set.
fn brings_a_set(bytes: &[u8]) -> bool {
    let Ok(Ok(told)) = labgob::decode::<Result<Exchanged, Refused>>(bytes) else { return false };
    let is_set = |one: &Delivery| matches!(one, Delivery::Reply { answer: Ok(Outcome::Set(_)), .. });
    told.deliveries.iter().any(is_set)
}
