//! Nodes that do not show their steps. A solution may leave the probe out, and is judged all the same: the
//! watch then looks at a node's state around each message that the node handles, and at the messages. A node
//! may do its work in threads of its own, behind its handlers. So whatever a test asks about the present, it
//! asks `Cluster::seen`, which looks at all living nodes first.
//!
//! | invariant | without steps |
//! |---|---|
//! | 4, 5 | the clients' histories |
//! | 6, 9 | no version is older than what was committed when the read came |
//! | 8 | no two configurations of one epoch, no message of another epoch is taken |
//! | 10 | the network |
//!
//! Not watched are the order of updates at each node (1, 2, 3), its versions (7), and who acts at the same
//! time (8). `Cluster::finish` has the test's report say so.

use craq::State;
use labrt::time::Instant;

use super::{Life, Watch};

/// What the report says.
pub(crate) const UNWATCHED: &str =
    "invariants 1, 2, 3, 7 and parts of 6, 8 and 9: nodes show no steps (probe)";

impl Watch {
    /// Whether nodes are given the probe (`LAB_UNWATCHED`).
    pub(crate) fn wants_probe(&self) -> bool {
        !self.test.ignores_observers()
    }

    /// Whether nodes show their steps.
    pub(crate) fn is_shown(&self) -> bool {
        self.facts.lock().is_shown
    }

    /// Looks at a node that shows no steps.
    pub(crate) fn look(&self, state: &State) {
        let mut facts = self.facts.lock();
        let facts = &mut *facts;
        if facts.is_shown {
            return;
        }
        let (me, config) = (state.me(), state.config());
        let life = facts.lives.entry(me.node).or_default();
        if life.life != me.life || config.epoch < life.config.epoch {
            *life = Life { life: me.life, ..Life::default() };
        }
        (life.config, life.seen, life.committed) = (config.clone(), state.hist(), state.committed());
        if config.epoch > 1 || (config.epoch == 0 && state.hist() > 0) {
            facts.installed.insert(me.node);
        }
        for (id, object) in state.objects() {
            facts.most_versions = facts.most_versions.max(object.versions().len());
            // What the tail has committed is committed.
            let version = object.committed();
            let versions = facts.versions.entry(id).or_default();
            let is_news = versions.last().is_none_or(|(last, ..)| *last < version);
            if let Some(held) = object.at(version).filter(|_| is_news && version > 0 && state.is_tail()) {
                versions.push((version, held.value.clone(), Instant::now()));
            }
        }
        if state.is_tail() && state.committed() > facts.seen {
            facts.seen = state.committed();
            facts.commits_now();
        }
    }
}
