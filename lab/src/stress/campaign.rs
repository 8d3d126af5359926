//! A campaign: the seeds and tests to run, those that have been run, and the journal that records both.
//!
//! The journal is a file of JSON lines: first what the campaign is (`Identity`), then a `Record` for each
//! piece of work that was done. A seed counts when its record is in the journal and not before, and a record
//! is written whole or not at all: a torn last line is cut off. So whatever ends this program, nothing is
//! lost that was counted, and nothing is counted twice.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use labreport::Verdict;
use serde::{Deserialize, Serialize};

use super::folder;
use crate::Failure;
use crate::build::Binaries;
use crate::catalogue::Test;
use crate::cli::StressOptions;
use crate::failures::{self, Failed};
use crate::protocol::Report;
use crate::runner::World;
use crate::statistics::Moments;
use crate::unwritten::unwatched;

/// How much work may be lost at the most if this program is killed.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// How often a folder for a new campaign is looked for: each time another process may take it.
const TRIES: u32 = 100;

/// How many stories of one test are kept. A hundred are enough to read.
const STORIES: usize = 100;

/// How many different remarks of a test are told apart.
const MOST_REMARKS: usize = 8;

/// What must be equal for two campaigns to be one: the tests, how often, in which world, and the very same
/// program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    tests: Vec<String>,
    runs: u64,
    world: String,
    /// Path, size and time of change of each binary. A rebuilt program may behave otherwise.
    programs: Vec<String>,
}

impl Identity {
    /// What `cargo lab stress` was asked for.
    pub(crate) fn new(
        tests: &[Test],
        runs: u64,
        world: &World,
        race: bool,
        binaries: &Binaries,
    ) -> Result<Identity, Failure> {
        let programs = binaries.values().map(|path| fingerprint(path)).collect::<Result<_, _>>()?;
        let world = format!("{world:?}, race: {race}");
        Ok(Identity { tests: tests.iter().map(|test| test.name.clone()).collect(), runs, world, programs })
    }
}

fn fingerprint(path: &Path) -> Result<String, Failure> {
    let cannot = |error| Failure::new(format!("{}: {error}", path.display()));
    let metadata = fs::metadata(path).map_err(cannot)?;
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let changed = changed.unwrap_or_default().as_nanos();
    Ok(format!("{} {} bytes, changed {changed}", path.display(), metadata.len()))
}

/// The first line of a journal.
#[derive(Serialize, Deserialize)]
struct Header {
    identity: Identity,
    first_seed: u64,
}

/// Consecutive seeds of one test that were run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) test: String,
    from: u64,
    /// The seed behind the last one.
    to: u64,
    pub(crate) failed: Vec<u64>,
    /// Runs that said nothing about the solution.
    #[serde(default)]
    pub(crate) inconclusive: Vec<u64>,
    /// How those failed that did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<Failed>,
    /// Remarks of runs, and how many runs made each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) remarks: BTreeMap<String, u64>,
    /// What the runs that passed came to, and how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) exercised: BTreeMap<String, u64>,
    /// Of the virtual time of each run, in seconds.
    pub(crate) virtual_s: Moments,
    /// Of the real time of each run, in milliseconds.
    pub(crate) real_ms: Moments,
    /// Of the RPCs and of the bytes of each run.
    #[serde(default)]
    pub(crate) rpcs: Moments,
    #[serde(default)]
    pub(crate) bytes: Moments,
    #[serde(skip)]
    begun: Option<Instant>,
}

impl Record {
    /// A record of nothing yet, of a test from the seed `from` on.
    pub(crate) fn begin(test: &str, from: u64) -> Record {
        Record {
            test: test.to_owned(),
            from,
            to: from,
            failed: Vec::new(),
            inconclusive: Vec::new(),
            failures: Vec::new(),
            remarks: BTreeMap::new(),
            exercised: BTreeMap::new(),
            virtual_s: Moments::default(),
            real_ms: Moments::default(),
            rpcs: Moments::default(),
            bytes: Moments::default(),
            begun: Some(Instant::now()),
        }
    }

