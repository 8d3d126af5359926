//! Where a map's pairs go: into memory, from there in sorted runs to the disk, and in the end into one file
//! for each partition (paper, §3.1, step 4).
//!
//! Mostly all pairs of a split fit into memory, and each partition is written once. When they do not fit, the
//! collector spills sorted *runs* and merges them at the end. A run is one file with all partitions, one
//! behind the other.
//!
//! The spill happens in the middle of the user's map, at the pair that fills the memory. So even a map that
//! emits a terabyte from one record stays within its memory.
//!
//! A combiner may run at each of these steps. Each time it sees some of a key's values: those that are in
//! memory, or its own results for several runs. That is why it must be associative and commutative.

use std::ops::Range;

use labrt::runtime;
use mapreduce::app::{Application, Values};
use mapreduce::names;
use mapreduce::store::StoreError;
use mapreduce::tasks::{MapTask, TaskError};

use super::Meter;
use super::buffer::Buffer;
use super::map;
use super::merge::{self, FAN_IN, Merge};
use super::pair::{Reader, Writer};
use super::table::Table;

/// A key and a value together may be as long as this; the table counts in 32 bits.
const LONGEST_PAIR: usize = 1 << 30;

/// The pairs that are in memory.
enum Pairs {
    /// With a combiner.
    Table(Table),
    /// Without.
    Buffer(Buffer),
}

/// A spilled run: one file and not one for each partition, since there may be a thousand
/// partitions and a hundred runs.
struct Run {
    name: String,
    /// The place of each partition.
    ranges: Vec<Range<u64>>,
}

/// Takes the pairs of one attempt.
pub(super) struct Collector<'a> {
    task: &'a MapTask<'a>,
    pairs: Pairs,
    runs: Vec<Run>,
    /// How many runs were ever spilled. Their names are numbered.
    spilled: usize,
    emitted: u64,
    /// Bytes written to runs so far.
    spilled_bytes: u64,
    /// An error that came up while the user's map emitted a pair. The map cannot see it.
    error: Option<TaskError>,
}

/// What an attempt has written.
pub(super) struct Written {
    /// The length of each partition's file; 0 if there is none.
    pub(super) lengths: Vec<u64>,
    /// Bytes of spilled runs.
    pub(super) spilled: u64,
}

/// Takes the pairs of one partition in the order of their keys.
type PartitionSink<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), TaskError> + 'a;

/// Takes pairs in the order of partitions and keys.
type Sink<'a> = dyn FnMut(usize, &[u8], &[u8]) -> Result<(), TaskError> + 'a;

