//! `cargo lab view`: makes the page of a run from its trace. `lab` runs the seed and starts this program, so
//! that no test run waits until it is built.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use lab_terminal::{Failure, Outcome, end_quietly_when_nobody_reads, exit_code};
use lab_view::{Passing, page};
use labtrace::Trace;

/// Makes the page of a run from its trace.
#[derive(Parser)]
#[command(name = "lab-view", bin_name = "lab-view")]
struct Options {
    /// The trace.
    #[arg(value_name = "FILE")]
    trace: PathBuf,

    /// The trace of a run that passes, to be shown beside it.
    #[arg(long, value_name = "FILE")]
    passing: Option<PathBuf>,

    /// How that one differs, in words.
    #[arg(long, value_name = "WORDS", default_value = "another seed decides")]
    differs: String,

    /// Where to write the page.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<Outcome, Failure> {
    let trace = read(&options.trace)?;
    let passing = options.passing.as_deref().map(read).transpose()?;
    let passing = passing.as_ref().map(|trace| Passing { trace, words: &options.differs });
    let cannot = |error| Failure::new(format!("{} cannot be written: {error}", options.output.display()));
    let text = page(&trace, passing).map_err(cannot)?;
    std::fs::write(&options.output, &text).map_err(cannot)?;
    println!("{}: {} events, {} bytes", options.output.display(), trace.events.len(), text.len());
    Ok(Outcome::Passed)
}

fn read(path: &Path) -> Result<Trace, Failure> {
    let trace =
        labtrace::read_file(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    if trace.events.is_empty() {
        return Err(Failure::new(format!(
            "{}: there is no event in it, so there is nothing to see",
            path.display()
        )));
    }
    if let Some(damage) = &trace.damage {
        eprintln!("warning: {damage}");
    }
    Ok(trace)
}
