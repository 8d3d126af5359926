//! The programs under loom, which searches exhaustively.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Finding, Program};

mod facade {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::spawn;

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

static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn exhaustive(program: Program) -> Finding {
    crate::table::once(|_| {
        EXECUTIONS.store(0, Ordering::SeqCst);
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.max_duration = Some(std::time::Duration::from_secs(10));
        let counted = move || {
            EXECUTIONS.fetch_add(1, Ordering::SeqCst);
            program();
        };
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| model.check(counted))).is_ok();
        let executions = EXECUTIONS.load(Ordering::SeqCst);
        if passed { Err(executions) } else { Ok(executions) }
    })
}
