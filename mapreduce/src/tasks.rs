// handout: drop
//! How a worker runs a task: the interface between workers and the two ways to run one.
//!
//! [`PlainTasks`](crate::task::PlainTasks) is the lab's, in 200 lines. The crate `mapreduce-engine` has
//! another one that bounds its memory and is several times as fast. Neither knows of coordinators, networks
//! or clocks: a task gets its [`Store`]s, does its work, and reports its progress to a callback that can
//! cancel it.
// handout: end
// handout: put
// //! How a worker runs a task: the interface between workers and what runs their tasks.
// //!
// //! [`PlainTasks`](crate::task::PlainTasks) knows of no coordinator, network or clock: a task gets its
// //! [`Store`]s, does its work, and reports its progress to a callback that can cancel it.
// handout: end

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::app::Application;
use crate::names;
use crate::split::{RecordPlace, Split};
use crate::store::{Store, StoreError};

/// Runs maps and reduces.
pub trait Tasks: Send + Sync + 'static {
    /// Runs an attempt of a map. All its intermediate files are complete when it returns.
    ///
    /// # Errors
    /// See [`TaskError`]; no file is left then.
    fn run_map(&self, task: &MapTask<'_>, progress: &mut Progress<'_>) -> Result<MapOutput, TaskError>;

    /// Runs an attempt of a reduce. Its last step gives the output its final name.
    ///
    /// # Errors
    /// See [`TaskError`]; no file is left then.
    fn run_reduce(&self, task: &ReduceTask<'_>, progress: &mut Progress<'_>) -> Result<Counters, TaskError>;

    /// Deletes all files of an attempt of a map, finished or not.
    ///
    /// # Errors
    /// The first one; it tries to delete them all.
    fn delete_map_output(
        &self,
        store: &dyn Store,
        map: usize,
        attempt: u32,
        reduces: usize,
    ) -> Result<(), StoreError> {
        let names = (0..reduces).map(|partition| names::intermediate(map, partition, attempt));
        let delete = |name: String| store.delete(&names::temporary(&name, attempt)).and(store.delete(&name));
        names.map(delete).fold(Ok(()), Result::and)
    }
}

/// What an attempt of a map needs.
pub struct MapTask<'a> {
    /// The user's program.
    pub application: &'a dyn Application,
    /// The number of the task.
    pub map: usize,
    /// The number of the attempt.
    pub attempt: u32,
    /// Its input.
    pub split: &'a Split,
    /// The number of reduce tasks, at least 1.
    pub reduces: usize,
    /// Records to skip, because map failed on them before.
    pub skip: &'a [RecordPlace],
    /// Where the input is.
    pub input: &'a dyn Store,
    /// Where the intermediate files go: the shared store (part 1A) or the local disk (part 1B).
    pub output: &'a dyn Store,
    /// How many bytes of pairs it may keep in memory before it spills them, at most 2 GB. The plain tasks
    /// keep all pairs.
    pub memory: usize,
}

/// What a map has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapOutput {
    /// For each partition, the length of its intermediate file ([`names::intermediate`]); 0 if there is none.
    pub lengths: Vec<u64>,
    /// What it has counted.
    pub counters: Counters,
}

/// One intermediate file of one map, for the partition of a reduce.
#[derive(Clone)]
pub struct Source<'a> {
    /// Where it is: the shared store, or the own local disk (part 1B).
    pub store: &'a dyn Store,
    /// Its name there.
    pub name: String,
}

/// What an attempt of a reduce needs.
pub struct ReduceTask<'a> {
    /// The user's program.
    pub application: &'a dyn Application,
    /// The number of the task, which is that of its partition.
    pub partition: usize,
    /// The number of the attempt.
    pub attempt: u32,
    /// The intermediate files of all maps that have one for this partition.
    pub sources: &'a [Source<'a>],
    /// For files of its own, when there are too many sources to merge at once.
    pub local: &'a dyn Store,
    /// Where the output goes.
    pub output: &'a dyn Store,
    /// How many bytes of pairs it may keep in memory. The plain tasks keep all pairs.
    pub memory: usize,
}

