//! An exit that is not a pass: `std::process::exit` within a run would end the whole test process with the
//! status of the lab's choice, and cargo counts status 0 as passed.

use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::context::{Mode, mode};
use crate::panics::Whereabouts;
use crate::{real, sim};

/// The status of a test process that failed.
const FAILED: i32 = 101;

/// Whether the program said that it is no test.
static ALLOWED: AtomicBool = AtomicBool::new(false);

/// Whether a run has begun in this process.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// See [`crate::runtime::allow_exit`].
pub(crate) fn allow() {
    // Code of a lab runs within runs only, so it comes too late to excuse its own exit.
    if !BEGUN.load(Ordering::SeqCst) {
        ALLOWED.store(true, Ordering::SeqCst);
    }
}

/// Makes an exit of a thread of a run a failure, once for the process.
#[allow(unsafe_code, reason = "std has no interface for what an exit does")]
pub(crate) fn install_handler() {
    BEGUN.store(true, Ordering::SeqCst);
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // SAFETY: the handler is a function of this program, which is never unloaded.
        unsafe { libc::atexit(fail_if_in_a_run) };
    });
}

/// Ends the process as a failed test, whatever runs go on. A thread of a run is no framework's: its exit is
/// told as any other.
pub(crate) fn give_up() -> ! {
    if mode() == Mode::Outside {
        ALLOWED.store(true, Ordering::SeqCst);
    }
    std::process::exit(FAILED)
}

/// The C library drops the thread-local values of the thread that exits before it calls handlers, and with
/// them the names of node and thread. So a value of this type reports, which is dropped before those.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        // A thread of no run may just have come to its end.
        if mode() != Mode::Outside {
            fail_if_in_a_run();
        }
    }
}

thread_local! {
    static GUARD: Guard = const { Guard };
}

/// To be called when the other thread-local values of the runtime are in use: the value used last is dropped
/// first.
#[inline]
pub(crate) fn watch_this_thread() {
    GUARD.with(|_| ());
}

/// Runs on the OS thread that exits. Threads of no run may exit when no run goes on: the test harness does so
/// at its end. While one goes on, they are of the lab's making (`std::thread::spawn`).
#[allow(unsafe_code, reason = "ends the process with another status than the one that was asked for")]
extern "C" fn fail_if_in_a_run() {
    if ALLOWED.load(Ordering::SeqCst) {
        return;
    }
    let here = match mode() {
        Mode::Simulated => sim::try_with(|sim| sim.whereabouts()).map(words),
        Mode::Threads => real::whereabouts().map(words),
        Mode::Outside => {
            let Some(seed) = crate::watchdog::seed_of_a_run() else { return };
            Some(format!("a thread of std, `std::thread::spawn`, while the run of seed {seed} went on"))
        }
    };
    if let Some(who) = here {
        let text = format!(
            "\nprocess::exit was called in a run: by {who}. The test has not come to its end, so it has failed\n"
        );
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    // SAFETY: ends the process at once; what was printed so far has been flushed by `process::exit`.
    unsafe { libc::_exit(FAILED) };
}

fn words(Whereabouts { node, thread, seed, at, .. }: Whereabouts) -> String {
    format!("thread `{thread}` of `{node}` at {:.6} s, seed {seed}", at.as_secs_f64())
}
