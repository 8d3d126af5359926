// handout: file guided
//! Bare servers: the rules of Raft without threads, network or clock, for tests that put a
//! server into a situation, give it one message, and look.
//!
//! Each step is inspected, so every such test also checks the invariants of a server.

use labrt::time::{Duration, Instant};
use raft::rpc::*;
use raft::rules::{HEARTBEAT_INTERVAL, Inspector, Reply, Request, State, Turn};
use raft::{ApplyMsg, Persister};

/// The election timeout of every bare server.
pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_millis(500);

/// A server without threads.
pub(crate) struct Server {
    pub(crate) state: State,
    /// The time that this server is told.
    pub(crate) now: Instant,
    inspector: Inspector,
    disk: Persister,
    /// When the last message to each server was made.
    sent: Vec<Instant>,
}

impl Server {
    /// First boot of server `me` of a cluster of `servers`.
    pub(crate) fn boot(me: usize, servers: usize) -> Server {
        Server::from_disk(me, servers, Persister::new())
    }

    /// The server after a crash at this moment: only the disk is left.
    pub(crate) fn reboot(&self) -> Server {
        Server::from_disk(self.state.me, self.state.servers, self.disk.copy())
    }

    fn from_disk(me: usize, servers: usize, disk: Persister) -> Server {
        let now = Instant::from_nanos(0);
        let mut state = State::new(me, servers, disk.clone(), now, ELECTION_TIMEOUT);
        let inspector = Inspector::new(&mut state);
        Server { state, now, inspector, disk, sent: vec![now; servers] }
    }

    /// Gives the server a log whose entries have these terms, from the leader (server
    /// `servers - 1`) of the last of them.
    pub(crate) fn with_log(mut self, terms: &[u64]) -> Server {
        let term = terms.last().copied().unwrap_or(0);
        let reply = self.append_entries(append(term, (0, 0), terms, 0));
        assert!(reply.success);
        self
    }

    /// Moves the server to a term in which it follows the last server.
    pub(crate) fn in_term(mut self, term: u64) -> Server {
        self.append_entries(append(term, (0, 0), &[], 0));
        self
    }

    /// Makes the server the leader of the next term, with the votes of all.
    pub(crate) fn elected(mut self) -> Server {
        self.stand_for_election();
        for peer in 0..self.state.servers {
            if peer != self.state.me && !self.state.is_leader() {
                let request = self.request_to(peer);
                let granted = RequestVoteReply { term: self.state.term(), vote_granted: true, bound: false };
                self.reply(peer, &request, Reply::RequestVote(granted));
            }
        }
        assert!(self.state.is_leader());
        self
    }

    /// The election timeout elapses.
    pub(crate) fn stand_for_election(&mut self) {
        self.state.start_election(self.now, ELECTION_TIMEOUT);
        self.inspect();
    }

    // handout: drop
    /// The election timeout elapses, with what the options make of it.
    pub(crate) fn election_timeout_elapses(&mut self) {
        self.state.election_timeout_elapsed(self.now, ELECTION_TIMEOUT);
        self.inspect();
    }

    // handout: end
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn request_vote(&mut self, args: RequestVoteArgs) -> RequestVoteReply {
        let reply = self.state.handle_request_vote(&args, self.now);
        self.inspect();
        reply
    }

    pub(crate) fn append_entries(&mut self, args: AppendEntriesArgs) -> AppendEntriesReply {
        let reply = self.state.handle_append_entries(&args, self.now);
        self.inspect();
        reply
    }

    pub(crate) fn install_snapshot(&mut self, args: InstallSnapshotArgs) -> InstallSnapshotReply {
        let reply = self.state.handle_install_snapshot(&args, self.now);
        self.inspect();
        reply
    }

    /// Handles any request.
    pub(crate) fn handle(&mut self, request: &Request) -> Reply {
        match request.clone() {
            Request::RequestVote(args) => Reply::RequestVote(self.request_vote(args)),
            Request::AppendEntries(args) => Reply::AppendEntries(self.append_entries(args)),
            Request::InstallSnapshot(args) => Reply::InstallSnapshot(self.install_snapshot(args)),
        }
    }

    /// Gives the server a reply to a request that it sent.
    pub(crate) fn reply(&mut self, peer: usize, request: &Request, reply: Reply) {
        self.reply_to(peer, request, self.sent[peer], reply);
    }

    /// As [`Server::reply`], to a request that was made at `sent`, before the last one perhaps.
    pub(crate) fn reply_to(&mut self, peer: usize, request: &Request, sent: Instant, reply: Reply) {
        self.state.handle_reply(peer, request, sent, Some(&reply), self.now);
        self.inspect();
    }

    /// Tells the server that one of its requests got no reply.
    pub(crate) fn no_reply(&mut self, peer: usize, request: &Request) {
        self.state.handle_reply(peer, request, self.sent[peer], None, self.now);
        self.inspect();
    }

    /// The client's command becomes an entry of this leader's log; returns its index.
    pub(crate) fn start(&mut self, command: &str) -> u64 {
        let (index, _) = self.state.start(command.to_owned().into()).expect("this server leads");
        self.inspect();
        index
    }

    /// What the server has to do for a peer now.
    pub(crate) fn turn(&mut self, peer: usize) -> Turn {
        let turn = self.state.next_turn(peer, self.now);
        if matches!(turn, Turn::Send(_)) {
            self.sent[peer] = self.now;
        }
        turn
    }

    /// The message that the server sends to a peer now.
    pub(crate) fn request_to(&mut self, peer: usize) -> Request {
        match self.turn(peer) {
            Turn::Send(request) => request,
            turn => panic!("nothing to send to server {peer}, but {turn:?}"),
        }
    }

