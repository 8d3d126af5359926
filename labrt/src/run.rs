//! Running code in one of the two worlds.

use parking_lot::Mutex;

use crate::config::{Config, World};
use crate::context::{self, Mode, mode};
use crate::outcome::Outcome;
use crate::{abort, exit, panics, real, sim, trace};

/// What a thread runs. It is boxed as soon as it is handed over: what runs it would otherwise be compiled for
/// each closure anew, 600 lines of LLVM's code for each `spawn` of a lab.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Runs `main` as the first thread of a new run, to its end: until `main` returns, a thread panics, or a
/// limit is reached. All other threads of the run are unwound then, so that nothing is left behind.
///
/// In the simulated world equal configurations give equal runs, also across debug and release builds.
///
/// # Panics
/// If the calling thread is itself part of a run.
#[track_caller]
pub fn run<T: Send + 'static>(config: Config, main: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    let slot = std::sync::Arc::new(Mutex::new(None));
    let result = std::sync::Arc::clone(&slot);
    let outcome = run_boxed(
        config,
        Box::new(move || {
            let value = main();
            *result.lock() = Some(value);
        }),
    );
    outcome.map(|()| {
        slot.lock().take().expect("a run without a failure ends when its main closure has returned")
    })
}

/// What is the same for all closures and results, so that it is compiled once and not for each of them.
#[track_caller]
fn run_boxed(config: Config, main: Job) -> Outcome<()> {
    assert!(mode() == Mode::Outside, "labrt::run was called inside of a run");
    panics::install_hook();
    exit::install_handler();
    abort::install_handler();
    panics::forget();
    if config.trace {
        trace::install_subscriber();
    }
    match config.world {
        World::Threads => real::run(&config, main),
        World::Simulated if sim::hash_keys::thread_is_used() || std::thread::panicking() => {
            on_fresh_thread(config, main)
        }
        World::Simulated => sim::drive::run(&config, main),
    }
}

/// For an OS thread whose hash keys are drawn already, so that iteration order would not be a function of
/// this run's seed; and for one that an earlier run left with a destructor that never ended, which std counts
/// as a panic for ever.
fn on_fresh_thread(config: Config, main: Job) -> Outcome<()> {
    let handle = std::thread::spawn(move || sim::drive::run(&config, main));
    match handle.join() {
        Ok(outcome) => outcome,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// The world of the calling thread; `Threads` outside of runs, since that is how the primitives behave there.
pub fn world() -> World {
    match context::mode() {
        Mode::Simulated => World::Simulated,
        Mode::Threads | Mode::Outside => World::Threads,
    }
}

/// A seed from the system's randomness.
pub fn random_seed() -> u64 {
    rand::random()
}
