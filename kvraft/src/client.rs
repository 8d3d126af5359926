//! The clerk: finds the leader and repeats a request until a server answers it.

use std::fmt;

// handout: drop classic
use labrpc::{ClientEnd, RpcError};
use labrt::time::{Duration, Instant};
use rsm::{CALL_TIMEOUT, ClientSession, LeaderCache, Request};

use crate::rpc::{KvError, KvPeer, Operation};
// handout: end
// handout: put classic
// use labrpc::ClientEnd;
// use labrt::time::Duration;
//
// use crate::rpc::Operation;
// handout: end

/// Why an operation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClerkError {
    /// The key or the value is too long ([`crate::MAX_KEY`], [`crate::MAX_VALUE`]). Nothing
    /// has changed.
    TooLarge,
    /// No server answered in time. The operation may have taken effect, may do so later, or
    /// never.
    TimedOut,
}

impl fmt::Display for ClerkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClerkError::TooLarge => "the key or the value is too long",
            ClerkError::TimedOut => "no server answered in time",
        })
    }
}

impl std::error::Error for ClerkError {}

/// A client's side of the service.
///
/// A clerk runs one operation at a time, hence `&mut`: the servers' sessions remember one per
/// clerk.
pub struct Clerk {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    servers: LeaderCache<KvPeer>,
    session: ClientSession,
    // handout: end
}

// handout: bodies 3A
impl Clerk {
    /// A clerk that reaches the servers through `ends`, which may be in any order.
    ///
    /// # Panics
    /// If `ends` is empty.
    pub fn new(ends: Vec<ClientEnd>) -> Clerk {
        let servers = LeaderCache::new(ends.into_iter().map(KvPeer::new).collect());
        Clerk { servers, session: ClientSession::open() }
    }

    /// Returns the value of `key`, empty if the key was never written. Blocks until a server
    /// answers, for ever if none does.
    ///
    /// # Errors
    /// [`ClerkError::TooLarge`].
    pub fn get(&mut self, key: &str) -> Result<String, ClerkError> {
        self.operate(Operation::Get { key: key.to_owned() }, None)
    }

    /// Sets the value of `key`. Blocks as [`Clerk::get`] does.
    ///
    /// # Errors
    /// [`ClerkError::TooLarge`].
    pub fn put(&mut self, key: &str, value: &str) -> Result<(), ClerkError> {
        let operation = Operation::Put { key: key.to_owned(), value: value.to_owned() };
        self.operate(operation, None).map(drop)
    }

    /// Adds `value` to the end of the value of `key`. Blocks as [`Clerk::get`] does.
    ///
    /// # Errors
    /// [`ClerkError::TooLarge`].
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), ClerkError> {
        let operation = Operation::Append { key: key.to_owned(), value: value.to_owned() };
        self.operate(operation, None).map(drop)
    }

    /// Carries out an operation, or gives up after `patience` (`None`: never).
    ///
    /// # Errors
    /// [`ClerkError::TooLarge`]; [`ClerkError::TimedOut`], which leaves open whether the
    /// operation takes effect.
    pub fn operate(
        &mut self,
        operation: Operation,
        patience: Option<Duration>,
    ) -> Result<String, ClerkError> {
        if !operation.fits() {
            return Err(ClerkError::TooLarge);
        }
        let request = self.session.request(operation);
        let deadline = patience.map(|patience| Instant::now() + patience);
        let result = self.servers.ask(|server| ask(server, &request, deadline));
        let Request { sequence, command, .. } = &request;
        match &result {
            Ok(_) => tracing::debug!(target: "clerk", "number {sequence}: {command} done"),
            Err(error) => tracing::debug!(target: "clerk", "number {sequence}: {error}"),
        }
        result
    }
}

/// Asks one server. `None` tells the caller to ask another.
///
/// A lost message ([`RpcError::Failed`]) says nothing about the server's leadership, so the clerk asks the
/// same server once more before it tries another. A server that does not answer in time is left at once.
fn ask(
    server: &KvPeer,
    request: &Request<Operation>,
    deadline: Option<Instant>,
) -> Option<Result<String, ClerkError>> {
    for _ in 0..2 {
        let left = deadline.map_or(CALL_TIMEOUT, |deadline| deadline.duration_since(Instant::now()));
        if left.is_zero() {
            return Some(Err(ClerkError::TimedOut));
        }
        match server.timeout(left.min(CALL_TIMEOUT)).operate(request) {
            Ok(Ok(value)) => return Some(Ok(value)),
            Ok(Err(KvError::TooLarge)) => return Some(Err(ClerkError::TooLarge)),
            Err(RpcError::Failed) => {
                tracing::debug!(target: "clerk", "number {}: request or reply was lost", request.sequence);
            }
            Ok(Err(KvError::WrongLeader)) | Err(_) => {
                tracing::debug!(target: "clerk", "number {}: next server", request.sequence);
                return None;
            }
        }
    }
    None
}
