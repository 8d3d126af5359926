//! The runtime of the labs: the same blocking code, simulated or on real threads.
//!
//! # What it is for
//!
//! Distributed systems are taught with threads, locks, condition variables and channels, and tested by running them
//! against a clock until something breaks. Such a test takes minutes, fails once in three hundred runs, and cannot be
//! repeated. This crate keeps the code as it is and exchanges the world around it:
//!
//! - **Simulated**: every thread is a coroutine with a stack of its own, all of them on one OS thread. The clock is
//!   virtual and moves only when nobody can run, so a test of two minutes takes milliseconds. Every choice — who runs
//!   next, which waiter wakes, every random number, even the order of std's hash maps — comes from one seed, so a
//!   failure can be replayed as often as it takes to understand it.
//! - **Threads**: OS threads, the wall clock. For performance, and to keep the simulation honest.
//!
//! ```
//! use labrt::sync::{Arc, Mutex};
//! use labrt::time::Duration;
//! use labrt::{Config, Limits, run, thread};
//!
//! fn three_hours_of_counting() -> u32 {
//!     let count = Arc::new(Mutex::new(0));
//!     let counter = Arc::clone(&count);
//!     let thread = thread::spawn(move || {
//!         for _ in 0..3 {
//!             thread::sleep(Duration::from_secs(3600));
//!             *counter.lock() += 1;
//!         }
//!     });
//!     thread.join().unwrap();
//!     *count.lock()
//! }
//!
//! let limits = Limits { virtual_time: Duration::from_secs(4 * 3600), ..Limits::default() };
//! let outcome = run(Config::simulated(42).limits(limits), three_hours_of_counting);
//! assert_eq!(outcome.result.unwrap(), 3);
//! assert!(outcome.stats.real_time < Duration::from_secs(1));
//! ```
//!
//! # Familiar names
//!
//! [`thread`], [`sync`], [`channel`], [`time`] and [`rand`] carry the signatures of std, parking_lot, crossbeam and rand.
//! What is learnt here carries over, and code from elsewhere moves in by changing its `use` lines. In the threads world
//! the calls go to those very libraries.
//!
//! # How a simulated thread blocks
//!
//! Try, then park. `lock()` tries the real lock inside; when that fails, the task enters the wait list of the lock, and
//! its coroutine suspends itself. Whoever gives up the lock moves one waiter, chosen by the seed, to the list of ready
//! tasks. The loop in `sim/drive.rs` picks a ready task and resumes it; when none is ready it moves the clock to the next
//! timer; when there is no timer either, that is a deadlock, and it says who waits for what, and where.
//!
//! A task can lose its turn only at calls of this crate. Every lock, unlock, send, receive, notification and atomic
//! operation is such a point, and a [`PolicyKind`] decides how often one is used: a random walk, probabilistic
//! concurrency testing, round robin, or the schedule of an earlier run.
//!
//! # Nodes
//!
//! Every thread belongs to a [`node::Node`], a simulated process. Killing a node unwinds all its threads where they
//! stand; their destructors run and their locks are free. That is how a test crashes a server: nothing of the old
//! incarnation can run on beside the new one. Nodes can also be paused, and be given a clock that runs fast or slow.
//!
//! # It explains itself
//!
//! A run ends with an [`Outcome`]. A panic in any thread fails the run (as in Go) and says in which thread, of which
//! node, at what virtual time. So do deadlocks (with the cycle), spinning while the clock stands still, the limits of
//! virtual and real time and of memory, endless loops, foreign calls that block the OS thread, and overflowing stacks. A
//! lock held across a blocking call — the classic mistake of these labs — is a warning that names both lines.
//!
//! # How to read
//!
//! `run.rs` → `sim/drive.rs` (the loop) → `sim/task.rs` (coroutines, kill) → `sim/park.rs` (waiting and waking) →
//! `sync/mutex.rs` (the pattern of every primitive) → `real/mod.rs` (the other world). `watchdog.rs`, `sim/report.rs` and
//! `sim/stack.rs` are what explains failures; `sim/hash_keys.rs` is why hash maps are deterministic.
//!
//! # What is left out, on purpose
//!
//! - **Weak memory.** Tasks of a simulation take turns on one OS thread, so every atomic operation is sequentially
//!   consistent there. Races on real memory are found by the threads world under ThreadSanitizer.
//! - **Preemption.** A task that never calls this crate keeps its turn; the watchdog names it.
//! - **Time spent computing.** Virtual time passes between steps, never within one.
//! - **async.** The course teaches blocking code, and coroutines with stacks make it as cheap.
//! - **A panic does not stop at a `join`.** In std a panicking thread is an `Err` for whoever joins it; here it ends the
//!   run, since in a lab it is always a bug.

pub mod channel;
pub mod config;
mod context;
mod explore;
mod name;
pub mod node;
pub mod oneshot;
mod outcome;
mod panics;
mod printed;
pub mod rand;
mod real;
mod run;
pub mod runtime;
mod sim;
pub mod sync;
mod system;
pub mod thread;
pub mod time;
pub mod trace;
mod watchdog;

pub use config::{Config, Limits, PolicyKind, Schedule, World};
pub use explore::{Bounds, Search, explore};
pub use outcome::{Decision, Event, Failure, FailureKind, Outcome, Stats};
pub use run::{random_seed, run, world};
pub use watchdog::on_stuck;

/// Locks for the state of frameworks (the network, the tester): taken for a few instructions in which nothing of this
/// crate is called, so they are no points for the simulation to switch at.
pub mod quiet {
    pub use parking_lot::{Mutex, MutexGuard};
}
