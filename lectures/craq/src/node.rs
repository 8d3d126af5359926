// handout: drop classic
//! A node: the monitor around its rules, its threads, and the handlers of its messages.
//!
//! | thread | work |
//! |---|---|
//! | heartbeat | tells the manager that the node is alive, and takes leases |
//! | forwarder, as many as the window is wide | sends updates to the successor |
//! | acker | tells the predecessor what is committed |
//! | replier | answers clients, at the tail |
//! | copier | sends the tail's state to a spare |
// handout: end
// handout: put classic
// //! A node: its threads, and the handlers of its messages.
// handout: end

use labrpc::Service;
// handout: drop classic
use labrt::sync::{Arc, Condvar, Monitor, Settle};
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::{ClientSession, LeaderCache};

use crate::reads::Reading;
use crate::rpc::{
    Ack, CopyState, Forward, LastReceived, ManagerPeer, Member, NewConfig, NodeId, NodePeer, NodeRpc, Read,
    Refusal, ReplyPeer, Taken, Update, Version, VersionQuery, Versioned,
};
use crate::state::{Probe, ReplyFrom, Settings, State};

/// The pause behind a message that was lost or refused.
const AGAIN: Duration = Duration::from_millis(10);
/// For how long a part of a copy is sent again before the copy is given up.
const COPY: Duration = Duration::from_millis(1000);
/// How long the head lets a client wait for the acknowledgement.
const WAIT: Duration = Duration::from_millis(1000);

// handout: end
// handout: put classic
// use labrt::sync::Arc;
//
// use crate::rpc::{Ack, CopyState, Forward, LastReceived, ManagerPeer, NewConfig, NodeId, NodePeer, NodeRpc};
// use crate::rpc::{Read, Refusal, ReplyPeer, Taken, Update, Version, VersionQuery, Versioned};
// use crate::state::{Probe, Settings, State};
//
// handout: end
/// Whom a node can reach.
#[derive(Clone)]
pub struct Peers {
    /// All nodes, by number; the node itself included.
    pub nodes: Vec<NodePeer>,
    /// The managers.
    pub managers: Vec<ManagerPeer>,
    /// The clients.
    pub clients: ReplyPeer,
}

/// A node.
pub struct Node {
    // handout: drop classic
    state: Monitor<State>,
    peers: Peers,
    settings: Settings,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: drop classic
/// What the threads of a node wait for.
#[derive(Default)]
pub struct Signals {
    heartbeat: Condvar,
    forwards: Condvar,
    acks: Condvar,
    replies: Condvar,
    copies: Condvar,
    /// More is committed, or the epoch has changed.
    commits: Condvar,
}

// handout: bodies CA
/// Whatever changes the state, the threads that have work now are woken when the lock is given up. So no rule
/// in `state.rs` needs to know who waits for it.
impl Settle for State {
    type Signals = Signals;

    fn settle(&mut self, signals: &Signals) {
        // One forwarder is enough: when it has taken its update and gives up the lock, it comes here itself.
        if self.has_forward() {
            signals.forwards.notify_one();
        }
        if self.next_ack().is_some() {
            signals.acks.notify_all();
        }
        if !self.replies.is_empty() {
            signals.replies.notify_all();
        }
        // handout: from CB: the signal for the copier
        if self.has_part() {
            signals.copies.notify_all();
        }
        // handout: end
        if self.is_urgent {
            signals.heartbeat.notify_all();
        }
        if self.has_news() {
            signals.commits.notify_all();
        }
    }
}

// handout: end
// handout: bodies CA
impl Node {
    /// Starts node `me` without any state: a spare. Its threads belong to the caller's computer and end with
    /// it. The probe is shown each step.
    pub fn start(me: NodeId, peers: Peers, settings: Settings, probe: Option<Probe>) -> Arc<Node> {
        let me = Member { node: me, life: labrt::rand::random_range(1..=u64::MAX) };
        let state = Monitor::new(State::new(me, settings, probe));
        let node = Arc::new(Node { state, peers, settings });
        node.spawn("heartbeat", |node| node.run_heartbeat());
        for _ in 0..settings.window {
            node.spawn("forwarder", |node| node.run_forwarder());
        }
        node.spawn("acker", |node| node.run_acker());
        node.spawn("replier", |node| node.run_replier());
        // handout: from CB: the copier
        node.spawn("copier", |node| node.run_copier());
        // handout: end
        node
    }

    /// The threads end with the computer: a killed node leaves none behind.
    fn spawn(self: &Arc<Self>, name: &'static str, run: fn(&Node)) {
        let node = Arc::clone(self);
        thread::spawn_named(name, move || run(&node));
    }

    /// Looks at the node's state.
    pub fn inspect<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock())
    }

    /// What the node offers on the network.
    pub fn service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }

    fn peer(&self, node: NodeId) -> NodePeer {
        self.peers.nodes[node].timeout(self.settings.call)
    }
}

// handout: bodies CA
/// The threads.
impl Node {
    /// Tells the manager that the node lives, at least once an interval; at once when something has happened
    /// that the manager waits for, such as a handover that is done. The life serves as the number of the
    /// client, so that a manager can tell a late heartbeat from a new one.
    fn run_heartbeat(&self) {
        let (life, interval) = (self.inspect(|state| state.me.life), self.settings.heartbeat);
        let mut numbering = ClientSession::with_client(life);
        let managers = self.peers.managers.iter().map(|manager| manager.timeout(self.settings.lease));
        let mut managers = LeaderCache::new(managers.collect());
        loop {
            let sent = Instant::now();
            let heartbeat = {
                let mut state = self.state.lock();
                state.is_urgent = false;
                state.heartbeat(sent)
            };
            let epoch = heartbeat.epoch;
            let request = numbering.request(heartbeat);
            let answer = managers.ask_each(|manager| manager.heartbeat(&request).ok()?.ok());
            let mut state = self.state.lock();
            if let Some(granted) = answer {
                state.granted(granted, epoch, sent, Instant::now());
            }
            let due = Instant::now() + interval.saturating_sub(sent.elapsed());
            while Instant::now() < due && !state.is_urgent {
                state.wait_until(|on| &on.heartbeat, due);
            }
        }
    }

