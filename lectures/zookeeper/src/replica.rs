// handout: put classic
// //! The replicated state: what a server applies transactions to.
// handout: end
// handout: drop classic
//! The replicated state: the tree and the open sessions. It applies transactions in the order of the log, and
//! tells this server's [`Desk`] what its clients have to learn.

// handout: end

// handout: drop classic
use std::collections::BTreeMap;

// handout: end
use labgob::DecodeError;
// handout: drop classic
use labrt::sync::{Arc, Monitor};
// handout: end
// handout: put classic
// use labrt::sync::Arc;
// handout: end
use rsm::StateMachine;
// handout: drop classic
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::path;
use crate::rpc::{
    Action, Answer, Error, EventKind, Operation, Outcome, SessionId, Transaction, WatchKind, Zxid,
};
use crate::tree::{Change, Tree};
// handout: end
// handout: put classic
//
// use crate::rpc::{Answer, Transaction, Zxid};
// use crate::tree::Tree;
// handout: end

/// For testers: is shown each transaction that a replica applies, its zxid, the tree behind it, and the
/// answer. Repetitions that change nothing are not shown. A write that fails is a transaction: it has a
/// zxid, and is shown. One that comes behind the end of its session need not be.
pub type Probe = Arc<dyn Fn(Zxid, &Transaction, &Tree, &Answer) + Send + Sync>;

// handout: put classic
// /// A replica: what a server applies transactions to.
// pub struct Replica {
//     // Your data here.
// }
//
// handout: end
// handout: drop classic
/// An open session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) secret: u64,
    /// In milliseconds.
    pub(crate) timeout: u64,
    /// The answers to the writes that the client may not have, by xid.
    answers: BTreeMap<u64, Answer>,
    /// The xid of the last write.
    last_xid: u64,
}

/// What all replicas agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shared {
    pub(crate) zxid: Zxid,
    pub(crate) tree: Tree,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
}

/// A replica: what a server applies transactions to.
pub struct Replica {
    pub(crate) shared: Shared,
    desk: Arc<Monitor<Desk>>,
    probe: Option<Probe>,
}

// handout: end
// handout: bodies ZA
impl Replica {
    pub(crate) fn new(desk: Arc<Monitor<Desk>>, probe: Option<Probe>) -> Replica {
        Replica { shared: Shared::default(), desk, probe }
    }

    /// Rule 1: carries out a transaction, unless it is a repetition. Events come before the reply: both go
    /// into queues under one lock, and no read sees the state in between.
    fn carry_out(&mut self, transaction: &Transaction) {
        let (session, xid) = (transaction.session, transaction.xid);
        let mut desk = self.desk.lock();
        let answer = match self.shared.earlier_answer(transaction) {
            Some(answer) => answer,
            None => {
                let mut changes = Vec::new();
                let answer = self.shared.apply(transaction, &mut changes);
                if let Some(probe) = &self.probe {
                    probe(self.shared.zxid, transaction, &self.shared.tree, &answer);
                }
                desk.fire(&changes, self.shared.zxid);
                answer
            }
        };
        desk.finish(&self.shared, session, xid, answer);
    }
}

impl Shared {
    /// The answer to a write that was carried out before, perhaps through another server.
    fn earlier_answer(&self, transaction: &Transaction) -> Option<Answer> {
        let session = self.sessions.get(&transaction.session)?;
        let is_write = matches!(transaction.action, Action::Write(_));
        if !is_write || transaction.xid > session.last_xid {
            return None;
        }
        // A client that asks again has no answer yet, so the answer is kept. Nobody waits for another one.
        Some(session.answers.get(&transaction.xid).cloned().unwrap_or(Ok(Outcome::Done)))
    }

