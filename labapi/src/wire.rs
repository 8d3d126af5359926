//! What the checkers read of the messages between servers.

/// Makes the messages of a consensus module readable for the checkers. A solution that has one
/// ([`crate::Consensus::wire`]) gets the rules of the paper checked on the wire, also without an observer:
/// one vote in a term, and none for a log that lacks what the voter acknowledged; one entry for each index
/// and term; a commit index that acknowledgements of the leader's own term justify; promises that the disk
/// keeps.
///
/// The checkers read each request when it arrives and each reply when its handler returns. Messages that are
/// none of the paper's three RPCs (a vote that is only asked for in advance, a read) are left out: None. A
/// report says if votes, entries or snapshots came, and none was read.
pub trait WireFormat: Send + Sync {
    /// Reads a request. `method` is the full name (`"RaftRpc.append_entries"`), `args` the encoded arguments.
    fn request(&self, method: &str, args: &[u8]) -> Option<Request>;

    /// Reads the reply to `request`, which [`WireFormat::request`] has read.
    fn reply(&self, method: &str, request: &Request, reply: &[u8]) -> Option<Reply>;

    /// What bytes of the disk say, in a few words for `cargo lab logs` and `view`: "term 3, vote for 1".
    /// `bytes` is a Raft state that was saved or read, or a record that was appended to it. No rule rests
    /// on it; a solution that has none is shown by the number of its bytes and by which of them are new.
    fn disk(&self, _bytes: &[u8]) -> Option<String> {
        None
    }

    /// Whether the framework brings the module that sends these messages. The checks are then those of a
    /// module whose messages cannot be read, and a report does not say what was not watched: whoever reads it
    /// can change nothing there. A solution that says so of itself gains nothing: it gives up the rules on
    /// the wire, as one without [`crate::Consensus::wire`] does, and neither verdict nor grade rests on what
    /// a report says of the unwatched.
    fn is_given(&self) -> bool {
        false
    }
}

/// A request between two servers, in the words of the paper's Figure 2 and Figure 13.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A candidate asks for a vote.
    Vote {
        /// The candidate's term.
        term: u64,
        /// The server that asks, from 0.
        candidate: usize,
        /// Index of the candidate's last entry; 0 if it has none.
        last_index: u64,
        /// Term of that entry; 0 if it has none.
        last_term: u64,
    },
    /// A leader sends entries, or a heartbeat.
    Append {
        /// The leader's term.
        term: u64,
        /// The server that sends, from 0.
        leader: usize,
        /// Index of the entry before those that are sent.
        prev_index: u64,
        /// Term of that entry; 0 if `prev_index` is 0.
        prev_term: u64,
        /// Term and [`crate::digest`] of the command of each entry; the first is at `prev_index + 1`.
        entries: Vec<(u64, u64)>,
        /// The leader's commit index.
        commit_index: u64,
    },
    /// A leader sends a snapshot, or the last part of one.
    Snapshot {
        /// The leader's term.
        term: u64,
        /// The server that sends, from 0.
        leader: usize,
        /// The last index that the snapshot covers.
        last_included_index: u64,
    },
}

/// What a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The vote is given, in the term of the request; or all that the request covers is now in the log (or
    /// the snapshot) and on the disk. This is a promise: the sender counts it.
    Granted,
    /// The vote is not given; or the log lacks the entry before those that were sent. In the term of the
    /// request.
    Refused,
    /// The receiver is in a later term, or the reply says nothing of the kind.
    Other,
}

impl Request {
    /// The term of the sender.
    pub fn term(&self) -> u64 {
        match *self {
            Request::Vote { term, .. } | Request::Append { term, .. } | Request::Snapshot { term, .. } => {
                term
            }
        }
    }

    /// The server that sends it.
    pub fn sender(&self) -> usize {
        match *self {
            Request::Vote { candidate, .. } => candidate,
            Request::Append { leader, .. } | Request::Snapshot { leader, .. } => leader,
        }
    }
}
