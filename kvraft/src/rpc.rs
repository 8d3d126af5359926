// handout: bodies kept
//! The service's one RPC. Its argument is the operation itself.
//!
//! The course has one RPC for get and one for put and append. Both need the clerk's number, a
//! sequence number and the same errors, so they are one here.

use std::fmt;

use rsm::Request;
use serde::{Deserialize, Serialize};

/// Length limit of a key, in bytes.
pub const MAX_KEY: usize = 4 << 10;

/// Length limit of a value, in bytes, also of the result of an append. A snapshot travels in one
/// message, and the limit keeps a single value from making that message too large.
pub const MAX_VALUE: usize = 16 << 20;

/// A client's operation on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Reads the value, empty if the key was never written.
    Get {
        /// At most [`MAX_KEY`] bytes.
        key: String,
    },
    /// Replaces the value.
    Put {
        /// At most [`MAX_KEY`] bytes.
        key: String,
        /// At most [`MAX_VALUE`] bytes.
        value: String,
    },
    /// Adds to the end of the value. A key that was never written starts empty.
    Append {
        /// At most [`MAX_KEY`] bytes.
        key: String,
        /// At most [`MAX_VALUE`] bytes, together with the old value.
        value: String,
    },
}

impl Operation {
    /// The key that the operation reads or writes.
    pub fn key(&self) -> &str {
        match self {
            Operation::Get { key } | Operation::Put { key, .. } | Operation::Append { key, .. } => key,
        }
    }

    /// Whether key and value are within [`MAX_KEY`] and [`MAX_VALUE`]: clerk and server ask it before they do
    /// anything.
    pub fn fits(&self) -> bool {
        let (key, value) = match self {
            Operation::Get { key } => (key, 0),
            Operation::Put { key, value } | Operation::Append { key, value } => (key, value.len()),
        };
        key.len() <= MAX_KEY && value <= MAX_VALUE
    }
}

/// For logs: a long value is cut short.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, key, value) = match self {
            Operation::Get { key } => return write!(f, "get {:?}", brief(key)),
            Operation::Put { key, value } => ("put", key, value),
            Operation::Append { key, value } => ("append", key, value),
        };
        write!(f, "{verb} {:?} {:?}", brief(key), brief(value))
    }
}

fn brief(text: &str) -> &str {
    const CHARACTERS: usize = 24;
    text.char_indices().nth(CHARACTERS).map_or(text, |(end, _)| &text[..end])
}

/// Why a server did not carry out an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvError {
    /// This server is not the leader, or lost leadership while the clerk waited. In the second
    /// case the operation may still take effect. A retry under the same number is harmless.
    WrongLeader,
    /// The key or the value is too long, or an append would make the value too long. Nothing
    /// has changed.
    TooLarge,
}

labrpc::service! {
    /// A server of the key/value service.
    pub service KvRpc, client KvPeer {
        /// Carries out an operation, once for each sequence number of a client. Returns the
        /// value that a get read, and an empty text for a put or an append.
        fn operate(request: Request<Operation>) -> Result<String, KvError>;
    }
}
