//! Part 1B: the messages of the shuffle, in which reducers fetch partitions from the mappers' disks.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::rpc::{AttemptId, WorkerId};

/// The finished maps that have output for one partition. Machines are named once, in a table, since a reduce
/// may have tens of thousands of sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// Names of machines.
    pub hosts: Vec<String>,
    /// One row for each map.
    pub rows: Vec<Source>,
}

/// One finished map.
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

/// A reducer asks a mapper's machine for a piece of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchPartitionArgs {
    /// The map.
    pub map: usize,
    /// The attempt of the map.
    pub attempt: u32,
    /// The partition.
    pub partition: usize,
    /// The first byte that the reducer wants.
    pub offset: u64,
}

/// The answer to a [`FetchPartitionArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchPartitionReply {
    /// Some of the bytes from the offset on; none at the partition's end.
    Bytes(Bytes),
    /// This machine does not have that output, or no longer has it.
    Gone,
}

/// A reducer could not fetch a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchFailedArgs {
    /// The reducer's worker.
    pub worker: WorkerId,
    /// The reducer's attempt.
    pub running: AttemptId,
    /// The map whose output the reducer could not fetch.
    pub map: usize,
    /// The attempt of the map.
    pub attempt: u32,
    /// The machine that did not give it, for people: no rule looks at it.
    pub host: String,
    /// How many fetches have failed in this attempt, or in all attempts of this worker, this one included.
    /// With `worker` it tells a repeated message from a repeated failure.
    pub number: u64,
}

/// A reducer asks where outputs are now that it could not fetch before. It waits for others through no fault
/// of its own, so that the time-out of its attempt begins anew with each question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceUpdateArgs {
    /// The reducer's worker.
    pub worker: WorkerId,
    /// The reducer's attempt.
    pub running: AttemptId,
    /// The maps whose output it lacks.
    pub missing: Vec<usize>,
}

/// The answer to a [`SourceUpdateArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceUpdateReply {
    /// Those of the missing outputs that exist now. Workers are making the others again.
    Sources(Sources),
    /// Stop: this attempt is no longer wanted.
    Cancel,
}

labrpc::service! {
    /// What a worker offers to the other workers.
    pub service WorkerRpc, client WorkerClient {
        /// Hands over a piece of an intermediate file on the local disk.
        fn fetch_partition(args: FetchPartitionArgs) -> FetchPartitionReply;
    }
}
