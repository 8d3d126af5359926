//! One seed: its configuration, its run, its report.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use labreport::Kind;
use labrt::{Config, Failure, FailureKind, Outcome, PolicyKind, World};

use super::Body;
use super::board::{self, Board};
use super::pictures;
use super::plan::Plan;
use super::repeat;
use super::report::{Report, is_limit};
use super::starved::{Ticker, Ticks};
use super::traced::Recorder;
use crate::choices::Choices;
use crate::failure::Broken;
use crate::final_check::Finding;
use crate::knobs::Knobs;
use crate::test::{Figures, Test};

/// Runs all seeds of the plan; the worker's main function.
pub(super) fn run_all(plan: &Plan, body: &Arc<Body>, board: &Board) {
    for seed in plan.in_order() {
        board.seed.store(seed, Ordering::Relaxed);
        if !board.post(&run_one(plan, body, board.tag, seed)) {
            break;
        }
    }
    board.done();
}

pub(super) fn run_one(plan: &Plan, body: &Arc<Body>, tag: u64, seed: u64) -> Report {
    if plan.check_determinism && plan.world == World::Simulated {
        return repeat::check(plan, body, tag, seed);
    }
    attempt(plan, body, tag, seed).0
}

/// Probabilistic concurrency testing draws its change points among the steps of a run: this is how many there
/// are, by another run of the seed.
fn length_of(plan: &Plan, body: &Arc<Body>, knobs: &Knobs, seed: u64) -> u32 {
    let config = Config { seed, limits: plan.limits, ..Config::default() };
    let test = Test::new(plan.test, knobs.clone(), plan.unwatched);
    let (of_run, body) = (test.clone(), Arc::clone(body));
    let outcome = labrt::run(config, move || {
        body(&of_run);
        of_run.finish()
    });
    test.close();
    u32::try_from(outcome.stats.steps).unwrap_or(u32::MAX)
}

