// handout: file guided
//! A server's desk: the connections of its clients, their queues, and their watches. Nothing of it is
//! replicated; a server that restarts has an empty desk, and its clients connect anew.
//!
//! Everything here happens under one lock. A thread may take it while it holds the replica's lock, never the
//! other way round.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use labrt::oneshot::{self, Put, Take};
use labrt::sync::{Condvar, Settle};
use labrt::time::{Duration, Instant};

use crate::replica::Shared;
use crate::rpc::{
    Action, Answer, Connect, Delivery, Event, EventKind, Exchange, Exchanged, Operation, Refused, SessionId,
    Transaction, Zxid, watch_of,
};
use crate::tree::Change;
use crate::watches::Watches;

/// How long ago the leader may have been told of this server's sessions. It is short beside a third of a
/// session's timeout: a client whose server is cut off must have time to look for another one.
pub(crate) const HEARD: Duration = Duration::from_millis(300);

/// A session that this server serves.
struct Connection {
    number: u64,
    /// Requests that came and were not handled yet, by xid.
    arrived: BTreeMap<u64, Operation>,
    /// The xid of the request that is handled next.
    next: u64,
    /// The client has the answers up to this one.
    answered: u64,
    /// Writes that are not applied here yet, in order.
    unfinished: VecDeque<u64>,
    /// A sync that waits, with the state that it waits for once that is known.
    sync: Option<(u64, Option<Zxid>)>,
    /// What leaves for the client; the first has the number `first`.
    queue: VecDeque<Delivery>,
    first: u64,
    /// Wakes the exchange that waits for the queue.
    waiter: Option<Put<()>>,
    /// When the client was heard last.
    heard: Instant,
    /// How long the client may be silent, in milliseconds.
    timeout: u64,
    is_over: bool,
}

/// The desk.
#[derive(Default)]
pub(crate) struct Desk {
    connections: BTreeMap<SessionId, Connection>,
    watches: Watches,
    /// The state up to which watches have fired. What a snapshot jumps over begins behind it.
    zxid: Zxid,
    /// Transactions that wait for the forwarder.
    outgoing: Vec<Transaction>,
    /// Sessions that this server has asked for, and who waits for them.
    openings: BTreeMap<SessionId, Put<()>>,
    /// Sessions heard since the leader was told.
    heard: BTreeSet<SessionId>,
    /// When the leader confirmed last that it was told.
    confirmed: Option<Instant>,
}

/// What the threads of a server wait for.
#[derive(Default)]
pub(crate) struct Signals {
    /// The forwarder: transactions.
    pub(crate) outgoing: Condvar,
    /// The syncer: syncs that no leader has confirmed.
    pub(crate) syncs: Condvar,
}

// handout: bodies ZA
impl Settle for Desk {
    type Signals = Signals;

    fn settle(&mut self, signals: &Signals) {
        if !self.outgoing.is_empty() {
            signals.outgoing.notify_all();
        }
        if self.has_new_syncs() {
            signals.syncs.notify_all();
        }
    }
}

impl Connection {
    fn new(connect: &Connect, timeout: u64, now: Instant) -> Connection {
        Connection {
            number: connect.connection,
            arrived: BTreeMap::new(),
            next: connect.answered + 1,
            answered: connect.answered,
            unfinished: VecDeque::new(),
            sync: None,
            queue: VecDeque::new(),
            first: 1,
            waiter: None,
            heard: now,
            timeout,
            is_over: false,
        }
    }

    /// Adds to the queue, and wakes the exchange that waits for it.
    fn deliver(&mut self, delivery: Delivery) {
        self.queue.push_back(delivery);
        if let Some(waiter) = self.waiter.take() {
            waiter.put(());
        }
    }

    fn reply(&mut self, xid: u64, zxid: Zxid, answer: Answer) {
        self.deliver(Delivery::Reply { xid, zxid, answer });
    }

    /// Answers the writes that a snapshot has brought.
    fn finish_by(&mut self, replica: &Shared, session: SessionId) {
        while let Some(&xid) = self.unfinished.front() {
            let Some(answer) = replica.answer_of(session, xid) else { break };
            self.unfinished.pop_front();
            self.reply(xid, replica.zxid, answer);
        }
    }

