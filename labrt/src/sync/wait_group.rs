//! Waiting for a group of threads.

use std::cell::Cell;

use super::{Arc, Condvar, Mutex};
use crate::finally::certainly;

/// Waits until all its clones are gone, as in crossbeam: give each thread a clone, and wait with the last
/// one.
pub struct WaitGroup {
    inner: Arc<Inner>,
}

struct Inner {
    count: Mutex<usize>,
    zero: Condvar,
}

impl WaitGroup {
    /// A group with one member: this handle.
    pub fn new() -> Self {
        WaitGroup { inner: Arc::new(Inner { count: Mutex::new(1), zero: Condvar::new() }) }
    }

    /// Gives up this handle and waits until all others are dropped.
    #[track_caller]
    pub fn wait(self) {
        crate::runtime::note_blocking("the wait for a group");
        let inner = Arc::clone(&self.inner);
        drop(self);
        let mut count = inner.count.lock();
        inner.zero.wait_while(&mut count, |count| *count > 0);
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        WaitGroup::new()
    }
}

impl Clone for WaitGroup {
    fn clone(&self) -> Self {
        let mut count = self.inner.count.lock();
        *count += 1;
        // Made while the lock is held: a kill may come where it is given up, and takes the clone with it.
        let clone = WaitGroup { inner: Arc::clone(&self.inner) };
        drop(count);
        clone
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        let is_counted = Cell::new(false);
        certainly(|| {
            let mut count = self.inner.count.lock();
            if !is_counted.replace(true) {
                *count -= 1;
            }
            if *count == 0 {
                self.inner.zero.notify_all();
            }
        });
    }
}