impl<'a> Collector<'a> {
    /// Takes the pairs of this attempt. Applications with a combiner get a table. The keys of others, such as
    /// a sort, hardly ever repeat, so that hashing them would cost more than it saves.
    pub(super) fn new(task: &'a MapTask<'a>) -> Collector<'a> {
        let combines = task.application.has_combiner();
        let pairs = if combines { Pairs::Table(Table::new()) } else { Pairs::Buffer(Buffer::new()) };
        Collector { task, pairs, runs: Vec::new(), spilled: 0, emitted: 0, spilled_bytes: 0, error: None }
    }

    /// Takes a pair. This runs for each word of the input, so it does as little as possible: for example, it
    /// looks at the memory in use only when that has changed.
    #[inline]
    pub(super) fn add(&mut self, key: &str, value: &str) {
        self.emitted += 1;
        assert!(key.len() + value.len() <= LONGEST_PAIR, "a pair of more than {LONGEST_PAIR} bytes");
        let memory = match &mut self.pairs {
            Pairs::Table(table) => {
                if !table.add(key, value) {
                    return;
                }
                table.memory()
            }
            Pairs::Buffer(buffer) => {
                let partition = checked_partition(self.task.application, key, self.task.reduces);
                buffer.add(partition, key, value);
                buffer.memory()
            }
        };
        if memory > self.task.memory {
            self.spill_from_map();
        }
    }

    /// Number of pairs taken.
    pub(super) fn emitted(&self) -> u64 {
        self.emitted
    }

    /// To be called now and then between two records: returns the error, if there was one, and keeps the
    /// number of runs small.
    pub(super) fn settle(&mut self, meter: &mut Meter<'_>) -> Result<(), TaskError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        while self.runs.len() > FAN_IN {
            self.merge_first(meter)?;
        }
        Ok(())
    }

    /// The memory is used up, and the user's map is in the middle of something.
    #[cold]
    fn spill_from_map(&mut self) {
        if self.error.is_none() {
            self.error = self.spill().err();
        }
        // After an error the attempt has failed, so that later pairs are counted and dropped.
        self.pairs.clear();
    }

    /// Writes what is in memory as one more run.
    fn spill(&mut self) -> Result<(), TaskError> {
        let mut writer = self.new_run()?;
        let mut ranges = vec![0..0; self.task.reduces];
        self.pairs.write_sorted(self.task, &mut |partition, key, value| {
            extend(&mut ranges, partition, &mut writer, key, value)
        })?;
        self.pairs.clear();
        self.end_run(writer, ranges)
    }

    /// Opens the file of the next run.
    fn new_run(&self) -> Result<Writer<'a>, StoreError> {
        Writer::create(self.task.output, map::run_name(self.task, self.spilled))
    }

    /// Closes the file of a run, and remembers where the run's partitions are.
    fn end_run(&mut self, writer: Writer<'_>, ranges: Vec<Range<u64>>) -> Result<(), TaskError> {
        self.spilled_bytes += writer.finish()?;
        self.runs.push(Run { name: map::run_name(self.task, self.spilled), ranges });
        self.spilled += 1;
        Ok(())
    }

    /// Merges the first runs into one, which goes to the end of the list. So each pair is copied about
    /// log(runs)/log([`FAN_IN`]) times.
    fn merge_first(&mut self, meter: &mut Meter<'_>) -> Result<(), TaskError> {
        let mut writer = self.new_run()?;
        // Partition by partition, so that the new run is laid out like the others.
        let mut ranges = vec![0..0; self.task.reduces];
        let first: Vec<Run> = self.runs.drain(..merge::first_merge(self.runs.len())).collect();
        for partition in 0..self.task.reduces {
            merge_partition(self.task, &first, partition, meter, &mut |key, value| {
                extend(&mut ranges, partition, &mut writer, key, value)
            })?;
        }
        delete(self.task, first);
        self.end_run(writer, ranges)
    }

    /// Writes the intermediate files.
    pub(super) fn finish(mut self, meter: &mut Meter<'_>) -> Result<Written, TaskError> {
        if self.runs.is_empty() {
            return self.finish_in_memory();
        }
        if !self.pairs.is_empty() {
            self.spill()?;
        }
        // Few enough runs are left to be merged at once. This merge writes the files that reducers read.
        self.settle(meter)?;
        let mut lengths = vec![0; self.task.reduces];
        for (partition, length) in lengths.iter_mut().enumerate() {
            let mut file = PartitionFile::new(self.task, partition);
            merge_partition(self.task, &self.runs, partition, meter, &mut |key, value| {
                file.pair(key, value)
            })?;
            *length = file.publish()?;
        }
        delete(self.task, self.runs);
        Ok(Written { lengths, spilled: self.spilled_bytes })
    }

    /// The usual case: nothing was spilled, and each file is written once, from memory.
    fn finish_in_memory(mut self) -> Result<Written, TaskError> {
        let mut lengths = vec![0; self.task.reduces];
        let mut file = PartitionFile::new(self.task, 0);
        self.pairs.write_sorted(self.task, &mut |partition, key, value| {
            // Partitions come one after the other, so one open file is enough.
            if partition != file.partition {
                let next = PartitionFile::new(self.task, partition);
                let at = file.partition;
                let done = std::mem::replace(&mut file, next);
                lengths[at] = done.publish()?;
            }
            file.pair(key, value)
        })?;
        let last = file.partition;
        lengths[last] = file.publish()?;
        Ok(Written { lengths, spilled: 0 })
    }
}

/// Merges what the runs have for a partition.
fn merge_partition(
    task: &MapTask<'_>,
    runs: &[Run],
    partition: usize,
    meter: &mut Meter<'_>,
    sink: &mut PartitionSink<'_>,
) -> Result<(), TaskError> {
    let buffer_size = merge::buffer_size(task.memory, runs.len());
    let mut readers = Vec::new();
    for run in runs.iter().filter(|run| !run.ranges[partition].is_empty()) {
        let file = task.output.open(&run.name)?;
        readers.push(Reader::new(file, &run.name, run.ranges[partition].clone(), buffer_size));
    }
    Merge::new(readers)?.for_each_key(
        |_| meter.creep(),
        |key, values| {
            let mut write = |value: &str| sink(key.as_bytes(), value.as_bytes());
            combine(task.application, key, values, &mut write)
        },
    )
}

