//! The panic behind a failure: destructors may wait, spin or fail others before it has unwound its thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use labrt::channel;
use labrt::node::Node;
use labrt::sync::atomic::{AtomicBool, Ordering::SeqCst};
use labrt::sync::{Arc, Mutex};
use labrt::time::{Duration, Instant};
use labrt::{Config, Failure, FailureKind, Limits, Outcome, PolicyKind, run, thread};

use crate::child::{is_child, run_as_child};

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(1000);

fn line_of(marker: &str) -> String {
    let source = include_str!("causes.rs");
    let position = source.lines().position(|line| line.contains(marker) && !line.contains("line_of"));
    format!("causes.rs:{}:", position.unwrap() + 1)
}

/// Does something when it is dropped.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn fails(seed: u64, main: impl FnOnce() + Send + 'static) -> Failure {
    run(Config::simulated(seed), main).result.unwrap_err()
}

/// The failure of a run in which a thread panics and drops this.
fn panics_with(seed: u64, at_end: impl FnMut() + Send + 'static) -> Failure {
    fails(seed, move || {
        thread::spawn_named("guilty", move || {
            let _at_end = AtEnd(at_end);
            panic!("the cause") // panics first
        });
        thread::sleep(LONG);
    })
}

#[track_caller]
fn assert_is_the_cause(failure: &Failure) {
    assert_eq!(failure.kind, FailureKind::Panic, "{failure}");
    assert!(failure.message.starts_with("the cause\n"), "{failure}");
    assert!(failure.location.as_ref().unwrap().contains(&line_of("// panics first")), "{failure}");
    assert_eq!(failure.thread, "guilty", "{failure}");
}

#[test]
fn a_panic_is_reported_however_its_destructors_do_not_end() {
    for seed in 0..5 {
        let never = AtomicBool::new(false);
        assert_is_the_cause(&panics_with(seed, move || while !never.load(SeqCst) {}));
        let never = AtomicBool::new(false);
        assert_is_the_cause(&panics_with(seed, move || {
            while !never.load(SeqCst) {
                thread::yield_now();
            }
        }));
        assert_is_the_cause(&panics_with(seed, || {
            let lock = Mutex::new(());
            let _held = lock.lock();
            while lock.try_lock().is_none() {}
        }));
        let never = AtomicBool::new(false);
        assert_is_the_cause(&panics_with(seed, move || {
            while !never.load(SeqCst) {
                thread::sleep(MS);
            }
        }));
        assert_is_the_cause(&panics_with(seed, || {
            let (_sender, receiver) = channel::unbounded::<()>();
            while receiver.recv_timeout(MS).is_err() {}
        }));
        assert_is_the_cause(&panics_with(seed, || {
            let started = Instant::now();
            while started.elapsed() < MS {}
        }));
    }
}

#[test]
fn a_panic_is_reported_although_it_ends_in_a_circle_of_locks() {
    let own_lock = fails(1, || {
        let work = || {
            let lock = Arc::new(Mutex::new(0));
            let busy = Arc::clone(&lock);
            let _held = lock.lock();
            let _busy = AtEnd(move || *busy.lock() += 1); // its own lock
            panic!("the cause") // panics first, too
        };
        let _ = thread::spawn_named("guilty", work).join();
    });
    assert!(own_lock.message.starts_with("the cause\n"), "{own_lock}");
    assert!(own_lock.message.contains(&line_of("// its own lock")), "{own_lock}");

    let joins = fails(1, || {
        let lock = Arc::new(Mutex::new(0));
        let wanted = Arc::clone(&lock);
        let _held = lock.lock();
        let mut other = Some(thread::spawn_named("other", move || *wanted.lock() += 1));
        let _joins = AtEnd(move || drop(other.take().map(thread::JoinHandle::join)));
        thread::sleep(MS);
        panic!("the cause")
    });
    assert!(joins.message.starts_with("the cause\n"), "{joins}");
    assert!(joins.message.contains("the cycle: "), "{joins}");
}

#[test]
fn what_comes_of_a_panic_does_not_hide_it() {
    for seed in 0..50 {
        let failure = fails(seed, || {
            let lock = Arc::new(Mutex::new(0));
            let (held, wanted) = (Arc::clone(&lock), lock);
            let (sender, receiver) = channel::unbounded::<()>();
            thread::spawn(move || {
                let _held = held.lock();
                thread::sleep(10 * MS);
            });
            thread::spawn_named("guilty", move || {
                thread::sleep(MS);
                let _waits = AtEnd(move || *wanted.lock() += 1);
                let _sender = sender;
                panic!("the cause") // panics first, as well
            });
            receiver.recv().expect("the consequence"); // panics next
        });
        assert!(failure.message.starts_with("the cause\n"), "{failure}");
        assert_eq!(failure.thread, "guilty");
        assert!(failure.message.contains("`main` of `main` panicked as well"), "{failure}");
        assert!(failure.message.contains(&line_of("// panics next")), "{failure}");
        assert!(failure.message.contains("the consequence"), "{failure}");
    }
}

