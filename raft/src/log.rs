// handout: file guided
//! The log in memory: the entries that are not yet in a snapshot, and where the snapshot
//! ends.
//!
//! Invariants, which the mutators keep and [`crate::invariants`] checks:
//!
//! - Entry `i` stands at `entries[i - last_included_index - 1]`. Only this file knows that; all
//!   other code uses the paper's indices.
//! - Terms never decrease from one entry to the next, and none is smaller than
//!   `last_included_term`. A leader makes entries of its own term only, and every term is newer
//!   than those before it.
//!
//! Only `persist.rs` holds a `&mut Log`, because every change must reach the disk as well
//! (Figure 2: "updated on stable storage before responding to RPCs").

use crate::rpc::Entry;

/// The entries that are kept, with the index and term of the last entry discarded before them
/// (§7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Index of the last entry that the snapshot replaces; 0 while there is no snapshot.
    last_included_index: u64,
    /// Term of that entry; 0 while there is no snapshot. It outlives the entry, because the
    /// AppendEntries with the next entry carries it as `prev_log_term` (§7, "for the
    /// AppendEntries consistency check").
    last_included_term: u64,
    /// The entries from `last_included_index + 1` on.
    entries: Vec<Entry>,
}

// handout: bodies 2A
impl Log {
    /// Index of the last entry replaced by the snapshot, 0 if none is.
    pub fn last_included_index(&self) -> u64 {
        self.last_included_index
    }

    /// Term of the last entry replaced by the snapshot, 0 if none is.
    pub fn last_included_term(&self) -> u64 {
        self.last_included_term
    }

    /// Index of the last entry, in the log or in the snapshot; 0 if there has never been
    /// one.
    pub fn last_index(&self) -> u64 {
        self.last_included_index + self.entries.len() as u64
    }

    /// Term of the last entry, in the log or in the snapshot; 0 if there has never been
    /// one.
    pub fn last_term(&self) -> u64 {
        self.entries.last().map_or(self.last_included_term, |entry| entry.term)
    }

    /// The term of the entry at `index`; `None` if the log ends before it or the snapshot has
    /// replaced it. The term at the snapshot's own last index is still known. That index is
    /// 0 at first, where every log agrees.
    pub fn term(&self, index: u64) -> Option<u64> {
        if index == self.last_included_index {
            return Some(self.last_included_term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    /// The entry at `index`, if the log holds it.
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        self.entries.get(self.position(index)?)
    }

    // handout: bodies 2B
    /// The entries from `first` up to and including `last`, without those that the log does
    /// not hold.
    pub fn range(&self, first: u64, last: u64) -> &[Entry] {
        // Positions outside of the log mean its beginning or its end.
        let start = self.position(first).unwrap_or(0).min(self.entries.len());
        let end = self.position(last + 1).unwrap_or(0).clamp(start, self.entries.len());
        &self.entries[start..end]
    }

    /// The entries from `first` to the end of the log.
    pub fn suffix(&self, first: u64) -> &[Entry] {
        self.range(first, self.last_index())
    }

    /// The last index before `index` whose term is not newer than `term`; the snapshot's
    /// last index if the log does not reach further back.
    ///
    /// Terms never decrease. So this is the last place where this log can agree with another
    /// log whose entries up to `index` have terms up to `term`. If it is the snapshot's last
    /// index, that place may also lie before it.
    pub fn last_index_before(&self, index: u64, term: u64) -> u64 {
        let before = self.range(self.last_included_index + 1, index.saturating_sub(1));
        let found = self.last_included_index + before.partition_point(|entry| entry.term <= term) as u64;
        debug_assert!(found < index.max(self.last_included_index + 1), "index {found} is not before {index}");
        found
    }

    // handout: body 2A
    /// Where the entry at `index` would stand in `entries`; `None` if the snapshot has replaced
    /// it.
    fn position(&self, index: u64) -> Option<usize> {
        index.checked_sub(self.last_included_index + 1).map(|position| position as usize)
    }

    // handout: body 2C
    /// An empty log that goes on behind a snapshot.
    pub(crate) fn after_snapshot(last_included_index: u64, last_included_term: u64) -> Log {
        Log { last_included_index, last_included_term, entries: Vec::new() }
    }

    /// Adds entries at the end.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        debug_assert!(
            entries.first().is_none_or(|first| first.term >= self.last_term()),
            "the new entries are of an older term than the log's last one"
        );
        self.entries.extend_from_slice(entries);
    }

