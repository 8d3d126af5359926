//! The monitor: one lock, two threads, and the calls that wait.
//!
//! | thread | waits for | does |
//! |---|---|---|
//! | `apply_loop` | what Raft hands over | applies it, answers those who wait, makes snapshots |
//! | `leadership_loop` | another leader, or becoming one | lets those go who wait in vain; as a new leader, commits a no-op |
//!
//! The lock is taken before Raft's own, never the other way round: Raft gives its lock up
//! before it hands anything over.

use std::fmt;

use labapi::Observer;
use labrpc::{ClientEnd, Service};
use labrt::channel::{Receiver, bounded};
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::thread;
use raft::rpc::RaftRpc;
use raft::{ApplyMsg, Options, Persister, Raft};

use crate::machine::StateMachine;
use crate::state::{Entry, State};

/// How many messages Raft may be ahead of the machine. On real threads each hand-over
/// through an unbuffered channel is a switch of threads, which costs more than applying
/// does.
const APPLY_BUFFER: usize = 256;

/// Why a submit has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// This server is not the leader. Nothing has happened; ask another.
    NotLeader,
    /// This server was the leader, and lost its leadership before the entry was committed. The
    /// command may yet be carried out, or may have been, or may never be. Ask the next
    /// leader, in a way that does no harm if it was (see [`crate::WithSessions`]).
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

/// One replica of a service.
pub struct Rsm<S: StateMachine> {
    state: Mutex<State<S>>,
    /// Signalled when more has been applied and a read may be waiting for it.
    more_applied: Condvar,
    raft: Arc<Raft>,
    /// The disk, to see how large Raft's state has become.
    persister: Persister,
    /// From so many bytes of Raft's state on the machine's state is snapshotted; `None`:
    /// never.
    max_raft_state: Option<usize>,
}

