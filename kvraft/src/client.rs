//! The clerk: finds the leader, and asks until there is an answer.

use std::fmt;

use labrpc::{ClientEnd, RpcError};
use labrt::time::{Duration, Instant};
use rsm::{CALL_TIMEOUT, LeaderCache, Request};

use crate::rpc::{KvError, KvPeer, Operation};

/// Why an operation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClerkError {
    /// Key or value are too long ([`crate::MAX_KEY`], [`crate::MAX_VALUE`]). Nothing has
    /// changed.
    TooLarge,
    /// There was no answer in time. The operation may have been carried out, or may be
    /// later, or never.
    TimedOut,
}

impl fmt::Display for ClerkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClerkError::TooLarge => "the key or the value is too long",
            ClerkError::TimedOut => "no server has answered in time",
        })
    }
}

impl std::error::Error for ClerkError {}

/// A client's side of the service.
///
/// One operation at a time, hence `&mut`: the sessions of the servers remember one per
/// clerk.
pub struct Clerk {
    servers: LeaderCache<KvPeer>,
    /// Tells this clerk from all others. Drawn at random: with 64 bits a thousand clerks
    /// share a number once in 10^13 runs.
    client: u64,
    /// Number of the last operation, from 1.
    sequence: u64,
}

impl Clerk {
    /// A clerk that reaches the servers through `ends`, which may be in any order.
    ///
    /// # Panics
    /// Without any server.
    pub fn new(ends: Vec<ClientEnd>) -> Clerk {
        let servers = LeaderCache::new(ends.into_iter().map(KvPeer::new).collect());
        Clerk { servers, client: labrt::rand::random(), sequence: 0 }
    }

    /// The value of `key`; empty if it was never written. Blocks until a server has
    /// answered, for ever if none does.
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

    /// Adds `value` at the end of the value of `key`. Blocks as [`Clerk::get`] does.
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
    /// [`ClerkError::TooLarge`]; [`ClerkError::TimedOut`], after which it is not known
    /// whether the operation was, or will be, carried out.
    pub fn operate(
        &mut self,
        operation: Operation,
        patience: Option<Duration>,
    ) -> Result<String, ClerkError> {
        if !operation.fits() {
            return Err(ClerkError::TooLarge);
        }
        // The number is the operation's, however often it is sent.
        self.sequence += 1;
        let request = Request { client: self.client, sequence: self.sequence, command: operation };
        let deadline = patience.map(|patience| Instant::now() + patience);
        self.servers.ask(|server| ask(server, &request, deadline))
    }
}

/// Asks one server; `None` if another should be asked.
///
/// A message that is lost says nothing about who leads, so the same server is asked once more
/// before another.
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
            Err(RpcError::Failed) => {}
            Ok(Err(KvError::WrongLeader)) | Err(_) => return None,
        }
    }
    None
}
