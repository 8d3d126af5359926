//! The client library: one session, at one server at a time.
//!
//! Operations have two forms. The asynchronous one ([`Client::start`], [`Client::begin`]) returns at once;
//! answers come in the order of the calls. The blocking one waits for the answer.
// handout: drop classic
//!
//! A client has two threads, the carriers. Each takes what is to be done: connect, or an exchange with the
//! server. While one waits at the server for news, the other brings new requests.
// handout: end

use labrpc::ClientEnd;
// handout: drop classic
use labrt::oneshot::{self, Take};
use labrt::sync::{Arc, Monitor};
use labrt::thread;
// handout: end
// handout: put classic
// use labrt::oneshot::Take;
// handout: end
use labrt::time::{Duration, Instant};

// handout: drop classic
use crate::library::{Job, Library};
use crate::rpc::{Answer, Error, Event, Flags, Operation, Outcome, SessionId, Stat, ZkPeer, Zxid};
// handout: end
// handout: put classic
// use crate::rpc::{Answer, Error, Event, Flags, Operation, SessionId, Stat, Zxid};
// handout: end

// handout: drop classic
/// How many threads carry a client's messages.
const CARRIERS: usize = 2;
/// The pause behind a message that was lost or refused.
const AGAIN: Duration = Duration::from_millis(10);
/// A client waits for an answer for a third of its timeout, twice as long as the server keeps an exchange,
/// and for so much longer: question and answer are on their way, too.
const SLACK: Duration = Duration::from_millis(100);
/// How long a client waits for a connection.
const CONNECT: Duration = Duration::from_millis(1200);

// handout: end
/// What a client wants of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The service ends the session when it has not heard of the client for this long.
    pub timeout: Duration,
    /// How long a blocking call waits for its answer; None: for as long as the session lives.
    pub patience: Option<Duration>,
}

impl Default for Settings {
    /// Two seconds, and endless patience.
    fn default() -> Settings {
        Settings { timeout: Duration::from_secs(2), patience: None }
    }
}

/// A client. When the last handle to its session is dropped without [`Client::close`], the service learns of
/// the end by the client's silence.
pub struct Client {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    inner: Arc<Inner>,
    // handout: end
}

// handout: drop classic
struct Inner {
    library: Monitor<Library>,
    servers: Vec<ZkPeer>,
    settings: Settings,
}

// handout: end
// handout: bodies kept
/// An answer that may not be there yet.
pub struct Pending {
    answer: Take<(Zxid, Answer)>,
    patience: Option<Duration>,
}

/// A watch that was left with a read. It fires once: when what it looks at changes, or when its session is
/// over ([`EventKind::Session`](crate::EventKind)).
pub struct Watch {
    event: Take<Event>,
}

impl Watch {
    /// Waits until the watch fires; None if it never will, because its read has failed.
    pub fn wait(self) -> Option<Event> {
        self.event.wait()
    }

    /// As [`Watch::wait`], for so long at most; None also if it has not fired by then.
    pub fn wait_for(self, patience: Duration) -> Option<Event> {
        self.event.wait_deadline(Instant::now() + patience).ok().flatten()
    }

    /// Whether it has fired, or never will, because its read has failed. A client that has not heard of a
    /// change yet cannot have read it either.
    pub fn has_fired(&self) -> bool {
        self.event.is_settled()
    }
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// Those of the operation; [`Error::ConnectionLoss`] if the client's patience ends.
    pub fn wait(self) -> Answer {
        self.wait_with_zxid().1
    }

    /// As [`Pending::wait`]; also gives the zxid of the state in which the server answered, 0 if none did.
    pub fn wait_with_zxid(self) -> (Zxid, Answer) {
        let lost = (0, Err(Error::ConnectionLoss));
        match self.patience {
            None => self.answer.wait().unwrap_or(lost),
            Some(patience) => {
                self.answer.wait_deadline(Instant::now() + patience).ok().flatten().unwrap_or(lost)
            }
        }
    }

