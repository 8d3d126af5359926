//! A place for one value that one thread waits for: replies of remote calls, results of threads.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::context::{Mode, mode};
use crate::sim::park::{WaitQueue, Wake};
use crate::sim::policy::Access;
use crate::sim::task::{On, Wait};
use crate::time::Instant;
use crate::{real, sim};

enum State<T> {
    Empty,
    /// Nobody waits any more; the value goes to this closure.
    Then(Box<dyn FnOnce(T) + Send>),
    Full(T),
    /// The value was taken, or its sender was dropped without one.
    Done,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Set when `state` is no longer `Empty`, so that a spinning receiver needs no lock.
    settled: AtomicBool,
    changed: Condvar,
    waiters: WaitQueue,
}

/// The sending side. Dropping it without a value ends the wait with None.
pub struct Put<T> {
    shared: Arc<Shared<T>>,
}

/// The receiving side.
pub struct Take<T> {
    shared: Arc<Shared<T>>,
}

/// The time was over before there was a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

/// A pair of ends for one value.
pub fn channel<T>() -> (Put<T>, Take<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State::Empty),
        settled: AtomicBool::new(false),
        changed: Condvar::new(),
        waiters: WaitQueue::new(),
    });
    (Put { shared: Arc::clone(&shared) }, Take { shared })
}

impl<T> Put<T> {
    /// Hands over the value.
    pub fn put(self, value: T) {
        self.shared.settle(State::Full(value));
    }

    /// Whether anybody still waits for the value, or has named a closure that gets it.
    pub fn is_awaited(&self) -> bool {
        // The receiving side is gone when its thread has given up, or was killed.
        Arc::strong_count(&self.shared) > 1 || matches!(*self.shared.state.lock(), State::Then(_))
    }
}

impl<T> Drop for Put<T> {
    fn drop(&mut self) {
        if !self.shared.settled.load(Ordering::Relaxed) {
            self.shared.settle(State::Done);
        }
    }
}

impl<T> Shared<T> {
    // Never inlined: in a caller that builds the value, its pieces would be copied one by one, and each copy
    // waits for the one before. That took a tenth of an RPC's time.
    #[inline(never)]
    fn settle(&self, new: State<T>) {
        let mut state = self.state.lock();
        if let State::Then(then) = std::mem::replace(&mut *state, State::Done) {
            drop(state);
            if let State::Full(value) = new {
                then(value);
            }
            return;
        }
        *state = new;
        drop(state);
        self.settled.store(true, Ordering::Release);
        match mode() {
            Mode::Simulated => self.waiters.wake_all(),
            Mode::Threads | Mode::Outside => {
                self.changed.notify_one();
            }
        }
    }
}

impl<T> Take<T> {
    /// Waits for the value; None if the sender is gone without one.
    #[inline]
    #[track_caller]
    pub fn wait(self) -> Option<T> {
        self.wait_until(None, On::Event(Access::NONE), Location::caller()).unwrap_or(None)
    }

    /// As [`Take::wait`], for a value that only the task of this number can give.
    #[inline]
    #[track_caller]
    pub(crate) fn wait_for_end_of(self, task: u64) -> Option<T> {
        self.wait_until(None, On::Task(task), Location::caller()).unwrap_or(None)
    }

    /// Waits for the value until `deadline`, on the clock of the calling task's node.
    ///
    /// # Errors
    /// [`TimedOut`] if there is none by then.
    #[inline]
    #[track_caller]
    pub fn wait_deadline(self, deadline: Instant) -> Result<Option<T>, TimedOut> {
        self.wait_until(Some(deadline.to_run()), On::Event(Access::NONE), Location::caller())
    }

    /// As [`Take::wait_deadline`]; if the time is over, the value goes to `late` when it comes. That closure
    /// runs where the value is put, perhaps outside of all threads, so it must not block.
    ///
    /// # Errors
    /// As [`Take::wait_deadline`].
    #[inline]
    #[track_caller]
    pub fn wait_deadline_or(
        self,
        deadline: Instant,
        late: impl FnOnce(T) + Send + 'static,
    ) -> Result<Option<T>, TimedOut> {
        let waited = self.wait_until(Some(deadline.to_run()), On::Event(Access::NONE), Location::caller());
        if waited.is_err() {
            self.pass_on(late);
        }
        waited
    }

    fn pass_on(self, late: impl FnOnce(T) + Send + 'static) {
        let mut state = self.shared.state.lock();
        match std::mem::replace(&mut *state, State::Done) {
            State::Full(value) => {
                drop(state);
                late(value);
            }
            State::Done => {}
            State::Empty | State::Then(_) => *state = State::Then(Box::new(late)),
        }
    }

    /// Whether waiting would end at once.
    #[track_caller]
    pub fn is_settled(&self) -> bool {
        crate::sync::look(Location::caller());
        self.has_settled()
    }

    fn has_settled(&self) -> bool {
        self.shared.settled.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn wait_until(
        &self,
        deadline: Option<u64>,
        on: On,
        place: &'static Location<'static>,
    ) -> Result<Option<T>, TimedOut> {
        match mode() {
            Mode::Simulated => self.wait_simulated(deadline, on, place)?,
            Mode::Threads => self.wait_real(deadline, place)?,
            Mode::Outside => self.wait_outside(deadline)?,
        }
        match std::mem::replace(&mut *self.shared.state.lock(), State::Done) {
            State::Full(value) => Ok(Some(value)),
            State::Empty | State::Then(_) | State::Done => Ok(None),
        }
    }

    #[inline(always)]
    fn wait_simulated(
        &self,
        deadline: Option<u64>,
        on: On,
        place: &'static Location<'static>,
    ) -> Result<(), TimedOut> {
        while !self.has_settled() {
            if !sim::park::may_block(deadline, place) {
                return Err(TimedOut);
            }
            let what = if matches!(on, On::Event(_)) { "a reply" } else { "the end of a thread" };
            let wait = Wait { what, on };
            if self.shared.waiters.park(wait, deadline, place) == Wake::TimedOut {
                return Err(TimedOut);
            }
        }
        Ok(())
    }

    /// Outside of runs no kill can end the wait, so it needs no slices.
    fn wait_outside(&self, deadline: Option<u64>) -> Result<(), TimedOut> {
        let mut state = self.shared.state.lock();
        while matches!(*state, State::Empty) {
            let Some(deadline) = deadline else {
                self.shared.changed.wait(&mut state);
                continue;
            };
            let left = deadline.saturating_sub(real::run_nanos());
            if left == 0 {
                return Err(TimedOut);
            }
            self.shared.changed.wait_for(&mut state, std::time::Duration::from_nanos(left));
        }
        Ok(())
    }

    fn wait_real(&self, deadline: Option<u64>, place: &'static Location<'static>) -> Result<(), TimedOut> {
        while !real::pool::spin_until(|| self.has_settled()) {
            if !real::may_block_at(place) || deadline.is_some_and(|deadline| real::run_nanos() >= deadline) {
                return Err(TimedOut);
            }
            let left = deadline.map_or(u64::MAX, |deadline| deadline.saturating_sub(real::run_nanos()));
            let slice = real::SLICE.min(std::time::Duration::from_nanos(left));
            let mut state = self.shared.state.lock();
            if matches!(*state, State::Empty) {
                real::waiting(|| self.shared.changed.wait_for(&mut state, slice));
            }
        }
        Ok(())
    }
}
