// handout: file guided
//! The input of a reduce. In part 1A it is in the shared store. In part 1B reducers fetch their partitions
//! from the mappers' disks: the shuffle (paper, §3.1, steps 4 and 5).

use std::collections::BTreeSet;

use bytes::Bytes;
use labrt::thread;

use crate::names;
use crate::rpc::{
    AttemptId, FetchFailedArgs, FetchPartitionArgs, FetchPartitionReply, GetTaskReply, Source,
    SourceUpdateArgs, SourceUpdateReply, Sources, WorkerRpc,
};
use crate::store::{Store, StoreError, StoreErrorKind};
use crate::tasks::{self, TaskError};
use crate::worker::{Member, Worker, WorkerError};

/// The share of fetching in the progress of a reduce: a third, as in Hadoop.
const SHARE: f64 = 1.0 / 3.0;

/// How many bytes of a partition travel in one reply: enough that the call costs little beside them, and so
/// few that a mapper can serve many reducers at once.
const PIECE: usize = 256 * 1024;

/// The intermediate files of one reduce. Those that were copied are deleted when the attempt ends, however it
/// ends.
pub(crate) struct Inputs<'a> {
    store: &'a dyn Store,
    names: Vec<String>,
    /// Those that were copied from other machines. The others are the machine's own output, which other
    /// reducers want.
    copied: Vec<String>,
    bytes_copied: u64,
    /// The progress of the reduce when all its input is here.
    progress: f64,
}

// handout: bodies 1A
impl<'a> Inputs<'a> {
    /// Part 1A: the files are where the maps wrote them.
    pub(crate) fn shared(store: &'a dyn Store, sources: &Sources, partition: usize) -> Inputs<'a> {
        let name = |source: &Source| names::intermediate(source.map, partition, source.attempt);
        let names = sources.rows.iter().map(name).collect();
        Inputs { store, names, copied: Vec::new(), bytes_copied: 0, progress: 0.0 }
    }

    /// The files, for the task.
    pub(crate) fn sources(&self) -> Vec<tasks::Source<'a>> {
        self.names.iter().map(|name| tasks::Source { store: self.store, name: name.clone() }).collect()
    }

    pub(crate) fn progress(&self) -> f64 {
        self.progress
    }

    /// How many bytes came from other machines.
    pub(crate) fn fetched(&self) -> u64 {
        self.bytes_copied
    }
}

impl Drop for Inputs<'_> {
    fn drop(&mut self) {
        // A worker that is being killed deletes nothing: its machine has crashed.
        if labrt::thread::panicking() {
            return;
        }
        for name in &self.copied {
            // Files that cannot be deleted take up space and do no harm.
            let _ = self.store.delete(name);
        }
    }
}

// handout: bodies 1B
/// Copies the partition from all sources to the own disk. It reports a source that it cannot reach, and asks
/// the coordinator where that output is now, until it has all of them.
///
/// Workers make lost outputs again. If every worker waits for them, one that waits has to: so this asks for a
/// map, too.
pub(crate) fn fetch_all<'a>(
    member: &Member<'a>,
    id: AttemptId,
    partition: usize,
    mut sources: Sources,
) -> Result<Inputs<'a>, TaskError> {
    let total = sources.rows.len();
    let store = &*member.setup.local;
    let mut inputs =
        Inputs { store, names: Vec::new(), copied: Vec::new(), bytes_copied: 0, progress: SHARE };
    // Each round tries the missing outputs whose place is known. A map that runs again has no place for the
    // time being.
    let mut missing: BTreeSet<usize> = sources.rows.iter().map(|source| source.map).collect();
    let mut failures = 0;
    loop {
        for source in &sources.rows {
            member.worker.advance(SHARE * inputs.names.len() as f64 / total as f64).check()?;
            // One source that cannot be reached does not keep the others from being fetched.
            if fetch(member, id, partition, source, sources.host(source), &mut inputs)? {
                missing.remove(&source.map);
            } else {
                failures += 1;
                report_failure(member, id, source, sources.host(source), failures)?;
            }
        }
        if missing.is_empty() {
            return Ok(inputs);
        }
        // Either a source may answer after a pause, or there is nothing to try, and time to run a map.
        if !sources.rows.is_empty() || !run_lost_map(member, id).map_err(coordinator_lost)? {
            thread::sleep(member.setup.retry);
        }
        sources = ask_for_sources(member, id, &missing)?;
    }
}

/// Runs a map while a reduce of this worker waits. False at once if the answer is no map: the caller sleeps,
/// for [`Setup::retry`](crate::worker::Setup) as before any repetition, and if the answer was "exit", its
/// next question for sources is answered with "cancel".
fn run_lost_map(member: &Member<'_>, waiting: AttemptId) -> Result<bool, WorkerError> {
    let GetTaskReply::Map(map) = member.worker.ask(Some(waiting))? else { return Ok(false) };
    member.attempt(map.id(), || member.map(&map))?;
    Ok(true)
}