    /// Rule 2: takes the next request, if it may be handled now. Reads and syncs wait for the session's
    /// writes; everything waits for its sync.
    fn next_request(&mut self) -> Option<(u64, Operation)> {
        let operation = self.arrived.get(&self.next)?;
        let is_write = operation.is_write() && operation.check().is_ok();
        if self.sync.is_some() || self.is_over || !(is_write || self.unfinished.is_empty()) {
            return None;
        }
        let xid = self.next;
        self.next += 1;
        Some((xid, self.arrived.remove(&xid)?))
    }
}

/// What clients do.
impl Desk {
    /// Takes an open session to this server. What an earlier connection held here is dropped.
    pub(crate) fn establish(
        &mut self,
        replica: &Shared,
        connect: &Connect,
        now: Instant,
    ) -> Result<(), Refused> {
        // Rule 3: the client has seen a later state. It must not read backwards, so it looks elsewhere.
        if connect.last_zxid > replica.zxid {
            return Err(Refused::Behind);
        }
        let session = replica.sessions.get(&connect.session).filter(|open| open.secret == connect.secret);
        let timeout = session.ok_or(Refused::Expired)?.timeout;
        match self.connections.get(&connect.session) {
            // A copy of a message.
            Some(old) if old.number == connect.connection => return Ok(()),
            Some(old) if old.number > connect.connection => return Err(Refused::NotConnected),
            _ => {}
        }
        self.zxid = replica.zxid;
        // handout: from ZB: the end of an earlier connection's watches
        self.watches.forget(connect.session);
        // handout: end
        self.heard.insert(connect.session);
        let mut connection = Connection::new(connect, timeout, now);
        // handout: from ZB: the watches that the client brings (rule 5)
        // Rule 5.
        let mut events = BTreeSet::new();
        for (kind, path) in &connect.watches {
            match replica.missed(*kind, path, connect.last_zxid) {
                Some(event) => drop(events.insert((path, event))),
                None => self.watches.leave(connect.session, *kind, path),
            }
        }
        for (path, kind) in events {
            let event = Event { path: path.clone(), kind, zxid: replica.zxid };
            connection.deliver(Delivery::Event(event));
        }
        // handout: end
        self.connections.insert(connect.session, connection);
        Ok(())
    }

    /// Takes what an exchange brings. What it returns settles when the queue holds something, or when another
    /// exchange takes its place, and says for how long to wait; None if the queue holds something already.
    pub(crate) fn exchange(
        &mut self,
        replica: &Shared,
        exchange: Exchange,
        now: Instant,
    ) -> Result<Option<(Take<()>, Duration)>, Refused> {
        let connection = self.connections.get_mut(&exchange.session).ok_or(Refused::NotConnected)?;
        if connection.number != exchange.connection {
            return Err(Refused::NotConnected);
        }
        if exchange.last_zxid > replica.zxid {
            return Err(Refused::Behind);
        }
        self.heard.insert(exchange.session);
        connection.heard = now;
        connection.answered = connection.answered.max(exchange.answered);
        while connection.first <= exchange.received && connection.queue.pop_front().is_some() {
            connection.first += 1;
        }
        if connection.is_over && connection.queue.is_empty() {
            self.connections.remove(&exchange.session);
            return Err(Refused::Expired);
        }
        for request in exchange.requests {
            if request.xid >= connection.next {
                connection.arrived.insert(request.xid, request.operation);
            }
        }
        self.advance(replica, exchange.session);
        let Some(connection) = self.connections.get_mut(&exchange.session) else { return Ok(None) };
        if !connection.queue.is_empty() {
            return Ok(None);
        }
        let (waiter, news) = oneshot::channel();
        connection.waiter = Some(waiter);
        // A client that hears nothing for two thirds of its timeout goes elsewhere. An idle one asks after
        // one third, so half of what is left must do: answer and question are on their way, too.
        Ok(Some((news, Duration::from_millis(connection.timeout / 6))))
    }

