//! The invariants of the lab, watched at every step of every test.
//!
//! Replicas show the transactions that they apply (the probe); the model replays them. Everything that comes
//! to a server and leaves it is seen at its handlers, and compared with the model. Nothing here rests on
//! assertions of the solution. Without the probe no test passes, and the failure says what is missing: the
//! log is the solution's own, and no message shows its order.

mod overdue;

use std::collections::BTreeMap;

use labrpc::Answer as RpcAnswer;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::time::Instant;
use serde::de::DeserializeOwned;
use tester::Test;
use zookeeper::rpc::{
    Action, Connect, Connected, Delivery, Exchange, Exchanged, Refused, Transaction, WatchKind, watch_of,
};
use zookeeper::tree::Tree;
use zookeeper::{Answer, Error, Event, EventKind, Operation, SessionId, Zxid};

use crate::model::Model;

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    labgob::decode(bytes).expect("a message of the lab's own type")
}

fn decode_reply<T: DeserializeOwned>(answer: Option<&RpcAnswer>) -> Option<T> {
    Some(decode(answer?.as_ref().ok()?))
}

/// A request, when it first came to a server.
struct Sent {
    operation: Operation,
    /// All writes up to this zxid were answered before.
    floor: Zxid,
}

/// What was seen of a session.
#[derive(Default)]
struct Seen {
    /// Its newest connection, and the number of the delivery that leaves next.
    connection: u64,
    next: u64,
    /// The xid of the reply that leaves next.
    xid: u64,
    /// The highest zxid of a delivery of this connection, and of what the client has taken of all.
    zxid: Zxid,
    taken: Zxid,
    /// Deliveries that the client has not taken yet: number and zxid.
    under_way: Vec<(u64, Zxid)>,
    /// Watches that have not fired, with the state in which they were left.
    armed: BTreeMap<(WatchKind, String), Zxid>,
    /// Deletions of which one event has left for several watches. A server may also send one for each.
    more: BTreeMap<(String, Zxid), usize>,
    /// The server that has answered its last exchange, and when.
    last_answer: Option<(usize, Instant)>,
    /// The requests up to this one have come by this connection.
    come: u64,
    /// The request of which the answer is due, and since when.
    due: Option<(u64, Instant)>,
}

#[derive(Default)]
struct Facts {
    model: Model,
    sent: BTreeMap<(SessionId, u64), Sent>,
    sessions: BTreeMap<SessionId, Seen>,
    /// The last transaction that each server has shown.
    states: BTreeMap<usize, Zxid>,
    /// The highest zxid of an answered write.
    answered: Zxid,
    /// The last sequence number under each parent, which is known by its path and its creation.
    numbers: BTreeMap<(String, Zxid), u64>,
    /// Reads that each server has answered; events that left.
    reads: BTreeMap<usize, u64>,
    events: BTreeMap<String, u64>,
}

/// The watch over a test.
#[derive(Clone)]
pub(crate) struct Watch {
    test: Test,
    facts: Arc<Mutex<Facts>>,
}

impl Watch {
    pub(crate) fn new(test: &Test) -> Watch {
        Watch { test: test.clone(), facts: Arc::default() }
    }

    pub(crate) fn zxid(&self) -> Zxid {
        self.facts.lock().model.zxid()
    }

    /// How many reads a server has answered.
    pub(crate) fn reads(&self, server: usize) -> u64 {
        self.facts.lock().reads.get(&server).copied().unwrap_or(0)
    }

    /// How many events of nodes at or below this path have left.
    pub(crate) fn events(&self, path: &str) -> u64 {
        let facts = self.facts.lock();
        facts.events.iter().filter(|(at, _)| at.starts_with(path)).map(|(_, events)| events).sum()
    }

    /// When a session ended.
    pub(crate) fn ended(&self, session: SessionId) -> Option<Zxid> {
        self.facts.lock().model.ended.get(&session).copied()
    }

    /// How many transactions of a kind there were.
    pub(crate) fn count(&self, is_one: impl Fn(&Transaction, &Answer) -> bool) -> usize {
        let facts = self.facts.lock();
        facts.model.applied.iter().filter(|applied| is_one(&applied.transaction, &applied.answer)).count()
    }

