// handout: file guided
//! What a server must not lose: current term, vote and log, in memory and on the disk
//! (Figure 2, persistent state).
//!
//! The fields are private to this file. The rest of Raft reads them through getters, and
//! changes them through six mutators. Each mutator
//!
//! 1. asserts what must hold of the change: a term never regresses, a vote never changes
//!    within a term, a committed entry is never truncated. A mistake elsewhere stops here
//!    with a sentence, and not three elections later as a lost entry;
//! 2. changes the memory;
//! 3. writes to the disk before it returns. So no caller can forget to persist a change.
//!
//! # The format
//!
//! The disk has a place for the Raft state and one for the snapshot. The Raft state is a
//! write-ahead log, a sequence of [`Record`]s. Reading them from the start gives the state.
//! Each entry is written once, in one record, however long the log. A later record makes an
//! earlier one dead: an older hard state, a truncated entry. When more than half of the
//! bytes are dead, the mutators rewrite the log. A rewrite costs as much as the live bytes,
//! and as many dead bytes were written before it, so the cost per byte stays constant. A new
//! snapshot causes a rewrite, too, because both places must change at the same moment.
// handout: drop
//!
//! Each write is synced, too. A crash before the sync may tear the last record: only its
//! beginning is on the disk, or zeros follow it. So each record ends with a checksum
//! (`checked.rs`). A server that starts and finds the last record torn drops it, for nothing was
//! promised that depends on it. The server must also cut it off before it writes again: whatever
//! followed a torn record, nobody could read. A bad record with others behind it is no torn one,
//! and the server does not start (unless the bad byte is a length, which hides what follows).
// handout: end

use std::borrow::Cow;

use bytes::Bytes;
use labapi::Persister;
use serde::{Deserialize, Serialize};
// handout: drop
use tracing::debug;
// handout: end

// handout: drop
use crate::checked::{Bad, add_record, read_record};
// handout: end
use crate::log::Log;
use crate::rpc::Entry;

/// With fewer dead bytes than this a rewrite is not worth it. Each election leaves a few of
/// them, and a write has a cost of its own.
const DEAD_BYTES_KEPT: usize = 256;

/// Bytes that one entry adds to the disk besides its command: its term, and the length of
/// the command. An estimate, used only to decide when to rewrite.
const ENTRY_OVERHEAD: usize = 3;

/// One record of the write-ahead log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Record<'a> {
    /// The log begins behind the snapshot in the disk's other place. Always the first record,
    /// if there is a snapshot.
    Base { last_included_index: u64, last_included_term: u64 },
    /// Term and vote, from now on.
    HardState { current_term: u64, voted_for: Option<usize> },
    /// These entries follow the last one.
    Entries(Cow<'a, [Entry]>),
    /// The entry at this index and all behind it are gone.
    Truncate { index: u64 },
}

/// The persistent state of a server, and its disk.
pub(crate) struct Persistent {
    /// Latest term this server has seen; 0 on first boot, never decreases.
    current_term: u64,
    /// The candidate that received this server's vote in `current_term`, if any.
    voted_for: Option<usize>,
    /// The log (Figure 2, `log[]`), behind the snapshot.
    log: Log,
    disk: Persister,
    /// Length of the Raft state on the disk, in bytes.
    written: usize,
    /// About how many of these bytes are dead.
    dead: usize,
    /// Entries from this index on have changed since the last call of
    /// [`Persistent::take_changed_from`]; `u64::MAX` if none have.
    changed_from: u64,
    /// Memory for encoding a record, kept so that a write does not allocate.
    scratch: Vec<u8>,
}