/// Deletes runs that have been merged: the disk may need the space.
fn delete(task: &MapTask<'_>, runs: Vec<Run>) {
    for run in runs {
        // If this fails, the end of the job deletes the file, because its name is temporary.
        let _ = task.output.delete(&run.name);
    }
}

/// Appends a pair to a run and notes to which partition it belongs. Partitions come in
/// increasing order.
fn extend(
    ranges: &mut [Range<u64>],
    partition: usize,
    writer: &mut Writer<'_>,
    key: &[u8],
    value: &[u8],
) -> Result<(), TaskError> {
    if ranges[partition].is_empty() {
        ranges[partition].start = writer.length();
    }
    writer.pair(key, value)?;
    ranges[partition].end = writer.length();
    Ok(())
}

/// Checks the answer of the user's partition function: a pair in a partition that no task reduces would be
/// lost silently.
fn checked_partition(application: &dyn Application, key: &str, reduces: usize) -> usize {
    let partition = application.partition(key, reduces);
    assert!(
        partition < reduces,
        "`{}` puts a key into partition {partition} of {reduces}",
        application.name()
    );
    partition
}

/// Passes values on, through the combiner if there is one. Stops at the first error.
fn combine(
    application: &dyn Application,
    key: &str,
    values: &mut dyn Values,
    write: &mut dyn FnMut(&str) -> Result<(), TaskError>,
) -> Result<(), TaskError> {
    let mut result = Ok(());
    if application.has_combiner() {
        // The user's combiner may panic on what the user's map has emitted.
        let combined = runtime::catch_panic(|| {
            application.combine(key, values, &mut |value| {
                if result.is_ok() {
                    result = write(value);
                }
            });
        });
        combined.map_err(|reason| TaskError::BadKey { key: key.to_owned(), reason })?;
        return result;
    }
    while let Some(value) = values.next() {
        write(value)?;
    }
    result
}

impl Pairs {
    fn is_empty(&self) -> bool {
        match self {
            Pairs::Table(table) => table.is_empty(),
            Pairs::Buffer(buffer) => buffer.is_empty(),
        }
    }

    fn clear(&mut self) {
        match self {
            Pairs::Table(table) => table.clear(),
            Pairs::Buffer(buffer) => buffer.clear(),
        }
    }

    /// Hands all pairs to `sink`, by partition and key.
    fn write_sorted(&mut self, task: &MapTask<'_>, sink: &mut Sink<'_>) -> Result<(), TaskError> {
        match self {
            Pairs::Table(table) => write_table(table, task, sink),
            Pairs::Buffer(buffer) => {
                buffer.sort();
                buffer.pairs().try_for_each(|(partition, key, value)| sink(partition, key, value))
            }
        }
    }
}

/// Hands over the pairs of a table, each key through the combiner unless it has one value.
fn write_table(table: &Table, task: &MapTask<'_>, sink: &mut Sink<'_>) -> Result<(), TaskError> {
    let partition_of = |key: &str| checked_partition(task.application, key, task.reduces);
    // Only here are partitions computed, once for each key and not for each pair.
    for (partition, found) in table.sorted(partition_of) {
        let key = found.key();
        let mut write = |value: &str| sink(partition, key.as_bytes(), value.as_bytes());
        match found.only_value() {
            // Nothing to combine, as for most keys of a long tail.
            Some(value) => write(value)?,
            None => combine(task.application, key, &mut found.values(), &mut write)?,
        }
    }
    Ok(())
}

/// The intermediate file of a partition. The first pair creates it, since most partitions of a small split
/// are empty.
struct PartitionFile<'a> {
    task: &'a MapTask<'a>,
    partition: usize,
    writer: Option<Writer<'a>>,
}

impl<'a> PartitionFile<'a> {
    /// No file yet.
    fn new(task: &'a MapTask<'a>, partition: usize) -> PartitionFile<'a> {
        PartitionFile { task, partition, writer: None }
    }

    /// The name that reducers will be told.
    fn name(&self) -> String {
        names::intermediate(self.task.map, self.partition, self.task.attempt)
    }

    /// Appends a pair, whose key does not come before the last one's.
    fn pair(&mut self, key: &[u8], value: &[u8]) -> Result<(), TaskError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let temporary = names::temporary(&self.name(), self.task.attempt);
                self.writer.insert(Writer::create(self.task.output, temporary)?)
            }
        };
        Ok(writer.pair(key, value)?)
    }

    /// Completes the file and returns its length. Without a pair there is no file, and the length is 0.
    fn publish(self) -> Result<u64, StoreError> {
        let name = self.name();
        self.writer.map_or(Ok(0), |writer| writer.publish(&name))
    }
}
