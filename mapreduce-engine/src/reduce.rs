//! A reduce task: merge the sorted files of all maps, call the user's reduce on each key, write the output.
//!
//! The paper's reducer sorts the fetched pairs, externally if necessary (§3.1, step 5). Here the mappers
//! sort, and the user's function gets its values from the merge of their files. The reducer writes only its
//! output, unless there are more files than it can merge at once.

use labrt::runtime;
use mapreduce::app::Application;
use mapreduce::names;
use mapreduce::store::StoreError;
use mapreduce::tasks::{Counters, ReduceTask, Source, TaskError};

use super::Meter;
use super::merge::{self, FAN_IN, Group, Merge};
use super::pair::{Reader, Writer};

/// Runs an attempt of a reduce task.
pub(super) fn run(task: &ReduceTask<'_>, meter: &mut Meter<'_>) -> Result<Counters, TaskError> {
    let mut passes = Passes { task, sources: task.sources.to_vec(), own: Vec::new(), spilled: 0 };
    // If the worker is killed here, the files stay until the job ends and removes its directory.
    let result = passes.reduce(meter);
    // The first error is the one to report.
    let _ = passes.delete_all();
    if result.is_err() {
        let _ = task.output.delete(&temporary(task));
    }
    result
}

/// The output's name while it is written. It contains the attempt's number, so two attempts at once do not
/// write to one file.
fn temporary(task: &ReduceTask<'_>) -> String {
    names::temporary(&names::output(task.partition), task.attempt)
}

/// The passes over the data: one, unless there are more than [`FAN_IN`] sources.
struct Passes<'a> {
    task: &'a ReduceTask<'a>,
    /// The files that are still to be merged.
    sources: Vec<Source<'a>>,
    /// Files that this attempt wrote.
    own: Vec<String>,
    /// Bytes of these files.
    spilled: u64,
}

impl Passes<'_> {
    /// Runs all passes: those that only merge, and the last one, which calls the user's function.
    fn reduce(&mut self, meter: &mut Meter<'_>) -> Result<Counters, TaskError> {
        // M may be tens of thousands; each open file costs a buffer and a descriptor.
        while self.sources.len() > FAN_IN {
            self.merge_first(meter)?;
        }
        let (readers, length) = self.open(&self.sources)?;
        let merge = Merge::new(readers)?;
        let name = names::output(self.task.partition);
        let mut output = Output {
            writer: Writer::create(self.task.output, temporary(self.task))?,
            error: None,
            counters: Counters { bytes_in: length, bytes_spilled: self.spilled, ..Counters::default() },
        };
        // Earlier passes have already reported some progress.
        let before = meter.shown;
        let share = |consumed: u64| before + (1.0 - before) * consumed as f64 / length.max(1) as f64;
        merge.for_each_key(
            |consumed| meter.at(share(consumed)),
            |key, values| output.reduce(self.task.application, key, values),
        )?;
        let mut counters = output.counters;
        counters.bytes_out = output.writer.publish(&name)?;
        Ok(counters)
    }

    /// Opens sources, and returns their total length.
    fn open(&self, sources: &[Source<'_>]) -> Result<(Vec<Reader>, u64), StoreError> {
        let buffer_size = merge::buffer_size(self.task.memory, sources.len());
        let mut readers = Vec::new();
        let mut total = 0;
        for source in sources {
            let file = source.store.open(&source.name)?;
            let length = file.length();
            total += length;
            readers.push(Reader::new(file, &source.name, 0..length, buffer_size));
        }
        Ok((readers, total))
    }

    /// Merges the first sources into a file on the local disk, at the end of the list. So each pair is copied
    /// about log(sources)/log([`FAN_IN`]) times.
    fn merge_first(&mut self, meter: &mut Meter<'_>) -> Result<(), TaskError> {
        let first: Vec<Source<'_>> = self.sources.drain(..merge::first_merge(self.sources.len())).collect();
        let (readers, _) = self.open(&first)?;
        let number = self.own.len();
        let name = names::temporary(&format!("merged-{}-{number}", self.task.partition), self.task.attempt);
        self.own.push(name.clone());
        let mut writer = Writer::create(self.task.local, name.clone())?;
        Merge::new(readers)?.for_each_key(
            |_| meter.creep(),
            |key, values| Ok(values.try_for_each(&mut |value| writer.pair(key.as_bytes(), value.as_bytes()))?),
        )?;
        self.spilled += writer.finish()?;
        self.sources.push(Source { store: self.task.local, name });
        // The attempt's own files among the merged ones are no longer needed.
        for source in first.iter().filter(|source| self.own.contains(&source.name)) {
            self.task.local.delete(&source.name)?;
        }
        Ok(())
    }

    /// Deletes the files that this attempt wrote on the local disk.
    fn delete_all(&self) -> Result<(), StoreError> {
        self.own.iter().map(|name| self.task.local.delete(name)).fold(Ok(()), Result::and)
    }
}

/// Writes what the user's reduce emits.
struct Output<'a> {
    writer: Writer<'a>,
    /// A write error. The user's reduce cannot see it.
    error: Option<StoreError>,
    counters: Counters,
}

impl Output<'_> {
    /// Reduces one key.
    fn reduce(
        &mut self,
        application: &dyn Application,
        key: &str,
        values: &mut Group<'_>,
    ) -> Result<(), TaskError> {
        self.counters.keys += 1;
        let Output { writer, error, .. } = self;
        // A panic fails the attempt. Later attempts fail on the same key, and the coordinator then fails the
        // job with the key's name.
        let reduced = runtime::catch_panic(|| {
            application.reduce(key, values, &mut |value| {
                if error.is_none() {
                    *error = writer.line(key, value).err();
                }
            });
        });
        reduced.map_err(|reason| TaskError::BadKey { key: key.to_owned(), reason })?;
        self.error.take().map_or(Ok(()), |error| Err(error.into()))
    }
}
