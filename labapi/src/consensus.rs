//! A consensus module: the interface of the course's Raft.

use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use labrt::sync::Arc;

use crate::observer::Observer;
use crate::persister::Persister;
use crate::wire::WireFormat;

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

    /// How the checkers read this module's messages; with None they do not.
    fn wire() -> Option<&'static dyn WireFormat>
    where
        Self: Sized,
    {
        None
    }
}
