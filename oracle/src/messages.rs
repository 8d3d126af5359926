//! The messages between oracles. They only find out who reaches whom.

use labapi::{Reply, Request, WireFormat};
use serde::{Deserialize, Serialize};

/// A leader's term, and the index of its last entry: in order of what is later.
pub(crate) type Heard = (u64, u64);

/// A leader is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) term: u64,
    pub(crate) last_index: u64,
    pub(crate) commit_index: u64,
}

labrpc::service! {
    /// The messages between oracles.
    pub(crate) service OracleRpc, client OraclePeer {
        /// Tells of a leader; returns the latest term that the receiver knows.
        fn beat(beat: Beat) -> u64;
        /// What the receiver has heard of, if it misses a leader, too.
        fn is_alone(term: u64) -> Option<Heard>;
    }
}

/// The messages hold nothing of an agreement: that is in the book. There is nothing in them to read.
pub(crate) struct Unreadable;

impl WireFormat for Unreadable {
    fn request(&self, _method: &str, _args: &[u8]) -> Option<Request> {
        None
    }

    fn reply(&self, _method: &str, _request: &Request, _reply: &[u8]) -> Option<Reply> {
        None
    }

    fn is_given(&self) -> bool {
        true
    }
}
