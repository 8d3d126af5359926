//! The words of the command line, and what `--help` says of them.
#![expect(clippy::doc_markdown, reason = "--help prints these comments as they are, backticks and all")]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use lab_terminal::Failure;

use crate::build::{BuildOptions, DEFAULT_PROFILE};
use crate::runner::{CHECK_DETERMINISM, OVER, SCHEDULER, SWARM, UNWATCHED, World};
use crate::why::cli::{LogsOptions, ReplayOptions, ShrinkOptions, TraceOptions, ViewOptions, WhenOptions};
use crate::zoo::cli::{MutantsOptions, ZooOptions};
use crate::{environment, examples};

const FIRST_STEPS: &str = "\
`cargo lab` alone lists what there is to do; `cargo lab help VERB` has examples of each verb.
Exit status: 0 good, 1 a test failed, 2 it could not run, 3 inconclusive, 130 interrupted.";

/// A seed. The largest number is none, since a range of seeds needs a number behind its last one.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(u64::MAX) => Err(format!("the largest seed is {}", u64::MAX - 1)),
        Ok(seed) => Ok(seed),
        Err(_) => Err(format!("a seed is a whole number from 0 to {}", u64::MAX - 1)),
    }
}

/// A scheduler's name, as test binaries know it.
fn scheduler(text: &str) -> Result<String, String> {
    let depth = text.strip_prefix("pct:").map(str::parse::<u32>);
    match (text, depth) {
        ("random" | "swarm", _) => Ok(text.to_owned()),
        (_, Some(Ok(1..=100))) => Ok(text.to_owned()),
        _ => Err("it must be random, pct:D with D from 1 to 100, or swarm".to_owned()),
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How long to measure: some time, and not for ever.
fn seconds(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if number > 0.0 && number <= 86_400.0 {
        Ok(number)
    } else {
        Err("it must be above 0 and at most 86400".to_owned())
    }
}

/// Runs the labs' tests: once, very often, or one again.
#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version, after_help = FIRST_STEPS)]
pub(crate) struct Arguments {
    /// The list of labs; by default labs.toml in this folder or the nearest one above it. check and
    /// completions need none.
    #[arg(long, global = true, value_name = "FILE", env = "LAB_LABS")]
    pub(crate) labs: Option<PathBuf>,

    /// Without a verb: print JSON, a line for each part. Each verb has a --json of its own.
    #[arg(long)]
    pub(crate) json: bool,

    /// Without one: where you are, and what comes next.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows labs, parts and tests, and their points.
    #[command(after_help = examples::LIST)]
    List(ListOptions),
    /// Runs tests once each.
    #[command(after_help = examples::TEST)]
    Test(TestOptions),
    /// Runs tests very often, each time with another seed.
    #[command(after_help = examples::STRESS)]
    Stress(StressOptions),
    /// Runs one seed of one test again, and shows what happened: the story, and the log with a column for
    /// each server.
    #[command(after_help = examples::REPLAY)]
    Replay(ReplayOptions),
    /// Shows the log of a run, with a column for each server: all of it, or what concerns one server, RPC,
    /// index or term.
    #[command(after_help = examples::LOGS)]
    Logs(LogsOptions),
    /// Writes the events of a run for other programs: JSON Lines, ShiViz, Perfetto.
    #[command(after_help = examples::TRACE)]
    Trace(TraceOptions),
    /// Makes a page of a run that opens from disk: messages between servers, their states, the log, the
    /// broken rule, and beside it the nearest run that passes.
    #[command(after_help = examples::VIEW)]
    View(ViewOptions),
    /// Makes a failing run smaller: leaves out faults, operations, servers and messages while the same rule
    /// breaks.
    #[command(after_help = examples::SHRINK)]
    Shrink(ShrinkOptions),
    /// Finds when a failure became certain: other futures of a failing run, from many of its moments.
    #[command(after_help = examples::WHEN)]
    When(WhenOptions),
    /// Proves that the tests catch wrong solutions: those in bugs/LAB, applied to a copy one by one.
    #[command(after_help = examples::ZOO)]
    Zoo(ZooOptions),
    /// Makes small changes in a lab's rules, and lists those that its tests do not notice.
    #[command(after_help = examples::MUTANTS)]
    Mutants(MutantsOptions),
    /// Measures what bench entries in labs.toml name, beside the bounds given there.
    #[command(after_help = examples::BENCH)]
    Bench(BenchOptions),
    /// Says whether recorded histories are linearizable, and if not, which operations cannot be put in order.
    // A program of its own parses what follows, `--help` included.
    #[command(disable_help_flag = true)]
    Check(CheckOptions),
    /// Makes a workspace for students: the framework, and labs without their solutions.
    // A program of its own, too.
    #[command(disable_help_flag = true)]
    Handout(HandoutOptions),
    /// Grades submissions in a sandbox: every test many times, the same seeds for everybody.
    // A program of its own, too.
    #[command(disable_help_flag = true)]
    Grade(GradeOptions),
    /// Prints completions of these words for a shell, to be kept where that shell looks for them.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsOptions),
}

/// For programs.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Form {
    /// Print JSON, a value a line, instead of words; what a human reads of the build goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which tests.
#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// Names of labs (raft), parts (2A) or tests (backup_2b, or as in the course TestBackup2B), or pieces of
    /// tests' names (figure_8). Several, also as 2A,2B or 2A|2B. All tests if there is none.
    #[arg(value_name = "NAME")]
    pub(crate) patterns: Vec<String>,
}

/// How much at once.
#[derive(Clone, Debug, Args)]
pub(crate) struct Workers {
    /// How many processes at once [default: the number of cores; with --threads, eight times as many].
    #[arg(long, short, visible_short_alias = 'p', visible_alias = "workers", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

impl Workers {
    /// Whether the user has said how many.
    pub(crate) fn are_given(&self) -> bool {
        self.jobs.is_some()
    }

    /// How many processes to run at once in this world. On real threads a test sleeps for nearly all of its
    /// time, so that eight of them share a core unless the user says otherwise.
    pub(crate) fn number_in(&self, world: &World) -> usize {
        let side_by_side = if world.threads { 8 } else { 1 };
        self.jobs.map_or_else(|| side_by_side * cores(), usize::from)
    }
}

/// How to build and in which world to run.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunOptions {
    /// Build with this cargo profile. dev is what cargo test builds, with all assertions; release runs a
    /// fifth faster and takes minutes to build, which campaigns of hours repay.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_PROFILE, env = "LAB_PROFILE")]
    profile: String,

    /// Run on real threads and the wall clock instead of the simulation.
    #[arg(long)]
    threads: bool,

    /// Let each seed draw the knobs of its run too: delays, duplicated requests, scheduler, clocks, pauses,
    /// wake-ups without a notification.
    #[arg(long)]
    swarm: bool,

    /// How threads are scheduled: random (a random walk), pct:D (probabilistic concurrency testing for bugs
    /// of depth D), or swarm (as --swarm). By default each seed draws it.
    #[arg(long, value_name = "POLICY", value_parser = scheduler, env = SCHEDULER)]
    scheduler: Option<String>,

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

/// Options that a file names.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct KeptOptions {
    #[command(flatten)]
    run: RunOptions,
}

impl RunOptions {
    /// The options that a file of `cargo lab shrink` names, with this profile unless it names one; None if
    /// they make no sense.
    pub(crate) fn kept(&self, words: &str) -> Option<RunOptions> {
        let KeptOptions { run } = KeptOptions::try_parse_from(words.split_whitespace()).ok()?;
        let names_profile = words.contains("--profile");
        Some(RunOptions { profile: if names_profile { run.profile } else { self.profile.clone() }, ..run })
    }

    /// An option that changes the run, if the command line has one.
    pub(crate) fn asked_for(&self) -> Option<&'static str> {
        // A variable is for all commands, and no wish that this one ignores.
        let is_typed = |is_there: bool, variable: &str| is_there && std::env::var_os(variable).is_none();
        let options = [
            (self.threads, "--threads"),
            (self.swarm, "--swarm"),
            (self.check_determinism, "--check-determinism"),
            (is_typed(self.scheduler.is_some(), SCHEDULER), "--scheduler"),
            (is_typed(self.over.is_some(), OVER), "--over"),
        ];
        options.into_iter().find(|(is_there, _)| *is_there).map(|(_, option)| option)
    }

    /// How to build.
    pub(crate) fn build(&self, race: bool) -> BuildOptions {
        BuildOptions { race, ..BuildOptions::new(&self.profile) }
    }

    /// In which world to run.
    ///
    /// # Errors
    /// If a variable of the environment asks for something that there is not.
    pub(crate) fn world(&self) -> Result<World, Failure> {
        let threads = self.threads || environment::asks_for_threads()?;
        let determinism = self.check_determinism || environment::flag(CHECK_DETERMINISM)?;
        if threads {
            self.check_for_threads(determinism)?;
        }
        let mut variables = Vec::new();
        let is_swarm = self.scheduler.as_deref() == Some("swarm");
        if let Some(scheduler) = self.scheduler.as_ref().filter(|_| !is_swarm) {
            variables.push((SCHEDULER, scheduler.clone()));
        }
        if self.swarm || is_swarm || environment::flag(SWARM)? {
            variables.push((SWARM, "1".to_owned()));
        }
        if environment::flag(UNWATCHED)? {
            variables.push((UNWATCHED, "1".to_owned()));
        }
        if self.over == Some(Over::Oracle) {
            variables.push((OVER, "oracle".to_owned()));
        }
        if determinism {
            variables.push((CHECK_DETERMINISM, "1".to_owned()));
        }
        Ok(World { threads, variables, profile: self.profile.clone(), ..World::default() })
    }
}

