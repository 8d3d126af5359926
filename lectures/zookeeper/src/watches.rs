// handout: file guided
//! The watches of a server's clients. Each fires once.

use std::collections::{BTreeMap, BTreeSet};

use crate::rpc::{EventKind, SessionId, WatchKind};
use crate::tree::Change;

/// Who watches what.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_node: BTreeMap<(String, WatchKind), BTreeSet<SessionId>>,
}

// handout: bodies ZB
impl Watches {
    /// A session leaves a watch. It has one of each kind for a node, however often it asks.
    pub(crate) fn leave(&mut self, session: SessionId, kind: WatchKind, path: &str) {
        self.by_node.entry((path.to_owned(), kind)).or_default().insert(session);
    }

    /// The sessions whose watches a change fires, each once. The watches are gone then.
    pub(crate) fn fired(&mut self, change: &Change) -> BTreeSet<SessionId> {
        let kinds: &[WatchKind] = match change.kind {
            EventKind::Created => &[WatchKind::Absent],
            EventKind::Data => &[WatchKind::Data],
            EventKind::Children => &[WatchKind::Children],
            EventKind::Deleted => &[WatchKind::Data, WatchKind::Children],
            EventKind::Session => &[],
        };
        let mut sessions = BTreeSet::new();
        for kind in kinds {
            sessions.extend(self.by_node.remove(&(change.path.clone(), *kind)).unwrap_or_default());
        }
        sessions
    }

    /// A watch is gone.
    pub(crate) fn remove(&mut self, session: SessionId, kind: WatchKind, path: &str) {
        let key = (path.to_owned(), kind);
        if let Some(sessions) = self.by_node.get_mut(&key) {
            sessions.remove(&session);
            if sessions.is_empty() {
                self.by_node.remove(&key);
            }
        }
    }

    /// All watches of a session are gone.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.by_node.retain(|_, sessions| {
            sessions.remove(&session);
            !sessions.is_empty()
        });
    }

    /// All watches.
    pub(crate) fn all(&self) -> Vec<(SessionId, WatchKind, String)> {
        let of_node = |((path, kind), sessions): (&(String, WatchKind), &BTreeSet<SessionId>)| {
            sessions.iter().map(|&session| (session, *kind, path.clone())).collect::<Vec<_>>()
        };
        self.by_node.iter().flat_map(of_node).collect()
    }
}
