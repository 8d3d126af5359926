//! The clerk: finds the leader, and asks until there is an answer.

use std::fmt;

use labrpc::{ClientEnd, RpcError};
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::Request;

use crate::rpc::{KvError, KvPeer, Operation};

/// How long a clerk waits for one server. A leader that is cut off from its peers does not
/// answer until it learns of another, while that one would. Several times what a commit
/// takes on a network that loses messages, so that no server is given up that is at work.
const CALL_TIMEOUT: Duration = Duration::from_millis(400);

/// The pause after all servers have been asked in vain: there is an election, and asking
/// faster does not end it sooner.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

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
    /// How to reach each server. The clerk does not know which number a server has among
    /// its peers.
    servers: Vec<KvPeer>,
    /// Tells this clerk from all others. Drawn at random: with 64 bits a thousand clerks
    /// share a number once in 10^13 runs.
    client: u64,
    /// Number of the last operation, from 1.
    sequence: u64,
    /// Who answered last. Leaders seldom change, so this is whom to ask first.
    leader: usize,
}

impl Clerk {
    /// A clerk that reaches the servers through `ends`, which may be in any order.
    ///
    /// # Panics
    /// Without any server.
    pub fn new(ends: Vec<ClientEnd>) -> Clerk {
        assert!(!ends.is_empty(), "a clerk needs a server");
        let servers = ends.into_iter().map(KvPeer::new).collect();
        Clerk { servers, client: labrt::rand::random(), sequence: 0, leader: 0 }
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
        let mut refused = 0;
        loop {
            match self.ask(&request, deadline)? {
                Some(Ok(value)) => return Ok(value),
                Some(Err(KvError::TooLarge)) => return Err(ClerkError::TooLarge),
                Some(Err(KvError::WrongLeader)) | None => {}
            }
            self.leader = (self.leader + 1) % self.servers.len();
            refused += 1;
            if refused % self.servers.len() == 0 {
                thread::sleep(RETRY_PAUSE);
            }
        }
    }

    /// Asks the supposed leader; `None` if it does not answer.
    ///
    /// A message that is lost says nothing about who leads, so the same server is asked once
    /// more before another.
    fn ask(
        &self,
        request: &Request<Operation>,
        deadline: Option<Instant>,
    ) -> Result<Option<Result<String, KvError>>, ClerkError> {
        match self.call(request, deadline)? {
            Err(RpcError::Failed) => Ok(self.call(request, deadline)?.ok()),
            answer => Ok(answer.ok()),
        }
    }

    fn call(
        &self,
        request: &Request<Operation>,
        deadline: Option<Instant>,
    ) -> Result<Result<Result<String, KvError>, RpcError>, ClerkError> {
        let left = deadline.map_or(CALL_TIMEOUT, |deadline| deadline.duration_since(Instant::now()));
        if left.is_zero() {
            return Err(ClerkError::TimedOut);
        }
        let server = self.servers[self.leader].timeout(left.min(CALL_TIMEOUT));
        Ok(server.operate(request))
    }
}
