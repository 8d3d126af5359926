//! `cargo lab mutants LAB`: do the tests notice small changes that a machine makes of the lab's rules?
//!
//! `lab-mutants` finds the places in the files that `labs.toml` names as the lab's rules. All changes stand
//! behind switches in one copy of the workspace, which is built once; one that the compiler refuses is left
//! out. Then each is turned on, and the tests run until one of them fails, as a student's would be judged. Of
//! those that no test notices, some are no faults: `bugs/equivalent.toml` has them with the reasons.

mod equivalent;
mod switch;

use std::path::PathBuf;
use std::process::Command;

use console::style;
use lab_terminal::count;
use rand::seq::SliceRandom;
use serde_json::json;

use self::equivalent::Equivalent;
use self::switch::Mutant;
use super::build::{Builder, Built};
use super::cli::MutantsOptions;
use super::examine::{Work, run_tests};
use super::interrupted;
use super::matrix::{Row, Verdict};
use super::meter::Meter;
use super::patch::Patch;
use crate::catalogue::{Catalogue, Lab, Test};
use crate::check::program;
use crate::cli::Arguments;
use crate::runner::Runner;
use crate::style::say;
use crate::{Failure, Outcome, environment};

/// How often the compiler may refuse some of them.
const BUILDS: usize = 6;

/// Seconds after which a run is a loop: no test of the reference takes nearly as long.
const REAL_S: u64 = 10;

/// Counts, besides survivors.
#[derive(Default)]
struct Sum {
    killed: usize,
    /// Ended by assertions of the solution's own alone.
    asserted: usize,
    equivalent: usize,
    refused: usize,
    survived: Vec<Mutant>,
}

/// Makes mutants of a lab's rules, and prints those that its tests do not notice.
pub(crate) fn run(arguments: &Arguments, options: &MutantsOptions) -> Result<Outcome, Failure> {
    environment::check_without_seed()?;
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let lab = catalogue.lab(&options.lab).ok_or_else(|| super::no_lab(&catalogue, &options.lab))?;
    let (mut mutants, mut sum) = (find(&catalogue, lab, options)?, Sum::default());
    let known = Equivalent::load(&catalogue.root)?;
    let before = mutants.len();
    let mut lines = Lines::new(&catalogue);
    mutants.retain(|mutant| !known.has(&lab.name, mutant, &lines.of(mutant)));
    sum.equivalent = before - mutants.len();
    if mutants.is_empty() {
        return Err(Failure::new(format!(
            "there is nothing to run: bugs/equivalent.toml has {} there as no fault",
            if before == 1 { "the mutant".to_owned() } else { format!("all {before} mutants") }
        )));
    }
    if let Some(sample) = options.sample {
        mutants.shuffle(&mut rand::rng());
        mutants.truncate(sample);
        mutants.sort_by_key(|mutant| mutant.number);
    }
    let mut tests = catalogue.tests();
    tests.retain(|test| lab.is_tested_by(test));
    tests.iter_mut().for_each(|test| test.bounds.real_s = REAL_S);
    let place = super::zoo_folder(&catalogue.root);
    let runner = super::student_runner(&place, &options.run)?;
    let mut builder = Builder::new(&catalogue.root, &place, super::student_build(&catalogue, &options.run))?;
    eprintln!("{} are built, all in one", count(mutants.len(), "mutant"));
    let built = build_all(&mut builder, lab, &tests, &mut mutants, &mut sum);
    if runner.supervisor.has_stopped(&built) {
        return Ok(interrupted(Outcome::Passed, options.form.json));
    }
    let built = built?;
    // What a test says of a mutant means nothing if it fails without one.
    let unchanged = examine(&built, 0, &tests, &runner, options)?;
    if let Some((test, reason)) = unchanged.failures().next() {
        built.discard();
        return Err(Failure::new(format!("{} fails without any change: {reason}", test.name)));
    }
    let mut meter = Meter::begin(mutants.len());
    for (number, mutant) in mutants.iter().enumerate() {
        meter.show(number, format!("the tests run with {}", mutant.place()));
        let row = examine(&built, mutant.number, &tests, &runner, options)?;
        if runner.supervisor.is_stopped() {
            break;
        }
        meter.print(|| tell(mutant, &row, options, &mut sum));
    }
    meter.end();
    built.discard();
    sum_up(&sum, options);
    let outcome = if sum.survived.is_empty() { Outcome::Passed } else { Outcome::Failed };
    Ok(if runner.supervisor.is_stopped() { interrupted(outcome, options.form.json) } else { outcome })
}

/// The places in the lab's rules.
fn find(catalogue: &Catalogue, lab: &Lab, options: &MutantsOptions) -> Result<Vec<Mutant>, Failure> {
    if lab.rules.is_empty() {
        return Err(Failure::new(format!(
            "labs.toml names no rules of {}, so there is nothing to change",
            lab.name
        )));
    }
    let finder = program("lab-mutants")?;
    let output = Command::new(&finder).args(&lab.rules).current_dir(&catalogue.root).output();
    let output = output.map_err(|error| Failure::new(format!("cannot run {}: {error}", finder.display())))?;
    if !output.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&output.stderr).trim()));
    }
    let parse = |line: &str| serde_json::from_str::<Mutant>(line);
    let found: Result<Vec<Mutant>, _> = String::from_utf8_lossy(&output.stdout).lines().map(parse).collect();
    let mut found = found.map_err(|error| Failure::new(format!("lab-mutants: {error}")))?;
    (1..).zip(&mut found).for_each(|(number, mutant)| mutant.number = number);
    found.retain(|mutant| options.at.as_ref().is_none_or(|at| mutant.place().starts_with(at.as_str())));
    if found.is_empty() { Err(nothing_there(lab, options)) } else { Ok(found) }
}

