//! Exercise 6: a wait group, from a lock and a condition variable.

use labrt::sync::{Condvar, Mutex};

/// Waits until a number of tasks is done; as `sync.WaitGroup` of Go.
#[derive(Default)]
pub struct WaitGroup {
    // handout: drop classic
    left: Mutex<usize>,
    all_done: Condvar,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies 0B
impl WaitGroup {
    /// A group without tasks.
    pub fn new() -> WaitGroup {
        WaitGroup::default()
    }

    /// Adds tasks. To be called before the tasks start: a task that adds itself may come too late for the
    /// waiting thread.
    pub fn add(&self, tasks: usize) {
        *self.left.lock() += tasks;
    }

    /// A task is done.
    ///
    /// # Panics
    /// If there is none.
    pub fn done(&self) {
        let mut left = self.left.lock();
        *left = left.checked_sub(1).expect("more tasks were done than added");
        if *left == 0 {
            self.all_done.notify_all();
        }
    }

    /// Waits until no task is left.
    pub fn wait(&self) {
        let mut left = self.left.lock();
        while *left > 0 {
            self.all_done.wait(&mut left);
        }
    }
}
