//! Runs a submission's tests, and tells what each run came to.
//!
//! The tests of a part share a process, each with all seeds, because a sandbox for each test would cost more
//! than most tests do. If the process dies, the tests that were not finished get one each. Every pass that
//! may earn points is then run again, in a process that begins elsewhere in the seeds, and counts only if the
//! two runs are equal. Tests without points are most of a lab's, and nobody gains by a pass in them: they
//! have a share of the seeds, and of each the first seed alone is repeated.
//!
//! One seed in ten is a swarm's: it also draws delays, scheduler, clocks and pauses. Which ones are follows
//! from the seed alone, and so not from how the seeds are cut into shards.

mod lost;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lab_terminal::Failure;
use labreport::{Kind, Report, swarm};
use serde::{Deserialize, Serialize};

use self::lost::{cut, death, hopeless, is_expensive, is_lost, say};
use crate::parallel::in_parallel;
use crate::sandbox::confine::{BROKEN, COMPLAINT};
use crate::sandbox::{Bounds, Mount, Sandbox};
use crate::secret;
use crate::settings::{Limits, Test};
use crate::watch::{Allowance, Cause, End, Pulse, run};

/// A submission's binaries, ready to be run.
pub(crate) struct Runner {
    pub(crate) sandbox: Sandbox,
    /// By crate.
    pub(crate) binaries: BTreeMap<String, PathBuf>,
    /// How many processes at once.
    pub(crate) jobs: usize,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) passed: bool,
    /// Of a failure: its kind, and the broken rule if one was.
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) story: String,
    /// The event hash.
    pub(crate) hash: String,
}

/// The runs of one test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runs {
    pub(crate) runs: Vec<Run>,
    /// Why not all seeds were run.
    pub(crate) cut: Option<String>,
    /// What differed when a passed run was repeated, and its seed.
    pub(crate) unequal: Option<(u64, String)>,
}

/// Mebibytes that a process may print; the tests themselves print little.
const OUTPUT_MB: u64 = 64;

/// Bytes of the longest report; a story has a few hundred lines.
const LONGEST_REPORT: u64 = 16 * 1024 * 1024;

/// How many tests of a part may come to nothing, see [`is_lost`], before the others are not run.
const MOST_LOST: usize = 4;

/// Stories that are kept of a test's failures; most of them tell the same.
const STORIES: usize = 3;

/// How many runs' processor time a process may take beside that of its own.
const SPARE_RUNS: u64 = 25;

/// How many times as much a repetition may take: no clock near a bound says that two runs differ.
const PATIENCE: u64 = 2;

/// Tests that share a process.
type Group<'a> = Vec<&'a Test>;

/// What a process has reported, by test.
type Reports = BTreeMap<String, Vec<Report>>;