    /// The data of a node in the newest state.
    pub(crate) fn data(&self, path: &str) -> Option<Vec<u8>> {
        let facts = self.facts.lock();
        Some(facts.model.at(path, facts.model.zxid())?.data.to_vec())
    }

    #[track_caller]
    fn expect(&self, holds: bool, what: impl FnOnce() -> String) {
        self.test.expect(holds, || format!("invariant {}", what()));
    }

    /// A replica has applied a transaction.
    pub(crate) fn probe(
        &self,
        server: usize,
        zxid: Zxid,
        transaction: &Transaction,
        tree: &Tree,
        answer: &Answer,
    ) {
        let mut facts = self.facts.lock();
        let facts = &mut *facts;
        self.expect(zxid <= facts.model.zxid() + 1, || {
            format!("1: server {server} applies zxid {zxid}, but nobody has {}", facts.model.zxid() + 1)
        });
        if zxid == facts.model.zxid() + 1 {
            self.check_order(facts, zxid, transaction);
            facts.model.apply(transaction);
            self.check_sequence(facts, zxid);
            self.check_ephemerals(facts, transaction);
        }
        facts.states.insert(server, zxid);
        let applied = &facts.model.applied[zxid as usize - 1];
        self.expect(applied.transaction == *transaction, || {
            format!("9: zxid {zxid} is {transaction:?} at server {server}, and was {:?}", applied.transaction)
        });
        self.expect(applied.answer == *answer, || {
            format!("1: server {server} answers {answer:?} to {transaction:?}, expected {:?}", applied.answer)
        });
        for path in &applied.touched {
            let theirs = tree.get(path).ok().map(|node| (node.data(), node.stat()));
            let ours = facts.model.at(path, zxid).map(|node| (node.data.as_slice(), node.stat));
            self.expect(theirs == ours, || {
                format!(
                    "1 or 7: at zxid {zxid} server {server} has {path:?} as {theirs:?}, expected {ours:?}"
                )
            });
        }
    }

    /// Invariant 1: a write comes behind all writes that were answered before it was asked for, and once.
    fn check_order(&self, facts: &Facts, zxid: Zxid, transaction: &Transaction) {
        let Action::Write(operation) = &transaction.action else { return };
        let key = (transaction.session, transaction.xid);
        let sent = facts.sent.get(&key);
        self.expect(sent.is_some_and(|sent| sent.operation == *operation), || {
            format!("1: the log holds {transaction:?}, which no client has asked for")
        });
        // Behind its session's end a write is refused, also one that comes once more.
        let is_refused = !facts.model.is_open(key.0);
        self.expect(is_refused || !facts.model.writes.contains_key(&key), || {
            format!("1: {transaction:?} is carried out twice")
        });
        let last = facts.model.writes.range((key.0, 0)..=(key.0, u64::MAX)).next_back();
        self.expect(is_refused || last.is_none_or(|((_, xid), _)| *xid < key.1), || {
            format!("2: {transaction:?} comes behind a later write of its session")
        });
        let floor = sent.map_or(0, |sent| sent.floor);
        self.expect(zxid > floor, || format!("1: {transaction:?} gets zxid {zxid}, not above {floor}"));
    }

    /// Invariant 8.
    fn check_sequence(&self, facts: &mut Facts, zxid: Zxid) {
        let applied = &facts.model.applied[zxid as usize - 1];
        let (Action::Write(Operation::Create { flags, .. }), Ok(zookeeper::Outcome::Created(path))) =
            (&applied.transaction.action, &applied.answer)
        else {
            return;
        };
        if flags.sequential {
            let number: u64 = path[path.len() - 10..].parse().expect("ten digits");
            let parent = zookeeper::path::parent(path).to_owned();
            let created = facts.model.at(&parent, zxid).map_or(0, |parent| parent.stat.czxid);
            let before = facts.numbers.insert((parent, created), number);
            self.expect(before.is_none_or(|before| before < number), || {
                format!("8: {path} after {before:?}")
            });
        }
    }

    /// Invariant 7, in the model; the replicas' trees are compared with it.
    fn check_ephemerals(&self, facts: &Facts, transaction: &Transaction) {
        if !matches!(transaction.action, Action::Expire | Action::Write(Operation::Close)) {
            return;
        }
        for (path, session) in facts.model.ephemerals() {
            self.expect(facts.model.is_open(session), || format!("7: {path} outlives session {session:x}"));
        }
    }