pub(super) fn attempt(plan: &Plan, body: &Arc<Body>, tag: u64, number: u64) -> (Report, Outcome<Figures>) {
    let overrides = plan.overrides_of(number);
    let seed = overrides.map_or(number, |overrides| overrides.seed);
    let knobs = if plan.swarm.has(seed) { Knobs::draw(seed) } else { Knobs::default() };
    let drawn = plan.scheduler.clone().unwrap_or_else(|| knobs.policy());
    let policy = match drawn {
        PolicyKind::Pct { depth, steps: 0 } if plan.world == World::Simulated => {
            PolicyKind::Pct { depth, steps: length_of(plan, body, &knobs, seed) }
        }
        policy => policy,
    };
    let recorder = plan.trace.as_ref().map(|path| Recorder::begin(path, plan, seed));
    let sink = recorder.as_ref().and_then(|recorder| recorder.as_ref().ok()).map(Recorder::sink);
    let mut config = Config {
        world: plan.world,
        seed,
        policy,
        limits: plan.limits,
        trace: sink.is_some(),
        sink,
        record: plan.check_determinism || plan.decisions.is_some(),
        jitter: knobs.jitter(),
        spurious_wakes: knobs.spurious_wakes,
        tag,
        ..Config::default()
    };
    Choices::configure(overrides, &mut config);
    let choices = Choices::new(overrides);
    let test = Test::new(plan.test, knobs, plan.unwatched).choosing(choices.clone());
    board::begin(tag, &test);
    let (of_run, body) = (test.clone(), Arc::clone(body));
    let ticker = Ticker::start(plan.world);
    let mut outcome = labrt::run(config, move || {
        body(&of_run);
        of_run.finish()
    });
    let ticks = ticker.stop();
    let mut warnings = test.take_warnings();
    // Each server may have said the same.
    for warning in std::mem::take(&mut outcome.warnings) {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    if let Some(path) = &plan.decisions
        && let Err(error) = repeat::write_decisions(path, outcome.stats.event_hash, &outcome.decisions)
    {
        warnings.push(format!("the decisions could not be written to {}: {error}", path.display()));
    }
    let mut report = judge(plan, &test, &outcome, ticks, pass_of(plan, seed, &outcome, warnings));
    if let Some(Err(error)) = recorder.map(|recorder| recorder?.end(&report)) {
        report.line.warnings.push(format!("the events could not be written: {error}"));
    }
    // What was asked for is what is answered.
    report.line.seed = number;
    report.line.choices = choices.counts();
    (close(plan, &test, report), outcome)
}

/// Lets go of what the test has kept. That may be servers of the lab, whose destructors may panic: the report
/// of the run comes first.
fn close(plan: &Plan, test: &Test, report: Report) -> Report {
    let Err(panic) = labrt::runtime::catch_panic(|| test.close()) else { return report };
    let message = format!("a destructor panicked after the run: {panic}");
    match report.ok() {
        true => report.fail(Kind::Panic, message.clone()).tell(&message, None, plan),
        false => report,
    }
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
    // When the runtime ended the run: at the test's limit of time, and not because it was to see no more.
    let limit = failure.filter(|failure| is_limit(failure) && failure.at >= plan.limits.virtual_time);
    // The other limits are the same whatever was to be seen of the run.
    let is_of_clock = failure.is_some_and(|failure| failure.kind == FailureKind::VirtualTime);
    report.line.cut = is_of_clock && limit.is_none();
    for finding in test.run_final_checks() {
        let broken = limit.zip(finding.unanswered.as_ref()).and_then(|(limit, asked)| asked.broken(limit.at));
        report = take_finding(plan, report.blame(broken), finding);
    }
    report = report.blame(limit.and_then(|limit| test.owed_answers(limit.at)));
    let in_vain = failure.is_some_and(is_limit) || test.has_waited_in_vain();
    report.line.overdue = !report.ok() && in_vain && report.line.kind != Some(Kind::Invariant);
    report.line.unwatched = test.take_unwatched();
    report.line.exercised = test.take_met();
    match report.ok() {
        true if plan.story => report.tell_success(test.story(true, plan.width)),
        true => report,
        false => {
            let story = test.story(plan.story, plan.width);
            let mut known: Vec<String> = test.knowledge().iter().map(|line| format!("  {line}")).collect();
            if !known.is_empty() {
                known.insert(0, "what each server showed last:".to_owned());
            }
            // A deadlock names its threads itself.
            let is_limit = report.is_out_of_time() || limit.is_some();
            known.extend(test.why_nothing_happened(report.line.virtual_ns, is_limit));
            let whole = || test.story(true, plan.width);
            known.extend(pictures::write_story(plan, report.line.seed, &story, whole));
            report.add(&known).tell(&story, failure, plan)
        }
    }
}

/// Adds what a final check has found to the report, with a picture if the run has failed.
fn take_finding(plan: &Plan, mut report: Report, finding: Finding) -> Report {
    let Finding { wrong, words, page, .. } = finding;
    let mut picture = None;
    if let Some(folder) = plan.pictures.as_ref().filter(|_| !report.ok() || wrong.is_some()) {
        match pictures::write(plan, folder, report.line.seed, page) {
            Ok(path) => picture = path,
            Err(error) => report.line.warnings.push(format!("no picture in {}: {error}", folder.display())),
        }
    }
    report.find(wrong, &words, picture)
}

/// An assertion of the test's own code is an expectation, too, on whichever node it stands: a test's clients
/// may have nodes of their own. It may have no words of its own, so its place is told.
fn own_assertion(failure: &Failure) -> Option<Broken> {
    // What is still to be written is none, wherever the test learns of it.
    let in_test = failure.kind == FailureKind::Panic && !failure.message.starts_with("not yet implemented");
    let place = failure.location.as_ref().filter(|place| in_test && place.contains("tests/"))?;
    let (first, rest) = failure.message.split_at(failure.message.find('\n').unwrap_or(failure.message.len()));
    Some(Broken::expectation(format!("{first} ({place}){rest}")))
}