/// The answer of a progress callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    Continue,
    /// Stop, delete what was written, and return [`TaskError::Cancelled`].
    Cancel,
}

impl Step {
    /// The error of a cancelled task.
    ///
    /// # Errors
    /// [`TaskError::Cancelled`] for [`Step::Cancel`].
    pub fn check(self) -> Result<(), TaskError> {
        if self == Step::Continue { Ok(()) } else { Err(TaskError::Cancelled) }
    }
}

/// A callback that a task tells how much of it is done, from 0 to 1 and never less than before. The task
/// calls it often (about once for each megabyte of input or output), so that it should be quick unless it has
/// something to do.
pub type Progress<'a> = dyn FnMut(f64) -> Step + 'a;

/// What an attempt has counted. The coordinator adds up the counters of the accepted attempts (paper, §4.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Records that a map has read, those that it then skipped included.
    pub records: u64,
    /// Bad records that a map has skipped.
    pub skipped_records: u64,
    /// Pairs that map has emitted.
    pub pairs: u64,
    /// Different keys that a reduce has seen.
    pub keys: u64,
    /// Bytes of input: of the split, or of intermediate files.
    pub bytes_in: u64,
    /// Bytes written for others: intermediate files, or output.
    pub bytes_out: u64,
    /// Bytes written and read again by the same task, because they did not fit into its memory.
    pub bytes_spilled: u64,
    /// Bytes of intermediate files that a reduce has copied from other machines (part 1B).
    pub bytes_fetched: u64,
}

impl Counters {
    /// Applies `operation` to each pair of counters: addition, or subtraction to take a summand out of a sum.
    pub fn add(&mut self, other: &Counters, operation: fn(u64, u64) -> u64) {
        let Counters { records, skipped_records, pairs, keys, bytes_in, bytes_out, .. } = self;
        let Counters { bytes_spilled, bytes_fetched, .. } = other;
        *records = operation(*records, other.records);
        *skipped_records = operation(*skipped_records, other.skipped_records);
        *pairs = operation(*pairs, other.pairs);
        *keys = operation(*keys, other.keys);
        *bytes_in = operation(*bytes_in, other.bytes_in);
        *bytes_out = operation(*bytes_out, other.bytes_out);
        self.bytes_spilled = operation(self.bytes_spilled, *bytes_spilled);
        self.bytes_fetched = operation(self.bytes_fetched, *bytes_fetched);
    }
}

/// Why a task gave no result. It has deleted what it had written, as far as that was possible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskError {
    /// A file could not be read or written.
    Store(StoreError),
    /// Map panicked on a record.
    BadRecord {
        /// Where the record begins.
        place: RecordPlace,
        /// The file with the record.
        file: String,
        /// The message of the panic.
        reason: String,
    },
    /// Reduce, or the combiner, panicked on this key.
    BadKey {
        /// The key.
        key: String,
        /// The message of the panic.
        reason: String,
    },
    /// An intermediate file does not hold what a map writes.
    Corrupt {
        /// Its name.
        name: String,
    },
    /// An input file is not the one that was cut into splits: someone has changed or replaced it while the
    /// job ran.
    InputChanged {
        /// Its name.
        name: String,
    },
    /// The progress callback asked for it.
    Cancelled,
}

impl From<StoreError> for TaskError {
    fn from(error: StoreError) -> TaskError {
        TaskError::Store(error)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Store(error) => write!(f, "{error}"),
            TaskError::BadRecord { place, file, reason } => {
                write!(f, "map failed on the record at byte {} of {file}: {reason}", place.offset)
            }
            TaskError::BadKey { key, reason } => {
                write!(f, "reduce or combine failed on the key `{key}`: {reason}")
            }
            TaskError::Corrupt { name } => {
                write!(f, "{name}: is no intermediate file, or was cut off")
            }
            TaskError::InputChanged { name } => write!(f, "{name}: the file has changed while the job ran"),
            TaskError::Cancelled => write!(f, "cancelled"),
        }
    }
}

impl std::error::Error for TaskError {}
