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
//! The runs of a solution end as soon as it is certain that it is caught, and that at least 95 % of gradings
//! catch it. `--matrix` runs every test with every seed, and `--needed` also writes down which test is needed
//! for which.
//!
//! With `--parts` the patches are those in `bugs/parts/`, and no test may fail: see `parts.rs`. With
//! `--correct` they are those in `bugs/correct/LAB/`: see `correct.rs`.

mod build;
pub(crate) mod cli;
mod copy;
mod correct;
mod examine;
mod matrix;
mod meter;
pub(crate) mod mutants;
mod page;
mod parts;
mod patch;
mod rate;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use build::{Builder, Built};
use cli::ZooOptions;
use console::style;
use examine::examine;
use lab_terminal::count;
use matrix::{Row, Verdict};
use meter::Meter;
use patch::Patch;
use rand::seq::SliceRandom;

use crate::build::{BuildOptions, target_folder};
use crate::catalogue::{Catalogue, Lab, Test};
use crate::cli::{Arguments, RunOptions};
use crate::process::Supervisor;
use crate::reference::Reference;
use crate::runner::{PICTURES, Runner, UNWATCHED};
use crate::select::select;
use crate::style::{say, say_or_json};
use crate::why::traced::check_writable;
use crate::{Failure, Outcome, environment, needed};

/// How long to wait for a solution until the next look at the clock.
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
    options.page.as_deref().map_or(Ok(()), check_writable)?;
    let place = zoo_folder(&catalogue.root);
    let runner = runner(&place, options)?;
    let mut build = options.run.build(false);
    if !(options.parts || options.correct || options.watched) {
        build = student_build(&catalogue, &options.run);
    }
    if let Some(lab) = lab.filter(|_| !options.is_whole() && !options.correct) {
        // A verdict takes a few runs, and an optimised build longer than they do.
        build.unoptimised = vec![lab.package.clone()];
    }
    let builder = || Builder::new(&catalogue.root, &place, build);
    let bugs = catalogue.root.join("bugs");
    if options.correct {
        let correct = bugs.join("correct");
        let mut folders = if correct.is_dir() { patch::entries(&correct)? } else { vec![correct] };
        folders.extend(on_bases(&bugs, "correct")?);
        let solutions = chosen(patch::read_all(&folders)?, &options.bug)?;
        return correct::run(&catalogue, lab, builder()?, solutions, &runner, options);
    }
    let lab = lab.ok_or_else(|| Failure::new("which lab? `cargo lab list` names them"))?;
    let tests: Vec<Test> =
        select(&catalogue, &options.tests)?.into_iter().filter(|test| test.lab == lab.name).collect();
    if tests.is_empty() {
        return Err(Failure::new(format!("none of these tests is of {}", lab.name)));
    }
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
    survey(&catalogue.root, builder()?, lab, &tests, patches, &runner, options)
}

/// The folders of this name with what is made of the bases in `bugs/bases`.
fn on_bases(bugs: &Path, name: &str) -> Result<Vec<PathBuf>, Failure> {
    let bases = bugs.join("bases");
    let bases = if bases.is_dir() { patch::entries(&bases)? } else { Vec::new() };
    Ok(bases.into_iter().map(|base| base.join("bugs").join(name)).collect())
}

fn runner(place: &Path, options: &ZooOptions) -> Result<Runner, Failure> {
    if !(options.parts || options.correct || options.watched) {
        return student_runner(place, &options.run);
    }
    let mut world = options.run.world()?;
    // Apart from the pictures of the user's own runs.
    world.variables.push((PICTURES, place.join("pictures").display().to_string()));
    Ok(Runner { supervisor: Supervisor::start()?, world })
}

/// Runs tests as a student's solution is judged.
fn student_runner(place: &Path, options: &RunOptions) -> Result<Runner, Failure> {
    let mut world = options.world()?;
    world.variables.push((PICTURES, place.join("pictures").display().to_string()));
    world.variables.push((UNWATCHED, "1".to_owned()));
    Ok(Runner { supervisor: Supervisor::start()?, world })
}

/// Builds solutions as a student's is built.
fn student_build(catalogue: &Catalogue, options: &RunOptions) -> BuildOptions {
    let mut build = options.build(false);
    build.without_assertions = catalogue.labs.iter().map(|lab| lab.package.clone()).collect();
    build.without_assertions.sort();
    build.without_assertions.dedup();
    build
}

/// What came of the wrong solutions so far.
#[derive(Default)]
struct Survey {
    rows: Vec<Row>,
    /// Why others were not built.
    unbuilt: Vec<Failure>,
}

impl Survey {
    fn done(&self) -> usize {
        self.rows.len() + self.unbuilt.len()
    }
}

/// The next solution that is built, after `done` others; None if that was the last.
fn next_built(
    receiver: &Receiver<Result<Built, Failure>>,
    meter: &mut Meter,
    done: usize,
) -> Option<Result<Built, Failure>> {
    meter.show(done, if done == 0 { "the first is built" } else { "the next is built" });
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(built) => return Some(built),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => meter.wait(),
        }
    }
}

/// Says that ctrl-C came, and returns how the verb ends: what had failed before has failed.
fn interrupted(so_far: Outcome, is_json: bool) -> Outcome {
    let word = style("interrupted").yellow().to_string();
    say_or_json(is_json, &word, &serde_json::json!({"interrupted": true}));
    if so_far == Outcome::Failed { so_far } else { Outcome::Interrupted }
}

