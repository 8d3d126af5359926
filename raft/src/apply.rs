// handout: file guided
//! Handing committed entries to the service (Figure 2, rules for all servers).

use bytes::Bytes;
use labapi::ApplyMsg;
use tracing::debug;

use crate::rpc::Entry;
use crate::state::State;

/// What the service is to take next.
///
/// The commands and the snapshot are shared with the log and the disk. Turning this into
/// messages copies them, which can take long and is therefore done without the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applicable {
    /// Committed entries; the first has index `first`. Empty if the service is up to date.
    Entries {
        /// Index of the first entry.
        first: u64,
        /// The entries, in order.
        entries: Vec<Entry>,
    },
    /// A leader's snapshot that has overtaken the service.
    Snapshot {
        /// Index of the last entry that the snapshot replaces.
        index: u64,
        /// Term of that entry.
        term: u64,
        /// The service's state.
        snapshot: Bytes,
    },
}

// handout: bodies 2B
impl Applicable {
    /// Whether the service is up to date.
    pub fn is_empty(&self) -> bool {
        matches!(self, Applicable::Entries { entries, .. } if entries.is_empty())
    }

    /// The messages for the service, in order.
    pub fn into_messages(self) -> Vec<ApplyMsg> {
        match self {
            Applicable::Snapshot { index, term, snapshot } => {
                vec![ApplyMsg::Snapshot { index, term, snapshot: snapshot.into() }]
            }
            Applicable::Entries { first, entries } => (first..)
                .zip(entries)
                .map(|(index, entry)| ApplyMsg::Command {
                    index,
                    term: entry.term,
                    command: entry.command.into(),
                })
                .collect(),
        }
    }
}

impl State {
    /// Rule for all servers (Figure 2; §5.3): "If commitIndex > lastApplied: increment
    /// lastApplied, apply `log[lastApplied]` to state machine". Returns what the service is
    /// to apply now.
    ///
    /// The caller takes everything at once, so a slow service costs Raft no more than a
    /// fast one. From then on `last_applied` counts what was taken, although the service
    /// may still be working on it.
    ///
    /// Only one thread may call this: messages must reach the service in the order in which
    /// they are taken here, snapshots included.
    pub fn take_applicable(&mut self) -> Applicable {
        debug_assert!(
            self.last_applied <= self.commit_index,
            "applied up to {}, but committed only up to {}",
            self.last_applied,
            self.commit_index
        );
        // The entries in between are gone, and the snapshot stands for them.
        if self.last_applied < self.log().last_included_index() {
            return self.take_snapshot_to_apply();
        }
        let first = self.last_applied + 1;
        let entries = self.log().range(first, self.commit_index).to_vec();
        debug_assert_eq!(
            entries.len() as u64,
            self.commit_index - self.last_applied,
            "a committed entry is missing from the log"
        );
        if !entries.is_empty() {
            debug!(target: "apply", "entries {first} to {}", self.commit_index);
        }
        self.last_applied = self.commit_index;
        Applicable::Entries { first, entries }
    }

    // handout: body 2D
    /// A leader's snapshot has overtaken the service: reset state machine using snapshot
    /// contents (Figure 13, receiver step 8).
    fn take_snapshot_to_apply(&mut self) -> Applicable {
        let (index, term) = (self.log().last_included_index(), self.log().last_included_term());
        debug_assert!(
            index <= self.commit_index,
            "the snapshot reaches index {index}, beyond the commit index {}",
            self.commit_index
        );
        debug!(target: "apply", "snapshot up to index {index}");
        self.last_applied = index;
        Applicable::Snapshot { index, term, snapshot: self.persistent.snapshot() }
    }
}
