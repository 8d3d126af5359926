//! `cargo lab test`: each test once, and a line for each as the course prints it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use lab_terminal::{Waiting, count, duration, is_lively};
use labreport::Verdict;
use nix::sys::resource::{UsageWho, getrusage};

use crate::build::build;
use crate::catalogue::{Catalogue, Test};
use crate::cli::{Arguments, TestOptions};
use crate::failures::{self, Failed, Failures, Of};
use crate::fold::Fold;
use crate::handed::warn_of_changes;
use crate::last_test::LastTest;
use crate::process::Supervisor;
use crate::progress::{Progress, chapter};
use crate::protocol::Report;
use crate::reference::Reference;
use crate::runner::{Job, Runner, World};
use crate::score::Score;
use crate::select::select;
use crate::stress::folder;
use crate::style::{Story, print_result, print_unwatched, replay_command, say, tail, warn};
use crate::unwritten::{unwatched, unwritten};
use crate::{Failure, Outcome, bans, environment, order, pool, statics};

/// What `cargo lab bench` looks for in the output.
pub(crate) const RESOURCES: &str = "largest process:";

/// How many lines of the first report are printed, and of the others.
const TOLD: (usize, usize) = (16, 0);

/// How many lines of the report to read first are printed at the end, where many tests share lines.
const TOLD_AT_END: usize = 12;

