//! An abort that says whose it was: `std::process::abort`, an allocation that the system refuses, a panic
//! within the message of a panic. Each ends the process, and the system only says that it was aborted.

use std::fmt::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::context::{Mode, mode};
use crate::sim::stack::Line;
use crate::{real, sim};

/// Whether the reason has been told, so that the abort itself is no news.
static TOLD: AtomicBool = AtomicBool::new(false);

/// The process is about to abort, and it was said why.
pub(crate) fn is_told() {
    TOLD.store(true, Ordering::SeqCst);
}

/// Lets an abort name its thread, once for the process.
#[allow(unsafe_code, reason = "std has no interface for signals")]
pub(crate) fn install_handler() {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // SAFETY: all zeroes is a valid `sigaction`, the pointers are valid for the call, and the handler
        // only does what a signal allows. After it the signal has its usual effect, since it is reset.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_abort as *const () as usize;
            action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
            libc::sigaction(libc::SIGABRT, &raw const action, std::ptr::null_mut());
        }
    });
}

/// Runs on the thread that aborts. It may have been within the allocator, so that this allocates nothing.
extern "C" fn on_abort(_: libc::c_int) {
    if mode() == Mode::Outside || TOLD.swap(true, Ordering::SeqCst) {
        return;
    }
    let mut line = Line::default();
    // A line that is too long is cut.
    let _ = write!(line, "\nthe process was aborted in a run: by ");
    match mode() {
        Mode::Simulated => sim::write_whereabouts(&mut line),
        Mode::Threads => real::write_whereabouts(&mut line),
        Mode::Outside => {}
    }
    let _ = writeln!(line);
    line.print();
}
