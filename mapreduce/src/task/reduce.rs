//! A reduce task.

use labrt::runtime;

use super::{Counters, Progress, Step, TaskError};
use crate::app::{Application, Values};
use crate::names;
use crate::store::Store;

/// One intermediate file: of one map, for the partition of this reduce.
pub struct Source<'a> {
    /// Where it is: the shared store, or the own local disk (part B, after [`super::copy_partition`]).
    pub store: &'a dyn Store,
    /// Its name there.
    pub name: String,
}

/// Everything that an attempt of a reduce task needs.
pub struct ReduceTask<'a> {
    /// The user's program.
    pub application: &'a dyn Application,
    /// Number of the task, which is that of its partition.
    pub partition: usize,
    /// Number of the attempt.
    pub attempt: u32,
    /// The intermediate files of all maps that have one for this partition.
    pub sources: &'a [Source<'a>],
    /// For files of its own, when there are too many sources to be merged at once.
    pub local: &'a dyn Store,
    /// Where the output goes.
    pub output: &'a dyn Store,
    /// How many bytes of pairs it may keep in memory.
    pub memory: usize,
}

/// What a reduce has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceOutput {
    /// Name of the output file ([`names::output`]).
    pub name: String,
    /// What it has counted.
    pub counters: Counters,
}

/// Runs an attempt of a reduce task. Its last step gives the output its final name.
///
/// # Errors
/// See [`TaskError`]; no file is left then.
pub fn run_reduce(task: &ReduceTask<'_>, progress: &mut Progress<'_>) -> Result<ReduceOutput, TaskError> {
    let result = try_reduce(task, progress);
    if result.is_err() {
        // The error that counts is the one that is returned.
        let _ = task.output.delete(&names::temporary(&names::output(task.partition), task.attempt));
    }
    result
}

/// Values that are in memory.
struct Listed<'a>(std::slice::Iter<'a, (String, String)>);

impl Values for Listed<'_> {
    fn next(&mut self) -> Option<&str> {
        self.0.next().map(|(_, value)| value.as_str())
    }
}

fn try_reduce(task: &ReduceTask<'_>, progress: &mut Progress<'_>) -> Result<ReduceOutput, TaskError> {
    let mut counters = Counters::default();
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (number, source) in task.sources.iter().enumerate() {
        if progress(number as f64 / task.sources.len() as f64) == Step::Cancel {
            return Err(TaskError::Cancelled);
        }
        let mut file = source.store.open(&source.name)?;
        let mut bytes = vec![0; file.length() as usize];
        file.read_at(0, &mut bytes)?;
        counters.bytes_in += bytes.len() as u64;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (pair, used) =
                labgob::decode_prefix(rest).map_err(|_| TaskError::Corrupt { name: source.name.clone() })?;
            pairs.push(pair);
            rest = &rest[used..];
        }
    }
    pairs.sort();
    let mut output = String::new();
    for group in pairs.chunk_by(|a, b| a.0 == b.0) {
        let key = &group[0].0;
        counters.keys += 1;
        runtime::catch_panic(|| {
            task.application.reduce(key, &mut Listed(group.iter()), &mut |value| {
                output.push_str(key);
                if !value.is_empty() {
                    output.push(' ');
                    output.push_str(value);
                }
                output.push('\n');
            });
        })
        .map_err(|reason| TaskError::BadKey { key: key.clone(), reason })?;
    }
    counters.bytes_out = output.len() as u64;
    let name = names::output(task.partition);
    let temporary = names::temporary(&name, task.attempt);
    let mut writer = task.output.create(&temporary)?;
    writer.write(output.as_bytes())?;
    writer.finish()?;
    task.output.rename(&temporary, &name)?;
    Ok(ReduceOutput { name, counters })
}
