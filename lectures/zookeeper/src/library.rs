// handout: file guided
//! The rules of the client library: what it sends, what it does with what comes, and when it looks for
//! another server. No threads.

use std::collections::{BTreeMap, VecDeque};

use labrt::oneshot::Put;
use labrt::sync::{Condvar, Settle};
use labrt::time::{Duration, Instant};

use crate::rpc::{
    Answer, Connect, Connected, Delivery, Error, Event, EventKind, Exchange, Exchanged, Operation, Refused,
    Request, SessionId, WatchKind, Zxid, watch_of,
};

/// How many requests travel in one message.
const AT_ONCE: usize = 100;
/// How long a carrier waits at least before it looks again: at the deadline itself the client is not silent
/// for too long yet, and a carrier that looked then would find nothing to do, again and again.
const AFTER: Duration = Duration::from_millis(1);

/// What is called with an answer.
pub(crate) type Then = Box<dyn FnOnce(Zxid, Answer) + Send>;

/// What a carrier does next, and at which server.
pub(crate) enum Job {
    Connect(usize, Connect),
    Exchange(usize, Exchange),
    End,
}

/// A call without an answer.
struct Call {
    request: Request,
    is_sent: bool,
    fired: Option<Put<Event>>,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Disconnected,
    Connecting,
    Connected,
    /// The session is over, or the client does not want it any more.
    Over,
}

/// The client's side of a session.
pub(crate) struct Library {
    session: SessionId,
    secret: u64,
    timeout: Duration,
    phase: Phase,
    /// The server, and how many there are.
    server: usize,
    servers: usize,
    /// The number of the connection; each attempt has its own.
    connection: u64,
    /// The highest zxid seen in any reply or event.
    last_zxid: Zxid,
    /// Calls without an answer, oldest first, and the xid of the next call.
    calls: VecDeque<Call>,
    next_xid: u64,
    /// Deliveries of this connection up to this one are taken.
    received: u64,
    watches: BTreeMap<(WatchKind, String), Vec<Put<Event>>>,
    /// When a server last heard of this session and could tell the leader.
    contact: Instant,
    /// Exchanges under way.
    flying: usize,
    /// Whether carriers may have work.
    has_news: bool,
}

impl Settle for Library {
    type Signals = Condvar;

    fn settle(&mut self, news: &Condvar) {
        if std::mem::take(&mut self.has_news) {
            news.notify_all();
        }
    }
}

