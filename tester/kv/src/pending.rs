//! Operations that a test begins and does not wait for yet.

use std::time::Duration;

use labrt::channel::{Receiver, bounded};
use labrt::thread;

use tester::Test;

/// An operation that goes on by itself.
pub struct Pending<T> {
    test: Test,
    result: Receiver<T>,
}

impl<T: Send + 'static> Pending<T> {
    pub(super) fn begin(test: &Test, operation: impl FnOnce() -> T + Send + 'static) -> Pending<T> {
        let (sender, result) = bounded(1);
        // Nobody joins this thread: it ends with its operation, or with the run.
        drop(thread::spawn(move || sender.send(operation())));
        Pending { test: test.clone(), result }
    }

    /// Whether it is done.
    pub fn is_done(&self) -> bool {
        !self.result.is_empty()
    }

    /// Waits for its result.
    ///
    /// # Panics
    /// If it is not there within `limit`; `what` says what was expected.
    pub fn within(self, limit: Duration, what: &str) -> T {
        self.result.recv_timeout(limit).unwrap_or_else(|_| {
            self.test.fail_waiting(format!("expected {what} to be done within {} s", limit.as_secs_f64()))
        })
    }
}
