// handout: file guided
//! The leader's judgement: which sessions are dead (rule 7). A session may be silent for its timeout and for
//! [`HEARD`], the time for which a server that is cut off may still calm its clients.

use std::collections::BTreeMap;

use labrt::time::{Duration, Instant};

use crate::desk::HEARD;
use crate::rpc::SessionId;

/// How often the leader judges.
pub(crate) const JUDGE: Duration = Duration::from_millis(100);

/// A leader that judged last longer ago than this was cut off or slow. It cannot know what its followers
/// heard in the meantime.
const BLIND: Duration = Duration::from_millis(400);

/// What the leader knows of sessions.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    term: u64,
    heard: BTreeMap<SessionId, Instant>,
    judged: Option<Instant>,
}

// handout: bodies ZC
impl Judge {
    /// Some server heard these sessions.
    pub(crate) fn note(&mut self, sessions: &[SessionId], now: Instant) {
        self.heard.extend(sessions.iter().map(|&session| (session, now)));
    }

    /// Which of the open sessions, given with their timeouts in milliseconds, have been silent for too long.
    /// A new leader gives all of them their full time, and so does a leader that was blind for a while.
    pub(crate) fn silent(
        &mut self,
        term: u64,
        open: &BTreeMap<SessionId, u64>,
        now: Instant,
    ) -> Vec<SessionId> {
        let judged = self.judged.replace(now);
        let was_blind = judged.is_none_or(|judged| now.saturating_duration_since(judged) > BLIND);
        if was_blind || term != self.term {
            self.heard.clear();
        }
        self.term = term;
        self.heard.retain(|session, _| open.contains_key(session));
        let mut silent = Vec::new();
        for (&session, &timeout) in open {
            let heard = self.heard.entry(session).or_insert(now);
            // A server that is cut off may calm its client for as long as HEARD after the leader has heard of
            // it last. The client looks for another server in time only if the leader allows for that.
            if now.saturating_duration_since(*heard) > Duration::from_millis(timeout) + HEARD {
                silent.push(session);
            }
        }
        silent
    }
}