    /// Whether the answer is there.
    pub fn is_done(&self) -> bool {
        self.answer.is_settled()
    }
}

// handout: bodies ZA
impl Client {
    /// Begins a session with the servers that `ends` reach, at the first of them, and returns at once. Calls
    /// wait until the session is open.
    ///
    /// # Panics
    /// If `ends` is empty.
    pub fn open(ends: Vec<ClientEnd>, settings: Settings) -> Client {
        assert!(!ends.is_empty(), "a service has at least one server");
        let library = Monitor::new(Library::new(ends.len(), settings.timeout, Instant::now()));
        let servers = ends.into_iter().map(ZkPeer::new).collect();
        let inner = Arc::new(Inner { library, servers, settings });
        for _ in 0..CARRIERS {
            let inner = Arc::clone(&inner);
            thread::spawn_named("carrier", move || inner.carry());
        }
        Client { inner }
    }

    /// The number of the session, 0 before it is open.
    pub fn session(&self) -> SessionId {
        self.inner.library.lock().session()
    }

    /// Asks for an operation and returns at once. `then` is called with the answer, and the zxid of the state
    /// in which the server answered, in the order of the calls. It runs under the client's lock, so it must
    /// neither block nor call the client.
    pub fn begin(&self, operation: Operation, then: impl FnOnce(Zxid, Answer) + Send + 'static) {
        self.inner.library.lock().call(operation, None, Box::new(then));
    }

    /// Asks for an operation and returns at once.
    pub fn start(&self, operation: Operation) -> Pending {
        self.start_with_watch(operation).0
    }

    /// As [`Client::start`]; with the watch, if the operation leaves one.
    pub fn start_with_watch(&self, operation: Operation) -> (Pending, Watch) {
        let (done, answer) = oneshot::channel();
        let (fired, event) = oneshot::channel();
        let then = Box::new(move |zxid, answer| done.put((zxid, answer)));
        self.inner.library.lock().call(operation, Some(fired), then);
        (Pending { answer, patience: self.inner.settings.patience }, Watch { event })
    }

    /// Creates a node; returns its path, with the number of a sequential node.
    ///
    /// # Errors
    /// [`Error::NoNode`] if there is no parent, [`Error::NodeExists`], [`Error::NoChildrenForEphemerals`],
    /// [`Error::BadPath`], [`Error::TooLarge`], [`Error::SessionExpired`], [`Error::ConnectionLoss`].
    pub fn create(&self, path: &str, data: &[u8], flags: Flags) -> Result<String, Error> {
        let operation = Operation::Create { path: path.to_owned(), data: data.to_vec(), flags };
        match self.start(operation).wait()? {
            Outcome::Created(path) => Ok(path),
            other => unreachable!("a create gives {other:?}"),
        }
    }

