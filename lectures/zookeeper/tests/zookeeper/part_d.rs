//! Part ZD: what clients build. Counter, election, configuration.

use kvraft::{Clerk, KvServer};
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Instant;
use linearize::models::counter::{Counter as Model, CounterOp};
use linearize::{Limits, Recorder, Verdict};
use tester::{Boot, Booted, Group};
use zookeeper::{ANY_VERSION, Error, Operation, Outcome};
use zookeeper_recipes::{Config, Counter, Election, READY};

use crate::cluster::{Cluster, Zk, ms, play};

/// No increment is lost, none is counted twice.
#[test]
fn zk_counter() {
    play("zk_counter", 3, |t, cluster| {
        cluster.net.network().set_reliable(false);
        let history = Arc::new(Recorder::<CounterOp, i64>::default());
        let clients: Vec<_> = (0..10).map(|client| Arc::new(cluster.client_at(client % 3))).collect();
        Counter::new(&clients[0], "counter").expect("a new node");
        let increment = |number: usize, zk: &Arc<Zk>| {
            let (zk, history) = (zk.clone(), history.clone());
            thread::spawn(move || {
                let counter = Counter::new(&zk, "counter").expect("the session lives");
                for _ in 0..100 {
                    let now = || Instant::now().as_nanos();
                    let ticket = history.call(number as u32, CounterOp::FetchAdd(1), now());
                    let sum = counter.increment().expect("the session lives");
                    history.returned(ticket, sum as i64 - 1, now());
                }
            })
        };
        let working: Vec<_> = clients.iter().enumerate().map(|(at, zk)| increment(at, zk)).collect();
        cluster.wait(400_000, "a third of the work is done", || {
            cluster.watch.data("counter").is_some_and(|data| data.len() >= 3 && data >= b"300".to_vec())
        });
        t.scene("The leader crashes.");
        cluster.servers.crash(cluster.leader());
        working.into_iter().for_each(|thread| thread.join().expect("no increment fails"));
        assert_eq!(cluster.watch.data("counter"), Some(b"1000".to_vec()), "the sum of all increments");
        let history = history.history().expect("each client waits for its increments");
        let verdict = linearize::check(&Model, &history, &Limits::default());
        t.expect(matches!(verdict, Verdict::Linearizable(_)), || format!("the increments: {verdict:?}"));
    });
}

/// With get and put alone two clients elect themselves. With an exclusive create one wins.
#[test]
fn zk_put_get_election_fails() {
    play("zk_put_get_election_fails", 3, |t, cluster| {
        t.scene("Two clients of the key/value service: who finds no leader puts its own name.");
        let boot = |boot: Boot| {
            let server = KvServer::start(boot.ends, boot.me, boot.persister, None);
            Booted { services: labapi::KvServer::services(&server), server }
        };
        let service = Group::beside(t, &cluster.net, "kv", 3, 3, boot);
        service.start_all();
        let stand = |name: &'static str| {
            let mut clerk = Clerk::new((0..3).map(|server| end(cluster, service.name(server))).collect());
            thread::spawn(move || {
                let is_free = clerk.get("leader").expect("no limit").is_empty();
                // The time that a client needs to think.
                thread::sleep(ms(100));
                if is_free {
                    clerk.put("leader", name).expect("no limit");
                }
                is_free
            })
        };
        let elected = ["a", "b"].map(stand).map(|candidate| candidate.join().expect("it ends"));
        t.exercised(elected == [true, true], "put and get elect two");
        t.scene("Ten clients of this service: who creates the node is elected.");
        let clients: Vec<_> = (0..10).map(|client| Arc::new(cluster.client_at(client % 3))).collect();
        let stand = |zk: &Arc<Zk>| {
            let zk = zk.clone();
            thread::spawn(move || Election::new(&zk, "leader").stand(b"me").expect("the session lives"))
        };
        let candidates: Vec<_> = clients.iter().map(stand).collect();
        let elected = candidates.into_iter().map(|candidate| candidate.join().expect("it ends"));
        assert_eq!(elected.filter(|&is_elected| is_elected).count(), 1, "clients that are elected");
        (0..3).for_each(|server| service.crash(server));
    });
}

fn end(cluster: &Cluster, server: &labrpc::Name) -> labrpc::ClientEnd {
    let (number, end) = cluster.net.make_end(server);
    cluster.net.network().enable(number, true);
    end
}

/// What a generation writes.
fn files(generation: &[u8]) -> [(&str, &[u8]); 2] {
    [("f1", generation), ("f2", generation)]
}

fn get(path: &str) -> Operation {
    Operation::GetData { path: path.to_owned(), watch: false }
}

fn data(answer: zookeeper::Answer) -> Option<Vec<u8>> {
    match answer {
        Ok(Outcome::Data(data, _)) => Some(data),
        Err(Error::NoNode) => None,
        other => panic!("a read gives {other:?}"),
    }
}