    /// What waits for the client. It stays in the queue until the client says that it has it.
    pub(crate) fn collect(
        &self,
        session: SessionId,
        number: u64,
        now: Instant,
    ) -> Result<Exchanged, Refused> {
        let connection = self.connections.get(&session).filter(|connection| connection.number == number);
        let connection = connection.ok_or(Refused::NotConnected)?;
        let deliveries = connection.queue.iter().cloned().collect();
        let is_heard = self.confirmed.is_some_and(|at| now.saturating_duration_since(at) <= HEARD);
        Ok(Exchanged { first: connection.first, deliveries, is_heard })
    }

    /// Handles the requests of a session as far as they can be handled.
    fn advance(&mut self, replica: &Shared, session: SessionId) {
        while let Some(connection) = self.connections.get_mut(&session) {
            let Some((xid, operation)) = connection.next_request() else { break };
            if let Err(error) = operation.check() {
                connection.reply(xid, replica.zxid, Err(error));
                continue;
            }
            match operation {
                Operation::Sync { .. } => connection.sync = Some((xid, None)),
                operation if operation.is_write() => {
                    connection.unfinished.push_back(xid);
                    let (answered, action) = (connection.answered, Action::Write(operation));
                    self.outgoing.push(Transaction { session, xid, answered, action });
                }
                operation => {
                    let answer = replica.read(&operation);
                    // handout: from ZB: the watch of a read (rule 4)
                    // Rule 4: the watch and the read see the same state.
                    if let Some(kind) = watch_of(&operation, &answer) {
                        self.watches.leave(session, kind, operation.path());
                    }
                    // handout: end
                    connection.reply(xid, replica.zxid, answer);
                }
            }
        }
    }
}

/// What the replica tells.
impl Desk {
    /// Rule 4: what has happened to nodes goes to those who watch them.
    pub(crate) fn fire(&mut self, changes: &[Change], zxid: Zxid) {
        // handout: from ZB: events
        for change in changes {
            for session in self.watches.fired(change) {
                self.deliver_event(session, Event { path: change.path.clone(), kind: change.kind, zxid });
            }
        }
        // handout: end
    }

    fn deliver_event(&mut self, session: SessionId, event: Event) {
        if let Some(connection) = self.connections.get_mut(&session) {
            connection.deliver(Delivery::Event(event));
        }
    }

    /// A transaction is applied.
    pub(crate) fn finish(&mut self, replica: &Shared, session: SessionId, xid: u64, answer: Answer) {
        self.zxid = replica.zxid;
        if let Some(opened) = self.openings.remove(&session) {
            opened.put(());
        }
        if let Some(connection) = self.connections.get_mut(&session) {
            // The same write may come twice, through this server and through another one.
            if connection.unfinished.front() == Some(&xid) {
                connection.unfinished.pop_front();
                connection.reply(xid, replica.zxid, answer);
            }
        }
        self.end_if_over(replica, session);
        self.advance(replica, session);
        self.finish_syncs(replica);
    }

    /// The session may be over: its queue says so, and then ends.
    fn end_if_over(&mut self, replica: &Shared, session: SessionId) {
        if replica.sessions.contains_key(&session) {
            return;
        }
        // handout: from ZB: the end of the session's watches
        self.watches.forget(session);
        // handout: end
        let Some(connection) = self.connections.get_mut(&session).filter(|connection| !connection.is_over)
        else {
            return;
        };
        connection.is_over = true;
        let event = Event { path: String::new(), kind: EventKind::Session, zxid: replica.zxid };
        connection.deliver(Delivery::Event(event));
    }

    /// The replica has jumped to the state of a snapshot.
    pub(crate) fn jump(&mut self, replica: &Shared) {
        let since = std::mem::replace(&mut self.zxid, replica.zxid);
        // handout: from ZB: the events of the changes that were jumped over
        let mut events = BTreeSet::new();
        for (session, kind, path) in self.watches.all() {
            if let Some(event) = replica.missed(kind, &path, since) {
                self.watches.remove(session, kind, &path);
                events.insert((session, path, event));
            }
        }
        for (session, path, kind) in events {
            self.deliver_event(session, Event { path, kind, zxid: replica.zxid });
        }
        // handout: end
        let opened: Vec<SessionId> = self.openings.keys().copied().collect();
        for session in opened.into_iter().filter(|session| replica.sessions.contains_key(session)) {
            if let Some(opened) = self.openings.remove(&session) {
                opened.put(());
            }
        }
        let sessions: Vec<SessionId> = self.connections.keys().copied().collect();
        for session in sessions {
            if let Some(connection) = self.connections.get_mut(&session) {
                connection.finish_by(replica, session);
            }
            self.end_if_over(replica, session);
            self.advance(replica, session);
        }
        self.finish_syncs(replica);
    }
}

