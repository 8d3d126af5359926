//! All messages: what clients ask for, what servers answer, and what servers tell each other.
//!
//! `labrpc` has calls, and no connections that a server could send an event on. So a client asks: an
//! [`Exchange`] carries its new requests to the server, waits there until the queue of the session holds
//! something, and brings it back. It is a heartbeat as well: a server keeps it for a sixth of the session's
//! timeout at most, and the client waits for a third and a little more. The table of the lecture's messages:
//!
//! | message | here |
//! |---|---|
//! | Connect; Connected, Refused | [`Connect`]; [`Connected`], [`Refused`] |
//! | Request, Ping | [`Exchange`], with requests and without |
//! | Reply, Event | [`Delivery`], in [`Exchanged`] |
//! | Forward | `forward`, the writes of many sessions at once |
//! | SyncPoint | `sync_point` |
//! | Touch | `touch` |

use std::fmt;

use rsm::Request as Numbered;
use serde::{Deserialize, Serialize};

/// The number of a session; 0 is none.
pub type SessionId = u64;

/// The number of a transaction: its position among all transactions, from 1. A state is named by the zxid of
/// the last transaction in it.
pub type Zxid = u64;

/// Length limit of a node's data, in bytes.
pub const MAX_DATA: usize = 1 << 20;

/// The version that matches every other.
pub const ANY_VERSION: i64 = -1;

/// Why an operation has failed. Unless it says otherwise, nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Error {
    /// There is no such node; or no parent of the node that was to be created.
    NoNode,
    /// The node exists already.
    NodeExists,
    /// The node has another version.
    BadVersion,
    /// The node has children, so it cannot be deleted.
    NotEmpty,
    /// The parent is ephemeral, and such nodes have no children.
    NoChildrenForEphemerals,
    /// The text is no path; or the root was to be created, deleted or written.
    BadPath,
    /// The data are longer than [`MAX_DATA`].
    TooLarge,
    /// The session is over: the service did not hear from the client for its timeout, or the client closed
    /// it. Whether a write that is answered so was carried out before that, nobody can say: the answers of a
    /// session go with it. Its ephemeral nodes are gone in any case.
    SessionExpired,
    /// No answer came in time. The operation may have taken effect, may do so later, or never.
    ConnectionLoss,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NoNode => "there is no such node",
            Error::NodeExists => "the node exists already",
            Error::BadVersion => "the node has another version",
            Error::NotEmpty => "the node has children",
            Error::NoChildrenForEphemerals => "an ephemeral node has no children",
            Error::BadPath => "this is no path of a node",
            Error::TooLarge => "the data are too long",
            Error::SessionExpired => "the session is over",
            Error::ConnectionLoss => "no answer came in time; it is unknown what happened",
        })
    }
}

impl std::error::Error for Error {}

/// What kind of node is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flags {
    /// The node vanishes with the session that creates it.
    pub ephemeral: bool,
    /// The parent's counter, ten digits, is added to the name. It counts the sequential nodes that were made
    /// below the parent, from 0, skips names that are there, and begins anew with a new parent.
    pub sequential: bool,
}

impl Flags {
    /// A node that stays until it is deleted.
    pub const REGULAR: Flags = Flags { ephemeral: false, sequential: false };
    /// A node that vanishes with its session.
    pub const EPHEMERAL: Flags = Flags { ephemeral: true, sequential: false };
    /// A node with a number that stays.
    pub const SEQUENTIAL: Flags = Flags { ephemeral: false, sequential: true };
    /// A node with a number that vanishes with its session.
    pub const EPHEMERAL_SEQUENTIAL: Flags = Flags { ephemeral: true, sequential: true };
}

