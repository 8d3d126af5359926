//! A map task.

use labrt::runtime;
use std::cell::Cell;

use super::{Counters, Progress, Split, Step, TaskError};
use crate::app::{Application, Records};
use crate::names;
use crate::store::{Store, StoreError};

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
    /// Where the intermediate files go: the shared store (part A) or the local disk (part B).
    pub output: &'a dyn Store,
    /// How many bytes of pairs it may keep in memory before it spills them.
    pub memory: usize,
}

/// What a map has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapOutput {
    /// For each partition, the length of its intermediate file ([`names::intermediate`]); 0 means that there is none.
    pub lengths: Vec<u64>,
    /// What it has counted.
    pub counters: Counters,
}

/// Runs an attempt of a map task: all its intermediate files are complete when it returns.
///
/// # Errors
/// See [`TaskError`]; no file is left then.
pub fn run_map(task: &MapTask<'_>, progress: &mut Progress<'_>) -> Result<MapOutput, TaskError> {
    let result = try_map(task, progress);
    if result.is_err() {
        // The error that counts is the one that is returned.
        let _ = delete_map_output(task.output, task.map, task.attempt, task.reduces);
    }
    result
}

/// Deletes the intermediate files of an attempt, finished or not.
///
/// # Errors
/// The first one; it tries them all.
pub fn delete_map_output(
    store: &dyn Store,
    map: usize,
    attempt: u32,
    reduces: usize,
) -> Result<(), StoreError> {
    let mut result = Ok(());
    for partition in 0..reduces {
        let name = names::intermediate(map, partition, attempt);
        let deleted = store.delete(&names::temporary(&name, attempt)).and(store.delete(&name));
        result = result.and(deleted);
    }
    result
}

fn try_map(task: &MapTask<'_>, progress: &mut Progress<'_>) -> Result<MapOutput, TaskError> {
    let (bytes, start, end) = read_split(task)?;
    let mut counters = Counters { bytes_in: (end - start) as u64, ..Counters::default() };
    let mut pairs: Vec<Vec<(String, String)>> = vec![Vec::new(); task.reduces];
    let mut at = start;
    while at < end || (at == 0 && end == 0 && task.application.records() == Records::Whole) {
        if progress((at - start) as f64 / ((end - start) as f64).max(1.0)) == Step::Cancel {
            return Err(TaskError::Cancelled);
        }
        let next = match task.application.records() {
            Records::Whole => end.max(1),
            Records::Lines => bytes[at..].iter().position(|&byte| byte == b'\n').map_or(end, |n| at + n + 1),
        };
        let record = &bytes[at..next.min(bytes.len())];
        let record = match task.application.records() {
            Records::Whole => record,
            Records::Lines => record.strip_suffix(b"\n").unwrap_or(record),
        };
        counters.records += 1;
        if task.skip.contains(&(at as u64)) {
            counters.skipped_records += 1;
        } else {
            let emitted = Cell::new(0);
            runtime::catch_panic(|| {
                task.application.map(&task.split.file, record, &mut |key, value| {
                    emitted.set(emitted.get() + 1);
                    let partition = task.application.partition(key, task.reduces);
                    pairs[partition].push((key.to_owned(), value.to_owned()));
                });
            })
            .map_err(|reason| TaskError::BadRecord { offset: at as u64, reason })?;
            counters.pairs += emitted.get();
        }
        at = next;
    }
    let mut lengths = Vec::new();
    for (partition, mut pairs) in pairs.into_iter().enumerate() {
        pairs.sort();
        let mut file = Vec::new();
        for pair in &pairs {
            labgob::encode_into(pair, &mut file);
        }
        lengths.push(file.len() as u64);
        if !file.is_empty() {
            let name = names::intermediate(task.map, partition, task.attempt);
            let temporary = names::temporary(&name, task.attempt);
            let mut writer = task.output.create(&temporary)?;
            writer.write(&file)?;
            writer.finish()?;
            task.output.rename(&temporary, &name)?;
        }
    }
    counters.bytes_out = lengths.iter().sum();
    Ok(MapOutput { lengths, counters })
}

/// The file's bytes, and where the split's records begin and end.
fn read_split(task: &MapTask<'_>) -> Result<(Vec<u8>, usize, usize), TaskError> {
    let mut file = task.input.open(&task.split.file)?;
    let mut bytes = vec![0; file.length() as usize];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    let border = |offset: u64| match offset.min(count as u64) as usize {
        0 => 0,
        offset => bytes[offset - 1..].iter().position(|&byte| byte == b'\n').map_or(count, |n| offset + n),
    };
    let (start, end) = match task.application.records() {
        Records::Whole => (0, count),
        Records::Lines => (border(task.split.offset), border(task.split.offset + task.split.length)),
    };
    Ok((bytes, start, end))
}
