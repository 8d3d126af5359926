//! Destructors that run while a kill or a panic unwinds their thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use labrt::node::Node;
use labrt::sync::{Arc, Condvar, Mutex, RwLock};
use labrt::time::{Duration, Instant};
use labrt::{Config, FailureKind, Outcome, PolicyKind, run, thread};

use crate::basics::both_ok;
use crate::child::{is_child, run_as_child};

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(100);

fn line_of(marker: &str) -> String {
    let source = include_str!("destructors.rs");
    let position = source.lines().position(|line| line.contains(marker) && !line.contains("line_of"));
    format!("destructors.rs:{}:", position.unwrap() + 1)
}

/// Counts in its destructor, under the lock of its server.
struct Busy(Arc<Mutex<Vec<u32>>>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().push(1);
    }
}

#[test]
fn a_destructor_gets_the_lock_that_another_killed_thread_holds() {
    for seed in 0..200 {
        let policy = PolicyKind::Random { switch_every: 1 + (seed % 4) as u32 };
        let outcome = run(Config::simulated(seed).policy(policy), || {
            let server = Node::new("server-0");
            let state = Arc::new(Mutex::new(Vec::new()));
            for _ in 0..2 {
                let state = Arc::clone(&state);
                server.spawn("loop", move || {
                    loop {
                        let _busy = Busy(Arc::clone(&state));
                        thread::sleep(MS);
                        let mut numbers = state.lock();
                        numbers.push(0);
                        let other = Mutex::new(0);
                        *other.lock() += 1;
                    }
                });
            }
            thread::sleep(20 * MS);
            server.kill();
            state.lock().iter().filter(|&&number| number == 1).count()
        });
        assert!(outcome.result.unwrap() >= 2, "seed {seed}");
    }
}

#[test]
fn the_holder_is_unwound_first_even_if_it_waits() {
    both_ok(|| {
        let server = Node::new("server-0");
        let state = Arc::new(Mutex::new(Vec::new()));
        let (busy, held) = (Arc::clone(&state), Arc::clone(&state));
        server.spawn("waiter", move || {
            let _busy = Busy(busy);
            thread::sleep(LONG);
        });
        server.spawn("holder", move || {
            let _guard = held.lock();
            thread::sleep(LONG);
        });
        thread::sleep(20 * MS);
        server.kill();
        assert_eq!(*state.lock(), [1]);
    });
}

#[test]
fn a_kill_waits_for_a_destructor_whose_lock_another_node_holds() {
    let outcome = run(Config::simulated(1), || {
        let (server, state) = (Node::new("server-0"), Arc::new(Mutex::new(Vec::new())));
        let (busy, held) = (Arc::clone(&state), Arc::clone(&state));
        server.spawn("waiter", move || {
            let _busy = Busy(busy);
            thread::sleep(LONG);
        });
        let client = thread::spawn_named("client", move || {
            let _guard = held.lock();
            thread::sleep(30 * MS);
            assert!(!thread::panicking(), "only the other thread is unwound");
        });
        thread::sleep(10 * MS);
        let started = Instant::now();
        server.kill();
        assert_eq!(*state.lock(), [1]);
        client.join().unwrap();
        started.elapsed()
    });
    assert_eq!(outcome.result.unwrap(), 20 * MS);
}

#[test]
fn readers_and_writers_are_waited_for_as_well() {
    struct Writes(Arc<RwLock<u32>>);
    impl Drop for Writes {
        fn drop(&mut self) {
            *self.0.write() += 1;
        }
    }
    both_ok(|| {
        let (server, lock) = (Node::new("server-0"), Arc::new(RwLock::new(0)));
        let (writes, reads) = (Arc::clone(&lock), Arc::clone(&lock));
        server.spawn("waiter", move || {
            let _writes = Writes(writes);
            thread::sleep(LONG);
        });
        server.spawn("reader", move || {
            let _guard = reads.read();
            thread::sleep(LONG);
        });
        thread::sleep(20 * MS);
        server.kill();
        assert_eq!(*lock.read(), 1);
    });
}

#[test]
fn at_the_end_of_a_run_destructors_get_their_locks_too() {
    let (outcome, counted) = with_counter(|state| {
        let (busy, held) = (Arc::clone(&state), Arc::clone(&state));
        thread::spawn(move || {
            let _busy = Busy(busy);
            thread::sleep(LONG);
        });
        thread::spawn(move || {
            let _guard = held.lock();
            thread::sleep(LONG);
        });
        thread::sleep(MS);
    });
    outcome.result.unwrap();
    assert_eq!(counted, [1]);
}

/// Runs `main` with a vector that outlives the run.
fn with_counter(main: fn(Arc<Mutex<Vec<u32>>>)) -> (Outcome<()>, Vec<u32>) {
    let state = Arc::new(Mutex::new(Vec::new()));
    let of_run = Arc::clone(&state);
    let outcome = run(Config::simulated(1), move || main(of_run));
    let counted = state.lock().clone();
    (outcome, counted)
}

