//! Monitors: a lock, the condition variables that belong to it, and what is due whenever the lock is given
//! up.

use std::ops::{Deref, DerefMut};

use super::{Condvar, Mutex, MutexGuard};
use crate::time::Instant;

/// State that a [`Monitor`] protects.
pub trait Settle {
    /// The condition variables for which threads wait: a [`Condvar`], or a struct of several.
    type Signals: Default;

    /// What is due before the lock is given up: check what must hold, and notify the signals whose threads
    /// have work.
    ///
    /// It runs under the lock, after every access, also one that changed nothing. It must not block.
    fn settle(&mut self, signals: &Self::Signals);
}

/// A lock around a state that settles before every release (Hoare, *Monitors*, CACM 1974).
///
/// The usual mistake with condition variables is a change of state that forgets to notify. Here no code that
/// changes the state notifies; [`Settle::settle`] looks at the state each time the lock is given up, at one
/// place for the whole server. The lock is given up when its guard is dropped, and while
/// [`MonitorGuard::wait`] waits.
///
/// ```
/// use labrt::sync::{Arc, Condvar, Monitor, Settle};
/// use labrt::{Config, run, thread};
///
/// #[derive(Default)]
/// struct Log {
///     last_index: u64,
///     commit_index: u64,
/// }
///
/// impl Settle for Log {
///     type Signals = Condvar;
///
///     fn settle(&mut self, more_committed: &Condvar) {
///         assert!(self.commit_index <= self.last_index, "an entry that is not in the log was committed");
///         if self.commit_index > 0 {
///             more_committed.notify_all();
///         }
///     }
/// }
///
/// let outcome = run(Config::simulated(1), || {
///     let log = Arc::new(Monitor::new(Log::default()));
///     let writer = Arc::clone(&log);
///     thread::spawn_named("writer", move || {
///         let mut log = writer.lock();
///         log.last_index = 4;
///         log.commit_index = 3;
///     });
///     let mut log = log.lock();
///     while log.commit_index < 3 {
///         log.wait(|more_committed| more_committed);
///     }
///     log.commit_index
/// });
/// assert_eq!(outcome.result.unwrap(), 3);
/// ```
///
/// A server with several kinds of threads gives each its own condition variable, so that news wakes only the
/// threads that can use it:
///
/// ```
/// use labrt::sync::Condvar;
///
/// #[derive(Default)]
/// struct Signals {
///     /// The election timeout starts anew.
///     role_changed: Condvar,
///     /// There is something for a follower.
///     more_to_send: Condvar,
/// }
/// // In a loop: `state.wait_until(|on| &on.role_changed, deadline)`.
/// ```
#[derive(Default)]
pub struct Monitor<S: Settle> {
    state: Mutex<S>,
    signals: S::Signals,
}

/// Access to the state of a [`Monitor`]. Dropping it settles the state and gives up the lock.
#[must_use = "the lock is given up at once if the guard is not kept"]
pub struct MonitorGuard<'a, S: Settle> {
    state: MutexGuard<'a, S>,
    signals: &'a S::Signals,
}

impl<S: Settle> Monitor<S> {
    /// A monitor around `state`, which is not settled before the first access.
    pub fn new(state: S) -> Monitor<S> {
        Monitor { state: Mutex::new(state), signals: S::Signals::default() }
    }

    /// Waits until the lock is free, and takes it.
    #[track_caller]
    pub fn lock(&self) -> MonitorGuard<'_, S> {
        MonitorGuard { state: self.state.lock(), signals: &self.signals }
    }

    /// The condition variables, for notifying one out of turn.
    pub fn signals(&self) -> &S::Signals {
        &self.signals
    }
}

impl<'a, S: Settle> MonitorGuard<'a, S> {
    /// Settles the state, gives up the lock, waits for a notification of the chosen signal, and takes the
    /// lock again. Wake-ups may be spurious and other threads may be faster: look at the condition in a loop.
    #[track_caller]
    pub fn wait(&mut self, choose: impl FnOnce(&S::Signals) -> &Condvar) {
        self.settle();
        choose(self.signals).wait(&mut self.state);
    }

    /// As [`MonitorGuard::wait`], until `deadline` at the latest; without a deadline for as long as it takes.
    /// True if the deadline came first.
    #[track_caller]
    pub fn wait_until(
        &mut self,
        choose: impl FnOnce(&S::Signals) -> &Condvar,
        deadline: impl Into<Option<Instant>>,
    ) -> bool {
        self.settle();
        let signal = choose(self.signals);
        match deadline.into() {
            Some(deadline) => signal.wait_until(&mut self.state, deadline).timed_out(),
            None => {
                signal.wait(&mut self.state);
                false
            }
        }
    }

    /// The condition variables, for notifying one out of turn. They live as long as the monitor, so they can
    /// be used while the state is changed.
    pub fn signals(&self) -> &'a S::Signals {
        self.signals
    }

    fn settle(&mut self) {
        self.state.settle(self.signals);
    }
}

impl<S: Settle> Drop for MonitorGuard<'_, S> {
    fn drop(&mut self) {
        // A thread that was killed or has panicked may have left a change half done.
        if !crate::thread::panicking() {
            self.settle();
        }
    }
}

impl<S: Settle> Deref for MonitorGuard<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.state
    }
}

impl<S: Settle> DerefMut for MonitorGuard<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.state
    }
}
