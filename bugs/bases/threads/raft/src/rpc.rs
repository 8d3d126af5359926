//! The messages that servers send one another (Figures 2 and 13 of the paper).

use serde::{Deserialize, Serialize};

use crate::log::Entry;

labrpc::service! {
    /// What every server offers the others.
    pub(crate) service RaftRpc, client Peer {
        /// A candidate asks for this server's vote (§5.2).
        fn request_vote(args: RequestVoteArgs) -> RequestVoteReply;
        /// The leader brings entries, or just says that it is there (§5.2, §5.3).
        fn append_entries(args: AppendEntriesArgs) -> AppendEntriesReply;
        /// The leader brings its snapshot to a follower that is far behind (§7).
        fn install_snapshot(args: InstallSnapshotArgs) -> InstallSnapshotReply;
    }
}

/// Arguments of RequestVote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RequestVoteArgs {
    pub(crate) term: u64,
    pub(crate) candidate: usize,
    pub(crate) last_log_index: u64,
    pub(crate) last_log_term: u64,
}

/// Reply of RequestVote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RequestVoteReply {
    pub(crate) term: u64,
    pub(crate) granted: bool,
}

/// Arguments of AppendEntries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppendEntriesArgs {
    pub(crate) term: u64,
    pub(crate) prev_log_index: u64,
    pub(crate) prev_log_term: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) leader_commit: u64,
}

/// Reply of AppendEntries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppendEntriesReply {
    pub(crate) term: u64,
    pub(crate) success: bool,
    /// If the logs do not fit: the term of the follower's entry at `prev_log_index`, or None if its log is
    /// too short.
    pub(crate) conflict_term: Option<u64>,
    /// If the logs do not fit: the first index of the conflict term, or the one behind the follower's log.
    pub(crate) conflict_index: u64,
}

/// Arguments of InstallSnapshot, without chunks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InstallSnapshotArgs {
    pub(crate) term: u64,
    pub(crate) last_included_index: u64,
    pub(crate) last_included_term: u64,
    #[serde(with = "labgob::bytes")]
    pub(crate) snapshot: Vec<u8>,
}

/// Reply of InstallSnapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InstallSnapshotReply {
    pub(crate) term: u64,
}
