//! `cargo lab zoo`: are wrong solutions caught, and do correct ones pass?
//!
//! Each `bugs/LAB/*.patch` turns the reference into a wrong solution, and each
//! `bugs/bases/BASE/bugs/LAB/*.patch` that base. They are applied, one by one, to a copy of the workspace
//! under `target/zoo`, built there (into one folder for all, so that only what a patch touches is compiled
//! again), and run against the lab's tests up to the bug's part. One that no test of its own part catches has
//! survived.
//!
//! They are judged as a student's solution is: its debug assertions are not built, and what it shows to
//! observers is ignored (`LAB_UNWATCHED`), because a student has neither. `--watched` leaves both on. A run
//! that ends with an assertion of the solution's own is shown, and does not count as a kill.
//!
//! With `--parts` the patches are those in `bugs/parts/`, and no test may fail: see `parts.rs`. With
//! `--correct` they are those in `bugs/correct/LAB/`: see `correct.rs`.

mod build;
mod copy;
mod correct;
mod matrix;
mod page;
mod parts;
mod patch;
mod rate;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use build::{Builder, Built};
use console::style;
use indicatif::ProgressBar;
use lab_terminal::{Waiting, count, is_lively};
use matrix::{Cell, Row, Verdict};
use patch::Patch;
use rand::seq::SliceRandom;

use crate::catalogue::{Catalogue, Lab, Test};
use crate::cli::{Arguments, ZooOptions};
use crate::process::Supervisor;
use crate::runner::{Job, PICTURES, Runner, UNWATCHED};
use crate::style::say;
use crate::{Failure, Outcome, environment, pool};

/// How long the survey waits for a solution until it looks at the clock.
const TICK: Duration = Duration::from_secs(1);

/// Builds and runs all wrong solutions of a lab, and prints which test kills which; or what else the options
/// ask for.
pub(crate) fn run(arguments: &Arguments, options: &ZooOptions) -> Result<Outcome, Failure> {
    environment::check_without_seed()?;
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let lab = match &options.lab {
        Some(name) => Some(catalogue.lab(name).ok_or_else(|| no_lab(&catalogue, name))?),
        None => None,
    };
    let place = zoo_folder(&catalogue.root);
    let runner = runner(&place, options)?;
    let mut build = options.run.build(false);
    let as_students = !(options.parts || options.correct || options.watched);
    if as_students {
        build.without_assertions = catalogue.labs.iter().map(|lab| lab.package.clone()).collect();
        build.without_assertions.sort();
        build.without_assertions.dedup();
    }
    let builder = || Builder::new(&catalogue.root, &place, build);
    let bugs = catalogue.root.join("bugs");
    if options.correct {
        let mut folders = patch::entries(&bugs.join("correct"))?;
        folders.extend(on_bases(&bugs, "correct")?);
        let solutions = chosen(patch::read_all(&folders)?, &options.bug)?;
        return correct::run(&catalogue, builder()?, solutions, &runner, options);
    }
    let lab = lab.ok_or_else(|| Failure::new("which lab?"))?;
    let tests: Vec<Test> = catalogue.tests().into_iter().filter(|test| test.lab == lab.name).collect();
    if options.parts {
        let partial = chosen(parts::of_lab(patch::read_all(&[bugs.join("parts")])?, lab)?, &options.bug)?;
        return parts::run(builder()?, lab, &tests, partial, &runner, options);
    }
    let folders = [vec![bugs.join(&lab.name)], on_bases(&bugs, &lab.name)?].concat();
    let mut patches = chosen(patch::read_all(&folders)?, &options.bug)?;
    if let Some(patch) = patches.iter().find(|patch| patch.caught_by.is_empty()) {
        return Err(Failure::new(format!("{}: the head has no line `caught-by: …`", patch.id)));
    }
    if let Some(sample) = options.sample {
        patches.shuffle(&mut rand::rng());
        patches.truncate(sample);
    }
    // Those on one base together: another base means to build much anew.
    patches.sort_by(|one, other| one.base.cmp(&other.base));
    survey(builder()?, lab, &tests, patches, &runner, options)
}

/// The folders of this name with what is made of the bases in `bugs/bases`.
fn on_bases(bugs: &Path, name: &str) -> Result<Vec<PathBuf>, Failure> {
    let bases = bugs.join("bases");
    let bases = if bases.is_dir() { patch::entries(&bases)? } else { Vec::new() };
    Ok(bases.into_iter().map(|base| base.join("bugs").join(name)).collect())
}

fn runner(place: &Path, options: &ZooOptions) -> Result<Runner, Failure> {
    let mut world = options.run.world()?;
    // Apart from the pictures of the user's own runs.
    world.variables.push((PICTURES, place.join("pictures").display().to_string()));
    if !(options.parts || options.correct || options.watched) {
        world.variables.push((UNWATCHED, "1".to_owned()));
    }
    Ok(Runner { supervisor: Supervisor::start()?, world })
}

