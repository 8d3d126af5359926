//! Log Matching (Figure 3, §5.3): if two logs contain an entry with the same index and term, then the logs
//! are identical in all entries up through the given index.
//!
//! It follows, index by index, if an index and a term determine the command and the term of the entry before.
//! So one note for each pair that was ever seen is enough, and an entry is looked at only when it is new in a
//! log.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::mirror::{self, Mirror, Step};
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
            self.check_entry(step, mirror, index)?;
        }
        Ok(())
    }

    fn check_entry(&mut self, step: &Step, mirror: &Mirror, index: u64) -> Result<(), Broken> {
        let Some(entry) = mirror.entry(index) else { return Ok(()) };
        let server = step.server;
        let (term, previous_term) = (entry.term, mirror.term_at(index - 1));
        let note = match self.notes.entry((index, term)) {
            Entry::Occupied(note) => note.into_mut(),
            Entry::Vacant(place) => {
                check_origin(step, index, entry)?;
                place.insert(Note { digest: entry.digest, previous_term, server })
            }
        };
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

/// No server has shown this entry before. A leader makes entries of its own term only, and only a leader makes
/// entries (§5.3), so the leader of the entry's term must be the first to show it. A server that has just
/// restarted may show what it wrote before its crash.
fn check_origin(step: &Step, index: u64, entry: mirror::Entry) -> Result<(), Broken> {
    if entry.led || step.restarted {
        return Ok(());
    }
    Err(Invariant::LogOrigin.broken(format!(
        "server {}, {} of term {}, has an entry at index {index} of term {} that no leader of that term has shown: it \
         was added by a server that did not lead, or the leader did not show it before it gave up its lock",
        step.server,
        step.role.to_string().to_lowercase(),
        step.term,
        entry.term
    )))
}
