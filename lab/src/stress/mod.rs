//! `cargo lab stress`: each test with many seeds, many seeds a process, several processes at once.
//!
//! This thread alone counts, writes the journal and draws; the workers only run tests and send their reports.

mod campaign;
mod display;
mod folder;
mod tally;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::Sender;

use campaign::{Campaign, Identity};
use console::style;
use display::Display;
use tally::Tallies;

use crate::build::build;
use crate::catalogue::{Catalogue, Test};
use crate::cli::{Arguments, StressOptions};
use crate::process::Supervisor;
use crate::protocol::Report;
use crate::runner::{Job, PICTURES, Runner, World};
use crate::select::select;
use crate::{Failure, Outcome, pool};

/// At most so many seeds a process: then its memory is given back, and the next test has its turn.
const LONGEST_JOB: u64 = 500;

/// What the workers send.
enum Message {
    /// A job's next seed is done.
    Report(usize, Box<Report>),
    /// A job came to its end.
    End(usize),
    /// A test cannot be run at all.
    Broken(Failure),
}

/// Runs a campaign to its end, or until ctrl-C.
pub(crate) fn run(arguments: &Arguments, options: &StressOptions) -> Result<Outcome, Failure> {
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let tests = select(&catalogue, &options.selection.patterns)?;
    let binaries = build(&catalogue.root, &tests, &options.run.build(options.race))?;
    let world = world(&catalogue, options);
    let identity = Identity::new(&tests, options.runs, &world, options.race, &binaries)?;
    let mut campaign = Campaign::open(&catalogue.root, options, identity)?;
    let mut world = world;
    if std::env::var_os(PICTURES).is_none() {
        // Beside the stories.
        let folder = std::path::absolute(campaign.stories()).unwrap_or_else(|_| campaign.stories());
        world.variables.push((PICTURES, folder.display().to_string()));
    }
    let runner = Runner { supervisor: Supervisor::start()?, world };

    let binary = |test: &Test| -> &Path { &binaries[&(test.package.clone(), test.binary.clone())] };
    let jobs: Vec<(usize, Job<'_>)> = plan(&tests, &campaign, options.workers.number())
        .into_iter()
        .enumerate()
        .map(|(number, (test, seeds))| {
            (number, Job { binary: binary(&tests[test]), test: &tests[test], seeds })
        })
        .collect();
    let mut course = Course::new(&tests, &mut campaign, options);
    pool::run(
        options.workers.number(),
        &jobs,
        |(number, job), sender| work(&runner, *number, job, sender),
        |message| course.take(message, &jobs, &runner.supervisor),
    );
    course.finish(&runner.supervisor)
}

/// In which world to run: the one that the options name, or, to find races, real threads under
/// ThreadSanitizer.
fn world(catalogue: &Catalogue, options: &StressOptions) -> World {
    let mut world = options.run.world();
    if options.race {
        world.threads = true;
        // The first race ends the process, so that it is charged to the seed that met it.
        let mut sanitizer = "halt_on_error=1".to_owned();
        if let Some(path) = catalogue.race_suppressions() {
            sanitizer += &format!(" suppressions='{}'", path.display());
        }
        world.variables.push(("TSAN_OPTIONS", sanitizer));
    }
    world
}

/// The seeds still to be run, in pieces. All tests advance side by side, so that a broken one shows early.
fn plan(tests: &[Test], campaign: &Campaign, workers: usize) -> Vec<(usize, std::ops::Range<u64>)> {
    // Four pieces a worker at least: the last ones are then short enough that no worker waits long for
    // another.
    let longest = (campaign.runs() / (4 * workers as u64)).clamp(1, LONGEST_JOB);
    let mut pieces = Vec::new();
    for (index, test) in tests.iter().enumerate() {
        let mut round = 0;
        for gap in campaign.missing(&test.name) {
            let mut from = gap.start;
            while from < gap.end {
                let to = (from + longest).min(gap.end);
                pieces.push((round, index, from..to));
                (from, round) = (to, round + 1);
            }
        }
    }
    pieces.sort_by_key(|(round, index, _)| (*round, *index));
    pieces.into_iter().map(|(_, index, seeds)| (index, seeds)).collect()
}

/// Runs one job and sends what it reports.
fn work(runner: &Runner, number: usize, job: &Job<'_>, sender: &Sender<Message>) {
    let ran = runner.run(job, &mut |report| {
        // The receiver outlives the workers.
        let _ = sender.send(Message::Report(number, Box::new(report)));
        if runner.supervisor.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let _ = sender.send(match ran {
        Ok(()) => Message::End(number),
        Err(failure) => Message::Broken(failure),
    });
}

/// A campaign under way.
struct Course<'a> {
    tests: &'a [Test],
    campaign: &'a mut Campaign,
    tallies: Tallies,
    display: Display,
    /// What each running job has done since the journal last heard of it.
    open: BTreeMap<usize, campaign::Record>,
    failure: Option<Failure>,
}

impl<'a> Course<'a> {
    fn new(tests: &'a [Test], campaign: &'a mut Campaign, options: &StressOptions) -> Course<'a> {
        let tallies = Tallies::new(tests, campaign);
        let display = Display::new(tests, &tallies, campaign, options);
        Course { tests, campaign, tallies, display, open: BTreeMap::new(), failure: None }
    }

    /// Takes one message. False if there is no use in going on.
    fn take(&mut self, message: Message, jobs: &[(usize, Job<'_>)], supervisor: &Supervisor) -> bool {
        let result = match message {
            Message::Report(number, report) => self.count(number, jobs[number].1.test, &report),
            Message::End(number) => self.write(number),
            Message::Broken(failure) => Err(failure),
        };
        if let Err(failure) = result {
            self.failure.get_or_insert(failure);
            supervisor.stop();
        }
        !supervisor.is_stopped()
    }

    /// Counts a report, in this order: the story is kept, the journal knows, the user sees.
    fn count(&mut self, number: usize, test: &Test, report: &Report) -> Result<(), Failure> {
        let kept = if report.ok { None } else { self.campaign.keep_story(test, report)? };
        let record =
            self.open.entry(number).or_insert_with(|| campaign::Record::begin(&test.name, report.seed));
        record.add(report);
        let due = record.is_due();
        self.tallies.add(&test.name, report);
        self.display.advance(&self.tallies, test, report, kept.as_deref());
        if due || !report.ok { self.write(number) } else { Ok(()) }
    }

    /// Writes what a job has done into the journal.
    fn write(&mut self, number: usize) -> Result<(), Failure> {
        self.open.remove(&number).map_or(Ok(()), |record| self.campaign.write(&record))
    }

    /// Writes what is left, prints the table, and says how it went.
    fn finish(mut self, supervisor: &Supervisor) -> Result<Outcome, Failure> {
        let open: Vec<usize> = self.open.keys().copied().collect();
        let written = open.into_iter().try_for_each(|number| self.write(number));
        self.display.finish();
        println!("{}", self.tallies.table(self.tests));
        let interrupted = supervisor.is_stopped();
        let passed = self.tallies.failed() == 0 && self.tallies.inconclusive() == 0;
        self.campaign.close(passed && !interrupted && self.tallies.is_complete())?;
        written?;
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if interrupted {
            println!("{}; the same command goes on from here", style("interrupted").yellow());
        }
        if self.tallies.failed() > 0 {
            println!("the stories of the failures are in {}", self.campaign.stories().display());
            return Ok(Outcome::Failed);
        }
        Ok(match (interrupted, self.tallies.inconclusive()) {
            (true, _) => Outcome::Interrupted,
            (false, 0) => Outcome::Passed,
            (false, number) => {
                println!("{number} inconclusive: run again on a quieter machine, or with fewer --jobs");
                Outcome::Unknown
            }
        })
    }
}
