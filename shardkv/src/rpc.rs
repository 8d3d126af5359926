//! The RPCs of clerks to servers, and of groups to each other.

// handout: drop classic
use kvraft::Operation;
use rsm::Request;
use serde::{Deserialize, Serialize};
// handout: end
use shardctrler::SHARDS;

// handout: drop classic
use crate::view::Handover;
// handout: end

// handout: body kept
/// The shard of a key: its first byte modulo the number of shards, 0 for the empty key.
pub fn key_to_shard(key: &str) -> usize {
    key.bytes().next().map_or(0, |first| usize::from(first) % SHARDS)
}

// handout: put classic
// // Yours (4B): the messages of clerks to servers, and of groups to each other, in `labrpc::service!`.
// handout: end
// handout: drop classic
/// Why a server did not carry out a clerk's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvError {
    /// This server is not the leader, or lost leadership while the clerk waited. In the second
    /// case the operation may still take effect. A retry under the same number is harmless.
    WrongLeader,
    /// This group does not own the key's shard in the configuration that it has adopted.
    /// Nothing has changed.
    WrongGroup,
    /// This group owns the key's shard, but the content has not arrived yet. Nothing has
    /// changed.
    Moving,
    /// The key or the value is too long, or an append would make the value too long. Nothing
    /// has changed.
    TooLarge,
}

/// A shard's content as bytes: a snapshot of `rsm::WithSessions<kvraft::KeyValue>`, which holds
/// values and sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content(#[serde(with = "labgob::bytes")] pub Vec<u8>);

/// Why a group does not hand over a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullError {
    /// This server has not adopted the configuration yet, or has not received the shard itself.
    /// A retry may succeed, here or at another server of the group.
    NotYet,
    /// The next owner confirmed that it has the shard, and this group deleted its copy.
    Gone,
}

labrpc::service! {
    /// A server of a group.
    pub service ShardRpc, client ShardPeer {
        /// For clerks: carries out an operation, once for each sequence number of a client.
        /// Returns the value that a get read, and an empty text for a put or an append. Only the leader
        /// answers with another error than [`KvError::WrongLeader`]: a server that is cut off from its
        /// group would send its clients away for ever.
        fn operate(request: Request<Operation>) -> Result<String, KvError>;

        /// For the next owner: returns the shard's content. Any server of the group may answer,
        /// and nothing changes.
        fn pull(handover: Handover) -> Result<Content, PullError>;

        /// From the next owner, when it has the shard on the disks of a majority: the copy here
        /// is garbage. True if this group has deleted it. False if this server cannot tell yet: it is not
        /// the leader, or has not adopted the configuration.
        fn discard(handover: Handover) -> bool;
    }
}
// handout: end