#[test]
fn a_panic_that_was_caught_is_behind_nothing() {
    let catches = || {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _waits = AtEnd(|| thread::sleep(MS));
            panic!("caught");
        }));
        assert!(caught.is_err());
        thread::sleep(MS);
    };
    let deadlock = fails(1, move || {
        catches();
        let (_sender, receiver) = channel::unbounded::<()>();
        let _ = receiver.recv();
    });
    assert_eq!(deadlock.kind, FailureKind::Deadlock, "{deadlock}");

    // While another thread waits in a destructor, the one that has caught its panic is as any other.
    let outcome: Outcome<()> = run(Config::simulated(1), move || {
        catches();
        thread::spawn(|| {
            let _waits = AtEnd(|| thread::sleep(100 * MS));
            panic!("the cause")
        });
        thread::sleep(10 * MS);
        assert!(!thread::panicking());
        thread::sleep(LONG);
    });
    assert_eq!(outcome.result.unwrap_err().message, "the cause");
}

#[test]
fn a_destructor_may_wait_by_looking_for_what_another_thread_does() {
    for seed in 0..20 {
        let failure = fails(seed, || {
            let done = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&done);
            thread::spawn(move || {
                thread::yield_now();
                done.store(true, SeqCst);
            });
            let _waits = AtEnd(move || while !seen.load(SeqCst) {});
            panic!("the cause")
        });
        assert_eq!(failure.message, "the cause", "seed {seed}");
    }
}

#[test]
fn a_panicking_thread_of_a_paused_node_is_cleared_away() {
    for _ in 0..2 {
        let outcome = run(Config::simulated(1), || {
            let node = Node::new("server-0");
            node.spawn("guilty", || {
                let _waits = AtEnd(|| thread::sleep(10 * MS));
                panic!("the cause")
            });
            thread::sleep(MS);
            node.pause();
            thread::sleep(100 * MS);
        });
        outcome.result.unwrap();
    }
}

#[test]
fn a_run_that_has_failed_lets_no_thread_go_on_for_ever() {
    fn spins() {
        let lock = Arc::new(Mutex::new(false));
        let other = Arc::clone(&lock);
        thread::spawn(move || while !*other.lock() {});
        while !*lock.lock() {}
    }
    for seed in 0..8 {
        for switch_every in [1, 64] {
            let config = Config::simulated(seed).policy(PolicyKind::Random { switch_every });
            let limits = Limits { spin_steps: 1000, ..Limits::default() };
            let failure = run(config.clone().limits(limits), spins).result.unwrap_err();
            assert_eq!(failure.kind, FailureKind::Spin, "{failure}");
            let limits = Limits { real_time: 50 * MS, spin_steps: u64::MAX, ..Limits::default() };
            let failure = run(config.limits(limits), spins).result.unwrap_err();
            assert_eq!(failure.kind, FailureKind::RealTime, "{failure}");
        }
    }
}

type Last = AtEnd<fn()>;

labrt::thread_local! {
    static AT_END: std::cell::Cell<Option<Last>> = const { std::cell::Cell::new(None) };
}

#[test]
fn a_panic_in_a_local_of_the_main_thread_is_a_failure() {
    for config in [Config::simulated(1), Config::threads(1)] {
        let main = || AT_END.set(Some(AtEnd(|| panic!("at the end"))));
        let outcome = run(config, main);
        assert_eq!(outcome.result.unwrap_err().message, "at the end");
    }
}

#[test]
fn an_abort_does_not_hide_why_the_run_had_failed() {
    const NAME: &str = "causes::an_abort_does_not_hide_why_the_run_had_failed";
    let main = || {
        let work = || {
            thread::sleep(MS);
            panic!("the cause") // the worker's
        };
        let mut worker: Option<thread::JoinHandle<()>> = Some(thread::spawn_named("worker", work));
        let _pool = AtEnd(move || worker.take().expect("it is dropped once").join().unwrap());
        thread::sleep(LONG);
    };
    if is_child() {
        let threads = std::env::var_os("LABRT_TEST_THREADS").is_some();
        let _ = run(if threads { Config::threads(1) } else { Config::simulated(1) }, main);
        return;
    }
    let simulated = run_as_child(NAME);
    let threads = crate::child::run_with(NAME, &[("LABRT_TEST_THREADS", "1")]);
    for ended in [simulated, threads] {
        assert!(!ended.success);
        assert!(ended.text.contains("panic in a destructor during cleanup"), "{}", ended.text);
        let before = "  The run had failed before: panic at ";
        let told = ended.text.split_once(before).unwrap_or_else(|| panic!("{}", ended.text)).1;
        assert!(told.contains("thread `worker` of `main`"), "{}", ended.text);
        assert!(told.contains(&line_of("// the worker's")), "{}", ended.text);
        assert!(told.contains("the cause"), "{}", ended.text);
    }
}