/// What is known of a node besides its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stat {
    /// How often the data were set, from 0.
    pub version: i64,
    /// How often a child was created or deleted.
    pub cversion: i64,
    /// The transaction that created the node.
    pub czxid: Zxid,
    /// The transaction that set its data last.
    pub mzxid: Zxid,
    /// The transaction that created or deleted a child last; that of the creation if none did.
    pub pzxid: Zxid,
    /// The session that an ephemeral node belongs to.
    pub ephemeral_owner: Option<SessionId>,
    /// How many children it has.
    pub children: usize,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// Creates a node.
    Create {
        /// Its path; a sequential node gets a number behind it.
        path: String,
        /// At most [`MAX_DATA`] bytes.
        data: Vec<u8>,
        /// What kind of node.
        flags: Flags,
    },
    /// Deletes a node without children.
    Delete {
        /// Its path.
        path: String,
        /// Its version, or [`ANY_VERSION`].
        version: i64,
    },
    /// Replaces the data of a node.
    SetData {
        /// Its path.
        path: String,
        /// At most [`MAX_DATA`] bytes.
        data: Vec<u8>,
        /// Its version, or [`ANY_VERSION`].
        version: i64,
    },
    /// Ends the session and deletes its ephemeral nodes.
    Close,
    /// Asks whether a node exists. Its watch fires when the node is created, deleted or set.
    Exists {
        /// Its path.
        path: String,
        /// Whether to leave a watch.
        watch: bool,
    },
    /// Reads the data of a node. Its watch fires when the node is deleted or set.
    GetData {
        /// Its path.
        path: String,
        /// Whether to leave a watch.
        watch: bool,
    },
    /// Lists the children of a node. Its watch fires when a child comes or goes, or the node is deleted.
    GetChildren {
        /// Its path.
        path: String,
        /// Whether to leave a watch.
        watch: bool,
    },
    /// Waits until the client's server has applied everything that is committed when it asks.
    Sync {
        /// Any path; the whole tree is brought up to date.
        path: String,
    },
}

/// What an operation that succeeds gives back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Of a create: the path, with the number of a sequential node.
    Created(String),
    /// Of a delete, a sync and a close.
    Done,
    /// Of a set.
    Set(Stat),
    /// Of `exists`: None if there is no such node.
    Exists(Option<Stat>),
    /// Of a read.
    Data(Vec<u8>, Stat),
    /// Of a list: the children's names in alphabetical order.
    Children(Vec<String>, Stat),
}

/// An outcome or an error.
pub type Answer = Result<Outcome, Error>;

/// A change of the state, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Whose it is.
    pub session: SessionId,
    /// The number of the request, by which a repetition is noticed; 0 for the birth and the expiry of a
    /// session.
    pub xid: u64,
    /// The client has the answers to all requests up to this one.
    pub answered: u64,
    /// What changes.
    pub action: Action,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A client's write, or the end of its session at its own wish.
    Write(Operation),
    /// A session begins.
    OpenSession {
        /// The session's password.
        secret: u64,
        /// The session's timeout, in milliseconds.
        timeout: u64,
    },
    /// The leader has not heard of the session for its timeout.
    Expire,
}

/// What a watch looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WatchKind {
    /// The data of a node: left by `get_data`, and by `exists` of a node that is there.
    Data,
    /// A node that is not there: left by `exists`.
    Absent,
    /// The children of a node: left by `get_children`.
    Children,
}

/// What has happened to a node that was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// Its data were set.
    Data,
    /// A child came or went.
    Children,
    /// The session of the watch is over.
    Session,
}

/// A watch fires. Of a deletion one event may stand for all watches of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The node.
    pub path: String,
    /// What happened to it.
    pub kind: EventKind,
    /// The state that the server had when it noticed.
    pub zxid: Zxid,
}

/// What leaves a server for a session, through one queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// The answer to a request.
    Reply {
        /// The request's number.
        xid: u64,
        /// The state in which the server answered: for a read the state that was read.
        zxid: Zxid,
        /// The answer.
        answer: Answer,
    },
    /// A watch has fired.
    Event(Event),
}

/// A client opens a session, or takes an open one to this server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// The session, or 0 for a new one.
    pub session: SessionId,
    /// Its password.
    pub secret: u64,
    /// The timeout of a new session, in milliseconds.
    pub timeout: u64,
    /// The number of this connection among those of the client. A late copy has a lower one.
    pub connection: u64,
    /// The highest zxid that the client has seen.
    pub last_zxid: Zxid,
    /// The client has the answers to all requests up to this one.
    pub answered: u64,
    /// The watches that are to be restored.
    pub watches: Vec<(WatchKind, String)>,
}

/// A server has taken a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// The session.
    pub session: SessionId,
    /// Its password.
    pub secret: u64,
    /// The state of the server. The client of a new session has seen it: it holds the session's birth, which
    /// another server may not have yet. A client that moves has not, for events may still be under way.
    pub zxid: Zxid,
}

