//! The command line of the labs: `cargo lab test raft`, `cargo lab stress 2C`,
//! `cargo lab replay TEST --seed N`, …
//!
//! It builds test binaries with cargo, runs them, and reads the lines that they print (`protocol`). It
//! depends on no lab crate: all that it knows of the labs is in `labs.toml`. For `check`, which runs no
//! tests, it starts a program of its own, `lab-check`, so that a first test run need not build a checker.
//!
//! # How to read
//!
//! * `catalogue` and `select`: `labs.toml`, and from a name on the command line to tests.
//! * `build`: the one call of cargo.
//! * `protocol`, `process`, `runner`: one test with a range of seeds, whatever happens to its process.
//! * `pool`: several of them at once. `order`: which of them begins first. `score`: what their results come
//!   to.
//! * `failures` and `fold`: what failed, and which run to read first, in as few lines as a screen has.
//! * `progress`: where the user is. `handed`: whether a handout's fixed files are as they were.
//! * `test`, `stress`, `replay`, `zoo`, `bench`, `list`, `check`, `handout`, `grade`: one module for each
//!   verb.
//! * `why`: the verbs that tell why a run failed.
//!
//! # Exit codes
//!
//! 0 if all went well, 1 if a test failed (or a wrong solution survived, or a bound was not reached), 2 if
//! the command could not do what was asked: an unknown name, code that does not compile. 3 if nothing failed
//! and a test on real threads was inconclusive, because it did not get a processor in time. 130 if it was
//! interrupted, with no failure so far. 2 too, without a message, if the reader of the output stopped before
//! its end (`| head`). For `check`, 1 means that a history is not linearizable, and 3 that one is undecided
//! and none is wrong.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this program never runs in a simulation: its threads, locks and clocks are the system's"
)]

mod bans;
mod bench;
mod build;
mod catalogue;
mod check;
mod cli;
mod environment;
mod examples;
mod failures;
mod fold;
mod grade;
mod handed;
mod handout;
mod last_test;
mod list;
mod needed;
mod order;
mod overview;
mod pool;
mod process;
mod progress;
mod protocol;
mod reference;
mod replay;
mod runner;
mod score;
mod select;
mod statics;
mod statistics;
mod stress;
mod style;
mod test;
mod unwritten;
mod why;
mod zoo;

use std::process::ExitCode;

use lab_terminal::{Failure, Outcome, end_quietly_when_nobody_reads, exit_code};

use crate::cli::{Arguments, Verb};

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    exit_code(handed::arguments().and_then(|arguments| match &arguments.verb {
        None => overview::run(&arguments),
        Some(_) if arguments.json => {
            Err(Failure::new("--json stands behind the verb: cargo lab VERB --json"))
        }
        Some(verb) => run(&arguments, verb),
    }))
}

fn run(arguments: &Arguments, verb: &Verb) -> Result<Outcome, Failure> {
    match verb {
        Verb::List(options) => list::run(arguments, options),
        Verb::Test(options) => test::run(arguments, options),
        Verb::Stress(options) => stress::run(arguments, options),
        Verb::Replay(options) => replay::run(arguments, options),
        Verb::Logs(options) => why::logs::run(arguments, options),
        Verb::Trace(options) => why::trace::run(arguments, options),
        Verb::View(options) => why::view::run(arguments, options),
        Verb::Shrink(options) => why::shrink::run(arguments, options),
        Verb::When(options) => why::when::run(arguments, options),
        Verb::Zoo(options) => zoo::run(arguments, options),
        Verb::Mutants(options) => zoo::mutants::run(arguments, options),
        Verb::Bench(options) => bench::run(arguments, options),
        Verb::Check(options) => check::run(options),
        Verb::Handout(_) | Verb::Grade(_) if arguments.labs.is_some() => Err(Failure::new(
            "--labs, or LAB_LABS, would be ignored: this verb reads the labs.toml of its own workspace",
        )),
        Verb::Handout(options) => handout::run(options),
        Verb::Grade(options) => grade::run(options),
        Verb::Completions(options) => overview::completions(options),
    }
}
