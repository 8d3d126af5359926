//! What clerks say to servers, and what groups say to each other.

use kvraft::Operation;
use rsm::Request;
use serde::{Deserialize, Serialize};
use shardctrler::SHARDS;

/// The shard to which a key belongs: its first byte, modulo the number of shards; 0 for the
/// empty key.
pub fn key_to_shard(key: &str) -> usize {
    key.bytes().next().map_or(0, |first| usize::from(first) % SHARDS)
}

/// Why a server did not do what a clerk asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvError {
    /// Only the leader serves clerks, and this server is none, or ceased to be one while the
    /// clerk waited. In the latter case the operation may still be carried out; asking again
    /// under the same number does no harm.
    WrongLeader,
    /// The key's shard is not this group's, as far as the group knows. Nothing has happened.
    WrongGroup,
    /// The key's shard is this group's, and has not arrived yet. Nothing has happened.
    Moving,
    /// Key or value are too long, or the value would be after the append. Nothing has
    /// changed.
    TooLarge,
}

/// Names a handover: the group that owned a shard gives it to the one that owns it from a
/// configuration on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Handover {
    /// Which shard.
    pub shard: usize,
    /// The first configuration with the new owner.
    pub config: u64,
}

/// A shard on its way: values and sessions, as `rsm::WithSessions<kvraft::KeyValue>` writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content(#[serde(with = "labgob::bytes")] pub Vec<u8>);

/// Why a group does not hand over a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullError {
    /// This server does not know of the handover yet, or has not got the shard itself. Ask
    /// again, or another server of the group.
    NotYet,
    /// The shard was handed over, acknowledged and deleted.
    Gone,
}

labrpc::service! {
    /// A server of a group.
    pub service ShardRpc, client ShardPeer {
        /// For clerks: carries out an operation, once for each sequence number of a client,
        /// and returns the value that a get has read (empty for others).
        fn operate(request: Request<Operation>) -> Result<String, KvError>;

        /// For the group that owns the shard from this configuration on: its content. Any
        /// server of the group may answer, and nothing changes.
        fn pull(handover: Handover) -> Result<Content, PullError>;

        /// From the group that owns the shard from this configuration on: it has it, on the
        /// disks of a majority, and the copy here is garbage. True once it is deleted; false
        /// from a server that cannot tell, as it does not lead.
        fn discard(handover: Handover) -> bool;
    }
}
