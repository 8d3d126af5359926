//! The directory of a job of real processes. Users see only complete output.
//!
//! While a job runs, all its files are in a hidden directory beside the output, `.mr-job-…`. So two jobs in
//! one folder do not disturb each other, and a job that fails leaves earlier output as it was. When the last
//! reduce is done, the coordinator moves the output files to their places, each by an atomic rename. Only
//! then it tells clients that the job is over. Jobs move their files one after the other: of two jobs that
//! end together, the second one's output stays.
//!
//! The coordinator holds a lock in the directory while it lives. If it is killed, a later job into the same
//! folder removes the directory, or continues from it (`--resume`).
//!
//! ```text
//!  out/mr-out-0 …                     the output: complete, and of one job
//!  out/.mr-job-0123456789abcdef/      lock, log, mr-0-0.1, mr-tmp-…, mr-out-0 …, while the job runs
//!  out/.mr-publish                    a lock, while a job moves its output
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use mapreduce::directory_store::DirectoryStore;
use mapreduce::names;
use mapreduce::store::{ReadFile, Store, StoreError, StoreErrorKind, WriteFile};

use crate::locks::{Lock, OwnDirectory};
use crate::names::to_bytes;

/// The prefix of the names of jobs' directories.
pub(crate) const PREFIX: &str = ".mr-job-";

/// The shared store of a job of real processes: its own directory for files with the names of
/// [`mapreduce::names`], and the current directory for the input.
pub struct JobStore {
    output: PathBuf,
    input: DirectoryStore,
    /// Set when the store knows its job: a worker creates its store before it registers.
    work: OnceLock<DirectoryStore>,
    /// The coordinator's directory and its lock.
    own: Mutex<Option<OwnDirectory>>,
}

impl JobStore {
    /// The store of a job that will write to the directory `output`. Until [`JobStore::enter`] it can only
    /// read input.
    pub fn new(output: &Path) -> JobStore {
        let input = DirectoryStore::new("");
        JobStore { output: output.to_owned(), input, work: OnceLock::new(), own: Mutex::new(None) }
    }

    /// Makes it the store of the job with this number.
    pub fn enter(&self, job: u64) {
        // A process works for one job only, and may learn its number twice.
        self.work.get_or_init(|| DirectoryStore::new(self.output.join(format!("{PREFIX}{job:016x}"))));
    }

    /// Creates the job's directory, and the output's if it is missing. Removes the directories of jobs that
    /// were killed.
    pub(crate) fn create_directory(&self, job: u64) -> io::Result<()> {
        fs::create_dir_all(&self.output)?;
        self.own(OwnDirectory::create(&self.output, PREFIX, &format!("{job:016x}"))?);
        self.enter(job);
        Ok(())
    }

    /// Continues in the directory of a job that was killed.
    pub(crate) fn take_over(&self, directory: OwnDirectory, job: u64) {
        self.own(directory);
        self.enter(job);
    }

    fn own(&self, directory: OwnDirectory) {
        *self.own.lock().unwrap_or_else(|_| unreachable!("no thread panics with this lock")) =
            Some(directory);
    }

    /// Moves the output of a finished job to its place, replaces what was there, and deletes output files of
    /// earlier, larger jobs. `begun` says that an earlier coordinator was killed while it did this, so some
    /// files may be in place already.
    ///
    /// # Errors
    /// If an output file cannot be moved. All places are checked before the first move.
    pub(crate) fn publish(&self, reduces: usize, begun: bool) -> Result<(), StoreError> {
        let lock = self.output.join(".mr-publish");
        let _one_at_a_time = Lock::wait(&lock).map_err(|error| StoreError::from_io(".mr-publish", &error))?;
        let work = self.entered()?;
        let output = DirectoryStore::new(&self.output);
        let has_moved = |name: &str| begun && !work.root().join(name).exists();
        for name in (0..reduces).map(names::output) {
            let place = self.output.join(&name);
            if fs::metadata(&place).is_ok_and(|there| !there.is_file()) {
                let what = if place.is_dir() { "a directory" } else { "a pipe or device" };
                return Err(StoreError::new(
                    StoreErrorKind::NotAFile,
                    &name,
                    format!("{what} is in the way"),
                ));
            }
            if !has_moved(&name) {
                work.open(&name)?;
            }
        }
        // Both directories are in one file system, so each move is one rename.
        for name in (0..reduces).map(names::output).filter(|name| !has_moved(name)) {
            let moved = fs::rename(work.root().join(&name), self.output.join(&name));
            moved.map_err(|error| StoreError::from_io(&name, &error))?;
        }
        // A user who reads mr-out-* would take the files of an earlier, larger job for output of this one.
        for name in output.list(names::OUTPUT_PREFIX)? {
            if names::partition_of_output(&name).is_some_and(|partition| partition >= reduces) {
                output.delete(&name)?;
            }
        }
        Ok(())
    }

    /// Deletes the job's directory with everything in it.
    pub(crate) fn remove_directory(&self) {
        drop(self.own.lock().unwrap_or_else(|_| unreachable!("no thread panics with this lock")).take());
    }

    /// The job's directory.
    ///
    /// # Errors
    /// If the store does not know its job yet.
    pub(crate) fn entered(&self) -> Result<&DirectoryStore, StoreError> {
        let no_job = || StoreError::new(StoreErrorKind::Other, PREFIX, "the store does not know its job yet");
        self.work.get().ok_or_else(no_job)
    }
}

impl Store for JobStore {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        if names::is_own(name) {
            return self.entered()?.open(name);
        }
        self.input.open_path(Path::new(&to_bytes(name)), name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        self.entered()?.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.entered()?.rename(from, to)
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.entered()?.delete(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.entered()?.list(prefix)
    }
}
