//! What the master must not forget (§2.6): names, the chunks of each file, and the version of each chunk.
//! Where replicas are is not among it: the chunkservers know that best.
//!
//! The state changes by [`Record`]s alone. They are what the log holds, so a master that reads its log after
//! a crash comes to the same state, and so does a shadow.

// handout: drop classic
use std::collections::BTreeMap;

// handout: end
use serde::{Deserialize, Serialize};

// handout: drop classic
use crate::path::{self, HIDDEN};
use crate::rpc::{FileChange, FileId, Handle, MasterError, OpId, Version};

/// How many clients' last changes are remembered.
const CLIENTS: usize = 1000;
// handout: end
// handout: put classic
// use crate::rpc::{FileChange, OpId};
// handout: end

// handout: drop classic
/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its number. Names change; a thread that adds a chunk means the file that had the name when it looked.
    pub id: FileId,
    /// Its chunks, in order.
    pub chunks: Vec<Handle>,
    /// When it was deleted, on the master's clock in nanoseconds; 0 if it was not.
    pub deleted_at: u64,
}

/// A chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The version that counts. A replica with a lower one is stale.
    pub version: Version,
    /// The highest number that was ever used for a version. An attempt to raise the version that failed
    /// somewhere in the middle may have left it on a replica, so it is not used again.
    pub reserved: Version,
    /// How many files have the chunk: more than one after a snapshot (§3.4). With the last one it goes.
    pub refs: u32,
}

// handout: end
/// A step of the state. Small steps make short records; and each must be a function of the state and of the
/// record alone, or a master that reads its log would come to another state than the one that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A client's change of the name space.
    Change {
        /// Its number.
        op: OpId,
        /// The change.
        change: FileChange,
        /// The master's clock, in nanoseconds.
        at: u64,
    },
    // handout: drop classic
    /// A client's change is refused. A copy of it that comes later must not be carried out.
    Refused(OpId, MasterError),
    /// A handle is used up, before any server hears of it. It is in no file yet, and may never be.
    Allocate,
    /// The file gets this chunk as its last one.
    AddChunk(FileId, Handle),
    /// This number for a version is used up. See [`Chunk::reserved`].
    Reserve(Handle, Version),
    /// The chunk has this version: all replicas that take part in the next lease have it.
    Confirm(Handle, Version),
    /// In this file the first chunk is replaced by its copy, the second, which has the same version.
    Copied(FileId, Handle, Handle),
    /// A deleted file is reclaimed.
    Reclaim(String),
    // handout: end
    // handout: put classic
    // // Your other steps here.
    // handout: end
}

/// The durable state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    // handout: drop classic
    files: BTreeMap<String, File>,
    chunks: BTreeMap<Handle, Chunk>,
    next_file: FileId,
    next_handle: Handle,
    /// The last change of each client: its number, its record, and its answer, which may be a refusal.
    clients: BTreeMap<u64, (u64, u64, Result<String, MasterError>)>,
    /// How many records were applied.
    position: u64,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies GA
impl Namespace {
    /// How many records were applied, over all lives of the master: the place in the log, for shadows.
    pub fn position(&self) -> u64 {
        self.position
    }

    // handout: drop classic
    /// The file of this name.
    ///
    /// # Errors
    /// [`MasterError::BadPath`], [`MasterError::NoFile`].
    pub fn file(&self, path: &str) -> Result<&File, MasterError> {
        path::check(path)?;
        self.files.get(path).ok_or(MasterError::NoFile)
    }

    // handout: end
    /// The names that begin with `prefix`. Hidden ones are shown to those who ask for them.
    ///
    /// There are no directories, only names in one table, so that two clients can create files with one
    /// prefix at the same time without a lock on anything they share (§4.1).
    pub fn list(&self, prefix: &str) -> Vec<String> {
        let names = self.files.range(prefix.to_owned()..).map(|(name, _)| name);
        let shows_hidden = prefix.starts_with(HIDDEN);
        names
            .take_while(|name| name.starts_with(prefix))
            .filter(|name| shows_hidden || !name.starts_with(HIDDEN))
            .cloned()
            .collect()
    }

    // handout: drop classic
    /// A chunk; None if no file has it.
    pub fn chunk(&self, handle: Handle) -> Option<Chunk> {
        self.chunks.get(&handle).copied()
    }

    /// All chunks.
    pub fn chunks(&self) -> Vec<(Handle, Chunk)> {
        self.chunks.iter().map(|(&handle, &chunk)| (handle, chunk)).collect()
    }

    /// The handle that [`Record::Allocate`] uses up.
    pub fn next_handle(&self) -> Handle {
        self.next_handle + 1
    }

    /// Deleted files by their hidden names, and when they were deleted, in nanoseconds of the master's clock.
    pub fn deleted(&self) -> Vec<(String, u64)> {
        let hidden = self.files.range(HIDDEN.to_owned()..).take_while(|(name, _)| name.starts_with(HIDDEN));
        hidden.map(|(name, file)| (name.clone(), file.deleted_at)).collect()
    }

    /// The answer to a change that was made already, or refused. A client whose answer was lost asks again,
    /// perhaps another life of the master, and must not hear that its own file is in the way. And a copy of
    /// a change that was refused may come when nothing is in its way any more: its client was told that it
    /// failed.
    pub fn earlier_answer(&self, op: OpId) -> Option<Result<String, MasterError>> {
        let (number, _, answer) = self.clients.get(&op.client).filter(|(number, ..)| *number >= op.number)?;
        // Of an earlier number it is a late copy. The client has its answer, and no longer waits.
        Some(if *number == op.number { answer.clone() } else { Err(MasterError::Retry) })
    }