    /// The AppendEntries that the server sends to a peer now.
    pub(crate) fn append_entries_to(&mut self, peer: usize) -> AppendEntriesArgs {
        match self.request_to(peer) {
            Request::AppendEntries(args) => args,
            other => panic!("not an AppendEntries: {other:?}"),
        }
    }

    // handout: drop
    /// The AppendEntries that a leader sends to a peer before it has the answer to the last one.
    pub(crate) fn ahead(&mut self, peer: usize) -> Option<AppendEntriesArgs> {
        let request = self.state.request_ahead(peer, self.now);
        self.inspect();
        match request? {
            Request::AppendEntries(args) => Some(args),
            other => panic!("not an AppendEntries: {other:?}"),
        }
    }

    // handout: end
    /// Sends the message that is due to another server, and brings back the reply. Returns
    /// both.
    pub(crate) fn exchange(&mut self, other: &mut Server) -> (Request, Reply) {
        let request = self.request_to(other.state.me);
        let reply = other.handle(&request);
        self.reply(other.state.me, &request, reply.clone());
        (request, reply)
    }

    /// Exchanges messages until the other's log is like this leader's, one at least; shows
    /// each of them to `seen`.
    pub(crate) fn repair(&mut self, other: &mut Server, mut seen: impl FnMut(&Request, &Reply)) {
        for _ in 0..20 {
            let (request, reply) = self.exchange(other);
            seen(&request, &reply);
            if other.state.log() == self.state.log() {
                return;
            }
            self.wait(HEARTBEAT_INTERVAL);
        }
        panic!("after twenty messages the logs still differ: {:?} and {:?}", self.terms(), other.terms());
    }

    /// The service takes a snapshot; everything up to `index` has been applied before.
    pub(crate) fn snapshot(&mut self, index: u64, snapshot: &str) {
        self.state.snapshot(index, snapshot.to_owned().into());
        self.inspect();
    }

    /// The messages that the service gets now.
    pub(crate) fn applied(&mut self) -> Vec<ApplyMsg> {
        self.state.take_applicable().into_messages()
    }

    /// Whether the election timeout has elapsed.
    pub(crate) fn is_due(&self) -> bool {
        self.state.election_deadline().is_some_and(|deadline| deadline <= self.now)
    }

    /// The terms of the log's entries.
    pub(crate) fn terms(&self) -> Vec<u64> {
        self.state.log().suffix(1).iter().map(|entry| entry.term).collect()
    }

    fn inspect(&mut self) {
        self.inspector.inspect(&mut self.state);
    }
}

/// Entries with these terms, the first at `first_index`. Index and term identify an entry, so
/// its command is made of them.
pub(crate) fn entries(first_index: u64, terms: &[u64]) -> Vec<Entry> {
    let numbered = (first_index..).zip(terms);
    numbered.map(|(index, &term)| Entry { term, command: format!("{index} of {term}").into() }).collect()
}

/// An AppendEntries of the leader of `term`: entries with these terms behind the entry
/// `previous` (index, term).
pub(crate) fn append(
    term: u64,
    previous: (u64, u64),
    terms: &[u64],
    leader_commit: u64,
) -> AppendEntriesArgs {
    AppendEntriesArgs {
        term,
        leader_id: 2,
        prev_log_index: previous.0,
        prev_log_term: previous.1,
        entries: entries(previous.0 + 1, terms),
        leader_commit,
    }
}

/// A RequestVote of a candidate whose log ends with the entry `last` (index, term).
pub(crate) fn ask(term: u64, candidate_id: usize, last: (u64, u64)) -> RequestVoteArgs {
    RequestVoteArgs { term, candidate_id, last_log_index: last.0, last_log_term: last.1, pre_vote: false }
}

/// An InstallSnapshot of the leader of `term`, for everything up to the entry `last`
/// (index, term).
pub(crate) fn install(term: u64, last: (u64, u64), data: &str) -> InstallSnapshotArgs {
    InstallSnapshotArgs {
        term,
        leader_id: 2,
        last_included_index: last.0,
        last_included_term: last.1,
        offset: 0,
        data: data.to_owned().into(),
        done: true,
    }
}

/// A chunk of such a snapshot: the part of `data` from `offset` on that is `length` bytes
/// long, or shorter at the end.
pub(crate) fn chunk(
    term: u64,
    last: (u64, u64),
    data: &str,
    offset: usize,
    length: usize,
) -> InstallSnapshotArgs {
    let whole = install(term, last, data);
    let end = data.len().min(offset + length);
    let (part, done) = (whole.data.slice(offset..end), end == data.len());
    InstallSnapshotArgs { offset: offset as u64, data: part, done, ..whole }
}

/// A follower's consent to an AppendEntries.
pub(crate) fn success(term: u64) -> Reply {
    Reply::AppendEntries(AppendEntriesReply { term, success: true, conflict_index: 0, conflict_term: 0 })
}

/// A follower's refusal of an AppendEntries: its log may agree with the leader's up to the entry
/// `conflict` (index, term).
pub(crate) fn refusal(term: u64, conflict: (u64, u64)) -> Reply {
    let (conflict_index, conflict_term) = conflict;
    Reply::AppendEntries(AppendEntriesReply { term, success: false, conflict_index, conflict_term })
}

/// A voter's answer.
pub(crate) fn vote(term: u64, vote_granted: bool) -> Reply {
    Reply::RequestVote(RequestVoteReply { term, vote_granted, bound: false })
}
