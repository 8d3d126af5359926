//! What a replica knows, and what becomes of each message from Raft: without threads or
//! network.

use std::collections::BTreeMap;

use labrt::oneshot::{self, Put, Take};
use serde::{Deserialize, Serialize};

use crate::machine::StateMachine;
use crate::snapshot;

/// What an entry of the log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry<C> {
    /// Nothing. A new leader has one committed, and with it what its predecessors left
    /// (§8).
    NoOp,
    /// A command for the machine.
    Command(C),
}

/// Somebody who looks at the machine after each step; see [`crate::Rsm::watch_machine`].
pub(crate) type Watcher<S> = Box<dyn FnMut(u64, &S) + Send>;

/// A replica: the machine, and who waits for what becomes of which entry.
pub(crate) struct State<S: StateMachine> {
    /// The service itself.
    pub(crate) machine: S,
    /// Index of the last entry applied to it, 0 at first.
    pub(crate) applied: u64,
    /// Term of that entry.
    applied_term: u64,
    /// How many reads wait until more is applied.
    pub(crate) reads: usize,
    /// The submits that wait on this server, by the index at which their entry stands if it
    /// is ever committed.
    waiting: BTreeMap<u64, Waiter<S::Reply>>,
    /// A tester's eye on the machine.
    watcher: Option<Watcher<S>>,
}

/// A submit that waits. Dropping it tells the submit that this server knows no more about
/// the fate of its entry.
struct Waiter<R> {
    /// The term in which this server, as the leader, made the entry.
    term: u64,
    reply: Put<R>,
}

impl<S: StateMachine> State<S> {
    /// A replica at boot, with the snapshot that its disk holds (empty: none).
    ///
    /// # Panics
    /// If the snapshot is damaged.
    pub(crate) fn new(machine: S, snapshot: &[u8]) -> Self {
        let mut state =
            State { machine, applied: 0, applied_term: 0, reads: 0, waiting: BTreeMap::new(), watcher: None };
        if !snapshot.is_empty() {
            state.restore(snapshot);
        }
        state
    }

    /// Waits for the entry that this server has just made at `index` in `term`.
    ///
    /// Should somebody wait for that index already, then the entry was of an earlier term,
    /// and is gone.
    pub(crate) fn wait_for(&mut self, index: u64, term: u64) -> Take<S::Reply> {
        let (reply, outcome) = oneshot::channel();
        self.waiting.insert(index, Waiter { term, reply });
        outcome
    }

    /// How many submits wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Applies the committed entry at `index`.
    ///
    /// # Panics
    /// If an index is left out or comes twice, or the entry is not one of this service.
    pub(crate) fn apply(&mut self, index: u64, term: u64, entry: &[u8]) {
        assert!(
            index == self.applied + 1,
            "Raft hands over the entry at index {index}, but {} have been applied",
            self.applied
        );
        let reply = match labgob::decode(entry) {
            Ok(Entry::NoOp) => None,
            Ok(Entry::Command(command)) => Some(self.machine.apply(command)),
            Err(error) => panic!("the entry at index {index} is no command of this service: {error}"),
        };
        self.applied = index;
        // Before anybody learns of it: what follows from the step must not be seen first.
        self.show();
        let waiter = self.waiting.remove(&index);
        // Index and term together name an entry. In another term it is not the one that the
        // submit made, whatever it says.
        if let (Some(waiter), Some(reply)) = (waiter.filter(|waiter| waiter.term == term), reply) {
            waiter.reply.put(reply);
        }
        self.note_term(term);
    }

    /// An entry of `term` is committed. Terms never regress along the log, so the entries
    /// that this server made in earlier terms, and that are not yet committed, never will
    /// be: their places are taken.
    fn note_term(&mut self, term: u64) {
        if term > self.applied_term {
            self.applied_term = term;
            self.waiting.retain(|_, waiter| waiter.term >= term);
        }
    }

    /// This server leads no more in the terms up to `term`. The entries that it made may or
    /// may not be committed by its successors; those who wait had better ask them.
    pub(crate) fn end_leadership(&mut self, term: u64) {
        self.waiting.retain(|_, waiter| waiter.term > term);
    }

    /// Shows the machine to `watcher`, now and after each step.
    pub(crate) fn watch(&mut self, watcher: Watcher<S>) {
        self.watcher = Some(watcher);
        self.show();
    }

    fn show(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher(self.applied, &self.machine);
        }
    }

    /// The state as bytes.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        snapshot::seal(self.machine.snapshot(), self.applied)
    }

    /// Puts a snapshot, from the disk or from the leader, in the place of the state.
    ///
    /// # Panics
    /// If the snapshot is damaged, or older than the state.
    pub(crate) fn restore(&mut self, snapshot: &[u8]) {
        let (index, machine) = snapshot::open(snapshot)
            .unwrap_or_else(|damage| panic!("a snapshot of {} bytes is damaged: {damage}", snapshot.len()));
        assert!(
            index >= self.applied,
            "Raft hands over a snapshot up to index {index}, but {} entries have been applied",
            self.applied
        );
        if let Err(error) = self.machine.restore(machine) {
            panic!("a snapshot up to index {index} is none of this service: {error}");
        }
        self.applied = index;
        self.show();
        // What came of the entries in between the snapshot does not say.
        self.waiting.retain(|&waited, _| waited > index);
    }
}
