// handout: file guided
//! What a replica knows, and what each message from Raft does to it. No threads, no network.

use std::collections::BTreeMap;

use labapi::ApplyMsg;
use labrt::oneshot::{self, Put, Take};
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::machine::StateMachine;
use crate::snapshot;

/// The content of a log entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry<C> {
    /// Nothing. A new leader has one committed, and with it the entries of earlier leaders
    /// (§8).
    NoOp,
    /// A command for the machine.
    Command(C),
}

/// Is shown the machine after each step; see [`crate::Rsm::watch_machine`].
pub(crate) type Watcher<S> = Box<dyn FnMut(u64, &S) + Send>;

/// A replica: the machine, and the table of submits that wait.
pub(crate) struct State<S: StateMachine> {
    /// The service itself.
    pub(crate) machine: S,
    /// Index of the last entry applied to it, 0 at first.
    pub(crate) applied: u64,
    /// The highest term of an entry that was applied since the boot, 0 at first. The term of a
    /// snapshot is not used.
    applied_term: u64,
    /// The last index that the newest snapshot replaces; 0 if there is none.
    pub(crate) last_included_index: u64,
    /// How many reads wait until more is applied.
    pub(crate) reads: usize,
    /// The value of `applied` that reads were told last.
    told: u64,
    /// The submits that wait on this server, by the index that their entry has if it is ever
    /// committed.
    waiting: BTreeMap<u64, Waiter<S::Reply>>,
    /// Answers to submits that nobody has been told yet; see [`State::take_answers`].
    answers: Vec<Told<S::Reply>>,
    watcher: Option<Watcher<S>>,
}

/// A submit that waits. Dropping it tells the submit that this server cannot find out what
/// becomes of its entry.
struct Waiter<R> {
    /// The term in which this server, as the leader, made the entry.
    term: u64,
    answer: Answer<R>,
}

/// What a submit waits for.
enum Answer<R> {
    /// The machine's reply to a command.
    Reply(Put<R>),
    /// That a no-op of its own is committed: proof that this server led, and has applied everything before.
    Barrier(Put<()>),
}

/// An answer, with the place where its submit waits.
pub(crate) enum Told<R> {
    Reply(Put<R>, R),
    Barrier(Put<()>),
}

// handout: bodies RSM
impl<R> Told<R> {
    /// Wakes the submit.
    pub(crate) fn tell(self) {
        match self {
            Told::Reply(waiter, reply) => waiter.put(reply),
            Told::Barrier(waiter) => waiter.put(()),
        }
    }
}

impl<S: StateMachine> State<S> {
    /// A replica at boot, with the snapshot that its disk holds (empty: none).
    ///
    /// # Panics
    /// If the snapshot is damaged.
    pub(crate) fn new(machine: S, snapshot: &[u8]) -> Self {
        let mut state = State {
            machine,
            applied: 0,
            applied_term: 0,
            last_included_index: 0,
            reads: 0,
            told: 0,
            waiting: BTreeMap::new(),
            answers: Vec::new(),
            watcher: None,
        };
        if !snapshot.is_empty() {
            state.restore(snapshot);
        }
        state
    }

    /// Waits for the entry that this server has just made at `index` in `term`.
    ///
    /// If a submit waits for that index already, its entry was of an earlier term, and has
    /// been truncated.
    pub(crate) fn wait_for(&mut self, index: u64, term: u64) -> Take<S::Reply> {
        let (reply, outcome) = oneshot::channel();
        self.enlist(index, Waiter { term, answer: Answer::Reply(reply) });
        outcome
    }

    /// Waits until the no-op that this server has just made at `index` in `term` is applied.
    pub(crate) fn wait_for_barrier(&mut self, index: u64, term: u64) -> Take<()> {
        let (applied, outcome) = oneshot::channel();
        self.enlist(index, Waiter { term, answer: Answer::Barrier(applied) });
        outcome
    }

    /// Puts a waiter into the table. One of an earlier term at that index ends without a reply.
    fn enlist(&mut self, index: u64, waiter: Waiter<S::Reply>) {
        debug_assert!(index > self.applied, "entry {index} was applied before its submit could wait");
        let term = waiter.term;
        let before = self.waiting.insert(index, waiter);
        debug_assert!(
            before.is_none_or(|before| before.term < term),
            "two entries of term {term} at {index}"
        );
    }

    /// Whether more has been applied since the last call, and a read may wait for it.
    pub(crate) fn has_news_for_reads(&mut self) -> bool {
        debug_assert!(self.told <= self.applied, "the state machine went back to index {}", self.applied);
        debug_assert!(
            self.waiting.first_key_value().is_none_or(|(&index, _)| index > self.applied),
            "a submit waits for an entry that was applied"
        );
        std::mem::replace(&mut self.told, self.applied) != self.applied && self.reads > 0
    }

