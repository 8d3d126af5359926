//! A map task.
//!
//! The paper's mapper buffers pairs and writes them now and then, divided by partition
//! (§3.1, step 4); sorting is left to the reducer. Here the mapper sorts, as Hadoop's does:
//! reducers then merge, which needs no memory that grows with the partition, and a sort of
//! many small pieces is spread over all mappers.
//!
//! In short: read the split, call the user's map on each record, write a sorted file
//! for each partition.

use std::cell::Cell;

use labrt::runtime;

use super::collect::Collector;
use super::records::RecordReader;
use super::{Counters, Meter, Progress, Split, TaskError};
use crate::app::Application;
use crate::names;
use crate::store::{Store, StoreError};

/// How much of a map's work reading counts for, in its progress; the rest is writing.
const READING: f64 = 0.9;

/// Everything that an attempt of a map task needs.
pub struct MapTask<'a> {
    /// The user's program.
    pub application: &'a dyn Application,
    /// Number of the task.
    pub map: usize,
    /// Number of the attempt.
    pub attempt: u32,
    /// What to read.
    pub split: &'a Split,
    /// Number of reduce tasks, at least 1.
    pub reduces: usize,
    /// Offsets of records to step over, because map failed on them before.
    pub skip: &'a [u64],
    /// Where the input is.
    pub input: &'a dyn Store,
    /// Where the intermediate files go: the shared store (part A) or the local disk (part
    /// B).
    pub output: &'a dyn Store,
    /// How many bytes of pairs it may keep in memory before it spills them; at most 2 GB.
    pub memory: usize,
}

impl MapTask<'_> {
    /// Name of a spilled run.
    pub(super) fn run_name(&self, number: usize) -> String {
        names::temporary(&format!("run-{}-{number}", self.map), self.attempt)
    }
}

/// What a map has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapOutput {
    /// For each partition, the length of its intermediate file ([`names::intermediate`]);
    /// 0 means that there is none.
    pub lengths: Vec<u64>,
    /// What it has counted.
    pub counters: Counters,
}

/// Runs an attempt of a map task: all its intermediate files are complete when it
/// returns.
///
/// # Errors
/// See [`TaskError`]; no file is left then.
pub fn run_map(task: &MapTask<'_>, progress: &mut Progress<'_>) -> Result<MapOutput, TaskError> {
    let result = try_map(task, &mut Meter::new(progress));
    if result.is_err() {
        // The error that counts is the one that is returned.
        let _ = delete_map_output(task.output, task.map, task.attempt, task.reduces);
    }
    result
}

/// Deletes the intermediate files of an attempt, finished or not, and its spilled runs.
///
/// # Errors
/// The first one; it tries them all.
pub fn delete_map_output(
    store: &dyn Store,
    map: usize,
    attempt: u32,
    reduces: usize,
) -> Result<(), StoreError> {
    // An attempt that failed early has few of these files, but nobody knows which: deleting
    // one that is not there does no harm.
    let mut result = Ok(());
    for partition in 0..reduces {
        let name = names::intermediate(map, partition, attempt);
        let deleted = store.delete(&names::temporary(&name, attempt)).and(store.delete(&name));
        result = result.and(deleted);
    }
    let runs = store.list(&names::temporary_runs(map))?;
    for run in runs.iter().filter(|name| names::is_of_attempt(name, attempt)) {
        result = result.and(store.delete(run));
    }
    result
}

/// A map, but for clearing up after a failure.
fn try_map(task: &MapTask<'_>, meter: &mut Meter<'_>) -> Result<MapOutput, TaskError> {
    let file = task.input.open(&task.split.file)?;
    // Where the split's records really begin and end is found by looking at the file.
    let mut reader = RecordReader::new(file, task.application.records(), task.split)?;
    let mut counters = Counters { bytes_in: reader.length(), ..Counters::default() };
    let mut collector = Collector::new(task);
    loop {
        meter.at(READING * reader.consumed() as f64 / reader.length().max(1) as f64)?;
        reader.fill()?;
        if map_batch(task, &mut reader, &mut collector, &mut counters)? == 0 {
            break;
        }
        collector.settle(meter)?;
    }
    // All records are mapped; what is left is writing.
    counters.pairs = collector.emitted();
    let lengths = collector.finish(meter)?;
    counters.bytes_out = lengths.iter().sum();
    Ok(MapOutput { lengths, counters })
}

/// Maps the records that have been read, and gives their number. Panics are caught for
/// all of them at once, since that costs something, and so does each look at the clock of
/// the progress.
fn map_batch(
    task: &MapTask<'_>,
    reader: &mut RecordReader,
    collector: &mut Collector<'_>,
    counters: &mut Counters,
) -> Result<u64, TaskError> {
    // The record at hand, for the report of a panic.
    let current = Cell::new(0);
    let mut count = 0;
    let mapped = runtime::catch_panic(|| {
        while let Some((offset, record)) = reader.next_ready() {
            count += 1;
            current.set(offset);
            // Mostly there is nothing to skip, and never more than a few records.
            if task.skip.contains(&offset) {
                counters.skipped_records += 1;
            } else {
                task.application.map(&task.split.file, record, &mut |key, value| collector.add(key, value));
            }
        }
    });
    mapped.map_err(|reason| TaskError::BadRecord { offset: current.get(), reason })?;
    counters.records += count;
    Ok(count)
}
