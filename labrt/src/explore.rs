//! Exhaustive search: every schedule of a small program, within bounds.

use std::fmt;
use std::sync::Arc;

use crate::config::{Config, Limits, PolicyKind};
use crate::outcome::Failure;
use crate::run::run;
use crate::sim::explore::Tree;

/// How far [`explore`] searches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Schedules after which the search gives up.
    pub schedules: u64,
    /// Preemptions in one schedule: switches away from a thread that could go on. Most bugs need two
    /// (Musuvathi and Qadeer, *Iterative Context Bounding*, PLDI 2007). None for any number; then schedules
    /// that differ only in the order of independent steps are tried once.
    pub preemptions: Option<u32>,
    /// Limits of each single run.
    pub limits: Limits,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { schedules: 1_000_000, preemptions: None, limits: Limits::default() }
    }
}

/// What an exhaustive search found.
#[derive(Debug)]
pub struct Search {
    /// Number of schedules that ran to their end.
    pub schedules: u64,
    /// Whether there is no other schedule within the bound on preemptions. Then a search without a failure is
    /// a proof, for this program and its input.
    pub complete: bool,
    /// The first failure, which ended the search.
    pub failure: Option<Failure>,
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.failure, self.complete) {
            (Some(failure), _) => write!(f, "failed in schedule {}: {failure}", self.schedules),
            (None, true) => write!(f, "passed in all of its {} schedules", self.schedules),
            (None, false) => write!(f, "passed in {} schedules; there are more", self.schedules),
        }
    }
}

/// Runs `main` under every schedule within the bounds, until one fails: a proof for small programs.
///
/// Every lock, atomic, channel and condition variable of this crate is a point where the schedules differ,
/// and so is the choice of the waiter that a notification wakes. Random numbers and the clock are those of
/// one seed, the same in all schedules. The number of schedules grows exponentially: three threads with some
/// five operations each are a matter of seconds.
///
/// ```
/// use labrt::sync::Arc;
/// use labrt::sync::atomic::{AtomicU32, Ordering::SeqCst};
/// use labrt::{Bounds, explore, thread};
///
/// fn count_to_three(add: fn(&AtomicU32)) -> impl Fn() + Send + Sync + 'static {
///     move || {
///         let count = Arc::new(AtomicU32::new(0));
///         let threads: Vec<_> = (0..3)
///             .map(|_| {
///                 let count = Arc::clone(&count);
///                 thread::spawn(move || add(&count))
///             })
///             .collect();
///         threads.into_iter().for_each(|thread| thread.join().unwrap());
///         assert_eq!(count.load(SeqCst), 3, "an increment was lost");
///     }
/// }
///
/// let right = explore(Bounds::default(), count_to_three(|count| _ = count.fetch_add(1, SeqCst)));
/// assert!(right.complete && right.failure.is_none(), "{right}");
/// let wrong = explore(Bounds::default(), count_to_three(|count| count.store(count.load(SeqCst) + 1, SeqCst)));
/// assert!(wrong.failure.is_some(), "{wrong}");
/// ```
///
/// # Panics
/// Inside of a run.
#[track_caller]
pub fn explore(bounds: Bounds, main: impl Fn() + Send + Sync + 'static) -> Search {
    let main = Arc::new(main);
    let tree = Tree::new(bounds.preemptions);
    let mut schedules = 0;
    loop {
        let policy = PolicyKind::Explore(tree.clone());
        let of_run = Arc::clone(&main);
        let outcome = run(Config::simulated(0).policy(policy).limits(bounds.limits), move || of_run());
        // A run that repeats another fails as the other one did, or not at all.
        schedules += u64::from(!tree.is_redundant());
        if let Err(failure) = outcome.result {
            return Search { schedules, complete: false, failure: Some(failure) };
        }
        if !tree.advance() {
            return Search { schedules, complete: true, failure: None };
        }
        if schedules >= bounds.schedules {
            return Search { schedules, complete: false, failure: None };
        }
    }
}