impl Runner {
    /// Runs all tests, each with its seeds, and none of those that have no seeds.
    ///
    /// # Errors
    /// If a test cannot be run at all, which is nobody's fault but the grader's.
    pub(crate) fn run(&self, tests: &[(Test, Range<u64>)]) -> Result<BTreeMap<String, Runs>, Failure> {
        let groups = groups(tests);
        let results = Mutex::new(Vec::new());
        in_parallel(&groups, self.jobs, |(group, seeds)| {
            let result = self.run_group(group, seeds);
            results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
        });
        let mut all = BTreeMap::new();
        for result in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
            all.extend(result?);
        }
        Ok(all)
    }

    fn run_group(&self, group: &Group<'_>, seeds: &Range<u64>) -> Result<BTreeMap<String, Runs>, Failure> {
        let (mut reports, end) = self.session(group, seeds)?;
        let is_complete = |reports: &Reports, test: &Test| {
            reports.get(&test.name).is_some_and(|runs| runs.len() as u64 == seeds.end - seeds.start)
        };
        if end.cause == Cause::Exit(0) && !group.iter().all(|test| is_complete(&reports, test)) {
            let missing = group.iter().find(|test| !is_complete(&reports, test));
            self.check_is_there(missing, &reports)?;
        }
        let mut cuts: BTreeMap<String, String> = BTreeMap::new();
        let mut lost = 0;
        for test in group {
            let runs = reports.entry(test.name.clone()).or_default();
            if lost >= MOST_LOST {
                runs.clear();
                let why =
                    "not run, because other tests of the part took all the time that they may take, or died";
                cuts.insert(test.name.clone(), why.to_owned());
                continue;
            }
            let is_short = hopeless(runs).is_none() && (runs.len() as u64) < seeds.end - seeds.start;
            let is_over = is_short && self.run_alone(test, seeds, runs)?;
            let over = runs.first().filter(|_| is_over).map(say);
            if let Some(reason) = over.or_else(|| cut(runs)) {
                lost += usize::from(is_lost(test, runs));
                cuts.insert(test.name.clone(), reason);
            }
        }
        let again = self.repeat(group, seeds, &reports)?;
        Ok(group.iter().map(|test| (test.name.clone(), judge(test, &reports, &again, &cuts))).collect())
    }

    /// Fails if the binary has no such test: then it is the grader's list that is wrong.
    fn check_is_there(&self, missing: Option<&&Test>, reports: &Reports) -> Result<(), Failure> {
        match missing {
            // A process that ends well without a word about a test has no such test, unless lab code ended
            // it.
            Some(test) if !reports.contains_key(&test.name) => {
                let (_, end) = self.session(&vec![*test], &(0..1))?;
                if has_no_test(&end) {
                    return Err(Failure::new(format!(
                        "the binary of {} has no test {}",
                        test.krate, test.path
                    )));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Runs the seeds of a test in a process of its own, after one that it shared has died; another one for
    /// what is left, if that dies, too. Returns whether they take more processor time than they may: then
    /// none of its runs counts, for how far it came depends on the machine.
    fn run_alone(&self, test: &Test, seeds: &Range<u64>, runs: &mut Vec<Report>) -> Result<bool, Failure> {
        runs.clear();
        let mut next = seeds.start;
        while next < seeds.end && hopeless(runs).is_none() {
            let (mut reports, end) = self.session(&vec![test], &(next..seeds.end))?;
            if end.cause == Cause::Processor {
                *runs = vec![death(test, seeds.start, &end)];
                return Ok(true);
            }
            let more = reports.remove(&test.name).unwrap_or_default();
            next += more.len() as u64;
            let is_stuck = more.last().is_some_and(|run| run.stuck);
            runs.extend(more);
            if next < seeds.end && hopeless(runs).is_none() && !is_stuck {
                let last = if end.cause == Cause::Silence {
                    // It had all the time to report what went before; to see it silent again takes as long.
                    death(test, next, &end)
                } else {
                    self.run_one(test, next, &end)?
                };
                runs.push(last);
                next += 1;
            }
        }
        Ok(false)
    }

    /// Runs the seed at which a process has died, for reports may be lost when one does. If this one dies as
    /// well, that is what it comes to.
    fn run_one(&self, test: &Test, seed: u64, end: &End) -> Result<Report, Failure> {
        let (mut reports, again) = self.session(&vec![test], &(seed..seed + 1))?;
        let survived = reports.remove(&test.name).unwrap_or_default().pop();
        let end = if again.cause == Cause::Exit(0) { end } else { &again };
        Ok(survived.unwrap_or_else(|| death(test, seed, end)))
    }

    /// Runs again what [`is_repeated`], in another process: the later half of the seeds before the earlier
    /// one.
    fn repeat(&self, group: &Group<'_>, seeds: &Range<u64>, reports: &Reports) -> Result<Reports, Failure> {
        let runs_of = |test: &Test| reports.get(&test.name).map(Vec::as_slice).unwrap_or_default();
        let wanted = |test: &&&Test| runs_of(test).iter().any(|run| is_repeated(test, run, runs_of(test)));
        // Those that would take a limit's time again, or the process, have one for each row of passes.
        let (alone, together): (Group<'_>, Group<'_>) =
            group.iter().filter(wanted).copied().partition(|test| runs_of(test).iter().any(is_expensive));
        let (graded, ungraded): (Group<'_>, Group<'_>) = together.iter().partition(|test| test.points > 0);
        let middle = seeds.start + (seeds.end - seeds.start) / 2;
        let mut again = Reports::new();
        for (group, first, seeds) in
            [(graded, middle, seeds), (ungraded, seeds.start, &(seeds.start..seeds.start + 1))]
        {
            if !group.is_empty() {
                again.extend(self.session_from(first, &group, seeds, PATIENCE)?.0);
            }
        }
        for test in alone {
            for row in runs_of(test).chunk_by(|left, right| left.ok == right.ok).filter(|row| row[0].ok) {
                let (first, end) = (row[0].seed, row[0].seed + row.len() as u64);
                let (mut more, _) = self.session_from(first, &vec![test], &(first..end), PATIENCE)?;
                again
                    .entry(test.name.clone())
                    .or_default()
                    .extend(more.remove(&test.name).unwrap_or_default());
            }
        }
        Ok(again)
    }

    /// One process: these tests, each with these seeds.
    fn session(&self, tests: &Group<'_>, seeds: &Range<u64>) -> Result<(Reports, End), Failure> {
        self.session_from(seeds.start, tests, seeds, 1)
    }

    /// The same, where each test begins with the seed `first`, and has those before it last, and may take
    /// `patience` times the processor time.
    fn session_from(
        &self,
        first: u64,
        tests: &Group<'_>,
        seeds: &Range<u64>,
        patience: u64,
    ) -> Result<(Reports, End), Failure> {
        let Some(one) = tests.first() else { unreachable!("a group has a test") };
        let (krate, limits) = (&one.krate, one.limits);
        let binary =
            self.binaries.get(krate).ok_or_else(|| Failure::new(format!("there is no binary of {krate}")))?;
        let cannot =
            |error: std::io::Error| Failure::new(format!("cannot run {}: {error}", binary.display()));
        let runs = tests.len() as u64 * (seeds.end - seeds.start);
        let cpu_s = (SPARE_RUNS + runs) * limits.processor_s * patience;
        let bounds = Bounds { cpu_s, address_mb: 16 * 1024, file_mb: 16, is_test: true };
        let mut command = self.sandbox.command(
            &bounds,
            &variables(tests, limits),
            &[Mount::here(binary)],
            Path::new("/tmp"),
        );
        command.arg(binary).arg("--exact").args(tests.iter().map(|test| &test.path));
        command.args(["--nocapture", "--test-threads", "1"]);
        let secret = secret::draw();
        let (socket, theirs) = UnixStream::pair().map_err(cannot)?;
        command.stdin(OwnedFd::from(theirs));
        // The test ends itself at its limits, with a better explanation; what is allowed here is a little
        // more.
        let allowance = Allowance {
            silence: Duration::from_secs(limits.real_s).mul_f64(1.5) + Duration::from_secs(2),
            memory_mb: limits.memory_mb + limits.memory_mb / 4,
            output: OUTPUT_MB * 1024 * 1024,
        };
        let pulse = Pulse::default();
        // A process that has died already hears nothing, and reports nothing. The seeds come this way, too:
        // lab code can look at its environment.
        let hello = format!("{secret} {}..{} from {first}\n", seeds.start, seeds.end);
        let _ = (&socket).write_all(hello.as_bytes());
        let _ = socket.shutdown(Shutdown::Write);
        let order: Vec<u64> = (first..seeds.end).chain(seeds.start..first).collect();
        let listen = || listen(socket, &secret, tests, &order, &pulse);
        let (end, reports) = run(&mut command, allowance, &pulse, listen).map_err(cannot)?;
        if is_broken(&end) {
            return Err(Failure::new(end.output.trim().to_owned()));
        }
        Ok((reports, end))
    }
}

/// Whether the sandbox could not be made. Lab code can end its process with any status, and print what it
/// likes, but never first: libtest's own words stand before those of a test.
fn is_broken(end: &End) -> bool {
    let (broken, says) = (Cause::Exit(i32::from(BROKEN)), |words| end.output.starts_with(words));
    end.cause == broken && says(COMPLAINT) || says("bwrap: ")
}

/// Whether libtest found none of the tests that it was asked for, which it says before anything else.
fn has_no_test(end: &End) -> bool {
    end.output.trim_start().starts_with("running 0 tests")
}

/// The tests in the order of the list, those of one binary and part together. Whoever watches the process
/// needs one limit of real time, of processor time and of memory, and all tests of a process have the same
/// seeds.
fn groups(tests: &[(Test, Range<u64>)]) -> Vec<(Group<'_>, Range<u64>)> {
    let mut groups: Vec<(Group<'_>, Range<u64>)> = Vec::new();
    let key = |test: &Test| {
        let Limits { real_s, memory_mb, processor_s, .. } = test.limits;
        (test.krate.clone(), test.part.clone(), real_s, memory_mb, processor_s)
    };
    for (test, seeds) in tests.iter().filter(|(_, seeds)| !seeds.is_empty()) {
        match groups.iter_mut().find(|(group, of)| of == seeds && key(group[0]) == key(test)) {
            Some((group, _)) => group.push(test),
            None => groups.push((vec![test], seeds.clone())),
        }
    }
    groups
}

fn variables(tests: &Group<'_>, limits: Limits) -> Vec<(String, String)> {
    let own = tests.iter().filter(|test| test.limits.virtual_s != limits.virtual_s);
    let own: String = own.map(|test| format!(",{}={}", test.name, test.limits.virtual_s)).collect();
    [
        ("LAB_REPORT", "socket".to_owned()),
        ("LAB_VIRTUAL_LIMIT_S", format!("{}{own}", limits.virtual_s)),
        ("LAB_REAL_LIMIT_S", limits.real_s.to_string()),
        ("LAB_MEMORY_LIMIT_MB", limits.memory_mb.to_string()),
        ("LAB_SWARM", swarm::TENTH.to_owned()),
        ("LAB_PICTURES", "/tmp/pictures".to_owned()),
        ("LAB_COLUMNS", "100".to_owned()),
        ("RUST_BACKTRACE", "0".to_owned()),
        ("NO_COLOR", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Reads reports until the process closes its end. One without the secret, of another test or out of order is
/// none.
fn listen(socket: UnixStream, secret: &str, tests: &Group<'_>, order: &[u64], pulse: &Pulse) -> Reports {
    let mut reports = Reports::new();
    let mut socket = BufReader::new(socket);
    // Bytes that are no report. Lab code that gets hold of the socket must not fill this program's memory.
    let (mut line, mut noise) = (Vec::new(), 0);
    while (&mut socket).take(LONGEST_REPORT).read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        if let Some(report) = asked_for(&line, secret, tests, order, &reports) {
            pulse.beat();
            let runs = reports.entry(report.test.clone()).or_default();
            let stories = runs.iter().filter(|run| run.report.is_some()).count();
            let report = if stories < STORIES { report } else { Report { report: None, ..report } };
            runs.push(report);
            if hopeless(runs).is_some() {
                pulse.stop();
                break;
            }
        } else {
            noise += line.len() as u64;
            if noise > OUTPUT_MB * 1024 * 1024 {
                pulse.flood();
                break;
            }
        }
        line.clear();
    }
    reports
}

/// The report in a line, if it is the next one of a test.
fn asked_for(
    line: &[u8],
    secret: &str,
    tests: &Group<'_>,
    order: &[u64],
    reports: &Reports,
) -> Option<Report> {
    let json = line.strip_prefix(secret.as_bytes())?.strip_prefix(b" ")?;
    let report: Report = serde_json::from_slice(json).ok()?;
    let is_asked = tests.iter().any(|test| test.name == report.test) && report.version == labreport::VERSION;
    let done = reports.get(&report.test).map_or(0, Vec::len);
    (is_asked && order.get(done) == Some(&report.seed)).then_some(report)
}

/// Whether a run is made again, to see whether it comes out the same: each pass of a test with points; of
/// other tests a pass with the first seed, if none of its runs took a limit's time.
fn is_repeated(test: &Test, run: &Report, runs: &[Report]) -> bool {
    let is_first = runs.first().is_some_and(|first| first.seed == run.seed);
    run.ok && (test.points > 0 || is_first && !runs.iter().any(is_expensive))
}

/// The runs of a test, with those that passed compared with their repetition.
fn judge(test: &Test, reports: &Reports, again: &Reports, cuts: &BTreeMap<String, String>) -> Runs {
    let none = Vec::new();
    let first = reports.get(&test.name).unwrap_or(&none);
    let second: BTreeMap<u64, &Report> =
        again.get(&test.name).unwrap_or(&none).iter().map(|report| (report.seed, report)).collect();
    let mut result = Runs { cut: cuts.get(&test.name).cloned(), ..Runs::default() };
    for report in first {
        let is_repeated = is_repeated(test, report, first);
        let difference =
            if is_repeated { difference(report, second.get(&report.seed).copied()) } else { None };
        let mut run = of(report);
        if let Some(what) = difference {
            result.unequal.get_or_insert((report.seed, what.to_owned()));
            run = Run { passed: false, kind: "nondeterministic".to_owned(), message: what.to_owned(), ..run };
        }
        result.runs.push(run);
    }
    result
}

/// What differs between a pass and its repetition.
fn difference(first: &Report, second: Option<&Report>) -> Option<&'static str> {
    let Some(second) = second else {
        return Some("repeated with the same seed, the run does not come to its end");
    };
    if !second.ok {
        return Some("repeated with the same seed, the run fails");
    }
    if first.hash == second.hash && !first.hash.is_empty() {
        return None;
    }
    let differ = [
        (
            first.virtual_ns != second.virtual_ns,
            "repeated with the same seed, the run takes another (virtual) time",
        ),
        (first.rpcs != second.rpcs, "repeated with the same seed, the run sends another number of RPCs"),
        (first.bytes != second.bytes, "repeated with the same seed, the run sends another number of bytes"),
    ];
    let what = differ.into_iter().find(|(differs, _)| *differs).map(|(_, what)| what);
    Some(what.unwrap_or("repeated with the same seed, the run takes other decisions"))
}

fn of(report: &Report) -> Run {
    let kind = match (&report.invariant, report.kind) {
        _ if report.ok => String::new(),
        (Some(invariant), _) => invariant.clone(),
        (None, Some(kind)) => kind.name().to_owned(),
        (None, None) => "other".to_owned(),
    };
    let (mut message, mut story) =
        (report.message.clone().unwrap_or_default(), report.report.clone().unwrap_or_default());
    // What was measured on this machine is another one's next time, and where the clock struck, too.
    if matches!(report.kind, Some(Kind::Blocked | Kind::Memory | Kind::RealTime)) {
        message = without_measures(&message);
        story.clear();
    }
    Run { seed: report.seed, passed: report.ok, kind, message, story, hash: report.hash.clone() }
}

/// The same for whoever reads it: "for … s", and nothing of the seed, which stands beside it.
fn without_measures(text: &str) -> String {
    without_numbers(text).replace(" (seed #)", "").replace("#.#", "…").replace('#', "…")
}

/// The text with `#` for each number.
pub(crate) fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_number = false;
    for letter in text.chars() {
        let is_digit = letter.is_ascii_digit();
        if !is_digit {
            out.push(letter);
        } else if !in_number {
            out.push('#');
        }
        in_number = is_digit;
    }
    out
}

#[cfg(test)]
mod tests;
