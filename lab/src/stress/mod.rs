//! `cargo lab stress`: each test with many seeds, many seeds a process, several processes at once.
//!
//! This thread alone counts, writes the journal and draws; the workers only run tests and send their reports.

mod campaign;
mod display;
pub(crate) mod folder;
mod tally;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use campaign::{Campaign, Identity};
use console::style;
use display::Display;
use labreport::Verdict;
use tally::Tallies;

use crate::build::{Binaries, build};
use crate::catalogue::{Catalogue, Test};
use crate::cli::{Arguments, StressOptions};
use crate::failures::{Failed, Of};
use crate::process::Supervisor;
use crate::progress::Progress;
use crate::protocol::Report;
use crate::reference::Reference;
use crate::runner::{CHECK_DETERMINISM, Job, PICTURES, Runner, World};
use crate::select::select;
use crate::style::say;
use crate::{Failure, Outcome, environment, pool};

/// At most so many seeds a process: then its memory is given back, and the next test has its turn.
const LONGEST_JOB: u64 = 500;

/// How many runs of each test a campaign of --loop has at most.
const MOST_RUNS: u64 = 10_000_000;

/// What the workers send.
enum Message {
    /// A job's next seed is done.
    Report(usize, Box<Report>),
    /// A job came to its end.
    End(usize),
    /// A test cannot be run at all.
    Broken(Failure),
}

/// Runs a campaign to its end, or until ctrl-C; with `--loop` one after the other.
pub(crate) fn run(arguments: &Arguments, options: &StressOptions) -> Result<Outcome, Failure> {
    environment::check_without_seed()?;
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let tests = select(&catalogue, &options.selection.patterns)?;
    campaign::check_seeds(options)?;
    let world = world(&catalogue, options)?;
    let reference = Reference::load(&catalogue.root)?;
    let known = Known { catalogue: &catalogue, reference };
    let binaries = build(&catalogue.root, &tests, &options.run.build(options.race))?;
    let mut options = options.clone();
    let mut supervisor = None;
    loop {
        let identity = Identity::new(&tests, options.runs, &world, options.race, &binaries)?;
        let mut campaign = Campaign::open(&catalogue.root, &options, identity)?;
        let supervisor = match &supervisor {
            Some(started) => Arc::clone(started),
            None => Arc::clone(supervisor.insert(Supervisor::start()?)),
        };
        let outcome = run_campaign(&tests, &binaries, &mut campaign, &options, &world, supervisor, &known)?;
        let next = campaign.first_seed().checked_add(campaign.runs());
        if !options.endless || outcome != Outcome::Passed || next.is_none() {
            return Ok(outcome);
        }
        options.runs = options.runs.saturating_mul(options.growth).min(MOST_RUNS);
        options.first_seed = next;
        if campaign::check_seeds(&options).is_err() {
            options.first_seed = None;
        }
        eprintln!("again, {} runs of each test", options.runs);
    }
}

/// What is known of the workspace.
struct Known<'a> {
    catalogue: &'a Catalogue,
    reference: Reference,
}

