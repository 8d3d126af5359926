// handout: file guided
//! Log replication (§5.3) and what counts as committed (§5.4.2).

use labapi::Role;
use labrt::time::{Duration, Instant};
use tracing::debug;

use crate::rpc::{
    AppendEntriesArgs, AppendEntriesReply, Entry, InstallSnapshotArgs, InstallSnapshotReply, RequestVoteArgs,
    RequestVoteReply,
};
use crate::state::State;

/// How often an idle leader sends a heartbeat, and a candidate repeats an unanswered
/// RequestVote.
///
/// The tester permits some tens of RPCs a second to an idle cluster. The shortest election
/// timeout is more than three times as long, so three heartbeats in a row may be lost.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

/// Most bytes of commands, or of a snapshot, in one message. A single command that is larger
/// travels alone.
///
/// A follower that is far behind gets many messages of this size in place of one large
/// message. Each is a sign of the leader and restarts the follower's election timer, and a
/// lost message costs only itself.
pub const MAX_MESSAGE_BYTES: usize = 32 << 10;

/// Most entries in one message, so that many small ones are not gathered under the lock.
pub const MAX_MESSAGE_ENTRIES: usize = 1000;

/// A message that carries more bytes than this is large: a copy of it costs a slow link
/// much.
const LARGE_MESSAGE: usize = 4 << 10;

/// A message for another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// From a candidate.
    RequestVote(RequestVoteArgs),
    /// From a leader.
    AppendEntries(AppendEntriesArgs),
    /// From a leader, to a follower that needs entries which are no longer in the log.
    InstallSnapshot(InstallSnapshotArgs),
}

// handout: bodies 2A
impl Request {
    /// Bytes of commands or snapshot that the request carries.
    pub fn payload(&self) -> usize {
        match self {
            Request::RequestVote(_) => 0,
            Request::AppendEntries(args) => args.entries.iter().map(|entry| entry.command.len()).sum(),
            Request::InstallSnapshot(args) => args.data.len(),
        }
    }
}

/// The answer to a [`Request`], of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Request::RequestVote`].
    RequestVote(RequestVoteReply),
    /// To [`Request::AppendEntries`].
    AppendEntries(AppendEntriesReply),
    /// To [`Request::InstallSnapshot`].
    InstallSnapshot(InstallSnapshotReply),
}

// handout: bodies 2A
impl Reply {
    /// Reads an encoded reply to `request`; `None` if the bytes are none.
    pub fn decode(request: &Request, reply: &[u8]) -> Option<Reply> {
        match request {
            Request::RequestVote(_) => labgob::decode(reply).ok().map(Reply::RequestVote),
            Request::AppendEntries(_) => labgob::decode(reply).ok().map(Reply::AppendEntries),
            Request::InstallSnapshot(_) => labgob::decode(reply).ok().map(Reply::InstallSnapshot),
        }
    }
}

/// What there is to do for a peer now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send this, and bring the reply to [`State::handle_reply`].
    Send(Request),
    /// Nothing before that time, unless the state changes.
    WaitUntil(Instant),
    /// Nothing unless the state changes.
    Wait,
}

// handout: bodies 2B
impl State {
    // handout: body 2A
    /// What to send to `peer` now. The caller waits for an answer, or for long enough, before
    /// it asks again; new entries gather meanwhile and go out together with the next call.
    pub fn next_turn(&mut self, peer: usize, now: Instant) -> Turn {
        debug_assert_ne!(peer, self.me, "a server sends itself no messages");
        let contact = &self.peers[peer];
        let is_due = now >= contact.due;
        let wanted = match self.role {
            Role::Follower if !self.asks_for_pre_votes() => return Turn::Wait,
            Role::Follower | Role::Candidate if contact.answered => return Turn::Wait,
            Role::Follower | Role::Candidate => is_due,
            // New entries need not wait for the heartbeat, unless the peer seems to be away.
            Role::Leader => is_due || (self.log().last_index() >= contact.next_index && !contact.back_off),
        };
        if !wanted {
            return Turn::WaitUntil(contact.due);
        }
        Turn::Send(self.request(peer, now))
    }

