//! The lost wake-up: a latch that may sleep for ever, and its repair.

use labrt::sync::{Condvar, Mutex};

// handout: bodies kept
/// A latch with a fault: the thread that waits tests the flag, gives up the lock, and takes it again to wait.
/// A signal between the two finds nobody waiting and is lost, and the thread sleeps for ever.
#[derive(Default)]
pub struct BrokenLatch {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl BrokenLatch {
    /// Opens the latch for everybody.
    pub fn open(&self) {
        *self.is_open.lock() = true;
        self.opened.notify_all();
    }

    /// Waits until the latch is open. Or for ever.
    pub fn wait(&self) {
        let is_open = *self.is_open.lock();
        if !is_open {
            let mut guard = self.is_open.lock();
            self.opened.wait(&mut guard);
        }
    }
}

/// The repaired latch.
#[derive(Default)]
pub struct Latch {
    is_open: Mutex<bool>,
    opened: Condvar,
}

// handout: bodies 0B
impl Latch {
    /// Opens the latch for everybody.
    pub fn open(&self) {
        *self.is_open.lock() = true;
        self.opened.notify_all();
    }

    /// Waits until the latch is open.
    ///
    /// Test and wait are under one lock, which the wait gives up in the same step in which it begins. So a
    /// signal comes either before the test, which then sees it, or to a thread that waits.
    pub fn wait(&self) {
        let mut is_open = self.is_open.lock();
        while !*is_open {
            self.opened.wait(&mut is_open);
        }
    }
}