/// Why a server does not serve a session. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// The client has seen a later state than the server has. Another server may be further.
    Behind,
    /// The session is over, or the password is wrong.
    Expired,
    /// There is no such connection here (any more).
    NotConnected,
    /// No leader took the transaction that opens a session.
    Unavailable,
}

/// A request of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its number, one more than that of the request before.
    pub xid: u64,
    /// What is asked for.
    pub operation: Operation,
}

/// A client sends requests, and fetches what waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The session.
    pub session: SessionId,
    /// The connection.
    pub connection: u64,
    /// The highest zxid that the client has seen.
    pub last_zxid: Zxid,
    /// The client has the answers to all requests up to this one.
    pub answered: u64,
    /// The client has taken the deliveries of this connection up to this number.
    pub received: u64,
    /// New requests, and those that may be lost.
    pub requests: Vec<Request>,
}

/// What waited for the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// The number of the first of the deliveries; they count from 1 in each connection.
    pub first: u64,
    /// In order.
    pub deliveries: Vec<Delivery>,
    /// Whether the leader learns from this server that the session is alive. If it was not for a while (two
    /// thirds of the timeout here), the client should look for another server. One answer says little: a
    /// server that has just got its first client has told nobody yet.
    pub is_heard: bool,
}

/// This server is not the leader, or is no longer. It is unknown what became of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotLeader;

labrpc::service! {
    /// A server of the coordination service: for clients, and for the other servers.
    pub service ZkRpc, client ZkPeer {
        /// Opens a session, or takes an open one to this server.
        fn connect(connect: Connect) -> Result<Connected, Refused>;
        /// Brings requests, waits for deliveries.
        fn exchange(exchange: Exchange) -> Result<Exchanged, Refused>;
        /// From server to leader: has transactions committed. The number belongs to the batch, however often
        /// it is sent.
        fn forward(batch: Numbered<Vec<Transaction>>) -> Result<(), NotLeader>;
        /// From server to leader: the state that holds everything committed before the call. The leader
        /// confirms that a majority still follows it.
        fn sync_point(nothing: ()) -> Result<Zxid, NotLeader>;
        /// From server to leader: these sessions were heard since the last call.
        fn touch(sessions: Vec<SessionId>) -> Result<(), NotLeader>;
    }
}

impl Operation {
    /// Whether it changes the state, so that it goes through the log.
    pub fn is_write(&self) -> bool {
        matches!(
            self,
            Operation::Create { .. }
                | Operation::Delete { .. }
                | Operation::SetData { .. }
                | Operation::Close
        )
    }

    /// Whether it leaves a watch.
    pub fn has_watch(&self) -> bool {
        match self {
            Operation::Exists { watch, .. }
            | Operation::GetData { watch, .. }
            | Operation::GetChildren { watch, .. } => *watch,
            _ => false,
        }
    }

    /// The node that it is about; the root for a close.
    pub fn path(&self) -> &str {
        match self {
            Operation::Create { path, .. }
            | Operation::Delete { path, .. }
            | Operation::SetData { path, .. }
            | Operation::Exists { path, .. }
            | Operation::GetData { path, .. }
            | Operation::GetChildren { path, .. }
            | Operation::Sync { path } => path,
            Operation::Close => "",
        }
    }

    /// Checks what can be checked without the state.
    ///
    /// # Errors
    /// [`Error::BadPath`], [`Error::TooLarge`].
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Operation::Create { path, data, .. } | Operation::SetData { path, data, .. } => {
                crate::path::check(path)?;
                if data.len() > MAX_DATA { Err(Error::TooLarge) } else { Ok(()) }
            }
            Operation::Delete { path, .. } => crate::path::check(path),
            Operation::Close => Ok(()),
            _ => crate::path::check_or_root(self.path()),
        }
    }
}

/// The watch that an operation leaves, given its answer.
pub fn watch_of(operation: &Operation, answer: &Answer) -> Option<WatchKind> {
    match (operation, answer) {
        (Operation::Exists { watch: true, .. }, Ok(Outcome::Exists(None))) => Some(WatchKind::Absent),
        (Operation::Exists { watch: true, .. } | Operation::GetData { watch: true, .. }, Ok(_)) => {
            Some(WatchKind::Data)
        }
        (Operation::GetChildren { watch: true, .. }, Ok(_)) => Some(WatchKind::Children),
        _ => None,
    }
}
