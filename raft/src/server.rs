// handout: file guided
//! The monitor: one lock, a fixed set of threads, the conditions for which threads wait, and
//! the RPC handlers.
//!
//! Everything that Raft decides is in [`State`], which knows of no thread. Everything about
//! threads is here, and decides nothing. Three rules make that work:
//!
//! - Every access to the state goes through [`Raft::lock`]. Giving up the lock checks the
//!   invariants and wakes the threads that may have work ([`Settle`]), so no other place
//!   needs to remember either.
//! - No thread holds the lock while it blocks, or while it copies or encodes something
//!   large. Each thread's loop gives the lock up to wait for its condition, and to do its
//!   one task: call a peer, or send on the apply channel.
//! - What was true before that may be false after it. So each loop starts over by asking
//!   the state what there is to do, and each reply is judged together with its request.
//!
//! | thread | waits for | does |
//! |---|---|---|
//! | `election_loop` | the election timeout | starts an election |
//! | `peer_loop`, one for each other server | a message for that server | calls it, and brings the reply back |
//! | `apply_loop` | committed entries, or a leader's snapshot | hands them to the service, in order |
//!
//! A single condition variable would do, since each thread looks anew whenever it wakes.
//! There is one for each kind of thread, because on real threads most of a command's cost is
//! waking threads. With a single one, each command wakes every thread of every server
//! several times, mostly for nothing, and takes twice the context switches.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut, RangeInclusive};

use bytes::Bytes;
// handout: drop
use labapi::Options;
// handout: end
use labapi::{ApplyMsg, Observer, Persister};
use labrpc::ClientEnd;
use labrt::channel::Sender;
use labrt::sync::{Arc, Condvar, Monitor, MonitorGuard, Settle};
use labrt::thread;
use labrt::time::{Duration, Instant};
use tracing::debug;

use crate::invariants::Inspector;
use crate::replication::{Reply, Request, Turn};
use crate::rpc::{
    AppendEntriesArgs, AppendEntriesReply, InstallSnapshotArgs, InstallSnapshotReply, RaftPeer, RaftRpc,
    RequestVoteArgs, RequestVoteReply,
};
use crate::state::State;

/// Each election timeout is drawn from this range (§5.2), in milliseconds.
///
/// The paper's 150 to 300 ms suit a network that answers within a few milliseconds. Here a
/// message may take 50 ms, the tester permits only about ten heartbeats a second, and the
/// network may lose one in ten of them. The shortest timeout leaves room for three
/// heartbeats, so it takes three losses in a row to depose a living leader. The range is
/// many round trips wide, so the first candidate usually wins before the second one wakes.
/// And the tester expects a leader within five seconds.
const ELECTION_TIMEOUT_MS: RangeInclusive<u64> = 350..=700;

/// How long a thread waits for the reply to a small message before it sends the next one.
///
/// The network may take seconds to give up on a server that is away, or to deliver a reply,
/// and `peer_loop` must not be silent that long. Two of these in a row fit into the shortest
/// election timeout. A reply that comes later still counts, so round trips may be longer
/// than this, up to the shortest election timeout: a candidate needs its votes before it
/// stands again.
const RPC_TIMEOUT: Duration = Duration::from_millis(150);

/// The slowest link, in bytes a second, over which a large message gets enough time. With
/// [`MAX_MESSAGE_BYTES`](crate::replication::MAX_MESSAGE_BYTES) a follower behind such a
/// link hears from its leader every eighth of a second, well within an election timeout.
const SLOWEST_LINK: u64 = 256 << 10;

/// One server of a Raft cluster.
pub struct Raft {
    monitor: Monitor<Monitored>,
    /// How to call each server; this server's own slot is unused.
    peers: Vec<RaftPeer>,
    /// Where the service takes its messages. A send may block until the service is ready.
    apply: Sender<ApplyMsg>,
}

/// What the lock protects.
struct Monitored {
    state: State,
    inspector: Inspector,
    // handout: drop
    /// How many reads wait for proof that this server still leads.
    reads: usize,
    /// The value of `state.answers` when the lock was given up last.
    answers: u64,
    // handout: end
}

/// The conditions for which threads wait.
#[derive(Default)]
struct Signals {
    /// The server has another role. `election_loop` waits for it, and a service that
    /// follows the leadership.
    role_changed: Condvar,
    /// There may be a message for the others. The `peer_loop`s wait for it.
    more_to_send: Condvar,
    /// There is something for the service. `apply_loop` waits for it.
    more_committed: Condvar,
    // handout: drop
    /// A leader may have more proof that it still leads. Reads wait for it.
    more_proof: Condvar,
    // handout: end
}

impl Raft {
    // handout: body 2A
    /// Starts server `me` of the cluster whose servers are reached through `peers`, with
    /// what `persister` holds of an earlier life, and returns at once. Its threads are those of
    /// the table above; part 2A needs no `apply_loop` yet.
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

