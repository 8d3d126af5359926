//! The plain way to run a task: read, call the user's function, partition, sort in memory, write, rename.
//!
// handout: drop
//! Everything of one task is in memory at once. That is what a first lab needs; `mapreduce-engine` shows what
//! it takes to do without.
// handout: end
// handout: put
// //! Everything of one task is in memory at once. That is what a first lab needs.
// handout: end
//!
//! Reducers sort, as in the paper (§3.1, step 5), and do not rely on the order of the mappers' files. An
//! intermediate file is the list of its pairs in the encoding of `labgob`. Progress moves from piece to piece
//! of the split; a piece must take less than the time-out.

// handout: drop classic
use std::cell::Cell;
use std::collections::BTreeMap;

use labrt::runtime;

use crate::app::{Application, Records, Values};
use crate::combiner;
use crate::names;
use crate::split::{Piece, RecordPlace, is_border};
use crate::store::{Store, StoreError};
// handout: end
use crate::tasks::{Counters, MapOutput, MapTask, Progress, ReduceTask, TaskError, Tasks};

/// Runs tasks in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainTasks;

// handout: drop classic
/// All values of each key, in the order of the keys.
pub(crate) type Groups = BTreeMap<String, Vec<String>>;

// handout: end
// handout: bodies 1A
impl Tasks for PlainTasks {
    fn run_map(&self, task: &MapTask<'_>, progress: &mut Progress<'_>) -> Result<MapOutput, TaskError> {
        let result = map(task, progress);
        if result.is_err() {
            // The error that counts is the one that is returned.
            let _ = self.delete_map_output(task.output, task.map, task.attempt, task.reduces);
        }
        result
    }

    fn run_reduce(&self, task: &ReduceTask<'_>, progress: &mut Progress<'_>) -> Result<Counters, TaskError> {
        let result = reduce(task, progress);
        if result.is_err() {
            let _ = task.output.delete(&names::temporary(&names::output(task.partition), task.attempt));
        }
        result
    }
}

/// A map, except for the cleanup after a failure.
fn map(task: &MapTask<'_>, progress: &mut Progress<'_>) -> Result<MapOutput, TaskError> {
    let mut counters = Counters::default();
    let mut partitions: Vec<Groups> = vec![Groups::new(); task.reduces];
    for (number, piece) in task.split.pieces.iter().enumerate() {
        progress(0.5 * number as f64 / task.split.pieces.len() as f64).check()?;
        let (start, bytes) = read_piece(task, piece)?;
        counters.bytes_in += bytes.len() as u64;
        let first = RecordPlace { piece: number as u32, offset: start };
        map_records(task, piece, first, &bytes, &mut partitions, &mut counters)?;
    }
    let mut lengths = Vec::new();
    for (partition, mut groups) in partitions.into_iter().enumerate() {
        progress(0.5 + 0.5 * partition as f64 / task.reduces as f64).check()?;
        combiner::combine(task.application, &mut groups)?;
        let name = names::intermediate(task.map, partition, task.attempt);
        // A partition without a pair has no file.
        if groups.is_empty() {
            lengths.push(0);
            continue;
        }
        let pairs = groups.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        let encoded = labgob::encode(&pairs.collect::<Vec<_>>());
        write_atomically(task.output, &name, task.attempt, &encoded)?;
        lengths.push(encoded.len() as u64);
    }
    counters.bytes_out = lengths.iter().sum();
    Ok(MapOutput { lengths, counters })
}

/// The records that begin in the piece, and the place of the first one in the file.
fn read_piece(task: &MapTask<'_>, piece: &Piece) -> Result<(u64, Vec<u8>), TaskError> {
    let mut file = task.input.open(&piece.file)?;
    piece.check(&*file)?;
    let bounds = piece.bounds(&mut *file, task.application.records())?;
    let mut bytes = vec![0; (bounds.end - bounds.start) as usize];
    let count = file.read_at(bounds.start, &mut bytes)?;
    if count < bytes.len() {
        return Err(piece.changed());
    }
    piece.check(&*file)?;
    Ok((bounds.start, bytes))
}