    /// A message comes to a server, and what its handler answers leaves.
    pub(crate) fn around(
        &self,
        server: usize,
        method: &str,
        bytes: &[u8],
        handle: &dyn Fn() -> Option<RpcAnswer>,
    ) -> Option<RpcAnswer> {
        match method {
            "ZkRpc.connect" => {
                let answer = handle();
                if let Some(Ok(connected)) = decode_reply::<Result<Connected, Refused>>(answer.as_ref()) {
                    self.connected(&decode(bytes), connected);
                }
                answer
            }
            "ZkRpc.exchange" => {
                let exchange: Exchange = decode(bytes);
                self.arrived(&exchange);
                let answer = handle();
                if let Some(Ok(exchanged)) = decode_reply::<Result<Exchanged, Refused>>(answer.as_ref()) {
                    self.left(server, &exchange, exchanged);
                }
                answer
            }
            _ => handle(),
        }
    }

    fn connected(&self, connect: &Connect, connected: Connected) {
        let mut facts = self.facts.lock();
        // A session's birth is a transaction. Without the log there is nothing to compare answers with.
        self.test.expect(facts.model.zxid() > 0, || {
            "a session is open, and no replica has shown a transaction: the tests need the probe of \
             `Server::start`"
                .to_owned()
        });
        let seen = facts.sessions.entry(connected.session).or_default();
        if connect.connection <= seen.connection {
            return;
        }
        self.expect(connect.last_zxid >= seen.taken, || {
            format!("4: a client connects as if it had not seen zxid {}: {connect:?}", seen.taken)
        });
        self.expect(connected.zxid >= connect.last_zxid, || {
            format!(
                "4: a server at zxid {} takes a client that has seen {}",
                connected.zxid, connect.last_zxid
            )
        });
        let armed = connect.watches.iter().map(|key| (key.clone(), connect.last_zxid)).collect();
        *seen = Seen {
            connection: connect.connection,
            next: 1,
            xid: connect.answered + 1,
            zxid: seen.taken.max(connect.last_zxid),
            taken: seen.taken,
            under_way: Vec::new(),
            armed,
            more: BTreeMap::new(),
            last_answer: None,
            come: 0,
            due: None,
        };
    }

    fn arrived(&self, exchange: &Exchange) {
        let mut facts = self.facts.lock();
        let facts = &mut *facts;
        for request in &exchange.requests {
            let sent = Sent { operation: request.operation.clone(), floor: facts.answered };
            facts.sent.entry((exchange.session, request.xid)).or_insert(sent);
        }
        let seen = facts.sessions.entry(exchange.session).or_default();
        if seen.connection == exchange.connection {
            let last = exchange.requests.iter().map(|request| request.xid).max();
            seen.come = seen.come.max(last.unwrap_or(0));
            let taken = seen.under_way.iter().filter(|(number, _)| *number <= exchange.received);
            seen.taken = taken.map(|(_, zxid)| *zxid).fold(seen.taken, Zxid::max);
            seen.under_way.retain(|(number, _)| *number > exchange.received);
        }
    }

    fn left(&self, server: usize, exchange: &Exchange, exchanged: Exchanged) {
        let mut facts = self.facts.lock();
        let facts = &mut *facts;
        if let Some(seen) = facts.sessions.get_mut(&exchange.session)
            && seen.connection == exchange.connection
        {
            seen.last_answer = Some((server, Instant::now()));
        }
        for (number, delivery) in (exchanged.first..).zip(exchanged.deliveries) {
            let Some(seen) = facts.sessions.get_mut(&exchange.session) else { return };
            if seen.connection != exchange.connection || number < seen.next {
                continue;
            }
            self.expect(number == seen.next, || {
                format!("2: delivery {number} leaves, but {} has not", seen.next)
            });
            seen.next += 1;
            let zxid = match &delivery {
                Delivery::Reply { zxid, .. } => *zxid,
                Delivery::Event(event) => event.zxid,
            };
            self.expect(zxid >= seen.zxid, || format!("2, 4: zxid {} and then {delivery:?}", seen.zxid));
            self.expect(zxid <= facts.model.zxid(), || format!("3: there is no such state: {delivery:?}"));
            seen.zxid = zxid;
            seen.under_way.push((number, zxid));
            match delivery {
                Delivery::Reply { xid, zxid, answer } => {
                    self.replied(facts, server, (exchange.session, xid), zxid, &answer);
                }
                Delivery::Event(event) => self.fired(facts, exchange.session, &event),
            }
        }
        self.answer_is_due(facts, server, exchange);
    }

