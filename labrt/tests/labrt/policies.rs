//! Scheduling policies.

use labrt::sync::atomic::{AtomicU32, Ordering};
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::time::{Duration, Instant};
use labrt::{Config, FailureKind, PolicyKind, run, thread};

/// A bug of depth 2: it needs `first` to come to its end before `second` has begun, although `first` does
/// many things and `second` few. A random walk must let `first` win every single choice.
fn depth_two_bug() -> bool {
    let lock = Arc::new(Mutex::new(0));
    let initialised = Arc::new(AtomicU32::new(0));
    let (lock2, initialised2) = (Arc::clone(&lock), Arc::clone(&initialised));
    let first = thread::spawn(move || {
        for _ in 0..40 {
            *lock2.lock() += 1;
        }
        initialised2.load(Ordering::SeqCst) == 0
    });
    let second = thread::spawn(move || initialised.store(1, Ordering::SeqCst));
    let used_too_early = first.join().unwrap();
    second.join().unwrap();
    used_too_early
}

fn found(policy: &PolicyKind, seeds: u64) -> usize {
    let config = |seed| Config::simulated(seed).policy(policy.clone());
    (0..seeds).filter(|&seed| run(config(seed), depth_two_bug).result.unwrap()).count()
}

/// A bug of depth 3: a reader must come behind the third of ten writes, after ten steps of its own, and then
/// behind the seventh.
fn depth_three_bug() -> bool {
    let [shared, own] = [(); 2].map(|()| Arc::new(AtomicU32::new(0)));
    let written = Arc::clone(&shared);
    let writer = thread::spawn(move || (1..=10).for_each(|step| written.store(step, Ordering::SeqCst)));
    let reader = thread::spawn(move || {
        (0..10).for_each(|_| {
            own.fetch_add(1, Ordering::SeqCst);
        });
        (shared.load(Ordering::SeqCst), shared.load(Ordering::SeqCst)) == (3, 7)
    });
    writer.join().unwrap();
    reader.join().unwrap()
}

/// Once in some 330 runs. Partial order sampling and a random walk by turns take more than a thousand.
#[test]
fn the_default_policy_finds_a_bug_of_depth_three() {
    let runs = (0..6000).filter(|&seed| run(Config::simulated(seed), depth_three_bug).result.unwrap());
    let found = runs.count();
    assert!(found >= 12, "found in {found} of 6000 runs");
}

#[test]
fn pct_finds_a_bug_of_depth_two_that_a_random_walk_hardly_finds() {
    let pct = found(&PolicyKind::Pct { depth: 2, steps: 200 }, 1000);
    let random = found(&PolicyKind::Random { switch_every: 1 }, 1000);
    assert!(pct >= 200, "PCT found it in {pct} of 1000 runs");
    assert!(random * 20 <= pct, "a random walk found it in {random} of 1000 runs, PCT in {pct}");
}

