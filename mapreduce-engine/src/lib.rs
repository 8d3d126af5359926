//! Runs MapReduce tasks fast, and on data that do not fit into memory. [`Engine`] implements the lab's trait
//! [`Tasks`], like the plain tasks of `mapreduce::task`.
//!
//! In the paper, mappers buffer pairs and spill them, and reducers sort what they have fetched, on disk if
//! necessary (Dean and Ghemawat, *MapReduce*, OSDI 2004, §3.1, §4.2, §4.3). Here the mapper sorts, as in
//! Hadoop, and the reducer merges.
//!
//! Memory does not grow with the input: a map keeps pairs up to its budget and then spills them, and a reduce
//! streams. Only one record, one key and one value must fit into memory (for `Records::Whole`, one file).
//!
//! # How to read
//!
//! | file | what |
//! |---|---|
//! | `map.rs` | a map: from records to pairs |
//! | `records.rs` | from the pieces of a split to records |
//! | `collect.rs` | from memory to sorted files, with spilled runs in between if need be |
//! | `table.rs`, `buffer.rs` | pairs in memory, with and without a combiner |
//! | `pair.rs` | pairs in files |
//! | `merge.rs` | from sorted files to keys with all their values |
//! | `reduce.rs` | a reduce: from keys with values to output |
//! | `zipf.rs` | text for tests and benches |
//!
//! # What is left out on purpose
//!
//! - **Compression** of intermediate files: on the machines of the benches they stay in the system's memory
//!   anyway.
//! - **Several threads** in one task. A worker runs one task at a time; a machine with many processors runs
//!   many workers.
//! - **Checksums**: the engine trusts the store not to change bytes. It notices a truncated file.

mod buffer;
mod collect;
mod map;
mod merge;
mod pair;
mod records;
mod reduce;
mod table;
pub mod zipf;

pub use pair::prefix;

use mapreduce::store::{Store, StoreError};
use mapreduce::tasks::{Counters, MapOutput, MapTask, Progress, ReduceTask, TaskError, Tasks};

/// Runs tasks within a budget of memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Engine;

impl Tasks for Engine {
    fn run_map(&self, task: &MapTask<'_>, progress: &mut Progress<'_>) -> Result<MapOutput, TaskError> {
        let result = map::run(task, &mut Meter::new(progress));
        if result.is_err() {
            // The first error is the one to report.
            let _ = self.delete_map_output(task.output, task.map, task.attempt, task.reduces);
        }
        result
    }

    fn run_reduce(&self, task: &ReduceTask<'_>, progress: &mut Progress<'_>) -> Result<Counters, TaskError> {
        reduce::run(task, &mut Meter::new(progress))
    }

    fn delete_map_output(
        &self,
        store: &dyn Store,
        map: usize,
        attempt: u32,
        reduces: usize,
    ) -> Result<(), StoreError> {
        map::delete_output(store, map, attempt, reduces)
    }
}

/// Reports the progress of a task. The reported numbers never fall, and they rise whenever the task gets work
/// done, because the coordinator gives up a task without progress.
struct Meter<'a> {
    progress: &'a mut Progress<'a>,
    /// The last reported number.
    shown: f64,
}

impl<'a> Meter<'a> {
    fn new(progress: &'a mut Progress<'_>) -> Meter<'a> {
        Meter { progress: &mut *progress, shown: 0.0 }
    }

    /// Reports that this much is done, from 0 to 1.
    fn at(&mut self, fraction: f64) -> Result<(), TaskError> {
        self.shown = self.shown.max(fraction.min(1.0));
        (self.progress)(self.shown).check()
    }

    /// Reports that about another megabyte is done, of work whose amount is not known in advance.
    fn creep(&mut self) -> Result<(), TaskError> {
        self.at(self.shown + (1.0 - self.shown) / 1024.0)
    }
}

/// Bytes of work between two calls of the progress callback.
const PROGRESS_EVERY: u64 = 1 << 20;
