//! Exercise 7: a background thread that can be stopped.

use labrt::sync::{Arc, Condvar, Mutex};
use labrt::thread::{self, JoinHandle};
use labrt::time::{Duration, Instant};

/// Calls a closure once in each period, until it is stopped or dropped.
pub struct Ticker {
    // handout: drop classic
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: drop classic
/// The request to stop.
#[derive(Default)]
struct Stop {
    is_asked: Mutex<bool>,
    asked: Condvar,
}

// handout: end
// handout: bodies 0B
impl Ticker {
    /// Starts the thread. The first tick comes after one period.
    pub fn start(period: Duration, tick: impl FnMut() + Send + 'static) -> Ticker {
        let stop = Arc::new(Stop::default());
        let of_thread = Arc::clone(&stop);
        let mut tick = tick;
        let thread = thread::spawn_named("ticker", move || {
            let mut next = Instant::now() + period;
            while !of_thread.is_asked_before(next) {
                tick();
                next += period;
            }
        });
        Ticker { stop, thread: Some(thread) }
    }

    /// Stops the ticker. When this returns the thread has ended, and no tick comes after it.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.stop.is_asked.lock() = true;
        self.stop.asked.notify_all();
        if let Some(thread) = self.thread.take() {
            // Err says that the thread was killed with its node: it has ended, too.
            let _ = thread.join();
        }
    }
}

impl Stop {
    /// Waits until the deadline, or until the ticker is to stop. True if it is.
    ///
    /// A thread that slept until the deadline instead would keep `stop` waiting for a whole period.
    fn is_asked_before(&self, deadline: Instant) -> bool {
        let mut is_asked = self.is_asked.lock();
        while !*is_asked {
            if self.asked.wait_until(&mut is_asked, deadline).timed_out() {
                break;
            }
        }
        *is_asked
    }
}
