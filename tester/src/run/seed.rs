//! One seed: its configuration, its run, its report.

use super::Body;
use super::board::Board;
use super::pictures;
use super::plan::Plan;
use super::report::{Kind, Report};
use super::starved::{Ticker, Ticks};
use crate::failure::Broken;
use crate::final_check::Finding;
use crate::knobs::Knobs;
use crate::test::{Figures, Test};
use labrt::{Config, Decision, Failure, FailureKind, Outcome, World};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Runs all seeds of the plan; the worker's main function.
pub(super) fn run_all(plan: &Plan, body: &Arc<Body>, board: &Board) {
    for seed in plan.seeds.clone() {
        board.seed.store(seed, Ordering::Relaxed);
        if !board.post(&run_one(plan, body, board.tag, seed)) {
            break;
        }
    }
    board.done();
}

pub(super) fn run_one(plan: &Plan, body: &Arc<Body>, tag: u64, seed: u64) -> Report {
    let (report, first) = attempt(plan, body, tag, seed);
    if !plan.check_determinism || plan.world == World::Threads {
        return report;
    }
    let (_, second) = attempt(plan, body, tag, seed);
    match first_difference(&first, &second) {
        None => report,
        Some(difference) => {
            let message = format!("two runs with one seed differ: {difference}");
            report.fail(Kind::Determinism, message.clone()).tell(&message, None, "")
        }
    }
}

/// Where two runs part, if they do.
fn first_difference(first: &Outcome<Figures>, second: &Outcome<Figures>) -> Option<String> {
    if first.stats.event_hash == second.stats.event_hash {
        return None;
    }
    let (one, other) = (&first.decisions, &second.decisions);
    let position = (0..one.len().max(other.len())).find(|&i| one.get(i) != other.get(i));
    let Some(position) = position else {
        return Some("in their event hashes, although every scheduling decision is the same".to_owned());
    };
    let say =
        |decision: Option<&Decision>| decision.map_or_else(|| "its end".to_owned(), ToString::to_string);
    Some(format!(
        "decision {position} is {} in the first run and {} in the second",
        say(one.get(position)),
        say(other.get(position))
    ))
}

fn attempt(plan: &Plan, body: &Arc<Body>, tag: u64, seed: u64) -> (Report, Outcome<Figures>) {
    let knobs = if plan.swarm { Knobs::draw(seed) } else { Knobs::default() };
    let config = Config {
        world: plan.world,
        seed,
        policy: knobs.policy(),
        limits: plan.limits,
        trace: plan.trace.is_some(),
        record: plan.check_determinism,
        tag,
    };
    let test = Test::new(plan.test, knobs, plan.unwatched);
    let (of_run, body) = (test.clone(), Arc::clone(body));
    let ticker = Ticker::start(plan.world);
    let mut outcome = labrt::run(config, move || {
        body(&of_run);
        of_run.finish()
    });
    let ticks = ticker.stop();
    let mut warnings = test.take_warnings();
    warnings.append(&mut outcome.warnings);
    if let Some(path) = &plan.trace
        && let Err(error) = write_events(path, &outcome)
    {
        warnings.push(format!("the events could not be written to {}: {error}", path.display()));
    }
    let report = judge(plan, &test, &outcome, ticks, pass_of(plan, seed, &outcome, warnings));
    test.close();
    (report, outcome)
}

/// The report of a run with which nothing is wrong, as far as is known.
fn pass_of(plan: &Plan, seed: u64, outcome: &Outcome<Figures>, warnings: Vec<String>) -> Report {
    let figures = *outcome.result.as_ref().unwrap_or(&Figures::default());
    let mut report = Report::pass(plan.test, seed, &outcome.stats, figures);
    report.line.warnings = warnings;
    report
}

fn judge(plan: &Plan, test: &Test, outcome: &Outcome<Figures>, ticks: Ticks, mut report: Report) -> Report {
    let failure = outcome.result.as_ref().err();
    if let Some(failure) = failure {
        // An assertion of the test's own code is an expectation, too.
        let broken = test.take_broken().or_else(|| own_assertion(failure));
        report = report.fail_with(failure, broken);
    } else if outcome.stats.virtual_time > plan.limits.virtual_time {
        let limit = plan.limits.virtual_time.as_secs_f64();
        report = report.fail(Kind::VirtualTime, format!("the test took longer than {limit} s"));
    }
    if ticks.are_of_a_starved_run() {
        report = report.excuse(&ticks.words());
    }
    for finding in test.run_final_checks() {
        report = take_finding(plan, report, finding);
    }
    report.line.unwatched = test.take_unwatched();
    match report.ok() {
        true if plan.story => report.tell_success(test.story(true)),
        true => report,
        false => report.tell(&test.story(plan.story), failure, &plan.options()),
    }
}

/// Adds what a final check has found to the report, with a picture if the run has failed.
fn take_finding(plan: &Plan, mut report: Report, finding: Finding) -> Report {
    let Finding { wrong, words, page } = finding;
    let mut picture = None;
    if let Some(folder) = plan.pictures.as_ref().filter(|_| !report.ok() || wrong.is_some()) {
        match pictures::write(plan, folder, report.line.seed, page) {
            Ok(path) => picture = path,
            Err(error) => report.line.warnings.push(format!("no picture in {}: {error}", folder.display())),
        }
    }
    report.find(wrong, &words, picture)
}

/// An assertion of the test's own code is an expectation, too.
fn own_assertion(failure: &Failure) -> Option<Broken> {
    let in_test = failure.kind == FailureKind::Panic
        && failure.node == "main"
        && failure.location.as_ref().is_some_and(|place| place.contains("tests/"));
    in_test.then(|| Broken::expectation(failure.message.clone()))
}

/// Writes the events, a line of JSON each.
fn write_events(path: &Path, outcome: &Outcome<Figures>) -> io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    for event in &outcome.events {
        serde_json::to_writer(&mut file, event)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
