//! Locks, condition variables and their relatives: the names and signatures of parking_lot and crossbeam.
//!
//! Each primitive holds the real one. In the simulation it uses the non-blocking call and parks the task when
//! that fails; on real threads it waits in slices, so that a killed thread notices. Every operation is a
//! point where the simulation may let another task run.

pub mod atomic;
mod condvar;
mod monitor;
mod mutex;
mod once;
mod rwlock;
mod wait_group;

pub use condvar::{Condvar, WaitTimeoutResult};
pub use monitor::{Monitor, MonitorGuard, Settle};
pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use std::sync::{Arc, Weak};
pub use wait_group::WaitGroup;

use std::panic::Location;

use crate::context::{Mode, mode};
use crate::sim::lock_order::LockId;
use crate::sim::park::WaitQueue;
use crate::sim::policy::Access;
use crate::{real, sim};

/// What every operation does first: lets the simulation switch, or a killed real thread unwind.
#[inline]
pub(crate) fn entry<T: ?Sized>(place: &'static Location<'static>, object: &T, writes: bool) {
    enter(place, access(object, writes));
}

// Code of labs takes locks at hundreds of places, in as many types. What does not depend on the type stands
// in functions of its own, which are compiled once, here, and not at each of those places.

fn enter(place: &'static Location<'static>, access: Access) {
    match mode() {
        Mode::Simulated => sim::park::yield_point(place, access),
        Mode::Threads => real::check_at(place),
        Mode::Outside => {}
    }
}

/// A lock has been taken.
fn taken(id: &LockId, place: &'static Location<'static>) {
    if mode() == Mode::Simulated {
        sim::with(|sim| sim.lock_taken(id, place));
    }
}

/// A lock has been given up: one waiting thread may take it.
fn released(id: &LockId, waiters: &WaitQueue) {
    if mode() == Mode::Simulated {
        sim::with(|sim| sim.lock_released(id.get()));
        waiters.wake_one();
    }
}

/// As [`released`], by a guard's destructor.
fn guard_dropped(id: &LockId, waiters: &WaitQueue, place: &'static Location<'static>) {
    if mode() != Mode::Simulated {
        return;
    }
    if waiters.is_empty() {
        // Mostly so: one look at the simulation is enough.
        sim::park::release_and_yield(id.get(), place);
    } else {
        released(id, waiters);
        exit(place);
    }
}

/// What a guard's destructor does last: only the simulation has something to do.
fn exit(place: &'static Location<'static>) {
    if mode() == Mode::Simulated {
        sim::park::yield_point(place, Access::NONE);
    }
}

/// A point to switch at before a look at something that others change without a point before it.
pub(crate) fn look(place: &'static Location<'static>) {
    match mode() {
        Mode::Simulated => sim::park::yield_point(place, Access::LOOK),
        Mode::Threads => real::check_at(place),
        Mode::Outside => {}
    }
}

/// The access to a primitive, which is identified by its address.
fn access<T: ?Sized>(object: &T, writes: bool) -> Access {
    Access { object: std::ptr::from_ref(object).cast::<u8>() as usize, writes }
}
