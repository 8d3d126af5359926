//! `cargo lab zoo`: are wrong solutions caught?
//!
//! Each `bugs/LAB/*.patch` turns the reference into a wrong solution. They are applied, one by one, to a copy
//! of the workspace under `target/zoo`, built there (into one folder for all, so that only what a patch
//! touches is compiled again), and run against the lab's tests up to the bug's part. One that no test of its
//! own part catches has survived.
//!
//! With `--parts` the patches are those in `bugs/parts/`, and no test may fail: see `parts.rs`.

mod copy;
mod matrix;
mod parts;
mod patch;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use console::style;
use copy::WorkspaceCopy;
use lab_terminal::count;
use matrix::{Cell, Row, Verdict};
use patch::Patch;

use crate::build::{BuildOptions, build};
use crate::catalogue::{Catalogue, Lab, Test};
use crate::cli::{Arguments, ZooOptions};
use crate::process::Supervisor;
use crate::protocol::Report;
use crate::runner::{Job, PICTURES, Runner};
use crate::style::say;
use crate::{Failure, Outcome, environment, pool};

/// A wrong solution that is ready to run.
type Built = Result<(Patch, PathBuf), Failure>;

/// Builds and runs all wrong solutions of a lab, and prints which test kills which.
pub(crate) fn run(arguments: &Arguments, options: &ZooOptions) -> Result<Outcome, Failure> {
    environment::check_without_seed()?;
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let lab = catalogue.lab(&options.lab).ok_or_else(|| no_lab(&catalogue, &options.lab))?;
    let tests: Vec<Test> = catalogue.tests().into_iter().filter(|test| test.lab == lab.name).collect();
    let bugs = catalogue.root.join("bugs");
    let patches = if options.parts {
        parts::of_lab(patch::read_all(&bugs.join("parts"))?, lab)?
    } else {
        patch::read_all(&bugs.join(&lab.name))?
    };
    let patches = chosen(patches, &options.bug)?;
    let place = zoo_folder(&catalogue.root);
    let mut world = options.run.world()?;
    // Apart from the pictures of the user's own runs.
    world.variables.push((PICTURES, place.join("pictures").display().to_string()));
    let runner = Runner { supervisor: Supervisor::start()?, world };
    if options.parts {
        return parts::run(&catalogue.root, lab, &tests, patches, &runner, options);
    }
    if let Some(patch) = patches.iter().find(|patch| patch.caught_by.is_empty()) {
        return Err(Failure::new(format!("{}: the head has no line `caught-by: …`", patch.id)));
    }
    let total = patches.len();

    let mut rows = Vec::new();
    let mut failure = None;
    // The next wrong solution is built while the tests of the last one run.
    thread::scope(|scope| {
        let (sender, receiver) = channel();
        let (root, tests, place) = (&catalogue.root, &tests, &place);
        scope.spawn(move || build_all(root, place, tests, patches, options, &sender));
        for built in receiver {
            let row = built.and_then(|(patch, binary)| examine(patch, &binary, lab, tests, &runner, options));
            match row {
                // What was interrupted has not survived.
                _ if runner.supervisor.is_stopped() => break,
                Ok(row) => {
                    if options.form.json {
                        println!("{}", row.json());
                    } else {
                        say(&row.verdict_line());
                    }
                    rows.push(row);
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    if !options.form.json {
        print!("\n{}", matrix::show(&tests, &rows, lab_terminal::width()));
    }
    let outcome = sum_up(&rows, options.form.json);
    if rows.len() == total {
        return Ok(outcome);
    }
    println!("{} after {} of {total}", style("interrupted").yellow(), rows.len());
    Ok(if outcome == Outcome::Failed { outcome } else { Outcome::Interrupted })
}

fn no_lab(catalogue: &Catalogue, name: &str) -> Failure {
    let labs: Vec<&str> = catalogue.labs.iter().map(|lab| lab.name.as_str()).collect();
    Failure::new(format!("there is no lab {name}; there are: {}", labs.join(", ")))
}

/// Where wrong solutions are built.
fn zoo_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("zoo")
}

/// The patches that `--bug` names, or all.
fn chosen(patches: Vec<Patch>, wanted: &[String]) -> Result<Vec<Patch>, Failure> {
    if let Some(unknown) = wanted.iter().find(|id| !patches.iter().any(|patch| patch.is_called(id))) {
        let ids: Vec<&str> = patches.iter().map(|patch| patch.id.as_str()).collect();
        return Err(Failure::new(format!(
            "there is no wrong solution {unknown}; there are {}",
            ids.join(", ")
        )));
    }
    Ok(patches
        .into_iter()
        .filter(|patch| wanted.is_empty() || wanted.iter().any(|id| patch.is_called(id)))
        .collect())
}

/// Builds one wrong solution after the other, until the receiver is gone or one cannot be built.
fn build_all(
    root: &Path,
    place: &Path,
    tests: &[Test],
    patches: Vec<Patch>,
    options: &ZooOptions,
    sender: &Sender<Built>,
) {
    let mut copy = match WorkspaceCopy::of(root, &place.join("source")) {
        Ok(copy) => copy,
        Err(error) => {
            let _ = sender.send(Err(error));
            return;
        }
    };
    for patch in patches {
        let built = build_one(&mut copy, place, tests, &patch, options).map(|binary| (patch, binary));
        let failed = built.is_err();
        if sender.send(built).is_err() || failed {
            return;
        }
    }
}

/// Applies a patch, builds, and puts the test binary where the next build cannot replace it.
fn build_one(
    copy: &mut WorkspaceCopy,
    place: &Path,
    tests: &[Test],
    patch: &Patch,
    options: &ZooOptions,
) -> Result<PathBuf, Failure> {
    copy.restore()?;
    for (file, text) in patch.apply(copy.folder())? {
        copy.replace(&file, &text)?;
    }
    let log = place.join("build.log");
    let (target, log) = (Some(place.join("target")), Some(log));
    let build_options = BuildOptions { target, log, ..options.run.build(false) };
    let binaries = build(copy.folder(), &tests[..1], &build_options)
        .map_err(|failure| Failure::new(format!("{} does not build: {failure}", patch.id)))?;
    let kept = place.join(format!("{}-tests", patch.id));
    let binary = binaries.values().next().ok_or_else(|| Failure::new("cargo built no test binary"))?;
    // Never written in place: a process may still run the one that is there.
    let _ = std::fs::remove_file(&kept);
    std::fs::copy(binary, &kept).map_err(|error| Failure::new(format!("{}: {error}", kept.display())))?;
    Ok(kept)
}

/// Runs the tests up to the bug's part, each until its first failure.
fn examine(
    patch: Patch,
    binary: &Path,
    lab: &Lab,
    tests: &[Test],
    runner: &Runner,
    options: &ZooOptions,
) -> Result<Row, Failure> {
    let rank = |part: &str| lab.parts.iter().position(|other| other.name.eq_ignore_ascii_case(part));
    let last = rank(&patch.part).ok_or_else(|| {
        Failure::new(format!("{} is of part {}, which {} has not", patch.id, patch.part, lab.name))
    })?;
    let applies = |test: &Test| rank(&test.part).is_some_and(|part| part <= last);
    // Seeds are fixed here: a wrong solution that is caught today is caught tomorrow.
    let jobs: Vec<(usize, Job<'_>)> = (0..tests.len())
        .filter(|&index| applies(&tests[index]))
        .map(|index| (index, Job { binary, test: &tests[index], seeds: 1..options.seeds + 1 }))
        .collect();
    let mut cells = vec![Cell::NotRun; tests.len()];
    let mut failure = None;
    pool::run(
        options.workers.number(),
        &jobs,
        |(index, job), sender| {
            let _ = sender.send((*index, first_failure(runner, job)));
        },
        |(index, result)| {
            match result {
                Ok(killed) => cells[index] = killed.map_or(Cell::Survived, |report| Cell::killed(&report)),
                Err(error) => failure = Some(error),
            }
            failure.is_none()
        },
    );
    // Broken code may well keep files of a test binary open; the binary itself is not needed any more.
    let _ = std::fs::remove_file(binary);
    match failure {
        Some(failure) => Err(failure),
        None => Ok(Row::new(patch, tests, cells)),
    }
}

/// The report of the first seed that fails.
fn first_failure(runner: &Runner, job: &Job<'_>) -> Result<Option<Report>, Failure> {
    let mut killed = None;
    runner.run(job, &mut |report| {
        // An inconclusive run kills no wrong solution.
        if report.verdict() != labreport::Verdict::Failed {
            return ControlFlow::Continue(());
        }
        killed = Some(report);
        ControlFlow::Break(())
    })?;
    Ok(killed)
}

/// The last line, and how it went.
fn sum_up(rows: &[Row], json: bool) -> Outcome {
    let survivors: Vec<&str> =
        rows.iter().filter(|row| row.verdict() != Verdict::Caught).map(|row| row.patch.id.as_str()).collect();
    if json {
        println!(
            "{}",
            serde_json::json!({"summary": {"wrong_solutions": rows.len(), "not_caught": survivors}})
        );
        return if survivors.is_empty() { Outcome::Passed } else { Outcome::Failed };
    }
    if survivors.is_empty() {
        println!("{} {}", style("all caught:").green(), count(rows.len(), "wrong solution"));
        return Outcome::Passed;
    }
    println!(
        "{} {} of {}: {}",
        style("not caught:").red().bold(),
        survivors.len(),
        rows.len(),
        survivors.join(", ")
    );
    Outcome::Failed
}
