//! What the tester must know of a key/value service: the interface of the course's lab 3.

use crate::consensus::Observer;
use crate::persister::Persister;
use labrpc::{ClientEnd, Service};
use std::sync::Arc;

/// A replicated key/value server: what the tests of the key/value lab need of one.
pub trait KvServer: Send + Sync + 'static {
    /// What clients reach such servers with.
    type Clerk: KvClerk;

    /// Starts server `me` of the group that `ends` reach (itself included), with what `persister` holds of an earlier life,
    /// and returns at once. When the Raft state comes near `max_raft_state` bytes, the server makes a snapshot; with None
    /// it never does. The calling thread belongs to the server's node; threads that are started now or later end with it.
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

    /// Whether this server believes to lead.
    fn is_leader(&self) -> bool;

    /// From now on the observer is shown every change of the server's Raft, and its present state at once. A server without
    /// such probes still works; it is watched less closely then.
    fn watch(&self, _observer: Box<dyn Observer>) {}

    /// A clerk that calls on these ends, one for each server, in any order.
    fn clerk(ends: Vec<ClientEnd>) -> Self::Clerk
    where
        Self: Sized;
}

/// A client's side of the service. Each call lasts until the operation is done, however often it must be sent: a clerk has one
/// operation under way at a time, which is why it is borrowed as a whole.
pub trait KvClerk: Send + 'static {
    /// The value of a key; empty if it was never written.
    fn get(&mut self, key: &str) -> String;

    /// Replaces the value of a key.
    fn put(&mut self, key: &str, value: &str);

    /// Adds to the end of the value of a key, as often as it is called, not as often as it is sent.
    fn append(&mut self, key: &str, value: &str);
}