/// Runs the tests against each wrong solution, and prints the matrix.
fn survey(
    root: &Path,
    builder: Builder,
    lab: &Lab,
    tests: &[Test],
    patches: Vec<Patch>,
    runner: &Runner,
    options: &ZooOptions,
) -> Result<Outcome, Failure> {
    let total = patches.len();
    let mut meter = Meter::begin(total);
    // The next wrong solution is built while the tests of the last one run.
    let surveyed = thread::scope(|scope| {
        let (sender, receiver) = channel();
        let solutions = patches.into_iter().map(|patch| (patch, tests[..1].to_vec())).collect();
        scope.spawn(move || builder.build_all(solutions, &sender));
        let mut survey = Survey::default();
        while let Some(built) = next_built(&receiver, &mut meter, survey.done()) {
            let is_built = built.is_ok();
            let row = built.and_then(|built| {
                meter.show(survey.done(), format!("the tests run with {}", built.patch.name()));
                examine(&built, lab, tests, runner, options)
            });
            // What was interrupted has not survived, and is not broken.
            if runner.supervisor.has_stopped(&row) {
                break;
            }
            match row {
                Ok(row) => {
                    meter.print(|| match options.form.json {
                        true => println!("{}", row.json()),
                        false => say(&row.verdict_line()),
                    });
                    survey.rows.push(row);
                }
                Err(failure) if is_built => return Err(failure),
                Err(failure) => {
                    meter.print(|| say_unbuilt(&failure));
                    survey.unbuilt.push(failure);
                }
            }
        }
        meter.end();
        Ok(survey)
    });
    conclude(root, lab, tests, &surveyed?, total, options)
}

/// Shows the matrix of `total` wrong solutions, or of those before an interruption, and sums them up.
///
/// # Errors
/// Some could not be built. The matrix of the others is shown all the same.
fn conclude(
    root: &Path,
    lab: &Lab,
    tests: &[Test],
    Survey { rows, unbuilt }: &Survey,
    total: usize,
    options: &ZooOptions,
) -> Result<Outcome, Failure> {
    if !options.form.json && !rows.is_empty() {
        print!("\n{}", matrix::show(tests, rows, lab_terminal::width()));
    }
    if let Some(file) = &options.page {
        page::write(file, &lab.name, tests, rows)?;
        let words = format!("the matrix as a page: {}", file.display());
        say_or_json(options.form.json, &words, &serde_json::json!({"page": file}));
    }
    if options.needed && rows.len() == total {
        needed::write(root, &lab.name, matrix::needed(tests, rows, &Reference::load(root)?))?;
    }
    // Of none there is nothing to sum up.
    let outcome = if rows.is_empty() { Outcome::Passed } else { sum_up(rows, options.form.json) };
    refuse_unbuilt(unbuilt)?;
    if rows.len() == total {
        return Ok(outcome);
    }
    let words = format!("{} after {} of {total} wrong solutions", style("interrupted").yellow(), rows.len());
    let json = serde_json::json!({"interrupted": {"done": rows.len(), "of": total}});
    say_or_json(options.form.json, &words, &json);
    Ok(if outcome == Outcome::Failed { outcome } else { Outcome::Interrupted })
}

/// Says at once that a solution is not built; the next one is.
fn say_unbuilt(failure: &Failure) {
    eprintln!("{} {failure}", style("error:").for_stderr().red().bold());
}

/// The last word, if solutions were not built: there is no verdict on them.
fn refuse_unbuilt(unbuilt: &[Failure]) -> Result<(), Failure> {
    if unbuilt.is_empty() {
        return Ok(());
    }
    let each: Vec<String> = unbuilt.iter().map(Failure::to_string).collect();
    let solutions = count(unbuilt.len(), "solution");
    Err(Failure::new(format!("{solutions} could not be judged: {}", each.join("; "))))
}

fn no_lab(catalogue: &Catalogue, name: &str) -> Failure {
    let labs: Vec<&str> = catalogue.labs.iter().map(|lab| lab.name.as_str()).collect();
    Failure::new(format!("there is no lab {name}; there are: {}", labs.join(", ")))
}

/// Where wrong solutions are built.
fn zoo_folder(root: &Path) -> PathBuf {
    target_folder(root).join("zoo")
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

/// The last lines, and how it went.
fn sum_up(rows: &[Row], json: bool) -> Outcome {
    let [built, ran] = matrix::total(rows).map(f64::round);
    let names = |of: &dyn Fn(&Row) -> bool| -> Vec<String> {
        rows.iter().filter(|row| of(row)).map(Row::name).collect()
    };
    let survivors = names(&|row| row.verdict() != Verdict::Caught);
    let seldom = names(&|row| row.verdict() == Verdict::Caught && row.chance() < rate::OFTEN);
    if json {
        println!(
            "{}",
            serde_json::json!({"summary": {"wrong_solutions": rows.len(), "not_caught": survivors,
                "caught_in_less_than_95_percent_of_gradings": seldom,
                "built_s": built, "ran_s": ran}})
        );
        return if survivors.is_empty() { Outcome::Passed } else { Outcome::Failed };
    }
    say(&format!("{built} s of builds, beside {ran} s of runs"));
    if !seldom.is_empty() {
        say(&format!(
            "{} {}: a grading with 50 runs misses one in twenty or more",
            style("caught too seldom:").yellow(),
            seldom.join(", ")
        ));
    }
    if survivors.is_empty() {
        say(&format!("{} {}", style("all caught:").green(), count(rows.len(), "wrong solution")));
        return Outcome::Passed;
    }
    say(&format!(
        "{} {} of {}: {}",
        style("not caught:").red().bold(),
        survivors.len(),
        rows.len(),
        survivors.join(", ")
    ));
    Outcome::Failed
}