    // handout: body 2A
    /// The message that the peer needs, for a candidate or leader. The next one is due a
    /// heartbeat later.
    pub(crate) fn request(&mut self, peer: usize, now: Instant) -> Request {
        self.peers[peer].due = now + HEARTBEAT_INTERVAL;
        match self.role {
            Role::Follower => return Request::RequestVote(self.pre_vote_args()),
            Role::Candidate => return Request::RequestVote(self.request_vote_args()),
            Role::Leader => {}
        }
        // The entry before the first one to send must still be known, at least its term;
        // otherwise only the snapshot helps (§7).
        match self.log().term(self.peers[peer].next_index - 1) {
            Some(prev_log_term) => {
                let args = self.append_entries_args(peer, prev_log_term);
                // handout: drop
                self.note_sent(peer, &args);
                // handout: end
                Request::AppendEntries(args)
            }
            None => Request::InstallSnapshot(self.install_snapshot_args(peer)),
        }
    }

    // handout: body 2A
    /// Rule for leaders (Figure 2): if last log index >= nextIndex for a follower, send
    /// AppendEntries with log entries starting at nextIndex. If it is not, the same
    /// expression gives a heartbeat.
    fn append_entries_args(&self, peer: usize, prev_log_term: u64) -> AppendEntriesArgs {
        let next_index = self.peers[peer].next_index;
        let mut args = AppendEntriesArgs {
            term: self.term(),
            leader_id: self.me,
            prev_log_index: next_index - 1,
            prev_log_term,
            entries: Vec::new(),
            leader_commit: self.commit_index,
        };
        // handout: from 2B: the entries
        if !self.peers[peer].probing {
            args.entries = that_fit(self.log().suffix(next_index)).to_vec();
        }
        // handout: end
        args
    }

    // handout: body 2A
    /// A reply to the request that was made at `sent` has come from `peer`; `None` if none has
    /// come in time. A reply that comes later counts all the same: it tells what the follower
    /// had then, and the state judges it together with its request.
    pub fn handle_reply(
        &mut self,
        peer: usize,
        request: &Request,
        sent: Instant,
        reply: Option<&Reply>,
        now: Instant,
    ) {
        debug_assert_ne!(peer, self.me, "a server does not answer itself");
        match (request, reply) {
            (Request::RequestVote(args), Some(Reply::RequestVote(reply))) => {
                self.handle_request_vote_reply(peer, args, reply, now);
            }
            (Request::AppendEntries(args), Some(Reply::AppendEntries(reply))) => {
                self.handle_append_entries_reply(peer, args, sent, reply, now);
            }
            (Request::InstallSnapshot(args), Some(Reply::InstallSnapshot(reply))) => {
                self.handle_install_snapshot_reply(peer, args, sent, reply, now);
            }
            // Servers retry RPCs if they do not receive a response in a timely manner
            // (§5.1). The request may have arrived all the same, so only the pace changes.
            (request, None) => {
                // handout: drop
                self.close_stream(peer, sent);
                // handout: end
                self.peers[peer].back_off = true;
                self.peers[peer].probing |= request.payload() > LARGE_MESSAGE;
            }
            (request, Some(reply)) => panic!("{reply:?} does not answer {request:?}"),
        }
    }

    // handout: body 2A
    /// AppendEntries RPC, receiver implementation (Figure 2).
    pub fn handle_append_entries(&mut self, args: &AppendEntriesArgs, now: Instant) -> AppendEntriesReply {
        self.observe_term(args.term, now);
        let refusal =
            AppendEntriesReply { term: self.term(), success: false, conflict_index: 0, conflict_term: 0 };
        // 1. Reply false if term < currentTerm: a deposed leader must not touch the log.
        if args.term < self.term() {
            debug!(target: "term", "refuses server {}, leader of old term {}", args.leader_id, args.term);
            return refusal;
        }
        self.recognise_leader(args.leader_id, now);
        // handout: from 2B: steps 2 to 5 of Figure 2
        // 2. Reply false if log doesn't contain an entry at prevLogIndex whose term matches
        // prevLogTerm. Entries that the snapshot has replaced were committed, so the leader
        // has the same ones.
        let agrees = self.log().term(args.prev_log_index) == Some(args.prev_log_term);
        if !agrees && args.prev_log_index > self.log().last_included_index() {
            return self.refuse(args, refusal);
        }
        // 3 and 4.
        self.store_entries(args);
        // 5. If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of
        // last new entry). Behind the last new entry our log may go on with entries that
        // the leader does not have, so its commit index says nothing about them.
        let last_new_entry = args.prev_log_index + args.entries.len() as u64;
        self.commit_up_to(args.leader_commit.min(last_new_entry));
        // handout: end
        AppendEntriesReply { success: true, ..refusal }
    }

