//! Why a call has no reply.

use std::fmt;

use labgob::DecodeError;

/// Why a call ended without a reply. None of the three says whether the handler has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpcError {
    /// The network gave up: what the course's `Call` tells by returning false. The request was lost, or the
    /// reply was, or the server was cut off or deleted, or it never existed.
    Failed,
    /// The caller's own limit of time was over; a reply that comes later is dropped.
    TimedOut,
    /// The bytes of the request or of the reply do not stand for the declared type. No network makes that of
    /// what was sent, so calling again does not help; the report of the run has a warning.
    Garbled(DecodeError),
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RpcError::Failed => write!(f, "the network gave no reply"),
            RpcError::TimedOut => write!(f, "no reply within the caller's time limit"),
            RpcError::Garbled(error) => write!(f, "garbled bytes: {error}"),
        }
    }
}

impl std::error::Error for RpcError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RpcError::Garbled(error) => Some(error),
            RpcError::Failed | RpcError::TimedOut => None,
        }
    }
}
