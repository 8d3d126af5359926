//! Log replication (§5.3) and what counts as committed (§5.4.2).

use labapi::Role;
use labrt::time::{Duration, Instant};

use crate::rpc::{
    AppendEntriesArgs, AppendEntriesReply, InstallSnapshotArgs, InstallSnapshotReply, RequestVoteArgs,
    RequestVoteReply,
};
use crate::state::State;

/// How often a leader speaks to each follower when there is nothing to say, and a candidate
/// repeats a request without an answer.
///
/// The tester permits some tens of RPCs a second to an idle cluster. Shorter than the
/// shortest election timeout by a factor that lets three heartbeats in a row be lost.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

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

impl State {
    /// What to send to `peer` now. At most one call to a peer is under way at any time;
    /// while it is, new entries gather and go out together with the next.
    pub fn next_turn(&mut self, peer: usize, now: Instant) -> Turn {
        let contact = &self.peers[peer];
        let is_due = now >= contact.due;
        let wanted = match self.role {
            Role::Follower => return Turn::Wait,
            Role::Candidate if contact.answered => return Turn::Wait,
            Role::Candidate => is_due,
            // Something new need not wait for the heartbeat, unless the peer seems to be
            // away.
            Role::Leader => is_due || (self.log().last_index() >= contact.next_index && !contact.back_off),
        };
        if !wanted {
            return Turn::WaitUntil(contact.due);
        }
        self.peers[peer].due = now + HEARTBEAT_INTERVAL;
        self.peers[peer].sent = now;
        Turn::Send(self.request(peer))
    }

    /// The message that the peer needs, for a candidate or leader.
    fn request(&self, peer: usize) -> Request {
        if self.role == Role::Candidate {
            return Request::RequestVote(self.request_vote_args());
        }
        // The entry before the first one to send must still be known, at least its term;
        // otherwise only the snapshot helps (§7).
        match self.log().term(self.peers[peer].next_index - 1) {
            Some(prev_log_term) => Request::AppendEntries(self.append_entries_args(peer, prev_log_term)),
            None => Request::InstallSnapshot(self.install_snapshot_args()),
        }
    }

    /// Rule for leaders (Figure 2): if last log index >= nextIndex for a follower, send
    /// AppendEntries with log entries starting at nextIndex. If it is not, the same
    /// expression gives a heartbeat.
    fn append_entries_args(&self, peer: usize, prev_log_term: u64) -> AppendEntriesArgs {
        let next_index = self.peers[peer].next_index;
        AppendEntriesArgs {
            term: self.term(),
            leader_id: self.me,
            prev_log_index: next_index - 1,
            prev_log_term,
            entries: self.log().suffix(next_index).to_vec(),
            leader_commit: self.commit_index,
        }
    }

    /// A reply has come from `peer`, or the news that there will be none (`None`).
    pub fn handle_reply(&mut self, peer: usize, request: &Request, reply: Option<&Reply>, now: Instant) {
        match (request, reply) {
            (Request::RequestVote(args), Some(Reply::RequestVote(reply))) => {
                self.handle_request_vote_reply(peer, args, reply, now);
            }
            (Request::AppendEntries(args), Some(Reply::AppendEntries(reply))) => {
                self.handle_append_entries_reply(peer, args, reply, now);
            }
            (Request::InstallSnapshot(args), Some(Reply::InstallSnapshot(reply))) => {
                self.handle_install_snapshot_reply(peer, args, reply, now);
            }
            // Servers retry RPCs if they do not receive a response in a timely manner
            // (§5.1). The request may have arrived all the same, so nothing but the pace
            // changes.
            (_, None) => self.peers[peer].back_off = true,
            (request, Some(reply)) => panic!("{reply:?} does not answer {request:?}"),
        }
    }

    /// AppendEntries RPC, receiver implementation (Figure 2).
    pub fn handle_append_entries(&mut self, args: &AppendEntriesArgs, now: Instant) -> AppendEntriesReply {
        self.observe_term(args.term, now);
        let refusal =
            AppendEntriesReply { term: self.term(), success: false, conflict_index: 0, conflict_term: 0 };
        // 1. Reply false if term < currentTerm: a deposed leader must not touch the log.
        if args.term < self.term() {
            return refusal;
        }
        self.recognise_leader(args.leader_id, now);
        // 2. Reply false if log doesn't contain an entry at prevLogIndex whose term matches
        // prevLogTerm. A snapshot contains what it has replaced: all of it was committed,
        // and is therefore in the leader's log as well.
        let agrees = self.log().term(args.prev_log_index) == Some(args.prev_log_term);
        if !agrees && args.prev_log_index > self.log().last_included_index() {
            return self.refuse(args, refusal);
        }
        // 3 and 4.
        self.store_entries(args);
        // 5. If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of
        // last new entry). Behind the last new entry our log may go on with entries that
        // the leader does not have, so its commit index does not speak of them.
        let last_new_entry = args.prev_log_index + args.entries.len() as u64;
        self.commit_index = self.commit_index.max(args.leader_commit.min(last_new_entry));
        AppendEntriesReply { success: true, ..refusal }
    }