/// Runs what is missing of a campaign.
fn run_campaign(
    tests: &[Test],
    binaries: &Binaries,
    campaign: &mut Campaign,
    options: &StressOptions,
    world: &World,
    supervisor: Arc<Supervisor>,
    known: &Known<'_>,
) -> Result<Outcome, Failure> {
    let mut world = world.clone();
    if std::env::var_os(PICTURES).is_none() {
        // Beside the stories.
        let folder = std::path::absolute(campaign.stories()).unwrap_or_else(|_| campaign.stories());
        world.variables.push((PICTURES, folder.display().to_string()));
    }
    if world.is_swarm(campaign.first_seed()) {
        world.swarm_from = Some(campaign.first_seed());
    } else if world.swarms_a_tenth {
        world.swarm_from = campaign.swarm_from();
    }
    let workers = options.workers.number_in(&world);
    let runner = Runner { supervisor, world };
    let binary = |test: &Test| -> &Path { &binaries[&(test.package.clone(), test.binary.clone())] };
    let jobs: Vec<(usize, Job<'_>)> =
        plan(tests, campaign, workers, options.sequential, runner.world.swarm_from)
            .into_iter()
            .enumerate()
            .map(|(number, (test, seeds))| {
                (number, Job { binary: binary(&tests[test]), test: &tests[test], seeds })
            })
            .collect();
    let mut course = Course::new(tests, campaign, options, &runner.world, known);
    pool::run_with_clock(
        workers,
        &jobs,
        |(number, job), sender| work(&runner, *number, job, sender),
        |message| match message {
            Some(message) => course.take(message, &jobs, &runner.supervisor),
            None => {
                course.display.wait(&course.tallies);
                !runner.supervisor.is_stopped()
            }
        },
    );
    course.finish(&runner.supervisor)
}

/// In which world to run: the one that the options name, or, to find races, real threads under
/// ThreadSanitizer.
fn world(catalogue: &Catalogue, options: &StressOptions) -> Result<World, Failure> {
    let mut world = options.run.world()?;
    // On real threads there is nothing to draw but the network.
    world.swarms_a_tenth = !(options.plain || options.race || world.threads);
    if options.archive {
        world.variables.push(("LAB_STORY", "1".to_owned()));
    }
    if options.verbose > 0 {
        world.variables.push(("VERBOSE", options.verbose.to_string()));
    }
    if options.race {
        let determinism = world.variables.iter().any(|(name, _)| *name == CHECK_DETERMINISM);
        options.run.check_for_threads(determinism)?;
        world.threads = true;
        // The first race ends the process, so that it is charged to the seed that met it.
        let mut sanitizer = "halt_on_error=1".to_owned();
        if let Some(path) = catalogue.race_suppressions() {
            sanitizer += &format!(" suppressions='{}'", path.display());
        }
        world.variables.push(("TSAN_OPTIONS", sanitizer));
    }
    Ok(world)
}

/// The seeds still to be run, in pieces. All tests advance side by side, so that a broken one shows early;
/// or, in `sequence`, one after the other.
fn plan(
    tests: &[Test],
    campaign: &Campaign,
    workers: usize,
    sequence: bool,
    swarm_from: Option<u64>,
) -> Vec<(usize, std::ops::Range<u64>)> {
    // Four pieces a worker at least: the last ones are then short enough that no worker waits long for
    // another.
    let longest = (campaign.runs() / (4 * workers as u64)).clamp(1, LONGEST_JOB);
    let mut pieces = Vec::new();
    for (index, test) in tests.iter().enumerate() {
        let mut round = 0;
        for gap in campaign.missing(&test.name) {
            let mut from = gap.start;
            while from < gap.end {
                let border = swarm_from.filter(|border| *border > from).unwrap_or(gap.end);
                let to = (from + longest).min(gap.end).min(border);
                pieces.push((round, index, from..to));
                (from, round) = (to, round + 1);
            }
        }
    }
    if !sequence {
        pieces.sort_by_key(|(round, index, _)| (*round, *index));
    }
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
    options: &'a StressOptions,
    world: &'a World,
    known: &'a Known<'a>,
    /// `--fail-fast` has met a failure.
    stopped: bool,
}

impl<'a> Course<'a> {
    fn new(
        tests: &'a [Test],
        campaign: &'a mut Campaign,
        options: &'a StressOptions,
        world: &'a World,
        known: &'a Known<'a>,
    ) -> Course<'a> {
        let tallies = Tallies::new(tests, campaign);
        let display = Display::new(tests, &tallies, campaign, options);
        Course {
            tests,
            campaign,
            tallies,
            display,
            open: BTreeMap::new(),
            failure: None,
            options,
            world,
            known,
            stopped: false,
        }
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
        // A campaign that is looped has found what it looked for.
        if (self.options.fail_fast || self.options.endless)
            && self.tallies.failed() > 0
            && !supervisor.is_stopped()
        {
            self.stopped = true;
            supervisor.stop();
        }
        !supervisor.is_stopped()
    }

    /// Counts a report, in this order: the story is kept, the journal knows, the user sees.
    fn count(&mut self, number: usize, test: &Test, report: &Report) -> Result<(), Failure> {
        let archive = self.options.archive;
        let is_kept = !report.ok || archive;
        let kept = if is_kept { self.campaign.keep_story(test, report, self.world, archive)? } else { None };
        let failed = (report.verdict() == Verdict::Failed)
            .then(|| Failed::new(test, report, self.world, kept.as_deref()));
        let is_first = failed.is_some() && self.tallies.failed() == 0;
        let record =
            self.open.entry(number).or_insert_with(|| campaign::Record::begin(&test.name, report.seed));
        record.add(report, failed.clone());
        let due = record.is_due();
        self.tallies.add(&test.name, report, failed);
        self.display.advance(&self.tallies, test, report, kept.as_deref());
        if is_first && self.options.notify {
            notify(test, report);
        }
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
        let interrupted = supervisor.is_stopped();
        let passed = self.tallies.failed() == 0 && self.tallies.inconclusive() == 0;
        self.print(interrupted);
        self.keep();
        let complete = passed && !interrupted && self.tallies.is_complete();
        self.campaign.close(complete && !self.options.archive)?;
        written?;
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.tallies.failed() > 0 {
            return Ok(Outcome::Failed);
        }
        Ok(match (interrupted, self.tallies.inconclusive(), complete) {
            (true, ..) => Outcome::Interrupted,
            (false, 0, true) => Outcome::Passed,
            (false, 0, false) => return Err(Failure::new("some runs were not done, for no known reason")),
            (false, ..) => Outcome::Unknown,
        })
    }

    /// Keeps the results for `cargo lab` alone: a test passes that passed with every seed.
    fn keep(&self) {
        let mut progress = Progress::read(self.known.catalogue);
        for test in self.tests {
            let tally = self.tallies.of(&test.name);
            if let Some(passed) = tally.passed() {
                progress.note(test, passed, tally.lasted());
            }
        }
        progress.keep(self.known.catalogue);
    }

    /// The table, what failed by signature, and what else there is to say.
    fn print(&self, interrupted: bool) {
        let (tallies, failures) = (&self.tallies, self.campaign.stories());
        if self.options.form.json {
            tallies.print_json(self.tests);
            println!(
                "{}",
                serde_json::json!({"summary": {"runs": tallies.total(), "failed": tallies.failed(), "interrupted": interrupted,
                    "inconclusive": tallies.inconclusive(), "first_seed": self.campaign.first_seed(),
                    "swarm_from": self.world.swarm_from,
                    "failures": tallies.failures().groups(), "folder": failures}})
            );
            return;
        }
        println!("{}", tallies.table(self.tests));
        tallies.print_remarks(self.tests);
        let is_ordinary = self.world.variables.iter().all(|(name, _)| *name == PICTURES);
        if !self.world.threads && is_ordinary {
            tallies.print_costs(self.tests, &self.known.reference);
        }
        tallies.print_exercised(self.tests);
        let _ = tallies.failures().print(tallies.total(), Of::Runs);
        if let Some(from) = self.world.swarm_from {
            let swarm = self.campaign.first_seed() + self.campaign.runs() - from;
            // Of a campaign that was cut short the last seeds, which are these, may not have run.
            let is_cut_short = interrupted || self.stopped;
            let (draw, runs) = (if is_cut_short { "are to draw" } else { "also drew" }, self.campaign.runs());
            say(&format!(
                "swarm: seeds from {from} on, {swarm} of {runs} of each test, {draw} delays, scheduler, clocks and pauses"
            ));
        }
        if self.stopped {
            say("stopped at the first failure; the same command goes on from here");
        } else if interrupted {
            say(&format!("{}; the same command goes on from here", style("interrupted").yellow()));
        }
        if tallies.failed() > 0 {
            say(&format!("the stories of the failures are in {}", failures.display()));
        }
        if self.options.archive {
            say(&format!("all runs are kept beside {}", failures.display()));
        }
        if tallies.inconclusive() > 0 {
            let number = tallies.inconclusive();
            say(&format!("{number} inconclusive: run again on a quieter machine, or with fewer --jobs"));
        }
    }
}

/// Tells the desktop of the first failure. Where there is no desktop, nothing happens.
fn notify(test: &Test, report: &Report) {
    let text = format!("{} seed {}: {}", test.name, report.seed, report.reason());
    let mut command = Command::new("notify-send");
    command.args(["--", "cargo lab stress: a run failed", &text]);
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    // Waited for, so that it does not stay as a dead process.
    std::thread::spawn(move || started.map(|mut child| child.wait()));
}
