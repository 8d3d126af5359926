//! How much work a check may do, and how far it has come.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds on the work for one partition. Both count what the check itself does, never time, so that a verdict
/// does not depend on how busy the machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many states (configurations of the search, assignments of the constraint problem) to visit at
    /// most.
    pub states: u64,
    /// How many bytes the search may keep at most, by its own count.
    pub memory: usize,
    /// How many threads may work at once; 0 means one for each core. The verdict does not depend on it.
    pub threads: usize,
    /// Whether a verdict that is not linearizable says why. To find that out may take longer than the
    /// verdict; a caller that only wants the answer, of a million histories say, does without.
    pub explain: bool,
}

impl Default for Limits {
    /// Twenty million states, a gigabyte, all cores, and explanations.
    fn default() -> Self {
        Limits { states: 20_000_000, memory: 1 << 30, threads: 0, explain: true }
    }
}

impl Limits {
    /// The same limits with another bound on states.
    #[must_use]
    pub fn with_states(mut self, states: u64) -> Self {
        self.states = states;
        self
    }

    /// The same limits with another bound on memory, in bytes.
    #[must_use]
    pub fn with_memory(mut self, memory: usize) -> Self {
        self.memory = memory;
        self
    }

    /// The same limits with another number of threads.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The same limits without explanations.
    #[must_use]
    pub fn without_explanation(mut self) -> Self {
        self.explain = false;
        self
    }

    /// How many threads to use for `operations` operations in `partitions` partitions. To start a thread
    /// costs about 0.1 ms, which small histories do not take as a whole.
    pub(crate) fn threads_for(&self, operations: usize, partitions: usize) -> usize {
        const WORTH_A_THREAD: usize = 20_000;
        if operations < WORTH_A_THREAD || partitions < 2 {
            return 1;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = if self.threads == 0 { cores } else { self.threads };
        wanted.min(partitions)
    }
}

/// How far a check has come: counters that another thread may read while [`crate::check_watched`] runs.
#[derive(Debug, Default)]
pub struct Progress {
    partitions: AtomicU64,
    partitions_done: AtomicU64,
    states: AtomicU64,
}

impl Progress {
    /// How many partitions there are; 0 until that is known.
    pub fn partitions(&self) -> u64 {
        self.partitions.load(Ordering::Relaxed)
    }

    /// How many partitions have their verdict.
    pub fn partitions_done(&self) -> u64 {
        self.partitions_done.load(Ordering::Relaxed)
    }

    /// How many states were visited so far, in all partitions together.
    pub fn states(&self) -> u64 {
        self.states.load(Ordering::Relaxed)
    }

    pub(crate) fn set_partitions(&self, count: usize) {
        self.partitions.store(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn partition_done(&self) {
        self.partitions_done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_states(&self, count: u64) {
        self.states.fetch_add(count, Ordering::Relaxed);
    }
}
