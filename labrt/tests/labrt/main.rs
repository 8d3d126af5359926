//! Tests of the runtime, each in both worlds where it can be.

mod basics;
mod causes;
mod channels;
mod child;
mod destructors;
mod determinism;
mod ends;
mod killed;
mod locks;
mod monitors;
mod nodes;
mod policies;
mod printed;
/// Programs with a bug each, over the names that [`facade`] has.
#[path = "../../peers/src/programs.rs"]
mod programs;

mod reports;
mod search;
mod stacks;
mod unwinding;
mod variants;
mod watchdog;
mod work;

/// The names that the eight programs use, from this crate.
mod facade {
    pub(crate) use labrt::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    pub(crate) use labrt::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use labrt::thread::spawn;

    #[track_caller]
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }

    #[track_caller]
    pub(crate) fn wait<'a, T>(condvar: &Condvar, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(&mut guard);
        guard
    }
}