/// Builds, runs each chosen test with one seed, and prints the results in the order of `labs.toml`.
pub(crate) fn run(arguments: &Arguments, options: &TestOptions) -> Result<Outcome, Failure> {
    environment::check()?;
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let tests = select(&catalogue, &options.selection.patterns)?;
    let world = options.run.world()?;
    let reference = Reference::load(&catalogue.root)?;
    warn_of_changes(&catalogue);
    statics::in_sources_of(&catalogue.root, &tests).iter().for_each(|found| warn(&found.to_string()));
    let unseen = bans::in_sources_of(&catalogue.root, &tests);
    unseen.iter().for_each(|found| warn(found));
    let binaries = build(&catalogue.root, &tests, &options.run.build(false))?;
    let runner = Runner { supervisor: Supervisor::start()?, world };
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
    let kept = LastTest::claim(&catalogue.root);
    let folder = folder::relative(kept.path());
    let mut results = Results::new(&tests, &runner.world, options, folder);
    results.reference = reference;
    if !options.form.json {
        results.fold = Fold::new(&catalogue, tests.len(), &runner.world, options.each);
    }
    let workers = options.workers.number_in(&runner.world);
    let progress = Progress::read(&catalogue);
    let seconds = |test| progress.seconds(test).or_else(|| results.reference.seconds(test));
    let order = match runner.world.threads {
        true => order::on_threads(&tests.iter().map(seconds).collect::<Vec<_>>()),
        false => (0..tests.len()).collect(),
    };
    let planned: Vec<(usize, Job<'_>)> = order.into_iter().map(|index| jobs[index].clone()).collect();
    run_jobs(&runner, workers, &planned, &mut results);
    // Tests that sleep side by side may have taken the processors from one another. By themselves they tell.
    let again: Vec<(usize, Job<'_>)> =
        std::mem::take(&mut results.again).into_iter().map(|index| jobs[index].clone()).collect();
    results.is_last = true;
    if !again.is_empty() && !runner.supervisor.is_stopped() {
        eprintln!("again, each by itself: {}", count(again.len(), "inconclusive test"));
        run_jobs(&runner, 1, &again, &mut results);
    }
    let outcome = results.finish(begun, seed, &catalogue)?;
    if let Some(first) = unseen.first().filter(|_| outcome == Outcome::Failed) {
        // What was said at the beginning has left the screen, and no report can know of it.
        warn(&format!("mend what was said at the beginning, too, which may be why: {first}"));
    }
    if options.resources {
        println!("{RESOURCES} {} MiB", largest_child_mb()?);
    }
    Ok(outcome)
}

/// Runs these tests, so many at once.
fn run_jobs(runner: &Runner, workers: usize, jobs: &[(usize, Job<'_>)], results: &mut Results<'_>) {
    pool::run_with_clock(
        workers,
        jobs,
        |(index, job), sender| {
            let mut last = None;
            let ran = runner.run(job, &mut |report| {
                last = Some(report);
                ControlFlow::Continue(())
            });
            // The receiver outlives the workers.
            let _ = sender.send((*index, ran.map(|()| last)));
        },
        |message| {
            let Some((index, result)) = message else { return results.wait() };
            let go_on = results.take(index, result);
            if results.stops_here() {
                runner.supervisor.stop();
            }
            go_on
        },
    );
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
    options: &'a TestOptions,
    reference: Reference,
    fold: Fold,
    /// Where whole reports are kept.
    folder: PathBuf,
    /// Results that wait for an earlier test's.
    early: BTreeMap<usize, Report>,
    /// How many tests were printed.
    printed: usize,
    /// Tests to run once more, by themselves; not with `--jobs`, by which the user has decided.
    again: Vec<usize>,
    is_last: bool,
    score: Score,
    failures: Failures,
    /// The part and the lab of the first test that failed as not implemented.
    begin_with: Option<(String, String)>,
    /// Whether each test passed, so far, and how long it lasted.
    verdicts: BTreeMap<usize, (bool, Duration)>,
    failure: Option<Failure>,
    interrupted: bool,
    bar: ProgressBar,
    /// What the checkers do not see, and in how many tests.
    unwatched: BTreeMap<String, usize>,
    /// Which tests have ended, printed or not.
    ended: BTreeSet<usize>,
    waiting: Waiting,
}

impl<'a> Results<'a> {
    fn new(tests: &'a [Test], world: &'a World, options: &'a TestOptions, folder: PathBuf) -> Results<'a> {
        let bar = if is_lively() { ProgressBar::new(tests.len() as u64) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}") {
            bar.set_style(style);
        }
        Results {
            tests,
            world,
            options,
            reference: Reference::default(),
            fold: Fold::default(),
            folder,
            early: BTreeMap::new(),
            printed: 0,
            again: Vec::new(),
            is_last: !world.threads || options.workers.are_given(),
            score: Score::default(),
            failures: Failures::default(),
            begin_with: None,
            verdicts: BTreeMap::new(),
            failure: None,
            interrupted: false,
            bar,
            unwatched: BTreeMap::new(),
            ended: BTreeSet::new(),
            waiting: Waiting::begin(),
        }
    }

    /// Whether a failure ends the whole run.
    fn stops_here(&self) -> bool {
        self.options.fail_fast && self.score.outcome() == Outcome::Failed
    }

    /// Says what runs, where nothing moves and nothing was printed for a while. Whether to go on.
    fn wait(&mut self) -> bool {
        let Results { tests, ended, .. } = self;
        let line = self.waiting.due(|| {
            let running = (0..tests.len()).find(|index| !ended.contains(index));
            let name = running.map_or("", |index| tests[index].name.as_str());
            format!("{} of {} have ended; next in the list: {name}", ended.len(), count(tests.len(), "test"))
        });
        if let Some(line) = line {
            eprintln!("{line}");
        }
        self.failure.is_none() && !self.interrupted
    }

    /// Takes the result of one test. False if it could not be run, and so no other can be expected to.
    fn take(&mut self, index: usize, result: Result<Option<Report>, Failure>) -> bool {
        self.ended.insert(index);
        match result {
            Ok(Some(report)) if self.options.fail_fast && report.verdict() == Verdict::Failed => {
                // The order of labs.toml does not matter any more: no other test is waited for.
                self.print(index, &report);
                return false;
            }
            Ok(Some(report)) if index < self.printed => self.print(index, &report),
            Ok(Some(report)) => {
                self.early.insert(index, report);
            }
            Ok(None) => self.interrupted = true,
            Err(failure) => self.failure = Some(failure),
        }
        self.bar.inc(1);
        while let Some(report) = self.early.remove(&self.printed) {
            self.printed += 1;
            self.print(self.printed - 1, &report);
        }
        self.failure.is_none() && !self.interrupted
    }

    /// Prints the result of a test, below the heading that it has in `labs.toml`, and counts it.
    fn print(&mut self, index: usize, report: &Report) {
        self.waiting.heard();
        let test = &self.tests[index];
        let failed = report.verdict() == Verdict::Failed;
        let is_kept = !report.ok && unwritten(report).is_none();
        let file = if !is_kept { None } else { failures::keep(&self.folder, test, report, self.world).ok() };
        let remark = self.reference.remark(test, report, self.world);
        let (before, has_line) = self.fold.take(test, report, remark.as_deref());
        self.bar.suspend(|| {
            before.iter().for_each(|line| say(line));
            if self.options.form.json {
                println!("{}", json_of(test, report, self.world, file.as_deref()));
            } else if has_line {
                self.print_line(index, report, remark.as_deref(), file.as_deref());
            }
        });
        for what in unwatched(report) {
            *self.unwatched.entry(what.clone()).or_default() += 1;
        }
        self.verdicts.insert(index, (report.ok, Duration::from_nanos(report.virtual_ns)));
        if unwritten(report).is_some() {
            self.begin_with.get_or_insert((test.part.clone(), test.lab.clone()));
        } else if failed {
            self.failures.add(&Failed::new(test, report, self.world, file.as_deref()));
        }
        if report.verdict() == Verdict::Inconclusive && !self.is_last {
            self.again.push(index);
        } else {
            self.score.add(test, report.verdict());
        }
    }

    /// The line of a test, and below it as much of its report as is wanted here.
    fn print_line(&self, index: usize, report: &Report, remark: Option<&str>, file: Option<&Path>) {
        let test = &self.tests[index];
        let is_first = self.score.outcome() != Outcome::Failed;
        let told = match file {
            None => usize::MAX,
            // Where tests share lines, the end shows the report to read first.
            Some(_) if is_first && !self.fold.is_on() => TOLD.0,
            Some(_) => TOLD.1,
        };
        let before = index.checked_sub(1).and_then(|before| self.tests[before].heading.as_ref());
        let is_first_below = |heading: &&String| before != Some(heading) && !self.fold.is_on();
        if let Some(heading) = test.heading.as_ref().filter(is_first_below) {
            say(&style(heading).dim().to_string());
        }
        let replay = &replay_command(test, report.seed, self.world);
        print_result(test, report, self.world, &Story { told, file, replay });
        if let Some(remark) = remark {
            say(&format!("    {} {remark}", style("remark:").dim()));
        }
    }

    /// What failed, which run to read first, and, where many tests share lines, the end of its report.
    fn print_failures(&self) {
        if self.score.total() < 2 {
            return;
        }
        let total = self.score.total() as u64;
        let first = self.failures.print(total, Of::Tests);
        let file = first.and_then(|first| first.file.as_deref()).filter(|_| self.fold.is_on());
        if let Some(text) = file.and_then(|file| std::fs::read_to_string(file).ok()) {
            println!();
            tail(failures::report_in(&text), TOLD_AT_END).iter().for_each(|line| println!("    {line}"));
        }
    }

    /// Keeps the results for `cargo lab` alone.
    fn keep(&self, catalogue: &Catalogue) {
        let mut progress = Progress::read(catalogue);
        for (&index, &(passed, lasted)) in &self.verdicts {
            progress.note(&self.tests[index], passed, lasted);
        }
        progress.keep(catalogue);
    }

    /// What failed, and the last line.
    fn finish(mut self, begun: Instant, seed: u64, catalogue: &Catalogue) -> Result<Outcome, Failure> {
        self.bar.finish_and_clear();
        self.keep(catalogue);
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        // Inconclusive tests that were not run again, because of an interruption.
        self.again.iter().for_each(|&index| self.score.add(&self.tests[index], Verdict::Inconclusive));
        let took = begun.elapsed();
        let stopped = self.stops_here();
        let missing = self.tests.len() - self.score.total().min(self.tests.len());
        self.fold.last().iter().for_each(|line| say(line));
        let outcome = match self.score.outcome() {
            Outcome::Failed => Outcome::Failed,
            _ if self.interrupted || missing > 0 => Outcome::Interrupted,
            outcome => outcome,
        };
        if self.options.form.json {
            let groups = self.failures.groups();
            println!(
                "{}",
                serde_json::json!({"summary": {"seed": seed, "seconds": took.as_secs_f64(), "tests": self.tests.len(),
                    "not_run": missing, "score": self.score, "failures": groups}})
            );
            return Ok(outcome);
        }
        self.fold.remarks().iter().for_each(|line| say(line));
        print_unwatched(&self.unwatched);
        self.print_failures();
        let (tests, points) = (self.score.tests(), self.score.points());
        if stopped {
            say(&format!("{tests}, and {missing} not run (--fail-fast; seed {seed})"));
        } else if self.interrupted {
            let score = if self.score.total() > 0 { format!(": {tests}") } else { String::new() };
            say(&format!(
                "{} after {}{score}",
                style("interrupted").yellow(),
                count(self.score.total(), "test")
            ));
        } else {
            let begin = self.begin_with.as_ref().map(|(part, lab)| match chapter(catalogue, lab) {
                Some(chapter) => format!("; begin with {part}: {chapter}"),
                None => format!("; begin with {part}"),
            });
            let begin = begin.unwrap_or_default();
            say(&format!("{tests} in {}{points}{begin} (seed {seed})", duration(took)));
        }
        Ok(outcome)
    }
}

/// A result for programs.
fn json_of(test: &Test, report: &Report, world: &World, file: Option<&Path>) -> serde_json::Value {
    serde_json::json!({
        "lab": test.lab, "part": test.part, "title": test.title, "points": test.points,
        "replay": replay_command(test, report.seed, world), "file": file, "result": report,
    })
}
