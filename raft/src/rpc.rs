//! What the servers say to each other: the three RPCs of Figure 2 and Figure 13, under the
//! paper's names.
//!
//! Every one of these messages may be lost, delayed, delivered twice or overtaken by a
//! later one, in both directions. None of them therefore means "do the next thing"; each
//! says enough (a term, and an index with the term found there) for the receiver to see
//! whether it still applies, and doing what it says twice does no harm.
//!
//! Indices count log entries from 1. Terms count elections from 1. In both, 0 means "before
//! everything": the empty log has its last entry at index 0 in term 0.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One slot of the log (Figure 2, State, `log[]`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The term of the leader that made the entry, at least 1. It never changes afterwards,
    /// whoever passes the entry on, so that an index and a term together name an entry
    /// (§5.3, Log Matching).
    pub term: u64,
    /// What the service wants done. Raft never looks inside. `Bytes` so that an entry on
    /// its way to four followers is one piece of memory, not four.
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
}

/// The answer to a [`RequestVoteArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVoteReply {
    /// The receiver's current term, for the candidate to find out that it is out of date.
    pub term: u64,
    /// True means that the candidate received the vote. The same vote may be said again in
    /// answer to a repeated request; it still is one vote.
    pub vote_granted: bool,
}

/// Sent by the leader to replicate log entries (§5.3); without entries it is a heartbeat
/// (§5.2), and in no other way special.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesArgs {
    /// The leader's term.
    pub term: u64,
    /// The leader, so that followers could redirect clients. Here clerks find the leader by
    /// trying, so it is for the reader of a trace.
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
/// `conflict_index` and `conflict_term` are the optimisation sketched at the end of §5.3: a
/// refusal tells enough for the leader to step over all entries of a term at once, so that
/// repairing a follower takes a round for each term in conflict and not for each entry.
/// Both say nothing unless the receiver refuses an AppendEntries of its own term for want
/// of the entry before the new ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesReply {
    /// The receiver's current term, for the leader to find out that it is out of date.
    pub term: u64,
    /// True if the receiver's log contained an entry at `prev_log_index` with
    /// `prev_log_term`, so that the new entries now stand in its log.
    pub success: bool,
    /// The last index at which the receiver's log may still agree with the leader's:
    /// everything behind it is in conflict, or not there. Smaller than `prev_log_index`.
    pub conflict_index: u64,
    /// The term of the receiver's entry at `conflict_index`.
    pub conflict_term: u64,
}

/// Sent by the leader to a follower that needs entries which the leader has already
/// discarded (§7, Figure 13).
///
/// Figure 13 cuts the snapshot into chunks (`offset`, `done`). The snapshots of these labs
/// fit into one message, so the whole of it travels at once and the receiver's steps 2 to 4
/// fall away.
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
    /// The service's state after applying everything up to `last_included_index`, in the
    /// service's own encoding.
    pub data: Bytes,
}

/// The answer to an [`InstallSnapshotArgs`].
///
/// There is nothing to refuse: who answers in the leader's term has, or had before,
/// everything up to `last_included_index`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshotReply {
    /// The receiver's current term, for the leader to find out that it is out of date.
    pub term: u64,
}

labrpc::service! {
    /// The RPCs between Raft servers. Each handler changes the receiver's state under its
    /// lock and answers at once.
    pub service RaftRpc, client RaftPeer {
        /// Asks for the receiver's vote (Figure 2, RequestVote RPC).
        fn request_vote(args: RequestVoteArgs) -> RequestVoteReply;
        /// Replicates log entries, and keeps the leader's authority (Figure 2,
        /// AppendEntries RPC).
        fn append_entries(args: AppendEntriesArgs) -> AppendEntriesReply;
        /// Replaces the beginning of the receiver's log by a snapshot (Figure 13,
        /// InstallSnapshot RPC).
        fn install_snapshot(args: InstallSnapshotArgs) -> InstallSnapshotReply;
    }
}