    /// Several of these run, so as many updates are under way as the window is wide. They may overtake each
    /// other; the successor puts them in order. An update stays in `sent` whatever becomes of its message,
    /// and an answer that comes in a later epoch changes nothing.
    fn run_forwarder(&self) {
        loop {
            let mut state = self.state.lock();
            let Some((successor, forward)) = state.next_forward() else {
                state.wait(|on| &on.forwards);
                continue;
            };
            drop(state);
            let answer = self.peer(successor.node).forward(&forward);
            let is_delivered = answer == Ok(Ok(()));
            let mut state = self.state.lock();
            // handout: from CB: `heard`: whether the successor answers
            let is_heard = answer.is_ok() || !state.waits_for(&forward);
            state.heard(successor.node, is_heard, Instant::now());
            // handout: end
            state.forwarded(forward.at.epoch, forward.record.n, is_delivered);
            drop(state);
            if !is_delivered {
                thread::sleep(AGAIN);
            }
        }
    }

    /// One thread is enough: an acknowledgement names the newest committed update, and stands for all before
    /// it. So a slow link carries few of them, and a lost one is made good by the next.
    fn run_acker(&self) {
        loop {
            let mut state = self.state.lock();
            let Some((predecessor, ack)) = state.next_ack() else {
                state.wait(|on| &on.acks);
                continue;
            };
            drop(state);
            let answer = self.peer(predecessor.node).ack(&ack);
            let mut state = self.state.lock();
            // handout: from CB: `heard`: whether the predecessor answers
            state.heard(predecessor.node, answer.is_ok(), Instant::now());
            // handout: end
            if answer == Ok(Ok(())) {
                state.acked(ack.at.epoch, ack.n);
                continue;
            }
            drop(state);
            thread::sleep(AGAIN);
        }
    }

    /// A reply that is lost is not sent again: the client asks again, and the head knows by then.
    fn run_replier(&self) {
        loop {
            let mut state = self.state.lock();
            let replies: Vec<_> = state.replies.drain(..).collect();
            if replies.is_empty() {
                state.wait(|on| &on.replies);
                continue;
            }
            drop(state);
            let _ = self.peers.clients.timeout(self.settings.call).update_reply(&replies);
        }
    }

    /// The parts of a copy go one after the other. A spare that does not answer for a while is given up, and
    /// the tail goes on as before; the manager names a spare again with the next heartbeat.
    fn run_copier(&self) {
        loop {
            let mut state = self.state.lock();
            let Some((spare, part)) = state.next_part() else {
                state.wait(|on| &on.copies);
                continue;
            };
            drop(state);
            let deadline = Instant::now() + COPY;
            let answer = loop {
                let answer = self.peer(spare.node).copy_state(&part);
                if answer.is_ok() || Instant::now() >= deadline {
                    break answer;
                }
                thread::sleep(AGAIN);
            };
            self.state.lock().copied(&part, answer == Ok(Ok(())));
        }
    }
}

// handout: bodies CA
/// Each handler takes the lock once and lets the rules answer. Two of them wait without it: a read whose
/// object is dirty asks the tail, and an update that the head answers waits for its acknowledgement.
impl NodeRpc for Node {
    fn update(&self, update: Update) -> Result<Taken, Refusal> {
        let mut state = self.state.lock();
        let taken = state.update(&update, Instant::now())?;
        if taken != Taken::UnderWay || self.settings.reply_from == ReplyFrom::Tail {
            return Ok(taken);
        }
        let deadline = Instant::now() + WAIT;
        loop {
            if let Some(outcome) = state.done(update.request.client, update.request.sequence) {
                return Ok(Taken::Done(outcome));
            }
            state.check(update.at)?;
            if state.wait_until(|on| &on.commits, deadline) {
                return Ok(Taken::UnderWay);
            }
        }
    }

    fn forward(&self, forward: Forward) -> Result<(), Refusal> {
        self.state.lock().forward(forward, Instant::now())
    }

    fn ack(&self, ack: Ack) -> Result<(), Refusal> {
        self.state.lock().ack(ack)
    }

    fn read(&self, read: Read) -> Result<Versioned, Refusal> {
        let reading = self.state.lock().read(&read, Instant::now())?;
        let tail = match reading {
            Reading::Answer(versioned) => return Ok(versioned),
            Reading::AskTail(tail) => tail,
        };
        let query = VersionQuery { at: read.at, object: read.object };
        let answer = self.peer(tail.node).version_query(&query);
        let version = answer.unwrap_or(Err(Refusal::Unreachable))?;
        self.state.lock().read_committed(&read, version, Instant::now())
    }

    fn version_query(&self, query: VersionQuery) -> Result<Version, Refusal> {
        self.state.lock().version_query(query, Instant::now())
    }

    fn new_config(&self, news: NewConfig) -> Result<LastReceived, Refusal> {
        self.state.lock().new_config(news, Instant::now())
    }

    fn copy_state(&self, part: CopyState) -> Result<(), Refusal> {
        self.state.lock().copy_state(part, Instant::now())
    }
}