#[test]
fn a_failure_is_of_a_line_of_the_lab() {
    let spin = fails(2, || {
        let (_sender, receiver) = channel::unbounded::<()>();
        loop {
            channel::select! { recv(receiver) -> _ => break, default => {} } // selects for ever
        }
    });
    assert_eq!(spin.kind, FailureKind::Spin, "{spin}");
    assert!(!spin.message.contains("clock 1000000 times"), "{spin}");
    assert!(spin.location.as_ref().unwrap().contains(&line_of("// selects for ever")), "{spin}");

    let spin = fails(1, || {
        let (_sender, receiver) = channel::unbounded::<()>();
        while receiver.is_empty() {} // looks for ever
    });
    assert!(spin.location.as_ref().unwrap().contains(&line_of("// looks for ever")), "{spin}");

    let empty = fails(1, || {
        labrt::rand::random_range(0..0_u32); // an empty range
    });
    assert!(empty.location.as_ref().unwrap().contains(&line_of("// an empty range")), "{empty}");
}

#[test]
fn a_real_thread_that_only_looks_dies_with_its_node() {
    let outcome = run(Config::threads(1), || {
        let (server, (sender, receiver)) = (Node::new("server-0"), channel::unbounded::<()>());
        let full = channel::bounded::<()>(0);
        let polls = receiver.clone();
        server.spawn("polls", move || while polls.try_recv().is_err() {});
        server.spawn("offers", move || while full.0.try_send(()).is_err() {});
        let selected = receiver.clone();
        server.spawn("selects", move || {
            loop {
                channel::select! { recv(selected) -> _ => break, default => {} }
            }
        });
        server.spawn("counts", move || while receiver.is_empty() {});
        thread::sleep(20 * MS);
        let started = Instant::now();
        server.kill();
        drop(sender);
        started.elapsed()
    });
    assert!(outcome.result.unwrap() < Duration::from_secs(3));
}

#[test]
fn a_poisoned_lock_of_std_is_explained() {
    let failure = fails(1, || {
        let lock = std::sync::Arc::new(std::sync::Mutex::new(0));
        let (node, held) = (Node::new("server-0"), std::sync::Arc::clone(&lock));
        node.spawn("holder", move || {
            let _held = held.lock().unwrap();
            thread::sleep(LONG);
        });
        thread::sleep(MS);
        node.kill();
        *lock.lock().unwrap() += 1;
    });
    assert!(failure.message.contains("use those of labrt::sync"), "{failure}");
}

