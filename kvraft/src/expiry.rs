// handout: file never
//! An option: the same service with sessions that end (dissertation §6.3), for clerks that come and go.
//!
//! [`crate::KvServer`] keeps a session for each clerk that ever wrote, for ever, in every snapshot. Here a
//! session ends when it was not used for a while, as [`rsm::ExpiringSessions`] says. So a clerk has one
//! more thing to do, and its user one more thing to know:
//!
//! - A clerk opens a session before its first operation, and another one when that has ended.
//! - A put or append may be refused because its session has ended: [`SessionError::Expired`]. This copy of it
//!   was not carried out. Whether an earlier copy was, nobody knows any more.
//!
//! A get changes nothing, so the clerk repeats it in a new session.

use std::fmt;

use labapi::{KvClerk, Observer, Options, Persister, WireFormat};
use labrpc::{ClientEnd, Service};
use labrt::sync::Arc;
use rsm::{
    CALL_TIMEOUT, ClientSession, ExpiringSessions, LeaderCache, ReplicatedServer, Rsm, SessionCommand,
    SessionReply,
};

use crate::rpc::{KvError, Operation};
use crate::state::KeyValue;

/// With how many commands of all clerks after its last use a session is still alive, if nobody chooses
/// another number. A clerk that repeats a command for minutes is still served.
pub const LIFETIME: u64 = 100_000;

/// Why an operation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The key or the value is too long ([`crate::MAX_KEY`], [`crate::MAX_VALUE`]). Nothing has changed.
    TooLarge,
    /// The session had ended. This copy of the operation was not carried out; an earlier copy may have been.
    Expired,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SessionError::TooLarge => "the key or the value is too long",
            SessionError::Expired => {
                "the session had ended; whether an earlier copy was carried out is not known"
            }
        })
    }
}

impl std::error::Error for SessionError {}

/// What the service answers to a command.
type Answer = SessionReply<Result<String, KvError>>;

labrpc::service! {
    /// A server of the key/value service whose sessions end.
    pub service ExpiringRpc, client ExpiringPeer {
        /// Opens a session, or carries out an operation of one, once for each of its sequence numbers.
        fn operate(command: SessionCommand<Operation>) -> Result<Answer, KvError>;
    }
}

/// A replica of the service whose sessions end.
pub struct ExpiringServer {
    rsm: Arc<Rsm<ExpiringSessions<KeyValue>>>,
}

impl ExpiringServer {
    /// As [`crate::KvServer::start`]. Every replica must have the same `lifetime`.
    ///
    /// # Panics
    /// If the lifetime is 0.
    pub fn start_with(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
        lifetime: u64,
    ) -> Arc<ExpiringServer> {
        let machine = ExpiringSessions::new(KeyValue::default(), lifetime);
        let rsm = Rsm::start_with(ends, me, persister, max_raft_state, machine, Options::default());
        Arc::new(ExpiringServer { rsm })
    }
}

impl ReplicatedServer for ExpiringServer {
    type Machine = ExpiringSessions<KeyValue>;

    fn replica(&self) -> &Rsm<Self::Machine> {
        &self.rsm
    }

    fn clerk_service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

impl ExpiringRpc for ExpiringServer {
    fn operate(&self, command: SessionCommand<Operation>) -> Result<Answer, KvError> {
        if let SessionCommand::Command(request) = &command
            && !request.command.fits()
        {
            return Err(KvError::TooLarge);
        }
        self.rsm.submit(&command).map_err(|error| {
            tracing::debug!(target: "refuse", "{command:?}: {error}");
            KvError::WrongLeader
        })
    }
}

/// A client of the service whose sessions end.
pub struct ExpiringClerk {
    servers: LeaderCache<ExpiringPeer>,
    /// None before the first operation, and after the end of a session.
    session: Option<ClientSession>,
}

impl ExpiringClerk {
    /// A clerk that reaches the servers through these ends.
    ///
    /// # Panics
    /// If there is no end.
    pub fn new(ends: Vec<ClientEnd>) -> ExpiringClerk {
        ExpiringClerk {
            servers: LeaderCache::new(ends.into_iter().map(ExpiringPeer::new).collect()),
            session: None,
        }
    }

