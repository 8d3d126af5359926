//! The programs under loom, which searches exhaustively.

<<<<<<< HEAD
=======
use crate::Finding;
use std::process::Stdio;
>>>>>>> runtime
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

/// The argument with which this program searches one program under loom, whose number follows.
pub(crate) const CHILD: &str = "--under-loom";

/// In a process of its own, since loom may end the process with the failure that it has found.
pub(crate) fn exhaustive(index: usize) -> Finding {
    let program = std::env::current_exe().expect("a program that runs has a file");
    let mut command = std::process::Command::new(program);
    let output = command.args([CHILD, &index.to_string()]).stderr(Stdio::null()).output();
    let output = output.expect("what runs can be run again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace();
    let (verdict, runs, seconds) = (words.next(), words.next(), words.next());
    let runs: u64 = runs.and_then(|runs| runs.parse().ok()).unwrap_or(0);
    let seconds: f64 = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(f64::INFINITY);
    Finding { runs: (verdict == Some("found")).then_some(runs), rate: runs as f64 / seconds.max(1e-6) }
}

/// The child: says `found` or `passed`, the number of executions, and the seconds.
pub(crate) fn search(index: usize) {
    let started = std::time::Instant::now();
    let say = move |verdict: &str| {
        let executions = EXECUTIONS.load(Ordering::SeqCst);
        println!("{verdict} {executions} {}", started.elapsed().as_secs_f64());
    };
    std::panic::set_hook(Box::new(move |_| say("found")));
    let program = ALL[index].1;
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.max_duration = Some(std::time::Duration::from_secs(10));
    let counted = move || {
        EXECUTIONS.fetch_add(1, Ordering::SeqCst);
        program();
    };
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| model.check(counted))).is_ok() {
        say("passed");
    }
}