    // handout: drop
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
        if options.check_quorum {
            state.check_quorum();
        }
        if options.pre_vote {
            state.ask_before_elections(shortest_timeout);
        }
        if options.messages_ahead > 0 {
            state.pipeline();
        }
        let inspector = Inspector::new(&mut state);
        let others = state.others();
        let raft = Arc::new(Raft {
            monitor: Monitor::new(Monitored { state, inspector, reads: 0, answers: 0 }),
            peers: peers.into_iter().map(RaftPeer::new).collect(),
            apply,
        });
        raft.spawn("election_loop", |raft| raft.election_loop());
        for peer in others {
            raft.spawn(format!("peer_loop {peer}"), move |raft| raft.peer_loop(peer));
            for _ in 0..options.messages_ahead {
                raft.spawn(format!("ahead_loop {peer}"), move |raft| raft.ahead_loop(peer));
            }
        }
        // handout: from 2B: the thread `apply_loop`
        raft.spawn("apply_loop", |raft| raft.apply_loop());
        // handout: end
        raft
    }
    // handout: end

    /// Starts one of the fixed threads.
    fn spawn(
        self: &Arc<Raft>,
        name: impl Into<Cow<'static, str>>,
        body: impl FnOnce(&Arc<Raft>) + Send + 'static,
    ) {
        let raft = self.clone();
        thread::spawn_named(name, move || body(&raft));
    }

    // handout: body 2B
    /// Appends `command` to the replicated log if this server believes it is the leader, and
    /// returns at once: the index that the command will have if it is ever committed, and
    /// the current term. `None` from any other server. There is no promise that the command
    /// will be committed.
    pub fn start(&self, command: Vec<u8>) -> Option<(u64, u64)> {
        self.lock().start(command.into())
    }

    // handout: body 2A
    /// The current term, and whether this server believes it is that term's leader.
    pub fn get_state(&self) -> (u64, bool) {
        let state = self.lock();
        (state.term(), state.is_leader())
    }

    // handout: drop
    /// Waits for proof that this server was the only leader at some moment after the call.
    /// Returns the index up to which a read must have seen the log applied in order to miss
    /// nothing that was committed before (`reads.rs`). `None` if this server is not the
    /// leader, or loses leadership in the meantime.
    ///
    /// A leader that is cut off, and hears of no other, waits for as long as that lasts.
    pub fn read_index(&self) -> Option<u64> {
        let asked = Instant::now();
        let mut state = self.lock();
        let term = state.term();
        if state.is_leader() && !state.holds_lease(asked) {
            state.send_heartbeats_at(asked);
            state.signals().more_to_send.notify_all();
        }
        state.reads += 1;
        let index = loop {
            if state.term() != term || !state.is_leader() {
                break None;
            }
            let is_proven = state.holds_lease(Instant::now()) || state.led_at(asked);
            if let Some(index) = state.read_index().filter(|_| is_proven) {
                debug!(target: "read", "may be answered at index {index}");
                break Some(index);
            }
            state.wait(|on| &on.more_proof);
        };
        debug_assert!(state.reads > 0, "a read that waits was not counted");
        state.reads -= 1;
        index
    }
    // handout: end

    /// Blocks until the term or the leadership differs from `seen`, which is an earlier
    /// answer of this method or of [`Raft::get_state`], and returns the new values.
    ///
    /// For a service that acts when its server gains or loses leadership. A change of the
    /// term alone does not wake the caller: the answer comes with the next change of the
    /// server's role.
    pub fn wait_for_leadership(&self, seen: (u64, bool)) -> (u64, bool) {
        let mut state = self.lock();
        while (state.term(), state.is_leader()) == seen {
            state.wait(|on| &on.role_changed);
        }
        debug_assert!(state.term() >= seen.0, "the caller has seen a later term than {}", state.term());
        (state.term(), state.is_leader())
    }

    /// The last index that the snapshot on the disk replaces; 0 if there is none. A service
    /// that starts must have restored exactly that snapshot.
    pub fn last_included_index(&self) -> u64 {
        self.lock().log().last_included_index()
    }

    // handout: body 2D
    /// Takes over the service's snapshot, made after it applied everything up to and
    /// including `index`, and discards the entries that the snapshot replaces. The thread
    /// that receives from the apply channel may call this. The bytes are not copied.
    ///
    /// # Panics
    /// If the entry at `index` has not been handed to the service.
    pub fn snapshot(&self, index: u64, snapshot: impl Into<Bytes>) {
        let snapshot = snapshot.into();
        self.lock().snapshot(index, snapshot);
    }

    /// Shows the state to `observer`: now, and after each change.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        let Monitored { state, inspector, .. } = &mut *self.lock();
        inspector.watch(state, observer);
    }

    /// Takes the lock.
    fn lock(&self) -> MonitorGuard<'_, Monitored> {
        self.monitor.lock()
    }

    // handout: body 2A
    /// Starts an election whenever the timeout elapses without a sign of a leader (§5.2). After
    /// each sign the next timeout is drawn anew (`vary_election_timeout`).
    fn election_loop(&self) {
        let mut state = self.lock();
        loop {
            match state.election_deadline() {
                Some(deadline) if Instant::now() >= deadline => {
                    state.election_timeout_elapsed(Instant::now(), random_election_timeout());
                }
                deadline => {
                    state.wait_until(|on| &on.role_changed, deadline);
                    let is_restarted = state.election_deadline() != deadline;
                    if is_restarted {
                        state.vary_election_timeout(random_election_timeout());
                    }
                }
            }
        }
    }

    // handout: body 2A
    /// Sends one other server its messages, one at a time.
    fn peer_loop(self: &Arc<Raft>, peer: usize) {
        let mut state = self.lock();
        loop {
            match state.next_turn(peer, Instant::now()) {
                Turn::Wait => state.wait(|on| &on.more_to_send),
                Turn::WaitUntil(deadline) => {
                    state.wait_until(|on| &on.more_to_send, deadline);
                }
                Turn::Send(request) => {
                    drop(state);
                    state = self.exchange(peer, request);
                }
            }
        }
    }

    // handout: drop
    /// Sends one other server what need not wait for the answer to `peer_loop`'s message.
    fn ahead_loop(self: &Arc<Raft>, peer: usize) {
        let mut state = self.lock();
        loop {
            match state.request_ahead(peer, Instant::now()) {
                None => state.wait(|on| &on.more_to_send),
                Some(request) => {
                    drop(state);
                    state = self.exchange(peer, request);
                }
            }
        }
    }
    // handout: end

    // handout: body 2A
    /// Calls a peer, without the lock. Takes the lock, and has the state judge the reply.
    fn exchange(self: &Arc<Raft>, peer: usize, request: Request) -> MonitorGuard<'_, Monitored> {
        let (request, sent) = (Arc::new(request), Instant::now());
        let reply = self.call(peer, &request, sent);
        // What they append goes out with the next message, all at once.
        thread::let_others_go_first();
        let mut state = self.lock();
        state.handle_reply(peer, &request, sent, reply.as_ref(), Instant::now());
        state
    }

    // handout: body 2A
    /// Calls a peer; `None` if it did not answer in time. If it answers later, a thread of
    /// its own brings that reply to the state. The caller must not hold the lock.
    fn call(self: &Arc<Raft>, peer: usize, request: &Arc<Request>, sent: Instant) -> Option<Reply> {
        let (raft, of_late) = (self.clone(), request.clone());
        let late = move |reply: Vec<u8>| {
            if let Some(reply) = Reply::decode(&of_late, &reply) {
                raft.lock().handle_reply(peer, &of_late, sent, Some(&reply), Instant::now());
            }
        };
        let peer = self.peers[peer].timeout(time_for(request)).late(late);
        match &**request {
            Request::RequestVote(args) => peer.request_vote(args).map(Reply::RequestVote),
            Request::AppendEntries(args) => peer.append_entries(args).map(Reply::AppendEntries),
            Request::InstallSnapshot(args) => peer.install_snapshot(args).map(Reply::InstallSnapshot),
        }
        .ok()
    }

    // handout: body 2B
    /// Hands committed commands and leaders' snapshots to the service. No other thread does,
    /// so they arrive in order.
    fn apply_loop(&self) {
        let mut state = self.lock();
        loop {
            let applicable = state.take_applicable();
            if applicable.is_empty() {
                state.wait(|on| &on.more_committed);
                continue;
            }
            drop(state);
            for message in applicable.into_messages() {
                // The service is gone, so nothing is left to apply for.
                if self.apply.send(message).is_err() {
                    return;
                }
            }
            state = self.lock();
        }
    }
}

