//! The state of a server, its threads, and the rules that hold for all servers.

use labapi::{ApplyMsg, Persister, Role};
use labrpc::ClientEnd;
use labrt::channel::Sender;
use labrt::rand::random_range;
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::thread;
use labrt::time::{Duration, Instant};

use crate::log::Log;
use crate::rpc::Peer;

/// How often a leader sends heartbeats. The course allows about ten a second.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// How often the ticker looks whether something is due.
const TICK: Duration = Duration::from_millis(10);

/// One server of a Raft cluster.
pub struct Raft {
    pub(crate) me: usize,
    pub(crate) peers: Vec<Peer>,
    pub(crate) persister: Persister,
    /// The one big lock.
    pub(crate) state: Mutex<State>,
    /// Wakes the apply thread: there is something to apply.
    pub(crate) apply_cond: Condvar,
}

/// Everything that the lock protects.
pub(crate) struct State {
    // Persistent (Figure 2).
    pub(crate) current_term: u64,
    pub(crate) voted_for: Option<usize>,
    pub(crate) log: Log,

    // Volatile, on all servers.
    pub(crate) role: Role,
    pub(crate) commit_index: u64,
    /// Everything up to here was handed to the service, or is being handed to it now.
    pub(crate) last_applied: u64,
    /// A snapshot that a leader has sent and that the service has not seen yet.
    pub(crate) pending_snapshot: Option<ApplyMsg>,
    /// When to stand for election, unless something is heard until then.
    pub(crate) election_deadline: Instant,

    // Volatile, on candidates and leaders.
    /// Votes that this candidate has in its term, its own included.
    pub(crate) votes: usize,
    pub(crate) next_index: Vec<u64>,
    pub(crate) match_index: Vec<u64>,
    /// When the next round of heartbeats is due.
    pub(crate) heartbeat_due: Instant,
}

impl Raft {
    /// Starts a server: its state, and its two threads.
    pub(crate) fn begin(
        peers: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        apply: Sender<ApplyMsg>,
    ) -> Arc<Raft> {
        let state = Mutex::new(State::restore(&persister.state(), peers.len()));
        let peers = peers.into_iter().map(Peer::new).collect();
        let raft = Arc::new(Raft { me, peers, persister, state, apply_cond: Condvar::new() });
        let ticking = Arc::clone(&raft);
        thread::spawn_named("ticker", move || ticking.ticker());
        let applying = Arc::clone(&raft);
        thread::spawn_named("apply", move || applying.apply_loop(&apply));
        raft
    }

    /// Looks every few milliseconds whether it is time for heartbeats or for an election.
    fn ticker(self: &Arc<Self>) {
        loop {
            thread::sleep(TICK);
            let mut state = self.state.lock();
            let now = Instant::now();
            if state.role == Role::Leader {
                if now >= state.heartbeat_due {
                    state.heartbeat_due = now + HEARTBEAT;
                    self.send_heartbeats(&state);
                }
            } else if now >= state.election_deadline {
                self.start_election(&mut state);
            }
        }
    }

    /// Hands to the service what is committed, and snapshots from the leader. No other thread sends on the
    /// channel, so the order is right. It has no lock while it sends: the service may be slow, or call
    /// `snapshot`.
    fn apply_loop(&self, apply: &Sender<ApplyMsg>) {
        loop {
            let mut state = self.state.lock();
            while state.pending_snapshot.is_none() && state.last_applied >= state.commit_index {
                self.apply_cond.wait(&mut state);
            }
            let messages = state.take_messages();
            drop(state);
            for message in messages {
                if apply.send(message).is_err() {
                    return;
                }
            }
        }
    }

    /// Writes to the disk what must survive a crash. Whoever changes that calls it before he gives up the
    /// lock or sends a message.
    pub(crate) fn persist(&self, state: &State) {
        self.persister.save(&state.encode(), None);
    }

    /// The numbers of all other servers.
    pub(crate) fn others(&self) -> impl Iterator<Item = usize> {
        let me = self.me;
        (0..self.peers.len()).filter(move |&peer| peer != me)
    }

    /// Whether this many servers are a majority.
    pub(crate) fn is_majority(&self, count: usize) -> bool {
        count > self.peers.len() / 2
    }

    /// Rule for all servers: a server that sees a newer term becomes a follower in it (§5.1).
    pub(crate) fn see_term(&self, state: &mut State, term: u64) {
        if term > state.current_term {
            state.current_term = term;
            state.voted_for = None;
            state.role = Role::Follower;
            self.persist(state);
        }
    }
}

impl State {
    /// The state of a server that starts: what was on the disk, and nothing else.
    fn restore(bytes: &[u8], servers: usize) -> State {
        let (current_term, voted_for, log): (u64, Option<usize>, Log) = if bytes.is_empty() {
            (0, None, Log::default())
        } else {
            labgob::decode(bytes).expect("only `persist` writes to this disk")
        };
        let now = Instant::now();
        let mut state = State {
            current_term,
            voted_for,
            role: Role::Follower,
            // What is in a snapshot was committed and applied; the service reads it from the disk itself.
            commit_index: log.base(),
            last_applied: log.base(),
            pending_snapshot: None,
            election_deadline: now,
            votes: 0,
            next_index: vec![0; servers],
            match_index: vec![0; servers],
            heartbeat_due: now,
            log,
        };
        state.reset_election_timer();
        state
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        labgob::encode(&(self.current_term, self.voted_for, &self.log))
    }

    /// A new random time-out, so that servers seldom stand for election together (§5.2).
    pub(crate) fn reset_election_timer(&mut self) {
        self.election_deadline = Instant::now() + Duration::from_millis(random_range(300..600));
    }

    /// What the service must get next. A snapshot goes first: it covers more than what was committed before
    /// it came.
    fn take_messages(&mut self) -> Vec<ApplyMsg> {
        if let Some(message) = self.pending_snapshot.take() {
            self.last_applied = self.log.base().max(self.last_applied);
            return vec![message];
        }
        let range = self.last_applied + 1..=self.commit_index;
        self.last_applied = self.commit_index;
        let message = |index| {
            let entry = self.log.entry(index).expect("what is not applied is not in a snapshot");
            ApplyMsg::Command { index, term: entry.term, command: entry.command.clone() }
        };
        range.map(message).collect()
    }
}
