//! The state that each server has shown, and its changes, step by step.

use labapi::{Role, View};

use super::News;
use crate::failure::{Broken, Invariant};

/// An entry as the checkers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) term: u64,
    pub(super) digest: u64,
    /// Whether this server added it as the leader of its term, rather than taking it from one.
    pub(super) led: bool,
}

/// The state that a server showed last. A crash leaves it as it is: it stands for what the disk should hold.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) incarnation: u64,
    pub(super) term: u64,
    pub(super) role: Role,
    pub(super) commit_index: u64,
    /// Index before the first entry of `log`.
    pub(super) last_included_index: u64,
    /// Term of the entry at `last_included_index`, if it was known to be committed when it was still an
    /// entry.
    last_included_term: Option<u64>,
    log: Vec<Entry>,
}

impl Default for Mirror {
    fn default() -> Self {
        Mirror {
            incarnation: 0,
            term: 0,
            role: Role::Follower,
            commit_index: 0,
            last_included_index: 0,
            last_included_term: Some(0),
            log: Vec::new(),
        }
    }
}

/// A change of one server's state.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) server: usize,
    pub(super) incarnation: u64,
    /// The server has been restarted since its last step.
    pub(super) restarted: bool,
    pub(super) term_before: u64,
    pub(super) role_before: Role,
    pub(super) commit_before: u64,
    pub(super) last_index_before: u64,
    pub(super) term: u64,
    pub(super) role: Role,
    pub(super) commit_index: u64,
    /// The first index at which the log differs from before: entries from here on are new.
    pub(super) from: u64,
    /// What stood at `from` and behind it, and is gone or replaced.
    pub(super) removed: Vec<Entry>,
}

impl Default for Step {
    fn default() -> Self {
        Step {
            server: 0,
            incarnation: 0,
            restarted: false,
            term_before: 0,
            role_before: Role::Follower,
            commit_before: 0,
            last_index_before: 0,
            term: 0,
            role: Role::Follower,
            commit_index: 0,
            from: 0,
            removed: Vec::new(),
        }
    }
}

impl Step {
    /// The server has become leader in this step.
    pub(super) fn elected(&self) -> bool {
        self.role == Role::Leader && !self.stayed_leader()
    }

    /// The server was and is leader of one and the same term.
    pub(super) fn stayed_leader(&self) -> bool {
        self.role == Role::Leader
            && self.role_before == Role::Leader
            && self.term == self.term_before
            && !self.restarted
    }

    pub(super) fn news(&self) -> News {
        let same = (self.role, self.term) == (self.role_before, self.term_before) && !self.restarted;
        let leads_on = self.role == Role::Leader && self.commit_index > self.commit_before;
        News {
            role: (!same).then_some((self.role, self.term)),
            committed: leads_on.then_some(self.commit_index),
        }
    }
}

impl Mirror {
    /// Last index of the log.
    pub(super) fn last_index(&self) -> u64 {
        self.last_included_index + self.log.len() as u64
    }

    /// The entry at `index`, if the log holds one.
    pub(super) fn entry(&self, index: u64) -> Option<Entry> {
        let position = index.checked_sub(self.last_included_index + 1)?;
        self.log.get(usize::try_from(position).ok()?).copied()
    }

    /// Term of the entry at `index`, also if it is the last one of the snapshot.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.last_included_index {
            self.last_included_term
        } else {
            self.entry(index).map(|entry| entry.term)
        }
    }

    /// What the server showed last, for people: the last entries of its log by their terms.
    pub(super) fn words(&self, server: usize) -> String {
        /// As many entries as fit in a line of 80 letters.
        const LAST: usize = 8;
        if self.incarnation == 0 {
            return format!("server {server}: has shown nothing");
        }
        let skipped = self.log.len().saturating_sub(LAST);
        let terms: Vec<String> = self.log[skipped..].iter().map(|entry| entry.term.to_string()).collect();
        let (first, last) = (self.last_included_index + skipped as u64 + 1, self.last_index());
        let log = if terms.is_empty() {
            format!("log empty behind {last}")
        } else {
            format!("log {first}..{last} of terms {}", terms.join(" "))
        };
        format!("server {server}: {} {}, committed {}, {log}", self.role, self.term, self.commit_index)
    }

    /// Takes over what the server shows; `step` tells what is different then.
    pub(super) fn advance(
        &mut self,
        server: usize,
        incarnation: u64,
        view: &View<'_>,
        step: &mut Step,
    ) -> Result<(), Broken> {
        step.server = server;
        step.incarnation = incarnation;
        step.restarted = incarnation != self.incarnation;
        step.term_before = self.term;
        step.role_before = if step.restarted { Role::Follower } else { self.role };
        step.commit_before = if step.restarted { view.last_included_index } else { self.commit_index };
        step.last_index_before = self.last_index();
        (step.term, step.role, step.commit_index) = (view.term, view.role, view.commit_index);
        check_sanity(server, view)?;
        self.take_log(view, step);
        self.incarnation = incarnation;
        (self.term, self.role, self.commit_index) = (view.term, view.role, view.commit_index);
        Ok(())
    }

    fn take_log(&mut self, view: &View<'_>, step: &mut Step) {
        step.removed.clear();
        self.take_snapshot(view.last_included_index);
        let first = view.last_included_index + 1;
        let changed = if step.restarted { first } else { view.changed_from.max(first) };
        let common = self.last_index().min(view.last_index);
        let mut index = changed.min(common + 1);
        let shown = |index| {
            let (term, digest) = (view.entry)(index).unwrap_or_else(|| {
                panic!("the server shows a log up to {} but no entry {index}", view.last_index)
            });
            let led = view.role == Role::Leader && term == view.term;
            Entry { term, digest, led }
        };
        while index <= common && self.holds(index, shown(index)) {
            index += 1;
        }
        step.from = index;
        let kept = (index - first) as usize;
        step.removed.extend(self.log.drain(kept..));
        self.log.extend((index..=view.last_index).map(shown));
    }

    fn holds(&self, index: u64, entry: Entry) -> bool {
        self.entry(index).is_some_and(|own| (own.term, own.digest) == (entry.term, entry.digest))
    }

    /// The log now begins behind `index`.
    fn take_snapshot(&mut self, index: u64) {
        if index == self.last_included_index {
            return;
        }
        // A leader's snapshot may replace an entry of another term; one that is committed is never replaced.
        self.last_included_term = self.term_at(index).filter(|_| index <= self.commit_index);
        if index > self.last_included_index {
            let covered = ((index - self.last_included_index) as usize).min(self.log.len());
            self.log.drain(..covered);
        } else {
            // A snapshot was lost; what stands behind it is compared anew.
            self.log.clear();
        }
        self.last_included_index = index;
    }
}

/// What a view must be in order to make sense at all.
fn check_sanity(server: usize, view: &View<'_>) -> Result<(), Broken> {
    let View { commit_index, last_index, last_included_index, .. } = *view;
    if commit_index > last_index {
        return Err(Invariant::LeaderCompleteness.broken(format!(
            "server {server} takes everything up to index {commit_index} for committed, but its log ends at {last_index}"
        )));
    }
    if commit_index < last_included_index {
        return Err(Invariant::StateMachineSafety.broken(format!(
            "server {server} has a snapshot up to index {last_included_index}, but takes only what is up to {commit_index} \
             for committed"
        )));
    }
    Ok(())
}