    /// Deletes a node that has this version ([`crate::ANY_VERSION`]: any).
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::BadVersion`], [`Error::NotEmpty`], and those of the session.
    pub fn delete(&self, path: &str, version: i64) -> Result<(), Error> {
        self.start(Operation::Delete { path: path.to_owned(), version }).wait().map(drop)
    }

    /// Replaces the data of a node that has this version ([`crate::ANY_VERSION`]: any).
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::BadVersion`], [`Error::TooLarge`], and those of the session.
    pub fn set_data(&self, path: &str, data: &[u8], version: i64) -> Result<Stat, Error> {
        let operation = Operation::SetData { path: path.to_owned(), data: data.to_vec(), version };
        match self.start(operation).wait()? {
            Outcome::Set(stat) => Ok(stat),
            other => unreachable!("a set gives {other:?}"),
        }
    }

    /// What is known of a node; None if there is none.
    ///
    /// # Errors
    /// [`Error::BadPath`], and those of the session.
    pub fn exists(&self, path: &str) -> Result<Option<Stat>, Error> {
        self.exists_with(path, false).map(|(stat, _)| stat)
    }

    /// As [`Client::exists`], with a watch for the node's creation, deletion or change.
    ///
    /// # Errors
    /// As [`Client::exists`].
    pub fn watch_exists(&self, path: &str) -> Result<(Option<Stat>, Watch), Error> {
        self.exists_with(path, true)
    }

    fn exists_with(&self, path: &str, watch: bool) -> Result<(Option<Stat>, Watch), Error> {
        let (pending, left) = self.start_with_watch(Operation::Exists { path: path.to_owned(), watch });
        match pending.wait()? {
            Outcome::Exists(stat) => Ok((stat, left)),
            other => unreachable!("exists gives {other:?}"),
        }
    }

    /// The data of a node.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::BadPath`], and those of the session.
    pub fn get_data(&self, path: &str) -> Result<(Vec<u8>, Stat), Error> {
        self.get_data_with(path, false).map(|(data, _)| data)
    }

    /// As [`Client::get_data`], with a watch for the node's deletion or change.
    ///
    /// # Errors
    /// As [`Client::get_data`].
    pub fn watch_data(&self, path: &str) -> Result<((Vec<u8>, Stat), Watch), Error> {
        self.get_data_with(path, true)
    }

    fn get_data_with(&self, path: &str, watch: bool) -> Result<((Vec<u8>, Stat), Watch), Error> {
        let (pending, left) = self.start_with_watch(Operation::GetData { path: path.to_owned(), watch });
        match pending.wait()? {
            Outcome::Data(data, stat) => Ok(((data, stat), left)),
            other => unreachable!("a read gives {other:?}"),
        }
    }

    /// The names of a node's children, in alphabetical order.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::BadPath`], and those of the session.
    pub fn get_children(&self, path: &str) -> Result<Vec<String>, Error> {
        self.get_children_with(path, false).map(|(children, _)| children)
    }

    /// As [`Client::get_children`], with a watch for children that come or go, and for the node's deletion.
    ///
    /// # Errors
    /// As [`Client::get_children`].
    pub fn watch_children(&self, path: &str) -> Result<(Vec<String>, Watch), Error> {
        self.get_children_with(path, true)
    }

    fn get_children_with(&self, path: &str, watch: bool) -> Result<(Vec<String>, Watch), Error> {
        let (pending, left) = self.start_with_watch(Operation::GetChildren { path: path.to_owned(), watch });
        match pending.wait()? {
            Outcome::Children(names, _) => Ok((names, left)),
            other => unreachable!("a list gives {other:?}"),
        }
    }

    /// Waits until the client's server has applied everything that was committed when this was asked.
    ///
    /// # Errors
    /// [`Error::BadPath`], and those of the session.
    pub fn sync(&self, path: &str) -> Result<(), Error> {
        self.start(Operation::Sync { path: path.to_owned() }).wait().map(drop)
    }

    /// Ends the session; its ephemeral nodes go.
    ///
    /// # Errors
    /// [`Error::ConnectionLoss`]. A session that is over already is no error.
    pub fn close(self) -> Result<(), Error> {
        match self.start(Operation::Close).wait() {
            Ok(_) | Err(Error::SessionExpired) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.inner.library.lock().end();
    }
}

impl Inner {
    fn carry(&self) {
        loop {
            let job = {
                let mut library = self.library.lock();
                loop {
                    match library.next_job(Instant::now()) {
                        Ok(job) => break job,
                        Err(deadline) => drop(library.wait_until(|news| news, deadline)),
                    }
                }
            };
            let is_done = match job {
                Job::End => return,
                Job::Connect(server, connect) => {
                    let answer = self.servers[server].timeout(CONNECT).connect(&connect);
                    self.library.lock().connected(connect.connection, answer.ok(), Instant::now())
                }
                Job::Exchange(server, exchange) => {
                    let (patience, sent) = (self.settings.timeout / 3 + SLACK, Instant::now());
                    let answer = self.servers[server].timeout(patience).exchange(&exchange);
                    self.library.lock().exchanged(exchange.connection, answer.ok(), sent)
                }
            };
            if !is_done {
                thread::sleep(AGAIN);
            }
        }
    }
}
