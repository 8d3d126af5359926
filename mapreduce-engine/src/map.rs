//! A map task: read the split, call the user's map on each record, write a sorted file for each partition.
//!
//! The paper's mapper buffers pairs and writes them periodically, divided by partition (§3.1, step 4); the
//! reducer sorts. Here the mapper sorts, as in Hadoop. Then a reducer only merges, in memory that does not
//! grow with the partition, and all mappers share the work of sorting.

use std::cell::Cell;

use labrt::runtime;
use mapreduce::names;
use mapreduce::split::{Piece, RecordPlace};
use mapreduce::store::{Store, StoreError};
use mapreduce::tasks::{Counters, MapOutput, MapTask, TaskError};

use super::Meter;
use super::collect::Collector;
use super::records::RecordReader;

/// The share of reading in the progress of a map; the rest is writing.
const READING: f64 = 0.9;

/// The prefix of the runs that attempts of this map spill.
fn run_prefix(map: usize) -> String {
    format!("{}run-{map}-", names::TEMPORARY_PREFIX)
}

/// The name of a spilled run.
pub(super) fn run_name(task: &MapTask<'_>, number: usize) -> String {
    format!("{}{number}-{}", run_prefix(task.map), task.attempt)
}

/// Deletes the intermediate files of an attempt, finished or not, and its spilled runs.
///
/// # Errors
/// The first one; it tries to delete them all.
pub(super) fn delete_output(
    store: &dyn Store,
    map: usize,
    attempt: u32,
    reduces: usize,
) -> Result<(), StoreError> {
    // An attempt that failed early has only some of these files. Deleting a file that does not exist is no
    // error.
    let mut result = Ok(());
    for partition in 0..reduces {
        let name = names::intermediate(map, partition, attempt);
        let deleted = store.delete(&names::temporary(&name, attempt)).and(store.delete(&name));
        result = result.and(deleted);
    }
    let is_of_attempt =
        |name: &String| name.rsplit_once('-').is_some_and(|(_, number)| number.parse() == Ok(attempt));
    for run in store.list(&run_prefix(map))?.iter().filter(|name| is_of_attempt(name)) {
        result = result.and(store.delete(run));
    }
    result
}

/// A map, except for the cleanup after a failure.
pub(super) fn run(task: &MapTask<'_>, meter: &mut Meter<'_>) -> Result<MapOutput, TaskError> {
    let mut collector = Collector::new(task);
    let mut counters = Counters::default();
    let mut buffer = Vec::new();
    for number in 0..task.split.pieces.len() {
        buffer = map_piece(task, number, buffer, &mut collector, &mut counters, meter)?;
    }
    // All records are mapped; the rest is writing.
    counters.pairs = collector.emitted();
    let output = collector.finish(meter)?;
    counters.bytes_spilled = output.spilled;
    counters.bytes_out = output.lengths.iter().sum();
    Ok(MapOutput { lengths: output.lengths, counters })
}

/// Maps the records of one piece. `buffer` is reused from piece to piece, since a split may have thousands.
fn map_piece(
    task: &MapTask<'_>,
    number: usize,
    buffer: Vec<u8>,
    collector: &mut Collector<'_>,
    counters: &mut Counters,
    meter: &mut Meter<'_>,
) -> Result<Vec<u8>, TaskError> {
    let piece = &task.split.pieces[number];
    let mut reader = RecordReader::open(task.input, task.application.records(), piece, buffer)?;
    let total = task.split.length().max(1) as f64;
    let before = counters.bytes_in;
    loop {
        meter.at(READING * (before + reader.consumed()) as f64 / total)?;
        reader.fill()?;
        if map_batch(task, number, piece, &mut reader, collector, counters)? == 0 {
            break;
        }
        collector.settle(meter)?;
    }
    counters.bytes_in += reader.length();
    reader.close()
}

/// Maps the records in the buffer, and returns their number. One call catches the panics of all of them,
/// because each such call has a cost.
fn map_batch(
    task: &MapTask<'_>,
    number: usize,
    piece: &Piece,
    reader: &mut RecordReader<'_>,
    collector: &mut Collector<'_>,
    counters: &mut Counters,
) -> Result<u64, TaskError> {
    // The current record, for the report of a panic.
    let current = Cell::new(0);
    let place = |offset| RecordPlace { piece: number as u32, offset };
    let mut count = 0;
    let mapped = runtime::catch_panic(|| {
        while let Some((offset, record)) = reader.next_ready() {
            count += 1;
            current.set(offset);
            // `skip` is usually empty, and never long.
            if !task.skip.is_empty() && task.skip.contains(&place(offset)) {
                counters.skipped_records += 1;
            } else {
                task.application.map(&piece.file, record, &mut |key, value| collector.add(key, value));
            }
        }
    });
    let (place, file) = (place(current.get()), &piece.file);
    mapped.map_err(|reason| TaskError::BadRecord { place, file: file.clone(), reason })?;
    counters.records += count;
    Ok(count)
}
