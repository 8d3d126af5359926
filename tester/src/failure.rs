//! Failures: an expectation of the test that was not met, or an invariant that was broken.

use std::fmt;

/// The rules that are checked all the time, see `invariants` and `outside`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// Figure 3, §5.2.
    ElectionSafety,
    /// Figure 3, §5.3.
    LeaderAppendOnly,
    /// Figure 3, §5.3.
    LogMatching,
    /// An entry of a term appears first at the leader of that term (§5.3).
    LogOrigin,
    /// Figure 3, §5.4.
    LeaderCompleteness,
    /// A leader commits by counting only what stands at or before an entry of its own term (§5.4.2).
    CurrentTermCommit,
    /// Figure 3, §5.4.3.
    StateMachineSafety,
    /// A follower keeps what it has acknowledged to the leader of its term.
    AcknowledgedEntry,
    /// The term of a server never gets smaller, also not over a crash (§5.1).
    GrowingTerm,
    /// A server votes for one candidate in a term, at most (§5.2).
    OneVote,
    /// A server votes for nobody whose log is less up-to-date than its own (§5.4.1).
    ElectionRestriction,
    /// What a reply promises (a vote, an entry) is on the disk before the reply is sent (Figure 2, persistent
    /// state).
    DurablePromise,
    /// Each index is handed to the service once in a server's life, in order.
    ApplyOrder,
    /// A crashed server does nothing.
    DeadServer,
}

impl Invariant {
    /// The rule in the words of the Raft paper.
    pub fn words(self) -> &'static str {
        match self {
            Invariant::ElectionSafety => "at most one leader can be elected in a given term (Figure 3, §5.2)",
            Invariant::LeaderAppendOnly => {
                "a leader never overwrites or deletes entries in its log; it only appends new ones (Figure 3, §5.3)"
            }
            Invariant::LogMatching => {
                "if two logs contain an entry with the same index and term, they are identical up to it (Figure 3, §5.3)"
            }
            Invariant::LogOrigin => "an entry of a term appears first at the leader of that term (§5.3)",
            Invariant::LeaderCompleteness => {
                "an entry that is committed in a term is in the logs of the leaders of all higher terms (Figure 3, §5.4)"
            }
            Invariant::CurrentTermCommit => {
                "only log entries from the leader's current term are committed by counting replicas (§5.4.2)"
            }
            Invariant::StateMachineSafety => {
                "if a server has applied an entry at an index, no other applies a different one there (Figure 3, §5.4.3)"
            }
            Invariant::AcknowledgedEntry => {
                "a follower keeps what it has acknowledged to the leader of its term (§5.3)"
            }
            Invariant::GrowingTerm => "the current term increases monotonically, also over a crash (§5.1)",
            Invariant::OneVote => "each server votes for at most one candidate in a given term (§5.2)",
            Invariant::ElectionRestriction => {
                "the voter denies its vote if its own log is more up-to-date than that of the candidate (§5.4.1)"
            }
            Invariant::DurablePromise => {
                "currentTerm, votedFor and log[] are on stable storage before a server responds to RPCs (Figure 2)"
            }
            Invariant::ApplyOrder => {
                "entries are applied in the order of the log, each once (Figure 2, lastApplied)"
            }
            Invariant::DeadServer => "a server that has crashed does nothing",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a test failed, apart from panics and limits, which are the runtime's to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The invariant, or None if it was an expectation of the test.
    pub invariant: Option<Invariant>,
    /// What was seen, with servers, terms and indices.
    pub message: String,
}

impl Broken {
    /// A broken invariant.
    pub fn invariant(invariant: Invariant, message: String) -> Broken {
        Broken { invariant: Some(invariant), message }
    }

    /// A broken expectation.
    pub fn expectation(message: impl Into<String>) -> Broken {
        Broken { invariant: None, message: message.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.invariant {
            Some(invariant) => write!(f, "{invariant}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
