//! Mutual exclusion.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

use super::{access, entry, guard_dropped, look, released, taken};
use crate::context::{Mode, mode};
use crate::real;
use crate::sim::lock_order::LockId;
use crate::sim::park::{WaitQueue, wait_for_lock};
use crate::sim::policy::Access;

/// A lock around a value, as in parking_lot: `lock()` gives the guard itself, and a panic does not poison.
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    waiters: WaitQueue,
    id: LockId,
    inner: parking_lot::Mutex<T>,
}

/// Access to the value; dropping it gives up the lock.
#[must_use = "the lock is given up at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    /// None only while a condition variable waits with this guard, or while the guard is being dropped.
    inner: Option<parking_lot::MutexGuard<'a, T>>,
    /// Where the lock was taken.
    place: &'static Location<'static>,
}

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Mutex { waiters: WaitQueue::new(), id: LockId::new(), inner: parking_lot::Mutex::new(value) }
    }

    /// The value of a lock that no thread can use any more.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the lock is free, and takes it.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let place = Location::caller();
        entry(place, &self.waiters, true);
        MutexGuard { lock: self, inner: Some(self.acquire(place)), place }
    }

    /// Takes the lock if it is free.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let place = Location::caller();
        look(place);
        let inner = self.inner.try_lock()?;
        taken(&self.id, place);
        Some(MutexGuard { lock: self, inner: Some(inner), place })
    }

    /// The value of a lock that no other thread can see.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Whether a thread holds the lock now.
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        look(Location::caller());
        self.inner.is_locked()
    }

    /// Takes the parking_lot lock inside, waiting as the world demands.
    #[inline]
    fn acquire(&self, place: &'static Location<'static>) -> parking_lot::MutexGuard<'_, T> {
        let guard = self.inner.try_lock().unwrap_or_else(|| self.acquire_slowly(place));
        taken(&self.id, place);
        guard
    }

    #[cold]
    fn acquire_slowly(&self, place: &'static Location<'static>) -> parking_lot::MutexGuard<'_, T> {
        match mode() {
            Mode::Simulated => loop {
                wait_for_lock(&self.waiters, self.id.get(), place);
                if let Some(guard) = self.inner.try_lock() {
                    return guard;
                }
            },
            Mode::Threads => real::wait_for_lock(|| self.inner.try_lock_for(real::SLICE)),
            Mode::Outside => self.inner.lock(),
        }
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// What taking the lock again is to the simulation.
    pub(super) fn access(&self) -> Access {
        access(&self.lock.waiters, true)
    }

    /// Whether others wait for the lock (simulation).
    pub(super) fn is_wanted(&self) -> bool {
        !self.lock.waiters.is_empty()
    }

    /// Gives up the lock, runs `wait` with the inner guard in real worlds or with none in the simulation, and
    /// takes the lock again.
    #[inline(always)]
    pub(super) fn unlocked_while<R>(
        &mut self,
        simulated: impl FnOnce() -> R,
        real: impl FnOnce(&mut parking_lot::MutexGuard<'a, T>) -> R,
        place: &'static Location<'static>,
    ) -> R {
        if mode() != Mode::Simulated {
            return real(self.inner.as_mut().expect("a guard that the caller can name holds its lock"));
        }
        self.inner = None;
        released(&self.lock.id, &self.lock.waiters);
        let result = simulated();
        self.inner = Some(self.lock.acquire(place));
        self.place = place;
        result
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.inner.as_deref().expect("a guard that the caller can name holds its lock")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_deref_mut().expect("a guard that the caller can name holds its lock")
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Without an inner guard this task was killed while it waited for a condition.
        if self.inner.take().is_some() {
            guard_dropped(&self.lock.id, &self.lock.waiters, self.place);
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
