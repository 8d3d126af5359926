//! What coordinator and workers say to each other.
//!
//! Every one of these messages may be lost, delayed, delivered twice or overtaken by a
//! later one, in both directions. None of them therefore means "do the next thing": each
//! names the worker, and the task with the attempt that it is about, so that the receiver
//! can see whether it still applies. Saying one twice does no harm.
//!
//! A *task* is a piece of the job's work, a map or a reduce; an *attempt* is one run of it
//! on one worker. A task may need several attempts, one after the other or two at once, and
//! exactly one of them counts.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::task::{Counters, Split, TaskError};

/// What both sides must speak. A coordinator refuses a worker that names another number.
pub const PROTOCOL_VERSION: u32 = 1;

/// Names a worker process, for as long as it lives: a process that is started again takes
/// another number. Drawn at random, so that nobody has to hand them out.
pub type WorkerId = u64;

/// A piece of the job's work. Maps come before reduces, each counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskId {
    /// One split of the input goes through the map function.
    Map(usize),
    /// One partition of the intermediate pairs goes through the reduce function.
    Reduce(usize),
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TaskId::Map(map) => write!(f, "map {map}"),
            TaskId::Reduce(reduce) => write!(f, "reduce {reduce}"),
        }
    }
}

/// One run of a task on one worker. Attempts of a task are counted from 0 and no number is
/// used twice, so that the files of one are never taken for those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// What is being done.
    pub task: TaskId,
    /// Which run of it this is.
    pub attempt: u32,
}

impl std::fmt::Display for AttemptId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.task, self.attempt)
    }
}

/// What a worker must know of the job, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Names the job, so that a worker that was left over from another one notices.
    pub id: u64,
    /// Name of the application.
    pub application: String,
    /// The application's own parameters, such as the pattern of grep.
    pub parameters: Vec<String>,
    /// Number of reduce tasks (the paper's R), at least 1.
    pub reduces: usize,
    /// Whether intermediate files stay on the disk of the machine that ran the map, and
    /// reducers fetch them from there (part B), or lie in the shared store (part A).
    pub local_disks: bool,
    /// How often a worker that runs a task says how far it is, in milliseconds.
    pub report_every_ms: u64,
}

/// A worker says that it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterArgs {
    /// What the worker speaks: [`PROTOCOL_VERSION`].
    pub version: u32,
    /// The worker.
    pub worker: WorkerId,
    /// The machine that it runs on: where its local disk can be reached, and whose input
    /// replicas are local to it.
    pub host: String,
}

/// The answer to a [`RegisterArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterReply {
    /// The worker may ask for tasks of this job.
    Welcome(Job),
    /// The worker cannot work here, for this reason, and had better end.
    Refused(String),
}

/// A worker asks for something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetTaskArgs {
    /// The worker.
    pub worker: WorkerId,
    /// Its machine, as in [`RegisterArgs`].
    pub host: String,
    /// How often the worker has asked, this time included, from 1 on. A question that comes a
    /// second time, or late, has the number of one that was answered already.
    pub number: u64,
    /// What the worker is doing already: nothing, or a reduce that waits for outputs which
    /// have to be made again, so that the worker has time for a map. If the coordinator
    /// believes that it does something else, the reply that said so was lost, and is given
    /// again.
    pub running: Option<AttemptId>,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GetTaskReply {
    /// Run this map.
    Map {
        /// Number of the task.
        map: usize,
        /// Number of the attempt.
        attempt: u32,
        /// Its input.
        split: Split,
        /// Offsets of records that have made map fail before, and are to be stepped over
        /// (paper, §4.6).
        skip: Vec<u64>,
        /// Number of partitions to write.
        reduces: usize,
    },
    /// Run this reduce.
    Reduce {
        /// Number of the task, and of its partition.
        reduce: usize,
        /// Number of the attempt.
        attempt: u32,
        /// Where its input is. Maps that have emitted nothing for this partition are left
        /// out.
        sources: Sources,
    },
    /// There is nothing to do now; ask again after this many milliseconds. It does not mean
    /// that the job is over: a worker that dies leaves tasks behind.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// The job is over, and with it the worker.
    Exit,
}

/// Where partitions of finished maps can be fetched. A table of machines and one small row
/// for each map, since a reduce may have tens of thousands of sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// Names of machines.
    pub hosts: Vec<String>,
    /// One row for each map.
    pub rows: Vec<Source>,
}

/// A finished map's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The map.
    pub map: usize,
    /// The attempt that counts.
    pub attempt: u32,
    /// Its machine, as a position in [`Sources::hosts`].
    pub host: u32,
}

impl Sources {
    /// The name of a source's machine.
    pub fn host(&self, source: &Source) -> &str {
        &self.hosts[source.host as usize]
    }
}

/// A worker says how far it is, and thereby that it is alive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgressArgs {
    /// The worker.
    pub worker: WorkerId,
    /// What it does.
    pub running: AttemptId,
    /// How much of it is done, from 0 to 1.
    pub fraction: f64,
    /// Reduce: all partitions are on this machine, so that the mappers' disks are needed no
    /// more.
    pub fetched: bool,
}