    // handout: body 2A
    /// A message from the leader of the current term has come. This server is its follower,
    /// whatever it was before, and the leader is alive (Figure 2, rules for candidates and
    /// followers).
    pub(crate) fn recognise_leader(&mut self, leader: usize, now: Instant) {
        assert!(
            self.role != Role::Leader,
            "servers {} and {leader} both lead term {} (Election Safety)",
            self.me,
            self.term()
        );
        if self.role == Role::Candidate {
            debug!(target: "leader", "server {leader} leads term {}", self.term());
        }
        self.role = Role::Follower;
        self.last_heartbeat = now;
        self.reset_election_timer(now);
    }

    /// A refusal that says where the leader should look for an entry that the logs share
    /// (the end of §5.3). Up to `prev_log_index` the leader's log has no entry newer than
    /// `prev_log_term`, so every newer entry of our log is in conflict.
    fn refuse(&self, args: &AppendEntriesArgs, refusal: AppendEntriesReply) -> AppendEntriesReply {
        let log = self.log();
        let conflict_index = log.last_index_before(args.prev_log_index, args.prev_log_term);
        debug_assert!(
            conflict_index < args.prev_log_index,
            "a refusal at index {} would send the leader on to {conflict_index}",
            args.prev_log_index
        );
        debug!(
            target: "log",
            "lacks entry {} of term {}; the logs may agree up to {conflict_index}",
            args.prev_log_index, args.prev_log_term
        );
        AppendEntriesReply { conflict_index, conflict_term: log.term(conflict_index).unwrap_or(0), ..refusal }
    }

    /// AppendEntries, receiver steps 3 and 4: delete an existing entry that conflicts with
    /// a new one and all that follow it, append those not already in the log.
    ///
    /// "If" matters. An older message that was overtaken brings entries that we have. It
    /// must not remove those that a later message brought behind them, because the leader
    /// may have counted us for these already.
    fn store_entries(&mut self, args: &AppendEntriesArgs) {
        let mut index = args.prev_log_index;
        for (position, entry) in args.entries.iter().enumerate() {
            index += 1;
            // Everything in the snapshot is committed, so the leader has the same entries.
            if index <= self.log().last_included_index() || self.log().term(index) == Some(entry.term) {
                continue;
            }
            if index <= self.log().last_index() {
                debug!(target: "log", "truncates {index} to {}", self.log().last_index());
                self.persistent.truncate(index, self.commit_index);
            }
            debug_assert_eq!(self.log().last_index() + 1, index, "the new entries would leave a gap");
            self.persistent.append(&args.entries[position..]);
            return;
        }
    }

    // handout: body 2A
    /// A reply to our AppendEntries has come, perhaps much later, perhaps a second time. When
    /// the request was made (`sent`) matters only to options that no part asks for.
    pub fn handle_append_entries_reply(
        &mut self,
        peer: usize,
        args: &AppendEntriesArgs,
        sent: Instant,
        reply: &AppendEntriesReply,
        now: Instant,
    ) {
        if !self.still_leads(args.term, reply.term, now) {
            return;
        }
        self.note_answer(peer, sent);
        // handout: from 2B: what the reply tells of the follower's log
        if reply.success {
            // If successful: update nextIndex and matchIndex for follower. The follower has
            // what was sent then, which may be less than our log holds by now.
            self.note_match(peer, args.prev_log_index + args.entries.len() as u64);
            // handout: drop
            self.open_stream(peer, now);
            // handout: end
        } else {
            // handout: drop
            if self.send_again(peer, reply.conflict_index, sent, now) {
                return;
            }
            // handout: end
            self.back_up(peer, args, reply);
        }
        // handout: end
    }

