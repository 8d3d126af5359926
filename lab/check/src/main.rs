//! `cargo lab check`: are recorded histories linearizable, and if not, which operations show it?
//!
//! The program is one of its own, and `lab` builds it on demand: the checker's generic code is optimised
//! here, so that `lab` itself, which every test run builds first, stays small.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this program never runs in a simulation: its threads, locks and clocks are the system's"
)]

mod check;
mod cli;
mod style;

/// Where `check` looks for the nearest name.
mod select {
    pub(crate) use lab_terminal::nearest;
}

use std::process::ExitCode;

use clap::Parser;
use lab_terminal::{Failure, Outcome, end_quietly_when_nobody_reads, end_unread, exit_code};

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    exit_code(check::run(&cli::CheckOptions::parse()))
}
