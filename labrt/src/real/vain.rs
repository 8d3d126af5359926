//! Real threads that are to end and do not.

use std::cell::Cell;
use std::time::Duration;

/// Waiting calls that a destructor may make in vain before each of them takes a while; and how often a kill
/// may be caught.
pub(super) const CALLS: u32 = 1000;
/// The same of calls that do not wait.
pub(super) const LOOKS: u32 = 1_000_000;

thread_local! {
    /// How many the running thread has made.
    static MADE: Cell<u32> = const { Cell::new(0) };
}

/// Another thread begins on this OS thread.
pub(super) fn forget() {
    MADE.set(0);
}

/// A destructor may wait in a loop for what never comes, each time in vain, or look for it; and a kill may be
/// caught again and again. Such a thread must not keep a core busy from then on, until the process ends.
#[cold]
pub(super) fn slow_down(after: u32) {
    MADE.set(MADE.get().saturating_add(1));
    if MADE.get() > after {
        std::thread::sleep(Duration::from_millis(1));
    }
}
