//! `cargo lab shrink`: a failing run made smaller while the same rule breaks.
//!
//! A run is changed by overrides (`labreport::overrides`), and each candidate is run. First everything is
//! made simpler at once: each server draws its random numbers from a stream of its own, so that a change at
//! one leaves the others as they were; threads run in a fixed order; each message takes the same time and
//! none is lost. Of many such runs the shortest that fails is the beginning. Then parts are left out, in
//! halves, quarters, … single ones (Zeller's delta debugging): the tester's own looks at the servers, faults,
//! client operations, servers, waits of the test, messages. A candidate whose future goes another way may
//! fail only with other random numbers, so each is tried with several. Where this ends depends on the random
//! numbers with which it began, so it begins anew until that has not helped for a while.

mod search;
mod words;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use console::style;
use labreport::overrides::Overrides;

use search::Search;
use words::Length;

use super::cli::ShrinkOptions;
use super::traced::{Bench, Scratch, check_writable, read, read_of, write};
use super::variants;
use crate::cli::Arguments;
use crate::protocol::Report;
use crate::style::{say, say_or_json};
use crate::{Failure, Outcome};

/// Shrinks the run, and writes what is left.
pub(crate) fn run(arguments: &Arguments, options: &ShrinkOptions) -> Result<Outcome, Failure> {
    let bench = Bench::new(arguments, &options.failing.test, &options.failing.run)?;
    let path = options.output.clone().unwrap_or_else(|| default_path(&bench, options.failing.seed));
    check_writable(&path)?;
    let Some(report) = variants::failing(&bench, options.failing.seed, "shrink")? else {
        return Ok(Outcome::Interrupted);
    };
    let begun = format!("{} fails with seed {}: {}", bench.test.name, options.failing.seed, report.reason());
    if options.form.json {
        eprintln!("{begun}");
    } else {
        say(&begun);
    }
    let original = Overrides {
        test: bench.test.name.clone(),
        seed: options.failing.seed,
        options: bench.runner.world.flags(options.failing.seed).trim().to_owned(),
        rule: variants::rule(&report),
        ..Overrides::default()
    };
    let Some(before) = length(&bench, &original, &report)? else { return Ok(Outcome::Interrupted) };
    let deadline = Instant::now() + Duration::from_secs(options.budget);
    let mut search = Search::new(&bench, original, &report, deadline);
    search.run()?;
    let tries = search.tries;
    let best = search.finish();
    if bench.runner.supervisor.is_stopped() {
        return interrupted(&path, &best, tries, options.form.json);
    }
    let trace = Scratch::new("shrunk");
    let after = bench.trace(best.seed, Some(&best), &trace.0)?;
    let shrunk = read(&trace.0)?;
    let Some(after) = after.filter(|after| variants::broken(after) == variants::broken(&report)) else {
        return Err(Failure::new(
            "the shrunk run does not fail again, so the test is not determined by its seed",
        ));
    };
    let remains = words::remains(&best, &after, &shrunk, before);
    let comment: String = remains.lines().map(|line| format!("# {line}\n")).collect();
    write(&path, &format!("{comment}\n{best}"))?;
    if options.form.json {
        let (before, left) = (before.events(), Length::of(&shrunk, &after).events());
        println!(
            "{}",
            serde_json::json!({"test": best.test, "seed": best.seed, "rule": best.rule, "file": path,
                "events": before, "left": left, "tries": tries})
        );
        return Ok(Outcome::Passed);
    }
    println!();
    say(&remains);
    say(&format!("tried {tries} runs; the result is in {}", path.display()));
    for verb in ["replay", "view", "logs"] {
        say(&format!("    cargo lab {verb} --shrunk {}", path.display()));
    }
    Ok(Outcome::Passed)
}

/// Keeps what is left so far of a search that was interrupted: a run that fails, without words about it.
fn interrupted(path: &Path, best: &Overrides, tries: usize, is_json: bool) -> Result<Outcome, Failure> {
    write(path, &format!("# interrupted after {tries} runs\n\n{best}"))?;
    let file = path.display();
    say_or_json(
        is_json,
        &format!("{} after {tries} runs; what was left then is in {file}", style("interrupted").yellow()),
        &serde_json::json!({"interrupted": {"file": path, "tries": tries}}),
    );
    Ok(Outcome::Interrupted)
}

fn default_path(bench: &Bench, seed: u64) -> PathBuf {
    PathBuf::from(format!("{}-{seed}.shrunk", bench.test.name))
}

/// How long the run is. None if everything is stopped.
fn length(bench: &Bench, overrides: &Overrides, report: &Report) -> Result<Option<Length>, Failure> {
    let trace = Scratch::new("whole");
    if bench.trace(overrides.seed, Some(overrides), &trace.0)?.is_none() {
        return Ok(None);
    }
    Ok(Some(Length::of(&read_of(&trace.0, report)?, report)))
}
