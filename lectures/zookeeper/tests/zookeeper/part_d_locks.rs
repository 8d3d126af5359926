//! Part ZD, continued: locks and barriers.

use labrt::quiet::Mutex;
use labrt::rand;
use labrt::sync::Arc;
use labrt::thread;
use tester::Test;
use zookeeper::{Error, Flags, Settings, Zxid};
use zookeeper_recipes::{DoubleBarrier, Held, QueueLock, SimpleLock};

use crate::cluster::{Cluster, Zk, ms, play};

/// What the lock protects. It takes fencing numbers that grow, and refuses others.
#[derive(Default)]
struct Resource {
    highest: Zxid,
    uses: u32,
    /// Who is inside between two uses.
    inside: Option<Zxid>,
}

impl Resource {
    fn write(&mut self, fence: Zxid) -> bool {
        let is_right = fence >= self.highest;
        if is_right {
            self.uses += u32::from(fence > self.highest);
            self.highest = fence;
        }
        is_right
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Simple,
    Queue,
}

fn acquire(zk: &Zk, kind: Kind) -> Result<Held, Error> {
    match kind {
        Kind::Simple => SimpleLock::new(zk, "lf").acquire(),
        Kind::Queue => QueueLock::new(zk, "queue").acquire(),
    }
}

fn release(zk: &Zk, kind: Kind, held: &Held) -> Result<(), Error> {
    match kind {
        Kind::Simple => SimpleLock::new(zk, "lf").release(held),
        Kind::Queue => QueueLock::new(zk, "queue").release(held),
    }
}

/// How a client's work ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Release,
    /// It crashes while it holds the lock.
    CrashInside,
    /// The test crashes it at some time, most likely while it waits.
    CrashOutside,
}

/// Takes the lock, uses the resource twice, and gives the lock back; or crashes while it holds it.
fn use_once(zk: &Zk, kind: Kind, resource: &Mutex<Resource>, end: End) {
    let held = acquire(zk, kind).expect("the session lives");
    {
        let mut resource = resource.lock();
        assert!(resource.write(held.fence), "fence {} behind {}", held.fence, resource.highest);
        assert_eq!(resource.inside, None, "two hold the lock");
        resource.inside = (end == End::Release).then_some(held.fence);
    }
    thread::sleep(rand::random_range(ms(1)..=ms(10)));
    if end == End::CrashInside {
        return zk.crash();
    }
    {
        let mut resource = resource.lock();
        assert!(resource.write(held.fence), "fence {} behind {}", held.fence, resource.highest);
        resource.inside = None;
    }
    release(zk, kind, &held).expect("the session lives");
}

/// Mutual exclusion, progress although holders crash, and the order of the queue: the fencing numbers of the
/// queueing lock are those of the places, so they come in order only if the lock is FIFO.
#[test]
fn zk_lock_simple_and_queue() {
    play("zk_lock_simple_and_queue", 3, |t, cluster| {
        let settings = Settings { timeout: ms(1500), patience: None };
        let opener = cluster.client_at(0);
        opener.create("queue", b"", Flags::REGULAR).expect("a new node");
        for kind in [Kind::Simple, Kind::Queue] {
            t.scene("Twenty clients want the lock. Three crash while they wait, three while they hold it.");
            let resource: Arc<Mutex<Resource>> = Arc::default();
            // Somebody holds it all the while: a place that goes in the middle of the queue is no turn.
            let first = acquire(&opener, kind).expect("the session lives");
            assert!(resource.lock().write(first.fence), "the first holder's fence is refused");
            resource.lock().inside = Some(first.fence);
            let work = |client: usize| {
                let order = [client % 3, (client + 1) % 3, (client + 2) % 3];
                let zk = cluster.client_of(&order, settings);
                let (node, resource) = (zk.node.clone(), resource.clone());
                let zk = Arc::new(zk);
                let end = match client % 7 {
                    3 => End::CrashInside,
                    5 => End::CrashOutside,
                    _ => End::Release,
                };
                let worker = zk.clone();
                (zk, node.spawn("worker", move || use_once(&worker, kind, &resource, end)))
            };
            let (clients, workers): (Vec<_>, Vec<_>) = (0..20).map(work).unzip();
            thread::sleep(ms(150));
            let crashed: Vec<_> = clients.iter().skip(5).step_by(7).collect();
            crashed.iter().for_each(|client| client.crash());
            let has_ended = |client: &&Arc<Zk>| cluster.watch.ended(client.session()).is_some();
            cluster.wait(20_000, "their sessions end", || {
                crashed.iter().all(|client| client.session() == 0 || has_ended(client))
            });
            thread::sleep(ms(100));
            resource.lock().inside = None;
            release(&opener, kind, &first).expect("the session lives");
            for worker in workers {
                // Err: its computer crashed.
                let _ = worker.join();
            }
            let uses = resource.lock().uses;
            assert!((18..=21).contains(&uses), "{uses} clients held the lock");
        }
        t.scene(
            "A holder is cut off for longer than its timeout, and does not know that it has lost the lock.",
        );
        fence_off(t, cluster, settings);
    });
}