    /// Invariants 1 to 3, 5 and 6 for a reply.
    fn replied(&self, facts: &mut Facts, server: usize, key: (SessionId, u64), zxid: Zxid, answer: &Answer) {
        let Some(sent) = facts.sent.get(&key) else {
            self.test.fail(format!("invariant 2: a reply to request {}, which never came", key.1));
        };
        let Some(seen) = facts.sessions.get_mut(&key.0) else { return };
        self.expect(key.1 == seen.xid, || format!("2: the reply to {} comes before {}", key.1, seen.xid));
        seen.xid += 1;
        let operation = &sent.operation;
        for ((kind, path), since) in &seen.armed {
            let change = facts.model.first_change(*kind, path, *since).filter(|(at, _)| *at <= zxid);
            self.expect(change.is_none(), || {
                format!("6: {answer:?} of state {zxid} overtakes the event of {path:?}: {change:?}")
            });
        }
        let is_over = facts.model.ended.get(&key.0).is_some_and(|ended| *ended <= zxid);
        let expected = match operation.check() {
            Err(error) => Err(error),
            // The answers of a session go with it: then nobody can say what its last writes have done. A read
            // may be told the same.
            Ok(()) if is_over && *answer == Err(Error::SessionExpired) => answer.clone(),
            Ok(()) if operation.is_write() => match facts.model.writes.get(&key) {
                Some(&at) => {
                    self.expect(at <= zxid, || format!("5: zxid {at} is answered in state {zxid}"));
                    facts.answered = facts.answered.max(at);
                    facts.model.applied[at as usize - 1].answer.clone()
                }
                None if is_over => Err(Error::SessionExpired),
                None => self.test.fail(format!("invariant 9: {operation:?} is answered and not done")),
            },
            Ok(()) if matches!(operation, Operation::Sync { .. }) => {
                let floor = sent.floor;
                self.expect(zxid >= floor, || format!("sync: state {zxid}, but {floor} was answered before"));
                Ok(zookeeper::Outcome::Done)
            }
            Ok(()) => {
                *facts.reads.entry(server).or_default() += 1;
                facts.model.read(operation, zxid)
            }
        };
        self.expect(*answer == expected, || {
            format!("1, 3: {operation:?} in state {zxid}: {answer:?}, expected {expected:?}")
        });
        if let Some(kind) = watch_of(operation, answer) {
            seen.armed.entry((kind, operation.path().to_owned())).or_insert(zxid);
        }
    }

    /// Invariant 6 for an event.
    fn fired(&self, facts: &mut Facts, session: SessionId, event: &Event) {
        if event.kind == EventKind::Session {
            let ended = facts.model.ended.get(&session);
            return self.expect(ended.is_some_and(|ended| *ended <= event.zxid), || {
                format!("7: session {session:x} is told that it is over, and it is not")
            });
        }
        *facts.events.entry(event.path.clone()).or_default() += 1;
        let Some(seen) = facts.sessions.get_mut(&session) else { return };
        let mut due = 0;
        let kinds: &[WatchKind] = match event.kind {
            EventKind::Created => &[WatchKind::Absent],
            EventKind::Data => &[WatchKind::Data],
            EventKind::Children => &[WatchKind::Children],
            _ => &[WatchKind::Data, WatchKind::Absent, WatchKind::Children],
        };
        for &kind in kinds {
            let key = (kind, event.path.clone());
            let Some(&since) = seen.armed.get(&key) else { continue };
            let change = facts.model.first_change(kind, &event.path, since);
            if change.is_some_and(|(at, told)| at < event.zxid || (at, told) == (event.zxid, event.kind)) {
                seen.armed.remove(&key);
                due += 1;
            }
        }
        let deletion = (event.path.clone(), event.zxid);
        let more = seen.more.remove(&deletion).unwrap_or(0);
        let is_due = due > 0 || more > 0;
        let more = if due > 0 { due - 1 } else { more.saturating_sub(1) };
        if more > 0 {
            seen.more.insert(deletion, more);
        }
        self.expect(is_due, || format!("6: {event:?} without a watch or without a change"));
    }
}