    /// A message from the leader of the current term: whoever we were, we are its follower,
    /// and it is alive (Figure 2, rules for candidates and followers).
    pub(crate) fn recognise_leader(&mut self, leader: usize, now: Instant) {
        assert!(
            self.role != Role::Leader,
            "servers {} and {leader} both lead term {} (Election Safety)",
            self.me,
            self.term()
        );
        self.role = Role::Follower;
        self.last_heartbeat = now;
        self.reset_election_timer(now);
    }

    /// A refusal that says where the leader should look for an entry that the logs share
    /// (the end of §5.3). Up to `prev_log_index` the leader's log has no entry that is
    /// newer than `prev_log_term`, so those which our log has are in conflict.
    fn refuse(&self, args: &AppendEntriesArgs, refusal: AppendEntriesReply) -> AppendEntriesReply {
        let log = self.log();
        let conflict_index = log.last_index_before(args.prev_log_index, args.prev_log_term);
        AppendEntriesReply { conflict_index, conflict_term: log.term(conflict_index).unwrap_or(0), ..refusal }
    }

    /// AppendEntries, receiver steps 3 and 4: delete an existing entry that conflicts with
    /// a new one and all that follow it, append those not already in the log.
    ///
    /// "If" matters: an older message that was overtaken brings entries that we have, and
    /// must not cut off those which a later one brought behind them. The leader may have
    /// counted us for these already.
    fn store_entries(&mut self, args: &AppendEntriesArgs) {
        let mut index = args.prev_log_index;
        for (position, entry) in args.entries.iter().enumerate() {
            index += 1;
            // Whatever the snapshot holds is committed, hence the same.
            if index <= self.log().last_included_index() || self.log().term(index) == Some(entry.term) {
                continue;
            }
            if index <= self.log().last_index() {
                self.persistent.truncate(index, self.commit_index);
            }
            self.persistent.append(&args.entries[position..]);
            return;
        }
    }

    /// A reply to our AppendEntries has come, perhaps much later, perhaps not for the first
    /// time.
    pub fn handle_append_entries_reply(
        &mut self,
        peer: usize,
        args: &AppendEntriesArgs,
        reply: &AppendEntriesReply,
        now: Instant,
    ) {
        if !self.still_leads(args.term, reply.term, now) {
            return;
        }
        self.note_answer(peer);
        if reply.success {
            // If successful: update nextIndex and matchIndex for follower. What it has is
            // what was sent then, not what our log holds by now.
            self.note_match(peer, args.prev_log_index + args.entries.len() as u64);
        } else {
            self.back_up(peer, args, reply);
        }
    }

    /// Whether a reply still is for the leader of the term in which the request went out.
    /// Everything may have changed while the lock was given up.
    pub(crate) fn still_leads(&mut self, request_term: u64, reply_term: u64, now: Instant) -> bool {
        self.observe_term(reply_term, now);
        self.term() == request_term && self.role == Role::Leader
    }

    /// The follower has everything up to `index`. Replies may come in any order, so this
    /// only ever moves forward.
    pub(crate) fn note_match(&mut self, peer: usize, index: u64) {
        let contact = &mut self.peers[peer];
        contact.back_off = false;
        contact.match_index = contact.match_index.max(index);
        contact.next_index = contact.next_index.max(contact.match_index + 1);
        self.advance_commit_index();
    }

    /// If AppendEntries fails because of log inconsistency: decrement nextIndex and retry
    /// (Figure 2, rules for leaders), a whole term at a time (the end of §5.3).
    ///
    /// Up to `conflict_index` the follower's log has no entry that is newer than
    /// `conflict_term`, so the same reasoning as the follower's takes us over those which
    /// our log has.
    fn back_up(&mut self, peer: usize, args: &AppendEntriesArgs, reply: &AppendEntriesReply) {
        let shared = self.log().last_index_before(reply.conflict_index + 1, reply.conflict_term);
        // Where our log does not reach back that far, the snapshot will have to.
        let shared = shared.min(reply.conflict_index);
        let contact = &mut self.peers[peer];
        // An answer to an older guess than the present one says nothing about the present
        // one.
        if args.prev_log_index + 1 != contact.next_index {
            return;
        }
        let next_index = (shared + 1).clamp(contact.match_index + 1, contact.next_index);
        contact.back_off = next_index == contact.next_index;
        contact.next_index = next_index;
    }

    /// Rule for leaders (Figure 2; §5.3, §5.4): if there exists an N such that N >
    /// commitIndex, a majority of matchIndex >= N, and log[N].term == currentTerm, set
    /// commitIndex = N.
    ///
    /// The last condition is Figure 8: an entry of an older term may be on a majority and
    /// yet be overwritten by a leader that does not have it. Once an entry of the current
    /// term is on a majority, no such leader can be elected, and everything before that
    /// entry is safe with it.
    pub(crate) fn advance_commit_index(&mut self) {
        let mut matched: Vec<u64> = self.others().map(|peer| self.peers[peer].match_index).collect();
        matched.push(self.log().last_index());
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let on_a_majority = matched[self.majority() - 1];
        if on_a_majority > self.commit_index && self.log().term(on_a_majority) == Some(self.term()) {
            self.commit_index = on_a_majority;
        }
    }
}
