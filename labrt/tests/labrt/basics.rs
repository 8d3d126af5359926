//! Threads, locks, condition variables, time, nodes.

use labrt::node::Node;
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::time::{Duration, Instant};
use labrt::{Config, FailureKind, Outcome, channel, run, runtime, thread};

/// Runs `f` in both worlds.
pub(crate) fn both<T: Send + 'static>(f: fn() -> T) -> [Outcome<T>; 2] {
    [run(Config::simulated(1), f), run(Config::threads(1), f)]
}

/// Runs `f` in both worlds, and demands success in both.
pub(crate) fn both_ok(f: fn()) {
    for outcome in both(f) {
        outcome.result.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn a_counter_under_a_lock_loses_nothing() {
    both_ok(|| {
        let counter = Arc::new(Mutex::new(0));
        let threads: Vec<_> = (0..10)
            .map(|_| {
                let counter = Arc::clone(&counter);
                thread::spawn(move || {
                    for _ in 0..100 {
                        *counter.lock() += 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*counter.lock(), 1000);
    });
}

#[test]
fn a_condition_variable_hands_over() {
    both_ok(|| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let other = Arc::clone(&pair);
        let thread = thread::spawn(move || {
            for round in 0..50 {
                let mut turn = other.0.lock();
                other.1.wait_while(&mut turn, |turn| *turn != 2 * round + 1);
                *turn += 1;
                other.1.notify_all();
            }
        });
        for round in 0..50 {
            let mut turn = pair.0.lock();
            *turn += 1;
            pair.1.notify_all();
            pair.1.wait_while(&mut turn, |turn| *turn != 2 * round + 2);
        }
        thread.join().unwrap();
        assert_eq!(*pair.0.lock(), 100);
    });
}

#[test]
fn waits_with_a_limit_end() {
    both_ok(|| {
        let lock = Mutex::new(());
        let condvar = Condvar::new();
        let started = Instant::now();
        let mut guard = lock.lock();
        assert!(condvar.wait_for(&mut guard, Duration::from_millis(30)).timed_out());
        assert!(started.elapsed() >= Duration::from_millis(30));
        assert!(condvar.wait_until(&mut guard, started).timed_out());
    });
}

#[test]
fn a_killed_node_stops_and_releases_its_locks() {
    both_ok(|| {
        let lock = Arc::new(Mutex::new(0));
        let node = Node::new("server");
        for _ in 0..3 {
            let lock = Arc::clone(&lock);
            node.spawn("holder", move || {
                let mut guard = lock.lock();
                loop {
                    *guard += 1;
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        thread::sleep(Duration::from_millis(35));
        node.kill();
        let seen = *lock.lock();
        assert!(seen > 0);
        thread::sleep(Duration::from_millis(50));
        assert_eq!(*lock.lock(), seen);
        assert!(node.spawn("late", || ()).join().is_err());
    });
}

#[test]
fn a_panic_fails_the_run_and_says_where() {
    for outcome in both(|| {
        let node = Node::new("server-1");
        node.spawn("apply_loop", || panic!("index {} is not {}", 3, 4));
        thread::sleep(Duration::from_secs(1));
    }) {
        let failure = outcome.result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Panic);
        assert_eq!(failure.message, "index 3 is not 4");
        assert_eq!((failure.node.as_str(), failure.thread.as_str()), ("server-1", "apply_loop"));
        assert!(failure.location.unwrap().contains("basics.rs"));
    }
}

#[test]
fn foreign_code_may_panic_where_the_panic_is_caught() {
    for outcome in both(|| {
        let said = runtime::catch_panic(|| -> u32 { panic!("no record {}", 7) }).unwrap_err();
        assert!(said.starts_with("no record 7 (") && said.contains("basics.rs"), "{said}");
        assert_eq!(runtime::catch_panic(|| 8), Ok(8));
        // A kill is no panic of the code that it ends.
        let node = Node::new("server-1");
        let caught = Arc::new(Mutex::new(false));
        let seen = Arc::clone(&caught);
        let thread = node.spawn("sleeper", move || {
            let _ = runtime::catch_panic(|| thread::sleep(Duration::from_secs(3600)));
            *seen.lock() = true;
        });
        thread::sleep(Duration::from_millis(20));
        node.kill();
        assert!(thread.join().is_err());
        assert!(!*caught.lock());
    }) {
        outcome.result.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn virtual_hours_take_no_time() {
    let outcome = run(Config::simulated(3), || {
        thread::sleep(Duration::from_secs(3000));
        Instant::now()
    });
    assert_eq!(outcome.result.unwrap().as_nanos(), 3_000_000_000_000);
    assert!(outcome.stats.real_time < Duration::from_secs(1));
}

/// A wait on real threads is made of slices; a notification that comes while the waiting thread is taking the
/// lock back between two of them must not be lost.
#[test]
fn no_notification_is_lost_between_two_slices_of_a_wait() {
    const ROUNDS: u32 = 100;
    let outcome = run(Config::threads(1), || {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let other = Arc::clone(&pair);
        let (acknowledge, acknowledged) = channel::unbounded();
        thread::spawn(move || {
            for round in 1..=ROUNDS {
                let mut turn = other.0.lock();
                other.1.wait_while(&mut turn, |turn| *turn != round);
                acknowledge.send(round).unwrap();
            }
        });
        for round in 1..=ROUNDS {
            thread::sleep(Duration::from_millis(1));
            let mut turn = pair.0.lock();
            // The slice of the waiting thread ends meanwhile, so that this thread queues for the lock.
            std::thread::sleep(Duration::from_millis(6));
            *turn = round;
            pair.1.notify_all();
            drop(turn);
            assert_eq!(acknowledged.recv_timeout(Duration::from_secs(5)), Ok(round));
        }
    });
    outcome.result.unwrap_or_else(|failure| panic!("{failure}"));
}