    /// The value of the key, empty if it was never written.
    ///
    /// # Errors
    /// [`SessionError::TooLarge`].
    pub fn get(&mut self, key: &str) -> Result<String, SessionError> {
        loop {
            match self.operate(Operation::Get { key: key.to_owned() }) {
                Err(SessionError::Expired) => {}
                done => return done,
            }
        }
    }

    /// Replaces the value of the key.
    ///
    /// # Errors
    /// [`SessionError::TooLarge`], [`SessionError::Expired`].
    pub fn put(&mut self, key: &str, value: &str) -> Result<(), SessionError> {
        self.operate(Operation::Put { key: key.to_owned(), value: value.to_owned() }).map(drop)
    }

    /// Adds to the end of the value of the key.
    ///
    /// # Errors
    /// [`SessionError::TooLarge`], [`SessionError::Expired`].
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), SessionError> {
        self.operate(Operation::Append { key: key.to_owned(), value: value.to_owned() }).map(drop)
    }

    fn operate(&mut self, operation: Operation) -> Result<String, SessionError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.open()?,
        };
        let request = session.request(operation);
        match self.ask(&SessionCommand::Command(request))? {
            SessionReply::Done(result) => {
                self.session = Some(session);
                result.map_err(|_| SessionError::TooLarge)
            }
            SessionReply::Expired => Err(SessionError::Expired),
            SessionReply::Opened(number) => {
                panic!("an operation was answered by the opening of session {number}")
            }
        }
    }

    fn open(&mut self) -> Result<ClientSession, SessionError> {
        match self.ask(&SessionCommand::Open)? {
            SessionReply::Opened(number) => Ok(ClientSession::with_client(number)),
            other => panic!("the opening of a session was answered by {other:?}"),
        }
    }

    /// Asks one server after the other until one answers.
    fn ask(&mut self, command: &SessionCommand<Operation>) -> Result<Answer, SessionError> {
        self.servers.ask(|server| match server.timeout(CALL_TIMEOUT).operate(command) {
            Ok(Ok(answer)) => Some(Ok(answer)),
            Ok(Err(KvError::TooLarge)) => Some(Err(SessionError::TooLarge)),
            Ok(Err(KvError::WrongLeader)) | Err(_) => None,
        })
    }
}

impl labapi::KvServer for ExpiringServer {
    type Clerk = ExpiringClerk;

    fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
    ) -> Arc<ExpiringServer> {
        ExpiringServer::start_with(ends, me, persister, max_raft_state, LIFETIME)
    }

    fn services(self: &Arc<Self>) -> Vec<Service> {
        ReplicatedServer::services(self)
    }

    fn is_leader(self: &Arc<Self>) -> bool {
        ReplicatedServer::is_leader(&**self)
    }

    fn raft_state(self: &Arc<Self>) -> Option<(u64, bool)> {
        Some(ReplicatedServer::raft_state(&**self))
    }

    fn watch(self: &Arc<Self>, observer: Box<dyn Observer>) {
        ReplicatedServer::watch(&**self, observer);
    }

    fn wire() -> Option<&'static dyn WireFormat> {
        <ExpiringServer as ReplicatedServer>::wire()
    }

    fn clerk(ends: Vec<ClientEnd>) -> ExpiringClerk {
        ExpiringClerk::new(ends)
    }
}

/// Tests that use the clerk so have sessions that live long enough.
fn done<T>(result: Result<T, SessionError>) -> T {
    result.unwrap_or_else(|error| panic!("a test's operation failed: {error}"))
}

impl KvClerk for ExpiringClerk {
    fn get(&mut self, key: &str) -> String {
        done(ExpiringClerk::get(self, key))
    }

    fn put(&mut self, key: &str, value: &str) {
        done(ExpiringClerk::put(self, key, value));
    }

    fn append(&mut self, key: &str, value: &str) {
        done(ExpiringClerk::append(self, key, value));
    }
}
