// handout: file guided
//! The state of a server (Figure 2, State), and the rules that do not belong to one RPC.
//!
//! Everything that Raft decides is a method on [`State`], spread over the files along the
//! paper's sections. These methods have no lock, channel, client or clock. They cannot
//! block; the caller tells them the time and hands them random numbers. The only thing
//! outside themselves that they touch is the simulated disk, in `persist.rs`. What the
//! threads do with them is in `server.rs`.
//!
// handout: drop
//! The `debug!` lines, here and in the other files of the rules, tell a run's story in the
//! paper's words. `cargo lab replay` shows them in the server's column.
// handout: end
// handout: put
// //! Write a `debug!` line where something is decided, in the paper's words: `cargo lab replay`
// //! shows it in the server's column.
// handout: end

use bytes::Bytes;
use labapi::{Persister, Role};
use labrt::time::{Duration, Instant};
use tracing::debug;

// handout: drop
use crate::disturbance::Disturbance;
// handout: end
use crate::log::Log;
use crate::persist::Persistent;
// handout: drop
use crate::pipelining::Stream;
use crate::reads::LeaseTimes;
// handout: end
use crate::rpc::Entry;
use crate::snapshot::{IncomingSnapshot, OutgoingSnapshot};

/// Everything that a Raft server knows.
pub struct State {
    /// This server's number, its index in the list of peers.
    pub me: usize,
    /// How many servers the cluster has, this one included.
    pub servers: usize,
    /// Follower, candidate or leader (Figure 4). Every server boots as a follower, whatever
    /// it was before.
    pub role: Role,
    /// Term, vote and log: what a crash must not lose.
    pub(crate) persistent: Persistent,
    /// Index of the highest log entry known to be committed. Volatile: a restarted server
    /// learns it anew from the leader. At least the snapshot's last index, because only
    /// committed entries go into a snapshot. Increases monotonically.
    pub commit_index: u64,
    /// Index of the highest log entry handed to the service, or rather to the thread that
    /// hands it over. Never above `commit_index`. Below the snapshot's last index only
    /// between the arrival of a leader's snapshot and its delivery.
    pub last_applied: u64,
    /// The randomised election timeout (§5.2), drawn at boot and again for each election
    /// that this server starts.
    pub(crate) election_timeout: Duration,
    /// When the election timeout elapses, unless a leader or candidate restarts it.
    /// While leader it is only the end of the first timeout of the term.
    pub(crate) election_deadline: Instant,
    /// The servers that have voted for this one in the current term, itself included. Each
    /// stands here once, because a vote that arrives twice is still one vote. Meaningful
    /// for candidates and leaders only.
    pub votes: Vec<usize>,
    /// What a candidate or leader knows about each server; this server's own slot is
    /// unused. Reset at each election and each victory.
    pub peers: Vec<Peer>,
    // handout: drop
    /// When the last message of the current term's leader came; at first, when this server
    /// started. For leases only.
    pub(crate) last_heartbeat: Instant,
    /// The times of leases, if leases are on.
    pub(crate) lease: Option<LeaseTimes>,
    /// How often a follower has answered this server as its leader. Only compared with
    /// earlier values: a change may be what a read waits for.
    pub(crate) answers: u64,
    /// For pre-votes and leaders that give up, if these options are on.
    pub(crate) disturbance: Disturbance,
    /// Whether this server pipelines when it leads.
    pub(crate) pipelines: bool,
    // handout: end
    /// Follower: the snapshot that the leader is sending.
    pub(crate) incoming: IncomingSnapshot,
}

/// What a candidate or leader keeps about another server (Figure 2, volatile state on
/// leaders).
#[derive(Clone, Debug)]
pub struct Peer {
    /// Leader: index of the next log entry to send, at least 1. Starts behind the leader's
    /// last entry, as a guess, and moves back with refusals.
    pub next_index: u64,
    /// Leader: index of the highest log entry known to be replicated there; 0 means that
    /// nothing is known. Increases monotonically, and is always smaller than `next_index`.
    /// Never a guess: commitment counts it, so it holds only what a reply has confirmed.
    pub match_index: u64,
    /// When the next message goes out even without news: a heartbeat, or the repetition of
    /// a call that got no answer.
    pub(crate) due: Instant,
    /// Leader: the last message was large, and no answer has come in time. Until one comes,
    /// messages carry nothing: copies would only fill a slow link.
    pub(crate) probing: bool,
    /// Leader: the last call achieved nothing, so the next message waits until it is due. No
    /// answer came, or one that moves neither `next_index` nor the snapshot's offset, although
    /// there was something in the message.
    /// New entries do not change that, since they would only hammer at a server that is
    /// away.
    pub(crate) back_off: bool,
    /// Candidate: the server has answered in this election, and need not be asked again.
    pub(crate) answered: bool,
    // handout: drop
    /// Leader: when the latest message was made that the server has answered as a follower;
    /// `None` if it has answered none. For reads only.
    pub(crate) acknowledged: Option<Instant>,
    /// Leader: whether messages wait for the answer to the last one.
    pub(crate) stream: Stream,
    // handout: end
    /// Leader: the snapshot that the server is being sent.
    pub(crate) outgoing: Option<OutgoingSnapshot>,
}

