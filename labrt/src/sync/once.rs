//! Something that is done once.

use super::{Condvar, Mutex};
use crate::finally::certainly;

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
        let mut end = End { once: self, reached: None };
        {
            let mut state = self.state.lock();
            self.changed.wait_while(&mut state, |state| *state == State::Running);
            if *state == State::Complete {
                return;
            }
            *state = State::Running;
            // While the lock is held, since a kill may come where it is given up.
            end.reached = Some(State::Incomplete);
        }
        f();
        end.reached = Some(State::Complete);
    }

    /// Whether a closure has run to its end.
    #[track_caller]
    pub fn is_completed(&self) -> bool {
        *self.state.lock() == State::Complete
    }
}

/// Records how the closure ended, also when it unwinds.
struct End<'a> {
    once: &'a Once,
    /// None if the closure is not to run.
    reached: Option<State>,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let Some(reached) = self.reached else { return };
        certainly(|| {
            *self.once.state.lock() = reached;
            self.once.changed.notify_all();
        });
    }
}