/// A reader that sees "ready" reads that generation or a newer one.
#[test]
fn zk_ready_case1() {
    play("zk_ready_case1", 3, |t, cluster| {
        let writer = Arc::new(cluster.client_at(0));
        let readers: Vec<_> = (0..6).map(|client| Arc::new(cluster.client_at(client % 3))).collect();
        let write = move || {
            let config = Config::new(&writer, "conf").expect("the session lives");
            for generation in 1..=12_u8 {
                config.write(&[generation], &files(&[generation])).expect("the session lives");
                thread::sleep(ms(40));
            }
        };
        let writing = thread::spawn(write);
        let read = |zk: &Arc<Zk>| {
            let zk = zk.clone();
            thread::spawn(move || read_until(&zk, 12))
        };
        let reading: Vec<_> = readers.iter().map(read).collect();
        writing.join().expect("it ends");
        let pairs: u32 = reading.into_iter().map(|thread| thread.join().expect("it ends")).sum();
        t.exercised(pairs > 12, "readers saw ready");
    });
}

/// Reads until it has seen the last generation; returns how often it saw ready.
fn read_until(zk: &Zk, last: u8) -> u32 {
    let config = Config::new(zk, "conf").expect("the session lives");
    let (mut pairs, mut ready) = (0, 0);
    while ready < last {
        // Pipelined, so that little comes between.
        let reads = ["conf/ready", "conf/f1", "conf/f2"].map(|path| zk.start(get(path)));
        let [named, f1, f2] = reads.map(|read| data(read.wait()));
        if let Some(generation) = named {
            ready = generation[0];
            assert!(f1.as_ref() >= Some(&generation), "{f1:?} behind ready {generation:?}");
            assert!(f2.as_ref() >= Some(&generation), "{f2:?} behind ready {generation:?}");
            pairs += 1;
        }
        if let Some(found) = config.read(&["f1", "f2"]).expect("the session lives") {
            assert_eq!(found.data[0], found.data[1], "a mixed pair");
        }
    }
    pairs
}

/// A reader is paused between f1 and f2, and a new generation is written meanwhile.
#[test]
fn zk_ready_case2() {
    play("zk_ready_case2", 3, |t, cluster| {
        let writer = cluster.client_at(cluster.leader());
        let config = Config::new(&writer, "conf").expect("the session lives");
        config.write(&[0], &files(&[0])).expect("the session lives");
        cluster.settle();
        let reader = cluster.client_at(cluster.followers()[0]);
        let slow = Config::new(&reader, "conf").expect("the session lives");
        let mut restarts = 0;
        for generation in 1..=8_u8 {
            t.scene("The reader sees ready and reads f1. Then the writer writes a generation.");
            reader.sync("").expect("a leader is there");
            let (ready, changes) = reader.watch_exists("conf/ready").expect("a read");
            assert!(ready.is_some(), "a generation is finished");
            let f1 = data(reader.start(get("conf/f1")).wait());
            let writes = config.begin(&files(&[generation]));
            for pause in 0..4 {
                let f2 = data(reader.start(get("conf/f2")).wait());
                assert!(f1 == f2 || changes.has_fired(), "{f1:?} and {f2:?} before the event");
                thread::sleep(ms(3 * pause));
            }
            writes.into_iter().for_each(|write| drop(write.wait()));
            config.write(&[generation], &files(&[generation])).expect("the session lives");
            assert!(changes.wait_for(ms(10_000)).is_some(), "the watch fires");
            t.scene("The same with the recipe: it restarts.");
            reader.sync("").expect("a leader is there");
            let pause = || config.write(&[generation], &files(&[100 + generation])).expect("it lives");
            let first = slow.read_slowly(&["f1", "f2"], pause).expect("the session lives");
            restarts += u32::from(first.is_none());
            let again = || slow.read(&["f1", "f2"]).expect("the session lives");
            let found = first.unwrap_or_else(|| cluster.wait_for(10_000, "a generation is read", again));
            assert_eq!(found.data[0], found.data[1], "a mixed pair");
        }
        t.exercised(restarts > 0, "a reader restarted");
    });
}

/// A writer dies before it creates "ready".
#[test]
fn zk_ready_writer_dies() {
    play("zk_ready_writer_dies", 3, |t, cluster| {
        let (writer, reader) = (cluster.client_at(0), cluster.client_at(1));
        let config = Config::new(&writer, "conf").expect("the session lives");
        config.write(&[1], &files(&[1])).expect("the session lives");
        t.scene("A new generation is begun, and its writer dies.");
        let writes = config.begin(&files(&[2]));
        writes.into_iter().for_each(|write| drop(write.wait()));
        writer.crash();
        let seen = Config::new(&reader, "conf").expect("the session lives");
        reader.sync("").expect("a leader is there");
        for _ in 0..5 {
            assert!(seen.read(&["f1", "f2"]).expect("the session lives").is_none(), "it is not ready");
            let ready = reader.exists(&format!("conf/{READY}"));
            assert_eq!(ready, Ok(None), "the old configuration's mark is gone");
            thread::sleep(ms(600));
        }
        assert_eq!(reader.get_data("conf/f1").expect("half-written").0, [2]);
        t.scene("Another writer writes all of it.");
        seen.write(&[3], &files(&[3])).expect("the session lives");
        let found = seen.read(&["f1", "f2"]).expect("the session lives").expect("it is ready");
        assert_eq!(found.data, [vec![3], vec![3]], "the finished configuration");
        assert_eq!(reader.delete("conf/f1", ANY_VERSION), Ok(()));
    });
}