// handout: bodies 2A
impl Peer {
    /// A peer at the start of an election or a term: nothing is known about it, and a
    /// message is due at once.
    pub(crate) fn new(next_index: u64, now: Instant) -> Peer {
        debug_assert!(next_index > 0, "log entries count from 1");
        Peer {
            next_index,
            match_index: 0,
            due: now,
            probing: false,
            back_off: false,
            answered: false,
            acknowledged: None,
            stream: Stream::Closed,
            outgoing: None,
        }
    }
}

impl State {
    /// Server `me` of `servers` at boot, with what its disk holds. The state machine stands
    /// where the snapshot ends, because the service loads the same snapshot. Which later
    /// entries are committed the server does not know yet.
    pub fn new(
        me: usize,
        servers: usize,
        disk: Persister,
        now: Instant,
        election_timeout: Duration,
    ) -> State {
        assert!(me < servers, "server {me} of {servers}");
        debug_assert!(!election_timeout.is_zero(), "an election timeout of zero leaves no time for a leader");
        let persistent = Persistent::load(disk);
        let last_included_index = persistent.log().last_included_index();
        State {
            me,
            servers,
            role: Role::Follower,
            persistent,
            commit_index: last_included_index,
            last_applied: last_included_index,
            election_timeout,
            election_deadline: now + election_timeout,
            votes: Vec::new(),
            peers: vec![Peer::new(1, now); servers],
            last_heartbeat: now,
            lease: None,
            answers: 0,
            disturbance: Disturbance::default(),
            pipelines: false,
            incoming: IncomingSnapshot::default(),
        }
    }

    /// Latest term this server has seen.
    pub fn term(&self) -> u64 {
        self.persistent.current_term()
    }

    /// The candidate that has this server's vote in the current term.
    pub fn voted_for(&self) -> Option<usize> {
        self.persistent.voted_for()
    }

    /// Whether this server believes it is the leader of its term. A deposed leader that is
    /// cut off believes so, too, until it hears of a newer term.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }

    /// The log, to read.
    pub fn log(&self) -> &Log {
        self.persistent.log()
    }

    /// How many servers are a majority: more than half of all, whether or not they are up.
    /// Two majorities always share a server, and everything that Raft promises rests on
    /// what that server remembers.
    pub fn majority(&self) -> usize {
        let majority = self.servers / 2 + 1;
        debug_assert!(2 * majority > self.servers, "two majorities could be disjoint");
        majority
    }

    // handout: body kept
    /// The other servers' numbers.
    pub(crate) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.servers).filter(move |&server| server != me)
    }

    /// Rule for all servers (Figure 2; §5.1): if an RPC request or response contains a term
    /// newer than ours, adopt it and become a follower.
    ///
    /// Every handler begins with this, for requests and replies alike. A leader's election
    /// timer was not running, so it starts now. A candidate or follower keeps the time that
    /// has passed, because a newer term alone does not show that a leader is alive.
    pub(crate) fn observe_term(&mut self, term: u64, now: Instant) {
        if term <= self.term() {
            return;
        }
        debug!(target: "term", "{term}, after {}", self.term());
        if self.role == Role::Leader {
            debug!(target: "leader", "steps down from term {}", self.term());
            self.reset_election_timer(now);
            // Snapshots on their way to followers need no memory any more.
            self.peers.iter_mut().for_each(|peer| peer.outgoing = None);
        }
        self.persistent.advance_term(term);
        self.role = Role::Follower;
        self.stop_asking();
        self.incoming = IncomingSnapshot::default();
        debug_assert_eq!(self.voted_for(), None, "a new term begins without a vote");
    }

    // handout: body 2B
    /// Rule for leaders (Figure 2): if a command is received from a client, append an entry
    /// to the local log.
    ///
    /// Returns the index that the entry will have if it is ever committed, and the current
    /// term; `None` from a server that does not believe it is the leader. There is no
    /// promise: if the leader loses leadership before a majority has the entry, the next
    /// leader may truncate it.
    pub fn start(&mut self, command: Bytes) -> Option<(u64, u64)> {
        if self.role != Role::Leader {
            return None;
        }
        let (index, term) = (self.log().last_index() + 1, self.term());
        self.persistent.append(&[Entry { term, command }]);
        debug_assert_eq!(self.log().last_index(), index, "the log grows by one entry");
        debug!(target: "log", "appends entry {index} of term {term}");
        // In a cluster of one the leader is a majority.
        self.advance_commit_index();
        Some((index, term))
    }
}
