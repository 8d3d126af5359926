//! The command line of the labs: `cargo lab test raft`, `cargo lab stress 2C`, `cargo lab replay TEST --seed N`, …
//!
//! It builds test binaries with cargo, runs them, and listens to the lines that they print (`protocol`). It depends on no
//! lab crate: all that it knows of the labs is what `labs.toml` says. The one crate of the workspace that it does depend on is
//! `linearize`, for `check`, which runs no tests and reads histories that anybody recorded.
//!
//! # How to read
//!
//! * `catalogue` and `select`: `labs.toml`, and from a name on the command line to tests.
//! * `build`: the one call of cargo.
//! * `protocol`, `process`, `runner`: one test with a range of seeds, whatever happens to its process.
//! * `pool`: several of them at once.
//! * `test`, `stress`, `replay`, `zoo`, `bench`, `list`, `check`: one module for each verb.
//!
//! # Exit codes
//!
//! 0 if all went well, 1 if a test failed (or a wrong solution survived, or a bound was not reached), 2 if the command
//! could not do what was asked: an unknown name, code that does not compile. 130 if it was interrupted, with no failure so far.
//! 2 too, without a message, if whoever read the output stopped before its end (`| head`).
//! For `check`, 1 means that a history is not linearizable, and 3 that one is undecided and none is wrong.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this program never runs in a simulation: its threads, locks and clocks are the system's"
)]

mod bench;
mod build;
mod catalogue;
mod check;
mod cli;
mod list;
mod pool;
mod process;
mod protocol;
mod replay;
mod runner;
mod select;
mod statistics;
mod stress;
mod style;
mod test;
mod zoo;

use std::fmt;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Arguments, Verb};

/// Why a command could not do what was asked. It ends the program with 2.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// What to tell the user.
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a command that did what was asked ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// Ctrl-C, and nothing had failed until then.
    Interrupted,
    /// A check reached its limits first, and nothing had failed. This is never a pass.
    Unknown,
    /// Some of what was asked could not be done, as was said when it was found.
    CouldNotRun,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        match outcome {
            Outcome::Passed => ExitCode::SUCCESS,
            Outcome::Failed => ExitCode::from(1),
            Outcome::Interrupted => ExitCode::from(process::INTERRUPTED),
            Outcome::Unknown => ExitCode::from(3),
            Outcome::CouldNotRun => ExitCode::from(2),
        }
    }
}

/// Whoever reads our output may stop reading (`cargo lab replay … | head`). That ends this program quietly; std's print
/// macros would panic.
fn end_quietly_when_nobody_reads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
            end_unread();
        }
        report(info);
    }));
}

/// Ends the program because nobody reads what it says. Nothing is wrong, so it says nothing; but not all that was asked was
/// answered, so it is no success either.
pub(crate) fn end_unread() -> ! {
    std::process::exit(2)
}

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    let arguments = Arguments::parse();
    let result = match &arguments.verb {
        Verb::List(options) => list::run(&arguments, options),
        Verb::Test(options) => test::run(&arguments, options),
        Verb::Stress(options) => stress::run(&arguments, options),
        Verb::Replay(options) => replay::run(&arguments, options),
        Verb::Zoo(options) => zoo::run(&arguments, options),
        Verb::Bench(options) => bench::run(&arguments, options),
        Verb::Check(options) => check::run(options),
    };
    match result {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            eprintln!("{} {failure}", style::error_word());
            ExitCode::from(2)
        }
    }
}