/// The failure of a place where nothing can be changed.
fn nothing_there(lab: &Lab, options: &MutantsOptions) -> Failure {
    let at = options.at.as_ref().map_or_else(String::new, |at| format!(" that begin with {at}"));
    let files = lab.rules.join(", ");
    Failure::new(format!("no mutants of {}{at}; places are FILE:LINE in {files}", lab.name))
}

/// The lines of files.
struct Lines<'a> {
    catalogue: &'a Catalogue,
    file: Option<(PathBuf, String)>,
}

impl Lines<'_> {
    fn new(catalogue: &Catalogue) -> Lines<'_> {
        Lines { catalogue, file: None }
    }

    /// The line that a mutant begins in.
    fn of(&mut self, mutant: &Mutant) -> String {
        if self.file.as_ref().is_none_or(|(file, _)| *file != mutant.file) {
            let text = std::fs::read_to_string(self.catalogue.root.join(&mutant.file)).unwrap_or_default();
            self.file = Some((mutant.file.clone(), text));
        }
        let (_, text) = self.file.as_ref().expect("it was just read");
        text.lines().nth(mutant.line - 1).unwrap_or_default().to_owned()
    }
}

/// Builds one binary with all mutants. Those that the compiler refuses are dropped.
fn build_all(
    builder: &mut Builder,
    lab: &Lab,
    tests: &[Test],
    mutants: &mut Vec<Mutant>,
    sum: &mut Sum,
) -> Result<Built, Failure> {
    let patch = Patch::of_mutant(&format!("mutants-{}", lab.name), &lab.parts[0].name, "");
    let library = lab.library();
    let mut files = lab.rules.clone();
    if !files.contains(&library) {
        files.push(library.clone());
    }
    for _ in 0..BUILDS {
        let texts = builder.texts(&files, |file, text| {
            let here: Vec<&Mutant> = mutants.iter().filter(|mutant| mutant.file == *file).collect();
            let function = if file.as_os_str() == library.as_str() { switch::FUNCTION } else { "" };
            switch::switched(text, &here) + function
        })?;
        let words = match builder.build_texts(patch.clone(), texts, tests)? {
            Ok(built) => return Ok(built),
            Err(words) => words,
        };
        let refused = switch::refused(&words, mutants);
        if refused.len() == mutants.len() {
            return Err(Failure::new("there is nothing to run: the compiler refuses all mutants there"));
        }
        if refused.is_empty() {
            return Err(Failure::new(format!("the mutants do not build:\n{words}")));
        }
        mutants.retain(|mutant| !refused.contains(&mutant.number));
        sum.refused += refused.len();
    }
    Err(Failure::new(format!("after {BUILDS} builds the compiler still refuses mutants")))
}

/// Runs the tests with the mutant of that number until one fails.
fn examine(
    built: &Built,
    number: usize,
    tests: &[Test],
    runner: &Runner,
    options: &MutantsOptions,
) -> Result<Row, Failure> {
    let mut world = runner.world.clone();
    world.variables.push((switch::CHOICE, number.to_string()));
    let runner = Runner { supervisor: runner.supervisor.clone(), world };
    let work = Work {
        built,
        tests,
        order: (0..tests.len()).collect(),
        seeds: 1..options.seeds + 1,
        workers: options.workers.number_in(&runner.world),
        is_over: Some(|row| row.kills().next().is_some()),
    };
    run_tests(&work, &runner).map(|(row, _)| row)
}

fn tell(mutant: &Mutant, row: &Row, options: &MutantsOptions, sum: &mut Sum) {
    let kill = row.kills().next();
    let verdict = match (kill, row.verdict()) {
        (Some(_), _) => "killed",
        (None, Verdict::OwnAssertion) => "own_assertion",
        (None, _) => "survived",
    };
    if options.form.json {
        let by = kill.map(|(test, seed, reason)| json!({"test": test.name, "seed": seed, "reason": reason}));
        let place = mutant.place();
        println!(
            "{}",
            json!({"place": place, "operator": mutant.operator, "change": mutant.change(), "verdict": verdict, "by": by})
        );
    }
    match verdict {
        "killed" => sum.killed += 1,
        "own_assertion" => sum.asserted += 1,
        _ => {
            if !options.form.json {
                say(&format!(
                    "{} {}  {}: {}",
                    style("survived:").red().bold(),
                    mutant.place(),
                    mutant.operator,
                    mutant.change()
                ));
            }
            sum.survived.push(mutant.clone());
        }
    }
}

fn sum_up(sum: &Sum, options: &MutantsOptions) {
    let Sum { killed, asserted, equivalent, refused, survived } = sum;
    let all = killed + asserted + survived.len();
    if options.form.json {
        let summary = json!({"mutants": all, "killed": killed, "own_assertion": asserted, "survived": survived.len(),
            "equivalent": equivalent, "refused": refused});
        println!("{}", json!({"summary": summary}));
        return;
    }
    let percent = 100.0 * (killed + asserted) as f64 / all.max(1) as f64;
    say(&format!(
        "{}: tests kill {killed}, {asserted} end by assertions of their own, {} survive: {percent:.1} % are noticed; \
         besides, {equivalent} are equivalent, and the compiler refuses {refused}",
        count(all, "mutant"),
        survived.len()
    ));
}
