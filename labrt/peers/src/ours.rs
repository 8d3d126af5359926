//! The programs under labrt.

use labrt::{Bounds, Config, PolicyKind, explore, run};

use crate::{Finding, MOST_RUNS, Program, measure};

mod facade {
    pub(crate) use labrt::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    pub(crate) use labrt::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use labrt::thread::spawn;

    #[track_caller]
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }

    #[track_caller]
    pub(crate) fn wait<'a, T>(condvar: &Condvar, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(&mut guard);
        guard
    }
}

#[path = "programs.rs"]
mod programs;

pub(crate) use programs::ALL;

/// The policies, the default first.
pub(crate) fn policies() -> Vec<(&'static str, PolicyKind)> {
    vec![
        ("labrt", PolicyKind::Varied),
        ("random", PolicyKind::Random { switch_every: 1 }),
        ("random 16", PolicyKind::Random { switch_every: 16 }),
        ("POS", PolicyKind::Pos),
        ("PCT 3", PolicyKind::Pct { depth: 3, steps: 30 }),
    ]
}

pub(crate) fn with_policy(program: Program, policy: &PolicyKind) -> Finding {
    let config = |seed| Config::simulated(seed).policy(policy.clone());
    let search = |round: u64| {
        let first = round * 1_000_003;
        let found =
            (0..MOST_RUNS).find(|run_number| run(config(first + run_number), program).result.is_err());
        found.map(|runs| runs + 1).ok_or(MOST_RUNS)
    };
    // An OS thread of its own, on which no hash keys were drawn: other runs get a fresh thread each.
    std::thread::scope(|scope| scope.spawn(|| measure(search)).join()).expect("a search catches panics")
}

/// The exhaustive search: once, since it does not depend on a seed.
pub(crate) fn exhaustive(program: Program) -> Finding {
    let search = |_| {
        let bounds = Bounds { schedules: 200_000, preemptions: Some(2), ..Bounds::default() };
        let search = explore(bounds, program);
        if search.failure.is_some() { Ok(search.schedules) } else { Err(search.schedules) }
    };
    std::thread::scope(|scope| scope.spawn(|| crate::table::once(search)).join())
        .expect("a search catches panics")
}