/// Calls map on each record, and puts its pairs into their partitions. A panic names the record that map was
/// in.
fn map_records(
    task: &MapTask<'_>,
    piece: &Piece,
    first: RecordPlace,
    bytes: &[u8],
    partitions: &mut [Groups],
    counters: &mut Counters,
) -> Result<(), TaskError> {
    let current = Cell::new(first);
    let mapped = runtime::catch_panic(|| {
        for (offset, record) in records(task.application.records(), bytes) {
            current.set(RecordPlace { offset: first.offset + offset as u64, ..first });
            counters.records += 1;
            if task.skip.contains(&current.get()) {
                counters.skipped_records += 1;
                continue;
            }
            task.application.map(&piece.file, record, &mut |key, value| {
                counters.pairs += 1;
                // Out of range it panics, and the record counts as a bad one: a pair in a partition that no
                // one reduces would be lost silently.
                let groups = &mut partitions[task.application.partition(key, task.reduces)];
                groups.entry(key.to_owned()).or_default().push(value.to_owned());
            });
        }
    });
    mapped.map_err(|reason| TaskError::BadRecord { place: current.get(), file: piece.file.clone(), reason })
}

/// Cuts the bytes of a piece into records, each with its place.
fn records(records: Records, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    match records {
        Records::Lines => {
            let mut offset = 0;
            let lines = bytes.split_inclusive(|&byte| is_border(records, byte)).map(|line| {
                offset += line.len();
                (offset - line.len(), line.strip_suffix(b"\n").unwrap_or(line))
            });
            lines.collect()
        }
        // An empty file is a record of an application that wants whole files.
        Records::Whole => vec![(0, bytes)],
        Records::Blocks | Records::Text if bytes.is_empty() => Vec::new(),
        Records::Blocks | Records::Text => vec![(0, bytes)],
    }
}

/// A reduce, except for the cleanup after a failure.
fn reduce(task: &ReduceTask<'_>, progress: &mut Progress<'_>) -> Result<Counters, TaskError> {
    let mut counters = Counters::default();
    let mut groups = Groups::new();
    for (number, source) in task.sources.iter().enumerate() {
        progress(0.5 * number as f64 / task.sources.len() as f64).check()?;
        let bytes = read_whole(source.store, &source.name)?;
        counters.bytes_in += bytes.len() as u64;
        let corrupt = |_| TaskError::Corrupt { name: source.name.clone() };
        for (key, value) in labgob::decode::<Vec<(String, String)>>(&bytes).map_err(corrupt)? {
            groups.entry(key).or_default().push(value);
        }
    }
    let mut output = Vec::new();
    for (number, (key, values)) in groups.iter().enumerate() {
        progress(0.5 + 0.5 * number as f64 / groups.len() as f64).check()?;
        counters.keys += 1;
        reduce_key(task.application, key, values, &mut output)?;
    }
    counters.bytes_out = output.len() as u64;
    write_atomically(task.output, &names::output(task.partition), task.attempt, &output)?;
    Ok(counters)
}

/// Appends the lines for one key.
fn reduce_key(
    application: &dyn Application,
    key: &str,
    values: &[String],
    output: &mut Vec<u8>,
) -> Result<(), TaskError> {
    let reduced = runtime::catch_panic(|| {
        application.reduce(key, &mut Listed(values.iter()), &mut |value| {
            let blank = if value.is_empty() { "" } else { " " };
            output.extend([key, blank, value, "\n"].iter().flat_map(|text| text.bytes()));
        });
    });
    reduced.map_err(|reason| TaskError::BadKey { key: key.to_owned(), reason })
}

// handout: drop classic
/// Values that are in memory.
pub(crate) struct Listed<'a>(pub(crate) std::slice::Iter<'a, String>);

impl Values for Listed<'_> {
    fn next(&mut self) -> Option<&str> {
        self.0.next().map(String::as_str)
    }
}

// handout: end
/// Reads a file to its end.
fn read_whole(store: &dyn Store, name: &str) -> Result<Vec<u8>, StoreError> {
    let mut file = store.open(name)?;
    let mut bytes = vec![0; file.length() as usize];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Writes a file under a temporary name, and renames it when it is complete. A worker that dies in between
/// leaves the temporary file, which no one reads.
fn write_atomically(store: &dyn Store, name: &str, attempt: u32, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = names::temporary(name, attempt);
    let mut file = store.create(&temporary)?;
    file.write(bytes)?;
    file.finish()?;
    store.rename(&temporary, name)
}
