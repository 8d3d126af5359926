//! Exercise 5: one lock, two conditions.

use std::collections::VecDeque;

use labrt::sync::{Condvar, Mutex};

/// A queue between producers and consumers that never holds more than its capacity.
pub struct BoundedQueue<T> {
    // handout: drop classic
    items: Mutex<VecDeque<T>>,
    capacity: usize,
    not_full: Condvar,
    not_empty: Condvar,
    // handout: end
    // handout: put classic
    // // Your data here, in place of this.
    // data: std::marker::PhantomData<T>,
    // handout: end
}

// handout: bodies 0B
impl<T> BoundedQueue<T> {
    /// An empty queue.
    ///
    /// # Panics
    /// If the capacity is 0.
    pub fn new(capacity: usize) -> BoundedQueue<T> {
        assert!(capacity > 0, "a queue of capacity 0 would hand over nothing");
        let items = Mutex::new(VecDeque::with_capacity(capacity));
        BoundedQueue { items, capacity, not_full: Condvar::new(), not_empty: Condvar::new() }
    }

    /// Adds an item at the end. Waits while the queue is full.
    ///
    /// An item more lets one consumer go on, so one is woken. With a single condition for both kinds of
    /// threads the one that wakes could be another producer, and the consumer would sleep for ever.
    pub fn push(&self, item: T) {
        let mut items = self.items.lock();
        while items.len() == self.capacity {
            self.not_full.wait(&mut items);
        }
        items.push_back(item);
        self.not_empty.notify_one();
    }

    /// Takes the item at the front. Waits while the queue is empty.
    pub fn pop(&self) -> T {
        let mut items = self.items.lock();
        loop {
            // In a loop: between the notification and this thread's turn another consumer may have come.
            if let Some(item) = items.pop_front() {
                self.not_full.notify_one();
                return item;
            }
            self.not_empty.wait(&mut items);
        }
    }

    /// Number of items now.
    pub fn len(&self) -> usize {
        self.items.lock().len()
    }

    /// Whether there is no item now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
