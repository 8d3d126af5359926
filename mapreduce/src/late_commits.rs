// handout: file guided
//! The last check before an output gets its final name.
//!
//! The coordinator may have given up a reduce that is still running: its worker was cut off, another one has
//! done the task, and that output counts. If the first worker now renamed its own output to the same name, a
//! user that has read the file before would find another one. For pure functions the two are equal. This
//! check extends the promise to all others as far as possible: the worker asks the coordinator before the
//! rename, and waits while it cannot ask.
//!
//! One gap remains: a worker that stops between the answer and the rename, for longer than the time-out. Only
//! a store with leases could close it.

use crate::rpc::{AttemptId, ProgressArgs, ProgressReply};
use crate::store::{ReadFile, Store, StoreError, StoreErrorKind, WriteFile};
use crate::worker::Worker;

/// A store for one attempt's output, in which files get their final names only while the coordinator wants
/// the attempt. A rename that is refused fails with [`StoreErrorKind::Other`], and so does the task; since
/// `Current::cancelled` is set then, the worker does not report that failure.
pub(crate) struct CommitStore<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) worker: &'a Worker,
    pub(crate) id: AttemptId,
}

// handout: bodies 1A
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
        let reason = format!("{} is no longer wanted", self.id);
        Err(StoreError::new(StoreErrorKind::Other, to, reason))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.store.delete(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(prefix)
    }
}

impl Worker {
    /// Asks whether an attempt may give its output the final name, until there is an answer.
    fn may_commit(&self, id: AttemptId) -> bool {
        let args = ProgressArgs { worker: self.setup.worker, running: id, fraction: 1.0, fetched: true };
        let wanted = self.insist(|coordinator| coordinator.progress(&args)) == Ok(ProgressReply::Continue);
        self.change(|current| current.cancelled |= !wanted);
        wanted
    }
}
