//! The monitor: one lock, a fixed set of threads, the three conditions for which they wait,
//! and the RPC handlers.
//!
//! Everything that Raft decides is in [`State`], which knows of no thread; everything about
//! threads is here, and decides nothing. Three rules make that work:
//!
//! - Every access to the state goes through [`Raft::lock`]. Giving up the lock checks the
//!   invariants, and wakes the threads if there may be work for one of them: no other place
//!   needs to remember to do either.
//! - The lock is never held across anything that blocks: each thread's loop gives it up to
//!   wait for its condition, and to do the one thing that it is there for.
//! - What was true before that need not be true after it. Each loop therefore begins anew
//!   by asking the state what there is to do, and each reply is judged together with the
//!   request that it answers.
//!
//! | thread | waits for | does |
//! |---|---|---|
//! | `election_loop` | the election timeout | starts an election |
//! | `peer_loop`, one for each other server | something to say to that server | calls it, and brings the reply back |
//! | `apply_loop` | committed entries, or a leader's snapshot | hands them to the service, in order |
//!
//! A single condition variable would do for all of them, since each thread looks anew
//! whenever it is woken. There are three because on real threads most of a command's cost
//! is waking threads: with one, each command wakes every thread of every server several
//! times, mostly for nothing, and takes twice the context switches.

use std::ops::{Deref, DerefMut, RangeInclusive};

use labapi::{ApplyMsg, Observer, Persister};
use labrpc::ClientEnd;
use labrt::channel::Sender;
use labrt::sync::{Arc, Condvar, Mutex, MutexGuard};
use labrt::thread;
use labrt::time::{Duration, Instant};

use crate::invariants::Inspector;
use crate::reads::Options;
use crate::replication::{Reply, Request, Turn};
use crate::rpc::{
    AppendEntriesArgs, AppendEntriesReply, InstallSnapshotArgs, InstallSnapshotReply, RaftPeer, RaftRpc,
    RequestVoteArgs, RequestVoteReply,
};
use crate::state::State;

/// From this range each election timeout is drawn (§5.2), in milliseconds.
///
/// The paper's 150 to 300 ms suit a network that answers within a few. Here a message may
/// take 50 ms, the tester permits only about ten heartbeats a second, and one of these in
/// ten may be lost: the shortest timeout leaves room for three intervals, so that it takes
/// three losses in a row to depose a living leader. The width is many round trips, so that
/// the first candidate is mostly elected before the second one wakes. And the tester
/// expects a leader within five seconds.
const ELECTION_TIMEOUT_MS: RangeInclusive<u64> = 350..=700;

/// How long a thread waits for a reply before it goes on as if there were none.
///
/// The network may take seconds to give up on a server that is away, and to deliver a
/// reply; a follower's `peer_loop` must not be silent that long. Longer than any round trip
/// of a network in good order, and so short that two in a row fit into the shortest
/// election timeout.
const RPC_TIMEOUT: Duration = Duration::from_millis(150);

/// One server of a Raft cluster.
pub struct Raft {
    /// The state, with what watches over it.
    monitor: Mutex<Monitored>,
    /// Signalled when the server has another role; `election_loop` waits for it, and a
    /// service that asks for the leadership.
    role_changed: Condvar,
    /// Signalled when there may be something to say to the others; the `peer_loop`s wait
    /// for it.
    more_to_say: Condvar,
    /// Signalled when there is something to hand to the service; `apply_loop` waits for it.
    more_committed: Condvar,
    /// Signalled when a leader may know more about its being the leader; reads wait for it.
    more_certain: Condvar,
    /// How to call each server; the own place is there but unused.
    peers: Vec<RaftPeer>,
    /// Where the service takes its messages. Unbuffered: a send lasts until the service is
    /// ready for it.
    apply: Sender<ApplyMsg>,
}

/// What the lock protects.
struct Monitored {
    state: State,
    inspector: Inspector,
    /// How many reads wait for the leader to be certain.
    reads: usize,
    /// How many answers had come when they were last told.
    answers: u64,
}

/// The state while this thread has the lock. Dropping it inspects the state, wakes the
/// threads if there is news, and gives up the lock.
struct Locked<'a> {
    monitored: MutexGuard<'a, Monitored>,
    raft: &'a Raft,
}

