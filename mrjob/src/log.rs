//! The log of a job's finished tasks. `--resume` reads it after the coordinator was killed.
//!
//! The coordinator appends an entry for each accepted task before it answers the worker. So the log has every
//! task that a worker knows to be accepted. One call writes an entry; an incomplete last entry counts as not
//! written. The log survives a killed process, but, like all files of a job, not a machine that loses power.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Cursor};
use std::path::Path;

use mapreduce::events::Event;
use mapreduce::rpc::{Job, TaskId};
use mapreduce::split::{Piece, Split};
use mapreduce::state::{Phase, State};
use mapreduce::{FinishedTask, Observer};
use serde::{Deserialize, Serialize};

use crate::wire::{read_frame, write_frame};

/// The name of the log in the job's directory.
pub(crate) const LOG: &str = "log";

/// The attempt numbers of each coordinator of a job begin at a multiple of this.
const ATTEMPTS_PER_COORDINATOR: u32 = 1 << 16;

/// The facts that identify a job: `--resume` continues a job only if they are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) job: Job,
    /// The parameters that the user gave. Those in `job` may have been computed from the input.
    pub(crate) parameters: Vec<String>,
    /// The input, with the versions of the files.
    pub(crate) splits: Vec<Split>,
}

impl Plan {
    /// Why the other plan belongs to another job; `None` if it is the same job.
    pub(crate) fn difference<'a>(&'a self, other: &'a Plan) -> Option<String> {
        let changed = |(ours, theirs): (&Piece, &Piece)| {
            (ours.file == theirs.file && ours.version != theirs.version).then(|| ours.file.clone())
        };
        let pieces = |plan: &'a Plan| plan.splits.iter().flat_map(|split| &split.pieces);
        if self.job.application != other.job.application || self.parameters != other.parameters {
            return Some(format!("its application is `{}`", other.job.application));
        }
        if self.job.reduces != other.job.reduces {
            return Some(format!("it has {} reduces", other.job.reduces));
        }
        if self.job.local_disks != other.job.local_disks {
            return Some("it differs in --local-disks".to_owned());
        }
        if let Some(file) = pieces(self).zip(pieces(other)).find_map(changed) {
            return Some(format!("{file} has changed since"));
        }
        (self.splits != other.splits).then(|| "it has other input files, or another --split".to_owned())
    }
}

/// An entry of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Entry {
    /// The first one.
    Begun(Plan),
    /// Another coordinator continues the job.
    Resumed,
    /// A task was accepted.
    Done(FinishedTask),
    /// The output of a finished map is lost.
    Lost(usize),
    /// All tasks are done, and the coordinator is about to move the output to its place.
    Publishing,
}

/// What the log says about a job that was killed.
pub(crate) struct Unfinished {
    pub(crate) plan: Plan,
    pub(crate) finished: Vec<FinishedTask>,
    /// The first number for its new attempts.
    pub(crate) first_attempt: u32,
    /// Whether some of its output may be in place already.
    pub(crate) publishing: bool,
    /// The length of the log without an incomplete last entry.
    length: u64,
}

/// Reads the log in the directory. `None` if the coordinator was killed before the first entry was complete.
pub(crate) fn read(directory: &Path) -> io::Result<Option<Unfinished>> {
    let bytes = std::fs::read(directory.join(LOG))?;
    let mut rest = Cursor::new(&bytes[..]);
    let Ok(Entry::Begun(plan)) = read_frame(&mut rest) else { return Ok(None) };
    let mut finished: BTreeMap<TaskId, FinishedTask> = BTreeMap::new();
    let (mut coordinators, mut publishing, mut length) = (1, false, rest.position());
    while let Ok(entry) = read_frame(&mut rest) {
        match entry {
            Entry::Begun(_) => {}
            Entry::Resumed => coordinators += 1,
            Entry::Done(task) => drop(finished.insert(task.task, task)),
            Entry::Lost(map) => drop(finished.remove(&TaskId::Map(map))),
            Entry::Publishing => publishing = true,
        }
        length = rest.position();
    }
    let finished = finished.into_values().collect();
    Ok(Some(Unfinished {
        plan,
        finished,
        first_attempt: coordinators * ATTEMPTS_PER_COORDINATOR,
        publishing,
        length,
    }))
}

/// Writes the log.
pub(crate) struct Writer {
    /// `None` after an entry could not be written.
    file: Option<File>,
}

impl Writer {
    /// Begins the log of a new job.
    pub(crate) fn begin(directory: &Path, plan: Plan) -> io::Result<Writer> {
        let mut file = File::create(directory.join(LOG))?;
        write_frame(&mut file, &Entry::Begun(plan))?;
        Ok(Writer { file: Some(file) })
    }

    /// Continues the log of a job that was killed.
    pub(crate) fn resume(directory: &Path, unfinished: &Unfinished) -> io::Result<Writer> {
        let mut file = OpenOptions::new().append(true).open(directory.join(LOG))?;
        file.set_len(unfinished.length)?;
        write_frame(&mut file, &Entry::Resumed)?;
        Ok(Writer { file: Some(file) })
    }

    fn write(&mut self, entry: &Entry) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = write_frame(file, entry) {
            // Half an entry may be in the file, and a reader would not find later ones. The job goes on;
            // `--resume` would repeat the tasks from here on.
            eprintln!("mrjob: the job's log cannot be written ({error}); --resume will repeat tasks");
            self.file = None;
        }
    }
}

impl Observer for Writer {
    fn observe(&mut self, state: &State, events: &[Event]) {
        for event in events {
            match event {
                Event::Accepted { id, .. } => {
                    if let Some(task) = state.finished(id.task) {
                        self.write(&Entry::Done(task));
                    }
                }
                Event::Lost { id, .. } => {
                    if let TaskId::Map(map) = id.task {
                        self.write(&Entry::Lost(map));
                    }
                }
                Event::Entered(Phase::Finished) => self.write(&Entry::Publishing),
                _ => {}
            }
        }
    }
}
