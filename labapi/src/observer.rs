//! A window into a server's state, for the checkers of the Raft paper's Figure 3.

use std::fmt;
use std::hash::Hasher;

use rustc_hash::FxHasher;

/// What a server is at the moment (§5.1 of the Raft paper).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers others.
    Follower,
    /// Stands for election.
    Candidate,
    /// Was elected in its current term.
    Leader,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        })
    }
}

/// The checkers' side of a server's window.
pub trait Observer: Send {
    /// The server shows its state: under its lock, each time the state has changed, before any other thread
    /// can see the change or a message can speak of it, and after it has written to the disk what must
    /// survive a crash.
    ///
    /// # Panics
    /// When the state breaks an invariant. The test has failed then.
    fn observe(&mut self, view: &View<'_>);
}

/// A server's state as an [`Observer`] sees it, in the words of the paper's Figure 2. An index of 0 means
/// "none".
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The current term.
    pub term: u64,
    /// What the server is in that term.
    pub role: Role,
    /// Highest index known to be committed.
    pub commit_index: u64,
    /// Last index that the snapshot covers; the log begins behind it.
    pub last_included_index: u64,
    /// Last index of the log, or `last_included_index` if the log is empty.
    pub last_index: u64,
    /// Entries at and above this index may differ from the last view (or be gone); `u64::MAX` means that none
    /// does.
    pub changed_from: u64,
    /// Term and [`digest`] of the command of the entry at an index between `last_included_index` (exclusive)
    /// and `last_index` (inclusive).
    pub entry: &'a dyn Fn(u64) -> Option<(u64, u64)>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View { term, role, commit_index, last_included_index, last_index, .. } = self;
        write!(f, "{role} in term {term}, log {last_included_index}..{last_index}, committed {commit_index}")
    }
}

/// A short stand-in for a command. The checkers compare logs by it without keeping the commands. Its keys are
/// fixed: equal commands have equal digests on all servers and in all runs.
pub fn digest(command: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(command);
    hasher.finish()
}
