//! Which files there must be, as the master's answers tell it (invariant 6).

use std::collections::{BTreeMap, BTreeSet};

use gfs::path::HIDDEN;
use gfs::rpc::{ChangeRequest, FileChange, MasterError};

/// What is known of the name space.
#[derive(Default)]
pub(crate) struct Names {
    present: BTreeSet<String>,
    /// Changes that were asked for, and whose outcome is not known.
    open: BTreeMap<(u64, u64), Vec<String>>,
    done: BTreeSet<(u64, u64)>,
    /// Grows with each change that begins.
    begun: u64,
    touched: BTreeMap<String, u64>,
}

fn paths(change: &FileChange) -> Vec<String> {
    match change {
        FileChange::Create { path } | FileChange::Delete { path } => vec![path.clone()],
        FileChange::Rename { from, to, .. } | FileChange::Snapshot { from, to } => {
            vec![from.clone(), to.clone()]
        }
    }
}

impl Names {
    /// A change comes to the master.
    pub(crate) fn asked(&mut self, request: &ChangeRequest) {
        let key = (request.op.client, request.op.number);
        if self.done.contains(&key) {
            return;
        }
        self.begun += 1;
        for path in paths(&request.change) {
            self.touched.insert(path, self.begun);
        }
        self.open.insert(key, paths(&request.change));
    }

    /// The master has answered.
    pub(crate) fn answered(&mut self, request: &ChangeRequest, answer: &Result<String, MasterError>) {
        let key = (request.op.client, request.op.number);
        // After a refusal the change may be tried again, or was made and waits for the log's copies.
        if *answer == Err(MasterError::Retry) || self.done.contains(&key) {
            return;
        }
        self.open.remove(&key);
        if answer.is_err() {
            return;
        }
        self.done.insert(key);
        match &request.change {
            FileChange::Create { path } => drop(self.present.insert(path.clone())),
            FileChange::Delete { path } => drop(self.present.remove(path)),
            FileChange::Rename { from, to, .. } => {
                self.present.remove(from);
                self.present.insert(to.clone());
            }
            FileChange::Snapshot { to, .. } => drop(self.present.insert(to.clone())),
        }
    }

    /// How many changes have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    fn is_open(&self, path: &str) -> bool {
        self.open.values().flatten().any(|open| open == path)
    }

    /// Whether the file was there since so many changes had begun.
    pub(crate) fn must_be_there(&self, path: &str, since: u64) -> bool {
        let is_quiet = self.touched.get(path).is_none_or(|begun| *begun <= since);
        self.present.contains(path) && is_quiet && !self.is_open(path)
    }

    /// What is wrong with this list of names.
    pub(crate) fn complaint(&self, prefix: &str, list: &[String], since: u64) -> Option<String> {
        if prefix.starts_with(HIDDEN) {
            return None;
        }
        let in_list = |path: &String| list.contains(path);
        let must_be = self.present.iter().filter(|path| path.starts_with(prefix));
        if let Some(lost) = must_be.filter(|path| self.must_be_there(path, since)).find(|path| !in_list(path))
        {
            return Some(format!("{lost} was created, and is not listed"));
        }
        let is_known = |path: &&String| {
            let is_new = self.touched.get(*path).is_some_and(|begun| *begun > since);
            self.present.contains(*path) || self.is_open(path) || is_new
        };
        let strange = list.iter().find(|path| !is_known(path));
        strange.map(|path| format!("{path} is listed, and nobody has created it"))
    }
}
