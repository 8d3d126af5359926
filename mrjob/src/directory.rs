//! Where a job of real processes keeps its files, so that nobody sees anything that is
//! not complete.
//!
//! While it runs, all its files are in a hidden directory of its own beside the output,
//! `.mr-job-…`: two jobs in one place do not disturb each other, and one that fails
//! leaves the output of the one before it as it was. When the last reduce is done, the
//! coordinator moves the output files to their places, each by an atomic rename, and
//! tells nobody that the job is over before that.
//!
//! ```text
//!  out/mr-out-0 …                     what users see: complete, and of one job
//!  out/.mr-job-0123456789abcdef/      mr-0-0.1, mr-tmp-…, mr-out-0 …, while the job runs
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mapreduce::directory_store::DirectoryStore;
use mapreduce::names;
use mapreduce::store::{ReadFile, Store, StoreError, StoreErrorKind, WriteFile};

/// Begins the names of jobs' directories.
const PREFIX: &str = ".mr-job-";

/// The shared store of a job of real processes: its own directory for files with the
/// names of [`names`], and the current directory for the input.
pub struct JobStore {
    output: PathBuf,
    input: DirectoryStore,
    /// A worker learns the job's number after it has been given its store.
    work: OnceLock<DirectoryStore>,
}

impl JobStore {
    /// The store of the job that will write to `output`, a directory. It can read input.
    pub fn new(output: &Path) -> JobStore {
        JobStore { output: output.to_owned(), input: DirectoryStore::new(""), work: OnceLock::new() }
    }

    /// From now on it is the store of the job with this number, and can do everything.
    pub fn enter(&self, job: u64) {
        // A worker takes part in one job in its life, and may be told of it twice.
        self.work.get_or_init(|| DirectoryStore::new(self.output.join(format!("{PREFIX}{job:016x}"))));
    }

    /// Makes the job's directory, and the output's if need be.
    ///
    /// # Errors
    /// The file system's.
    pub fn create_directory(&self) -> io::Result<()> {
        self.work.get().map_or(Ok(()), |work| fs::create_dir_all(work.root()))
    }

    /// Moves the output of a finished job to its place, over what was there, and deletes
    /// older output files that do not belong to it.
    ///
    /// # Errors
    /// If an output file cannot have its place. Nothing has been moved if that could be
    /// seen before.
    pub fn publish(&self, reduces: usize) -> Result<(), StoreError> {
        let work = self.entered()?;
        let output = DirectoryStore::new(&self.output);
        for name in (0..reduces).map(names::output) {
            if self.output.join(&name).is_dir() {
                return Err(StoreError::new(StoreErrorKind::NotAFile, &name, "a directory is in the way"));
            }
            work.open(&name)?;
        }
        // Both directories are in one file system, so that a move is a rename.
        for name in (0..reduces).map(names::output) {
            let moved = fs::rename(work.root().join(&name), self.output.join(&name));
            moved.map_err(|error| StoreError::from_io(&name, &error))?;
        }
        // Of a larger job before this one; whoever reads mr-out-* would take them for ours.
        for name in output.list(names::OUTPUT_PREFIX)? {
            if names::partition_of_output(&name).is_some_and(|partition| partition >= reduces) {
                output.delete(&name)?;
            }
        }
        Ok(())
    }

    /// Deletes the job's directory with everything in it.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove_directory(&self) -> io::Result<()> {
        self.work.get().map_or(Ok(()), |work| fs::remove_dir_all(work.root()))
    }

    /// The job's directory, if the job is known.
    fn entered(&self) -> Result<&DirectoryStore, StoreError> {
        let nobody = || StoreError::new(StoreErrorKind::Other, PREFIX, "the store belongs to no job yet");
        self.work.get().ok_or_else(nobody)
    }

    /// The directory that has the file of this name.
    fn directory(&self, name: &str) -> Result<&DirectoryStore, StoreError> {
        if names::is_own(name) { self.entered() } else { Ok(&self.input) }
    }
}

impl Store for JobStore {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        self.directory(name)?.open(name)
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
