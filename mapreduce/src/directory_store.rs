// handout: bodies kept
//! A [`Store`] over a directory of the file system.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::store::{FileVersion, ReadFile, Store, StoreError, StoreErrorKind, WriteFile};

/// The files of a directory. Names may be paths, absolute ones too.
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

    /// The system's error about a file that is written. It says where, since several disks may be in use.
    fn failed(&self, name: &str, error: &io::Error) -> StoreError {
        let mut failed = StoreError::from_io(name, error);
        if !self.root.as_os_str().is_empty() {
            failed.detail += &format!(", in {}", self.root.display());
        }
        failed
    }

    /// Opens the regular file at `path`, relative to the directory. Errors call it `name`.
    ///
    /// # Errors
    /// The file system's, and [`StoreErrorKind::NotAFile`] for everything that is not a regular file.
    pub fn open_path(&self, path: &Path, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        let path = self.root.join(path);
        let system = |error: io::Error| StoreError::from_io(name, &error);
        // Opening a pipe waits for a writer, so the question comes before the open.
        refuse_special(&fs::metadata(&path).map_err(system)?, name)?;
        let file = File::open(&path).map_err(system)?;
        let metadata = file.metadata().map_err(system)?;
        refuse_special(&metadata, name)?;
        Ok(Box::new(DirectoryFile { file, name: name.to_owned(), length: metadata.len() }))
    }
}

/// Everything but a regular file has no length, by which splits are cut, and cannot be read twice.
fn refuse_special(metadata: &Metadata, name: &str) -> Result<(), StoreError> {
    let kind = metadata.file_type();
    let what = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    };
    Err(StoreError::new(StoreErrorKind::NotAFile, name, format!("is no regular file, but {what}")))
}

impl Store for DirectoryStore {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        self.open_path(Path::new(name), name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        let file = File::create(self.root.join(name)).map_err(|error| self.failed(name, &error))?;
        Ok(Box::new(DirectoryWriter { file, name: name.to_owned(), store: self.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        fs::rename(self.root.join(from), self.root.join(to)).map_err(|error| self.failed(to, &error))
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

/// An open file of a directory.
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
        // The system may return less than was asked for, and the caller would take that for the file's end.
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

    fn version(&self) -> Result<FileVersion, StoreError> {
        let metadata = self.file.metadata().map_err(|error| StoreError::from_io(&self.name, &error))?;
        let modified_ns =
            metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Ok(FileVersion { length: metadata.len(), modified_ns, inode: metadata.ino() })
    }
}

/// A file of a directory that is being written.
struct DirectoryWriter {
    file: File,
    name: String,
    store: DirectoryStore,
}

impl WriteFile for DirectoryWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|error| self.store.failed(&self.name, &error))
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.file.flush().map_err(|error| self.store.failed(&self.name, &error))
    }
}
