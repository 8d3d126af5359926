//! Nodes: kill, pause, clocks; and the primitives that few labs use.

use labrt::node::{self, Node};
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::sync::{Arc, Mutex, Once, RwLock, WaitGroup};
use labrt::time::{Duration, Instant};
use labrt::{Config, FailureKind, channel, oneshot, rand, run, runtime, thread};

use crate::basics::{both, both_ok};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_kill_runs_the_destructors_of_every_thread() {
    struct Counted(Arc<AtomicU64>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    both_ok(|| {
        let dropped = Arc::new(AtomicU64::new(0));
        let node = Node::new("server");
        let (sender, receiver) = channel::bounded::<()>(0);
        let receiver = Arc::new(receiver);
        for _ in 0..4 {
            let (counted, receiver) = (Counted(Arc::clone(&dropped)), Arc::clone(&receiver));
            node.spawn("receiver", move || {
                let _counted = counted;
                receiver.recv()
            });
        }
        let (counted, sleeper) = (Counted(Arc::clone(&dropped)), Counted(Arc::clone(&dropped)));
        node.spawn("sleeper", move || {
            let _counted = (counted, sleeper);
            thread::sleep(1000 * MS);
        });
        thread::sleep(20 * MS);
        node.kill();
        assert_eq!(dropped.load(Ordering::SeqCst), 6);
        drop(sender);
    });
}

#[test]
fn a_thread_may_kill_its_own_node() {
    both_ok(|| {
        let node = Node::new("server");
        let own = node.clone();
        let joined = node.spawn("suicide", move || own.kill()).join();
        assert!(joined.is_err() && node.is_killed());
    });
}

#[test]
fn threads_belong_to_the_node_that_spawned_them() {
    both_ok(|| {
        let node = Node::new("server");
        let name = || node::current().name().to_owned();
        assert_eq!(
            node.spawn("outer", move || thread::spawn(name).join().unwrap()).join().unwrap(),
            "server"
        );
        assert_eq!(node.enter(|| thread::spawn(name)).join().unwrap(), "server");
        assert_eq!(name(), "main");
    });
}

#[test]
fn a_paused_node_stands_still_and_goes_on() {
    both_ok(|| {
        let node = Node::new("server");
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        node.spawn("counter", move || {
            loop {
                counter.fetch_add(1, Ordering::SeqCst);
                thread::sleep(MS);
            }
        });
        thread::sleep(30 * MS);
        node.pause();
        thread::sleep(30 * MS);
        let seen = count.load(Ordering::SeqCst);
        assert!(seen > 2);
        thread::sleep(60 * MS);
        assert_eq!(count.load(Ordering::SeqCst), seen);
        node.resume();
        thread::sleep(60 * MS);
        assert!(count.load(Ordering::SeqCst) > seen);
    });
}

#[test]
fn a_fast_clock_shows_more_and_wakes_earlier() {
    let outcome = run(Config::simulated(1), || {
        let node = Node::new("fast");
        thread::sleep(Duration::from_secs(10));
        node.set_clock_rate(2.0);
        let slept = node.spawn("sleeper", || {
            let started = Instant::now();
            thread::sleep(Duration::from_secs(4));
            started.elapsed()
        });
        let started = Instant::now();
        assert_eq!(slept.join().unwrap(), Duration::from_secs(4));
        assert_eq!(started.elapsed(), Duration::from_secs(2));
    });
    outcome.result.unwrap();
}

#[test]
fn readers_share_and_writers_exclude() {
    both_ok(|| {
        let lock = Arc::new(RwLock::new(0));
        let first = lock.read();
        let second = lock.read();
        assert_eq!(*first + *second, 0);
        let writer = Arc::clone(&lock);
        let thread = thread::spawn(move || *writer.write() += 1);
        thread::sleep(10 * MS);
        assert!(!thread.is_finished());
        drop((first, second));
        thread.join().unwrap();
        assert_eq!(*lock.read(), 1);
    });
}

#[test]
fn once_means_once() {
    both_ok(|| {
        let (once, count) = (Arc::new(Once::new()), Arc::new(AtomicU64::new(0)));
        let threads: Vec<_> = (0..5)
            .map(|_| {
                let (once, count) = (Arc::clone(&once), Arc::clone(&count));
                thread::spawn(move || {
                    once.call_once(|| {
                        thread::sleep(5 * MS);
                        count.fetch_add(1, Ordering::SeqCst);
                    });
                    count.load(Ordering::SeqCst)
                })
            })
            .collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 1));
        assert!(once.is_completed());
    });
}

#[test]
fn a_wait_group_waits_for_all() {
    both_ok(|| {
        let (group, count) = (WaitGroup::new(), Arc::new(AtomicU64::new(0)));
        for _ in 0..5 {
            let (member, count) = (group.clone(), Arc::clone(&count));
            thread::spawn(move || {
                thread::sleep(3 * MS);
                count.fetch_add(1, Ordering::SeqCst);
                drop(member);
            });
        }
        group.wait();
        assert_eq!(count.load(Ordering::SeqCst), 5);
    });
}

#[test]
fn a_oneshot_ends_by_value_by_time_or_by_loss() {
    both_ok(|| {
        let (put, take) = oneshot::channel();
        thread::spawn(move || put.put(5));
        assert_eq!(take.wait(), Some(5));
        let (put, take) = oneshot::channel::<()>();
        assert_eq!(take.wait_deadline(Instant::now() + 5 * MS), Err(oneshot::TimedOut));
        drop(put);
        let (put, take) = oneshot::channel::<()>();
        thread::spawn(move || drop(put));
        assert_eq!(take.wait(), None);
    });
}

