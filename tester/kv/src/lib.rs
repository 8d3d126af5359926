//! The key/value labs: groups of servers with clerks, and histories that are checked.
//!
//! A clerk of a test is a [`Recorded`] one: what it was asked, what it answered and when is written down, on
//! the run's own clock and not on that of a server, which may be wrong. When the run is over, however it
//! ended, `linearize` looks into the whole history. A test that has passed so far fails if its history is not
//! linearizable, or if the check finds no answer. A test that has failed already gets the checker's
//! explanation, and a picture with the faults on it.
//!
//! That part ([`Records`]) knows nothing of servers, so that tests of other services with such clerks use it,
//! too. [`KvCluster`] is the course's configuration of lab 3, [`Workload`] its generic test, [`speed`] the
//! test of its speed, and `appends` looks for lost, repeated and reordered appends in a value, with better
//! words than a checker of histories has for them.
//!
//! # Where this is stricter than the course
//!
//! - Every operation of every test is recorded, and an undecided check fails.
//! - After the faults of a round its clients must come to an end within [`PATIENCE`], not within the two
//!   minutes of the test.
//! - At the end all faults end, and an operation must succeed within the same time.
//! - A value of a client's own key must consist of that client's appends and of nothing else.
//! - The rules of Figure 3 are watched in the servers' Rafts, if these show themselves.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the bans are for labs: what is recorded stands outside of the simulation"
)]

mod appends;
mod client;
mod cluster;
mod generic;
mod history;
mod pending;
mod record;
mod speed;

pub use appends::{check_appends, element};
pub use client::Client;
pub use cluster::{KvCluster, KvSetup, PATIENCE};
pub use generic::Workload;
pub use pending::Pending;
pub use record::{Recorded, Records};
pub use speed::speed;
