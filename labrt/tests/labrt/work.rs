//! Much work at one instant of virtual time is no spinning, and spinning is reported soon.

use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::time::Duration;
use labrt::{Config, FailureKind, Limits, PolicyKind, channel, run, thread};

use crate::basics::both_ok;

const MS: Duration = Duration::from_millis(1);

/// With the policies that switch most often, where each operation is a decision.
fn passes(main: fn()) {
    for policy in [PolicyKind::Random { switch_every: 1 }, PolicyKind::RoundRobin, PolicyKind::Pos] {
        let outcome = run(Config::simulated(1).policy(policy.clone()), main);
        assert!(outcome.result.is_ok(), "{policy:?}: {}", outcome.result.unwrap_err());
    }
}

#[test]
fn a_million_messages_are_no_spinning() {
    const MESSAGES: usize = 1_000_000;
    for capacity in [Some(1), None] {
        let main = move || {
            let (sender, receiver) = capacity.map_or_else(channel::unbounded, channel::bounded);
            thread::spawn(move || (0..MESSAGES).for_each(|message| sender.send(message).unwrap()));
            assert_eq!(receiver.iter().count(), MESSAGES);
        };
        let config = Config::simulated(1).policy(PolicyKind::Random { switch_every: 1 });
        let outcome = run(config, main);
        assert!(outcome.result.is_ok(), "{capacity:?}: {}", outcome.result.unwrap_err());
    }
}

#[test]
fn a_counter_that_threads_share_is_no_spinning() {
    passes(|| {
        let count = Arc::new(Mutex::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let counts = || {
            let (count, stop) = (Arc::clone(&count), Arc::clone(&stop));
            move || {
                for _ in 0..200_000 {
                    assert!(!stop.load(Ordering::SeqCst));
                    *count.lock() += 1;
                }
            }
        };
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(counts())).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*count.lock(), 800_000);
    });
}

#[test]
fn what_has_no_end_is_spinning_however_it_spins() {
    let programs: [fn(); 4] = [
        // Two threads that keep each other busy.
        || {
            let ((sends, receives), (answers, hears)) = (channel::unbounded(), channel::unbounded());
            thread::spawn(move || receives.iter().try_for_each(|number: u64| answers.send(number)));
            sends.send(1).unwrap();
            hears.iter().for_each(|number| sends.send(number + 1).unwrap());
        },
        || {
            let done = Mutex::new(false);
            while !*done.lock() {}
        },
        || {
            let (_keeps, receiver) = channel::unbounded::<u32>();
            while receiver.recv_timeout(Duration::ZERO).is_err() {}
        },
        || {
            loop {
                thread::sleep(Duration::ZERO);
            }
        },
    ];
    for (number, program) in programs.into_iter().enumerate() {
        let started = std::time::Instant::now();
        let failure = run(Config::simulated(number as u64), program).result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Spin, "program {number}: {failure}");
        assert!(started.elapsed() < Duration::from_secs(30), "program {number}");
    }
}

#[test]
fn a_wait_of_no_time_lets_others_have_the_lock() {
    both_ok(|| {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let sets = Arc::clone(&pair);
        thread::spawn(move || *sets.0.lock() = true);
        let mut done = pair.0.lock();
        while !*done {
            pair.1.wait_for(&mut done, Duration::ZERO);
        }
    });
}

#[test]
fn a_tick_without_a_period_is_refused() {
    for config in [Config::simulated(1), Config::threads(1)] {
        let outcome = run(config, || drop(channel::tick(Duration::ZERO)));
        let failure = outcome.result.unwrap_err();
        assert!(failure.message.contains("period of a `tick`"), "{failure}");
        assert!(failure.location.as_ref().unwrap().contains("work.rs"), "{failure}");
    }
}

/// The clock moves on by a nanosecond at a time. That takes long, but nothing is stuck.
#[test]
fn a_run_of_many_ticks_ends_at_its_limit() {
    let limits = Limits {
        real_time: Duration::from_secs(1),
        stuck_after: Duration::from_millis(300),
        ..Limits::default()
    };
    let outcome = run(Config::simulated(1).limits(limits), || {
        let _ticks = channel::tick(Duration::from_nanos(1));
        thread::sleep(1_000_000 * MS);
    });
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::RealTime);
}
