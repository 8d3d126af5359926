//! Waiting for a situation that a test can make likely, but not force.

use std::time::Duration;

use labrt::thread;
use labrt::time::Instant;

/// Checks every two milliseconds whether the condition holds, and once more at the end.
pub(crate) fn wait_until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience && !condition() {
        thread::sleep(Duration::from_millis(2));
    }
    condition()
}
