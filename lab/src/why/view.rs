//! `cargo lab view`: the page of a run, and beside it the nearest run that passes.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use labreport::Kind;
use labreport::overrides::Overrides;
use labtrace::{Header, Trace};

use super::cli::ViewOptions;
use super::traced::{Ended, Scratch, check_writable, read, read_shrunk};
use super::variants;
use crate::check::program;
use crate::cli::Arguments;
use crate::style::say;
use crate::{Failure, Outcome};

/// The package that makes the page, and the name of its program.
const PROGRAM: &str = "lab-view";

/// How late another seed may begin to decide, as parts of the time up to the failure: the later, the nearer.
const PARTS: [f64; 12] = [0.999, 0.995, 0.99, 0.98, 0.96, 0.93, 0.9, 0.8, 0.65, 0.5, 0.25, 0.0];

/// How many futures of each moment are tried.
const TRIES: u64 = 8;

/// How much longer than the failing run the passing one is shown.
const LONGER: f64 = 1.2;

/// A run that does not fail, and how it differs.
struct Passing {
    overrides: Overrides,
    words: String,
}

/// Runs the seed and writes its page.
pub(crate) fn run(arguments: &Arguments, options: &ViewOptions) -> Result<Outcome, Failure> {
    options.output.as_deref().map_or(Ok(()), check_writable)?;
    let scratch = Scratch::new("trace");
    let (file, ended) = match &options.source.file {
        Some(file) => (file.clone(), None),
        None => match options.source.open(arguments, &options.run, Some(&scratch.0))? {
            Some(traced) => {
                traced.check_written()?;
                (scratch.0.clone(), traced.ended)
            }
            None => return Ok(Outcome::Interrupted),
        },
    };
    // Built only when there is something to show.
    let program = program(PROGRAM);
    if ended.as_ref().is_some_and(|ended| ended.bench.runner.supervisor.has_stopped(&program)) {
        return Ok(Outcome::Interrupted);
    }
    let program = program?;
    let page = output(options, ended.as_ref());
    let mut command = Command::new(&program);
    command.arg(&file).arg("--output").arg(&page);
    if options.form.json {
        command.stdout(Stdio::null());
    }
    let mut differs = None;
    let other = Scratch::new("passing");
    let is_compared =
        |ended: &&Ended| !ended.report.ok && !options.alone && !ended.bench.runner.world.threads;
    let compared = ended.as_ref().filter(is_compared);
    if let Some(ended) = compared
        && let Some(passing) = nearest(options, ended)?
    {
        write_beginning(ended, &passing, &other)?;
        command.arg("--passing").arg(&other.0).args(["--differs", &passing.words]);
        differs = Some(passing.words);
    }
    if compared.is_some_and(|ended| ended.bench.runner.supervisor.is_stopped()) {
        return Ok(Outcome::Interrupted);
    }
    let status = command
        .status()
        .map_err(|error| Failure::new(format!("cannot run {}: {error}", program.display())))?;
    if !status.success() {
        return Ok(Outcome::CouldNotRun);
    }
    if options.form.json {
        println!("{}", serde_json::json!({"page": page, "passing": differs}));
    }
    Ok(Outcome::Passed)
}

fn output(options: &ViewOptions, ended: Option<&Ended>) -> PathBuf {
    let name = || match ended {
        Some(Ended { bench, report, .. }) => format!("{}-{}.html", bench.test.name, report.seed),
        None => "view.html".to_owned(),
    };
    options.output.clone().unwrap_or_else(|| PathBuf::from(name()))
}

/// The run that shares the longest past with the failing one and passes: the same seed, and from some moment
/// on another one. If all futures fail in the end, one that does not fail for a while.
fn nearest(options: &ViewOptions, ended: &Ended) -> Result<Option<Passing>, Failure> {
    let bench = &ended.bench;
    let base = match &options.source.shrunk {
        Some(file) => read_shrunk(file)?,
        None => Overrides { test: bench.test.name.clone(), seed: ended.report.seed, ..Overrides::default() },
    };
    let tell = |words: &str| if options.form.json { eprintln!("{words}") } else { say(words) };
    tell("looking for the nearest run that passes…");
    let failed_at = ended.report.virtual_ns;
    let later = |factor: f64| (failed_at as f64 * factor) as u64;
    for until in [None, Some(later(1.5))] {
        for part in PARTS {
            let at = later(part);
            let tries: Vec<Overrides> = (1..=TRIES)
                .map(|seed| Overrides {
                    reseed: Some((at, seed)),
                    until: until.or(base.until),
                    ..base.clone()
                })
                .collect();
            let reports = variants::run(bench, &tries)?;
            if bench.runner.supervisor.is_stopped() {
                return Ok(None);
            }
            let is_good = |report: &crate::protocol::Report| {
                report.ok || until.is_some() && report.kind == Some(Kind::VirtualTime)
            };
            let found = reports.iter().position(|report| report.as_ref().is_some_and(is_good));
            if let Some(overrides) = found.map(|place| tries[place].clone()) {
                let passes = if until.is_none() { "passes" } else { "keeps the rule for a while" };
                let seconds = at as f64 / 1e9;
                let words = format!("from {seconds:.6} s on another seed decides, and this run {passes}");
                return Ok(Some(Passing { overrides, words }));
            }
        }
    }
    tell("none found: every future of this run fails");
    Ok(None)
}

/// Writes the trace of the passing run, as far as it is shown.
fn write_beginning(ended: &Ended, passing: &Passing, file: &Scratch) -> Result<(), Failure> {
    // Long enough to see how it goes on; the page would only be larger with all of it.
    let until = (ended.report.virtual_ns as f64 * LONGER) as u64;
    let overrides = Overrides { until: Some(until), ..passing.overrides.clone() };
    let _ = ended.bench.trace(ended.report.seed, Some(&overrides), &file.0)?;
    let mut trace = read(&file.0)?;
    let verdict = |event: &labtrace::Event| *event.kind == *"verdict";
    trace.events.retain(|event| !verdict(event));
    save(&trace, file)
}

fn save(trace: &Trace, file: &Scratch) -> Result<(), Failure> {
    let header =
        Header { options: format!("{} (other future)", trace.header.options), ..trace.header.clone() };
    let mut text = Vec::new();
    let trace = Trace { header, ..trace.clone() };
    labtrace::write_json(&trace, &mut text)
        .and_then(|()| std::fs::write(&file.0, &text))
        .map_err(|error| Failure::new(format!("{} cannot be written: {error}", file.0.display())))
}
