//! Locks, condition variables and their relatives: the names and signatures of parking_lot and crossbeam.
//!
//! Each primitive holds the real one. In the simulation it uses the non-blocking call and parks the task when that fails;
//! on real threads it waits in slices, so that a killed thread notices. Every operation is a point where the simulation
//! may let another task run.

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

use crate::context::{Mode, mode};
use crate::{real, sim};
use std::panic::Location;

/// What every operation does first: lets the simulation switch, or a killed real thread unwind.
#[inline]
fn entry(place: &'static Location<'static>) {
    match mode() {
        Mode::Simulated => sim::park::yield_point(place),
        Mode::Threads => real::check(),
        Mode::Outside => {}
    }
}

/// What a guard's destructor does last: only the simulation has something to do, and only if the task is not unwinding.
#[inline]
fn exit(place: &'static Location<'static>) {
    if mode() == Mode::Simulated && !std::thread::panicking() {
        sim::park::yield_point(place);
    }
}
