//! What became of the calls on an end: for reports of a system in which nothing happens.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of the calls on one end. A tester may have them begin anew ([`Traffic::forget`]).
#[derive(Debug, Default)]
pub struct Traffic {
    calls: AtomicU64,
    lost: AtomicU64,
    arrived: AtomicU64,
    returned: AtomicU64,
    replies_lost: AtomicU64,
    unanswered: AtomicU64,
}

impl Traffic {
    /// Calls that were made, also those that could not be delivered.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Requests that were lost, or could not be delivered.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Requests that have arrived, and whose handlers have not returned yet. A handler that a crash has
    /// ended, or kept from running, does not count.
    pub fn open(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed).saturating_sub(self.returned.load(Ordering::Relaxed))
    }

    /// Replies that were lost.
    pub fn replies_lost(&self) -> u64 {
        self.replies_lost.load(Ordering::Relaxed)
    }

    /// Calls since the last one to which a caller that still waited got the reply. [`Traffic::forget`] leaves
    /// it as it is.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Begins anew. What is open stays so: on real threads a handler may return meanwhile.
    pub fn forget(&self) {
        [&self.calls, &self.lost, &self.replies_lost]
            .iter()
            .for_each(|counter| counter.store(0, Ordering::Relaxed));
    }

    pub(crate) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_arrival(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_return(&self) {
        self.returned.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_lost_reply(&self) {
        self.replies_lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_reply(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
    }
}