#[test]
fn a_oneshot_ends_by_time_outside_of_runs_as_well() {
    let (put, take) = oneshot::channel::<u32>();
    let started = std::time::Instant::now();
    assert_eq!(take.wait_deadline(Instant::now() + 20 * MS), Err(oneshot::TimedOut));
    assert!(started.elapsed() >= 20 * MS);
    drop(put);
    let (put, take) = oneshot::channel();
    std::thread::spawn(move || put.put(3));
    assert_eq!(take.wait_deadline(Instant::now() + Duration::from_secs(60)), Ok(Some(3)));
}

#[test]
fn a_panicking_thread_does_not_poison_its_locks() {
    let lock = Arc::new(Mutex::new(0));
    let inner = Arc::clone(&lock);
    let outcome = run(Config::simulated(1), move || {
        let _guard = inner.lock();
        panic!("with the lock held");
    });
    assert!(outcome.result.is_err());
    assert_eq!(*lock.lock(), 0);
}

#[test]
fn random_numbers_are_in_range() {
    both_ok(|| {
        assert!((0..1000).map(|_| rand::random_range(3..=5)).all(|n| (3..=5).contains(&n)));
        assert!(!rand::random_bool(0.0) && rand::random_bool(1.0));
        let mut bytes = [0; 64];
        rand::fill_bytes(&mut bytes);
        assert_ne!(bytes, [0; 64]);
    });
}

#[test]
fn a_panic_in_a_timers_closure_fails_its_run_alone() {
    for outcome in both(|| {
        runtime::at(runtime::now() + 5 * MS, || panic!("in a closure"));
        thread::sleep(Duration::from_secs(2));
    }) {
        let failure = outcome.result.unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, "in a closure"));
    }
    // The timers of the next run still work.
    both_ok(|| {
        let (put, take) = oneshot::channel();
        runtime::at(runtime::now() + 5 * MS, || put.put(7));
        assert_eq!(take.wait(), Some(7));
    });
}

/// A value whose destructor sets a timer whose closure owns another such value, as messages do that fail one
/// after another when their network goes away.
struct Chain(u32);

impl Drop for Chain {
    fn drop(&mut self) {
        if self.0 > 0 {
            let next = Chain(self.0 - 1);
            runtime::at(runtime::now() + MS, move || drop(next));
        }
    }
}

#[test]
fn timers_that_are_set_while_a_run_ends_harm_nobody() {
    for _ in 0..3 {
        both_ok(|| {
            let (in_timer, in_thread) = (Chain(3), Chain(3));
            runtime::at(runtime::now() + 20 * MS, move || drop(in_timer));
            thread::spawn(move || {
                let _chain = in_thread;
                thread::sleep(Duration::from_secs(5));
            });
            thread::sleep(MS);
        });
        // On real threads the first closure falls due when its run is over.
        std::thread::sleep(30 * MS);
    }
}

labrt::thread_local! {
    static SCRATCH: std::cell::RefCell<Vec<u32>> = const { std::cell::RefCell::new(Vec::new()) };
    static COUNT: std::cell::Cell<u32> = std::cell::Cell::new(3);
}

/// A scratch buffer that stays borrowed over a point to switch at, which is right on threads. The result:
/// how many of the numbers in it are this thread's.
fn use_scratch(me: u32, lock: &Mutex<u32>) -> usize {
    for _ in 0..20 {
        SCRATCH.with_borrow_mut(|buffer| {
            buffer.push(me);
            *lock.lock() += 1;
        });
    }
    COUNT.set(COUNT.get() + 1);
    SCRATCH.with_borrow(|buffer| buffer.iter().filter(|&&other| other == me).count())
}

#[test]
fn each_thread_has_its_own_locals_and_each_run_new_ones() {
    for _ in 0..20 {
        both_ok(|| {
            let lock = Arc::new(Mutex::new(0));
            let threads: Vec<_> = (0..3)
                .map(|me| {
                    let lock = Arc::clone(&lock);
                    thread::spawn(move || use_scratch(me, &lock))
                })
                .collect();
            assert!(threads.into_iter().all(|thread| thread.join().unwrap() >= 20));
            if labrt::world() == labrt::World::Simulated {
                assert_eq!(COUNT.replace(9), 3);
                SCRATCH.with_borrow_mut(|buffer| assert!(buffer.is_empty()));
            }
        });
    }
}

#[test]
fn a_local_of_std_that_simulated_threads_share_is_named() {
    std::thread_local! {
        static SHARED: std::cell::RefCell<u64> = const { std::cell::RefCell::new(0) };
    }
    let outcome = run(Config::simulated(1), || {
        let threads: Vec<_> = (0..3)
            .map(|_| thread::spawn(|| SHARED.with_borrow_mut(|_| thread::sleep(Duration::from_millis(1)))))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let failure = outcome.result.unwrap_err();
    assert!(failure.message.contains("RefCell already borrowed"), "{failure}");
    assert!(failure.message.contains("use labrt::thread_local!"), "{failure}");
}

#[test]
fn the_locals_of_a_thread_are_dropped_at_its_end() {
    struct Counted(Arc<AtomicU64>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    labrt::thread_local! {
        static OWN: std::cell::RefCell<Vec<Counted>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let outcome = run(Config::simulated(1), || {
        let dropped = Arc::new(AtomicU64::new(0));
        let node = Node::new("server");
        for long in [false, true] {
            let counted = Counted(Arc::clone(&dropped));
            node.spawn("t", move || {
                OWN.with_borrow_mut(|own| own.push(counted));
                thread::sleep(if long { Duration::from_secs(9) } else { MS });
            });
        }
        thread::sleep(5 * MS);
        let ended = dropped.load(Ordering::SeqCst);
        node.kill();
        (ended, dropped.load(Ordering::SeqCst))
    });
    assert_eq!(outcome.result.unwrap(), (1, 2));
}
