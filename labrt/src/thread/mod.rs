//! Threads: the names of `std::thread`.

pub(crate) mod local;

pub use local::LocalKey;

use std::any::Any;
use std::borrow::Cow;
use std::io;
use std::panic::Location;
use std::time::Duration;

use crate::context::{Mode, mode};
use crate::name::Name;
use crate::node::{self, Node};
use crate::oneshot::{self, Take};
use crate::run::Job;
use crate::sim::policy::Access;
use crate::sim::task::Wait;
use crate::{real, runtime, sim};

/// What [`JoinHandle::join`] returns; as in std.
pub type Result<T> = std::result::Result<T, Box<dyn Any + Send + 'static>>;

/// A handle to a thread, for waiting until it has ended.
pub struct JoinHandle<T> {
    packet: Take<T>,
    /// Number of the thread in its simulation.
    task: u64,
}

impl<T> JoinHandle<T> {
    /// Waits until the thread has ended, and gives what its closure returned. Err if its node was killed
    /// first. (A thread that panics fails the whole run, as in Go.)
    ///
    /// # Errors
    /// A payload that says that the thread was killed.
    #[track_caller]
    pub fn join(self) -> Result<T> {
        runtime::note_blocking("a join");
        match self.packet.wait_for_end_of(self.task) {
            Some(value) => Ok(value),
            None if mode() == Mode::Outside => Err(Box::new("the thread panicked, or its run is over")),
            None => Err(Box::new("the thread was killed with its node")),
        }
    }

    /// Whether the thread has ended.
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        self.packet.is_settled()
    }
}

/// Starts a thread on the caller's node. Reports name it by the line of this call, for example
/// `server.rs:222`.
#[track_caller]
pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let place = Location::caller();
    let handle = start(Name::StartedAt(place), f);
    may_run_first(place);
    handle
}

/// Starts a thread with a name on the caller's node:
/// `spawn_named("apply_loop", move || server.apply_loop())`. Reports and logs use the name. Unlike
/// [`Builder::spawn`] it cannot fail, so the caller has no error to handle.
#[track_caller]
pub fn spawn_named<T: Send + 'static>(
    name: impl Into<Cow<'static, str>>,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let handle = start(Name::Given(name.into()), f);
    may_run_first(Location::caller());
    handle
}

/// In the simulation, the thread that was just started may run before its spawner goes on.
fn may_run_first(place: &'static Location<'static>) {
    if mode() == Mode::Simulated {
        sim::park::yield_point(place, Access::NONE);
    }
}

#[track_caller]
fn start<T: Send + 'static>(name: Name, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (put, packet) = oneshot::channel();
    JoinHandle { packet, task: start_job(name, Box::new(move || put.put(f()))) }
}

/// The number of the task in its simulation.
#[track_caller]
fn start_job(name: Name, job: Job) -> u64 {
    if mode() == Mode::Outside {
        real::pool::execute(job);
        return 0;
    }
    runtime::start_detached(&node::current(), name, job)
}

#[track_caller]
pub(crate) fn spawn_on<T: Send + 'static>(
    node: &Node,
    name: Name,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let (put, packet) = oneshot::channel();
    JoinHandle { packet, task: runtime::start_detached(node, name, Box::new(move || put.put(f()))) }
}

/// Starts threads with a name, as [`std::thread::Builder`] does. [`spawn_named`] is shorter.
#[derive(Debug, Default)]
pub struct Builder {
    name: Option<Cow<'static, str>>,
}

impl Builder {
    /// A builder without a name.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Names the thread, for reports and logs.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Starts the thread on the caller's node.
    ///
    /// # Errors
    /// None today; the signature is std's.
    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let place = Location::caller();
        Ok(start(self.name.map_or(Name::StartedAt(place), Name::Given), f))
    }
}

/// Sleeps for at least this long, on the clock of the thread's node.
#[track_caller]
pub fn sleep(duration: Duration) {
    runtime::note_blocking("a sleep");
    let is_skipped = mode() == Mode::Simulated && sim::with(sim::Sim::skips_sleep);
    pass(if is_skipped { Duration::ZERO } else { duration }, "the end of a sleep", Location::caller());
}

/// Waits until this time has passed on the clock of the thread's node.
pub(crate) fn pass(duration: Duration, until: &'static str, place: &'static Location<'static>) {
    match mode() {
        Mode::Simulated => {
            let deadline = crate::time::deadline_after(duration);
            if sim::park::may_block(Some(deadline), place) {
                sim::park::park_on(&[], Wait::event(until), Some(deadline), place);
            }
        }
        Mode::Threads => {
            let deadline = crate::time::deadline_after(duration);
            while real::may_block_at(place) && real::run_nanos() < deadline {
                let left = Duration::from_nanos(deadline.saturating_sub(real::run_nanos()));
                real::waiting(|| std::thread::sleep(left.min(real::SLICE)));
            }
        }
        Mode::Outside => std::thread::sleep(duration),
    }
}

/// Lets other threads run. In the simulation the clock does not move meanwhile, so looping over this call is
/// reported as spinning; wait on a condition variable or a channel instead.
#[track_caller]
pub fn yield_now() {
    match mode() {
        Mode::Simulated => sim::park::yield_now(Location::caller()),
        Mode::Threads => {
            real::check_at(Location::caller());
            std::thread::yield_now();
        }
        Mode::Outside => std::thread::yield_now(),
    }
}

/// On real threads lets those go first that are ready to run on this core: a thread that works for all others
/// then finds more to do at once. In the simulation this is nothing, since the seed decides who runs.
pub fn let_others_go_first() {
    if mode() != Mode::Simulated {
        std::thread::yield_now();
    }
}

/// Whether the calling thread is being unwound, by a panic or because its node was killed: what
/// [`std::thread::panicking`] says of OS threads.
#[inline]
pub fn panicking() -> bool {
    if mode() == Mode::Simulated { sim::task::unwinding() } else { std::thread::panicking() }
}

/// Name of the calling thread.
pub fn current_name() -> Cow<'static, str> {
    match mode() {
        Mode::Simulated => sim::with(|sim| Cow::Owned(sim.whoami().1)),
        Mode::Threads => Cow::Owned(real::current_name()),
        Mode::Outside => Cow::Owned(std::thread::current().name().unwrap_or("thread").to_owned()),
    }
}
