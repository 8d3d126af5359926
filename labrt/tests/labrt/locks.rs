//! Deadlocks that are named at once, and those that did not happen yet.

use labrt::node::Node;
use labrt::sync::{Arc, Condvar, Mutex, RwLock};
use labrt::time::{Duration, Instant};
use labrt::{Config, Failure, FailureKind, Limits, Outcome, channel, run, runtime, thread};

const MS: Duration = Duration::from_millis(1);

fn line_of(marker: &str) -> String {
    let source = include_str!("locks.rs");
    let position = source.lines().position(|line| line.contains(marker) && !line.contains("line_of"));
    format!("locks.rs:{}:", position.unwrap() + 1)
}

fn assert_names(text: &str, markers: &[&str]) {
    for marker in markers {
        assert!(text.contains(&line_of(&format!("// {marker}"))), "{marker} is missing in {text}");
    }
}

/// A heartbeat that never ends, so that the run as a whole does not stand still.
fn beats() {
    thread::spawn_named("heartbeat", || {
        loop {
            thread::sleep(MS);
        }
    });
}

fn deadlock(main: fn()) -> Failure {
    let outcome = run(Config::simulated(1), main);
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Deadlock, "{failure}");
    failure
}

fn warnings(main: fn()) -> Vec<String> {
    let outcome: Outcome<()> = run(Config::simulated(1), main);
    outcome.result.unwrap();
    outcome.warnings
}

#[test]
fn a_thread_that_waits_for_its_own_lock_is_reported_at_once() {
    let failure = deadlock(|| {
        beats();
        Node::new("server-0")
            .spawn("apply_loop", || {
                let lock = Mutex::new(0);
                let guard = lock.lock(); // takes it once
                let again = lock.lock(); // takes it twice
                drop((guard, again));
            })
            .join()
            .unwrap();
    });
    let first = failure.message.lines().next().unwrap();
    assert!(first.contains("`apply_loop` of `server-0` waits") && first.contains("holds itself"), "{first}");
    assert_names(first, &["takes it once", "takes it twice"]);
    assert!(failure.at < MS);
}

#[test]
fn a_writer_that_reads_already_is_reported_at_once() {
    let failure = deadlock(|| {
        beats();
        let lock = RwLock::new(0);
        let reader = lock.read(); // reads
        let writer = lock.write(); // writes
        drop((reader, writer));
    });
    assert_names(failure.message.lines().next().unwrap(), &["reads", "writes"]);
}

#[test]
fn a_circle_of_locks_is_reported_at_once_and_first() {
    let failure = deadlock(|| {
        beats();
        let (first, second) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let (a, b) = (Arc::clone(&first), Arc::clone(&second));
        thread::spawn_named("vote", move || {
            let _a = a.lock(); // vote takes a
            thread::sleep(MS);
            let _b = b.lock(); // vote wants b
        });
        let _b = second.lock(); // main takes b
        thread::sleep(MS);
        let _a = first.lock(); // main wants a
    });
    let cycle = failure.message.lines().nth(1).unwrap();
    assert!(cycle.contains("`main` of `main` -> `vote` of `main` -> `main` of `main`"), "{failure}");
    let text: Vec<&str> = failure.message.lines().take(4).collect();
    assert_names(&text.join(" "), &["vote takes a", "vote wants b", "main takes b", "main wants a"]);
    assert!(failure.at < 3 * MS);
}

#[test]
fn a_circle_of_a_lock_and_a_join_is_reported_at_once() {
    let failure = deadlock(|| {
        beats();
        let lock = Arc::new(Mutex::new(()));
        let wants = Arc::clone(&lock);
        let _guard = lock.lock(); // main has the lock
        let child = thread::spawn_named("child", move || drop(wants.lock())); // the child wants the lock
        child.join().unwrap(); // main joins the child
    });
    assert!(failure.message.contains("`main` of `main` -> `child` of `main`"), "{failure}");
    assert_names(
        &failure.message,
        &["main has the lock", "the child wants the lock", "main joins the child"],
    );
}

#[test]
fn two_threads_that_join_each_other_are_a_circle() {
    let failure = deadlock(|| {
        let (sender, receiver) = channel::bounded::<thread::JoinHandle<()>>(1);
        let first = thread::spawn_named("first", move || receiver.recv().unwrap().join().unwrap());
        let second = thread::spawn_named("second", move || first.join().unwrap());
        sender.send(second).unwrap();
        thread::sleep(MS);
    });
    assert!(failure.message.contains("`first` of `main` -> `second` of `main` -> `first`"), "{failure}");
}

#[test]
fn a_circle_through_a_channel_is_found_though_the_sender_never_sent() {
    let failure = deadlock(|| {
        let lock = Arc::new(Mutex::new(()));
        let (sender, receiver) = channel::unbounded::<u32>();
        let wants = Arc::clone(&lock);
        let _guard = lock.lock(); // the receiver has the lock
        thread::spawn_named("producer", move || {
            let _guard = wants.lock(); // the producer wants it
            sender.send(1).unwrap();
        });
        receiver.recv().unwrap(); // waits for the producer
    });
    let text = &failure.message;
    assert!(text.contains("the cycle: `main` of `main` -> `producer` of `main` -> `main`"), "{text}");
    assert_names(text, &["the receiver has the lock", "the producer wants it", "waits for the producer"]);
}

