//! The messages between servers: the three RPCs of Figure 2 and Figure 13, under the
//! paper's names.
//!
//! The network may lose, delay, duplicate or reorder any of these messages, in both
//! directions. So no message means "do the next thing". Each carries a term, and an index
//! with the term found there, so that the receiver can tell whether the message still
//! applies. Carrying it out twice does no harm.
//!
//! Example: the leader sends entry 4, then entries 4 and 5; the follower receives 4, then 4
//! and 5, then 4 again. The late copy names an entry that the follower already has, and
//! changes nothing.
//!
//! Indices count log entries from 1. Terms count elections from 1. In both, 0 means "before
//! everything": the empty log has its last entry at index 0 in term 0.

// handout: drop classic
use bytes::Bytes;
// handout: end
use serde::{Deserialize, Serialize};

// handout: drop classic
/// One slot of the log (Figure 2, State, `log[]`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The term of the leader that made the entry, at least 1. It never changes, whichever
    /// server passes the entry on, so an index and a term together identify an entry (§5.3,
    /// Log Matching).
    pub term: u64,
    /// The service's command. Raft never looks inside. The bytes are shared, so an entry
    /// that is sent to four followers exists in memory once.
    pub command: Bytes,
}

/// Sent by a candidate to gather votes (§5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVoteArgs {
    /// The candidate's term: the one in which it wants to lead.
    pub term: u64,
    /// The server that asks for the vote.
    pub candidate_id: usize,
    /// Index of the candidate's last log entry, 0 if its log is empty (§5.4.1).
    pub last_log_index: u64,
    /// Term of the candidate's last log entry, 0 if its log is empty (§5.4.1).
    pub last_log_term: u64,
    // handout: drop
    /// Not in Figure 2; only with pre-votes (`disturbance.rs`). The sender only asks whether
    /// it would get the vote.
    // handout: end
    // handout: put
    // /// Not in Figure 2: for pre-votes, which are no part of this lab. Always false.
    // handout: end
    pub pre_vote: bool,
}

/// The answer to a [`RequestVoteArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVoteReply {
    /// The receiver's current term. It tells a candidate that it is out of date.
    pub term: u64,
    /// True means that the candidate received the vote. A repeated request may get the same
    /// vote again; it still counts once.
    pub vote_granted: bool,
    // handout: drop
    /// Not in Figure 2; only with leases (`reads.rs`). The receiver refuses only because it
    /// has promised to keep its leader for now. The candidate may ask again.
    // handout: end
    // handout: put
    // /// Not in Figure 2: for reads without the log, which are no part of this lab. Always false.
    // handout: end
    pub bound: bool,
}

/// Sent by the leader to replicate log entries (§5.3). Without entries it is a heartbeat
/// (§5.2), and in no other way special.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesArgs {
    /// The leader's term.
    pub term: u64,
    /// The leader, so that followers can redirect clients. Here clerks find the leader by
    /// trying, and the field only helps the reader of a trace.
    pub leader_id: usize,
    /// Index of the entry just before the new ones; 0 when they start the log.
    pub prev_log_index: u64,
    /// Term of the entry at `prev_log_index`; 0 when that is 0.
    pub prev_log_term: u64,
    /// The entries to store, in order, the first at `prev_log_index + 1`. Empty for a
    /// heartbeat.
    pub entries: Vec<Entry>,
    /// The leader's commit index.
    pub leader_commit: u64,
}

/// The answer to an [`AppendEntriesArgs`].
///
/// `conflict_index` and `conflict_term` are the optimisation sketched at the end of §5.3.
/// With them the leader steps over all entries of a term at once, so repairing a follower
/// takes one round for each conflicting term instead of one for each entry. They are
/// meaningful only when the follower rejects a request of its own term because it lacks
/// the entry at `prev_log_index`; otherwise both are 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesReply {
    /// The receiver's current term. It tells a leader that it is out of date.
    pub term: u64,
    /// True if the receiver's log contained an entry at `prev_log_index` with
    /// `prev_log_term`, so that the new entries are now in its log.
    pub success: bool,
    /// The last index at which the receiver's log may still agree with the leader's; every
    /// later entry is in conflict or missing. Smaller than `prev_log_index`.
    pub conflict_index: u64,
    /// The term of the receiver's entry at `conflict_index`.
    pub conflict_term: u64,
}

/// Sent by the leader to a follower that needs entries which the leader has already
/// discarded (§7, Figure 13). A large snapshot travels in chunks, always in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshotArgs {
    /// The leader's term.
    pub term: u64,
    /// The leader, as in [`AppendEntriesArgs`].
    pub leader_id: usize,
    /// The snapshot replaces all entries up through and including this index, at least 1.
    pub last_included_index: u64,
    /// Term of the entry at `last_included_index`.
    pub last_included_term: u64,
    /// Byte offset where the chunk is positioned in the snapshot.
    pub offset: u64,
    /// The bytes of the chunk, starting at `offset`. The whole snapshot is the service's
    /// state after applying everything up to `last_included_index`, in the service's own
    /// encoding.
    pub data: Bytes,
    /// True if this is the last chunk.
    pub done: bool,
}

/// The answer to an [`InstallSnapshotArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshotReply {
    /// The receiver's current term. It tells a leader that it is out of date.
    pub term: u64,
    /// Not in Figure 13. The offset of the first byte that the receiver lacks, where the
    /// next chunk has to start; `None` once the receiver has everything up to
    /// `last_included_index`. A receiver that has restarted says 0, because the chunks it
    /// had are lost. Meaningful only in a reply of the leader's term.
    pub next_offset: Option<u64>,
}
// handout: end
// handout: put classic
// /// Sent by a candidate to gather votes (Figure 2, RequestVote RPC).
// #[derive(Clone, Debug, Serialize, Deserialize)]
// pub struct RequestVoteArgs {
//     // Your data here (2A).
// }
//
// /// The answer to a [`RequestVoteArgs`].
// #[derive(Clone, Debug, Serialize, Deserialize)]
// pub struct RequestVoteReply {
//     // Your data here (2A).
// }
//
// /// Sent by the leader to replicate entries, and as a heartbeat (Figure 2, AppendEntries RPC).
// #[derive(Clone, Debug, Serialize, Deserialize)]
// pub struct AppendEntriesArgs {
//     // Your data here (2A, 2B).
// }
//
// /// The answer to an [`AppendEntriesArgs`].
// #[derive(Clone, Debug, Serialize, Deserialize)]
// pub struct AppendEntriesReply {
//     // Your data here (2A, 2B).
// }
// handout: end

labrpc::service! {
    /// The RPCs between Raft servers. Each handler changes the receiver's state under its
    /// lock and answers at once.
    pub service RaftRpc, client RaftPeer {
        /// Asks for the receiver's vote (Figure 2, RequestVote RPC).
        fn request_vote(args: RequestVoteArgs) -> RequestVoteReply;
        /// Replicates log entries and serves as heartbeat (Figure 2, AppendEntries RPC).
        fn append_entries(args: AppendEntriesArgs) -> AppendEntriesReply;
        // handout: drop classic, leave: Your InstallSnapshot here (2D).
        /// Brings a chunk of the snapshot that replaces the beginning of the receiver's log
        /// (Figure 13, InstallSnapshot RPC).
        fn install_snapshot(args: InstallSnapshotArgs) -> InstallSnapshotReply;
        // handout: end
    }
}