impl RunOptions {
    /// Refuses what has no meaning on real threads.
    ///
    /// # Errors
    /// If it was asked for.
    pub(crate) fn check_for_threads(&self, determinism: bool) -> Result<(), Failure> {
        let simulated = |what: &str| {
            Err(Failure::new(format!(
                "{what} is for the simulation: on real threads the system schedules, and no run is repeated"
            )))
        };
        match &self.scheduler {
            _ if determinism => simulated("--check-determinism"),
            Some(policy) if policy != "swarm" => simulated(&format!("--scheduler {policy}")),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Build the test binaries and prove that labs.toml names exactly the tests that are in them; and that
    /// each test is needed for some wrong solution (`bugs/needed.toml`), or marked as a demonstration.
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) form: Form,
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
    #[arg(long, value_name = "N", env = "LAB_SEED", value_parser = seed)]
    pub(crate) seed: Option<u64>,

    /// Begin no other test after the first that failed.
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// Print a line for each test. Otherwise the tests of a part that pass share a line on a terminal, where
    /// more tests run than fit on its screen.
    #[arg(long)]
    pub(crate) each: bool,
    #[command(flatten)]
    pub(crate) form: Form,

    /// Say at the end how much memory the largest process took, cargo included.
    #[arg(long)]
    pub(crate) resources: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StressOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) workers: Workers,
    #[command(flatten)]
    pub(crate) run: RunOptions,