/// The destructors of two threads, each with a lock that the other one wants.
#[test]
fn destructors_that_wait_for_each_other_are_reported_and_the_process_lives() {
    struct Wants(Arc<Mutex<()>>);
    impl Drop for Wants {
        fn drop(&mut self) {
            drop(self.0.lock()); // wants the other
        }
    }
    let outcome = run(Config::simulated(3), || {
        let server = Node::new("server-0");
        let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        // Each holds its own lock when it is killed, in a guard that is dropped after the one that wants the
        // other's.
        for (own, other) in [(Arc::clone(&a), Arc::clone(&b)), (b, a)] {
            server.spawn("half", move || {
                let _guard = own.lock();
                let _wants = Wants(other);
                thread::sleep(LONG);
            });
        }
        thread::sleep(MS);
        server.kill();
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Deadlock, "{failure}");
    let text = failure.to_string();
    assert!(text.contains("a destructor of `half` of `server-0`"), "{text}");
    assert!(text.contains(&line_of("// wants the other")), "{text}");
    // The next run on this OS thread is none the worse.
    let next = run(Config::simulated(4), || {
        assert!(!std::thread::panicking());
        thread::spawn(|| 7).join().unwrap()
    });
    assert_eq!(next.result.unwrap(), 7);
}

#[test]
fn a_killer_that_holds_the_lock_is_named() {
    let outcome = run(Config::simulated(1), || {
        let (server, state) = (Node::new("server-0"), Arc::new(Mutex::new(Vec::new())));
        let busy = Arc::clone(&state);
        server.spawn("loop", move || {
            let _busy = Busy(busy);
            thread::sleep(LONG);
        });
        thread::sleep(MS);
        let _guard = state.lock(); // held by the killer
        server.kill();
    });
    let text = outcome.result.unwrap_err().to_string();
    assert!(text.contains("kills a node while it holds a lock"), "{text}");
    assert!(text.contains(&line_of("// held by the killer")), "{text}");
}

/// A destructor that waits for a flag which only another thread of the killed node could set.
#[test]
fn a_destructor_that_waits_for_its_own_dead_server_is_reported_at_once() {
    struct Pool(Arc<(Mutex<bool>, Condvar)>);
    impl Drop for Pool {
        fn drop(&mut self) {
            let mut done = self.0.0.lock();
            while !*done {
                self.0.1.wait(&mut done); // waits for the dead
            }
        }
    }
    let started = std::time::Instant::now();
    let outcome = run(Config::simulated(1), || {
        let server = Node::new("server-0");
        server.spawn("owner", || {
            let _pool = Pool(Arc::default());
            thread::sleep(Duration::from_secs(5));
        });
        thread::sleep(Duration::from_secs(1));
        server.kill();
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!((failure.kind, failure.thread.as_str()), (FailureKind::Stuck, "owner"), "{failure}");
    assert!(failure.location.unwrap().contains(&line_of("// waits for the dead")));
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_destructor_that_sleeps_in_a_loop_is_reported_at_once() {
    struct Sleeps;
    impl Drop for Sleeps {
        fn drop(&mut self) {
            while std::hint::black_box(true) {
                thread::sleep(MS); // sleeps for ever
            }
        }
    }
    let outcome = run(Config::simulated(1), || {
        let server = Node::new("server-0");
        server.spawn("dropper", || {
            let _sleeps = Sleeps;
            thread::sleep(LONG);
        });
        thread::sleep(MS);
        server.kill();
        7
    });
    let text = outcome.result.unwrap_err().to_string();
    assert!(text.contains("`dropper` of `server-0` waits in a loop"), "{text}");
    assert!(text.contains(&line_of("// sleeps for ever")), "{text}");
}

#[test]
fn a_join_in_a_destructor_ends_as_on_real_threads() {
    struct Joins(Option<thread::JoinHandle<u32>>);
    impl Drop for Joins {
        fn drop(&mut self) {
            let joined = self.0.take().expect("it is dropped once").join();
            assert!(joined.is_err() || joined.is_ok_and(|value| value == 3));
        }
    }
    both_ok(|| {
        // Killed: the joined thread is dead.
        let server = Node::new("server-0");
        server.spawn("owner", || {
            let _joins = Joins(Some(thread::spawn(|| {
                thread::sleep(LONG);
                3
            })));
            thread::sleep(LONG);
        });
        thread::sleep(MS);
        server.kill();
        // Panicked: the joined thread is waited for.
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _joins = Joins(Some(thread::spawn(|| {
                thread::sleep(10 * MS);
                3
            })));
            panic!("while a thread runs");
        }));
        assert!(caught.is_err());
    });
}

#[test]
fn a_panic_is_reported_although_a_destructor_waits_for_ever() {
    struct Joins(Option<thread::JoinHandle<()>>);
    impl Drop for Joins {
        fn drop(&mut self) {
            let _ = self.0.take().expect("it is dropped once").join(); // joins for ever
        }
    }
    let outcome: Outcome<()> = run(Config::simulated(1), || {
        let _joins = Joins(Some(thread::spawn(|| {
            loop {
                thread::sleep(MS);
            }
        })));
        panic!("the reason");
    });
    assert!(outcome.stats.virtual_time < Duration::from_secs(10));
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Panic);
    assert!(failure.message.starts_with("the reason\n"), "{failure}");
    assert!(failure.message.contains(&line_of("// joins for ever")), "{failure}");
}

