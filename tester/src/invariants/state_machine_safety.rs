//! State Machine Safety (Figure 3, §5.4.3): if a server has applied a log entry at a given index to its state
//! machine, no other server will ever apply a different log entry for the same index.
//!
//! It is judged by what servers hand to their services, so that it needs no look inside.

use crate::command::Command;
use crate::failure::{Broken, Invariant};

/// What the servers' services were given, by index. A server's part survives its crashes, so that what it
/// applies in its next life is compared with what it applied in this one.
#[derive(Default)]
pub(crate) struct Applied {
    /// The first has index 1.
    entries: Vec<Option<Entry>>,
}

struct Entry {
    command: Command,
    /// Bit i: server i has applied it.
    servers: u64,
    /// The server that applied it first.
    first: usize,
    /// The entry's term, and the first server that told it.
    term: Option<(u64, usize)>,
}

impl Applied {
    /// Server `server` hands the command at `index` (at least 1) to its service.
    pub(crate) fn apply(&mut self, server: usize, index: u64, command: Command) -> Result<(), Broken> {
        let position = index as usize - 1;
        if self.entries.len() <= position {
            self.entries.resize_with(position + 1, || None);
        }
        match &mut self.entries[position] {
            Some(entry) if entry.command != command => Err(Invariant::StateMachineSafety.broken(format!(
                "server {server} applies {command} at index {index}, where server {} has applied {}",
                entry.first, entry.command
            ))),
            Some(entry) => {
                entry.servers |= 1 << server;
                Ok(())
            }
            empty => {
                *empty = Some(Entry { command, servers: 1 << server, first: server, term: None });
                Ok(())
            }
        }
    }

    /// Server `server` says of which term the entry at `index` is, which was applied there.
    pub(crate) fn tells_term(&mut self, server: usize, index: u64, term: u64) -> Result<(), Broken> {
        let Some(Some(entry)) = self.entries.get_mut(index as usize - 1) else { return Ok(()) };
        match *entry.term.get_or_insert((term, server)) {
            (known, _) if known == term => Ok(()),
            (known, first) => Err(Invariant::StateMachineSafety.broken(format!(
                "server {server} hands over index {index} as an entry of term {term}, and server {first} as one of \
                 term {known}"
            ))),
        }
    }

    /// A snapshot has taken the place of the state of `server`'s service: of what lies behind `index` it has
    /// nothing now.
    pub(crate) fn forget_behind(&mut self, server: usize, index: u64) {
        for entry in self.entries.iter_mut().skip(index as usize).flatten() {
            entry.servers &= !(1 << server);
        }
    }

    /// How many servers have applied `index`, and which command.
    pub(crate) fn count(&self, index: u64) -> (usize, Option<&Command>) {
        let entry = (index as usize).checked_sub(1).and_then(|position| self.entries.get(position)?.as_ref());
        entry.map_or((0, None), |entry| {
            let count = entry.servers.count_ones() as usize;
            (count, (count > 0).then_some(&entry.command))
        })
    }

    /// The highest index that any server has applied; 0 if none has.
    pub(crate) fn max_index(&self) -> u64 {
        self.entries.len() as u64
    }
}