    /// How many seeds of each test.
    #[arg(long, short = 'n', visible_alias = "iter", value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) runs: u64,

    /// Build with ThreadSanitizer and run on real threads. Needs a nightly toolchain.
    #[arg(long, short)]
    pub(crate) race: bool,

    /// Where to keep the journal, and the stories of failures [default: a new folder in lab-runs].
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Start anew even if an interrupted campaign of the same tests and the same code could be continued.
    #[arg(long)]
    pub(crate) fresh: bool,

    /// The first of the seeds [default: drawn].
    #[arg(long, value_name = "N", value_parser = seed)]
    pub(crate) first_seed: Option<u64>,

    /// Give no seed to swarm. Otherwise the last tenth of the seeds run as with --swarm, which finds what
    /// many plain runs do not.
    #[arg(long, conflicts_with = "swarm")]
    pub(crate) plain: bool,

    /// Count rounds instead of showing bars: a round is one run of every test, as in go-test-many.sh.
    #[arg(long)]
    pub(crate) rounds: bool,

    /// Stop at the first failure.
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// Go on for ever, one campaign after the other, each with --growth times as many runs; stop at a
    /// failure, or at ctrl-C.
    #[arg(long = "loop", short = 'l')]
    pub(crate) endless: bool,

    /// How many times as many runs the next campaign of --loop has.
    #[arg(long, short = 'g', value_name = "N", default_value_t = 10, requires = "endless", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) growth: u64,

    /// Run all seeds of one test, then those of the next, instead of all tests side by side.
    #[arg(long, short)]
    pub(crate) sequential: bool,

    /// Keep the figures and the story of every run, also of those that pass.
    #[arg(long, short)]
    pub(crate) archive: bool,

    /// Tell the desktop about the first failure (by notify-send, if it is there).
    #[arg(long)]
    pub(crate) notify: bool,

    /// Set the variable VERBOSE to how often this is given, for a solution that reads it, as dstest does.
    #[arg(long, short, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Show times in the table. It always does: this is for those who know dstest.
    #[arg(long, short, hide_short_help = true)]
    timing: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// How long to measure each rate, in seconds.
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,

    /// Only rows whose name contains this.
    #[arg(value_name = "NAME")]
    pub(crate) pattern: Option<String>,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsOptions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
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

#[derive(Debug, Args)]
pub(crate) struct GradeOptions {
    /// What the program `lab-grade` gets.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) arguments: Vec<OsString>,
}