#[test]
fn a_circle_through_a_full_channel_is_found() {
    let failure = deadlock(|| {
        let lock = Arc::new(Mutex::new(()));
        let (sender, receiver) = channel::bounded::<u32>(0);
        let wants = Arc::clone(&lock);
        thread::spawn_named("service", move || {
            while receiver.recv().is_ok() {
                drop(wants.lock());
            }
        });
        sender.send(1).unwrap();
        thread::sleep(MS);
        let _guard = lock.lock();
        sender.send(2).unwrap();
        sender.send(3).unwrap();
    });
    assert!(failure.message.contains("the cycle: `main` of `main` -> `service` of `main`"), "{failure}");
}

#[test]
fn opposite_orders_are_warned_of_though_nothing_deadlocks() {
    let warnings = warnings(|| {
        let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let (a2, b2) = (Arc::clone(&a), Arc::clone(&b));
        let thread = thread::spawn_named("vote", move || {
            let _a = a2.lock(); // first a
            let _b = b2.lock(); // then b
        });
        thread.join().unwrap();
        for _ in 0..3 {
            let _b = b.lock(); // first b
            let _a = a.lock(); // then a
        }
    });
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("opposite orders"), "{warnings:?}");
    assert_names(&warnings[0], &["first a", "then b", "first b", "then a"]);
}