impl Raft {
    /// Starts server `me` of the cluster whose servers are reached through `peers`, with
    /// what `persister` holds of an earlier life, and returns at once.
    ///
    /// Committed commands, and snapshots that came from a leader, are sent on `apply`. The
    /// threads belong to the node on which this is called, and end with it.
    ///
    /// # Panics
    /// If the Raft state on the disk was not written by this crate.
    pub fn make(
        peers: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        apply: Sender<ApplyMsg>,
    ) -> Arc<Raft> {
        Raft::make_with(peers, me, persister, apply, Options::default())
    }

    /// As [`Raft::make`], with options that are off by default.
    ///
    /// # Panics
    /// As [`Raft::make`]; and if an option makes no sense.
    pub fn make_with(
        peers: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        apply: Sender<ApplyMsg>,
        options: Options,
    ) -> Arc<Raft> {
        let mut state = State::new(me, peers.len(), persister, Instant::now(), random_election_timeout());
        let shortest_timeout = Duration::from_millis(*ELECTION_TIMEOUT_MS.start());
        if let Some(lease) = options.lease {
            state.keep_leases(lease, shortest_timeout);
        }
        let inspector = Inspector::new(&mut state);
        let others = state.others();
        let raft = Arc::new(Raft {
            monitor: Mutex::new(Monitored { state, inspector, reads: 0, answers: 0 }),
            role_changed: Condvar::new(),
            more_to_say: Condvar::new(),
            more_committed: Condvar::new(),
            more_certain: Condvar::new(),
            peers: peers.into_iter().map(|end| RaftPeer::new(end).timeout(RPC_TIMEOUT)).collect(),
            apply,
        });
        raft.spawn("election_loop".to_owned(), Raft::election_loop);
        for peer in others {
            raft.spawn(format!("peer_loop {peer}"), move |raft| raft.peer_loop(peer));
        }
        raft.spawn("apply_loop".to_owned(), Raft::apply_loop);
        raft
    }

    /// Starts one of the fixed threads.
    fn spawn(self: &Arc<Raft>, name: String, body: impl FnOnce(&Raft) + Send + 'static) {
        let raft = self.clone();
        let spawned = thread::Builder::new().name(name).spawn(move || body(&raft));
        // Without one of its threads the server would look alive and be broken.
        spawned.expect("the system has room for a thread");
    }

    /// Asks for `command` to be appended to the replicated log, and returns at once: the
    /// index at which it will stand if it is ever committed, and the current term. `None`
    /// if this server does not believe to be the leader. There is no promise that the
    /// command will be committed.
    pub fn start(&self, command: Vec<u8>) -> Option<(u64, u64)> {
        self.lock().start(command.into())
    }

    /// The current term, and whether this server believes to be its leader.
    pub fn get_state(&self) -> (u64, bool) {
        let state = self.lock();
        (state.term(), state.is_leader())
    }

    /// Waits until it is certain that this server was the only leader at some moment after
    /// the call, and returns the index up to which a read must have seen the log applied
    /// in order not to miss anything that was committed before (`reads.rs`). `None` if this
    /// server does not lead, or ceases to in the meantime.
    ///
    /// A leader that is cut off, and learns of no other, waits for as long as that lasts.
    pub fn read_index(&self) -> Option<u64> {
        let asked = Instant::now();
        let mut state = self.lock();
        let term = state.term();
        if state.is_leader() && !state.holds_lease(asked) {
            state.speak_up(asked);
            self.more_to_say.notify_all();
        }
        state.monitored.reads += 1;
        let index = loop {
            if state.term() != term || !state.is_leader() {
                break None;
            }
            let is_certain = state.holds_lease(Instant::now()) || state.led_at(asked);
            if let Some(index) = state.read_index().filter(|_| is_certain) {
                break Some(index);
            }
            state.wait(&self.more_certain, None);
        };
        state.monitored.reads -= 1;
        index
    }

    /// Blocks until term or leadership are no longer as in `seen`, an earlier answer of this
    /// method or of [`Raft::get_state`], and returns them as they are then.
    ///
    /// For a service that has to do something when its server becomes leader, or ceases to
    /// be. A new term of a server that leads in neither is no reason to wake it.
    pub fn wait_for_leadership(&self, seen: (u64, bool)) -> (u64, bool) {
        let mut state = self.lock();
        while (state.term(), state.is_leader()) == seen {
            state.wait(&self.role_changed, None);
        }
        (state.term(), state.is_leader())
    }

    /// The last index that the snapshot on the disk stands for; 0 if there is none. A service
    /// that starts must have restored just that snapshot.
    pub fn last_included_index(&self) -> u64 {
        self.lock().log().last_included_index()
    }

