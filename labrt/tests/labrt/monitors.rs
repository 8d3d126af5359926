//! Monitors settle before every release of their lock.

use labrt::node::Node;
use labrt::sync::{Arc, Condvar, Monitor, Settle};
use labrt::time::{Duration, Instant};
use labrt::{Config, run, thread};

use crate::basics::both_ok;

const MS: Duration = Duration::from_millis(1);

/// A queue that wakes consumers only when there is something to take, and producers only when there is room.
#[derive(Default)]
struct Queue {
    items: Vec<u32>,
    settled: u32,
}

#[derive(Default)]
struct Signals {
    filled: Condvar,
    emptied: Condvar,
}

impl Settle for Queue {
    type Signals = Signals;

    fn settle(&mut self, signals: &Signals) {
        assert!(self.items.len() <= 1, "a queue of one place holds {}", self.items.len());
        self.settled += 1;
        if self.items.is_empty() {
            signals.emptied.notify_one()
        } else {
            signals.filled.notify_one()
        };
    }
}

#[test]
fn threads_hand_over_without_a_notification_of_their_own() {
    both_ok(|| {
        let queue = Arc::new(Monitor::new(Queue::default()));
        let producer = Arc::clone(&queue);
        thread::spawn_named("producer", move || {
            for item in 0..100 {
                let mut queue = producer.lock();
                while !queue.items.is_empty() {
                    queue.wait(|on| &on.emptied);
                }
                queue.items.push(item);
            }
        });
        let mut taken = Vec::new();
        let mut queue = queue.lock();
        while taken.len() < 100 {
            match queue.items.pop() {
                Some(item) => taken.push(item),
                None => queue.wait(|on| &on.filled),
            }
        }
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn a_wait_settles_first_and_ends_at_its_deadline() {
    both_ok(|| {
        let queue = Monitor::new(Queue::default());
        let mut guard = queue.lock();
        let deadline = Instant::now() + 5 * MS;
        while !guard.wait_until(|on| &on.filled, deadline) {}
        assert!(Instant::now() >= deadline);
        assert!(guard.settled >= 1);
        let settled = guard.settled;
        drop(guard);
        assert_eq!(queue.lock().settled, settled + 1);
    });
}

#[test]
fn a_killed_thread_does_not_settle_what_it_left_half_done() {
    let outcome = run(Config::simulated(1), || {
        let queue = Arc::new(Monitor::new(Queue::default()));
        let of_server = Arc::clone(&queue);
        let server = Node::new("server-0");
        server.spawn("half", move || {
            let mut queue = of_server.lock();
            queue.items.extend([1, 2, 3]);
            thread::sleep(Duration::from_secs(9));
            queue.items.clear();
        });
        thread::sleep(MS);
        server.kill();
        let mut queue = queue.lock();
        assert_eq!(std::mem::take(&mut queue.items), [1, 2, 3]);
        queue.settled
    });
    assert_eq!(outcome.result.unwrap(), 0);
}

#[test]
fn a_broken_promise_of_the_state_is_a_panic_of_the_thread_that_broke_it() {
    let outcome = run(Config::simulated(1), || {
        let queue = Arc::new(Monitor::new(Queue::default()));
        thread::spawn_named("greedy", move || queue.lock().items.extend([1, 2]));
        thread::sleep(MS);
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.thread, "greedy");
    assert!(failure.message.contains("holds 2"), "{failure}");
}
