//! The messages between coordinator and workers.
//!
//! The network may lose, delay, repeat and reorder each of these messages, in both directions. So no message
//! means "do the next thing": each names the worker, and the task and attempt that it is about, so that the
//! receiver can see whether it still applies. Receiving a message twice does no harm.
//!
//! A *task* is a map or a reduce; an *attempt* is one run of it on one worker. A task may need several
//! attempts, one after the other or two at once, and exactly one of them counts. Part 1B adds the messages of
//! `shuffle_rpc.rs`.

use serde::{Deserialize, Serialize};

pub use crate::partitions::PartitionSet;
pub use crate::shuffle_rpc::*;
use crate::split::{RecordPlace, Split};
use crate::tasks::{Counters, TaskError};

/// The version of these messages. A coordinator refuses a worker of another version.
pub const PROTOCOL_VERSION: u32 = 2;

/// Names a worker process. Each process draws its number at random; one that starts again draws another.
pub type WorkerId = u64;

/// A piece of the job's work. Maps come before reduces, each counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskId {
    /// Runs the map function over one split of the input.
    Map(usize),
    /// Runs the reduce function over one partition of the intermediate pairs.
    Reduce(usize),
}

/// One run of a task on one worker. The attempts of a task count from 0 and no number is used twice, so that
/// the files of one attempt are never taken for those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The task.
    pub task: TaskId,
    /// The number of the attempt.
    pub attempt: u32,
}

/// The facts about a job that a worker needs once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Names the job, so that a worker left over from another one notices.
    pub id: u64,
    /// The name of the application.
    pub application: String,
    /// The application's own parameters, such as the pattern of grep.
    pub parameters: Vec<String>,
    /// The number of reduce tasks (the paper's R), at least 1.
    pub reduces: usize,
    /// Part 1B: intermediate files stay on the disk of the machine that ran the map, and reducers fetch them
    /// from there. Otherwise (part 1A) they are in the shared store.
    pub local_disks: bool,
    /// How often a worker reports the progress of its task, in milliseconds.
    pub report_every_ms: u64,
}

/// A worker registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterArgs {
    /// The worker's [`PROTOCOL_VERSION`].
    pub version: u32,
    /// The worker.
    pub worker: WorkerId,
    /// The worker's machine: part 1B reaches its local disk under this name, and input replicas there are
    /// local to it.
    pub host: String,
}

/// The answer to a [`RegisterArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterReply {
    /// The worker may ask for tasks of this job.
    Welcome(Job),
    /// The worker cannot take part, for this reason, and should end.
    Refused(String),
}

/// A worker asks for a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetTaskArgs {
    /// The worker.
    pub worker: WorkerId,
    /// Its machine, as in [`RegisterArgs`].
    pub host: String,
    /// How often the worker has asked, this time included. A request that the network repeats or delays
    /// carries a number that was answered before.
    pub number: u64,
    /// Part 1A: always `None`. Part 1B: the worker's reduce, if it waits for lost outputs, so that the worker
    /// has time to run a map.
    pub running: Option<AttemptId>,
}

/// What the worker shall do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GetTaskReply {
    /// Run this map.
    Map(MapAssignment),
    /// Run this reduce.
    Reduce(ReduceAssignment),
    /// Ask again after this many milliseconds. The job is not over: a worker that dies leaves tasks behind.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// End: the job is over.
    Exit,
}

/// A map to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapAssignment {
    /// The number of the task.
    pub map: usize,
    /// The number of the attempt.
    pub attempt: u32,
    /// Its input.
    pub split: Split,
    /// Records to skip, because map has failed on them before (paper, §4.6).
    pub skip: Vec<RecordPlace>,
    /// The number of partitions to write.
    pub reduces: usize,
}

/// A reduce to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReduceAssignment {
    /// The number of the task and of its partition.
    pub reduce: usize,
    /// The number of the attempt.
    pub attempt: u32,
    /// Where its input is, as pairs of a map and an attempt; part 1B adds the machines. Maps that have
    /// emitted nothing for this partition are left out.
    pub sources: Sources,
}

impl MapAssignment {
    /// The attempt that this assignment begins.
    pub fn id(&self) -> AttemptId {
        AttemptId { task: TaskId::Map(self.map), attempt: self.attempt }
    }
}

impl ReduceAssignment {
    /// The attempt that this assignment begins.
    pub fn id(&self) -> AttemptId {
        AttemptId { task: TaskId::Reduce(self.reduce), attempt: self.attempt }
    }
}

/// A worker reports the progress of an attempt, and thereby that it is alive. It also asks in this way
/// whether the attempt is still wanted, before it gives an output its final name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgressArgs {
    /// The worker.
    pub worker: WorkerId,
    /// The attempt.
    pub running: AttemptId,
    /// How much of it is done, from 0 to 1.
    pub fraction: f64,
    /// Part 1B, reduce: the worker has copied all its input and no longer needs the mappers' disks.
    pub fetched: bool,
}

/// The answer to a [`ProgressArgs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgressReply {
    /// Go on.
    Continue,
    /// Stop: another attempt was accepted, or the coordinator has given this one up.
    Cancel,
}

/// A worker has finished an attempt: all that it has written is complete and survives the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDoneArgs {
    /// The worker.
    pub worker: WorkerId,
    /// The worker's machine, where part 1B leaves the output of a map.
    pub host: String,
    /// The attempt.
    pub done: AttemptId,
    /// Map: the partitions for which it has written a file.
    pub partitions: PartitionSet,
    /// What the attempt has counted.
    pub counters: Counters,
}

/// The answer to a [`TaskDoneArgs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskDoneReply {
    /// This attempt counts. A repeated report gets the same answer.
    Accepted,
    /// It does not count. The worker deletes its intermediate files; an output under its final name stays.
    Late,
}

/// A worker reports that an attempt has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailedArgs {
    /// The worker.
    pub worker: WorkerId,
    /// The attempt.
    pub failed: AttemptId,
    /// Why it failed, and for a bad record, where.
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

labrpc::service! {
    /// What a coordinator offers to workers. Each handler changes the coordinator's state under its lock and
    /// answers at once.
    pub service CoordinatorRpc, client CoordinatorClient {
        /// Registers a worker.
        fn register(args: RegisterArgs) -> RegisterReply;
        /// Hands out a task.
        fn get_task(args: GetTaskArgs) -> GetTaskReply;
        /// Records the progress of an attempt.
        fn progress(args: ProgressArgs) -> ProgressReply;
        /// Accepts an attempt, or answers that it is late.
        fn task_done(args: TaskDoneArgs) -> TaskDoneReply;
        /// Records a failed attempt.
        fn task_failed(args: TaskFailedArgs) -> NextStep;
        /// Part 1B: records that a reducer could not fetch a map's output.
        fn fetch_failed(args: FetchFailedArgs) -> ();
        /// Part 1B: tells where outputs are now.
        fn source_update(args: SourceUpdateArgs) -> SourceUpdateReply;
    }
}
