// handout: put classic
// //! A replica: the consensus module below, the service above, and the calls that wait.
// handout: end
// handout: drop classic
//! The monitor: one lock, two threads, and the calls that wait.
//!
//! | thread | waits for | does |
//! |---|---|---|
//! | `apply_loop` | messages from Raft | applies them, answers submits, makes snapshots |
//! | `leadership_loop` | a change of leadership | wakes submits that can no longer succeed; as a new leader, submits a no-op |
//!
//! A thread may take Raft's lock while it holds this one, never the other way round: Raft
//! gives up its own lock before it hands anything over.
// handout: end

use std::fmt;

// handout: put classic
// use labapi::{Consensus, Observer, Options, Persister};
// handout: end
// handout: drop classic
use labapi::{ApplyMsg, Consensus, Observer, Options, Persister, ReadIndex};
// handout: end
use labrpc::{ClientEnd, Service};
// handout: drop classic
use labrt::channel::{Receiver, bounded};
use labrt::sync::{Arc, Condvar, Monitor, Settle};
use labrt::thread;
use tracing::debug;
// handout: end
// handout: put classic
// use labrt::sync::{Arc, Mutex};
// handout: end

use crate::below::Below;
use crate::machine::StateMachine;
// handout: drop classic
use crate::state::{Entry, State, Told};

/// How many messages Raft may be ahead of the machine, and how many the machine applies
/// under one lock. On real threads an unbuffered channel switches threads for each message,
/// which costs more than applying it.
const APPLY_BUFFER: usize = 256;
// handout: end

/// Why a submit has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// This server is not the leader. Nothing has happened; ask another server.
    NotLeader,
    /// This server was the leader, and lost leadership before it knew that the entry was
    /// committed. The command may have been carried out, may be carried out later, or never.
    /// Ask the next leader, under the same number, so that the command is carried out once
    /// (see [`crate::WithSessions`]). A submit ends so as soon as its server learns of a later
    /// term; the tests allow 300 ms from the moment when a deposed leader is connected again.
    Overtaken,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubmitError::NotLeader => "this server is not the leader",
            SubmitError::Overtaken => "this server lost its leadership before the command was committed",
        })
    }
}

impl std::error::Error for SubmitError {}

// handout: bodies kept
/// One replica of a service.
pub struct Rsm<S: StateMachine> {
    // handout: put classic
    // /// What all threads of the replica share.
    // state: Mutex<State<S>>,
    // handout: end
    // handout: drop classic
    state: Monitor<State<S>>,
    // handout: end
    raft: Arc<Below>,
    // handout: drop classic
    /// The disk, to see how large Raft's state has become.
    persister: Persister,
    /// The size of Raft's state, in bytes, from which on a snapshot replaces the log;
    /// `None`: never.
    max_raft_state: Option<usize>,
    // handout: end
}

// handout: put classic
// /// What the lock protects.
// struct State<S> {
//     /// The service.
//     machine: S,
//     // Your data here.
// }
//
// handout: end
// handout: bodies RSM
// handout: drop classic
impl<S: StateMachine> Settle for State<S> {
    /// More has been applied. Reads wait for it.
    type Signals = Condvar;

    fn settle(&mut self, more_applied: &Condvar) {
        if self.has_news_for_reads() {
            more_applied.notify_all();
        }
    }
}