    /// Removes the entry at `index` and all that follow it, and returns them.
    pub(crate) fn truncate(&mut self, index: u64) -> Vec<Entry> {
        debug_assert!(index > self.last_included_index, "the snapshot cannot be truncated");
        let keep = self.position(index).unwrap_or(0).min(self.entries.len());
        let removed = self.entries.split_off(keep);
        debug_assert!(self.last_index() < index, "the entry at index {index} is still there");
        removed
    }

    // handout: body 2D
    /// Discards everything up to and including the entry at `index` of `term`. The entries
    /// behind it are retained only if the log has that very entry. Otherwise they belong to
    /// another log, and go as well (Figure 13, receiver steps 6 and 7).
    pub(crate) fn compact(&mut self, index: u64, term: u64) {
        debug_assert!(index >= self.last_included_index, "compaction would go back to index {index}");
        if self.term(index) == Some(term) {
            let cut = (index - self.last_included_index) as usize;
            self.entries.drain(..cut);
        } else {
            self.entries.clear();
        }
        self.last_included_index = index;
        self.last_included_term = term;
        debug_assert!(self.last_term() >= term, "the retained entries are older than the snapshot");
    }
}

// handout: bodies kept
#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// A log whose entries have the given terms, behind a snapshot.
    fn log(last_included_index: u64, last_included_term: u64, terms: &[u64]) -> Log {
        let mut log = Log::after_snapshot(last_included_index, last_included_term);
        let entry = |&term| Entry { term, command: Bytes::new() };
        log.append(&terms.iter().map(entry).collect::<Vec<_>>());
        log
    }

    #[test]
    fn an_empty_log_ends_at_index_0_in_term_0() {
        let log = Log::default();
        assert_eq!((log.last_index(), log.last_term(), log.term(0), log.term(1)), (0, 0, Some(0), None));
    }

    #[test]
    fn indices_count_from_the_snapshot() {
        let log = log(10, 3, &[3, 4, 4]);
        assert_eq!((log.last_index(), log.last_term()), (13, 4));
        let terms = [9, 10, 11, 12, 13, 14].map(|index| log.term(index));
        assert_eq!(terms, [None, Some(3), Some(3), Some(4), Some(4), None]);
        assert!(log.entry(10).is_none(), "the entry itself is gone, only its term is remembered");
    }

    #[test]
    fn ranges_leave_out_what_the_log_does_not_hold() {
        let log = log(10, 3, &[3, 4, 4]);
        let lengths =
            [(1, 10), (1, 11), (11, 13), (13, 20), (14, 20), (12, 11)].map(|(a, b)| log.range(a, b).len());
        assert_eq!(lengths, [0, 1, 3, 1, 0, 0]);
        assert_eq!(log.suffix(12).len(), 2);
    }

    #[test]
    fn newer_entries_are_stepped_over() {
        let log = log(10, 3, &[3, 5, 5, 8]);
        let by_term = [1, 3, 4, 5, 7, 8, 9].map(|term| log.last_index_before(100, term));
        assert_eq!(by_term, [10, 11, 11, 13, 13, 14, 14]);
        let by_index = [0, 10, 11, 12, 13, 14, 15].map(|index| log.last_index_before(index, 5));
        assert_eq!(by_index, [10, 10, 10, 11, 12, 13, 13]);
    }

    #[test]
    fn compaction_keeps_the_suffix_of_the_same_log_only() {
        let mut same = log(10, 3, &[3, 4, 4]);
        same.compact(12, 4);
        assert_eq!(same, log(12, 4, &[4]));
        let mut other = log(10, 3, &[3, 4, 4]);
        other.compact(12, 5);
        assert_eq!(other, log(12, 5, &[]));
        let mut behind = log(10, 3, &[3]);
        behind.compact(20, 6);
        assert_eq!(behind, log(20, 6, &[]));
    }

    #[test]
    fn truncation_returns_what_it_removed() {
        let mut log = log(10, 3, &[3, 4, 5]);
        assert_eq!(log.truncate(14).len(), 0);
        assert_eq!(log.truncate(12).iter().map(|entry| entry.term).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(log.last_index(), 11);
    }
}
