//! The words of the command line, and what `--help` says of them.
#![expect(clippy::doc_markdown, reason = "--help prints these comments as they are, backticks and all")]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::build::{BuildOptions, DEFAULT_PROFILE};
use crate::runner::{OVER, SWARM, World};

/// Runs the labs' tests: once, very often, or one again.
#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// The list of labs; by default labs.toml in this folder or the nearest one above it.
    #[arg(long, global = true, value_name = "FILE", env = "LAB_LABS")]
    pub(crate) labs: Option<PathBuf>,

    /// Without one: where you are, and what comes next.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows labs, parts and tests, and their points.
    List(ListOptions),
    /// Runs tests once each.
    Test(TestOptions),
    /// Runs tests very often, each time with another seed.
    Stress(StressOptions),
    /// Runs one seed of one test again, and shows what happened: the story, and the log with a column for
    /// each server.
    Replay(ReplayOptions),
    /// Proves that the tests catch wrong solutions: those in bugs/LAB, applied to a copy one by one.
    Zoo(ZooOptions),
    /// Measures what bench entries in labs.toml name, beside the bounds given there.
    Bench(BenchOptions),
    /// Says whether recorded histories are linearizable, and if not, which operations cannot be put in order.
    // A program of its own parses what follows, `--help` included.
    #[command(disable_help_flag = true)]
    Check(CheckOptions),
    /// Makes a workspace for students: the framework, and labs without their solutions.
    // A program of its own, too.
    #[command(disable_help_flag = true)]
    Handout(HandoutOptions),
}

/// Which tests.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Names of labs (raft), parts (2A) or tests (backup_2b, or as in the course TestBackup2B), or pieces of
    /// tests' names (figure_8). All tests if there is none.
    #[arg(value_name = "NAME")]
    pub(crate) patterns: Vec<String>,
}

/// How much at once.
#[derive(Debug, Args)]
pub(crate) struct Workers {
    /// How many processes at once [default: the number of cores].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

impl Workers {
    /// How many processes to run at once.
    pub(crate) fn number(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or(cores, usize::from)
    }
}

/// How to build and in which world to run.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Build with this cargo profile. dev is what cargo test builds, with all assertions; release runs a
    /// fifth faster and takes minutes to build, which campaigns of hours repay.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_PROFILE, env = "LAB_PROFILE")]
    profile: String,

    /// Run on real threads and the wall clock instead of the simulation.
    #[arg(long)]
    threads: bool,

    /// Let each seed draw the knobs of its run too: delays, duplicated requests, scheduler, clocks, pauses.
    #[arg(long)]
    swarm: bool,

    /// What the labs above Raft stand on: the Raft in this workspace, or the oracle, which agrees under the
    /// same faults and is no Raft.
    #[arg(long, value_enum, value_name = "MODULE", env = OVER)]
    over: Option<Over>,

    /// Run each seed twice, and fail if the two runs differ.
    #[arg(long)]
    check_determinism: bool,
}

/// The consensus module below a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Over {
    /// The lab's own.
    Raft,
    /// The crate `oracle`.
    Oracle,
}

impl RunOptions {
    /// How to build.
    pub(crate) fn build(&self, race: bool) -> BuildOptions {
        BuildOptions { race, ..BuildOptions::new(&self.profile) }
    }

    /// In which world to run.
    pub(crate) fn world(&self) -> World {
        let mut variables = Vec::new();
        if self.swarm {
            variables.push((SWARM, "1".to_owned()));
        }
        if self.over == Some(Over::Oracle) {
            variables.push((OVER, "oracle".to_owned()));
        }
        if self.check_determinism {
            variables.push(("LAB_CHECK_DETERMINISM", "1".to_owned()));
        }
        World { threads: self.threads, variables }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Build the test binaries and prove that labs.toml names exactly the tests that are in them.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) workers: Workers,
    #[command(flatten)]
    pub(crate) run: RunOptions,

    /// The seed of every test [default: drawn anew each time, and printed].
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Say at the end how much memory the largest process took, cargo included.
    #[arg(long)]
    pub(crate) resources: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StressOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) workers: Workers,
    #[command(flatten)]
    pub(crate) run: RunOptions,

    /// How many seeds of each test.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) runs: u64,

    /// Build with ThreadSanitizer and run on real threads. Needs a nightly toolchain.
    #[arg(long)]
    pub(crate) race: bool,

    /// Where to keep the journal, and the stories of failures [default: a new folder in lab-runs].
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Start anew even if an interrupted campaign of the same tests and the same code could be continued.
    #[arg(long)]
    pub(crate) fresh: bool,

    /// The first of the seeds [default: drawn].
    #[arg(long, value_name = "N")]
    pub(crate) first_seed: Option<u64>,

    /// Count rounds instead of showing bars: a round is one run of every test, as in go-test-many.sh.
    #[arg(long)]
    pub(crate) rounds: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    /// The test.
    #[arg(value_name = "TEST")]
    pub(crate) test: String,

    /// The seed.
    #[arg(long, value_name = "N")]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) run: RunOptions,

    /// Show these topics only, for instance vote,log,fault; also the quiet ones: spawn,block,wake,lock.
    #[arg(long, short = 'j', value_name = "TOPIC", value_delimiter = ',')]
    pub(crate) just: Vec<String>,

    /// Show all but these topics.
    #[arg(long, short = 'i', value_name = "TOPIC", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,

    /// How wide all columns together may be [default: the terminal, or 160].
    #[arg(long, short = 'c', value_name = "N")]
    pub(crate) columns_width: Option<usize>,

    /// Leave the story out, show the log only.
    #[arg(long)]
    pub(crate) no_story: bool,

    /// Keep the events in this file (JSON Lines).
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ZooOptions {
    /// The lab whose wrong solutions the tests must catch.
    #[arg(value_name = "LAB")]
    pub(crate) lab: String,
    #[command(flatten)]
    pub(crate) workers: Workers,
    #[command(flatten)]
    pub(crate) run: RunOptions,

    /// Only this wrong solution (R33); may be given several times.
    #[arg(long, value_name = "ID")]
    pub(crate) bug: Vec<String>,

    /// Instead of wrong solutions, build partial ones (`bugs/parts`), which lack the later parts: the tests
    /// of the parts that they have must pass.
    #[arg(long)]
    pub(crate) parts: bool,

    /// How many seeds of each test a wrong solution may survive.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// How long to measure each rate, in seconds.
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    pub(crate) seconds: f64,

    /// Only rows whose name contains this.
    #[arg(value_name = "NAME")]
    pub(crate) pattern: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// What the program `lab-check` gets.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct HandoutOptions {
    /// What the program `lab-handout` gets.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) arguments: Vec<OsString>,
}