// handout: bodies 2A
impl Persistent {
    /// Reads the state from the disk; an empty disk means the first boot.
    ///
    /// # Panics
    /// If the bytes are not what [`Persistent`] wrote. Then the server's promises are lost.
    pub(crate) fn load(disk: Persister) -> Persistent {
        let bytes = disk.state();
        let mut persistent = Persistent {
            current_term: 0,
            voted_for: None,
            log: Log::default(),
            disk,
            written: bytes.len(),
            // Unknown until the next rewrite.
            dead: 0,
            changed_from: 1,
            scratch: Vec::new(),
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match read_record(rest) {
                Ok((record, used)) => {
                    persistent.replay(record);
                    rest = &rest[used..];
                }
                Err(Bad::Torn) => {
                    debug!(target: "disk", "the last {} bytes are a torn record", rest.len());
                    persistent.rewrite(None);
                    break;
                }
                Err(Bad::Damaged(why)) => panic!(
                    "the Raft state on the disk is damaged at byte {} of {}: {why}",
                    bytes.len() - rest.len(),
                    bytes.len()
                ),
            }
        }
        debug_assert!(
            persistent.log.last_term() <= persistent.current_term,
            "the log on the disk is of a later term than {}",
            persistent.current_term
        );
        persistent
    }

    // handout: body 2C
    /// Repeats a record's change in memory.
    fn replay(&mut self, record: Record<'_>) {
        match record {
            Record::Base { last_included_index, last_included_term } => {
                self.log = Log::after_snapshot(last_included_index, last_included_term);
            }
            Record::HardState { current_term, voted_for } => {
                self.current_term = current_term;
                self.voted_for = voted_for;
            }
            Record::Entries(entries) => self.log.append(&entries),
            Record::Truncate { index } => {
                self.log.truncate(index);
            }
        }
    }

    /// Latest term this server has seen (Figure 2, `currentTerm`).
    pub(crate) fn current_term(&self) -> u64 {
        self.current_term
    }

    /// The candidate that received this server's vote in the current term (Figure 2,
    /// `votedFor`), `None` if none did.
    pub(crate) fn voted_for(&self) -> Option<usize> {
        self.voted_for
    }

    /// The log (Figure 2, `log[]`), to read.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    // handout: body 2D
    /// The snapshot on the disk, empty if there is none. The bytes are shared, so this costs
    /// the same however large the snapshot.
    pub(crate) fn snapshot(&self) -> Bytes {
        self.disk.snapshot_shared()
    }

    /// Enters a newer term, in which this server has not voted yet.
    pub(crate) fn advance_term(&mut self, term: u64) {
        self.set_hard_state(term, None);
    }

    /// Gives this server's vote in the current term.
    pub(crate) fn vote_for(&mut self, candidate: usize) {
        self.set_hard_state(self.current_term, Some(candidate));
    }

    /// Enters the next term and votes for itself, in one write, so that a candidate never is
    /// in a term without having voted (§5.2).
    pub(crate) fn advance_term_as_candidate(&mut self, me: usize) {
        self.set_hard_state(self.current_term + 1, Some(me));
    }

    /// Both parts of the hard state go to the disk together, because a vote without its term
    /// means nothing.
    fn set_hard_state(&mut self, term: u64, voted_for: Option<usize>) {
        assert!(term >= self.current_term, "the term would regress from {} to {term}", self.current_term);
        assert!(
            term > self.current_term || self.voted_for.is_none() || self.voted_for == voted_for,
            "the vote in term {term} would change from {:?} to {voted_for:?}",
            self.voted_for
        );
        if (term, voted_for) == (self.current_term, self.voted_for) {
            return;
        }
        self.current_term = term;
        self.voted_for = voted_for;
        // handout: from 2C: the record on the disk
        let length = self.write(&Record::HardState { current_term: term, voted_for });
        // The previous hard state is dead, and was about as long.
        self.count_dead_bytes(length);
        // handout: end
    }

