//! What the labs are tested with. (Essay to follow.)

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the bans are for labs: the run loop stands outside of the simulation, on plain threads"
)]

mod cluster;
mod command;
mod consensus;
mod failure;
mod group;
mod invariants;
mod knobs;
mod net;
mod persister;
mod run;
mod story;
mod test;

pub use cluster::{Cluster, ELECTION, Moved, Retry, Setup};
pub use command::Command;
pub use consensus::{ApplyMsg, Consensus, Observer, Role, View};
pub use failure::{Broken, Invariant};
pub use group::{Boot, Booted, Group};
pub use net::Net;
pub use persister::{Persister, Write};
pub use run::{Allowance, run, run_within};
pub use test::{Figures, Test};