#[test]
fn a_circle_of_three_orders_is_warned_of() {
    let warnings = warnings(|| {
        let locks: Vec<_> = (0..3).map(|_| Arc::new(Mutex::new(()))).collect();
        for i in 0..3 {
            let (first, second) = (Arc::clone(&locks[i]), Arc::clone(&locks[(i + 1) % 3]));
            let thread = thread::spawn(move || {
                let _first = first.lock();
                let _second = second.lock();
            });
            thread.join().unwrap();
        }
    });
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_sleep_under_a_lock_is_warned_of_and_a_computation_is_not() {
    let asleep = warnings(|| {
        let lock = Mutex::new(());
        let _held = lock.lock(); // held in a sleep
        thread::sleep(MS); // sleeps
    });
    assert_eq!(asleep.len(), 1, "{asleep:?}");
    assert_names(&asleep[0], &["held in a sleep", "sleeps"]);
    let busy = warnings(|| {
        let (lock, start) = (Mutex::new(()), Instant::now());
        let _held = lock.lock();
        runtime::compute(3 * MS);
        assert_eq!(start.elapsed(), 3 * MS);
    });
    assert!(busy.is_empty(), "{busy:?}");
}

#[test]
fn a_second_reading_under_the_first_is_warned_of() {
    let twice = warnings(|| {
        let lock = RwLock::new(0);
        for _ in 0..2 {
            let first = lock.read(); // reads first
            let second = lock.read(); // reads again
            assert_eq!(*first, *second);
        }
    });
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert_names(&twice[0], &["reads first", "reads again"]);
    let others = warnings(|| {
        let (a, b) = (RwLock::new(0), RwLock::new(0));
        drop((a.read(), b.read()));
        drop((a.read(), b.read()));
    });
    assert_eq!(others, Vec::<String>::new());
}

#[test]
fn orders_that_cannot_deadlock_are_not_warned_of() {
    // One thread alone; and two threads that take both locks under a third.
    let none = warnings(|| {
        let (a, b, gate) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        {
            let (a, b) = (Mutex::new(()), Mutex::new(()));
            drop((a.lock(), b.lock()));
            drop((b.lock(), a.lock()));
        }
        let (a2, b2, gate2) = (Arc::clone(&a), Arc::clone(&b), Arc::clone(&gate));
        let thread = thread::spawn(move || {
            let _gate = gate2.lock();
            let _a = a2.lock();
            let _b = b2.lock();
        });
        thread.join().unwrap();
        let _gate = gate.lock();
        let _b = b.lock();
        let _a = a.lock();
    });
    assert_eq!(none, Vec::<String>::new());
}

#[test]
fn a_freed_lock_says_nothing_about_the_next_at_its_address() {
    let none = warnings(|| {
        let outer = Arc::new(Mutex::new(()));
        for round in 0..50 {
            let inner = Box::new(Mutex::new(()));
            if round % 2 == 0 {
                let _outer = outer.lock();
                drop(inner.lock());
            } else {
                let (inner, outer) = (Arc::new(inner), Arc::clone(&outer));
                let thread = thread::spawn(move || {
                    let _inner = inner.lock();
                    drop(outer.lock());
                });
                thread.join().unwrap();
            }
        }
    });
    assert_eq!(none, Vec::<String>::new());
}

static SHARED: Mutex<u64> = Mutex::new(0);

#[test]
fn a_static_lock_that_two_runs_share_is_named() {
    let count = || {
        for _ in 0..50 {
            *SHARED.lock() += 1;
            thread::sleep(MS);
        }
    };
    let body = move |threads: u64| {
        let threads: Vec<_> = (0..threads).map(|_| thread::spawn(count)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    };
    let runs = |threads: u64| {
        move || {
            let failure = |seed| run(Config::simulated(seed), move || body(threads)).result.err();
            (0..100).filter_map(failure).collect::<Vec<_>>()
        }
    };
    let threads = [std::thread::spawn(runs(8)), std::thread::spawn(runs(3))];
    for failure in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
        assert!(failure.message.contains("`static`"), "{failure}");
    }
}

#[test]
fn a_lock_that_is_held_outside_of_the_run_is_named() {
    static HELD: Mutex<u64> = Mutex::new(0);
    let _guard = HELD.lock();
    let outcome = run(Config::simulated(1), || *HELD.lock());
    let failure = outcome.result.unwrap_err();
    assert!(failure.message.contains("no thread of this run holds"), "{failure}");
}

#[test]
fn a_channel_that_outlives_its_run_is_named() {
    let (ends, keep) = std::sync::mpsc::channel();
    let first = run(Config::simulated(1), move || ends.send(channel::unbounded::<u32>()).unwrap());
    first.result.unwrap();
    let (sender, receiver) = keep.recv().unwrap();
    let outcome = run(Config::simulated(2), move || {
        let _receiver = receiver;
        sender.send(1).unwrap();
    });
    let failure = outcome.result.unwrap_err();
    assert!(failure.message.contains("a channel of another run"), "{failure}");
}

#[test]
fn a_channel_made_outside_does_not_block_the_simulation() {
    let (sender, receiver) = channel::bounded::<u32>(1);
    sender.send(1).unwrap();
    let outcome = run(Config::simulated(1), move || {
        assert_eq!(receiver.recv(), Ok(1));
        receiver.recv()
    });
    let failure = outcome.result.unwrap_err();
    assert!(failure.message.contains("made outside of the run"), "{failure}");
    drop(sender);
}

/// On real threads nobody sees the circle, but the limit of time names who waits for a lock, and where.
#[test]
fn a_circle_on_real_threads_ends_at_the_limit_with_its_lines() {
    let limits = Limits { real_time: Duration::from_secs(1), ..Limits::default() };
    let outcome = run(Config::threads(1).limits(limits), || {
        let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let (other_a, other_b) = (Arc::clone(&a), Arc::clone(&b));
        let vote = Node::new("server-0").spawn("vote", move || {
            let _a = other_a.lock();
            thread::sleep(50 * MS);
            let _b = other_b.lock(); // the vote stops here
        });
        let _b = b.lock();
        thread::sleep(50 * MS);
        let _a = a.lock(); // the main thread stops here
        vote.join().unwrap();
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::RealTime, "{failure}");
    for (title, marker) in
        [("`vote` of `server-0`", "the vote stops here"), ("`main` of `main`", "the main thread stops here")]
    {
        let line = failure.message.lines().find(|line| line.contains(title)).unwrap_or_default();
        assert!(line.contains("waits for a lock"), "{failure}");
        assert_names(line, &[marker]);
    }
}

/// Two threads that wait with two locks for the notifications of one condition variable. A test and a wait
/// with the one lock are no step for those who hold the other.
fn wait_with_two_locks() {
    let shared = Arc::new((Mutex::new(()), Mutex::new(()), Condvar::new()));
    let other = Arc::clone(&shared);
    drop(thread::spawn_named("applier", move || {
        let mut guard = other.0.lock();
        other.2.wait(&mut guard); // the first lock waits here
    }));
    thread::sleep(50 * MS);
    let mut guard = shared.1.lock();
    shared.2.wait_for(&mut guard, 50 * MS); // the second lock waits here
}

#[test]
fn a_condition_variable_with_two_locks_fails_in_both_worlds() {
    let failure = run(Config::simulated(1), wait_with_two_locks).result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Panic, "{failure}");
    assert!(failure.message.contains("`applier`"), "{failure}");
    assert_names(&failure.message, &["the first lock waits here", "the second lock waits here"]);
    let failure = run(Config::threads(1), wait_with_two_locks).result.unwrap_err();
    assert!(failure.message.contains("more than one mutex"), "{failure}");
}

/// Locks that take turns, with nobody waiting in between, are no mistake.
#[test]
fn a_condition_variable_may_change_its_lock_when_nobody_waits() {
    let outcome = run(Config::simulated(1), || {
        let (a, b, condvar) = (Mutex::new(()), Mutex::new(()), Condvar::new());
        for lock in [&a, &b, &a] {
            assert!(condvar.wait_for(&mut lock.lock(), 10 * MS).timed_out());
        }
    });
    outcome.result.unwrap();
}
