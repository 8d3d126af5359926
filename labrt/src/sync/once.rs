//! Something that is done once.

use super::{Condvar, Mutex};

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Incomplete,
    Running,
    Complete,
}

/// Runs a closure once, however many threads ask for it; the others wait until it has ended. As in std.
#[derive(Default)]
pub struct Once {
    state: Mutex<State>,
    changed: Condvar,
}

impl Once {
    /// A `Once` whose closure has not run.
    pub const fn new() -> Self {
        Once { state: Mutex::new(State::Incomplete), changed: Condvar::new() }
    }

    /// Runs `f` if no closure has run here; waits for the end of the one that is running. If that one panics
    /// or is killed, the next caller's closure runs.
    #[track_caller]
    pub fn call_once(&self, f: impl FnOnce()) {
        {
            let mut state = self.state.lock();
            self.changed.wait_while(&mut state, |state| *state == State::Running);
            if *state == State::Complete {
                return;
            }
            *state = State::Running;
        }
        let mut end = End { once: self, reached: State::Incomplete };
        f();
        end.reached = State::Complete;
    }

    /// Whether a closure has run to its end.
    pub fn is_completed(&self) -> bool {
        *self.state.lock() == State::Complete
    }
}

/// Records how the closure ended, also when it unwinds.
struct End<'a> {
    once: &'a Once,
    reached: State,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        *self.once.state.lock() = self.reached;
        self.once.changed.notify_all();
    }
}
