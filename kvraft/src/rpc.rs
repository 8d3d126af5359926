//! What clerks say to servers: one RPC, whose argument is the operation itself.
//!
//! The course has one RPC to get and one to put or append. Both need the same clerk's
//! number, the same sequence number and the same refusals, so here they are one.

use serde::{Deserialize, Serialize};

use rsm::Request;

/// Longest key, in bytes.
pub const MAX_KEY: usize = 4 << 10;

/// Longest value, in bytes, also as the result of appends. Snapshots travel in one message,
/// so that no value may be so long that it could not.
pub const MAX_VALUE: usize = 16 << 20;

/// What a client wants done with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// The value; empty if the key was never written.
    Get {
        /// At most [`MAX_KEY`] bytes.
        key: String,
    },
    /// This becomes the value.
    Put {
        /// At most [`MAX_KEY`] bytes.
        key: String,
        /// At most [`MAX_VALUE`] bytes.
        value: String,
    },
    /// This is added at the end of the value; a key that was never written has an empty one.
    Append {
        /// At most [`MAX_KEY`] bytes.
        key: String,
        /// At most [`MAX_VALUE`] bytes, together with what is there.
        value: String,
    },
}

impl Operation {
    /// Whether key and value are short enough to be sent.
    pub(crate) fn fits(&self) -> bool {
        let (key, value) = match self {
            Operation::Get { key } => (key, 0),
            Operation::Put { key, value } | Operation::Append { key, value } => (key, value.len()),
        };
        key.len() <= MAX_KEY && value <= MAX_VALUE
    }
}

/// Why a server did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvError {
    /// Only the leader serves clerks, and this server is none, or ceased to be one while the
    /// clerk waited. In the latter case the operation may still be carried out; asking again
    /// under the same number does no harm.
    WrongLeader,
    /// Key or value are too long, or the value would be after the append. Nothing has
    /// changed.
    TooLarge,
}

labrpc::service! {
    /// A server of the key/value service.
    pub service KvRpc, client KvPeer {
        /// Carries out an operation, once for each sequence number of a client, and returns
        /// the value that a get has read (empty for others).
        fn operate(request: Request<Operation>) -> Result<String, KvError>;
    }
}