impl<S: StateMachine> Rsm<S> {
    /// Starts replica `me` of the service whose servers are reached through `ends`, with
    /// what `persister` holds of an earlier life, and returns at once. `machine` is the
    /// initial state. WithSessions Raft's state takes `max_raft_state` bytes or more, a snapshot
    /// replaces it.
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
        let state = State::new(machine, &persister.snapshot());
        let (sender, messages) = bounded(APPLY_BUFFER);
        let raft = Raft::make_with(ends, me, persister.clone(), sender, options);
        // Nobody can have sent another snapshot yet: the handlers are not on the network.
        assert!(
            raft.last_included_index() == state.applied,
            "the snapshot on the disk reaches to index {}, but the log goes on behind {}",
            state.applied,
            raft.last_included_index()
        );
        let more_applied = Condvar::new();
        let rsm = Arc::new(Rsm { state: Mutex::new(state), more_applied, raft, persister, max_raft_state });
        let (applier, follower) = (rsm.clone(), rsm.clone());
        thread::spawn_named("rsm apply_loop", move || applier.apply_loop(&messages));
        thread::spawn_named("rsm leadership_loop", move || follower.leadership_loop());
        rsm
    }

    /// The Raft below, to be asked for its state, or watched.
    pub fn raft(&self) -> &Arc<Raft> {
        &self.raft
    }

    /// Whether this server believes it is the leader. A leader that was cut off believes
    /// so until it hears of its successor.
    pub fn is_leader(&self) -> bool {
        self.raft.get_state().1
    }

    /// Blocks until this server is the leader; returns at once if it is.
    pub fn wait_until_leader(&self) {
        let mut leadership = self.raft.get_state();
        while !leadership.1 {
            leadership = self.raft.wait_for_leadership(leadership);
        }
    }

    /// The RPCs that the replicas send each other.
    pub fn service(&self) -> Service {
        self.raft.clone().into_service()
    }

    /// Has `command` committed and carried out by all replicas, and returns what this one's
    /// machine replied. Blocks until then, or until this server can no longer know.
    ///
    /// A leader that is cut off, and learns of no other, blocks for as long as that lasts.
    ///
    /// # Errors
    /// [`SubmitError::NotLeader`] if nothing has happened, [`SubmitError::Overtaken`] if
    /// nobody knows whether anything will.
    pub fn submit(&self, command: &S::Command) -> Result<S::Reply, SubmitError> {
        let entry = labgob::encode(&Entry::Command(command));
        let outcome = {
            // The lock is held from before the entry exists until somebody waits for it, so
            // that it cannot be applied in between.
            let mut state = self.state.lock();
            let (index, term) = self.raft.start(entry).ok_or(SubmitError::NotLeader)?;
            state.wait_for(index, term)
        };
        outcome.wait().ok_or(SubmitError::Overtaken)
    }

    /// The machine's answer to a command that changes nothing, without the log: as fresh as
    /// [`Rsm::submit`]'s would be, but for the price of a round of heartbeats (ReadIndex), or
    /// with leases for nothing. See `raft`'s `reads.rs`.
    ///
    /// # Errors
    /// [`SubmitError::NotLeader`], also if the server ceases to lead in the meantime.
    ///
    /// # Panics
    /// If the machine says that the command is no read.
    pub fn read(&self, command: &S::Command) -> Result<S::Reply, SubmitError> {
        self.inspect_fresh(|machine| {
            machine.read(command).expect("only commands that change nothing are read")
        })
    }

    /// Looks at the machine as [`Rsm::read`] does: it knows all that was committed when this
    /// was called.
    ///
    /// # Errors
    /// [`SubmitError::NotLeader`], also if the server ceases to lead in the meantime.
    pub fn inspect_fresh<T>(&self, look: impl FnOnce(&S) -> T) -> Result<T, SubmitError> {
        let index = self.raft.read_index().ok_or(SubmitError::NotLeader)?;
        let mut state = self.state.lock();
        state.reads += 1;
        while state.applied < index {
            self.more_applied.wait(&mut state);
        }
        state.reads -= 1;
        Ok(look(&state.machine))
    }

    /// Looks at the machine as it is on this server, which may be far behind the others.
    pub fn inspect<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        look(&self.state.lock().machine)
    }

    /// How many submits wait on this server.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting()
    }

    /// Shows Raft's state to a tester.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.raft.watch(observer);
    }

    /// Shows the machine to a tester: now, and after each entry or snapshot before anybody can
    /// learn what came of it; together with the index up to which it has applied the log.
    /// The lock is held meanwhile.
    pub fn watch_machine(&self, watcher: impl FnMut(u64, &S) + Send + 'static) {
        self.state.lock().watch(Box::new(watcher));
    }

    /// Applies what Raft hands over, in order.
    fn apply_loop(&self, messages: &Receiver<ApplyMsg>) {
        while let Ok(first) = messages.recv() {
            // What is there already comes along under the same lock.
            let mut state = self.state.lock();
            self.take(&mut state, first);
            for _ in 1..APPLY_BUFFER {
                let Ok(next) = messages.try_recv() else { break };
                self.take(&mut state, next);
            }
            if state.reads > 0 {
                self.more_applied.notify_all();
            }
        }
    }

    fn take(&self, state: &mut State<S>, message: ApplyMsg) {
        match message {
            ApplyMsg::Command { index, term, command } => {
                state.apply(index, term, &command);
                self.snapshot_if_large(state);
            }
            ApplyMsg::Snapshot { snapshot, .. } => state.restore(&snapshot),
        }
    }

    /// Replaces the log by a snapshot when it has become too long.
    fn snapshot_if_large(&self, state: &State<S>) {
        if self.max_raft_state.is_some_and(|max| self.persister.state_size() >= max) {
            self.raft.snapshot(state.applied, &state.snapshot());
        }
    }

    /// Follows who is in leadership.
    fn leadership_loop(&self) {
        let (mut term, mut leads) = (0, false);
        loop {
            (term, leads) = self.raft.wait_for_leadership((term, leads));
            let mut state = self.state.lock();
            // As a leader this server may have begun to wait for entries of its own term.
            state.end_leadership(if leads { term - 1 } else { term });
            if leads {
                // Whatever the predecessors left can be committed only together with an
                // entry of this term (§5.4.2), and clients might not send any for long.
                // That the leadership may be lost again by now does not matter.
                let _ = self.raft.start(labgob::encode(&Entry::<()>::NoOp));
            }
        }
    }
}
