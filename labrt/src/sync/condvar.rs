//! Condition variables.

use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{MutexGuard, access, entry, exit};
use crate::context::{Mode, mode};
use crate::sim::park::{WaitQueue, Wake, any_spurious_wakes, may_wait, yield_now};
use crate::sim::policy::Access;
use crate::sim::task::{On, Wait};
use crate::time::{Duration, Instant, deadline_after};
use crate::{real, sim};

/// Lets threads wait until something that a lock protects has changed; as in parking_lot. Wake-ups may be
/// spurious, so wait in a loop or with [`Condvar::wait_while`]. In the simulation they are where
/// [`crate::Config::spurious_wakes`] says so.
///
/// All who wait at one time wait with the same lock: a wait with another one panics.
#[derive(Default)]
pub struct Condvar {
    waiters: WaitQueue,
    inner: parking_lot::Condvar,
    /// Number of notifications so far (real world). A thread that wakes up between two slices of a wait has
    /// to get the lock back first, and the thread that holds it may notify in between; this tells the waiter
    /// that it did.
    notifications: AtomicU64,
}

/// How long the lock is free in a wait of no time (real world): others that wait for it take a while to wake.
const WAKES: Duration = Duration::from_micros(50);

/// Whether a wait with a time limit ended by the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// True if the time was over before a notification came.
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition variable without waiting threads.
    pub const fn new() -> Self {
        Condvar {
            waiters: WaitQueue::new(),
            inner: parking_lot::Condvar::new(),
            notifications: AtomicU64::new(0),
        }
    }

    /// Gives up the lock, waits for a notification, and takes the lock again.
    #[inline]
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_deadline(guard, None, Location::caller());
    }

    /// Waits while `condition` holds.
    #[inline]
    #[track_caller]
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        let place = Location::caller();
        while condition(&mut **guard) {
            self.wait_deadline(guard, None, place);
        }
    }

    /// As [`Condvar::wait`], for at most `timeout`.
    #[inline]
    #[track_caller]
    pub fn wait_for<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> WaitTimeoutResult {
        let place = Location::caller();
        WaitTimeoutResult(self.wait_deadline(guard, Some(deadline_after(timeout)), place))
    }

    /// As [`Condvar::wait`], until `deadline` at the latest.
    #[inline]
    #[track_caller]
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        let place = Location::caller();
        WaitTimeoutResult(self.wait_deadline(guard, Some(deadline.to_run()), place))
    }

    /// Wakes one waiting thread, if there is one. Which one is the simulation's choice.
    #[track_caller]
    pub fn notify_one(&self) -> bool {
        let place = Location::caller();
        entry(place, &self.waiters, true);
        let woke = match mode() {
            Mode::Simulated => self.waiters.wake_one(),
            Mode::Threads | Mode::Outside => {
                self.must_have_no_simulated_waiters(place);
                self.notifications.fetch_add(1, Ordering::SeqCst);
                self.inner.notify_one()
            }
        };
        exit(place);
        woke
    }

    /// Wakes all waiting threads.
    #[track_caller]
    pub fn notify_all(&self) {
        let place = Location::caller();
        entry(place, &self.waiters, true);
        match mode() {
            Mode::Simulated => self.waiters.wake_all(),
            Mode::Threads | Mode::Outside => {
                self.must_have_no_simulated_waiters(place);
                self.notifications.fetch_add(1, Ordering::SeqCst);
                self.inner.notify_all();
            }
        }
        exit(place);
    }

    /// A thread of std cannot wake a simulated one: which of them runs is the seed's to decide.
    fn must_have_no_simulated_waiters(&self, place: &'static Location<'static>) {
        assert!(
            self.waiters.is_empty(),
            "threads of a simulation wait for the notification at {place}, which comes from outside of it: start \
             the thread by labrt::thread"
        );
    }

    /// Waits until notified or until the run's clock shows `deadline`; whether the time was over.
    #[inline(always)]
    fn wait_deadline<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<u64>,
        place: &'static Location<'static>,
    ) -> bool {
        if !self.may_wait(deadline, place) {
            if mode() == Mode::Simulated && guard.is_wanted() {
                // Not even a wait of no time keeps the lock from others.
                guard.unlocked_while(|| yield_now(place), |_| (), place);
            }
            return true;
        }
        if !self.waiters.is_empty() {
            self.must_have_one_lock(guard.access(), place);
        }
        let wait = Wait { what: "a notification", on: On::Event(guard.access()) };
        if any_spurious_wakes() && mode() == Mode::Simulated {
            return self.wait_perhaps_for_nothing(guard, wait, deadline, place);
        }
        let simulated = || self.waiters.park(wait, deadline, place) == Wake::TimedOut;
        guard.unlocked_while(simulated, |guard| self.wait_real(guard, deadline), place)
    }

    /// All that wait at one time wait with one lock. On real threads parking_lot sees to that.
    #[cold]
    #[inline(never)]
    fn must_have_one_lock(&self, lock: Access, place: &'static Location<'static>) {
        let is_other = |wait: &Wait| matches!(wait.on, On::Event(other) if other.object != lock.object);
        if let Some((thread, at)) = self.waiters.first(is_other) {
            panic!(
                "the wait at {place} uses another lock than thread `{thread}`, which waits for the same \
                 notifications at {at}: who notifies with one of the locks may come between the other's test \
                 and its wait"
            );
        }
    }

    /// Waits, perhaps until an earlier moment than the deadline; whether the time was over. Apart from the
    /// usual wait, which is the faster for it.
    #[cold]
    #[inline(never)]
    fn wait_perhaps_for_nothing<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        wait: Wait,
        deadline: Option<u64>,
        place: &'static Location<'static>,
    ) -> bool {
        let early = sim::with(|sim| sim.draw_spurious_wake(deadline));
        let simulated = || self.waiters.park(wait, early.or(deadline), place) == Wake::TimedOut;
        let is_over = guard.unlocked_while(simulated, |guard| self.wait_real(guard, deadline), place);
        if is_over && early.is_some() {
            sim::with(|sim| sim.wakes_spuriously(place));
        }
        is_over && early.is_none()
    }

    /// Whether there is anything to wait for: the thread is not killed, and the deadline has not come.
    fn may_wait(&self, deadline: Option<u64>, place: &'static Location<'static>) -> bool {
        // Between the caller's test and the parking another thread may change what was tested, if it does so
        // without this lock, and wake no thread.
        match mode() {
            Mode::Simulated => may_wait(access(&self.waiters, true), deadline, place),
            Mode::Threads => {
                real::check_at(place);
                real::may_block()
            }
            Mode::Outside => true,
        }
    }

    fn wait_real<T: ?Sized>(
        &self,
        guard: &mut parking_lot::MutexGuard<'_, T>,
        deadline: Option<u64>,
    ) -> bool {
        let notifications = self.notifications.load(Ordering::SeqCst);
        if deadline.is_some_and(|deadline| deadline <= real::run_nanos()) {
            // Not even a wait of no time keeps the lock from others.
            parking_lot::MutexGuard::unlocked(guard, || std::thread::sleep(WAKES));
            return true;
        }
        loop {
            let left = deadline.map(|deadline| deadline.saturating_sub(real::run_nanos()));
            if left == Some(0) {
                return true;
            }
            let slice = left.map_or(real::SLICE, |left| real::SLICE.min(Duration::from_nanos(left)));
            let notified = !real::waiting(|| self.inner.wait_for(guard, slice)).timed_out();
            if notified || self.notifications.load(Ordering::SeqCst) != notifications {
                return false;
            }
            if mode() == Mode::Threads && !real::may_block() {
                return true;
            }
        }
    }
}
