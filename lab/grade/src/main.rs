//! `cargo lab grade`: grades submissions, by verdicts that these cannot write themselves.
//!
//! # How to read
//!
//! * `take`: from a folder, archive or repository to the student's sources. `inspect`: what must not be in
//!   them.
//! * `workshop` and `recipe`: the pristine workspace, and how a submission is built over it.
//! * `sandbox` and `watch`: how a process is contained, and how it ended.
//! * `run`: the runs of a submission. `verdict`: what they come to.
//! * `plan`, `shard`, `merge`: a batch, cut into pieces that any machine can do, and put together.
//! * `kills`: tests by students, over right and wrong solutions.
//! * `watchfolder`: what has changed in a folder that is watched.
//! * `report`: pages and files of results.
//! * `settings`: what `labs.toml` says. `canary`: what must fail. `batch`: all of it on one machine.
//!
//! What is trusted and why is in ARCHITECTURE.md.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this program never runs in a simulation: its threads, locks and clocks are the system's"
)]

mod batch;
mod canary;
mod cli;
mod inspect;
mod kills;
mod merge;
mod parallel;
mod plan;
mod recipe;
mod report;
mod run;
mod sandbox;
mod scratch;
mod secret;
mod settings;
mod shard;
mod store;
mod take;
mod verdict;
mod watch;
mod watchfolder;
mod workshop;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use lab_terminal::{end_quietly_when_nobody_reads, exit_code};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // This program also stands in for rustc, and before every confined process.
    if arguments.first().is_some_and(|first| first == sandbox::confine::WORD) {
        return sandbox::confine::become_confined(&arguments[1..]);
    }
    if std::env::var_os(recipe::RECORD).is_some() && !arguments.is_empty() {
        return recipe::record(&arguments);
    }
    end_quietly_when_nobody_reads();
    let result = batch::run(&cli::Arguments::parse());
    scratch::remove();
    exit_code(result)
}