// handout: bodies ZA
impl Library {
    pub(crate) fn new(servers: usize, timeout: Duration, now: Instant) -> Library {
        Library {
            session: 0,
            secret: 0,
            timeout,
            phase: Phase::Disconnected,
            server: 0,
            servers,
            connection: 0,
            last_zxid: 0,
            calls: VecDeque::new(),
            next_xid: 1,
            received: 0,
            watches: BTreeMap::new(),
            contact: now,
            flying: 0,
            has_news: false,
        }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// A call begins. `fired` belongs to the watch that the operation may leave.
    pub(crate) fn call(&mut self, operation: Operation, fired: Option<Put<Event>>, then: Then) {
        if self.phase == Phase::Over {
            return then(0, Err(Error::SessionExpired));
        }
        let request = Request { xid: self.next_xid, operation };
        self.next_xid += 1;
        self.calls.push_back(Call { request, is_sent: false, fired, then });
        self.has_news = true;
    }

    /// The client does not want its session any more. The service will notice its silence.
    pub(crate) fn end(&mut self) {
        self.phase = Phase::Over;
        self.has_news = true;
        self.fail_all();
    }

    /// All calls end, and all watches fire.
    fn fail_all(&mut self) {
        for call in self.calls.drain(..) {
            (call.then)(self.last_zxid, Err(Error::SessionExpired));
        }
        for ((_, path), watchers) in std::mem::take(&mut self.watches) {
            let event = Event { path, kind: EventKind::Session, zxid: self.last_zxid };
            watchers.into_iter().for_each(|fired| fired.put(event.clone()));
        }
    }

    /// Requests up to this one are answered.
    fn answered(&self) -> u64 {
        self.calls.front().map_or(self.next_xid, |call| call.request.xid) - 1
    }

    /// What there is to do; or until when there is nothing.
    pub(crate) fn next_job(&mut self, now: Instant) -> Result<Job, Instant> {
        let silence = self.timeout * 2 / 3;
        if self.phase == Phase::Connected && now.saturating_duration_since(self.contact) > silence {
            self.leave_server();
        }
        match self.phase {
            Phase::Over => Ok(Job::End),
            Phase::Disconnected => Ok(self.connect()),
            Phase::Connecting => Err(now + self.timeout),
            Phase::Connected => {
                let wants_news = !self.watches.is_empty() || !self.calls.is_empty();
                let is_idle = self.flying == 0
                    && (wants_news || now.saturating_duration_since(self.contact) >= self.timeout / 3);
                if is_idle || self.calls.iter().any(|call| !call.is_sent) {
                    return Ok(self.exchange());
                }
                let due = if self.flying == 0 { self.timeout / 3 } else { silence + AFTER };
                Err((self.contact + due).max(now + AFTER))
            }
        }
    }

    /// Looks for another server.
    fn leave_server(&mut self) {
        tracing::debug!(target: "client", "session {:x} leaves server {}", self.session, self.server);
        self.phase = Phase::Disconnected;
        self.server = (self.server + 1) % self.servers;
        self.has_news = true;
    }

    fn connect(&mut self) -> Job {
        self.phase = Phase::Connecting;
        self.connection += 1;
        let connect = Connect {
            session: self.session,
            secret: self.secret,
            timeout: self.timeout.as_millis() as u64,
            connection: self.connection,
            last_zxid: self.last_zxid,
            answered: self.answered(),
            watches: self.watches.keys().cloned().collect(),
        };
        Job::Connect(self.server, connect)
    }

    fn exchange(&mut self) -> Job {
        let unsent = self.calls.iter_mut().filter(|call| !call.is_sent).take(AT_ONCE);
        let requests = unsent.map(|call| {
            call.is_sent = true;
            call.request.clone()
        });
        let requests = requests.collect();
        self.flying += 1;
        let exchange = Exchange {
            session: self.session,
            connection: self.connection,
            last_zxid: self.last_zxid,
            answered: self.answered(),
            received: self.received,
            requests,
        };
        Job::Exchange(self.server, exchange)
    }

    /// A server has answered, or none did (None). False: the carrier should pause.
    pub(crate) fn connected(
        &mut self,
        connection: u64,
        answer: Option<Result<Connected, Refused>>,
        now: Instant,
    ) -> bool {
        if self.phase != Phase::Connecting || self.connection != connection {
            return true;
        }
        self.has_news = true;
        match answer {
            Some(Ok(connected)) => {
                // A new session begins with what its server has. One that moves has seen what it has seen:
                // the events that the server has not sent yet are still to come.
                if self.session == 0 {
                    self.last_zxid = connected.zxid;
                }
                (self.session, self.secret) = (connected.session, connected.secret);
                self.phase = Phase::Connected;
                self.contact = now;
                self.received = 0;
                self.flying = 0;
                self.calls.iter_mut().for_each(|call| call.is_sent = false);
                true
            }
            Some(Err(Refused::Expired)) => {
                self.end();
                true
            }
            Some(Err(_)) | None => {
                self.leave_server();
                false
            }
        }
    }

    /// The same for an exchange, which was sent at that moment. The server may have kept it for a while, and
    /// then been cut off: what it says of the leader, it says of the time when the exchange came.
    pub(crate) fn exchanged(
        &mut self,
        connection: u64,
        answer: Option<Result<Exchanged, Refused>>,
        sent: Instant,
    ) -> bool {
        if self.phase != Phase::Connected || self.connection != connection {
            return true;
        }
        self.has_news = true;
        self.flying -= 1;
        match answer {
            Some(Ok(exchanged)) => {
                if exchanged.is_heard {
                    self.contact = self.contact.max(sent);
                }
                for (number, delivery) in (exchanged.first..).zip(exchanged.deliveries) {
                    if number == self.received + 1 {
                        self.received = number;
                        self.take(delivery);
                    }
                }
                true
            }
            Some(Err(Refused::Expired)) => {
                self.end();
                true
            }
            Some(Err(_)) => {
                self.phase = Phase::Disconnected;
                false
            }
            // The server may have none of the requests.
            None => {
                self.calls.iter_mut().for_each(|call| call.is_sent = false);
                false
            }
        }
    }

    fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Reply { xid, zxid, answer } => {
                self.last_zxid = self.last_zxid.max(zxid);
                let Some(call) = self.calls.pop_front_if(|call| call.request.xid == xid) else { return };
                let kind = watch_of(&call.request.operation, &answer);
                if let (Some(kind), Some(fired)) = (kind, call.fired) {
                    let path = call.request.operation.path().to_owned();
                    self.watches.entry((kind, path)).or_default().push(fired);
                }
                (call.then)(zxid, answer);
            }
            Delivery::Event(event) => {
                self.last_zxid = self.last_zxid.max(event.zxid);
                self.fire(&event);
            }
        }
    }

    /// A watch fires, and is gone.
    fn fire(&mut self, event: &Event) {
        let kinds: &[WatchKind] = match event.kind {
            EventKind::Created => &[WatchKind::Absent],
            EventKind::Data => &[WatchKind::Data],
            EventKind::Children => &[WatchKind::Children],
            // A node that was not there may have come and gone.
            EventKind::Deleted => &[WatchKind::Data, WatchKind::Children, WatchKind::Absent],
            // The server will say so again when it is asked.
            EventKind::Session => &[],
        };
        for kind in kinds {
            let watchers = self.watches.remove(&(*kind, event.path.clone())).unwrap_or_default();
            watchers.into_iter().for_each(|fired| fired.put(event.clone()));
        }
    }
}
