//! What the tester must know of a consensus module: the interface of the course's Raft, and a window for the checkers.

use crate::persister::Persister;
use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use std::fmt;
use std::sync::Arc;

/// What a consensus module hands to the service above it, in order, on the apply channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyMsg {
    /// The entry at `index` is committed. Each index arrives once in a server's life, in order, the first being 1 or the
    /// one behind the snapshot that lies on the disk.
    Command {
        /// Place in the log, counted from 1.
        index: u64,
        /// Term in which a leader received it.
        term: u64,
        /// What was passed to `start`.
        command: Vec<u8>,
    },
    /// The service shall put this snapshot, which came from a leader, in the place of its state.
    Snapshot {
        /// The last index that the snapshot covers; the next command has the index behind it.
        index: u64,
        /// Term of the entry at that index.
        term: u64,
        /// What some server's service passed to `snapshot`.
        snapshot: Vec<u8>,
    },
}

/// A consensus module: what the tests of the Raft lab need of a server.
pub trait Consensus: Send + Sync + 'static {
    /// Starts server `me` of the cluster that `peers` reach, with what `persister` holds of an earlier life, and returns at
    /// once. Committed commands are sent on `apply`, on which each send lasts until the service takes the message. The
    /// calling thread belongs to the server's node; threads that are started now or later end with that node.
    fn make(peers: Vec<ClientEnd>, me: usize, persister: Persister, apply: Sender<ApplyMsg>) -> Arc<Self>
    where
        Self: Sized;

    /// The handlers of the RPCs that servers send one another.
    fn service(self: &Arc<Self>) -> Service;

    /// Asks for `command` to be agreed on, and returns at once: the index that it will have if it is ever committed and
    /// the current term, or None if this server does not believe to be the leader.
    fn start(&self, command: Vec<u8>) -> Option<(u64, u64)>;

    /// The current term, and whether this server believes to be its leader.
    fn get_state(&self) -> (u64, bool);

    /// The service has a snapshot of its state after everything up to and including `index`. Called by the thread that
    /// receives from the apply channel.
    fn snapshot(&self, index: u64, snapshot: Vec<u8>);

    /// From now on the observer is shown every change, and the present state at once. A module without such probes still
    /// works; it is watched less closely then.
    fn watch(&self, _observer: Box<dyn Observer>) {}
}

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

/// Somebody who watches a server's state.
pub trait Observer: Send {
    /// The server shows its state: under its lock, each time the state has changed, before any other thread can see the
    /// change or a message can speak of it, and after what must survive a crash has been written to the disk. (The
    /// reference solution does so from the destructor of its lock's guard.)
    ///
    /// # Panics
    /// When the state breaks an invariant; the test has failed then.
    fn observe(&mut self, view: &View<'_>);
}

/// A server's state as an [`Observer`] sees it, in the words of the paper's Figure 2. An index of 0 means "none".
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The current term.
    pub term: u64,
    /// What the server is in that term.
    pub role: Role,
    /// Highest index known to be committed.
    pub commit_index: u64,
    /// Highest index handed to the service.
    pub last_applied: u64,
    /// Last index that the snapshot covers; the log begins behind it.
    pub snapshot_index: u64,
    /// Last index of the log, or `snapshot_index` if it is empty.
    pub last_index: u64,
    /// Entries at and above this index may differ from the last view (or be gone); `u64::MAX` means that none does.
    pub changed_from: u64,
    /// Term and digest of the command of the entry at an index between `snapshot_index` (exclusive) and `last_index`
    /// (inclusive). Equal commands must have equal digests on all servers.
    pub entry: &'a dyn Fn(u64) -> Option<(u64, u64)>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View { term, role, commit_index, snapshot_index, last_index, .. } = self;
        write!(f, "{role} in term {term}, log {snapshot_index}..{last_index}, committed {commit_index}")
    }
}
