//! `cargo lab test`: each test once, and a line for each as the course prints it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use lab_terminal::{count, duration};
use nix::sys::resource::{UsageWho, getrusage};

use crate::build::build;
use crate::catalogue::{Catalogue, Test};
use crate::cli::{Arguments, TestOptions};
use crate::handed::warn_of_changes;
use crate::process::Supervisor;
use crate::progress::{Progress, chapter};
use crate::protocol::Report;
use crate::runner::{Job, Runner, World};
use crate::score::Score;
use crate::select::select;
use crate::statics;
use crate::style::print_result;
use crate::unwritten::unwritten;
use crate::{Failure, Outcome, pool};

/// What `cargo lab bench` looks for in the output.
pub(crate) const RESOURCES: &str = "largest process:";

/// Builds, runs each chosen test with one seed, and prints the results in the order of `labs.toml`.
pub(crate) fn run(arguments: &Arguments, options: &TestOptions) -> Result<Outcome, Failure> {
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let tests = select(&catalogue, &options.selection.patterns)?;
    warn_of_changes(&catalogue);
    for found in statics::in_sources_of(&catalogue.root, &tests) {
        eprintln!("{} {found}", style("warning:").yellow());
    }
    let binaries = build(&catalogue.root, &tests, &options.run.build(false))?;
    let runner = Runner { supervisor: Supervisor::start()?, world: options.run.world() };
    // Small enough to be typed again.
    let seed = options.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let jobs: Vec<(usize, Job<'_>)> = tests
        .iter()
        .enumerate()
        .map(|(index, test)| {
            let binary: &Path = &binaries[&(test.package.clone(), test.binary.clone())];
            (index, Job { binary, test, seeds: seed..seed + 1 })
        })
        .collect();

    let begun = Instant::now();
    let mut results = Results::new(&tests, &runner.world);
    pool::run(
        options.workers.number(),
        &jobs,
        |(index, job), sender| {
            let mut last = None;
            let ran = runner.run(job, &mut |report| {
                last = Some(report);
                ControlFlow::Continue(())
            });
            // The receiver outlives the workers.
            let _ = sender.send((*index, ran.map(|()| last)));
        },
        |(index, result)| results.take(index, result),
    );
    let outcome = results.finish(begun, seed, &catalogue)?;
    if options.resources {
        println!("{RESOURCES} {} MiB", largest_child_mb()?);
    }
    Ok(outcome)
}

/// The most memory that any of this program's children held, cargo and what cargo ran included.
fn largest_child_mb() -> Result<i64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|error| Failure::new(format!("the system does not tell the children's memory: {error}")))?;
    // Linux counts in kilobytes.
    Ok(usage.max_rss() / 1024)
}

/// Results as they come, in any order, printed in that of the tests.
struct Results<'a> {
    tests: &'a [Test],
    world: &'a World,
    /// Results that wait for an earlier test's.
    early: BTreeMap<usize, Report>,
    score: Score,
    /// The part and the lab of the first test that failed as not implemented.
    begin_with: Option<(String, String)>,
    /// Whether each test passed, in order, so far.
    verdicts: Vec<bool>,
    failure: Option<Failure>,
    interrupted: bool,
    bar: ProgressBar,
}

impl<'a> Results<'a> {
    fn new(tests: &'a [Test], world: &'a World) -> Results<'a> {
        let bar = ProgressBar::new(tests.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}") {
            bar.set_style(style);
        }
        Results {
            tests,
            world,
            early: BTreeMap::new(),
            score: Score::default(),
            begin_with: None,
            verdicts: Vec::new(),
            failure: None,
            interrupted: false,
            bar,
        }
    }

    /// Takes the result of one test. False if it could not be run, and so no other can be expected to.
    fn take(&mut self, index: usize, result: Result<Option<Report>, Failure>) -> bool {
        match result {
            Ok(Some(report)) => {
                self.early.insert(index, report);
            }
            Ok(None) => self.interrupted = true,
            Err(failure) => self.failure = Some(failure),
        }
        self.bar.inc(1);
        while let Some(report) = self.early.remove(&self.score.total()) {
            self.print(self.score.total(), &report);
        }
        self.failure.is_none() && !self.interrupted
    }

    /// Prints the result of the next test, below the heading that it has in `labs.toml`, and counts it.
    fn print(&mut self, index: usize, report: &Report) {
        let test = &self.tests[index];
        let before = index.checked_sub(1).and_then(|before| self.tests[before].heading.as_ref());
        self.bar.suspend(|| {
            if let Some(heading) = test.heading.as_ref().filter(|heading| before != Some(heading)) {
                println!("{}", style(heading).dim());
            }
            print_result(test, report, self.world);
        });
        self.score.add(test, report.verdict());
        self.verdicts.push(report.ok);
        if self.begin_with.is_none() && unwritten(report).is_some() {
            self.begin_with = Some((test.part.clone(), test.lab.clone()));
        }
    }

    /// Keeps the results for `cargo lab` alone.
    fn keep(&self, catalogue: &Catalogue) {
        let mut progress = Progress::read(catalogue);
        for (test, &passed) in self.tests.iter().zip(&self.verdicts) {
            progress.note(test, passed);
        }
        progress.keep(catalogue);
    }

    /// The last line.
    fn finish(self, begun: Instant, seed: u64, catalogue: &Catalogue) -> Result<Outcome, Failure> {
        self.bar.finish_and_clear();
        self.keep(catalogue);
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let took = duration(begun.elapsed());
        if self.interrupted {
            println!("{} after {}", style("interrupted").yellow(), count(self.score.total(), "test"));
        } else {
            let begin = self.begin_with.as_ref().map(|(part, lab)| match chapter(catalogue, lab) {
                Some(chapter) => format!("; begin with {part}: {chapter}"),
                None => format!("; begin with {part}"),
            });
            let begin = begin.unwrap_or_default();
            println!("{} in {took}{}{begin} (seed {seed})", self.score.tests(), self.score.points());
        }
        Ok(match self.score.outcome() {
            Outcome::Failed => Outcome::Failed,
            _ if self.interrupted => Outcome::Interrupted,
            outcome => outcome,
        })
    }
}
