//! The command line. Exit code 0: done; 1: the job has failed; 2: it was called wrongly.
//!
//! Each command is a function from its arguments to [`Done`], in a file of its own; this file turns the
//! results into messages and exit codes. Messages go to standard error, so that standard output holds only
//! what the user asked for.

mod arguments;
mod bench;
mod children;
mod coordinator;
mod job;
mod progress;
mod sequential;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arguments::{Arguments, Command};
use clap::Parser;
use labrt::{Config, Limits};

use crate::catalogue::Catalogue;

/// The exit code of a process that a signal has ended, as a shell reports SIGINT.
pub(crate) const INTERRUPTED: i32 = 130;

/// Why a command has failed.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Wrong usage.
    Usage(String),
    /// The work failed.
    Failed(String),
}

impl Problem {
    /// A failure with this reason.
    pub(crate) fn failed(reason: impl ToString) -> Problem {
        Problem::Failed(reason.to_string())
    }
}

/// The result of a command.
pub(crate) type Done = Result<(), Problem>;

/// Runs the command line, with these applications, and returns its exit code: 0 done, 1 failed, 2 called
/// wrongly.
pub fn main(catalogue: Catalogue) -> ExitCode {
    let catalogue = Arc::new(catalogue);
    let done = match Arguments::parse().command {
        Command::Run(arguments) => coordinator::run(arguments, catalogue),
        Command::Coordinator(arguments) => coordinator::coordinate(arguments, catalogue),
        Command::Worker(arguments) => worker::work(arguments, catalogue),
        Command::Sequential(arguments) => sequential::run(&arguments, &catalogue),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::CountWords { files } => bench::count_words(&files),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problem::Usage(reason)) => {
            eprintln!("mrjob: {reason}");
            ExitCode::from(2)
        }
        Err(Problem::Failed(reason)) => {
            eprintln!("mrjob: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a process of a job on real threads, for as long as it takes.
pub(crate) fn on_real_threads(main: impl FnOnce() -> Done + Send + 'static) -> Done {
    // The limits are for tests that hang. A job takes as long as it takes, and a user's map may
    // compute for an hour before it comes back to the runtime.
    let limits = Limits {
        virtual_time: Duration::MAX,
        real_time: Duration::MAX,
        stuck_after: Duration::MAX,
        ..Limits::default()
    };
    // Applications may end their worker, as `crash` does.
    labrt::runtime::allow_exit();
    let outcome = labrt::run(Config::threads(labrt::random_seed()).limits(limits), main);
    outcome.result.unwrap_or_else(|failure| Err(Problem::failed(failure)))
}