// handout: end
impl<S: StateMachine> Rsm<S> {
    /// Starts replica `me` of the service whose servers are reached through `ends`, with
    /// what `persister` holds of an earlier life, and returns at once. `machine` is the
    /// initial state. Once Raft's state takes `max_raft_state` bytes or more, a snapshot
    /// replaces the log; `None`: never.
    ///
    /// The threads belong to the node on which this is called, and end with it.
    ///
    /// # Panics
    /// If what the disk holds is damaged.
    pub fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
        machine: S,
    ) -> Arc<Rsm<S>> {
        Rsm::start_with(ends, me, persister, max_raft_state, machine, Options::default())
    }

    /// As [`Rsm::start`], with options for the Raft below.
    ///
    /// # Panics
    /// As [`Rsm::start`]; and if an option makes no sense.
    pub fn start_with(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
        machine: S,
        options: Options,
    ) -> Arc<Rsm<S>> {
        let state = State::new(machine, &persister.snapshot_shared());
        let (sender, messages) = bounded(APPLY_BUFFER);
        let raft = Below::make_with(ends, me, persister.clone(), sender, options);
        // No other snapshot can have come yet: the handlers are not on the network.
        if let Some(index) = raft.last_included_index() {
            assert!(
                index == state.applied,
                "the snapshot on the disk reaches to index {}, but the log goes on behind {index}",
                state.applied
            );
        }
        let rsm = Arc::new(Rsm { state: Monitor::new(state), raft, persister, max_raft_state });
        let (applier, follower) = (rsm.clone(), rsm.clone());
        thread::spawn_named("rsm apply_loop", move || applier.apply_loop(&messages));
        thread::spawn_named("rsm leadership_loop", move || follower.leadership_loop());
        rsm
    }

    // handout: body kept
    /// The consensus module below: for its state, or to watch it.
    pub fn raft(&self) -> &Arc<Below> {
        &self.raft
    }

    // handout: body kept
    /// Whether this server believes it is the leader. A leader that was cut off believes
    /// so until it hears of its successor.
    pub fn is_leader(&self) -> bool {
        self.raft.get_state().1
    }

    /// Blocks until this server is the leader; returns at once if it is.
    pub fn wait_until_leader(&self) {
        let mut leadership = self.raft.get_state();
        while !leadership.1 {
            let before = leadership.0;
            leadership = self.raft.wait_for_leadership(leadership);
            debug_assert!(leadership.0 >= before, "the term regresses from {before} to {}", leadership.0);
        }
    }

    // handout: body kept
    /// The RPCs that the replicas send each other.
    pub fn service(&self) -> Service {
        self.raft.service()
    }

    /// Has `command` committed, and carried out by every replica, and returns the reply of
    /// this one's machine. Blocks until then, or until this server can no longer find out.
    ///
    /// At a leader that is cut off, and hears of no other, this blocks for as long as that
    /// lasts.
    ///
    /// # Errors
    /// [`SubmitError::NotLeader`] if nothing has happened, [`SubmitError::Overtaken`] if this
    /// server cannot know whether the command was or will be carried out.
    pub fn submit(&self, command: &S::Command) -> Result<S::Reply, SubmitError> {
        let entry = labgob::encode(&Entry::Command(command));
        let outcome = {
            // The lock is held until the submit is in the table, so that the entry cannot be
            // applied before.
            let mut state = self.state.lock();
            let (index, term) = self.raft.start(entry).ok_or(SubmitError::NotLeader)?;
            debug_assert!(term > 0, "no server leads term 0");
            debug!(target: "submit", "waits for entry {index} of term {term}");
            state.wait_for(index, term)
        };
        outcome.wait().ok_or(SubmitError::Overtaken)
    }

    /// The machine's answer to a command that changes nothing, without the log. It is as
    /// fresh as the answer of [`Rsm::submit`], and costs a round of heartbeats (ReadIndex), or
    // handout: drop
    /// nothing (leases). See `raft`'s `reads.rs`.
    // handout: end
    // handout: put
    // /// nothing (leases). If the module below knows neither, an entry without effect does.
    // handout: end
    ///
    /// # Errors
    /// [`SubmitError::NotLeader`], also if the server loses leadership before it is sure that it led after
    /// the call began. From then on it may answer, leader or not.
    ///
    /// # Panics
    /// If the command is not one that [`StateMachine::read`] answers.
    pub fn read(&self, command: &S::Command) -> Result<S::Reply, SubmitError> {
        self.inspect_fresh(|machine| {
            machine.read(command).expect("only commands that change nothing are read")
        })
    }

    /// Looks at the machine once it has applied everything that was committed before the
    /// call, as [`Rsm::read`] does.
    ///
    /// # Errors
    /// As [`Rsm::read`].
    pub fn inspect_fresh<T>(&self, look: impl FnOnce(&S) -> T) -> Result<T, SubmitError> {
        let index = match self.raft.read_index() {
            ReadIndex::At(index) => index,
            ReadIndex::NotLeader => return Err(SubmitError::NotLeader),
            ReadIndex::Unsupported => {
                self.barrier()?;
                return Ok(self.inspect(look));
            }
        };
        let mut state = self.state.lock();
        debug!(target: "read", "at index {index}, of which {} are applied", state.applied);
        state.reads += 1;
        while state.applied < index {
            state.wait(|more_applied| more_applied);
        }
        debug_assert!(state.applied >= index && state.reads > 0, "a read that may miss a write");
        state.reads -= 1;
        Ok(look(&state.machine))
    }

    /// Has an entry without effect committed, for reads over a module that has no other proof. Once it is
    /// applied, so is everything that was committed before the call.
    ///
    /// # Errors
    /// [`SubmitError::NotLeader`], also if the leadership was lost: a read changes nothing, so it may be
    /// asked for again.
    fn barrier(&self) -> Result<(), SubmitError> {
        let outcome = {
            let mut state = self.state.lock();
            let no_op = labgob::encode(&Entry::<()>::NoOp);
            let (index, term) = self.raft.start(no_op).ok_or(SubmitError::NotLeader)?;
            state.wait_for_barrier(index, term)
        };
        // Nothing has happened, whatever became of the entry.
        outcome.wait().ok_or(SubmitError::NotLeader)
    }

    /// Looks at the machine as it is on this server, which may be far behind the others.
    pub fn inspect<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        look(&self.state.lock().machine)
    }

    /// How many submits wait on this server.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting()
    }

    // handout: body kept
    /// Shows Raft's state to a tester.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.raft.watch(observer);
    }

    /// Shows the machine to a tester, together with the index up to which it has applied the
    /// log: now, and after each entry or snapshot, before any client can learn its effect.
    /// The lock is held meanwhile.
    pub fn watch_machine(&self, watcher: impl FnMut(u64, &S) + Send + 'static) {
        self.state.lock().watch(Box::new(watcher));
    }

    /// Applies what Raft hands over, in order.
    fn apply_loop(&self, messages: &Receiver<ApplyMsg>) {
        while let Ok(first) = messages.recv() {
            // Messages that are there already come along under the same lock.
            let mut state = self.state.lock();
            state.take(first);
            for _ in 1..APPLY_BUFFER {
                let Ok(next) = messages.try_recv() else { break };
                state.take(next);
            }
            let answers = state.take_answers();
            drop(state);
            answers.into_iter().for_each(Told::tell);
            self.snapshot_if_large();
        }
    }

    /// Replaces the log by a snapshot when it has become too long. Once for all messages
    /// that were taken together: each snapshot writes the whole state.
    fn snapshot_if_large(&self) {
        let size = self.persister.state_size();
        let is_large = self.max_raft_state.is_some_and(|max| size >= max);
        if !is_large {
            return;
        }
        let mut state = self.state.lock();
        if state.applied > state.last_included_index {
            debug!(target: "snapshot", "at index {}, because the log takes {size} bytes", state.applied);
            self.raft.snapshot(state.applied, state.snapshot());
        }
    }

    /// Follows the leadership of this server.
    fn leadership_loop(&self) {
        let (mut term, mut leads) = (0, false);
        loop {
            let before = (term, leads);
            (term, leads) = self.raft.wait_for_leadership(before);
            debug_assert!(before != (term, leads), "woken without a change");
            debug!(target: "leader", "term {term}: {}", if leads { "leads" } else { "does not lead" });
            // A leader that hears from no majority may give up within its term; then no entry of
            // this term is made here any more.
            let gave_up = before == (term, true);
            self.state.lock().end_leadership_before(if gave_up { term + 1 } else { term });
            if leads {
                // Entries of earlier terms can be committed only together with an entry of
                // this term (§5.4.2), and clients may send none for long. If the leadership
                // is lost again by now, the next leader does this.
                let _ = self.raft.start(labgob::encode(&Entry::<()>::NoOp));
            }
        }
    }
}