/// How long to wait for the reply to a request. A large one gets as much longer as it takes
/// on the slowest link.
fn time_for(request: &Request) -> Duration {
    RPC_TIMEOUT + Duration::from_millis(request.payload() as u64 * 1000 / SLOWEST_LINK)
}

// handout: body 2A
/// Draws an election timeout.
fn random_election_timeout() -> Duration {
    Duration::from_millis(labrt::rand::random_range(ELECTION_TIMEOUT_MS))
}

impl RaftRpc for Raft {
    // handout: body 2A
    fn request_vote(&self, args: RequestVoteArgs) -> RequestVoteReply {
        self.lock().handle_request_vote(&args, Instant::now())
    }

    // handout: body 2A
    fn append_entries(&self, args: AppendEntriesArgs) -> AppendEntriesReply {
        self.lock().handle_append_entries(&args, Instant::now())
    }

    // handout: body 2D
    fn install_snapshot(&self, args: InstallSnapshotArgs) -> InstallSnapshotReply {
        self.lock().handle_install_snapshot(&args, Instant::now())
    }
}

impl Settle for Monitored {
    type Signals = Signals;

    fn settle(&mut self, signals: &Signals) {
        let news = self.inspector.inspect(&mut self.state);
        // handout: drop
        let answered = std::mem::replace(&mut self.answers, self.state.answers) != self.state.answers;
        if self.reads > 0 && (answered || news.role || news.committed) {
            signals.more_proof.notify_all();
        }
        // handout: end
        if news.role {
            signals.role_changed.notify_all();
        }
        if news.outgoing {
            signals.more_to_send.notify_all();
        }
        if news.committed {
            signals.more_committed.notify_all();
        }
    }
}

impl Deref for Monitored {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Monitored {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}