    /// Takes over the service's snapshot of its state after applying everything up to and
    /// including `index`, which must have been applied, and forgets the entries that it
    /// replaces. May be called by the thread that receives from the apply channel.
    ///
    /// # Panics
    /// If the entry at `index` has not been handed to the service.
    pub fn snapshot(&self, index: u64, snapshot: &[u8]) {
        self.lock().snapshot(index, snapshot);
    }

    /// From now on the observer is shown each step, and the present state at once.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        let mut locked = self.lock();
        let Monitored { state, inspector, .. } = &mut *locked.monitored;
        inspector.watch(state, observer);
    }

    /// Takes the lock.
    fn lock(&self) -> Locked<'_> {
        Locked { monitored: self.monitor.lock(), raft: self }
    }

    /// Starts an election whenever the timeout elapses without a sign of a leader (§5.2).
    fn election_loop(&self) {
        let mut state = self.lock();
        loop {
            match state.election_deadline() {
                Some(deadline) if Instant::now() >= deadline => {
                    state.start_election(Instant::now(), random_election_timeout());
                }
                deadline => state.wait(&self.role_changed, deadline),
            }
        }
    }

    /// Says to one other server whatever there is to say.
    fn peer_loop(&self, peer: usize) {
        let mut state = self.lock();
        loop {
            match state.next_turn(peer, Instant::now()) {
                Turn::Wait => state.wait(&self.more_to_say, None),
                Turn::WaitUntil(deadline) => state.wait(&self.more_to_say, Some(deadline)),
                Turn::Send(request) => {
                    drop(state);
                    let reply = self.call(peer, &request);
                    state = self.lock();
                    state.handle_reply(peer, &request, reply.as_ref(), Instant::now());
                }
            }
        }
    }

    /// Calls a peer; `None` if it did not answer in time. The caller must not hold the
    /// lock.
    fn call(&self, peer: usize, request: &Request) -> Option<Reply> {
        let peer = &self.peers[peer];
        match request {
            Request::RequestVote(args) => peer.request_vote(args).map(Reply::RequestVote),
            Request::AppendEntries(args) => peer.append_entries(args).map(Reply::AppendEntries),
            Request::InstallSnapshot(args) => peer.install_snapshot(args).map(Reply::InstallSnapshot),
        }
        .ok()
    }

    /// Hands committed commands and leaders' snapshots to the service. The only thread that
    /// does, so that they arrive in order.
    fn apply_loop(&self) {
        let mut state = self.lock();
        loop {
            let messages = state.take_applicable();
            if messages.is_empty() {
                state.wait(&self.more_committed, None);
                continue;
            }
            drop(state);
            for message in messages {
                // The service is gone, and with it all reason to apply.
                if self.apply.send(message).is_err() {
                    return;
                }
            }
            state = self.lock();
        }
    }
}

/// Draws an election timeout.
fn random_election_timeout() -> Duration {
    Duration::from_millis(labrt::rand::random_range(ELECTION_TIMEOUT_MS))
}

impl RaftRpc for Raft {
    fn request_vote(&self, args: RequestVoteArgs) -> RequestVoteReply {
        self.lock().handle_request_vote(&args, Instant::now())
    }

    fn append_entries(&self, args: AppendEntriesArgs) -> AppendEntriesReply {
        self.lock().handle_append_entries(&args, Instant::now())
    }

    fn install_snapshot(&self, args: InstallSnapshotArgs) -> InstallSnapshotReply {
        self.lock().handle_install_snapshot(&args, Instant::now())
    }
}

impl Locked<'_> {
    /// Gives up the lock until the signal comes, or until the deadline.
    fn wait(&mut self, signal: &Condvar, deadline: Option<Instant>) {
        self.settle();
        match deadline {
            None => signal.wait(&mut self.monitored),
            Some(deadline) => {
                signal.wait_until(&mut self.monitored, deadline);
            }
        }
    }

    /// What is due before the lock is given up.
    fn settle(&mut self) {
        let Monitored { state, inspector, reads, answers } = &mut *self.monitored;
        let news = inspector.inspect(state);
        let answered = std::mem::replace(answers, state.answers) != state.answers;
        if *reads > 0 && (answered || news.role || news.committed) {
            self.raft.more_certain.notify_all();
        }
        if news.role {
            self.raft.role_changed.notify_all();
        }
        if news.outgoing {
            self.raft.more_to_say.notify_all();
        }
        if news.committed {
            self.raft.more_committed.notify_all();
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // A thread that is being killed, or has panicked, may have left a change half done.
        if !std::thread::panicking() {
            self.settle();
        }
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.monitored.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.monitored.state
    }
}
