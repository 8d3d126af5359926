//! Which world the code on this OS thread lives in.

use std::cell::Cell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No run: plain threads, as in a unit test that never calls [`crate::run`]. The primitives behave as
    /// real ones.
    Outside,
    Simulated,
    Threads,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Outside) };
}

#[inline]
pub(crate) fn mode() -> Mode {
    MODE.get()
}

/// Enters a world and returns the one to [`leave`] for.
pub(crate) fn enter(new: Mode) -> Mode {
    MODE.replace(new)
}

pub(crate) fn leave(old: Mode) {
    MODE.set(old);
}
