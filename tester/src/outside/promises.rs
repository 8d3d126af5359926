//! Promises that a reply makes, and whether the disk was written to before.
//!
//! What Raft promises must be on the disk before the reply is sent (Figure 2, persistent state). The checkers
//! cannot read what a solution writes, but a promise that is new needs a write between the moment in which it
//! was first asked for and the reply.

use std::fmt;

use labapi::Request;
use rustc_hash::FxHashMap;

/// What a reply promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Promise {
    /// A vote in a term.
    Vote { term: u64, candidate: usize },
    /// The entry of this index and term is in the log, and all before it.
    Entry { index: u64, term: u64 },
    /// All up to this index is in the snapshot, or in the log.
    Snapshot { index: u64 },
}

impl Promise {
    /// What the receiver promises if it grants the request; None if that is nothing.
    pub(super) fn asked_by(request: &Request) -> Option<Promise> {
        match request {
            &Request::Vote { term, candidate, .. } => Some(Promise::Vote { term, candidate }),
            Request::Append { prev_index, entries, .. } => {
                let &(term, _) = entries.last()?;
                Some(Promise::Entry { index: prev_index + entries.len() as u64, term })
            }
            &Request::Snapshot { last_included_index, .. } => {
                Some(Promise::Snapshot { index: last_included_index })
            }
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Promise::Vote { term, candidate } => {
                write!(f, "gave its vote in term {term} to server {candidate}")
            }
            Promise::Entry { index, term } => {
                write!(f, "acknowledged the entry at index {index} (term {term})")
            }
            Promise::Snapshot { index } => write!(f, "acknowledged a snapshot up to index {index}"),
        }
    }
}

/// What one server was asked to promise.
#[derive(Default)]
pub(super) struct Promises {
    /// How often its disk had been written to when it was first asked for this vote: term and candidate.
    votes: FxHashMap<(u64, usize), u64>,
    /// The same for entries (index and term) that it has not acknowledged yet.
    entries: FxHashMap<(u64, u64), u64>,
    /// The same for snapshots, by their last index.
    snapshots: FxHashMap<u64, u64>,
    /// The latest promise that was given without a write, and the number of writes then.
    unwritten: Option<(Promise, u64)>,
}

impl Promises {
    /// The server is asked for the promise, when its disk has been written to `writes` times.
    pub(super) fn asked(&mut self, promise: Promise, writes: u64) {
        match promise {
            Promise::Vote { term, candidate } => {
                self.votes.entry((term, candidate)).or_insert(writes);
            }
            Promise::Entry { index, term } => {
                let first = self.first_to_reach(index).min(writes);
                self.entries.entry((index, term)).or_insert(first);
            }
            Promise::Snapshot { index } => {
                let first = self.first_to_reach(index).min(writes);
                self.snapshots.entry(index).or_insert(first);
            }
        }
    }

    /// How often the disk had been written to when a request came that reaches this index and is not
    /// acknowledged yet. It may have brought everything up to there already, and be about to be answered.
    fn first_to_reach(&self, index: u64) -> u64 {
        let entries = self.entries.iter().map(|(&(other, _), &before)| (other, before));
        let snapshots = self.snapshots.iter().map(|(&other, &before)| (other, before));
        let further = entries.chain(snapshots).filter(|&(other, _)| other >= index);
        further.map(|(_, before)| before).min().unwrap_or(u64::MAX)
    }

    /// The server gives the promise: whether it has written since it was first asked.
    pub(super) fn is_written(&mut self, promise: Promise, writes: u64) -> bool {
        let before = match promise {
            Promise::Vote { term, candidate } => self.votes.get(&(term, candidate)).copied(),
            // Only the first acknowledgement needs a write. Forgetting it keeps the table small.
            Promise::Entry { index, term } => self.entries.remove(&(index, term)),
            Promise::Snapshot { index } => self.snapshots.remove(&index),
        };
        let is_written = before.is_none_or(|before| writes > before);
        if !is_written {
            self.unwritten = Some((promise, writes));
        }
        is_written
    }

    /// The server has crashed, and its disk was written to `writes` times: the promise that it does not hold,
    /// if there is one.
    pub(super) fn take_unwritten(&mut self, writes: u64) -> Option<Promise> {
        self.unwritten.take().filter(|&(_, before)| before == writes).map(|(promise, _)| promise)
    }
}
