//! MapReduce jobs as real processes: the command `mrjob`, and the library for a command with applications of
//! your own.
//!
//! The coordinator and the worker are those of the lab (`mapreduce`), and `mapreduce-engine` runs the tasks.
//! This crate adds the command line, processes, sockets, directories, applications and benches.
//!
//! # An application of your own
//!
//! Write a crate that depends on `mrjob`, implement [`Application`], and pass it to [`main`]. The workspace
//! has one, `mrjob/own-application`, in 20 lines:
//!
//! ```no_run
#![doc = include_str!("../own-application/src/main.rs")]
//! ```
//!
//! The program has all commands and applications of `mrjob`, and the new application:
//! `cargo run --release -p own-application -- run --app line-lengths books/*.txt`.
//!
//! # How to read
//!
//! | file | what |
//! |---|---|
//! | `catalogue.rs`, `apps/` | the applications |
//! | `cli/arguments.rs` | the command line |
//! | `cli/coordinator.rs`, `cli/job.rs`, `cli/children.rs` | the commands `run` and `coordinator` |
//! | `cli/worker.rs` | the command `worker` |
//! | `input.rs` | input files: names that are bytes, small files that share a map |
//! | `directory.rs`, `locks.rs` | where a job keeps its files; locks that show which jobs are alive |
//! | `log.rs` | the log of finished tasks, which `--resume` reads |
//! | `report/` | the page that `--report` writes |
//! | `wire/` | the lab's services over sockets |
//! | `remote.rs` | files of machines that share no disk |
//! | `cli/bench/` | compares jobs with plain programs |

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a command of real processes, outside of any simulation"
)]

pub mod apps;
mod catalogue;
mod cli;
pub mod directory;
mod input;
mod locks;
mod log;
mod names;
mod remote;
mod report;
pub mod wire;

pub use catalogue::{AppError, Catalogue};
pub use cli::main;
pub use mapreduce::app::{Application, BadRecords, Records, Values, collect, hash_partition};
