//! What is missing: events and answers that are due.
//!
//! Invariant 6, the second half: a watch fires at least once, if the node changes and the session lives. And
//! whoever has carried out a request answers it.

use labrt::time::{Duration, Instant};
use zookeeper::rpc::Exchange;
use zookeeper::{Operation, SessionId, Zxid};

use super::{Facts, Watch};

/// A session that a server has answered within this time is in contact with it.
const CONTACT: Duration = Duration::from_secs(5);

/// How long a server may take for an answer that waits for nothing.
const ANSWER: Duration = Duration::from_secs(20);

impl Watch {
    /// A server has answered an exchange of this session. Its next reply is due if the server has carried out
    /// that write, or if it is a read: everything before it is answered. It may come late, but it must come.
    pub(super) fn answer_is_due(&self, facts: &mut Facts, server: usize, exchange: &Exchange) {
        let session = exchange.session;
        let state = facts.states.get(&server).copied().unwrap_or(0);
        let seen = facts.sessions.get_mut(&session).filter(|seen| seen.connection == exchange.connection);
        let Some(seen) = seen else { return };
        let key = (session, seen.xid);
        let operation = facts.sent.get(&key).filter(|_| seen.xid <= seen.come).map(|sent| &sent.operation);
        let Some(operation) = operation else { return };
        let is_due = match facts.model.writes.get(&key) {
            Some(&done) => done <= state,
            None => !operation.is_write() && !matches!(operation, Operation::Sync { .. }),
        };
        let (xid, since) = seen.due.filter(|(xid, _)| *xid == seen.xid).unwrap_or((seen.xid, Instant::now()));
        seen.due = is_due.then_some((xid, since));
        self.expect(!is_due || since.elapsed() < ANSWER, || {
            format!(
                "2 and 5: server {server} has not answered request {xid} of session {session:x} for 20 s, \
                 though nothing is missing for it: {operation:?}"
            )
        });
    }

    /// Whether the session, which is open, watches a node that has changed.
    pub(crate) fn is_due(&self, session: SessionId) -> bool {
        let facts = self.facts.lock();
        let armed = facts.sessions.get(&session).map(|seen| &seen.armed).into_iter().flatten();
        let mut changes =
            armed.filter_map(|((kind, path), since)| facts.model.first_change(*kind, path, *since));
        facts.model.is_open(session) && changes.next().is_some()
    }

    /// A watch whose node has changed and whose event has not left, in words. The session is open, and in
    /// contact with a server that has the change: `states` has the zxid of each server, None if it is down.
    pub(crate) fn overdue(&self, states: &[Option<Zxid>]) -> Option<String> {
        let (facts, now) = (self.facts.lock(), Instant::now());
        for (&session, seen) in &facts.sessions {
            let answer = seen.last_answer.filter(|(_, at)| now.saturating_duration_since(*at) < CONTACT);
            let state = answer.and_then(|(server, _)| states[server]);
            let Some(state) = state.filter(|_| facts.model.is_open(session)) else { continue };
            for ((kind, path), since) in &seen.armed {
                let change = facts.model.first_change(*kind, path, *since);
                if let Some((zxid, change)) = change.filter(|(zxid, _)| *zxid <= state) {
                    return Some(format!(
                        "session {session:x} watches {path:?} ({kind:?}) since {since}, and has not heard of \
                         {change:?} at {zxid}"
                    ));
                }
            }
        }
        None
    }
}
