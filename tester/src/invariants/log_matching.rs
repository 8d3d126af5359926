//! Log Matching (Figure 3, §5.3): if two logs contain an entry with the same index and term, then the logs
//! are identical in all entries up through the given index.
//!
//! It follows, index by index, if an index and a term determine the command and the term of the entry before.
//! So one note for each pair that was ever seen is enough, and an entry is looked at only when it is new in a
//! log.

use rustc_hash::FxHashMap;

use super::mirror::{Mirror, Step};
use crate::failure::{Broken, Invariant};

#[derive(Default)]
pub(super) struct LogMatching {
    notes: FxHashMap<(u64, u64), Note>,
}

/// What index and term of an entry determine.
struct Note {
    digest: u64,
    /// None if only servers that had it right behind their snapshot have shown it so far.
    previous_term: Option<u64>,
    /// The server that showed it first.
    server: usize,
}

impl LogMatching {
    pub(super) fn check(&mut self, step: &Step, mirror: &Mirror) -> Result<(), Broken> {
        for index in step.from..=mirror.last_index() {
            self.check_entry(step.server, mirror, index)?;
        }
        Ok(())
    }

    fn check_entry(&mut self, server: usize, mirror: &Mirror, index: u64) -> Result<(), Broken> {
        let Some(entry) = mirror.entry(index) else { return Ok(()) };
        let (term, previous_term) = (entry.term, mirror.term_at(index - 1));
        let note =
            self.notes.entry((index, term)).or_insert(Note { digest: entry.digest, previous_term, server });
        let first = note.server;
        if note.digest != entry.digest {
            return Err(Invariant::LogMatching.broken(format!(
                "servers {first} and {server} have different commands at index {index}, both of term {term}"
            )));
        }
        match (note.previous_term, previous_term) {
            (Some(theirs), Some(ours)) if theirs != ours => Err(Invariant::LogMatching.broken(format!(
                "servers {first} and {server} have the same entry at index {index} (term {term}), but before it, at \
                 index {}, entries of term {theirs} and {ours}",
                index - 1
            ))),
            (None, known) => {
                note.previous_term = known;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
