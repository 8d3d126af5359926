//! The words of the command line, and what `--help` says of them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Grades submissions of a lab: takes each student's sources, builds them over a pristine workspace, and runs
/// the tests many times in a sandbox. The same seeds for everybody; a pass that earns
/// points must come out the same twice.
#[derive(Debug, Parser)]
#[command(
    name = "cargo lab grade",
    bin_name = "cargo lab grade",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  cargo lab grade --lab raft --in handed-in --runs 50 --secret seeds.txt --out grades
  cargo lab grade --lab raft --out check alice.zip bob.tar.gz carol/      # 50 runs, new seeds
  cargo lab grade --lab kvraft --in handed-in --runs 400 --out grades     # again: goes on where it stopped
  cargo lab grade --lab shardkv --with kvraft,shardctrler --in handed-in  # lab 4B by itself
  cargo lab grade --lab raft --watch inbox --out grades                   # whatever appears in a folder
  cargo lab grade --lab raft --tests --in handed-in --runs 5 --out kills  # students' tests over the zoo
Many machines that share a folder:
  cargo lab grade plan --lab raft --in handed-in --runs 400 --out grades  # grades/shards.jsonl lists the work
  cargo lab grade run-shard 17 --out grades
  cargo lab grade merge --out grades                                      # names what is missing

Exit status: 0 every submission was graded, whatever its points; 1 never; 2 something could not be graded,
or the batch cannot be trusted, as its last lines say; 130 interrupted, to be continued by the same command."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) step: Option<Step>,
    #[command(flatten)]
    pub(crate) wish: WishOptions,
    #[command(flatten)]
    pub(crate) work: WorkOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Step {
    /// Looks at all submissions and writes down what is to be done, without doing it.
    Plan {
        #[command(flatten)]
        wish: WishOptions,
        #[command(flatten)]
        work: WorkOptions,
    },
    /// Does one piece of the plan, or several. Whoever does it again changes nothing. It ends with 0 also if
    /// tests fail, and with 2 only if the piece could not be done.
    RunShard {
        /// The numbers of the shards, from 0.
        #[arg(required = true)]
        shards: Vec<usize>,
        #[command(flatten)]
        work: WorkOptions,
    },
    /// Makes the results of all pieces that have been done.
    Merge {
        #[command(flatten)]
        work: WorkOptions,
    },
}

/// What to grade.
#[derive(Clone, Debug, Args)]
pub(crate) struct WishOptions {
    /// Folders, archives (tar, tar.gz, zip) or bare git repositories, one for each student, and named for
    /// them.
    #[arg(value_name = "SUBMISSION")]
    pub(crate) submissions: Vec<PathBuf>,

    /// The lab: warmup, mapreduce, raft, kvraft, shardctrler, shardkv, vmft, zookeeper, gfs or craq. What it
    /// stands on is graded with it, except for Raft, in whose place the oracle is.
    #[arg(long, value_name = "LAB", default_value = "")]
    pub(crate) lab: String,

    /// Earlier labs to put in as they are in the reference, as `cargo lab handout --with` does. Submissions
    /// need not have them.
    #[arg(long, value_name = "LAB", value_delimiter = ',')]
    pub(crate) with: Vec<String>,

    /// Grade everything in this folder.
    #[arg(long = "in", value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,

    /// Grade everything in this folder, and then again and again what is new or has changed, until ctrl-C.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["folder", "submissions"])]
    pub(crate) watch: Option<PathBuf>,

    /// How often each test is run, each time with another seed. A test without points has a share of
    /// these runs, if labs.toml says so (`runs_without_points`, in percent).
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) runs: u64,

    /// A file with a secret that decides the seeds, so that another batch can have the same [default: drawn].
    #[arg(long, value_name = "FILE")]
    pub(crate) secret: Option<PathBuf>,

    /// Cut each submission's work into shards of so many seeds [default: one shard for each submission].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) seeds_per_shard: Option<u64>,

    /// Grade tests instead of solutions: what a student has in `LAB/tests` is run over the wrong solutions of
    /// the zoo, which it should kill, and over correct ones, which it must not fail: kills minus such
    /// failures, and nothing for tests that fail the reference.
    #[arg(long, conflicts_with_all = ["watch", "seeds_per_shard"])]
    pub(crate) tests: bool,

    /// With --tests: only wrong solutions whose names begin so, for instance R13; may be given several times.
    #[arg(long, value_name = "ID", requires = "tests")]
    pub(crate) bug: Vec<String>,

    /// Begin anew even if DIR holds another batch.
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Leave out the check of sources; for tests of the sandbox.
    #[arg(long, hide = true)]
    pub(crate) no_source_check: bool,
}

/// Where and how to work.
#[derive(Debug, Args)]
pub(crate) struct WorkOptions {
    /// The batch's folder: plan, shards, and results.
    #[arg(long, short, value_name = "DIR", default_value = "grades")]
    pub(crate) out: PathBuf,

    /// Print JSON instead of words: a line for each submission, then a summary.
    #[arg(long)]
    pub(crate) json: bool,

    /// How many processes at once [default: the number of cores].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,

    /// Where the pristine workspace is built [default: target/grade/LAB].
    #[arg(long, value_name = "DIR", env = "LAB_GRADE_CACHE")]
    pub(crate) cache: Option<PathBuf>,

    /// Do without namespaces where nobody may make them, as in most containers: Landlock and seccomp still
    /// keep a test from files, processes and the network. For a container that holds one submission and no
    /// secrets.
    #[arg(long, conflicts_with = "unsafe_no_sandbox")]
    pub(crate) no_namespaces: bool,

    /// Run submissions without a sandbox where none works. They can then read, change and send what you can.
    #[arg(long)]
    pub(crate) unsafe_no_sandbox: bool,
}

impl WorkOptions {
    pub(crate) fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(cores, usize::from)
    }
}
