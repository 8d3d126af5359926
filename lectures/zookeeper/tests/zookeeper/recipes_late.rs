//! The recipes, when something happens between two of their steps.

use labrpc::{Direction, TapAction};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use tester::Test;
use zookeeper::rpc::Exchange;
use zookeeper::{Error, Flags, Operation, SessionId, Settings};
use zookeeper_recipes::{Access, DoubleBarrier, QueueLock, ReadWriteLock, Rendezvous, SimpleLock};

use crate::cluster::{Cluster, Zk, ms, play};

/// Longer than the others need for their step, and shorter than a client waits for its server.
const HELD: labrt::time::Duration = ms(1500);

const SLOW: Settings = Settings { timeout: ms(9000), patience: None };

/// The first watched read of this session that `is_it` is held up for a while. Says whether it has come.
fn hold_read(
    cluster: &Cluster,
    session: SessionId,
    is_it: impl Fn(&str) -> bool + Send + 'static,
) -> Arc<Mutex<bool>> {
    let is_held: Arc<Mutex<bool>> = Arc::default();
    let held = is_held.clone();
    cluster.net.network().set_tap(move |event| {
        if event.method != "ZkRpc.exchange" || event.direction != Direction::Request || *held.lock() {
            return TapAction::Deliver;
        }
        let exchange: Exchange = labgob::decode(event.bytes).expect("a message of the lab's own type");
        let is_watch = |operation: &Operation| {
            let is_node = matches!(
                operation,
                Operation::Exists { watch: true, .. } | Operation::GetData { watch: true, .. }
            );
            is_node && is_it(operation.path())
        };
        let is_meant = exchange.session == session
            && exchange.requests.iter().any(|request| is_watch(&request.operation));
        *held.lock() = is_meant;
        if is_meant { TapAction::Delay(HELD) } else { TapAction::Deliver }
    });
    is_held
}

/// A client does something in a thread of its own. Says what came of it, once it is done.
fn begin<T: Send + 'static>(
    zk: &Arc<Zk>,
    work: impl FnOnce(&Zk) -> Result<T, Error> + Send + 'static,
) -> Arc<Mutex<Option<Result<T, Error>>>> {
    let done: Arc<Mutex<Option<Result<T, Error>>>> = Arc::default();
    let (told, zk) = (done.clone(), zk.clone());
    thread::spawn_named("client", move || {
        let result = work(&zk);
        *told.lock() = Some(result);
    });
    done
}

fn is_done<T>(t: &Test, cluster: &Cluster, done: &Mutex<Option<Result<T, Error>>>, what: &str) {
    cluster.wait(20_000, what, || done.lock().is_some());
    let is_ok = done.lock().as_ref().is_some_and(|result| result.is_ok());
    t.expect(is_ok || !t.is_ordinary(), || format!("{what}: it has failed"));
}

/// A client finds a lock taken, and the lock is given back before the client watches it. Nothing will happen
/// to that node any more.
#[test]
fn zk_lock_goes_in_between() {
    play("zk_lock_goes_in_between", 3, |t, cluster| {
        let (holder, waiter) = (cluster.client_at(0), Arc::new(cluster.client_of(&[0, 1, 2], SLOW)));
        waiter.create("queue", b"", Flags::REGULAR).expect("a new node");
        t.scene("The lock in one node goes before the client that waits can watch it.");
        let lock = SimpleLock::new(&holder, "lf");
        let held = lock.acquire().expect("it is free");
        let is_held = hold_read(cluster, waiter.session(), |path| path == "lf");
        let taken = begin(&waiter, |zk| SimpleLock::new(zk, "lf").acquire());
        cluster.wait(20_000, "a client looks at the lock, which is taken", || *is_held.lock());
        lock.release(&held).expect("it is held");
        is_done(t, cluster, &taken, "a lock that is free is taken");
        t.scene("The place before a client goes before the client can watch it.");
        let lock = QueueLock::new(&holder, "queue");
        let held = lock.acquire().expect("it is free");
        let is_held = hold_read(cluster, waiter.session(), |path| path.starts_with("queue/"));
        let taken = begin(&waiter, |zk| QueueLock::new(zk, "queue").acquire());
        cluster.wait(20_000, "a client looks at the place before its own", || *is_held.lock());
        lock.release(&held).expect("it is held");
        is_done(t, cluster, &taken, "a queueing lock that is free is taken");
        cluster.net.network().clear_tap();
    });
}

