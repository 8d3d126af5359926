//! Collects a map's pairs: in memory first, then in sorted runs on disk, and at the end in one file for each
//! partition (paper, §3.1, step 4).
//!
//! Usually all pairs of a split fit into memory, and each partition is written once. If they do not fit, the
//! collector spills sorted *runs* and merges them at the end. A run is one file with all partitions, one
//! after the other.
//!
//! The collector spills in the middle of the user's map, at the pair that fills the memory. So even a map
//! that emits a terabyte from one record stays within its budget.
//!
//! A combiner may run at each of these steps. Each time it sees only some of a key's values: those in memory,
//! or its own results for several runs. So it must be associative and commutative.

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

/// The longest key and value together. The table counts bytes in 32 bits.
const LONGEST_PAIR: usize = 1 << 30;

/// The pairs that are in memory.
enum Pairs {
    /// With a combiner.
    Table(Table),
    /// Without.
    Buffer(Buffer),
}

/// A spilled run. One file for all partitions, because there may be a thousand partitions and a hundred runs.
struct Run {
    name: String,
    /// The place of each partition.
    ranges: Vec<Range<u64>>,
}

/// Collects the pairs of one attempt.
pub(super) struct Collector<'a> {
    task: &'a MapTask<'a>,
    pairs: Pairs,
    runs: Vec<Run>,
    /// The number of runs spilled so far. It numbers their names.
    spilled: usize,
    emitted: u64,
    /// Bytes written to runs so far.
    spilled_bytes: u64,
    /// An error while the user's map emitted a pair. The map cannot see it.
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
    /// A collector for this attempt. Applications with a combiner get a table. Without a combiner, as in a
    /// sort, keys rarely repeat, and hashing them would cost more than it saves.
    pub(super) fn new(task: &'a MapTask<'a>) -> Collector<'a> {
        let combines = task.application.has_combiner();
        let pairs = if combines { Pairs::Table(Table::new()) } else { Pairs::Buffer(Buffer::new()) };
        Collector { task, pairs, runs: Vec::new(), spilled: 0, emitted: 0, spilled_bytes: 0, error: None }
    }

    /// Adds a pair. This runs for each word of the input, so it does as little as possible. For example, it
    /// checks the memory in use only when that has changed.
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

    /// The number of pairs added.
    pub(super) fn emitted(&self) -> u64 {
        self.emitted
    }

    /// Returns the error of a spill, if there was one, and keeps the number of runs small. The caller calls
    /// this between records from time to time.
    pub(super) fn settle(&mut self, meter: &mut Meter<'_>) -> Result<(), TaskError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        while self.runs.len() > FAN_IN {
            self.merge_first(meter)?;
        }
        Ok(())
    }

    /// Spills while the user's map runs.
    #[cold]
    fn spill_from_map(&mut self) {
        if self.error.is_none() {
            self.error = self.spill().err();
        }
        // After an error the attempt has failed. Later pairs are counted and dropped.
        self.pairs.clear();
    }

    /// Writes the pairs in memory as another run.
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

    /// Closes the file of a run, and notes the places of its partitions.
    fn end_run(&mut self, writer: Writer<'_>, ranges: Vec<Range<u64>>) -> Result<(), TaskError> {
        self.spilled_bytes += writer.finish()?;
        self.runs.push(Run { name: map::run_name(self.task, self.spilled), ranges });
        self.spilled += 1;
        Ok(())
    }

    /// Merges the first runs into one, at the end of the list. So each pair is copied about
    /// log(runs)/log([`FAN_IN`]) times.
    fn merge_first(&mut self, meter: &mut Meter<'_>) -> Result<(), TaskError> {
        let mut writer = self.new_run()?;
        // Partition by partition, so the new run has the layout of the others.
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
        // Now one merge can read all runs. It writes the files that reducers read.
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
            // Pairs come in the order of partitions, so one open file is enough.
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

/// Writes the pairs of a table to the sink. Keys with several values go through the combiner.
fn write_table(table: &Table, task: &MapTask<'_>, sink: &mut Sink<'_>) -> Result<(), TaskError> {
    let partition_of = |key: &str| checked_partition(task.application, key, task.reduces);
    // Partitions are computed here, once for each key instead of once for each pair.
    for (partition, found) in table.sorted(partition_of) {
        let key = found.key();
        let mut write = |value: &str| sink(partition, key.as_bytes(), value.as_bytes());
        match found.only_value() {
            // Nothing to combine. Most rare keys have one value.
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

    /// The file's final name, which reducers get.
    fn name(&self) -> String {
        names::intermediate(self.task.map, self.partition, self.task.attempt)
    }

    /// Appends a pair. Its key is not smaller than the last pair's.
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