    /// Takes a message from Raft. A snapshot ends the waits for the entries that it replaces.
    ///
    /// # Panics
    /// If it is not the next one, or is not one of this service.
    pub(crate) fn take(&mut self, message: ApplyMsg) {
        match message {
            ApplyMsg::Command { index, term, command } => self.apply(index, term, &command),
            ApplyMsg::Snapshot { snapshot, .. } => self.restore(&snapshot),
        }
    }

    /// How many submits wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Applies the committed entry at `index`.
    fn apply(&mut self, index: u64, term: u64, entry: &[u8]) {
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
        debug!(target: "apply", "entry {index} of term {term}");
        self.applied = index;
        // Before the submit learns of it: the watcher must see the step before its effects.
        self.show();
        let waiter = self.waiting.remove(&index);
        // Index and term together identify an entry. An entry of another term is not the
        // submit's, even if its command is the same.
        match (waiter.filter(|waiter| waiter.term == term).map(|waiter| waiter.answer), reply) {
            (Some(Answer::Reply(waiter)), Some(reply)) => self.answers.push(Told::Reply(waiter, reply)),
            (Some(Answer::Barrier(waiter)), None) => self.answers.push(Told::Barrier(waiter)),
            _ => {}
        }
        self.note_term(term);
    }

    /// The answers to the submits whose entries have been applied since the last call. The
    /// caller gives up the lock before it tells them: each wakes a thread, and those threads
    /// soon want the lock.
    pub(crate) fn take_answers(&mut self) -> Vec<Told<S::Reply>> {
        std::mem::take(&mut self.answers)
    }

    /// An entry of `term` is committed. Terms never regress along the log. So if this server
    /// made an entry in an earlier term, and it is not committed yet, it never will be:
    /// another entry has its place.
    fn note_term(&mut self, term: u64) {
        debug_assert!(
            term >= self.applied_term,
            "the log regresses from term {} to {term}",
            self.applied_term
        );
        if term > self.applied_term {
            self.applied_term = term;
            self.release(|_, waiter| waiter.term < term);
            debug_assert!(self.waiting.values().all(|waiter| waiter.term >= term), "a submit waits in vain");
        }
    }

    /// This server no longer leads any term before `term`. Later leaders may or may not commit
    /// the entries that it made; the clerks have to ask them.
    ///
    /// A submit of `term` itself goes on waiting, even if this server was a candidate when
    /// it was seen last: it may have won the election since, and made the entry.
    pub(crate) fn end_leadership_before(&mut self, term: u64) {
        self.release(|_, waiter| waiter.term < term);
        debug_assert!(self.waiting.values().all(|waiter| waiter.term >= term), "a submit waits in vain");
    }

    /// Wakes the submits for which this holds, without a reply.
    fn release(&mut self, is_over: impl Fn(u64, &Waiter<S::Reply>) -> bool) {
        let before = self.waiting.len();
        debug_assert!(self.last_included_index <= self.applied, "the snapshot is ahead of the machine");
        self.waiting.retain(|&index, waiter| !is_over(index, waiter));
        if self.waiting.len() < before {
            debug!(target: "submit", "{} can no longer succeed here", before - self.waiting.len());
        }
    }

    /// Shows the machine to `watcher`, now and after each step.
    pub(crate) fn watch(&mut self, watcher: Watcher<S>) {
        self.watcher = Some(watcher);
        self.show();
    }

    /// Shows the machine to the watcher, if there is one.
    fn show(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher(self.applied, &self.machine);
        }
    }

    /// The machine's state up to `applied`, sealed, for Raft to put in place of the log up to there.
    pub(crate) fn snapshot(&mut self) -> Vec<u8> {
        debug_assert!(self.applied > 0, "a snapshot of the initial state replaces no entry");
        self.last_included_index = self.applied;
        snapshot::seal(self.machine.snapshot(), self.applied)
    }

    /// Replaces the state by a snapshot, from the disk or from the leader.
    fn restore(&mut self, snapshot: &[u8]) {
        let (index, machine) = snapshot::open(snapshot)
            .unwrap_or_else(|damage| panic!("a snapshot of {} bytes is damaged: {damage}", snapshot.len()));
        assert!(
            index >= self.applied,
            "Raft hands over a snapshot up to index {index}, but {} entries have been applied",
            self.applied
        );
        if let Err(error) = self.machine.restore(machine) {
            panic!("a snapshot up to index {index} is not one of this service: {error}");
        }
        debug!(target: "snapshot", "continues from index {index}, in place of {}", self.applied);
        self.applied = index;
        self.last_included_index = index;
        self.show();
        // The snapshot does not tell the replies to the entries that it replaces.
        self.release(|waited, _| waited <= index);
    }
}