#[test]
fn a_panic_on_a_real_thread_is_told_when_the_limit_is_reached() {
    let limits = Limits { real_time: 100 * MS, ..Limits::default() };
    let outcome = run(Config::threads(1).limits(limits), || {
        thread::spawn_named("guilty", || {
            let _polls = AtEnd(|| {
                for _ in 0..100 {
                    thread::sleep(5 * MS);
                }
            });
            panic!("the cause") // on a real thread
        });
        thread::sleep(LONG);
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!((failure.kind, failure.thread.as_str()), (FailureKind::Panic, "guilty"), "{failure}");
    assert!(failure.message.starts_with("the cause\n"), "{failure}");
    assert!(failure.location.as_ref().unwrap().contains(&line_of("// on a real thread")), "{failure}");
}

#[test]
fn what_comes_of_a_panic_on_a_real_thread_does_not_hide_it() {
    let outcome = run(Config::threads(1), || {
        let (sender, receiver) = channel::unbounded::<()>();
        thread::spawn_named("guilty", move || {
            let _waits = AtEnd(|| thread::sleep(50 * MS));
            let _sender = sender;
            let caught = catch_unwind(|| panic!("caught"));
            assert!(caught.is_err());
            thread::sleep(MS);
            panic!("the cause")
        });
        receiver.recv().expect("the consequence");
    });
    let failure = outcome.result.unwrap_err();
    assert!(failure.message.starts_with("the cause\n"), "{failure}");
    assert!(failure.message.contains("`main` of `main` panicked as well"), "{failure}");
}

/// In a process of its own: which run a thread of std belongs to is known if one goes on.
#[test]
fn a_thread_of_std_that_panics_fails_the_run() {
    const NAME: &str = "causes::a_thread_of_std_that_panics_fails_the_run";
    fn of_std(work: fn()) -> impl FnOnce() + Send + 'static {
        move || {
            let _ = std::thread::spawn(work).join();
            thread::sleep(MS);
        }
    }
    if !is_child() {
        let ended = run_as_child(NAME);
        assert!(ended.success, "{}", ended.text);
        return;
    }
    for config in [Config::simulated(1), Config::threads(1)] {
        let failure = run(config.clone(), of_std(|| panic!("unseen"))).result.unwrap_err(); // of std
        assert_eq!((failure.kind, failure.thread.as_str()), (FailureKind::Panic, "std::thread"), "{failure}");
        assert!(failure.message.contains("a thread of std, which belongs to no run, panicked: unseen"));
        assert!(failure.location.unwrap().contains(&line_of("// of std")));

        // A panic that the thread itself catches is its own affair, and the next run has none.
        let outcome = run(config.clone(), of_std(|| drop(catch_unwind(|| panic!("caught")))));
        outcome.result.unwrap();

        // Those of the harness and of the framework are told elsewhere.
        let outcome = run(config, || {
            let beside = || labrt::runtime::beside(|| panic!("beside"));
            labrt::runtime::catch_panic(beside).unwrap_err()
        });
        assert!(outcome.result.unwrap().contains("beside"));
    }
    for config in [Config::simulated(1), Config::threads(1)] {
        let unwraps = || std::thread::spawn(|| panic!("unseen")).join().unwrap();
        let failure = run(config, unwraps).result.unwrap_err();
        assert_eq!(failure.thread, "std::thread", "{failure}");
        assert!(failure.message.contains("panicked: unseen"), "{failure}");
        assert!(
            failure.message.contains("The run came to this then: called `Result::unwrap()`"),
            "{failure}"
        );
    }
    let waits = || {
        std::thread::spawn(|| panic!("unseen"));
        loop {
            thread::sleep(MS);
        }
    };
    let outcome: Outcome<()> = run(Config::simulated(1), waits);
    assert!(outcome.result.unwrap_err().message.contains("unseen"));
}

/// In a process of its own: the stacks fill what the system gives it.
#[test]
fn more_threads_than_the_system_has_pieces_of_memory_for_are_a_failure() {
    const NAME: &str = "causes::more_threads_than_the_system_has_pieces_of_memory_for_are_a_failure";
    if is_child() {
        let leaks = || (0..100_000).for_each(|_| drop(thread::spawn(|| thread::sleep(LONG)))); // leaks them
        for _ in 0..2 {
            let failure = fails(1, leaks);
            assert!(failure.message.contains("no room for another thread's stack beside"), "{failure}");
            assert!(failure.location.unwrap().contains(&line_of("// leaks them")));
        }
        return;
    }
    let ended = run_as_child(NAME);
    assert!(ended.success, "{}", ended.text);
}

/// In a process of its own, since the panic is of a thread that no run knows.
#[test]
fn a_notification_from_outside_of_the_simulation_is_named() {
    const NAME: &str = "causes::a_notification_from_outside_of_the_simulation_is_named";
    if is_child() {
        let failure = fails(1, || {
            let (lock, changed) = (Mutex::new(false), Arc::new(labrt::sync::Condvar::new()));
            let of_std = Arc::clone(&changed);
            thread::spawn(move || {
                thread::sleep(MS);
                let _ = std::thread::spawn(move || of_std.notify_all()).join(); // from outside
            });
            changed.wait(&mut lock.lock());
        });
        assert!(failure.message.contains("start the thread by labrt::thread"), "{failure}");
        assert!(failure.message.contains(&line_of("// from outside")), "{failure}");
        return;
    }
    let ended = run_as_child(NAME);
    assert!(ended.success, "{}", ended.text);
}

#[test]
fn a_receiver_that_keeps_a_sender_itself_is_told_so() {
    let failure = fails(1, || {
        let (sender, receiver) = channel::unbounded();
        let other = sender.clone();
        thread::spawn(move || other.send(1));
        assert_eq!(receiver.iter().count(), 1);
        drop(sender);
    });
    assert!(failure.message.contains("drop those that send no more"), "{failure}");
}

/// In a process of its own, which ends.
#[test]
fn a_destructor_that_computes_for_ever_does_not_hide_the_panic() {
    const NAME: &str = "causes::a_destructor_that_computes_for_ever_does_not_hide_the_panic";
    if is_child() {
        let limits = Limits { stuck_after: 300 * MS, ..Limits::default() };
        let _: Outcome<()> = run(Config::simulated(1).limits(limits), || {
            let _computes = AtEnd(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
            panic!("the cause") // computes then
        });
        return;
    }
    let ended = run_as_child(NAME);
    let told = format!("The thread had panicked before (labrt/tests/labrt/{}", line_of("// computes then"));
    assert!(!ended.success && ended.text.contains(&told), "{}", ended.text);
}
