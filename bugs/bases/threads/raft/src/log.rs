//! The log: entries behind the last snapshot (§5.3, §7).

use serde::{Deserialize, Serialize};

/// A command, and the term in which a leader received it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) term: u64,
    #[serde(with = "labgob::bytes")]
    pub(crate) command: Vec<u8>,
}

/// The entries from `base + 1` on. All below are in the snapshot.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Log {
    /// Last index that the snapshot covers; 0 if there is none.
    base: u64,
    /// Term of the entry at `base`.
    base_term: u64,
    entries: Vec<Entry>,
}

impl Log {
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn base_term(&self) -> u64 {
        self.base_term
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    pub(crate) fn last_term(&self) -> u64 {
        self.entries.last().map_or(self.base_term, |entry| entry.term)
    }

    /// The entry at this index, if it is in the log.
    pub(crate) fn entry(&self, index: u64) -> Option<&Entry> {
        self.entries.get(index.checked_sub(self.base + 1)? as usize)
    }

    /// The term of the entry at this index, also if it is the last of the snapshot.
    pub(crate) fn term(&self, index: u64) -> Option<u64> {
        if index == self.base { Some(self.base_term) } else { self.entry(index).map(|entry| entry.term) }
    }

    /// A copy of all entries from `from` on.
    pub(crate) fn suffix(&self, from: u64) -> Vec<Entry> {
        self.entries[(from - self.base - 1) as usize..].to_vec()
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Deletes the entry at `index` and all that follow it.
    pub(crate) fn truncate(&mut self, index: u64) {
        self.entries.truncate((index - self.base - 1) as usize);
    }

    /// The first index that has an entry of the same term as the one at `index`, without those of other terms
    /// between.
    pub(crate) fn first_of_term_at(&self, index: u64) -> u64 {
        let mut first = index;
        while first > self.base + 1 && self.term(first - 1) == self.term(index) {
            first -= 1;
        }
        first
    }

    /// The last index below `below` whose entry has this term.
    pub(crate) fn last_of_term(&self, term: u64, below: u64) -> Option<u64> {
        (self.base..below).rev().find(|&index| self.term(index) == Some(term))
    }

    /// Forgets everything up to `index`, which has `term`: it is in a snapshot now. What follows is kept only
    /// if the log has the very entry that the snapshot ends with (§7).
    pub(crate) fn compact(&mut self, index: u64, term: u64) {
        if self.term(index) == Some(term) {
            self.entries.drain(..(index - self.base) as usize);
        } else {
            self.entries.clear();
        }
        self.base = index;
        self.base_term = term;
    }
}
