//! The shuffle of part B: reducers fetch their partitions from the mappers' disks (paper,
//! §3.1, steps 4 and 5).

use std::collections::BTreeSet;

use bytes::Bytes;
use labrt::thread;

use crate::names;
use crate::rpc::{
    AttemptId, FetchFailedArgs, FetchPartitionArgs, FetchPartitionReply, Source, SourceUpdateArgs,
    SourceUpdateReply, Sources, TaskId,
};
use crate::store::{Store, StoreError, StoreErrorKind};
use crate::task::{Step, TaskError, copy_partition};
use crate::worker::{Worker, WorkerError};

/// How much of a reduce's work fetching counts for, in its progress: a third, as in Hadoop.
pub(crate) const SHARE: f64 = 1.0 / 3.0;

/// How many bytes of a partition travel in one reply: enough that the call costs little beside
/// them, and so few that a mapper can serve many reducers at once.
const PIECE: usize = 256 * 1024;

/// Partitions that are on the own disk. Those that were copied are deleted when the attempt
/// ends, however it ends.
pub(crate) struct Copies<'a> {
    local: &'a dyn Store,
    /// All of them.
    names: Vec<String>,
    /// Those that were copied from other machines. The others are the machine's own output,
    /// which other reducers still want.
    copied: Vec<String>,
}

impl Copies<'_> {
    /// The names of the files, one for each source.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.clone()
    }
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        // A worker that is being killed deletes nothing: its machine has crashed.
        if std::thread::panicking() {
            return;
        }
        for name in &self.copied {
            // What cannot be deleted costs room and does no harm.
            let _ = self.local.delete(name);
        }
    }
}

/// The files of these sources for one partition: in the shared store they can be read where they
/// are, so that their names are all that part 1A needs.
pub(crate) fn names_of(sources: &Sources, partition: usize) -> Vec<String> {
    sources.rows.iter().map(|source| names::intermediate(source.map, partition, source.attempt)).collect()
}

/// Copies the partition from all sources to the own disk. A source that cannot be reached
/// is reported, and then the coordinator is asked where its output is now, until all of
/// them are there.
///
/// Lost outputs are made again by some worker, and if every worker waits for them, by one
/// that waits: `help` asks for such a map and runs it, and says whether there was one.
pub(crate) fn fetch_all<'a>(
    worker: &'a Worker,
    id: AttemptId,
    sources: Sources,
    help: &dyn Fn() -> Result<bool, WorkerError>,
) -> Result<Copies<'a>, TaskError> {
    let TaskId::Reduce(partition) = id.task else { panic!("{id} is no reduce, and fetches partitions") };
    let setup = worker.setup();
    let total = sources.rows.len();
    let mut copies = Copies { local: &*setup.local, names: Vec::new(), copied: Vec::new() };
    // Rounds: each tries what is missing, as far as it is known where to find it. A map that is
    // being made again has no place for the time being, and is missing until it has one.
    let mut missing: BTreeSet<usize> = sources.rows.iter().map(|source| source.map).collect();
    let mut sources = sources;
    let mut failures = 0;
    loop {
        for source in &sources.rows {
            if worker.advance(SHARE * copies.names.len() as f64 / total as f64) == Step::Cancel {
                return Err(TaskError::Cancelled);
            }
            let host = sources.host(source);
            // One source that cannot be reached does not keep the others from being fetched.
            if fetch(worker, id, partition, source, host, &mut copies)? {
                missing.remove(&source.map);
            } else {
                failures += 1;
                complain(worker, id, source, host, failures)?;
            }
        }
        if missing.is_empty() {
            return Ok(copies);
        }
        // Either something may work the second time, after a pause, or there is nothing to try.
        if !sources.rows.is_empty() || !help().map_err(lost)? {
            thread::sleep(setup.retry);
        }
        sources = ask_again(worker, id, &missing)?;
    }
}

/// Copies one partition of one map. False if it could not be had.
fn fetch(
    worker: &Worker,
    id: AttemptId,
    partition: usize,
    source: &Source,
    host: &str,
    copies: &mut Copies<'_>,
) -> Result<bool, TaskError> {
    let setup = worker.setup();
    let Source { map, attempt, .. } = *source;
    let name = names::intermediate(map, partition, attempt);
    // The own output needs no copy, if the disk still has it. After a disk was lost the own
    // worker is asked like any other, and says that it is gone.
    if host == setup.host && setup.local.open(&name).is_ok() {
        copies.names.push(name);
        return Ok(true);
    }
    let Some(client) = setup.network.worker(host) else { return Ok(false) };
    let gone = || StoreError::new(StoreErrorKind::Gone, &name, format!("is not to be had from {host}"));
    // A partition travels in pieces. Should the mapper die in the middle, what is there never
    // gets its name: only whole partitions do.
    let mut pull =
        |offset| match client.fetch_partition(&FetchPartitionArgs { map, attempt, partition, offset }) {
            Ok(FetchPartitionReply::Bytes(bytes)) => Ok(bytes.to_vec()),
            Ok(FetchPartitionReply::Gone) | Err(_) => Err(gone()),
        };
    match copy_partition(&mut pull, &*setup.local, &name, id.attempt) {
        Ok(_) => {
            copies.copied.push(name.clone());
            copies.names.push(name);
            Ok(true)
        }
        // The other machine's trouble is reported; the own disk's fails the attempt.
        Err(error) if error.kind == StoreErrorKind::Gone => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Tells the coordinator that a source could not be reached. What follows from it is the
/// coordinator's to decide, who alone hears what others say of the same machine.
fn complain(
    worker: &Worker,
    id: AttemptId,
    source: &Source,
    host: &str,
    number: u64,
) -> Result<(), TaskError> {
    let args = FetchFailedArgs {
        worker: worker.setup().worker,
        running: id,
        map: source.map,
        attempt: source.attempt,
        host: host.to_owned(),
        number,
    };
    worker.insist(|coordinator| coordinator.fetch_failed(&args)).map_err(lost)
}

/// Where the missing partitions are now. That somebody asks also tells the coordinator that this
/// attempt is alive, and stands still through no fault of its own.
fn ask_again(worker: &Worker, id: AttemptId, missing: &BTreeSet<usize>) -> Result<Sources, TaskError> {
    let args = SourceUpdateArgs {
        worker: worker.setup().worker,
        running: id,
        missing: missing.iter().copied().collect(),
    };
    match worker.insist(|coordinator| coordinator.source_update(&args)).map_err(lost)? {
        SourceUpdateReply::Sources(sources) => Ok(sources),
        SourceUpdateReply::Cancel => Err(TaskError::Cancelled),
    }
}

/// A reducer that cannot reach the coordinator gives up; its worker will find out the same
/// with its next call.
fn lost(_: WorkerError) -> TaskError {
    TaskError::Cancelled
}

/// Answers another worker's request for a piece of an intermediate file. A file that cannot be
/// read is as good as gone: the coordinator will have it made again.
///
/// Who asks knows the attempt that was accepted, so that what another attempt has left here is
/// never taken for it.
pub(crate) fn serve(local: &dyn Store, args: &FetchPartitionArgs) -> FetchPartitionReply {
    let name = names::intermediate(args.map, args.partition, args.attempt);
    let read = || -> Result<Vec<u8>, StoreError> {
        let mut file = local.open(&name)?;
        let left = file.length().saturating_sub(args.offset);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
        let count = file.read_at(args.offset, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => FetchPartitionReply::Bytes(Bytes::from(bytes)),
        Err(_) => FetchPartitionReply::Gone,
    }
}