    /// Whether a change can be made.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn check(&self, change: &FileChange) -> Result<(), MasterError> {
        let is_free = |path: &str| {
            path::check_new(path)?;
            if self.files.contains_key(path) { Err(MasterError::Exists) } else { Ok(()) }
        };
        match change {
            FileChange::Create { path } => is_free(path)?,
            FileChange::Delete { path } => drop(self.visible(path)?),
            FileChange::Rename { from, to, replace } => {
                self.file(from)?;
                path::check_new(to)?;
                if !replace {
                    is_free(to)?;
                }
            }
            FileChange::Snapshot { from, to } => {
                self.visible(from)?;
                is_free(to)?;
            }
        }
        Ok(())
    }

    // handout: end
    /// A file that is not deleted.
    fn visible(&self, path: &str) -> Result<&File, MasterError> {
        path::check_new(path)?;
        self.file(path)
    }

    /// Makes a step. Returns what a change answers; other steps answer nothing. A step that has no object any
    /// more (its file was reclaimed meanwhile) changes nothing but the position.
    pub fn apply(&mut self, record: &Record) -> String {
        self.position += 1;
        match record {
            Record::Change { op, change, at } => {
                let answer = self.change(change, *at);
                self.remember(*op, Ok(answer.clone()));
                return answer;
            }
            Record::Refused(op, why) => self.remember(*op, Err(*why)),
            Record::Allocate => self.next_handle += 1,
            Record::AddChunk(file, handle) => {
                if let Some(file) = self.file_of(*file) {
                    file.chunks.push(*handle);
                    self.chunks.insert(*handle, Chunk { version: 1, reserved: 1, refs: 1 });
                }
            }
            Record::Reserve(handle, version) => {
                if let Some(chunk) = self.chunks.get_mut(handle) {
                    chunk.reserved = chunk.reserved.max(*version);
                }
            }
            Record::Confirm(handle, version) => {
                if let Some(chunk) = self.chunks.get_mut(handle) {
                    chunk.version = chunk.version.max(*version);
                    chunk.reserved = chunk.reserved.max(*version);
                }
            }
            Record::Copied(file, from, to) => self.copied(*file, *from, *to),
            Record::Reclaim(path) => {
                if let Some(file) = self.files.remove(path) {
                    file.chunks.into_iter().for_each(|handle| self.release(handle));
                }
            }
        }
        String::new()
    }

    /// Makes a change that was checked. A record of the log was checked when it was written, against the same
    /// state; so a file that is missing here means a damaged log, and nothing is changed.
    fn change(&mut self, change: &FileChange, at: u64) -> String {
        match change {
            FileChange::Create { path } => {
                self.next_file += 1;
                let file = File { id: self.next_file, chunks: Vec::new(), deleted_at: 0 };
                self.files.insert(path.clone(), file);
                String::new()
            }
            FileChange::Delete { path } => self.hide(path, at),
            FileChange::Rename { from, to, .. } => {
                // A file that is renamed to its own name stays.
                let hidden = if from == to { String::new() } else { self.hide(to, at) };
                if let Some(file) = self.files.remove(from) {
                    self.files.insert(to.clone(), File { deleted_at: 0, ..file });
                }
                hidden
            }
            FileChange::Snapshot { from, to } => {
                self.next_file += 1;
                let Some(file) = self.files.get(from) else { return String::new() };
                let copy = File { id: self.next_file, chunks: file.chunks.clone(), deleted_at: 0 };
                for handle in &copy.chunks {
                    if let Some(chunk) = self.chunks.get_mut(handle) {
                        chunk.refs += 1;
                    }
                }
                self.files.insert(to.clone(), copy);
                String::new()
            }
        }
    }

    /// Deletes a file, if there is one, by a name that is hidden: that is a cheap and reversible step, and
    /// the slow one, with every chunkserver, comes later and needs no client to wait (§4.4). The record's
    /// number in the name makes it a new one, however often files of this name are deleted.
    fn hide(&mut self, path: &str, at: u64) -> String {
        let Some(file) = self.files.remove(path) else { return String::new() };
        let hidden = path::hidden(path, self.position);
        self.files.insert(hidden.clone(), File { deleted_at: at, ..file });
        hidden
    }

    /// Notes a client's last change and its answer. The client that has been silent for longest is forgotten:
    /// its last request can no longer be under way when a thousand others have changed something since.
    fn remember(&mut self, op: OpId, answer: Result<String, MasterError>) {
        self.clients.insert(op.client, (op.number, self.position, answer));
        if self.clients.len() > CLIENTS {
            let oldest = self.clients.iter().min_by_key(|(_, (_, position, _))| *position);
            if let Some(client) = oldest.map(|(client, _)| *client) {
                self.clients.remove(&client);
            }
        }
    }

    /// The file of this number, whatever its name is by now.
    fn file_of(&mut self, id: FileId) -> Option<&mut File> {
        self.files.values_mut().find(|file| file.id == id)
    }

    /// The file has a chunk of its own at the place of the one that it shared. If the file was deleted for
    /// good meanwhile the copy is in no file, and its servers are told to delete it.
    fn copied(&mut self, file: FileId, from: Handle, to: Handle) {
        let Some(chunk) = self.chunk(from) else { return };
        let Some(file) = self.file_of(file) else { return };
        let Some(place) = file.chunks.iter().position(|handle| *handle == from) else { return };
        file.chunks[place] = to;
        self.chunks.insert(to, Chunk { version: chunk.version, reserved: chunk.version, refs: 1 });
        self.release(from);
    }

    /// One file less has the chunk. Without a file it is an orphan, on whichever servers it is.
    fn release(&mut self, handle: Handle) {
        let Some(chunk) = self.chunks.get_mut(&handle) else { return };
        chunk.refs -= 1;
        if chunk.refs == 0 {
            self.chunks.remove(&handle);
        }
    }
}
