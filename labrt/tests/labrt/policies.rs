//! Scheduling policies.

use labrt::sync::atomic::{AtomicU32, Ordering};
use labrt::sync::{Arc, Mutex};
use labrt::{Config, PolicyKind, run, thread};

/// A bug of depth 2: it needs `first` to come to its end before `second` has begun, although `first` does many things
/// and `second` few. A random walk must let `first` win every single choice.
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
