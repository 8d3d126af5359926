//! The tests' side of the labs: clusters and faults, checkers that run all the time, and stories of what went
//! wrong.
//!
//! # A test
//!
//! A test of a lab is a plain `#[test]` function that hands its code to [`run`]:
//!
//! ```no_run
//! # use labapi::Consensus;
//! # use tester::{Cluster, Retry, Setup, Test, run};
//! # fn example<Raft: Consensus>() {
//! run("a_leader_is_cut_off", |t: &Test| {
//!     let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
//!     cluster.agree_on(1, 3, Retry::No);
//!
//!     t.scene("The leader is cut off. The others go on.");
//!     cluster.disconnect(cluster.check_one_leader());
//!     cluster.agree_on(2, 2, Retry::No);
//! });
//! # }
//! ```
//!
//! It is told in scenes, with a closed list of verbs: after one test, all the others are easy to read. The
//! verbs record themselves. When the test fails, it prints the story so far (a line for each verb, change of
//! role and commitment, a column for each server), the expectation or invariant that was broken, the seed,
//! and the command that plays it again.
//! [`run`] plays the test with one seed, or with thousands of them in one process, as the environment says.
//!
//! # What is watched
//!
//! A test checks its own subject. Besides, the invariants of the Raft paper's Figure 3 are checked all the
//! time. So a test of elections also fails when an entry is lost in it, and it fails at the moment of the
//! loss, not when the entry is missed.
//!
//! - Some things every solution shows, and every test checks them (`outside`): commands on the apply channel,
//!   terms and leaders by `get_state`, writes to the disk, and the use of a dead server's ends.
//! - A solution that makes its messages readable ([`labapi::WireFormat`]) is checked on the wire as well
//!   (`outside`).
//! - A solution that calls its [`labapi::Observer`] is checked at every change of its state (`invariants`, a
//!   file for each rule).
//!
//! The report of a test names what was not watched.
//!
//! # Reading order
//!
//! First the crate [`labapi`]: what a server is given, and what it must offer. Then `group` (nodes, links,
//! disks, crashes: for servers of any kind), `cluster` (the verbs of the Raft lab), `outside`, `invariants`,
//! `story`, and `run` (seeds, limits, reports). `experiment` stands apart: tables of a paper's figures beside
//! ours.
//!
//! # The course's harness
//!
//! Numbers, bounds and orders are those of the course's `config.go`, with these differences, each of which
//! makes the tests stricter:
//!
//! - Every server hands each index to its service exactly once in a life, in order; the course forgives some
//!   repetitions.
//! - A snapshot of the service holds all commands up to its index, as in the editions from 2022 on, so that a
//!   wrong point of resumption shows at once.
//! - A crash stops all threads of the server where they stand. The course asks the old server politely.
//! - Anything that a crashed server still does is a failure.
//! - The two minutes that a test may take are enforced while it runs, not asked about at its end.
//! - A test that never reached the situation that it is about says so ([`Test::exercised`]).
//!
//! # What is left out on purpose
//!
//! - **Knowledge of any lab.** The tester sees a consensus module through [`labapi::Consensus`] and other
//!   servers through [`Group`], and depends on no crate of a lab.
//! - **Histories of clients.** The crate `tester-kv` records and checks them, so that a test of a Raft does
//!   not wait until a checker is built.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the bans are for labs: the run loop stands outside of the simulation, on plain threads"
)]

mod checks;
mod choices;
mod cluster;
mod command;
mod experiment;
mod failure;
mod faults;
mod final_check;
mod group;
mod invariants;
mod knobs;
mod net;
mod outside;
mod partial;
mod run;
mod stall;
mod story;
mod swarm;
mod test;
mod unwatched;
mod watch;

pub use checks::Checks;
pub use choices::Choices;
pub use cluster::{Cluster, ELECTION, Moved, Retry, Setup};
pub use command::Command;
pub use experiment::{Experiment, play, trial};
pub use failure::{Broken, Invariant};
pub use faults::{FaultSpan, Faults};
pub use final_check::{Finding, Unanswered};
pub use group::{Boot, Booted, Group};
pub use labreport::Kind;
pub use net::Net;
pub use outside::{Life, Outside};
pub use partial::Partial;
pub use run::{Allowance, Verdict, report_width, run, run_within, try_seed, try_unwatched};
pub use test::{Figures, Test};
pub use unwatched::Unwatched;
pub use watch::Watched;
