//! Where files live. Tasks reach every byte through a [`Store`], so that the simulation
//! can put its own underneath: one whose reads and writes take virtual time, and whose
//! writers can crash in the middle.

//!
//! The interface is as narrow as the tasks allow. Files are written once, from front to
//! back, and never changed; they are read at any place. Names are flat. There are no locks,
//! no appends and no directories: what the paper's GFS offers beyond that is not
//! needed by MapReduce, and each further promise would have to be kept by the simulation's
//! store and by every other one.
//!
//! Promises are kept towards crashes of processes, not of the operating system: nothing is
//! synchronised to the disk. A machine that loses power loses the job, and runs it again.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A flat set of named files, with the two promises on which MapReduce builds: a rename
/// is atomic, and what has been finished survives its writer.
pub trait Store: Send + Sync {
    /// Opens a file for reading.
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError>;

    /// Creates an empty file for writing, in place of any other with that name. Callers
    /// use temporary names only ([`crate::names::temporary`]).
    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError>;

    /// Gives a finished file its final name, atomically, in place of any other with that
    /// name.
    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError>;

    /// Deletes a file; one that is not there is as good as deleted.
    fn delete(&self, name: &str) -> Result<(), StoreError>;

    /// The names that begin with `prefix`, in increasing order.
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
}

/// A file that is open for reading.
pub trait ReadFile: Send {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Reads bytes from `offset` on into `buffer`, and says how many: fewer than there is
    /// room for only at the file's end.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError>;
}

/// A file that is being written. Dropped before [`WriteFile::finish`] it stays as it is:
/// incomplete, under its temporary name.
pub trait WriteFile: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Hands everything over to the store; only a finished file may be renamed.
    fn finish(&mut self) -> Result<(), StoreError>;
}

/// What is wrong, as far as somebody could act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreErrorKind {
    /// There is no such file.
    NotFound,
    /// It may not be read, or written.
    Denied,
    /// It is a directory, or something else without bytes.
    NotAFile,
    /// The disk is full, or a quota is.
    Full,
    /// The machine that has it cannot be reached, or is lost (part B).
    Gone,
    /// Anything else.
    Other,
}

/// A failure of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreError {
    /// What is wrong.
    pub kind: StoreErrorKind,
    /// The file.
    pub name: String,
    /// What the store says about it, for people.
    pub detail: String,
}

impl StoreError {
    /// An error about the file of this name.
    pub fn new(kind: StoreErrorKind, name: &str, detail: impl Into<String>) -> StoreError {
        StoreError { kind, name: name.to_owned(), detail: detail.into() }
    }

    /// What the operating system says about the file of this name.
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

/// The files of a directory. Names may be paths, also absolute ones.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    root: PathBuf,
}

impl DirectoryStore {
    /// The files below `root`, which must exist before anything is written.
    pub fn new(root: impl Into<PathBuf>) -> DirectoryStore {
        DirectoryStore { root: root.into() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Store for DirectoryStore {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        let open = || {
            let file = File::open(self.root.join(name))?;
            let metadata = file.metadata()?;
            // A pipe or a device has no length, by which splits are cut.
            if !metadata.is_file() {
                return Err(io::Error::new(ErrorKind::IsADirectory, "is no regular file"));
            }
            Ok(DirectoryFile { file, name: name.to_owned(), length: metadata.len() })
        };
        open()
            .map(|file| Box::new(file) as Box<dyn ReadFile>)
            .map_err(|error| StoreError::from_io(name, &error))
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        let file = File::create(self.root.join(name)).map_err(|error| StoreError::from_io(name, &error))?;
        Ok(Box::new(DirectoryFile { file, name: name.to_owned(), length: 0 }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        fs::rename(self.root.join(from), self.root.join(to)).map_err(|error| StoreError::from_io(to, &error))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        match fs::remove_file(self.root.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::from_io(name, &error)),
            _ => Ok(()),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.root)? {
                names.extend(entry?.file_name().into_string().ok().filter(|name| name.starts_with(prefix)));
            }
            names.sort_unstable();
            Ok(names)
        };
        list().map_err(|error| StoreError::from_io(prefix, &error))
    }
}

/// A file of a directory, open.
struct DirectoryFile {
    file: File,
    name: String,
    length: u64,
}

impl ReadFile for DirectoryFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let mut filled = 0;
        // The system may give less than was asked for, and the caller may take that for the
        // file's end.
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::from_io(&self.name, &error)),
            }
        }
        Ok(filled)
    }
}

impl WriteFile for DirectoryFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|error| StoreError::from_io(&self.name, &error))
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.file.flush().map_err(|error| StoreError::from_io(&self.name, &error))
    }
}
