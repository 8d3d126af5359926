//! Signal and broadcast: let one waiting thread go on, or all of them.

use labrt::sync::{Condvar, Mutex};

/// Threads wait in front of it until they are let through. Threads that come later wait for the next time.
#[derive(Default)]
pub struct Turnstile {
    // handout: drop classic
    queue: Mutex<Queue>,
    moved: Condvar,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: drop classic
/// Tickets are numbered from 0 in the order of arrival.
#[derive(Debug, Default)]
struct Queue {
    /// The ticket of the next thread that comes.
    next: u64,
    /// Tickets below this one may go through.
    admitted: u64,
}

// handout: end
// handout: bodies 0B
impl Turnstile {
    /// A turnstile without threads in front of it.
    pub fn new() -> Turnstile {
        Turnstile::default()
    }

    /// Waits until this thread is let through.
    pub fn pass(&self) {
        let mut queue = self.queue.lock();
        let ticket = queue.next;
        queue.next += 1;
        while ticket >= queue.admitted {
            self.moved.wait(&mut queue);
        }
    }

    /// Number of threads that wait.
    pub fn waiting(&self) -> u64 {
        let queue = self.queue.lock();
        queue.next - queue.admitted
    }

    /// Lets the thread through that has waited longest, if any waits.
    ///
    /// All threads are woken, because a condition variable does not wake them in the order of their tickets.
    /// Each looks at its ticket, and one goes on.
    pub fn let_one(&self) {
        let mut queue = self.queue.lock();
        queue.admitted = queue.next.min(queue.admitted + 1);
        self.moved.notify_all();
    }

    /// Lets everybody through who waits now.
    pub fn let_all(&self) {
        let mut queue = self.queue.lock();
        queue.admitted = queue.next;
        self.moved.notify_all();
    }
}
