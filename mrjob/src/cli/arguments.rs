//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::wire::Address;

/// The most reduces that any job may have.
pub(crate) const MOST_REDUCES: i64 = 10_000;

const EXAMPLES: &str = "\
Examples:
  mrjob run --app wc --workers 4 --reduces 10 books/*.txt         writes mr-out-0 to mr-out-9
  mrjob run --app grep --parameter 'whale|ship' --out out books/*.txt
  mrjob run --app sort --report job.html --out out records        with a picture of the job
  mrjob run --resume --app sort --out out records                 continues it after a kill -9

  mrjob coordinator --app indexer books/*.txt                     as in the course; in other terminals:
  mrjob worker                                                    start as many as you like

  mrjob coordinator --listen tcp:0.0.0.0:7000 --token-file token --local-disks --app wc books/*.txt
  mrjob worker --connect tcp:head:7000 --token-file token --no-shared-disk     on other machines

Exit code: 0 done, 1 the job failed, 2 wrong usage. NO_COLOR is respected.";

/// Runs a map and a reduce function over many files, in many processes.
#[derive(Debug, Parser)]
#[command(name = "mrjob", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a job: start a coordinator and workers, wait for them, and write mr-out-0, mr-out-1, …
    #[command(after_help = EXAMPLES)]
    Run(Run),
    /// Start the coordinator of a job; it ends with the job
    #[command(after_help = EXAMPLES)]
    Coordinator(Coordinator),
    /// Start a worker; it ends with the job
    #[command(after_help = EXAMPLES)]
    Worker(Worker),
    /// Run a job in one thread and write mr-out-0, with which all other runs must agree
    Sequential(Sequential),
    /// Measure a job against a plain program that does the same
    Bench(Bench),
    /// The plain program of `bench wc`
    #[command(hide = true)]
    CountWords {
        /// Files
        files: Vec<PathBuf>,
    },
}

/// The arguments that define a job, wherever it runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Program {
    /// Name of the application
    #[arg(long)]
    pub(crate) app: String,
    /// A parameter for the application, such as grep's pattern; may be repeated
    #[arg(long = "parameter", value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) parameters: Vec<String>,
    /// Directory for the output, created if it is missing [default: the current directory]
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) out: PathBuf,
    /// Input files
    #[arg(required = true, value_name = "FILES")]
    pub(crate) files: Vec<OsString>,
}

/// The arguments of a coordinator.
#[derive(Debug, Clone, Args)]
pub(crate) struct Job {
    #[command(flatten)]
    pub(crate) program: Program,
    /// Number of reduce tasks, and of output files
    #[arg(
        long,
        default_value_t = 10,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=MOST_REDUCES),
    )]
    pub(crate) reduces: u32,
    /// Largest piece of a file for one map task, in MiB; applications that need whole files ignore it
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 16,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..=2048),
    )]
    pub(crate) split: u64,
    /// Give up an attempt that makes no progress for this long, in milliseconds
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 10_000,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..),
    )]
    pub(crate) timeout: u64,
    /// Keep intermediate files on the disks of the workers that made them; reducers fetch them over sockets
    #[arg(long)]
    pub(crate) local_disks: bool,
    /// Continue the job of the same application, files and options whose coordinator was killed; start it if
    /// there is none
    #[arg(long)]
    pub(crate) resume: bool,
    /// Write a picture of the job to this file, an HTML page: tasks by worker over time, stragglers,
    /// failures, counters
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Show no progress, and no counters at the end
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) job: Job,
    /// Number of worker processes
    #[arg(
        long,
        default_value_t = 4,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=1024),
    )]
    pub(crate) workers: u32,
    /// MiB of pairs that a worker keeps in memory before it writes them to disk
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 32,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..=1024),
    )]
    pub(crate) memory: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Coordinator {
    #[command(flatten)]
    pub(crate) job: Job,
    /// Address at which workers connect: unix:PATH or tcp:HOST:PORT
    #[arg(long, value_name = "ADDRESS", default_value = "unix:mr-socket")]
    pub(crate) listen: Address,
    /// Write the job's token to this file, which only you can read [default for TCP: print it]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The job's token [default: a new one for TCP, none for a Unix socket]
    #[arg(long, env = "MRJOB_TOKEN", hide_env_values = true, hide = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Address of the coordinator
    #[arg(long, value_name = "ADDRESS", default_value = "unix:mr-socket")]
    pub(crate) connect: Address,
    /// Directory for the output, the same as the coordinator's; both must see the same files
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) out: PathBuf,
    /// Read input and write output through the coordinator, on a machine that does not see those files
    #[arg(long, conflicts_with = "out")]
    pub(crate) no_shared_disk: bool,
    /// Where the worker creates its local disk, a directory of its own [default: the system's directory for
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) local: Option<PathBuf>,
    /// MiB of pairs that the worker keeps in memory before it writes them to disk
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 32,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..=1024),
    )]
    pub(crate) memory: u64,
    /// How long to try a coordinator that does not answer, in milliseconds
    #[arg(long, value_name = "MS", allow_negative_numbers = true, default_value_t = 10_000)]
    pub(crate) patience: u64,
    /// The file to which the coordinator wrote the job's token; or set `MRJOB_TOKEN` to the token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The job's token
    #[arg(long, env = "MRJOB_TOKEN", hide_env_values = true, hide = true)]
    pub(crate) token: Option<String>,
    /// End with this process, which started the worker
    #[arg(long, value_name = "PROCESS", hide = true)]
    pub(crate) parent: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct Sequential {
    #[command(flatten)]
    pub(crate) program: Program,
}

/// A job that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measured {
    /// Word count against one thread with a hash map
    Wc,
    /// The same in 10,000 files
    Files,
    /// Sort of lines of 100 bytes against `sort --parallel=2 -S 1G`
    Sort,
    /// Grep against the system's grep
    Grep,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure
    pub(crate) what: Measured,
    /// Size of the input, in MB [default: 1000 for sort, 330 for the others]
    #[arg(long, value_name = "MB")]
    pub(crate) size: Option<u64>,
    /// Directory for input and output [default: a new one in the system's directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Number of rounds; ratios are medians over them
    #[arg(
        long,
        default_value_t = 3,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=100),
    )]
    pub(crate) rounds: u32,
    /// The pattern of `bench grep`
    #[arg(long, value_name = "REGEX", default_value = "whale|ship")]
    pub(crate) pattern: String,
    /// Text to repeat until the size is reached [default: ../shared/data/text if it is there, else made-up
    /// text]
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Vec<PathBuf>,
}
