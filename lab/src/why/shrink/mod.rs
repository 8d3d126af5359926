//! `cargo lab shrink`: a failing run made smaller while the same rule breaks.
//!
//! A run is changed by overrides (`labreport::overrides`), and each candidate is run. First everything is
//! made simpler at once: each server draws its random numbers from a stream of its own, so that a change at
//! one leaves the others as they were; threads run in a fixed order; each message takes the same time and
//! none is lost. Of many such runs the shortest that fails is the beginning. Then parts are left out, in
//! halves, quarters, … single ones (Zeller's delta debugging): faults, client operations, servers, waits of
//! the test, messages. A candidate whose future goes another way may fail only with other random numbers, so
//! each is tried with several.

mod search;
mod words;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use labreport::overrides::Overrides;

use search::Search;
use words::Length;

use super::cli::ShrinkOptions;
use super::traced::{Bench, Scratch, check_writable, read, read_of, write};
use super::variants;
use crate::cli::Arguments;
use crate::protocol::Report;
use crate::style::say;
use crate::{Failure, Outcome};

/// Shrinks the run, and writes what is left.
pub(crate) fn run(arguments: &Arguments, options: &ShrinkOptions) -> Result<Outcome, Failure> {
    let bench = Bench::new(arguments, &options.test, &options.run)?;
    let path = options.output.clone().unwrap_or_else(|| default_path(&bench, options.seed));
    check_writable(&path)?;
    let report = variants::failing(&bench, options.seed, "shrink")?;
    let begun = format!("{} fails with seed {}: {}", bench.test.name, options.seed, report.reason());
    if options.form.json {
        eprintln!("{begun}");
    } else {
        say(&begun);
    }
    let original = Overrides {
        test: bench.test.name.clone(),
        seed: options.seed,
        options: bench.runner.world.flags(options.seed).trim().to_owned(),
        rule: variants::rule(&report),
        ..Overrides::default()
    };
    let before = length(&bench, &original, &report)?;
    let deadline = Instant::now() + Duration::from_secs(options.budget);
    let mut search = Search::new(&bench, original, &report, deadline);
    search.run()?;
    let tries = search.tries;
    let best = search.finish();
    let trace = Scratch::new("shrunk");
    let after = bench.trace(best.seed, Some(&best), &trace.0)?;
    let shrunk = read(&trace.0)?;
    let Some(after) = after.filter(|after| variants::rule(after) == best.rule) else {
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

fn default_path(bench: &Bench, seed: u64) -> PathBuf {
    PathBuf::from(format!("{}-{seed}.shrunk", bench.test.name))
}

/// How long the run is.
fn length(bench: &Bench, overrides: &Overrides, report: &Report) -> Result<Length, Failure> {
    let trace = Scratch::new("whole");
    let _ = bench.trace(overrides.seed, Some(overrides), &trace.0)?;
    Ok(Length::of(&read_of(&trace.0, report)?, report))
}