    // handout: body 2B
    /// Adds entries at the end of the log.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        assert!(
            last.term <= self.current_term,
            "an entry of term {} in a log of a server that is in term {}",
            last.term,
            self.current_term
        );
        debug_assert!(entries.is_sorted_by_key(|entry| entry.term), "the terms of new entries regress");
        self.changed_from = self.changed_from.min(self.log.last_index() + 1);
        self.log.append(entries);
        // handout: from 2C: the record on the disk
        self.write(&Record::Entries(Cow::Borrowed(entries)));
        // handout: end
    }

    // handout: body 2B
    /// Removes the entry at `index` and all behind it. Needs the commit index only to check
    /// that none of them is committed.
    pub(crate) fn truncate(&mut self, index: u64, commit_index: u64) {
        assert!(
            index > commit_index,
            "the log would be truncated from index {index}, but everything up to {commit_index} is committed"
        );
        self.changed_from = self.changed_from.min(index);
        let removed = self.log.truncate(index);
        debug_assert!(!removed.is_empty(), "a truncation from index {index} removed nothing");
        // handout: from 2C: the record on the disk
        let length = self.write(&Record::Truncate { index });
        let dead: usize = removed.iter().map(|entry| entry.command.len() + ENTRY_OVERHEAD).sum();
        self.count_dead_bytes(length + dead);
        // handout: end
    }

    // handout: body 2D
    /// Replaces everything up to and including the entry at `index` of `term` by a snapshot.
    /// If the log has that entry, the entries behind it are retained; otherwise the whole
    /// log goes (Figure 13, receiver steps 5 to 7). A server's own snapshot is always the
    /// first case.
    pub(crate) fn install_snapshot(&mut self, index: u64, term: u64, snapshot: Bytes) {
        let base = self.log.last_included_index();
        assert!(index > base, "a snapshot up to index {index} would replace a newer one up to {base}");
        if self.log.term(index) != Some(term) {
            self.changed_from = self.changed_from.min(index + 1);
        }
        self.log.compact(index, term);
        debug_assert_eq!(self.log.term(index), Some(term), "the log goes on behind the snapshot");
        self.rewrite(Some(snapshot));
    }

    // handout: body kept
    /// The index from which on entries have changed since the last call; `u64::MAX` if none
    /// have. With it the invariants look at new entries only.
    pub(crate) fn take_changed_from(&mut self) -> u64 {
        std::mem::replace(&mut self.changed_from, u64::MAX)
    }

    // handout: bodies 2C
    /// Writes a record to the disk and returns its length in bytes.
    fn write(&mut self, record: &Record<'_>) -> usize {
        self.scratch.clear();
        add_record(record, &mut self.scratch);
        self.disk.append(&self.scratch);
        self.disk.sync();
        self.written += self.scratch.len();
        self.scratch.len()
    }

    /// Notes that so many more bytes on the disk are dead, and rewrites if most of it is.
    fn count_dead_bytes(&mut self, bytes: usize) {
        debug_assert!(bytes > 0, "nothing has died");
        self.dead += bytes;
        if self.dead > DEAD_BYTES_KEPT && 2 * self.dead > self.written {
            self.rewrite(None);
        }
    }

    /// Replaces the write-ahead log by the shortest one that gives the same state, and in the
    /// same write the snapshot, if there is a new one.
    fn rewrite(&mut self, snapshot: Option<Bytes>) {
        self.scratch.clear();
        let (last_included_index, last_included_term) =
            (self.log.last_included_index(), self.log.last_included_term());
        let records = [
            Record::Base { last_included_index, last_included_term },
            Record::HardState { current_term: self.current_term, voted_for: self.voted_for },
            Record::Entries(Cow::Borrowed(self.log.suffix(last_included_index + 1))),
        ];
        for record in &records {
            add_record(record, &mut self.scratch);
        }
        self.disk.save_shared(&self.scratch, snapshot);
        self.disk.sync();
        self.written = self.scratch.len();
        debug_assert_eq!(self.written, self.disk.state_size(), "the disk holds what was written");
        self.dead = 0;
    }
}

// handout: bodies kept
#[cfg(test)]
mod tests {
    use super::*;

    /// Entries of one term, with commands of eight bytes.
    fn entries(term: u64, count: usize) -> Vec<Entry> {
        vec![Entry { term, command: Bytes::from_static(b"command!") }; count]
    }

    /// The disk holds everything that the memory does.
    fn assert_on_disk(persistent: &Persistent) {
        let read = Persistent::load(persistent.disk.copy());
        assert_eq!(read.current_term, persistent.current_term);
        assert_eq!(read.voted_for, persistent.voted_for);
        assert_eq!(read.log, persistent.log);
        assert_eq!(read.written, persistent.written);
    }

