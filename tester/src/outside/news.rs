//! When to look at a server again.

use std::time::Duration;

use labapi::Persister;
use labrt::oneshot::{self, Put};
use labrt::quiet::Mutex;
use labrt::time::Instant;

/// How soon a server is looked at after a change, on its own clock, and the least time between two looks.
/// Looking every 10 ms whether or not anything had happened made the shortest tests take twice as long.
const SOON: Duration = Duration::from_millis(10);

/// The time between two looks at a server that writes all the time, but whose term and role stay: it appends
/// entries.
const BUSY: Duration = Duration::from_millis(100);

/// The longest time between two looks.
const IDLE: Duration = Duration::from_millis(500);

/// Wakes the thread that looks at one life of a server when there may be something to see: the disk has been
/// written to. A term that changes is written down (Figure 2), and a server that stands for election votes
/// for itself. After a change the thread looks again in growing intervals, since an election is won without a
/// write.
pub(crate) struct News {
    disk: Persister,
    state: Mutex<State>,
}

struct State {
    /// How often the disk had been written to at the last look.
    seen: u64,
    /// Wakes the thread, if it waits.
    waiter: Option<Put<()>>,
    /// Until then it is left to sleep.
    not_before: Instant,
}

impl News {
    pub(crate) fn new(disk: &Persister) -> News {
        let state = State { seen: disk.writes(), waiter: None, not_before: Instant::now() };
        News { disk: disk.clone(), state: Mutex::new(state) }
    }

    /// The server has handled or sent a message, or was called by the test: the moments in which the disk is
    /// compared.
    pub(crate) fn compare(&self) {
        let waiter = {
            let state = &mut *self.state.lock();
            let is_early = self.disk.writes() == state.seen || Instant::now() < state.not_before;
            if is_early { None } else { state.waiter.take() }
        };
        if let Some(waiter) = waiter {
            waiter.put(());
        }
    }

    /// Calls `look` now, soon after each write, and at least every 500 ms. `look` says whether anything was
    /// new.
    pub(super) fn look_again_and_again(&self, look: impl Fn() -> bool) -> ! {
        // How long to wait for a write, and how long at least between two looks.
        let (mut pause, mut least) = (SOON, SOON);
        loop {
            self.state.lock().seen = self.disk.writes();
            if look() {
                (pause, least) = (SOON, SOON);
            } else {
                pause = (4 * pause).min(IDLE);
            }
            let is_busy = self.is_woken_within(pause, least);
            least = if is_busy { (2 * least).min(BUSY) } else { SOON };
        }
    }

    /// Waits for a write, for at least `least` and at most `limit`. A write that comes too early is noticed
    /// with the next message.
    fn is_woken_within(&self, limit: Duration, least: Duration) -> bool {
        let (waiter, wait) = oneshot::channel();
        let now = Instant::now();
        let state = State { seen: self.state.lock().seen, waiter: Some(waiter), not_before: now + least };
        *self.state.lock() = state;
        matches!(wait.wait_deadline(now + limit), Ok(Some(())))
    }
}