/// Runs the tests against each wrong solution, and prints the matrix.
fn survey(
    builder: Builder,
    lab: &Lab,
    tests: &[Test],
    patches: Vec<Patch>,
    runner: &Runner,
    options: &ZooOptions,
) -> Result<Outcome, Failure> {
    let total = patches.len();
    let mut rows = Vec::new();
    let mut failure = None;
    // The next wrong solution is built while the tests of the last one run.
    thread::scope(|scope| {
        let (sender, receiver) = channel();
        let solutions = patches.into_iter().map(|patch| (patch, tests[..1].to_vec())).collect();
        scope.spawn(move || builder.build_all(solutions, &sender));
        let bar = if is_lively() { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
        let mut waiting = Waiting::begin();
        loop {
            bar.set_position(rows.len() as u64);
            let built = match receiver.recv_timeout(TICK) {
                Ok(built) => built,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(line) =
                        waiting.due(|| format!("{} of {total}; the next is built", rows.len()))
                    {
                        eprintln!("{line}");
                    }
                    continue;
                }
            };
            let row = built.and_then(|built| examine(&built, lab, tests, runner, options));
            match row {
                // What was interrupted has not survived.
                _ if runner.supervisor.is_stopped() => break,
                Ok(row) => {
                    bar.suspend(|| match options.form.json {
                        true => println!("{}", row.json()),
                        false => say(&row.verdict_line()),
                    });
                    waiting.heard();
                    rows.push(row);
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        bar.finish_and_clear();
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    if !options.form.json {
        print!("\n{}", matrix::show(tests, &rows, lab_terminal::width()));
    }
    if let Some(file) = &options.page {
        page::write(file, &lab.name, tests, &rows)?;
        say(&format!("the matrix as a page: {}", file.display()));
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
        return Err(Failure::new(format!("there is no solution {unknown}; there are {}", ids.join(", "))));
    }
    Ok(patches
        .into_iter()
        .filter(|patch| wanted.is_empty() || wanted.iter().any(|id| patch.is_called(id)))
        .collect())
}

/// Runs the tests up to the bug's part; of a sample, those that its patch names. Each runs with all seeds, or
/// until it has killed often enough to know how often it does.
fn examine(
    built: &Built,
    lab: &Lab,
    tests: &[Test],
    runner: &Runner,
    options: &ZooOptions,
) -> Result<Row, Failure> {
    let patch = &built.patch;
    let rank = |part: &str| lab.parts.iter().position(|other| other.name.eq_ignore_ascii_case(part));
    let last = rank(&patch.part).ok_or_else(|| {
        Failure::new(format!("{} is of part {}, which {} has not", patch.id, patch.part, lab.name))
    })?;
    let names_tests = tests.iter().any(|test| patch.caught_by.contains(&test.name));
    let applies = |test: &Test| match options.sample {
        Some(_) if names_tests => patch.caught_by.contains(&test.name),
        _ => rank(&test.part).is_some_and(|part| part <= last),
    };
    // Seeds are fixed here: a wrong solution that is caught today is caught tomorrow.
    let seeds = 1..options.seeds() + 1;
    let jobs: Vec<(usize, Job<'_>)> = (0..tests.len())
        .filter(|&index| applies(&tests[index]))
        .map(|index| (index, &tests[index]))
        .map(|(index, test)| (index, Job { binary: built.binary(test), test, seeds: seeds.clone() }))
        .collect();
    let mut cells = vec![Cell::default(); tests.len()];
    let mut failure = None;
    pool::run(
        options.workers.number(),
        &jobs,
        |(index, job), sender| {
            let _ = sender.send((*index, rate(runner, job)));
        },
        |(index, result)| {
            match result {
                Ok(cell) => cells[index] = cell,
                Err(error) => failure = Some(error),
            }
            failure.is_none()
        },
    );
    built.discard();
    failure.map_or_else(|| Ok(Row::new(patch.clone(), tests, cells)), Err)
}

/// Runs a test until it has killed often enough, or to the last seed.
fn rate(runner: &Runner, job: &Job<'_>) -> Result<Cell, Failure> {
    let mut cell = Cell::default();
    runner.run(job, &mut |report| {
        cell.add(&report);
        if cell.rate.kills >= rate::ENOUGH { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(cell)
}

/// The last lines, and how it went.
fn sum_up(rows: &[Row], json: bool) -> Outcome {
    let names = |of: &dyn Fn(&Row) -> bool| -> Vec<String> {
        rows.iter().filter(|row| of(row)).map(Row::name).collect()
    };
    let survivors = names(&|row| row.verdict() != Verdict::Caught);
    let seldom = names(&|row| row.verdict() == Verdict::Caught && row.in_a_grading()[2] < 0.95);
    if json {
        println!(
            "{}",
            serde_json::json!({"summary": {"wrong_solutions": rows.len(), "not_caught": survivors,
                "caught_in_less_than_95_percent_of_gradings": seldom}})
        );
        return if survivors.is_empty() { Outcome::Passed } else { Outcome::Failed };
    }
    if !seldom.is_empty() {
        println!(
            "{} {}: a grading of 50 seeds of each test misses one in twenty or more",
            style("caught too seldom:").yellow(),
            seldom.join(", ")
        );
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
