//! Locks that many may hold for reading, or one for writing.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

use super::{entry, exit, taken};
use crate::context::{Mode, mode};
use crate::sim::lock_order::LockId;
use crate::sim::park::{WaitQueue, wait_for_lock};
use crate::{real, sim};

/// A readers-writer lock, as in parking_lot.
#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    waiters: WaitQueue,
    id: LockId,
    inner: parking_lot::RwLock<T>,
}

/// Shared access to the value; dropping it gives up the lock.
#[must_use = "the lock is given up at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    /// None only while the guard is being dropped.
    inner: Option<parking_lot::RwLockReadGuard<'a, T>>,
    release: Release<'a>,
}

/// Exclusive access to the value; dropping it gives up the lock.
#[must_use = "the lock is given up at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    /// None only while the guard is being dropped.
    inner: Option<parking_lot::RwLockWriteGuard<'a, T>>,
    release: Release<'a>,
}

/// What is to be done when either kind of guard goes.
struct Release<'a> {
    waiters: &'a WaitQueue,
    id: &'a LockId,
    place: &'static Location<'static>,
}

impl Release<'_> {
    fn run(&self) {
        if mode() == Mode::Simulated {
            sim::with(|sim| sim.lock_released(self.id.get()));
            // Several readers may be able to go on together.
            self.waiters.wake_all();
            exit(self.place);
        }
    }
}

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        RwLock { waiters: WaitQueue::new(), id: LockId::new(), inner: parking_lot::RwLock::new(value) }
    }

    /// The value of a lock that no thread can use any more.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until no writer holds the lock, and takes it for reading.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let place = Location::caller();
        let inner = self.acquire(place, |slice| match slice {
            Some(slice) => self.inner.try_read_for(slice),
            None => self.inner.try_read(),
        });
        RwLockReadGuard {
            inner: Some(inner),
            release: Release { waiters: &self.waiters, id: &self.id, place },
        }
    }

    /// Waits until no thread holds the lock, and takes it for writing.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let place = Location::caller();
        let inner = self.acquire(place, |slice| match slice {
            Some(slice) => self.inner.try_write_for(slice),
            None => self.inner.try_write(),
        });
        RwLockWriteGuard {
            inner: Some(inner),
            release: Release { waiters: &self.waiters, id: &self.id, place },
        }
    }

    /// The value of a lock that no other thread can see.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Calls `attempt` (with how long it may wait in the real world) until it succeeds.
    fn acquire<G>(
        &self,
        place: &'static Location<'static>,
        attempt: impl Fn(Option<std::time::Duration>) -> Option<G>,
    ) -> G {
        entry(place, &self.waiters, true);
        loop {
            if let Some(guard) = attempt(None) {
                taken(&self.id, place);
                return guard;
            }
            match mode() {
                Mode::Simulated => wait_for_lock(&self.waiters, self.id.get(), place),
                Mode::Threads => return real::wait_for_lock(|| attempt(Some(real::SLICE))),
                Mode::Outside => {
                    if let Some(guard) = attempt(Some(real::SLICE)) {
                        return guard;
                    }
                }
            }
        }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_deref().expect("a guard that the caller can name holds its lock")
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_deref().expect("a guard that the caller can name holds its lock")
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_deref_mut().expect("a guard that the caller can name holds its lock")
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.inner = None;
        self.release.run();
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.inner = None;
        self.release.run();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
