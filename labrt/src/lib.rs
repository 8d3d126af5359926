//! The runtime of the labs: the same blocking code, simulated or on real threads.
//!
//! # What it is for
//!
//! Distributed systems are taught with threads, locks, condition variables and channels, and tested by
//! running them against a clock until something breaks. Such a test takes minutes, fails once in three
//! hundred runs, and cannot be repeated. This crate keeps the code as it is and exchanges the world around
//! it:
//!
//! - **Simulated**: every thread is a coroutine with a stack of its own, all of them on one OS thread. The
//!   clock is virtual and moves only when no thread can run, so a test of two minutes takes milliseconds. One
//!   seed decides every choice: which thread runs next, which waiter wakes, every random number, even the
//!   order of std's hash maps. So a failure can be replayed as often as it takes to understand it.
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
//! [`thread`], [`sync`], [`channel`], [`time`] and [`rand`] carry the signatures of std, parking_lot,
//! crossbeam and rand. What you learn here carries over, and code from elsewhere needs new `use` lines only.
//! In the threads world the calls go to those libraries.
//!
//! # How a simulated thread blocks
//!
//! Try, then park. `lock()` tries the real lock inside. If that fails, the task enters the wait list of the
//! lock, and its coroutine suspends itself. The task that gives up the lock moves one waiter, chosen by the
//! seed, to the list of ready tasks. The loop in `sim/drive.rs` picks a ready task and resumes it. If none is
//! ready, it moves the clock to the next timer. If there is no timer either, that is a deadlock, and the
//! report says which thread waits for what, and where.
//!
//! A task can lose its turn only at calls of this crate. Every operation that reads or writes shared state is
//! such a point: locks, channels, condition variables (also between the caller's test and the wait), atomics,
//! the start of a thread. A [`PolicyKind`] decides how often a point is used, and which task runs then. By
//! default each seed draws how it schedules.
//!
//! Tests look for bugs with many seeds. For a program of a few threads and operations, [`explore()`] tries
//! *every* schedule and says how many there were: that is a proof.
//!
//! # Nodes
//!
//! Every thread belongs to a [`node::Node`], a simulated process. Killing a node unwinds all its threads
//! where they stand: their destructors run and release their locks. That is how a test crashes a server, and
//! nothing of the old incarnation can run beside the new one. A destructor that wants a lock gets it: the
//! holder is unwound first, or runs until it gives up the lock. Nodes can also be paused, and their clocks
//! can run fast or slow.
//!
//! # It explains itself
//!
//! A run ends with an [`Outcome`]. A panic in any thread fails the run, as in Go; the report names the
//! thread, its node and the virtual time, and shows what the threads printed before. So do deadlocks (with
//! the cycle, through locks, joins and channels), a thread that waits for its own lock, spinning while the
//! clock stands still, the limits of virtual and real time and of memory, endless loops, foreign calls that
//! block the OS thread, overflowing stacks, `process::exit`, and a panic of a thread of std's. Whatever ends
//! a run while a panic unwinds a thread, the panic is told first. Two mistakes are warnings that name all
//! their lines: a lock held across a blocking call, and locks taken in different orders, also if no deadlock
//! came of it.
//!
//! # How to read
//!
//! `run.rs` → `sim/drive.rs` (the loop) → `sim/task.rs` (coroutines) → `sim/kill.rs` → `sim/park.rs` (waiting
//! and waking) → `sync/mutex.rs` (the pattern of every primitive) → `real/mod.rs` (the other world).
//!
//! | files | question |
//! |---|---|
//! | `sim/policy.rs`, `sim/explore.rs` | which task runs next? |
//! | `sim/report.rs`, `sim/circles.rs`, `sim/lock_order.rs` | which thread waits for which? |
//! | `sim/failing.rs`, `watchdog.rs`, `stack_trace.rs`, `sim/stack.rs`, `panics.rs`, `strangers.rs`, `exit.rs`, `abort.rs` | what ended the run, or the process? |
//! | `printed.rs`, `trace.rs` | what happened before? |
//! | `sim/hash_keys.rs`, `thread/local.rs` | what else would make two runs of a seed differ? |
//!
//! # What is left out, on purpose
//!
//! - **Weak memory.** Tasks of a simulation take turns on one OS thread, so every atomic operation is
//!   sequentially consistent there. Races on real memory are found by the threads world under
//!   ThreadSanitizer.
//! - **Preemption between any two instructions.** A task that never calls this crate keeps its turn; the
//!   watchdog names it.
//! - **Time spent computing.** Virtual time passes between steps, never within one, unless [`Config::jitter`]
//!   asks for pauses that stand for computation.
//! - **async.** The course teaches blocking code, and coroutines with stacks make it as cheap.
//! - **A panic does not stop at a `join`.** In std the `join` of a panicking thread returns an `Err`; here
//!   the panic ends the run, since in a lab it is always a bug.
//! - **Surviving a panic in a destructor.** If a destructor panics while a panic or a kill unwinds its
//!   thread, Rust ends the process. The report comes before that.

mod abort;
pub mod channel;
pub mod config;
mod context;
mod exit;
mod explore;
mod finally;
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
mod stack_trace;
mod strangers;
pub mod sync;
mod system;
pub mod thread;
pub mod time;
pub mod trace;
mod watchdog;

pub use config::{Config, Limits, PolicyKind, Schedule, Sink, World};
pub use explore::{Bounds, Search, explore};
pub use outcome::{
    Decision, Event, Failure, FailureKind, FieldValue, Fields, Outcome, Stats, TOLD_DECISIONS,
};
pub use run::{random_seed, run, world};
pub use watchdog::on_stuck;

/// Locks for the state of frameworks (the network, the tester). They are held for a few instructions that
/// call nothing of this crate, so the simulation does not switch at them.
pub mod quiet {
    pub use parking_lot::{Mutex, MutexGuard};
}
