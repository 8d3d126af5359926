//! The programs under shuttle.

use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

use crate::{Finding, MOST_RUNS, Program, measure};

mod facade {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    pub(crate) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread::spawn;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap()
    }
}

#[path = "programs.rs"]
mod programs;

pub(crate) use programs::ALL;

/// How many executions the present search has begun.
static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

fn search(scheduler: impl Scheduler + 'static, program: Program) -> Result<u64, u64> {
    EXECUTIONS.store(0, Ordering::SeqCst);
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    let runner = Runner::new(scheduler, config);
    let counted = move || {
        EXECUTIONS.fetch_add(1, Ordering::SeqCst);
        program();
    };
    let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runner.run(counted))).is_ok();
    let executions = EXECUTIONS.load(Ordering::SeqCst);
    if passed { Err(executions) } else { Ok(executions) }
}

pub(crate) fn random(program: Program) -> Finding {
    measure(|round| search(RandomScheduler::new_from_seed(round, MOST_RUNS as usize), program))
}

pub(crate) fn pct(program: Program) -> Finding {
    measure(|round| search(PctScheduler::new_from_seed(round, 3, MOST_RUNS as usize), program))
}
