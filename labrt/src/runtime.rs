//! What frameworks on top of this crate need: the network and the tester. Labs do not use it.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::time::Duration;

use crate::context::{Mode, mode};
use crate::name::Name;
use crate::node::Node;
use crate::run::Job;
use crate::sim::task::Killed;
use crate::time::Instant;
use crate::{panics, real, sim, watchdog};

/// Runs a short closure at `when`, a moment on the run's own clock, outside of any task. It must not block;
/// it may spawn tasks and wake them.
///
/// # Panics
/// Outside of [`crate::run`].
pub fn at(when: Instant, call: impl FnOnce() + Send + 'static) {
    match mode() {
        Mode::Simulated => sim::drive::call_at(when.as_nanos(), Box::new(call)),
        Mode::Threads => real::timer::call_at(when.as_nanos(), Box::new(call)),
        Mode::Outside => panic!("labrt::runtime::at was called outside of a run"),
    }
}

/// The time now on the run's own clock, whatever the clock of the calling task's node shows.
#[inline]
pub fn now() -> Instant {
    Instant::from_nanos(crate::time::run_nanos())
}

/// Starts a task on `node` without a handle to it: the cheapest way. Does nothing on a killed node.
///
/// # Panics
/// Outside of [`crate::run`].
#[track_caller]
pub fn spawn_detached(node: &Node, name: impl Into<Cow<'static, str>>, f: impl FnOnce() + Send + 'static) {
    start_detached(node, Name::Given(name.into()), Box::new(f));
}

/// As [`spawn_detached`]; the number of the task in its simulation.
#[track_caller]
pub(crate) fn start_detached(node: &Node, name: Name, job: Job) -> u64 {
    match mode() {
        Mode::Simulated => sim::task::spawn(node.id().0, name, job),
        Mode::Threads => {
            real::spawn(node, name, job);
            0
        }
        Mode::Outside => panic!("a task was spawned on a node outside of labrt::run"),
    }
}

/// Tells the run that the caller is about to block in `what` ("a sleep", "an RPC"). If the caller holds a
/// lock, the run warns. Simulated world only.
#[inline]
#[track_caller]
pub fn note_blocking(what: &str) {
    if mode() == Mode::Simulated {
        let place = Location::caller();
        sim::with(|sim| sim.lint_blocking(what, place));
    }
}

/// Stands for a computation that takes so long on the clock of the thread's node. A thread may compute while
/// it holds a lock, so that is no reason to warn, as a sleep would be.
#[track_caller]
pub fn compute(duration: Duration) {
    crate::thread::pass(duration, "the end of a computation", Location::caller());
}

/// Runs foreign code that may panic, and gives what the panic said, with its place, instead of failing the
/// run. A kill of the calling thread's node goes through: it is not the code's doing.
///
/// # Errors
/// The panic's message.
pub fn catch_panic<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        if payload.is::<Killed>() {
            resume_unwind(payload);
        }
        let panic = panics::take(&*payload);
        panic.location.map_or(panic.message.clone(), |place| format!("{} ({place})", panic.message))
    })
}

/// For tests of this crate: of how many places in the program's code it is known how a kill goes on from
/// there. 0 if the system unwinds kills, too.
#[doc(hidden)]
pub fn known_frames() -> usize {
    sim::unwind::known_frames()
}

/// For programs that are no tests, such as a command that runs a lab's code on real threads: an exit within a
/// run is then no failure. To be called before the first run of the process; later it does nothing.
pub fn allow_exit() {
    crate::exit::allow();
}

/// For frameworks: ends the process as a failed test, also while runs go on in it. To be called outside of
/// them: for a thread of a run it is `std::process::exit`, which is reported.
pub fn give_up() -> ! {
    crate::exit::give_up()
}

/// Adds a warning to the run's outcome ([`crate::Outcome::warnings`]). Simulated world only.
pub fn warn(text: String) {
    if mode() == Mode::Simulated {
        sim::with(|sim| sim.warnings.push(text));
    }
}

/// Folds a fact into the run's event hash, so that runs that differ in it differ in their hashes.
#[inline]
pub fn note(fact: u64) {
    if mode() == Mode::Simulated {
        sim::with(|sim| sim.note(fact));
    }
}

/// Runs `f` on an OS thread of its own and waits for it: for a test that simulates small programs beside its
/// own run, since one simulation cannot run inside of another. The caller keeps its turn meanwhile. The time
/// in which that thread had no processor does not count towards the caller's limit of real time.
///
/// # Panics
/// As `f` does.
pub fn beside<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    watchdog::beside(f).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// One line for each thread: what it waits for, and where. For reports of failed tests; empty in the real
/// world.
pub fn waiting_report() -> String {
    if mode() == Mode::Simulated { sim::with(|sim| sim.waiting_report()) } else { String::new() }
}

/// How many waits for a condition variable have ended in this run without a notification
/// ([`crate::Config::spurious_wakes`]), for tests that count wake-ups. 0 on real threads, where nobody knows.
pub fn spurious_wakes() -> u64 {
    if mode() == Mode::Simulated { sim::with(|sim| sim.disturbances.spurious) } else { 0 }
}

/// The number of the run among the simulations of this process, from 1; 0 on real threads. What carries it
/// knows whether it is used in the run that it was made in.
#[inline]
pub fn run_number() -> u32 {
    if mode() == Mode::Simulated { sim::with(|sim| sim.run()) } else { 0 }
}

/// Tells a thread of a run from all others that go on at the same time, in both worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadKey(std::thread::ThreadId, u64);

/// The key of the calling thread.
pub fn thread_key() -> ThreadKey {
    let task = if mode() == Mode::Simulated { sim::with(|sim| sim.current_serial()) } else { 0 };
    ThreadKey(std::thread::current().id(), task)
}

/// The seed of the run; 0 on real threads.
pub fn seed() -> u64 {
    if mode() == Mode::Simulated { sim::with(|sim| sim.seed) } else { 0 }
}
