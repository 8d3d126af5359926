//! A key/value service: the interface of the course's lab 3.

use labrpc::{ClientEnd, Service};
use labrt::sync::Arc;

use crate::observer::Observer;
use crate::persister::Persister;
use crate::wire::WireFormat;

// ANCHOR: server
/// A replicated key/value server: what the tests of the key/value lab need of one. As with
/// [`crate::Consensus`], the tester calls every method but `clerk` in a thread on the server's node.
pub trait KvServer: Send + Sync + 'static {
    /// The client's side.
    type Clerk: KvClerk;

    /// Starts server `me` of the group that `ends` reach (itself included), with what `persister` holds of an
    /// earlier life, and returns at once. When the Raft state comes near `max_raft_state` bytes, the server
    /// makes a snapshot; with None it never does.
    fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
    ) -> Arc<Self>
    where
        Self: Sized;

    /// What the server offers on the network: its own service and its Raft's.
    fn services(self: &Arc<Self>) -> Vec<Service>;

    /// Whether this server believes it is the leader.
    fn is_leader(self: &Arc<Self>) -> bool;

    /// What [`crate::Consensus::get_state`] of the server's Raft says. With None the checkers do not see the
    /// terms and leaders of this server; if it says None at its start they do not ask again.
    fn raft_state(self: &Arc<Self>) -> Option<(u64, bool)> {
        None
    }

    /// From now on the server's Raft shows the observer every change, and its present state at once. A server
    /// without such probes still works, and is checked less closely.
    fn watch(self: &Arc<Self>, _observer: Box<dyn Observer>) {}

    /// How the checkers read the messages between the servers' Rafts; with None they do not.
    fn wire() -> Option<&'static dyn WireFormat>
    where
        Self: Sized,
    {
        None
    }

    /// A clerk that calls on these ends, one for each server, in any order.
    fn clerk(ends: Vec<ClientEnd>) -> Self::Clerk
    where
        Self: Sized;
}
// ANCHOR_END: server

// ANCHOR: clerk
/// A client's side of the service. Each call lasts until the operation is done, however often it must be
/// sent. A clerk has one operation under way at a time, so each call borrows it mutably.
pub trait KvClerk: Send + 'static {
    /// The value of a key; empty if it was never written.
    fn get(&mut self, key: &str) -> String;

    /// Replaces the value of a key.
    fn put(&mut self, key: &str, value: &str);

    /// Adds to the end of the value of a key: once for each call, however often the request is sent.
    fn append(&mut self, key: &str, value: &str);
}
// ANCHOR_END: clerk
