//! Invariant 6, the second half: a watch fires at least once, if the node changes and the session lives.

use labrt::time::{Duration, Instant};
use zookeeper::{SessionId, Zxid};

use super::Watch;

/// A session that a server has answered within this time is in contact with it.
const CONTACT: Duration = Duration::from_secs(5);

impl Watch {
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