/// Two readers hold the lock at the same time; a writer waits for both, and a reader behind it for the
/// writer.
#[test]
fn zk_readers_share() {
    play("zk_readers_share", 3, |t, cluster| {
        let clients: Vec<_> = (0..4).map(|at| Arc::new(cluster.client_at(at % 3))).collect();
        clients[0].create("rw", b"", Flags::REGULAR).expect("a new node");
        clients.iter().for_each(|zk| zk.sync("").expect("a leader is there"));
        let acquire =
            |at: usize, access| begin(&clients[at], move |zk| ReadWriteLock::new(zk, "rw").acquire(access));
        let first = acquire(0, Access::Read);
        is_done(t, cluster, &first, "a reader takes a lock that is free");
        let second = acquire(1, Access::Read);
        is_done(t, cluster, &second, "a reader takes a lock that another reader holds");
        t.scene("A writer comes, and behind it a reader.");
        let writer = acquire(2, Access::Write);
        thread::sleep(ms(1500));
        let last = acquire(3, Access::Read);
        thread::sleep(ms(1500));
        let release = |at: usize, done: &Mutex<Option<Result<zookeeper_recipes::Held, Error>>>| {
            let held = done.lock().take().expect("it has the lock").expect("its session lives");
            ReadWriteLock::new(&clients[at], "rw").release(&held).expect("its session lives");
            thread::sleep(ms(1500));
        };
        let alone = "a writer holds the lock, and so does a reader";
        release(0, &first);
        t.expect(writer.lock().is_none() && last.lock().is_none(), || alone.to_owned());
        release(1, &second);
        is_done(t, cluster, &writer, "a writer takes the lock when all readers before it have gone");
        t.expect(last.lock().is_none(), || alone.to_owned());
        release(2, &writer);
        is_done(t, cluster, &last, "a reader takes the lock when the writer before it has gone");
    });
}

/// The last client comes to a barrier right behind another one, which must not miss that.
#[test]
fn zk_barrier_fills_early() {
    play("zk_barrier_fills_early", 3, |t, cluster| {
        let clients = [0, 1].map(|_| Arc::new(cluster.client_of(&[0, 1, 2], SLOW)));
        clients[0].create("b", b"", Flags::REGULAR).expect("a new node");
        clients.iter().for_each(|zk| drop(DoubleBarrier::new(zk, "b", 2).expect("a barrier")));
        let watch = cluster.watch.clone();
        // What the first client looks at before it enters is not held up.
        hold_read(cluster, clients[0].session(), move |_| watch.data("b/in/first").is_some());
        let enter =
            |zk, name: &'static str| begin(zk, move |zk: &Zk| DoubleBarrier::new(zk, "b", 2)?.enter(name));
        let first = enter(&clients[0], "first");
        cluster.wait(20_000, "the first client is at the barrier", || {
            cluster.watch.data("b/in/first").is_some()
        });
        t.scene("The second of two clients comes.");
        let second = enter(&clients[1], "second");
        is_done(t, cluster, &second, "the second client is in");
        is_done(t, cluster, &first, "the first client is in: both are there");
        cluster.net.network().clear_tap();
    });
}

/// A worker is there before its master has said anything.
#[test]
fn zk_worker_comes_early() {
    play("zk_worker_comes_early", 3, |t, cluster| {
        let (master, worker) = (cluster.client_at(0), Arc::new(cluster.client_at(1)));
        master.create("place", b"", Flags::REGULAR).expect("a new node");
        worker.sync("").expect("a leader is there");
        let met = begin(&worker, |zk| Rendezvous::new(zk, "place").meet());
        thread::sleep(ms(1000));
        t.scene("The master says where it is.");
        Rendezvous::new(&master, "place").announce(b"here").expect("the place is there");
        is_done(t, cluster, &met, "the worker hears of its master");
        let told = met.lock().clone();
        t.expect(told == Some(Ok(b"here".to_vec())) || !t.is_ordinary(), || {
            format!("the master has said \"here\", and the worker heard {told:?}")
        });
    });
}