    /// Takes in the report of the next seed.
    pub(crate) fn add(&mut self, report: &Report, failed: Option<Failed>) {
        self.to = report.seed + 1;
        self.failures.extend(failed);
        for remark in report
            .warnings
            .iter()
            .cloned()
            .chain(unwatched(report).iter().map(|what| format!("not watched: {what}")))
        {
            // Remarks with numbers in them would fill the journal.
            if self.remarks.len() < MOST_REMARKS || self.remarks.contains_key(&remark) {
                *self.remarks.entry(remark).or_default() += 1;
            }
        }
        // The times of a run that failed, or died, say nothing of what the test takes.
        match report.verdict() {
            Verdict::Passed => {
                self.virtual_s.add(report.virtual_ns as f64 / 1e9);
                self.real_ms.add(report.real_ns as f64 / 1e6);
                self.rpcs.add(report.rpcs as f64);
                self.bytes.add(report.bytes as f64);
                for (situation, times) in &report.exercised {
                    *self.exercised.entry(situation.clone()).or_default() += times;
                }
            }
            Verdict::Failed => self.failed.push(report.seed),
            Verdict::Inconclusive => self.inconclusive.push(report.seed),
        }
    }

    /// Whether it is time to write it.
    pub(crate) fn is_due(&self) -> bool {
        self.begun.is_some_and(|begun| begun.elapsed() > WRITE_EVERY)
    }

    /// The seeds.
    pub(crate) fn seeds(&self) -> Range<u64> {
        self.from..self.to
    }
}

/// Refuses a range of seeds that goes beyond the largest one.
pub(crate) fn check_seeds(options: &StressOptions) -> Result<(), Failure> {
    let (last, runs) = (u64::MAX - options.runs, options.runs);
    match options.first_seed.filter(|first| *first > last) {
        Some(first) => Err(Failure::new(format!(
            "there are no {runs} seeds from {first} on; the last --first-seed is {last}"
        ))),
        None => Ok(()),
    }
}

/// A campaign with its journal open, and locked against any other process.
pub(crate) struct Campaign {
    folder: PathBuf,
    journal: File,
    identity: Identity,
    first_seed: u64,
    /// What earlier processes did, in the order of the journal.
    done: Vec<Record>,
    stories: BTreeMap<String, usize>,
}

impl Campaign {
    /// The campaign to go on with, or a new one.
    pub(crate) fn open(
        root: &Path,
        options: &StressOptions,
        identity: Identity,
    ) -> Result<Campaign, Failure> {
        let first_seed = options.first_seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
        let resume = |folder: PathBuf| Campaign::resume(folder, &identity, options.first_seed);
        if !options.fresh {
            let folders = folder::candidates(root, options)?;
            if let Some(campaign) = folders.into_iter().map(resume).find_map(Result::transpose) {
                return campaign;
            }
        }
        for _ in 0..TRIES {
            let folder = folder::new(root, options)?;
            if let Some(campaign) = Campaign::create(folder, &identity, first_seed)? {
                return Ok(campaign);
            }
        }
        Err(Failure::new("other processes begin campaigns in whatever folder is free: name one by --output"))
    }

    /// The campaign in `folder`, if it is the wanted one, is unfinished, and no other process works on it.
    fn resume(folder: PathBuf, wanted: &Identity, seed: Option<u64>) -> Result<Option<Campaign>, Failure> {
        let path = folder::journal(&folder);
        let cannot = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        let mut journal = match File::options().read(true).write(true).open(&path) {
            // Another process has ended its campaign meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(cannot)?,
        };
        match journal.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        // A line that is torn may end within a letter.
        let mut bytes = Vec::new();
        journal.read_to_end(&mut bytes).map_err(cannot)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let mut lines = bytes[..whole].split(|byte| *byte == b'\n');
        let header: Option<Header> = lines.next().and_then(|line| serde_json::from_slice(line).ok());
        let Some(header) = header.filter(|header| header.identity == *wanted) else { return Ok(None) };
        if seed.is_some_and(|seed| seed != header.first_seed) {
            return Ok(None);
        }
        // What is no record counts as not run.
        let done = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        journal.set_len(whole as u64).and_then(|()| journal.seek(SeekFrom::End(0))).map_err(cannot)?;
        let (identity, first_seed) = (header.identity, header.first_seed);
        let campaign = Campaign { folder, journal, identity, first_seed, done, stories: BTreeMap::new() };
        Ok((!campaign.is_complete()).then_some(campaign))
    }

