//! The options of the verbs that prove the tests.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Form, RunOptions, Workers};

/// A number of things to draw: drawing none would pass whatever they are.
fn sample(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("it must be a whole number from 1 on".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct ZooOptions {
    /// The lab whose wrong solutions the tests must catch.
    #[arg(value_name = "LAB", required_unless_present = "correct")]
    pub(crate) lab: Option<String>,
    #[command(flatten)]
    pub(crate) workers: Workers,
    #[command(flatten)]
    pub(crate) run: RunOptions,

    /// Only this solution (R33; R33/threads is the one on that base); may be given several times.
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) bug: Vec<String>,

    /// Instead of wrong solutions, build partial ones (`bugs/parts`), which lack the later parts: the tests
    /// of the parts that they have must pass.
    #[arg(long)]
    pub(crate) parts: bool,

    /// Instead of wrong solutions, build correct ones that are unusual (`bugs/correct`): the tests of their
    /// labs, or of LAB, must pass.
    #[arg(long, conflicts_with = "parts")]
    pub(crate) correct: bool,

    /// Judge wrong solutions with their own debug assertions and with the checkers of what they show to
    /// observers, which a student's solution does not have.
    #[arg(long)]
    pub(crate) watched: bool,

    /// Run every test with every seed, for the whole matrix; otherwise the runs of a solution end as soon as
    /// it is certain that nineteen gradings of twenty catch it.
    #[arg(long, conflicts_with_all = ["parts", "correct"])]
    pub(crate) matrix: bool,

    /// Write into `bugs/needed.toml` which test is needed for which wrong solution; the whole matrix is run.
    #[arg(long, conflicts_with_all = ["parts", "correct", "bug", "sample", "watched"])]
    pub(crate) needed: bool,

    /// Only these tests, named as on the command line of `cargo lab test`.
    #[arg(long = "test", value_name = "NAME", conflicts_with = "needed")]
    pub(crate) tests: Vec<String>,

    /// So many wrong solutions only, drawn at random, each with the tests that its patch names.
    #[arg(long, value_name = "N", value_parser = sample, conflicts_with_all = ["parts", "correct"])]
    pub(crate) sample: Option<usize>,

    /// How many seeds of each test to run [default: 20; with --correct, 1000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: Option<u64>,

    /// Write the matrix as a page, with the interval of each rate and the reason of each kill.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["parts", "correct"])]
    pub(crate) page: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) form: Form,
}

impl ZooOptions {
    /// Whether all tests are run with all seeds.
    pub(crate) fn is_whole(&self) -> bool {
        self.matrix || self.needed || self.parts || self.page.is_some()
    }

    /// How many seeds of each test to run.
    pub(crate) fn seeds(&self) -> u64 {
        self.seeds.unwrap_or(if self.correct { 1000 } else { 20 })
    }
}

#[derive(Debug, Args)]
pub(crate) struct MutantsOptions {
    /// The lab whose rules are changed.
    #[arg(value_name = "LAB")]
    pub(crate) lab: String,
    #[command(flatten)]
    pub(crate) workers: Workers,
    #[command(flatten)]
    pub(crate) run: RunOptions,

    /// So many mutants only, drawn at random.
    #[arg(long, value_name = "N", value_parser = sample)]
    pub(crate) sample: Option<usize>,

    /// Only mutants at places that begin with this, such as `raft/src/log.rs:57`.
    #[arg(long, value_name = "PLACE")]
    pub(crate) at: Option<String>,

    /// How many seeds of each test to run.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) seeds: u64,
    #[command(flatten)]
    pub(crate) form: Form,
}
