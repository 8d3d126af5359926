//! `cargo lab zoo --correct`: do correct but unusual solutions pass?
//!
//! A test must not fail a solution that does everything that its lab asks for in another way than the
//! reference does. So each `bugs/correct/LAB/*.patch` makes another correct solution of the reference, and
//! each `bugs/bases/BASE/bugs/correct/*.patch` one of that base; its head names the labs whose tests it must
//! pass: `labs: raft, kvraft`. Where a part asks for more than it does, the head names the part, or the
//! tests: `except: 4C`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::mpsc::channel;
use std::thread;

use console::style;
use lab_terminal::count;
use labreport::Verdict;
use serde_json::json;

use super::build::{Builder, Built};
use super::cli::ZooOptions;
use super::meter::Meter;
use super::patch::Patch;
use super::{interrupted, next_built, refuse_unbuilt, say_unbuilt};
use crate::catalogue::{Catalogue, Lab, Test};
use crate::protocol::Report;
use crate::runner::{Job, Runner};
use crate::select::select;
use crate::style::say;
use crate::{Failure, Outcome, pool};

/// Seeds of one test that one process runs.
const PIECE: u64 = 100;

/// Builds each of these solutions, runs the tests of its labs, or of this one of them, and prints those that
/// fail.
pub(super) fn run(
    catalogue: &Catalogue,
    lab: Option<&Lab>,
    builder: Builder,
    solutions: Vec<Patch>,
    runner: &Runner,
    options: &ZooOptions,
) -> Result<Outcome, Failure> {
    let wanted = |name: &str| lab.is_none_or(|lab| lab.name == name);
    let chosen: BTreeSet<String> =
        select(catalogue, &options.tests)?.into_iter().map(|test| test.name).collect();
    let mut jobs = Vec::new();
    for patch in solutions {
        let Patch { labs, except, .. } = &patch;
        if let Some(unknown) = labs.iter().find(|lab| catalogue.lab(lab).is_none()) {
            return Err(Failure::new(format!("{}: there is no lab {unknown}", patch.id)));
        }
        let mut tests = catalogue.tests();
        let named = |name: &str, test: &Test| test.name == name || test.part == name;
        if let Some(unknown) = except.iter().find(|name| !tests.iter().any(|test| named(name, test))) {
            return Err(Failure::new(format!("{}: there is no test or part {unknown}", patch.id)));
        }
        let excepted = |test: &Test| except.iter().any(|name| named(name, test));
        tests.retain(|test| labs.contains(&test.lab) && wanted(&test.lab) && !excepted(test));
        tests.retain(|test| chosen.contains(&test.name));
        if !tests.is_empty() {
            jobs.push((patch, tests));
        }
    }
    if jobs.is_empty() {
        return Err(Failure::new("bugs/correct has no correct solution for that lab and these tests"));
    }
    let (mut outcome, mut unbuilt, mut done) = (Outcome::Passed, Vec::new(), 0);
    let mut meter = Meter::begin(jobs.len());
    let ran = thread::scope(|scope| {
        let (sender, receiver) = channel();
        let tests: Vec<Vec<Test>> = jobs.iter().map(|(_, tests)| tests.clone()).collect();
        scope.spawn(move || builder.build_all(jobs, &sender));
        while let Some(built) = next_built(&receiver, &mut meter, done) {
            let tests = &tests[done];
            let examined = built.map(|built| {
                meter.show(done, format!("the tests run with {}", built.patch.name()));
                let failed = examine(&built, tests, runner, options, &mut meter);
                built.discard();
                (built.patch, failed)
            });
            if runner.supervisor.has_stopped(&examined) {
                meter.end();
                return Ok(interrupted(outcome, options.form.json));
            }
            done += 1;
            match examined {
                Ok((patch, failed)) => {
                    let failed = failed?;
                    meter.print(|| print(&patch, tests.len(), &failed, options));
                    outcome = if failed.is_empty() { outcome } else { Outcome::Failed };
                }
                Err(failure) => {
                    meter.print(|| say_unbuilt(&failure));
                    unbuilt.push(failure);
                }
            }
        }
        meter.end();
        Ok(outcome)
    })?;
    refuse_unbuilt(&unbuilt)?;
    Ok(ran)
}

/// Runs the tests. Returns how many seeds of each have failed, and the first report of a failure.
fn examine(
    built: &Built,
    tests: &[Test],
    runner: &Runner,
    options: &ZooOptions,
    meter: &mut Meter,
) -> Result<BTreeMap<String, (u64, Report)>, Failure> {
    let end = options.seeds() + 1;
    let pieces =
        |test| (1..end).step_by(PIECE as usize).map(move |from| (test, from..(from + PIECE).min(end)));
    let jobs: Vec<Job<'_>> = tests
        .iter()
        .flat_map(pieces)
        .map(|(test, seeds)| Job { binary: built.binary(test), test, seeds })
        .collect();
    let (mut failed, mut broken) = (BTreeMap::new(), None);
    pool::run_with_clock(
        options.workers.number_in(&runner.world),
        &jobs,
        |job, sender| {
            let ran = runner.run(job, &mut |report| {
                if report.verdict() == Verdict::Failed {
                    let _ = sender.send(Ok(report));
                }
                ControlFlow::Continue(())
            });
            if let Err(failure) = ran {
                let _ = sender.send(Err(failure));
            }
        },
        |message| {
            match message {
                Some(Ok(report)) => {
                    failed.entry(report.test.clone()).or_insert((0, report)).0 += 1;
                }
                Some(Err(failure)) => broken = Some(failure),
                None => meter.wait(),
            }
            broken.is_none()
        },
    );
    broken.map_or(Ok(failed), Err)
}

fn print(patch: &Patch, tests: usize, failed: &BTreeMap<String, (u64, Report)>, options: &ZooOptions) {
    let Patch { id, title, .. } = patch;
    let seeds = options.seeds();
    if options.form.json {
        let failed: Vec<_> = failed
            .iter()
            .map(|(test, (times, first))| {
                json!({"test": test, "failed": times, "seed": first.seed, "reason": first.reason()})
            })
            .collect();
        println!("{}", json!({"id": id, "title": title, "tests": tests, "seeds": seeds, "failed": failed}));
        return;
    }
    let runs = format!("{}, {seeds} seeds each", count(tests, "test"));
    if failed.is_empty() {
        say(&format!("{} {id}, {title}: {runs}", style("passed:").green()));
    } else {
        say(&format!("{} {id}, {title}: {} of {runs}", style("failed:").red().bold(), failed.len()));
    }
    for (test, (times, first)) in failed {
        say(&format!(
            "  {test} fails {times} of {seeds}, first with seed {}: {}",
            first.seed,
            first.reason()
        ));
    }
}
