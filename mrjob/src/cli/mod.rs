//! The command line. Exit code 0: done; 1: the job failed; 2: wrong usage.
//!
//! Each command has its own file with a function from arguments to [`Done`]. This file turns the results into
//! messages and exit codes. Messages go to standard error; standard output has only what the user asked for.

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
use crate::names::printable;

/// The exit code after SIGINT or SIGTERM: 128 + 2, as shells report SIGINT.
pub(crate) const INTERRUPTED: i32 = 130;

/// Why a command failed.
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

/// Runs the command line with these applications. The exit code is 0 if the command is done, 1 if it failed,
/// and 2 after wrong usage.
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
            complain(&reason);
            ExitCode::from(2)
        }
        Err(Problem::Failed(reason)) => {
            complain(&reason);
            ExitCode::FAILURE
        }
    }
}

/// Tells the user something.
pub(crate) fn complain(reason: &str) {
    eprintln!("mrjob: {}", printable(reason));
}

/// Runs a process of a job on real threads, without limits of time.
pub(crate) fn on_real_threads(main: impl FnOnce() -> Done + Send + 'static) -> Done {
    // The limits stop tests that hang. A job may take any time, and a user's map may compute for an hour
    // between two calls of the runtime.
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