    /// A new campaign in `folder`. None if another process has begun one there meanwhile.
    fn create(folder: PathBuf, identity: &Identity, first_seed: u64) -> Result<Option<Campaign>, Failure> {
        let path = folder::journal(&folder);
        let cannot = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        fs::create_dir_all(&folder).map_err(|error| {
            Failure::new(format!("the folder {} cannot be made: {error}", folder.display()))
        })?;
        let journal = match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            created => created.map_err(cannot)?,
        };
        // Whoever looks whether this is its campaign finds no header, and goes on.
        journal.lock().map_err(cannot)?;
        let identity = identity.clone();
        let mut campaign =
            Campaign { folder, journal, identity, first_seed, done: Vec::new(), stories: BTreeMap::new() };
        let header = Header { identity: campaign.identity.clone(), first_seed };
        campaign.append(&header).inspect_err(|_| {
            // Without it this is nobody's campaign.
            let _ = fs::remove_file(&path);
        })?;
        Ok(Some(campaign))
    }

    /// How many seeds of each test.
    pub(crate) fn runs(&self) -> u64 {
        self.identity.runs
    }

    /// The first seed of each test.
    pub(crate) fn first_seed(&self) -> u64 {
        self.first_seed
    }

    /// The first of the last tenth of the seeds; None if there are fewer than ten.
    pub(crate) fn swarm_from(&self) -> Option<u64> {
        let swarm = self.identity.runs / 10;
        (swarm > 0).then(|| self.first_seed + self.identity.runs - swarm)
    }

    /// What earlier processes did.
    pub(crate) fn done(&self) -> &[Record] {
        &self.done
    }

    /// The seeds of a test that no record holds.
    pub(crate) fn missing(&self, test: &str) -> Vec<Range<u64>> {
        let mut done: Vec<Range<u64>> =
            self.done.iter().filter(|record| record.test == test).map(Record::seeds).collect();
        done.sort_by_key(|seeds| seeds.start);
        let mut gaps = Vec::new();
        let mut next = self.first_seed;
        for seeds in done {
            if next < seeds.start {
                gaps.push(next..seeds.start);
            }
            next = next.max(seeds.end);
        }
        let end = self.first_seed + self.identity.runs;
        if next < end {
            gaps.push(next..end);
        }
        gaps
    }

    fn is_complete(&self) -> bool {
        self.identity.tests.iter().all(|test| self.missing(test).is_empty())
    }

    /// Adds a record to the journal.
    pub(crate) fn write(&mut self, record: &Record) -> Result<(), Failure> {
        self.append(record)
    }

    /// One line, by one write.
    fn append(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        let cannot =
            |error: &dyn std::fmt::Display| Failure::new(format!("the journal cannot be written: {error}"));
        let mut text = serde_json::to_vec(line).map_err(|error| cannot(&error))?;
        text.push(b'\n');
        let before = self.journal.stream_position().map_err(|error| cannot(&error))?;
        self.journal.write_all(&text).map_err(|error| {
            // Of a line that does not fit on the disk nothing must stay: the next one may fit, and would be
            // torn with it.
            let _ = self.journal.set_len(before).and_then(|()| self.journal.seek(SeekFrom::Start(before)));
            cannot(&error)
        })
    }

    /// The folder that holds the stories of failures.
    pub(crate) fn stories(&self) -> PathBuf {
        folder::stories(&self.folder)
    }

    /// Keeps the story of a failure. Tells where, unless the test has failed so often that it is not kept.
    pub(crate) fn keep_story(
        &mut self,
        test: &Test,
        report: &Report,
        world: &World,
        all: bool,
    ) -> Result<Option<PathBuf>, Failure> {
        let folder = if report.ok { self.folder.join("passed") } else { self.stories() };
        let kept = self.stories.entry(test.name.clone()).or_default();
        if *kept >= STORIES && !all {
            return Ok(None);
        }
        *kept += 1;
        let kept = failures::keep(&folder, test, report, world);
        kept.map(Some).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
    }

    /// Ends the work. A campaign in which everything passed leaves nothing behind.
    pub(crate) fn close(&mut self, all_passed: bool) -> Result<(), Failure> {
        if all_passed {
            folder::remove(&self.folder)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two commands that are started at once draw the same folder.
    #[test]
    fn a_folder_is_one_campaigns() {
        let folder = std::env::temp_dir().join(format!("lab-campaign-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let identity = Identity { tests: Vec::new(), runs: 7, world: "one".to_owned(), programs: Vec::new() };
        let create = |identity: &Identity| Campaign::create(folder.clone(), identity, 1);
        let first = create(&identity).unwrap_or_else(|failure| panic!("{failure}"));
        let journal = || fs::read_to_string(folder.join("journal.jsonl")).expect("there is a journal");
        let before = journal();
        let second = create(&Identity { world: "two".to_owned(), ..identity.clone() });
        assert!(first.is_some() && second.is_ok_and(|second| second.is_none()));
        assert_eq!(journal(), before);
        fs::remove_dir_all(&folder).expect("it is there");
    }
}