    // handout: body 2A
    /// Whether this server still leads the term in which it sent the request. Everything may
    /// have changed while the lock was given up, and the reply may bring a later term (§5.1).
    pub(crate) fn still_leads(&mut self, request_term: u64, reply_term: u64, now: Instant) -> bool {
        debug_assert!(request_term <= self.term(), "a reply to a request of the future");
        self.observe_term(reply_term, now);
        self.term() == request_term && self.role == Role::Leader
    }

    /// The follower has everything up to `index`. Replies may come in any order, so this
    /// only ever moves forward.
    pub(crate) fn note_match(&mut self, peer: usize, index: u64) {
        debug_assert!(
            index <= self.log().last_index(),
            "server {peer} confirms index {index}, which this leader does not have"
        );
        let contact = &mut self.peers[peer];
        contact.back_off = false;
        contact.match_index = contact.match_index.max(index);
        contact.next_index = contact.next_index.max(contact.match_index + 1);
        self.advance_commit_index();
    }

    /// If AppendEntries fails because of log inconsistency: decrement nextIndex and retry
    /// (Figure 2, rules for leaders), a whole term at a time (the end of §5.3).
    ///
    /// Up to `conflict_index` the follower's log has no entry newer than `conflict_term`. So
    /// the leader, by the follower's own reasoning, steps over its newer entries.
    fn back_up(&mut self, peer: usize, args: &AppendEntriesArgs, reply: &AppendEntriesReply) {
        let shared = self.log().last_index_before(reply.conflict_index + 1, reply.conflict_term);
        // If our log does not reach back that far, the next message is the snapshot.
        let shared = shared.min(reply.conflict_index);
        let contact = &mut self.peers[peer];
        // An answer to an older guess says nothing about the present one.
        if args.prev_log_index + 1 != contact.next_index {
            return;
        }
        let next_index = (shared + 1).clamp(contact.match_index + 1, contact.next_index);
        debug!(target: "log", "server {peer}: next index goes back from {} to {next_index}", contact.next_index);
        contact.back_off = next_index == contact.next_index;
        contact.next_index = next_index;
        debug_assert!(contact.match_index < contact.next_index, "a matching entry would be sent again");
    }

    /// Rule for leaders (Figure 2; §5.3, §5.4): if there exists an N such that N >
    /// commitIndex, a majority of matchIndex >= N, and log[N].term == currentTerm, set
    /// commitIndex = N.
    ///
    /// The last condition is Figure 8. A leader that lacks an entry of an older term can
    /// still be elected and overwrite it, even if a majority has it. Once an entry of the
    /// current term is on a majority, no such leader can be elected, and everything before
    /// that entry is safe, too.
    pub(crate) fn advance_commit_index(&mut self) {
        debug_assert_eq!(self.role, Role::Leader, "only a leader counts replicas");
        let mut matched: Vec<u64> = self.others().map(|peer| self.peers[peer].match_index).collect();
        matched.push(self.log().last_index());
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let on_a_majority = matched[self.majority() - 1];
        if self.log().term(on_a_majority) == Some(self.term()) {
            self.commit_up_to(on_a_majority);
        }
    }

    /// Everything up to `index` is committed. The commit index never goes back.
    fn commit_up_to(&mut self, index: u64) {
        if index > self.commit_index {
            debug_assert!(index <= self.log().last_index(), "commits index {index}, beyond the log");
            debug!(target: "commit", "up to {index}");
            self.commit_index = index;
        }
    }
}

/// The first of these entries, as many as one message may carry; at least one, if there is
/// one.
pub(crate) fn that_fit(entries: &[Entry]) -> &[Entry] {
    let mut bytes = 0;
    let fit = entries.iter().take(MAX_MESSAGE_ENTRIES).take_while(|entry| {
        bytes += entry.command.len();
        bytes <= MAX_MESSAGE_BYTES
    });
    &entries[..fit.count().max(1).min(entries.len())]
}