    #[test]
    fn every_mutator_writes_before_it_returns() {
        let mut persistent = Persistent::load(Persister::new());
        assert_on_disk(&persistent);
        // Each mutator at least once, in an order that servers use.
        let steps: [fn(&mut Persistent); 8] = [
            |persistent| persistent.advance_term(2),
            |persistent| persistent.vote_for(1),
            |persistent| persistent.advance_term_as_candidate(0),
            |persistent| persistent.append(&entries(3, 5)),
            |persistent| persistent.truncate(4, 3),
            |persistent| persistent.append(&entries(3, 2)),
            |persistent| persistent.install_snapshot(4, 3, Bytes::from("own")),
            |persistent| persistent.install_snapshot(9, 3, Bytes::from("leader's")),
        ];
        for (number, step) in steps.iter().enumerate() {
            let before = persistent.disk.state();
            step(&mut persistent);
            assert_ne!(persistent.disk.state(), before, "step {number} wrote nothing");
            assert_on_disk(&persistent);
        }
        assert_eq!(persistent.snapshot(), "leader's");
    }

    /// If each write replaced the whole state, the thousandth entry would cost a thousand
    /// times as much as the first.
    #[test]
    fn an_entry_costs_the_same_however_long_the_log() {
        let mut persistent = Persistent::load(Persister::new());
        persistent.advance_term(1);
        let mut growth = (0..1000).map(|_| {
            let before = persistent.disk.state_size();
            persistent.append(&entries(1, 1));
            persistent.disk.state_size() - before
        });
        let first = growth.next();
        assert!(growth.all(|bytes| Some(bytes) == first));
    }

    /// Leaders that never commit anything leave dead hard states and truncated entries.
    #[test]
    fn dead_records_do_not_pile_up() {
        let mut persistent = Persistent::load(Persister::new());
        persistent.advance_term(1);
        persistent.append(&entries(1, 20));
        for term in 2..1000 {
            persistent.advance_term(term);
            persistent.append(&entries(term, 1));
            persistent.truncate(21, 20);
            assert!(
                persistent.disk.state_size() < 800,
                "{} bytes for 20 entries",
                persistent.disk.state_size()
            );
        }
        assert_on_disk(&persistent);
    }

    #[test]
    fn a_snapshot_and_the_log_behind_it_change_together() {
        let disk = Persister::new();
        let mut persistent = Persistent::load(disk.clone());
        persistent.advance_term(1);
        persistent.append(&entries(1, 100));
        let before = disk.state_size();
        persistent.install_snapshot(90, 1, Bytes::from("ninety"));
        assert!(disk.state_size() < before / 5, "{} of {before} bytes are left", disk.state_size());
        assert_eq!(disk.snapshot(), b"ninety");
        assert_on_disk(&persistent);
    }

    #[test]
    // Whoever words these assertions in another way writes the new words here.
    #[should_panic(expected = "the Raft state on the disk is damaged at byte")]
    fn a_damaged_disk_is_refused() {
        let disk = Persister::new();
        Persistent::load(disk.clone()).advance_term(7);
        disk.append(&[255, 255]);
        Persistent::load(disk);
    }

    #[test]
    #[should_panic(expected = "the vote in term 1 would change from Some(0) to Some(2)")]
    fn a_vote_never_changes_within_a_term() {
        let mut persistent = Persistent::load(Persister::new());
        persistent.advance_term_as_candidate(0);
        persistent.vote_for(2);
    }

    #[test]
    #[should_panic(expected = "the term would regress from 5 to 4")]
    fn a_term_never_regresses() {
        let mut persistent = Persistent::load(Persister::new());
        persistent.advance_term(5);
        persistent.advance_term(4);
    }

    #[test]
    #[should_panic(expected = "the log would be truncated from index 2, but everything up to 2 is committed")]
    fn a_committed_entry_is_never_truncated() {
        let mut persistent = Persistent::load(Persister::new());
        persistent.advance_term(1);
        persistent.append(&entries(1, 3));
        persistent.truncate(2, 2);
    }
}