#[test]
fn round_robin_is_fair() {
    let outcome = run(Config::simulated(1).policy(PolicyKind::RoundRobin), || {
        let log = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..3)
            .map(|i| {
                let log = Arc::clone(&log);
                thread::spawn(move || {
                    for _ in 0..30 {
                        log.lock().push(i);
                        thread::yield_now();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let log = log.lock();
        (1..log.len()).filter(|&i| log[i] == log[i - 1]).count()
    });
    // Two turns in a row happen only where a lock was busy.
    let repeats = outcome.result.unwrap();
    assert!(repeats < 30, "{repeats} repeated turns of 90");
}

/// A correct loop over `yield_now`, or one that only looks.
fn spins(pause: fn()) {
    let flag = Arc::new(AtomicU32::new(0));
    let sets = Arc::clone(&flag);
    thread::spawn(move || sets.store(1, Ordering::SeqCst));
    while flag.load(Ordering::SeqCst) == 0 {
        pause();
    }
}

#[test]
fn no_policy_lets_a_spinning_thread_starve_the_others() {
    let policies = [
        PolicyKind::Varied,
        PolicyKind::Pos,
        PolicyKind::Random { switch_every: 1 },
        PolicyKind::Random { switch_every: 64 },
        PolicyKind::RoundRobin,
        PolicyKind::Pct { depth: 1, steps: 20_000 },
        PolicyKind::Pct { depth: 3, steps: 1000 },
        PolicyKind::Pct { depth: 3, steps: 0 },
    ];
    for policy in policies {
        for seed in 0..100 {
            for pause in [thread::yield_now as fn(), || ()] {
                let config = Config::simulated(seed).policy(policy.clone());
                let outcome = run(config, move || spins(pause));
                assert!(outcome.result.is_ok(), "{policy:?}, seed {seed}: {}", outcome.result.unwrap_err());
            }
        }
    }
}

/// Two threads that look at one object after the other at the same line. Where an object is freed before the
/// next is made, they may have the same address; where all are kept they have not.
fn look_at_many(keeps: bool) {
    let looks = move || {
        let mut kept = Vec::new();
        for _ in 0..200 {
            let object = Box::new(AtomicU32::new(0));
            object.load(Ordering::SeqCst);
            if keeps {
                kept.push(object);
            }
        }
    };
    let threads = [thread::spawn(looks), thread::spawn(looks)];
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn where_the_allocator_puts_things_decides_nothing() {
    let policies = [PolicyKind::Varied, PolicyKind::Pos, PolicyKind::Pct { depth: 3, steps: 0 }];
    for policy in policies {
        for seed in 0..50 {
            let hash = |keeps| {
                let config = Config::simulated(seed).policy(policy.clone());
                run(config, move || look_at_many(keeps)).stats.event_hash
            };
            assert_eq!(hash(true), hash(false), "{policy:?}, seed {seed}");
        }
    }
}

#[test]
fn polling_a_thread_for_its_end_comes_to_an_end() {
    let outcome = run(Config::simulated(1), || {
        let thread = thread::spawn(|| ());
        while !thread.is_finished() {}
    });
    outcome.result.unwrap();
}

#[test]
fn waiting_for_the_clock_by_looking_is_reported_as_spinning() {
    let outcome = run(Config::simulated(1), || {
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1) {}
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Spin);
    assert!(failure.message.contains("has read the clock"), "{failure}");
}

/// A reply and a call that come at different times, each of a thread that takes two locks, in opposite
/// orders.
fn inversion() {
    let locks = Arc::new((Mutex::new(()), Mutex::new(())));
    let other = Arc::clone(&locks);
    let reply = thread::spawn(move || {
        thread::sleep(Duration::from_micros(10));
        let _a = other.0.lock();
        let _b = other.1.lock();
    });
    thread::sleep(Duration::from_micros(15));
    let _b = locks.1.lock();
    let _a = locks.0.lock();
    drop((_a, _b));
    reply.join().unwrap();
}

#[test]
fn with_a_jitter_what_comes_at_different_times_can_meet() {
    let deadlocks = |jitter: Duration| {
        let config =
            |seed| Config::simulated(seed).policy(PolicyKind::Random { switch_every: 1 }).jitter(jitter);
        (0..2000).filter(|&seed| run(config(seed), inversion).result.is_err()).count()
    };
    assert_eq!(deadlocks(Duration::ZERO), 0);
    assert!(deadlocks(Duration::from_micros(20)) > 5);
}

/// A place that another thread fills.
fn filled_after_200_ms() -> Arc<(Mutex<Option<u64>>, Condvar)> {
    let shared = Arc::new((Mutex::new(None), Condvar::new()));
    let producer = Arc::clone(&shared);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        *producer.0.lock() = Some(7);
        producer.1.notify_one();
    });
    shared
}

/// A consumer that looks once, waits once, and takes what must be there by then.
fn waits_in_no_loop() {
    let shared = filled_after_200_ms();
    let mut value = shared.0.lock();
    if value.is_none() {
        shared.1.wait(&mut value);
    }
    assert_eq!(value.take(), Some(7));
}

/// The same in a loop, with a time limit, which no early wake-up counts as.
fn waits_in_a_loop() {
    let shared = filled_after_200_ms();
    let begin = Instant::now();
    let mut value = shared.0.lock();
    while value.is_none() {
        let over = shared.1.wait_until(&mut value, begin + Duration::from_millis(300));
        assert!(!over.timed_out(), "the time is not over after {:?}", begin.elapsed());
    }
    let begin = Instant::now();
    while !shared.1.wait_until(&mut value, begin + Duration::from_millis(300)).timed_out() {}
    assert_eq!(begin.elapsed(), Duration::from_millis(300));
}

#[test]
fn a_wait_in_no_loop_is_found_by_wake_ups_without_a_notification() {
    let failures = |waits: u32, program: fn()| {
        let config = |seed| Config::simulated(seed).spurious_wakes(waits);
        (0..400).filter(|&seed| run(config(seed), program).result.is_err()).count()
    };
    assert_eq!([failures(0, waits_in_no_loop), failures(4, waits_in_a_loop)], [0, 0]);
    assert!((50..150).contains(&failures(4, waits_in_no_loop)), "one in four waits");
    let traced = run(Config::simulated(1).spurious_wakes(1).trace(true), waits_in_no_loop);
    assert!(
        traced.events.iter().any(|event| event.target == "spurious"),
        "a trace says what woke the thread"
    );
}

#[test]
fn early_wake_ups_are_counted() {
    let count = |waits| {
        let counted = run(Config::simulated(1).spurious_wakes(waits), || {
            waits_in_a_loop();
            labrt::runtime::spurious_wakes()
        });
        counted.result.expect("a loop looks again")
    };
    assert_eq!(count(0), 0);
    assert!(count(1) > 4, "waits of 500 ms are cut into some of up to 100 ms each");
}

/// A wait for what never comes is a deadlock, however often it wakes.
#[test]
fn early_wake_ups_hide_no_deadlock() {
    let outcome = run(Config::simulated(1).spurious_wakes(2), || {
        let (lock, signal) = (Mutex::new(false), Condvar::new());
        signal.wait_while(&mut lock.lock(), |is_there| !*is_there);
    });
    let failure = outcome.result.expect_err("nobody notifies");
    assert_eq!(failure.kind, FailureKind::Deadlock, "{failure:?}");
}

/// The stride of the default policy differs from seed to seed: so does how often a thread in a crowd keeps
/// its turn.
#[test]
fn the_default_policy_varies() {
    let switches: Vec<usize> = (0..60)
        .map(|seed| {
            let outcome = run(Config::simulated(seed), || {
                let log = Arc::new(Mutex::new(Vec::new()));
                let threads: Vec<_> = (0..3)
                    .map(|me| {
                        let log = Arc::clone(&log);
                        thread::spawn(move || (0..500).for_each(|_| log.lock().push(me)))
                    })
                    .collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
                let log = log.lock();
                (1..log.len()).filter(|&i| log[i] != log[i - 1]).count()
            });
            outcome.result.unwrap()
        })
        .collect();
    let (few, many) = (switches.iter().min().unwrap(), switches.iter().max().unwrap());
    assert!(many > &(8 * few), "between {few} and {many} switches");
}

/// The eight programs that are also given to shuttle and loom (`labrt/peers`): the default policy finds the
/// bug of each.
#[test]
fn the_default_policy_finds_the_bugs_of_the_eight_programs() {
    for (name, program) in super::programs::ALL {
        let found = (0..20_000).find(|&seed| run(Config::simulated(seed), program).result.is_err());
        assert!(found.is_some(), "{name} was not found in 20,000 seeds");
    }
}