/// The answer to a [`ProgressArgs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgressReply {
    /// Go on.
    Continue,
    /// This attempt is not wanted any more: another one was accepted, or this one was given
    /// up for dead.
    Cancel,
}

/// A worker has finished an attempt: all that it has written is complete and will survive
/// the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDoneArgs {
    /// The worker.
    pub worker: WorkerId,
    /// The worker's machine: where the output of a map lies, in part B.
    pub host: String,
    /// What is done.
    pub done: AttemptId,
    /// Map: the partitions for which it has written a file.
    pub partitions: PartitionSet,
    /// What the attempt has counted.
    pub counters: Counters,
}

/// The answer to a [`TaskDoneArgs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskDoneReply {
    /// This attempt is the one that counts. Said again if the report is repeated.
    Accepted,
    /// It does not count; the worker deletes what it has written.
    Late,
}

/// A worker gives up an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailedArgs {
    /// The worker.
    pub worker: WorkerId,
    /// What has failed.
    pub failed: AttemptId,
    /// Why, and for a bad record, where.
    pub error: TaskError,
}

/// What the worker does after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NextStep {
    /// Ask for another task.
    Ask,
    /// End: the job has failed.
    Exit,
}

/// A reducer asks a mapper's machine for a piece of a partition (part B).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchPartitionArgs {
    /// The map.
    pub map: usize,
    /// The attempt of the map.
    pub attempt: u32,
    /// The partition.
    pub partition: usize,
    /// The first byte that is wanted.
    pub offset: u64,
}

/// The answer to a [`FetchPartitionArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchPartitionReply {
    /// Some of the bytes from the offset on; none at the partition's end.
    Bytes(Bytes),
    /// This machine does not have that output, or no more.
    Gone,
}

/// A reducer could not fetch a partition (part B).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchFailedArgs {
    /// The reducer's worker.
    pub worker: WorkerId,
    /// What it does.
    pub running: AttemptId,
    /// The map whose output could not be fetched.
    pub map: usize,
    /// The attempt of the map.
    pub attempt: u32,
    /// The machine that did not give it.
    pub host: String,
    /// How often this worker has failed to fetch something, this time included: tells a
    /// repeated message from a repeated failure.
    pub number: u64,
}

/// A reducer asks where outputs are now that it could not fetch before (part B).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceUpdateArgs {
    /// The reducer's worker.
    pub worker: WorkerId,
    /// What it does.
    pub running: AttemptId,
    /// The maps whose output it lacks.
    pub missing: Vec<usize>,
}

/// The answer to a [`SourceUpdateArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceUpdateReply {
    /// Where those of the missing outputs are that can be had now. The others are being
    /// made again.
    Sources(Sources),
    /// This attempt is not wanted any more.
    Cancel,
}

/// A set of partitions, one bit each: the coordinator keeps one for each finished map (the
/// paper's O(M × R) state, §3.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSet {
    bits: Box<[u8]>,
}

impl PartitionSet {
    /// The partitions with a file, given the files' lengths.
    pub fn of_lengths(lengths: &[u64]) -> PartitionSet {
        let mut bits = vec![0; lengths.len().div_ceil(8)];
        for (partition, _) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            bits[partition / 8] |= 1 << (partition % 8);
        }
        PartitionSet { bits: bits.into() }
    }

    /// Whether the partition is in the set.
    pub fn contains(&self, partition: usize) -> bool {
        self.bits.get(partition / 8).is_some_and(|byte| byte >> (partition % 8) & 1 == 1)
    }
}

labrpc::service! {
    /// What a coordinator offers to workers. Each handler changes the coordinator's state
    /// under its lock and answers at once.
    pub service CoordinatorRpc, client CoordinatorClient {
        /// Makes a worker known.
        fn register(args: RegisterArgs) -> RegisterReply;
        /// Hands out a task.
        fn get_task(args: GetTaskArgs) -> GetTaskReply;
        /// Takes note of how far an attempt is.
        fn progress(args: ProgressArgs) -> ProgressReply;
        /// Commits an attempt, or finds that it comes late.
        fn task_done(args: TaskDoneArgs) -> TaskDoneReply;
        /// Takes note of a failed attempt.
        fn task_failed(args: TaskFailedArgs) -> NextStep;
        /// Takes note that a map's output could not be fetched.
        fn fetch_failed(args: FetchFailedArgs) -> ();
        /// Tells where outputs are now.
        fn source_update(args: SourceUpdateArgs) -> SourceUpdateReply;
    }
}

labrpc::service! {
    /// What a worker offers to the other workers (part B).
    pub service WorkerRpc, client WorkerClient {
        /// Hands over a piece of an intermediate file on the local disk.
        fn fetch_partition(args: FetchPartitionArgs) -> FetchPartitionReply;
    }
}
