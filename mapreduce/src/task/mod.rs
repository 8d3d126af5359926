//! Running one task, on whatever worker: read, call the user's function, sort or merge,
//! write.
//!
//! Nothing here knows of coordinators, networks or clocks. A task gets its [`Store`]s,
//! does its work, and tells how far it is to a callback that can cancel it.
//!
//! | file | what |
//! |---|---|
//! | `split.rs` | from files to splits |
//! | `records.rs` | from a split to records |
//! | `map.rs` | a map: from records to pairs |
//! | `table.rs`, `buffer.rs` | pairs in memory, with and without a combiner |
//! | `collect.rs` | from memory to sorted files, by way of spilled runs if need be |
//! | `pair.rs` | pairs in files |
//! | `merge.rs` | from sorted files to keys with all their values |
//! | `reduce.rs` | a reduce: from keys with values to output |
//!
//! Nothing that grows with the input is ever held in memory: a map keeps pairs up to its
//! budget and then spills them, a reduce streams. What must fit is one record, one key
//! and one value (for [`crate::app::Records::Whole`], one file).

mod buffer;
mod collect;
mod map;
mod merge;
mod pair;
mod records;
mod reduce;
mod split;
mod table;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};

pub use map::{MapOutput, MapTask, delete_map_output, run_map};
pub use reduce::{ReduceOutput, ReduceTask, Source, run_reduce};
pub use split::{Split, first_lines, split_inputs};

/// What the progress callback answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    Continue,
    /// Stop, delete what was written, and return [`TaskError::Cancelled`].
    Cancel,
}

/// Told how much of the task is done, from 0 to 1 and never less than before; called
/// often (about once for each megabyte of input or output), so that it should be quick
/// unless it has something to do.
pub type Progress<'a> = dyn FnMut(f64) -> Step + 'a;

/// Says how far a task is. What the callback hears never falls, and rises whenever
/// something got done: a task that stands still is taken for dead after a while.
struct Meter<'a> {
    /// Who wants to know.
    progress: &'a mut Progress<'a>,
    /// What it heard last.
    shown: f64,
}

impl<'a> Meter<'a> {
    /// Nothing is done so far.
    fn new(progress: &'a mut Progress<'_>) -> Meter<'a> {
        Meter { progress: &mut *progress, shown: 0.0 }
    }

    /// So much of it is done, from 0 to 1.
    fn at(&mut self, fraction: f64) -> Result<(), TaskError> {
        self.shown = self.shown.max(fraction.min(1.0));
        match (self.progress)(self.shown) {
            Step::Continue => Ok(()),
            Step::Cancel => Err(TaskError::Cancelled),
        }
    }

    /// About a megabyte more has been done, of work whose amount nobody knows beforehand.
    fn creep(&mut self) -> Result<(), TaskError> {
        self.at(self.shown + (1.0 - self.shown) / 1024.0)
    }
}

/// How many bytes go by between two calls of the progress callback.
const PROGRESS_EVERY: u64 = 1 << 20;

/// What an attempt has counted. The coordinator adds up those of the accepted attempts
/// (paper, §4.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Records read by a map.
    pub records: u64,
    /// Bad records that a map skipped.
    pub skipped_records: u64,
    /// Pairs emitted by a map's user function.
    pub pairs: u64,
    /// Different keys seen by a reduce.
    pub keys: u64,
    /// Bytes of input read: of the split, or of intermediate files.
    pub bytes_in: u64,
    /// Bytes written for others: intermediate files, or output.
    pub bytes_out: u64,
}

/// Why a task gave no result. Whatever it had written is deleted, as far as that is
/// possible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskError {
    /// A file could not be read or written.
    Store(StoreError),
    /// Map panicked on the record at this offset of its file.
    BadRecord {
        /// Where the record begins, in bytes.
        offset: u64,
        /// What the panic said.
        reason: String,
    },
    /// Reduce, or the combiner, panicked on this key.
    BadKey {
        /// The key.
        key: String,
        /// What the panic said.
        reason: String,
    },
    /// An intermediate file does not hold what a map writes.
    Corrupt {
        /// Its name.
        name: String,
    },
    /// The progress callback wanted it so.
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
            TaskError::BadRecord { offset, reason } => {
                write!(f, "map failed on the record at byte {offset}: {reason}")
            }
            TaskError::BadKey { key, reason } => {
                write!(f, "reduce or combine failed on the key `{key}`: {reason}")
            }
            TaskError::Corrupt { name } => write!(f, "{name}: is no intermediate file, or was cut off"),
            TaskError::Cancelled => write!(f, "cancelled"),
        }
    }
}

impl std::error::Error for TaskError {}

/// Copies one partition of one map's output from wherever it is to the local disk, for a
/// reduce (part B). `fetch` gives the bytes from an offset on, as many as it likes, and
/// none at the end; its errors are the caller's own. The copy has its name only when it
/// is complete.
///
/// # Errors
/// Whatever `fetch` says, and the local disk's errors by way of `E`.
pub fn copy_partition<E: From<StoreError>>(
    fetch: &mut dyn FnMut(u64) -> Result<Vec<u8>, E>,
    local: &dyn Store,
    name: &str,
    attempt: u32,
) -> Result<u64, E> {
    let temporary = crate::names::temporary(name, attempt);
    let copy = |fetch: &mut dyn FnMut(u64) -> Result<Vec<u8>, E>| {
        // The next piece is asked for by its offset, so that a repeated or lost reply can
        // neither repeat nor lose bytes.
        let mut file = local.create(&temporary)?;
        let mut offset = 0;
        loop {
            let bytes = fetch(offset)?;
            if bytes.is_empty() {
                break;
            }
            file.write(&bytes)?;
            offset += bytes.len() as u64;
        }
        file.finish()?;
        local.rename(&temporary, name)?;
        Ok(offset)
    };
    copy(fetch).inspect_err(|_| {
        // The error that counts is the one that is returned.
        let _ = local.delete(&temporary);
    })
}
