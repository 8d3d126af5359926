//! Where files live. Tasks reach every byte through a [`Store`], so that the simulation can put its own
//! underneath: one whose reads and writes take virtual time, and whose writers can crash in the middle.
//!
//! The interface is as narrow as the tasks allow. A writer writes a file once, from front to back; readers
//! read at any place. Names are flat. There are no locks, appends or directories: MapReduce does not need
//! what the paper's GFS offers beyond this, and the simulation's store would have to keep every further
//! promise.
//!
//! The promises hold for crashes of processes, not of the operating system, since nothing is synchronized to
//! the disk. A machine that loses power loses the job, and the user runs it again.

use std::fmt;
use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};

/// A flat set of named files, with the two promises on which MapReduce builds: a rename is atomic, and a
/// finished file survives its writer.
pub trait Store: Send + Sync {
    /// Opens a file for reading.
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError>;

    /// Creates an empty file for writing, in place of any other with that name. Callers use temporary names
    /// only ([`crate::names::temporary`]).
    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError>;

    /// Gives a finished file its final name, atomically, in place of any other with that name.
    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError>;

    /// Deletes a file. It is no error if there is none.
    fn delete(&self, name: &str) -> Result<(), StoreError>;

    /// The names that begin with `prefix`, in increasing order.
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
}

/// A file that is open for reading.
pub trait ReadFile: Send {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Reads bytes from `offset` on into `buffer`, and returns how many: fewer than there is room for only at
    /// the file's end.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError>;

    /// What would change if someone changed the file; the length at least. Asked again, it says what holds
    /// now.
    fn version(&self) -> Result<FileVersion, StoreError> {
        Ok(FileVersion { length: self.length(), modified_ns: 0, inode: 0 })
    }
}

/// Tells whether a file is still the one that it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// Its length in bytes.
    pub length: u64,
    /// When it was last written, in nanoseconds since 1970; 0 if the store does not know.
    pub modified_ns: i64,
    /// Which file has the name now; 0 if the store does not know.
    pub inode: u64,
}

/// A file that is being written. Dropped before [`WriteFile::finish`] it stays incomplete, under its
/// temporary name.
pub trait WriteFile: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Hands everything over to the store. Only a finished file may be renamed.
    fn finish(&mut self) -> Result<(), StoreError>;
}

/// The kind of a failure, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreErrorKind {
    /// There is no such file.
    NotFound,
    /// Permission to read or to write it is missing.
    Denied,
    /// It is a directory, a device, a pipe or another thing that is not a regular file.
    NotAFile,
    /// The disk or a quota is full.
    Full,
    /// The machine that has it cannot be reached, or is lost (part 1B).
    Gone,
    /// Another error.
    Other,
}

/// A failure of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreError {
    /// The kind of failure.
    pub kind: StoreErrorKind,
    /// The file.
    pub name: String,
    /// The store's description, for people.
    pub detail: String,
}

impl StoreError {
    /// An error about the file of this name.
    pub fn new(kind: StoreErrorKind, name: &str, detail: impl Into<String>) -> StoreError {
        StoreError { kind, name: name.to_owned(), detail: detail.into() }
    }

    /// The operating system's error about the file of this name.
    pub fn from_io(name: &str, error: &io::Error) -> StoreError {
        let kind = match error.kind() {
            ErrorKind::NotFound => StoreErrorKind::NotFound,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
            ErrorKind::IsADirectory | ErrorKind::NotADirectory => StoreErrorKind::NotAFile,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                StoreErrorKind::Full
            }
            _ => StoreErrorKind::Other,
        };
        StoreError::new(kind, name, error.to_string())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.detail)
    }
}

impl std::error::Error for StoreError {}