/// Copies one partition of one map. False if the other machine did not give it.
fn fetch(
    member: &Member<'_>,
    id: AttemptId,
    partition: usize,
    source: &Source,
    host: &str,
    inputs: &mut Inputs<'_>,
) -> Result<bool, TaskError> {
    let setup = member.setup;
    let Source { map, attempt, .. } = *source;
    let name = names::intermediate(map, partition, attempt);
    // The own output needs no copy, if the disk still has it. If the disk was lost, the own worker answers
    // that it is gone.
    if host == setup.host && setup.local.open(&name).is_ok() {
        inputs.names.push(name);
        return Ok(true);
    }
    let Some(client) = setup.network.worker(host) else { return Ok(false) };
    let gone = || StoreError::new(StoreErrorKind::Gone, &name, format!("{host} does not give it"));
    let pull = |offset| match client.fetch_partition(&FetchPartitionArgs { map, attempt, partition, offset })
    {
        Ok(FetchPartitionReply::Bytes(bytes)) => Ok(bytes),
        Ok(FetchPartitionReply::Gone) | Err(_) => Err(gone()),
    };
    match copy(pull, &*setup.local, &name, id.attempt) {
        Ok(bytes) => {
            inputs.bytes_copied += bytes;
            inputs.copied.push(name.clone());
            inputs.names.push(name);
            Ok(true)
        }
        // The other machine's trouble is reported; the own disk's fails the attempt.
        Err(error) if error.kind == StoreErrorKind::Gone => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Copies a partition, piece by piece, and returns its length. Should the mapper die in the middle, the copy
/// never gets its name. Each piece is asked for by its offset, so that a repeated or lost reply neither
/// repeats nor loses bytes.
fn copy(
    pull: impl Fn(u64) -> Result<Bytes, StoreError>,
    local: &dyn Store,
    name: &str,
    attempt: u32,
) -> Result<u64, StoreError> {
    let temporary = names::temporary(name, attempt);
    let copy = || {
        let mut file = local.create(&temporary)?;
        let mut offset = 0;
        loop {
            let bytes = pull(offset)?;
            if bytes.is_empty() {
                break;
            }
            file.write(&bytes)?;
            offset += bytes.len() as u64;
        }
        file.finish()?;
        local.rename(&temporary, name)?;
        Ok(offset)
    };
    copy().inspect_err(|_| {
        // The error that counts is the one that is returned.
        let _ = local.delete(&temporary);
    })
}

/// Tells the coordinator that a source could not be reached. The coordinator decides what follows, since it
/// hears what other workers report of the same machine.
fn report_failure(
    member: &Member<'_>,
    id: AttemptId,
    source: &Source,
    host: &str,
    number: u64,
) -> Result<(), TaskError> {
    let args = FetchFailedArgs {
        worker: member.setup.worker,
        running: id,
        map: source.map,
        attempt: source.attempt,
        host: host.to_owned(),
        number,
    };
    member.worker.insist(|coordinator| coordinator.fetch_failed(&args)).map_err(coordinator_lost)
}

/// Asks where the missing partitions are now. The question also tells the coordinator that this attempt is
/// alive, and waits through no fault of its own.
fn ask_for_sources(
    member: &Member<'_>,
    id: AttemptId,
    missing: &BTreeSet<usize>,
) -> Result<Sources, TaskError> {
    let args = SourceUpdateArgs {
        worker: member.setup.worker,
        running: id,
        missing: missing.iter().copied().collect(),
    };
    let reply = member.worker.insist(|coordinator| coordinator.source_update(&args));
    match reply.map_err(coordinator_lost)? {
        SourceUpdateReply::Sources(sources) => Ok(sources),
        SourceUpdateReply::Cancel => Err(TaskError::Cancelled),
    }
}

/// A reducer that cannot reach the coordinator gives up its attempt; its worker learns the same from its next
/// call.
fn coordinator_lost(_: WorkerError) -> TaskError {
    TaskError::Cancelled
}

/// Answers another worker's request for a piece of an intermediate file. A file that cannot be read counts as
/// gone: the coordinator will have it made again.
///
/// The request names the accepted attempt, so that another attempt's file here is never taken for it.
fn serve(local: &dyn Store, args: &FetchPartitionArgs) -> FetchPartitionReply {
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

impl WorkerRpc for Worker {
    fn fetch_partition(&self, args: FetchPartitionArgs) -> FetchPartitionReply {
        serve(&*self.setup.local, &args)
    }
}
