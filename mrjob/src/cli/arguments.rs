//! What can be said on the command line.

use std::path::PathBuf;

use crate::wire::Address;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs programs made of a map and a reduce function over many files, on many processes.
#[derive(Debug, Parser)]
#[command(name = "mrjob", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a job: starts a coordinator and workers, waits for them, leaves mr-out-0,
    /// mr-out-1, …
    Run(Run),
    /// Start the coordinator of a job; it ends when the job does
    Coordinator(Coordinator),
    /// Start a worker; it ends when the job does
    Worker(Worker),
    /// Run a job in one thread and leave mr-out-0: what all others are compared with
    Sequential(Sequential),
    /// Measure a job against a plain program that does the same
    Bench(Bench),
    /// The plain program that `bench wc` compares with
    #[command(hide = true)]
    CountWords {
        /// A file
        file: PathBuf,
    },
}

/// What makes a job, wherever it runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Program {
    /// Name of the application
    #[arg(long)]
    pub(crate) app: String,
    /// A parameter of the application, such as the pattern of grep; may be repeated
    #[arg(long = "parameter", value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) parameters: Vec<String>,
    /// Where the output goes; the directory is made if it is not there [default: the
    /// current one]
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) out: PathBuf,
    /// Input
    #[arg(required = true, value_name = "FILES")]
    pub(crate) files: Vec<String>,
}

/// What a coordinator decides.
#[derive(Debug, Clone, Args)]
pub(crate) struct Job {
    #[command(flatten)]
    pub(crate) program: Program,
    /// Number of reduce tasks, and of output files
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) reduces: u32,
    /// Largest piece of a file that is one map task, in MiB, for applications that can
    /// take pieces
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=2048))]
    pub(crate) split: u64,
    /// Give up an attempt that has got no further for this long, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// Leave intermediate files with the workers that made them, and let reducers fetch
    /// them over sockets
    #[arg(long)]
    pub(crate) local_disks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) job: Job,
    /// Number of worker processes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) workers: u32,
    /// How many MiB of pairs a worker keeps in memory before it goes to the disk
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) memory: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Coordinator {
    #[command(flatten)]
    pub(crate) job: Job,
    /// Where workers find it: unix:PATH or tcp:HOST:PORT
    #[arg(long, value_name = "ADDRESS", default_value = "unix:mr-socket")]
    pub(crate) listen: Address,
}

#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Where the coordinator is
    #[arg(long, value_name = "ADDRESS", default_value = "unix:mr-socket")]
    pub(crate) connect: Address,
    /// Where the output goes, as the coordinator was told; both must see the same files
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) out: PathBuf,
    /// A directory of its own, its disk [default: a new one below the system's for
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) local: Option<PathBuf>,
    /// How many MiB of pairs it keeps in memory before it goes to the disk
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) memory: u64,
    /// For how long it looks for a coordinator that does not answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub(crate) patience: u64,
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
    /// Sort of lines of 100 bytes against `sort --parallel=2 -S 1G`
    Sort,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure
    pub(crate) what: Measured,
    /// Size of the input, in MB [default: 330 for wc, 1000 for sort]
    #[arg(long, value_name = "MB")]
    pub(crate) size: Option<u64>,
    /// Where to put input and output [default: a new directory below the system's for
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// How often to repeat each; the fastest counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Text to repeat until it is large enough [default: ../shared/data/text if it is
    /// there, else made-up text]
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Vec<PathBuf>,
}
