//! The runtime of the labs: the same blocking code, simulated or on real threads. (Essay to follow.)

pub mod channel;
pub mod config;
mod context;
pub mod node;
pub mod oneshot;
mod outcome;
mod panics;
pub mod rand;
mod real;
mod run;
pub mod runtime;
mod sim;
pub mod sync;
pub mod thread;
pub mod time;
pub mod trace;
mod watchdog;

pub use config::{Config, Limits, PolicyKind, Schedule, World};
pub use outcome::{Decision, Event, Failure, FailureKind, Outcome, Stats};
pub use run::{random_seed, run, world};
pub use watchdog::on_stuck;

/// Locks for the state of frameworks (the network, the tester): taken for a few instructions in which nothing of this
/// crate is called, so they are no points for the simulation to switch at.
pub mod quiet {
    pub use parking_lot::{Mutex, MutexGuard};
}
