//! Panics of threads that no run knows: those that code of a lab has started by `std::thread`.
//!
//! std ends such a thread and tells nobody who does not join it, so that the run would go on and may pass.
//! The panic hook runs on that thread. Which run has started it is not known; if one run goes on in the
//! process, it is that one.

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::panics::PanicInfo;
use crate::watchdog::{Pulse, going_on};

/// Stands for the name of such a thread in a failure.
pub(crate) const STRANGER: &str = "std::thread";

/// What a run knows of the panics of strangers while it goes on.
#[derive(Default)]
pub(crate) struct Strangers {
    /// Whether there is anything in the state, or about to be: mostly there is not.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The first panic that ended its thread.
    failure: Option<PanicInfo>,
    warnings: Vec<String>,
}

impl Strangers {
    pub(crate) fn clear(&self) {
        if self.any.swap(false, Ordering::SeqCst) {
            *self.state.lock() = State::default();
        }
    }

    /// The panic that fails the run.
    pub(crate) fn failure(&self) -> Option<PanicInfo> {
        if self.has_any() { self.state.lock().failure.clone() } else { None }
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        if self.has_any() { std::mem::take(&mut self.state.lock().warnings) } else { Vec::new() }
    }

    fn has_any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// The state, which is decided when the guard goes.
    fn decide(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        self.any.store(true, Ordering::SeqCst);
        state
    }
}

/// A thread of no run panics.
pub(crate) fn note(info: &PanicHookInfo<'_>, message: &str) {
    let runs = going_on();
    let [run] = runs.as_slice() else {
        note_in_all(&runs, info, message);
        return;
    };
    // Whoever asks for the result of that run waits until this is decided.
    let mut state = run.strangers.decide();
    let trace = Backtrace::force_capture();
    if state.failure.is_some() || !ends_a_thread(&trace.to_string()) {
        return;
    }
    let wanted = Backtrace::capture().status() == std::backtrace::BacktraceStatus::Captured;
    state.failure = Some(PanicInfo {
        message: in_words(message),
        location: info.location().map(ToString::to_string),
        backtrace: wanted.then(|| trace.to_string()),
    });
    run.stop_for_a_stranger();
}

/// Whose it is cannot be told: a warning for each.
fn note_in_all(runs: &[Arc<Pulse>], info: &PanicHookInfo<'_>, message: &str) {
    if runs.is_empty() || !ends_a_thread(&Backtrace::force_capture().to_string()) {
        return;
    }
    let place = info.location().map_or_else(String::new, |place| format!(" ({place})"));
    for run in runs {
        let warning =
            format!("{}{place}. Several runs go on, and it may be of another one", in_words(message));
        run.strangers.decide().warnings.push(warning);
    }
}

fn in_words(message: &str) -> String {
    let name = std::thread::current().name().map_or_else(String::new, |name| format!(" `{name}`"));
    format!("a thread{name} of std, which belongs to no run, panicked: {message} (use labrt::thread)")
}

/// Whether the panic with this backtrace ends a thread that was started by `std::thread`, and neither by a
/// test harness nor by this crate.
fn ends_a_thread(trace: &str) -> bool {
    let Some((inner, outer)) = trace.split_once("__rust_begin_short_backtrace") else { return false };
    let is_known = ["test::run_test", "lang_start", "labrt::watchdog", "labrt::run", "labrt::real"]
        .iter()
        .any(|known| outer.contains(known));
    // Between the thread's root and the panic nobody catches it.
    outer.contains("std::thread") && !is_known && !inner.contains("catch_unwind")
}