    /// Applies the next transaction. What happens to nodes is added to `changes`.
    fn apply(&mut self, transaction: &Transaction, changes: &mut Vec<Change>) -> Answer {
        self.zxid += 1;
        let id = transaction.session;
        if let Action::OpenSession { secret, timeout } = transaction.action {
            let session = Session { secret, timeout, answers: BTreeMap::new(), last_xid: 0 };
            self.sessions.entry(id).or_insert(session);
            return Ok(Outcome::Done);
        }
        if !self.sessions.contains_key(&id) {
            return Err(Error::SessionExpired);
        }
        let answer = match &transaction.action {
            Action::Write(Operation::Close) | Action::Expire | Action::OpenSession { .. } => {
                self.close(id, changes);
                Ok(Outcome::Done)
            }
            Action::Write(operation) => self.write(operation, id, changes),
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.last_xid = transaction.xid;
            session.answers.retain(|&xid, _| xid > transaction.answered);
            session.answers.insert(transaction.xid, answer.clone());
        }
        answer
    }

    fn write(&mut self, operation: &Operation, session: SessionId, changes: &mut Vec<Change>) -> Answer {
        let zxid = self.zxid;
        match operation {
            Operation::Create { path, data, flags } => {
                let path = self.tree.create(path, data.clone(), *flags, session, zxid)?;
                changes.push(Change { path: path.clone(), kind: EventKind::Created });
                changes.push(Change { path: path::parent(&path).to_owned(), kind: EventKind::Children });
                Ok(Outcome::Created(path))
            }
            Operation::Delete { path, version } => {
                self.delete(path, *version, changes)?;
                Ok(Outcome::Done)
            }
            Operation::SetData { path, data, version } => {
                let stat = self.tree.set_data(path, data.clone(), *version, zxid)?;
                changes.push(Change { path: path.clone(), kind: EventKind::Data });
                Ok(Outcome::Set(stat))
            }
            _ => unreachable!("{operation:?} is no write"),
        }
    }

    fn delete(&mut self, path: &str, version: i64, changes: &mut Vec<Change>) -> Result<(), Error> {
        self.tree.delete(path, version, self.zxid)?;
        changes.push(Change { path: path.to_owned(), kind: EventKind::Deleted });
        changes.push(Change { path: path::parent(path).to_owned(), kind: EventKind::Children });
        Ok(())
    }

    /// Ends a session; its ephemeral nodes go in the same transaction.
    fn close(&mut self, session: SessionId, changes: &mut Vec<Change>) {
        self.sessions.remove(&session);
        for path in self.tree.ephemerals(session) {
            let gone = self.delete(&path, crate::rpc::ANY_VERSION, changes);
            assert!(gone.is_ok(), "the ephemeral node {path} has children");
        }
    }

    /// Answers a read from this state.
    pub(crate) fn read(&self, operation: &Operation) -> Answer {
        match operation {
            Operation::Exists { path, .. } => {
                Ok(Outcome::Exists(self.tree.get(path).ok().map(|node| node.stat())))
            }
            Operation::GetData { path, .. } => {
                let node = self.tree.get(path)?;
                Ok(Outcome::Data(node.data().to_vec(), node.stat()))
            }
            Operation::GetChildren { path, .. } => {
                let node = self.tree.get(path)?;
                Ok(Outcome::Children(node.children().iter().cloned().collect(), node.stat()))
            }
            _ => unreachable!("{operation:?} is no read"),
        }
    }

    /// The answer to a write whose transaction this server has not applied itself: it came in a snapshot. If
    /// the session has ended by then its answers are gone, and "expired" is all that is left to say.
    pub(crate) fn answer_of(&self, session: SessionId, xid: u64) -> Option<Answer> {
        match self.sessions.get(&session) {
            Some(session) => session.answers.get(&xid).cloned(),
            None => Some(Err(Error::SessionExpired)),
        }
    }

    /// Rule 5: what a watch that was left in state `since` has missed.
    pub(crate) fn missed(&self, kind: WatchKind, path: &str, since: Zxid) -> Option<EventKind> {
        self.tree.missed(kind, path, since)
    }
}

impl StateMachine for Replica {
    /// What one server had to forward at one time.
    type Command = Vec<Transaction>;
    type Reply = ();

    fn apply(&mut self, batch: Vec<Transaction>) {
        batch.iter().for_each(|transaction| self.carry_out(transaction));
    }

    fn snapshot(&self) -> Vec<u8> {
        labgob::encode(&self.shared)
    }

    /// A server that was far behind jumps ahead. Its clients' watches and writes must not miss the jump.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        self.shared = labgob::decode(snapshot)?;
        self.desk.lock().jump(&self.shared);
        Ok(())
    }
}