fn fence_off(t: &Test, cluster: &Cluster, settings: Settings) {
    let [first, second] = [0, 1].map(|server| cluster.client_of(&[server, 2], settings));
    let mut resource = Resource::default();
    let old = acquire(&first, Kind::Queue).expect("the session lives");
    first.set_links(false);
    let new = acquire(&second, Kind::Queue).expect("the session lives");
    assert!(cluster.watch.ended(first.session()).is_some(), "a lock of a live session changes hands");
    t.expect(resource.write(new.fence) && !resource.write(old.fence), || {
        format!("the resource takes {} behind {}", old.fence, new.fence)
    });
    first.set_links(true);
    assert_eq!(release(&first, Kind::Queue, &old), Err(Error::SessionExpired));
}

/// How many events the release of a lock costs.
#[test]
fn zk_herd_count() {
    play("zk_herd_count", 3, |t, cluster| {
        const WAITERS: u64 = 50;
        let settings = Settings { timeout: ms(20_000), patience: None };
        let opener = cluster.client_at(0);
        opener.create("queue", b"", Flags::REGULAR).expect("a new node");
        for (kind, path) in [(Kind::Simple, "lf"), (Kind::Queue, "queue/")] {
            t.scene("One holds the lock, and fifty wait for it.");
            let held = acquire(&opener, kind).expect("the session lives");
            let wait = |client: usize| {
                let zk = cluster.client_of(&[client % 3], settings);
                thread::spawn(move || {
                    let held = acquire(&zk, kind).expect("the session lives");
                    // Longer than the others need to watch again.
                    thread::sleep(ms(400));
                    release(&zk, kind, &held).expect("the session lives");
                })
            };
            let waiting: Vec<_> = (0..WAITERS as usize).map(wait).collect();
            thread::sleep(ms(2000));
            release(&opener, kind, &held).expect("the session lives");
            waiting.into_iter().for_each(|waiter| waiter.join().expect("it gets the lock"));
            let events = cluster.watch.events(path);
            match kind {
                Kind::Simple => assert!(events >= WAITERS * (WAITERS - 1) / 2, "{events} events: no herd"),
                // A client on a slow network changes servers, and its event may leave twice.
                Kind::Queue => {
                    let most = if t.is_ordinary() { WAITERS } else { 2 * WAITERS };
                    assert!(events <= most, "{events} events: a herd");
                }
            }
        }
    });
}

/// How many clients have come to a barrier, and how many want to leave it.
#[derive(Default)]
struct Count {
    came: usize,
    left: usize,
}

#[test]
fn zk_double_barrier() {
    play("zk_double_barrier", 3, |_, cluster| {
        const CLIENTS: usize = 30;
        const BARRIERS: usize = 10;
        let counts: Arc<Mutex<Vec<Count>>> = Arc::default();
        counts.lock().resize_with(BARRIERS, Count::default);
        let settings = Settings { timeout: ms(10_000), patience: None };
        let work = |client: usize| {
            let (zk, counts) = (cluster.client_of(&[client % 3], settings), counts.clone());
            let pause = if client == 0 { ms(150) } else { ms(0) };
            thread::spawn(move || {
                let name = client.to_string();
                for at in 0..BARRIERS {
                    let barrier = DoubleBarrier::new(&zk, &format!("barrier-{at}"), CLIENTS);
                    let barrier = barrier.expect("the session lives");
                    thread::sleep(pause);
                    counts.lock()[at].came += 1;
                    barrier.enter(&name).expect("the session lives");
                    assert_eq!(counts.lock()[at].came, CLIENTS, "one is in before all have come");
                    thread::sleep(pause);
                    counts.lock()[at].left += 1;
                    barrier.leave(&name).expect("the session lives");
                    assert_eq!(counts.lock()[at].left, CLIENTS, "one is out before all have left");
                }
            })
        };
        let workers: Vec<_> = (0..CLIENTS).map(work).collect();
        workers.into_iter().for_each(|worker| worker.join().expect("it ends"));
    });
}
