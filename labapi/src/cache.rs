//! A disk's write cache: what a crash may do to writes that were not synced.

use bytes::Bytes;

use crate::files::{self, Files};

/// What is durable, and the writes since.
#[derive(Clone)]
pub(crate) struct Cache {
    pub(crate) state: Vec<u8>,
    pub(crate) snapshot: Bytes,
    pub(crate) files: Files,
    /// Number of writes that are durable.
    pub(crate) writes: u64,
    /// The writes since the last sync, in their order.
    pub(crate) unsynced: Vec<Change>,
}

/// A write.
#[derive(Clone)]
pub(crate) enum Change {
    /// Both places are replaced at once; the snapshot only if there is a new one.
    Save { state: Vec<u8>, snapshot: Option<Bytes> },
    /// A record follows the state.
    Append(Vec<u8>),
    /// Bytes of a file.
    Write { name: String, offset: usize, bytes: Vec<u8> },
    /// A file goes.
    Delete(String),
}

/// What a crash did to the writes that were not synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many of them are not on the disk as they were written, a torn one included.
    pub writes: u64,
    /// How many bytes of a torn write are as they were written; None if none was torn.
    pub torn_after: Option<usize>,
}

impl Cache {
    /// All writes so far are durable; so many were made since the disk's first incarnation.
    pub(crate) fn sync(&mut self, writes: u64) {
        for change in std::mem::take(&mut self.unsynced) {
            self.carry_out(change);
        }
        self.writes = writes;
    }

    fn carry_out(&mut self, change: Change) {
        match change {
            Change::Save { state, snapshot } => {
                self.state = state;
                self.snapshot = snapshot.unwrap_or(std::mem::take(&mut self.snapshot));
            }
            Change::Append(record) => self.state.extend_from_slice(&record),
            Change::Write { name, offset, bytes } => files::write(&mut self.files, &name, offset, &bytes),
            Change::Delete(name) => drop(self.files.remove(&name)),
        }
    }

    /// What a crash leaves, as `draw` decides.
    pub(crate) fn crash(mut self, mut draw: impl FnMut(u64) -> u64) -> (Cache, Loss) {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        if unsynced.is_empty() {
            return (self, Loss::default());
        }
        let kept = draw(unsynced.len() as u64 + 1) as usize;
        let lost = unsynced.split_off(kept);
        unsynced.into_iter().for_each(|change| self.carry_out(change));
        self.writes += kept as u64;
        let torn_after = match lost.first() {
            Some(Change::Append(record)) if record.len() > 1 && draw(2) == 0 => {
                let length = 1 + draw(record.len() as u64 - 1) as usize;
                self.state.extend_from_slice(&record[..length]);
                if draw(2) == 0 {
                    self.state.resize(self.state.len() + record.len() - length, 0);
                }
                Some(length)
            }
            Some(Change::Write { name, offset, bytes }) if bytes.len() > 1 && draw(2) == 0 => {
                let length = 1 + draw(bytes.len() as u64 - 1) as usize;
                files::write(&mut self.files, name, *offset, &bytes[..length]);
                Some(length)
            }
            _ => None,
        };
        (self, Loss { writes: lost.len() as u64, torn_after })
    }
}
