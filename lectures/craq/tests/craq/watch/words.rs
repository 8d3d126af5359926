//! How messages name members and moments.

use std::collections::BTreeMap;

use craq::Member;
use craq::rpc::NodeId;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::time::Instant;

use super::Watch;

/// The lives of each node, in the order in which they began.
pub(super) type Lives = Arc<Mutex<BTreeMap<NodeId, Vec<u64>>>>;

/// A moment, in seconds as in the story.
pub(crate) fn seconds(at: Instant) -> String {
    format!("{:.6} s", at.as_nanos() as f64 / 1e9)
}

/// When somebody was served last, if ever.
pub(crate) fn last_served(last: Option<Instant>) -> String {
    last.map_or("served nobody".to_owned(), |last| format!("served at {}", seconds(last)))
}

impl Watch {
    /// A node has begun a life.
    pub(crate) fn born(&self, member: Member) {
        self.lives.lock().entry(member.node).or_default().push(member.life);
    }

    /// The text with each node's lives counted. A life is a number of twenty digits, and nobody can compare
    /// two of them at a glance.
    pub(crate) fn words(&self, mut text: String) -> String {
        for (&node, lives) in self.lives.lock().iter() {
            for (place, &life) in lives.iter().enumerate() {
                let member = format!("{:?}", Member { node, life });
                text = text.replace(&member, &format!("node {node} (life {})", place + 1));
            }
        }
        text
    }

    /// What was seen of a node last.
    pub(crate) fn standing(&self, node: NodeId) -> String {
        let facts = self.facts.lock();
        let Some(life) = facts.lives.get(&node) else { return "has shown nothing".to_owned() };
        let (epoch, committed) = (life.config.epoch, life.committed);
        let last = life.seen.max(life.history.len() as u64);
        let kept =
            if last > committed { format!("keeps {} to {last}", committed + 1) } else { "keeps none".into() };
        format!("is in epoch {epoch}, has {last} updates, knows {committed} committed, {kept}")
    }

    /// How many reads nodes have refused, and why.
    pub(crate) fn refused_reads(&self) -> String {
        let facts = self.facts.lock();
        let reasons: Vec<_> =
            facts.refused.iter().map(|(why, times)| format!("{times} with {why}")).collect();
        if reasons.is_empty() {
            "none was refused".to_owned()
        } else {
            format!("refused: {}", reasons.join(", "))
        }
    }
}
