//! A consensus module: the interface of the course's Raft.

use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Duration;

use crate::observer::Observer;
use crate::persister::Persister;
use crate::wire::WireFormat;

// ANCHOR: apply
/// What a consensus module hands to the service above it, in order, on the apply channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyMsg {
    /// The entry at `index` is committed. Each index arrives once in a server's life, in order. The first is
    /// 1, or the one behind the snapshot on the disk.
    Command {
        /// Place in the log, counted from 1.
        index: u64,
        /// Term in which a leader received the command.
        term: u64,
        /// What was passed to `start`.
        command: Vec<u8>,
    },
    /// A leader sent this snapshot. The service replaces its state by it.
    Snapshot {
        /// The last index that the snapshot covers. The next command has the index behind it.
        index: u64,
        /// Term of the entry at that index.
        term: u64,
        /// What some server's service passed to `snapshot`.
        snapshot: Vec<u8>,
    },
}
// ANCHOR_END: apply

/// What a server assumes about clocks when it serves reads from a lease (dissertation §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lease {
    /// How fast or slow any server's clock may run, as a fraction: with 0.01 a second on a
    /// clock lasts between 0.99 and 1.01 s. From 0 to less than 1.
    pub max_clock_drift: f64,
}

/// Choices that change what a server promises or assumes. All servers of a cluster must
/// make the same choices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// Serve reads from leases. `None`, the default, relies on no clock. Leases bring
    /// `check_quorum` with them.
    pub lease: Option<Lease>,
    /// A leader that hears from no majority for an election timeout gives up (`CheckQuorum`,
    /// dissertation §6.2).
    pub check_quorum: bool,
    /// A server asks whether it would be elected before it stands for election (`PreVote`,
    /// dissertation §9.6). Pre-votes bring `check_quorum` with them.
    pub pre_vote: bool,
    /// How many messages to a follower may be under way beside the one whose answer its
    /// leader awaits (pipelining, dissertation §10.2.2). 0, the default, is one at a time.
    pub messages_ahead: usize,
}

/// Whether a leader may answer a read from its own state ([`Consensus::read_index`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadIndex {
    /// Yes, once everything up to this index is applied.
    At(u64),
    /// No: this server does not lead.
    NotLeader,
    /// The module cannot tell, so the read has to go through the log.
    Unsupported,
}

/// How often a module that does not tell of leadership is asked for it.
const LEADERSHIP_POLL: Duration = Duration::from_millis(10);

// ANCHOR: consensus
/// A consensus module: what the tests of the Raft lab need of a server.
///
/// The tester calls every method in a thread on the server's node, so a thread that a method spawns ends when
/// the server crashes. The methods take `self` as an [`Arc`], which such a thread can keep.
pub trait Consensus: Send + Sync + 'static {
    /// Starts server `me` (from 0) of the cluster that `peers` reach, with what `persister` holds of an
    /// earlier life, and returns at once. `peers` has an end for each server, itself included. The module
    /// sends committed commands on `apply`, where each send lasts until the service takes the message.
    fn make(peers: Vec<ClientEnd>, me: usize, persister: Persister, apply: Sender<ApplyMsg>) -> Arc<Self>
    where
        Self: Sized;

    /// The handlers of the RPCs that servers send one another.
    fn service(self: &Arc<Self>) -> Service;

    /// Asks for `command` to be agreed on, and returns at once: the index that the command will have if it is
    /// ever committed and the current term, or None if this server does not believe it is the leader.
    fn start(self: &Arc<Self>, command: Vec<u8>) -> Option<(u64, u64)>;

    /// The current term, and whether this server believes it is the leader. Both come from one moment. The
    /// term is on the disk by then, so it never goes back, also not over a crash. The tester asks often
    /// (up to 100 times a second).
    fn get_state(self: &Arc<Self>) -> (u64, bool);

    /// The service has made a snapshot of its state after everything up to and including `index`. The thread
    /// that receives from the apply channel calls this, so the module must not wait for that channel here. If
    /// a leader's snapshot has meanwhile replaced everything up to `index`, there is nothing left to do.
    fn snapshot(self: &Arc<Self>, index: u64, snapshot: Vec<u8>);

    /// From now on the module shows the observer every change, and the present state at once. A module
    /// without such probes still works, and is checked less closely. [`crate::Probe`] makes this three lines.
    fn watch(self: &Arc<Self>, _observer: Box<dyn Observer>) {}

    /// As [`Consensus::make`], with options. A module that has none of them ignores them: they allow
    /// shortcuts, and demand none.
    fn make_with(
        peers: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        apply: Sender<ApplyMsg>,
        _options: Options,
    ) -> Arc<Self>
    where
        Self: Sized,
    {
        Self::make(peers, me, persister, apply)
    }

    /// The last index that the snapshot on the disk replaces, 0 if there is none; None if the module does not
    /// tell. A service that starts checks that it has restored exactly that snapshot.
    fn last_included_index(self: &Arc<Self>) -> Option<u64> {
        None
    }

    /// Waits for proof that this server was the only leader at some moment after the call (dissertation
    /// §6.4). Services read without the log if the module offers this, and through it if not.
    fn read_index(self: &Arc<Self>) -> ReadIndex {
        ReadIndex::Unsupported
    }

    /// Blocks until the term or the leadership differs from `seen`, which is an earlier answer of this method
    /// or of [`Consensus::get_state`], or (0, false) at first, and returns the new values. A change of the
    /// term of a server that does not lead need not wake the caller. Without a method of its own a module is
    /// asked every 10 ms.
    fn wait_for_leadership(self: &Arc<Self>, seen: (u64, bool)) -> (u64, bool) {
        loop {
            let now = self.get_state();
            if now != seen {
                return now;
            }
            thread::sleep(LEADERSHIP_POLL);
        }
    }

    /// How the checkers read this module's messages; with None they do not.
    fn wire() -> Option<&'static dyn WireFormat>
    where
        Self: Sized,
    {
        None
    }
}
// ANCHOR_END: consensus
