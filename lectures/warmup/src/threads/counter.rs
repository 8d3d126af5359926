//! Exercise 2: a counter that loses updates, and two that do not.

use labrt::sync::Mutex;
use labrt::sync::atomic::{AtomicU64, Ordering};

/// A number that many threads raise.
pub trait Counter: Default + Send + Sync + 'static {
    /// Adds 1.
    fn add(&self);

    /// The number now.
    fn value(&self) -> u64;
}

/// Reads the number, and writes the sum back as a second step. Another thread may add between the two, and
/// its update is lost.
#[derive(Debug, Default)]
pub struct RacyCounter {
    // handout: drop classic
    value: AtomicU64,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies 0B
impl Counter for RacyCounter {
    fn add(&self) {
        let value = self.value.load(Ordering::SeqCst);
        self.value.store(value + 1, Ordering::SeqCst);
    }

    fn value(&self) -> u64 {
        self.value.load(Ordering::SeqCst)
    }
}

/// Reads and writes under a lock.
#[derive(Debug, Default)]
pub struct LockedCounter {
    // handout: drop classic
    value: Mutex<u64>,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

impl Counter for LockedCounter {
    fn add(&self) {
        *self.value.lock() += 1;
    }

    fn value(&self) -> u64 {
        *self.value.lock()
    }
}

/// Reads and writes in one atomic step.
#[derive(Debug, Default)]
pub struct AtomicCounter {
    // handout: drop classic
    value: AtomicU64,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

impl Counter for AtomicCounter {
    fn add(&self) {
        self.value.fetch_add(1, Ordering::SeqCst);
    }

    fn value(&self) -> u64 {
        self.value.load(Ordering::SeqCst)
    }
}
