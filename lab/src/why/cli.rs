//! The options of the verbs that tell why a run failed.
#![expect(clippy::doc_markdown, reason = "--help prints these comments as they are, backticks and all")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::{Form, RunOptions, seed};

/// A moment or a length of time: seconds, or with a unit.
fn time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 1.0));
    match number.trim().parse::<f64>() {
        Ok(number) if (0.0..1e9).contains(&number) => Ok(Duration::from_secs_f64(number * factor)),
        _ => Err("it must be a time, such as 1.25 (seconds), 1250ms or 1250000us".to_owned()),
    }
}

/// Which run.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The test.
    #[arg(value_name = "TEST", required_unless_present_any = ["shrunk", "file"])]
    pub(crate) test: Option<String>,

    /// The seed.
    #[arg(long, value_name = "N", env = "LAB_SEED", value_parser = seed, required_unless_present_any = ["shrunk", "file"])]
    pub(crate) seed: Option<u64>,

    /// The run that a file of `cargo lab shrink` describes, instead of a test and a seed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["test", "seed"])]
    pub(crate) shrunk: Option<PathBuf>,

    /// A trace that was kept earlier, compact or as JSON Lines, instead of a run.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["test", "shrunk", "seed"])]
    pub(crate) file: Option<PathBuf>,
}

/// What of the log is shown, and how.
#[derive(Debug, Args)]
pub(crate) struct Shown {
    /// Show these topics only, for instance vote,log,fault; also the quiet ones: spawn,block,wake,lock. A
    /// topic that the run has not is refused, and those that it has are named.
    #[arg(long, short = 'j', value_name = "TOPIC", value_delimiter = ',')]
    pub(crate) just: Vec<String>,

    /// Show all but these topics.
    #[arg(long, short = 'i', value_name = "TOPIC", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,

    /// Show nothing before this moment: 1.25 (seconds), 1250ms.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) from: Option<Duration>,

    /// Show nothing behind this moment.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) to: Option<Duration>,

    /// Show what happens at these servers, and what is sent to them: 2 for all of that number, server-2, or
    /// main for the test.
    #[arg(long, short = 's', value_name = "SERVER", value_delimiter = ',')]
    pub(crate) server: Vec<String>,

    /// Follow one RPC, by the number behind # in the log.
    #[arg(long, value_name = "N")]
    pub(crate) rpc: Option<u64>,

    /// Show what speaks of this index of the log.
    #[arg(long, value_name = "N")]
    pub(crate) index: Option<u64>,

    /// Show what speaks of this term.
    #[arg(long, value_name = "N")]
    pub(crate) term: Option<u64>,

    /// Show repetitions one by one, instead of folding them ("×14").
    #[arg(long)]
    pub(crate) unfolded: bool,

    /// How wide all columns together may be [default: the terminal, or 160].
    #[arg(long, short = 'c', value_name = "N")]
    pub(crate) columns_width: Option<u16>,

    /// Show each event in one line instead of in columns, and repetitions one by one: for grep and its like.
    #[arg(long, conflicts_with = "columns_width")]
    pub(crate) lines: bool,

    /// Name the topics of this run, and how many events each has, instead of showing the log.
    #[arg(long)]
    pub(crate) topics: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

impl Shown {
    /// Whether some of the log is asked for instead of all.
    pub(crate) fn is_narrowed(&self) -> bool {
        let Shown { just, ignore, from, to, server, rpc, index, term, .. } = self;
        let words = [just, ignore, server].iter().any(|words| !words.is_empty());
        let numbers = [rpc, index, term].iter().any(|number| number.is_some());
        words || numbers || from.is_some() || to.is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct LogsOptions {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) shown: Shown,

    /// Leave the story out, show the log only.
    #[arg(long)]
    pub(crate) no_story: bool,

    /// Keep the trace in this file, for `cargo lab logs --file` and others.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceOptions {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) notation: Notation,

    /// Where to write it [default: standard output; the compact format needs a file].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Notation {
    /// JSON Lines: an event a line.
    #[arg(long)]
    pub(crate) json: bool,

    /// For ShiViz (bestchai.bitbucket.io/shiviz): each event with a vector clock.
    #[arg(long)]
    pub(crate) shiviz: bool,

    /// For Perfetto (ui.perfetto.dev) and chrome://tracing.
    #[arg(long)]
    pub(crate) perfetto: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ViewOptions {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) run: RunOptions,

    /// Where to write the page [default: TEST-SEED.html].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Do not look for the nearest run that passes.
    #[arg(long)]
    pub(crate) alone: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// The run that fails.
#[derive(Debug, Args)]
pub(crate) struct Failing {
    /// The test.
    #[arg(value_name = "TEST")]
    pub(crate) test: String,

    /// The seed.
    #[arg(long, value_name = "N", env = "LAB_SEED", value_parser = seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ShrinkOptions {
    #[command(flatten)]
    pub(crate) failing: Failing,

    /// How long to go on, in seconds.
    #[arg(long, value_name = "S", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) budget: u64,

    /// Where to write the result [default: TEST-SEED.shrunk].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct WhenOptions {
    #[command(flatten)]
    pub(crate) failing: Failing,

    /// At how many moments to fork.
    #[arg(long, value_name = "K", default_value_t = 24, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) moments: u32,

    /// How many futures of each moment to run.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) futures: u32,

    /// Write the plot as a picture, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("1.25"), Ok(Duration::from_millis(1250)));
        assert_eq!(time("1250ms"), time("1.25s"));
        assert_eq!(time("7us"), Ok(Duration::from_micros(7)));
        assert!(time("soon").is_err() && time("-1").is_err() && time("inf").is_err());
    }
}