#[test]
fn whoever_catches_its_kill_again_and_again_is_reported() {
    let outcome = run(Config::simulated(1), || {
        let server = Node::new("server-0");
        server.spawn("stubborn", || {
            loop {
                let _ = catch_unwind(|| thread::sleep(LONG)); // caught again
            }
        });
        thread::sleep(MS);
        server.kill();
        7
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!((failure.kind, failure.thread.as_str()), (FailureKind::Stuck, "stubborn"));
    assert!(failure.message.contains("catch_unwind"), "{failure}");
    assert!(failure.location.unwrap().contains(&line_of("// caught again")));
}

#[test]
fn a_thread_that_acts_after_its_death_is_warned_of() {
    let outcome = run(Config::simulated(1), || {
        let server = Node::new("server-0");
        server.spawn("ghost", || drop(catch_unwind(|| thread::sleep(LONG))));
        thread::sleep(MS);
        server.kill();
    });
    outcome.result.unwrap();
    assert_eq!(outcome.warnings.len(), 1, "{:?}", outcome.warnings);
    assert!(outcome.warnings[0].contains("`ghost` of `server-0` went on after its node was killed"));
}

#[test]
fn nodes_may_kill_each_other_in_destructors() {
    struct Kills(Node);
    impl Drop for Kills {
        fn drop(&mut self) {
            self.0.kill();
        }
    }
    let outcome = run(Config::simulated(1), || {
        let (a, b) = (Node::new("a"), Node::new("b"));
        for (node, other) in [(&a, b.clone()), (&b, a.clone())] {
            node.spawn("t", move || {
                let _kills = Kills(other);
                thread::sleep(LONG);
            });
        }
        thread::sleep(MS);
        a.kill();
        (a.is_killed(), b.is_killed())
    });
    assert_eq!(outcome.result.unwrap(), (true, true));
}

#[test]
fn a_kill_while_a_panic_unwinds_the_killer_ends_the_others_only() {
    struct Kills(Node);
    impl Drop for Kills {
        fn drop(&mut self) {
            self.0.kill();
        }
    }
    let outcome = run(Config::simulated(1), || {
        let (node, lock) = (Node::new("a"), Arc::new(Mutex::new(5)));
        let held = Arc::clone(&lock);
        node.spawn("t", move || {
            let _guard = held.lock();
            thread::sleep(LONG);
        });
        thread::sleep(MS);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _kills = Kills(node.clone());
            panic!("first");
        }));
        assert!(caught.is_err());
        *lock.lock()
    });
    assert_eq!(outcome.result.unwrap(), 5);
}

struct Complains;

impl Drop for Complains {
    fn drop(&mut self) {
        panic!("the destructor complains"); // complains
    }
}

fn aborts(test: &str, main: fn()) {
    if is_child() {
        let _ = run(Config::simulated(11), main);
        return;
    }
    let ended = run_as_child(test);
    let text = &ended.text;
    assert!(!ended.success, "Rust ends a process whose destructors panic while they unwind");
    for part in [
        "the destructor complains",
        &line_of("// complains"),
        "`server-0`",
        "`apply_loop`",
        "seed 11",
        "0.001000 s",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn a_destructor_that_panics_in_a_kill_says_so_before_the_process_aborts() {
    aborts("destructors::a_destructor_that_panics_in_a_kill_says_so_before_the_process_aborts", || {
        let server = Node::new("server-0");
        server.spawn("apply_loop", || {
            let _complains = Complains;
            thread::sleep(LONG);
        });
        thread::sleep(MS);
        server.kill();
    });
}

#[test]
fn a_destructor_that_panics_at_the_end_of_a_run_says_so() {
    aborts("destructors::a_destructor_that_panics_at_the_end_of_a_run_says_so", || {
        Node::new("server-0").spawn("apply_loop", || {
            let _complains = Complains;
            thread::sleep(LONG);
        });
        thread::sleep(MS);
    });
}

#[test]
fn a_destructor_that_panics_in_a_panic_names_both() {
    let test = "destructors::a_destructor_that_panics_in_a_panic_names_both";
    aborts(test, || {
        let server = Node::new("server-0");
        let thread = server.spawn("apply_loop", || {
            thread::sleep(MS);
            let _complains = Complains;
            panic!("the first panic");
        });
        thread.join().unwrap();
    });
    if !is_child() {
        assert!(run_as_child(test).text.contains("the first panic"));
    }
}

#[test]
fn a_closure_that_never_ran_may_panic_when_it_is_dropped() {
    let outcome = run(Config::simulated(1), || {
        let server = Node::new("server-0");
        let complains = Complains;
        server.spawn("never", move || drop(complains));
        server.kill();
        thread::sleep(MS);
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.message, "the destructor complains");
}
