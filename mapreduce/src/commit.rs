//! The last look before an output gets its final name.
//!
//! A reduce may have been given up while it was still running: its worker was cut off, another
//! one has done the task, and its output counts. If the first one now renamed its own output to
//! the same name, whoever has read the file before would find another one. For pure functions
//! the two are equal; this makes the promise for all others, too, as far as it can be made.
//! So the worker asks the coordinator before the rename, and if it cannot ask, it waits.
//!
//! What is left is a worker that is stopped for longer than the time-out just between the
//! answer and the rename. No store without leases can prevent that.

use crate::rpc::AttemptId;
use crate::store::{ReadFile, Store, StoreError, StoreErrorKind, WriteFile};
use crate::worker::Worker;

/// A store for one attempt's output, in which files get their final names only while the attempt
/// is wanted.
pub(crate) struct CommitStore<'a> {
    /// Where the files really go.
    pub(crate) store: &'a dyn Store,
    /// Who asks.
    pub(crate) worker: &'a Worker,
    /// For which attempt.
    pub(crate) id: AttemptId,
}

impl Store for CommitStore<'_> {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        self.store.open(name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        self.store.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        if self.worker.may_commit(self.id) {
            return self.store.rename(from, to);
        }
        let reason = format!("{} is not wanted any more", self.id);
        Err(StoreError::new(StoreErrorKind::Other, to, reason))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.store.delete(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(prefix)
    }
}