/// What the server's threads do.
impl Desk {
    /// Asks for a new session; what is returned settles when it is open.
    pub(crate) fn open(&mut self, session: SessionId, secret: u64, timeout: u64) -> Take<()> {
        let (opened, wait) = oneshot::channel();
        self.openings.insert(session, opened);
        let action = Action::OpenSession { secret, timeout };
        self.outgoing.push(Transaction { session, xid: 0, answered: 0, action });
        wait
    }

    /// The transactions that wait, in order.
    pub(crate) fn take_outgoing(&mut self) -> Vec<Transaction> {
        std::mem::take(&mut self.outgoing)
    }

    fn has_new_syncs(&self) -> bool {
        self.connections.values().any(|connection| matches!(connection.sync, Some((_, None))))
    }

    /// The syncs that no leader has confirmed: session, number of its connection, xid of the sync.
    pub(crate) fn new_syncs(&self) -> Vec<(SessionId, u64, u64)> {
        let new = |(&session, connection): (&SessionId, &Connection)| match connection.sync {
            Some((xid, None)) => Some((session, connection.number, xid)),
            _ => None,
        };
        self.connections.iter().filter_map(new).collect()
    }

    /// Rule 6: these syncs are over when the replica has reached `zxid`.
    pub(crate) fn confirm_syncs(&mut self, replica: &Shared, syncs: &[(SessionId, u64, u64)], zxid: Zxid) {
        for &(session, number, xid) in syncs {
            let connection = self.connections.get_mut(&session).filter(|known| known.number == number);
            if let Some(connection) = connection.filter(|known| known.sync == Some((xid, None))) {
                connection.sync = Some((xid, Some(zxid)));
            }
        }
        self.finish_syncs(replica);
    }

    fn finish_syncs(&mut self, replica: &Shared) {
        let is_due = |connection: &Connection| match connection.sync {
            Some((xid, Some(zxid))) if zxid <= replica.zxid => Some(xid),
            _ => None,
        };
        let due: Vec<(SessionId, u64)> = self
            .connections
            .iter()
            .filter_map(|(&session, connection)| Some((session, is_due(connection)?)))
            .collect();
        for (session, xid) in due {
            if let Some(connection) = self.connections.get_mut(&session) {
                connection.sync = None;
                connection.reply(xid, replica.zxid, Ok(crate::rpc::Outcome::Done));
            }
            self.advance(replica, session);
        }
    }

    /// The sessions heard since the last call.
    pub(crate) fn take_heard(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.heard).into_iter().collect()
    }

    /// The leader was told, or was not: then these sessions are still to be told of.
    pub(crate) fn told(&mut self, heard: Vec<SessionId>, at: Option<Instant>) {
        match at {
            Some(at) => self.confirmed = Some(at),
            None => self.heard.extend(heard),
        }
    }

    /// Whether any client is connected.
    pub(crate) fn is_in_use(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Hangs up on clients that were silent for their whole timeout: they are at another server, or gone.
    pub(crate) fn hang_up(&mut self, now: Instant) {
        let is_silent = |connection: &Connection| {
            now.saturating_duration_since(connection.heard) > Duration::from_millis(connection.timeout)
        };
        let silent = self.connections.iter().filter(|(_, connection)| is_silent(connection));
        let silent: Vec<SessionId> = silent.map(|(&session, _)| session).collect();
        for session in silent {
            self.connections.remove(&session);
            // handout: from ZB: the end of the session's watches
            self.watches.forget(session);
            // handout: end
        }
    }
}
