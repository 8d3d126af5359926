//! The timers of a run: wake-ups and closures in order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::park::Waiter;

pub(crate) enum Action {
    Wake(Waiter),
    Call(Box<dyn FnOnce() + Send>),
}

struct Timer {
    at: u64,
    /// Breaks ties: of two timers of one instant the earlier set fires first.
    number: u64,
    action: Action,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    /// Reversed, since the standard heap gives its greatest element first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Timer>,
    set: u64,
}

impl Timers {
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.set = 0;
    }

    pub(crate) fn wake_at(&mut self, at: u64, waiter: Waiter) {
        self.push(at, Action::Wake(waiter));
    }

    pub(crate) fn call_at(&mut self, at: u64, call: Box<dyn FnOnce() + Send>) {
        self.push(at, Action::Call(call));
    }

    fn push(&mut self, at: u64, action: Action) {
        self.heap.push(Timer { at, number: self.set, action });
        self.set += 1;
    }

    /// When the next timer that `is_live` fires; dead ones before it (wake-ups of tasks that no longer wait)
    /// are thrown away, so that they cannot move the clock.
    pub(crate) fn next(&mut self, is_live: impl Fn(Waiter) -> bool) -> Option<u64> {
        while let Some(timer) = self.heap.peek() {
            match timer.action {
                Action::Wake(waiter) if !is_live(waiter) => {
                    self.heap.pop();
                }
                _ => return Some(timer.at),
            }
        }
        None
    }

    /// The next timer, if it is due at `now`.
    #[inline]
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<Action> {
        if self.heap.peek()?.at > now {
            return None;
        }
        self.heap.pop().map(|timer| timer.action)
    }
}
