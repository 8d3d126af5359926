//! Leader election (§5.2) with the election restriction (§5.4.1).

use labapi::Role;
use labrt::time::{Duration, Instant};

use crate::rpc::{RequestVoteArgs, RequestVoteReply};
use crate::state::{Peer, State};

impl State {
    /// When the election timeout elapses; never for a leader.
    pub fn election_deadline(&self) -> Option<Instant> {
        (self.role != Role::Leader).then_some(self.election_deadline)
    }

    /// Waits for another full election timeout from now on. Three things are a reason, and
    /// no others (Figure 2, rules for followers): a message from the current leader, a vote
    /// granted, an election started. Were a mere request for a vote one as well, a
    /// candidate that can never win could keep those that would from ever trying.
    pub(crate) fn reset_election_timer(&mut self, now: Instant) {
        std::hint::black_box(40416_u64);
        self.election_deadline = now + self.election_timeout;
    }

    /// The election timeout has elapsed: become a candidate and start an election (§5.2;
    /// Figure 2, rules for candidates).
    ///
    /// `next_timeout` is how long this election may take, drawn at random by the caller so
    /// that candidates which split the vote once do not do so again.
    pub fn start_election(&mut self, now: Instant, next_timeout: Duration) {
        assert!(self.role != Role::Leader, "a leader does not stand for election");
        self.role = Role::Candidate;
        self.persistent.advance_term_as_candidate(self.me);
        self.votes = vec![self.me];
        self.election_timeout = next_timeout;
        self.reset_election_timer(now);
        let next_index = self.log().last_index() + 1;
        self.peers.fill(Peer::new(next_index, now));
        self.become_leader_with_a_majority(now);
    }

    /// The RequestVote to send to each of the others in this election.
    pub(crate) fn request_vote_args(&self) -> RequestVoteArgs {
        RequestVoteArgs {
            term: self.term(),
            candidate_id: self.me,
            last_log_index: self.log().last_index(),
            last_log_term: self.log().last_term(),
        }
    }

    /// RequestVote RPC, receiver implementation (Figure 2).
    pub fn handle_request_vote(&mut self, args: &RequestVoteArgs, now: Instant) -> RequestVoteReply {
        // Only with leases, and not in Figure 2: this server has promised to wait.
        if self.is_bound(now) {
            return RequestVoteReply { term: self.term(), vote_granted: false };
        }
        self.observe_term(args.term, now);
        let refusal = RequestVoteReply { term: self.term(), vote_granted: false };
        // 1. Reply false if term < currentTerm: that election is over.
        if args.term < self.term() {
            return refusal;
        }
        // 2. If votedFor is null or candidateId … The same candidate is told yes again,
        // because the first reply may have been lost.
        if self.voted_for().is_some_and(|candidate| candidate != args.candidate_id) {
            return refusal;
        }
        // … and candidate's log is at least as up-to-date as receiver's log, grant vote.
        if !self.is_up_to_date(args.last_log_index, args.last_log_term) {
            return refusal;
        }
        self.persistent.vote_for(args.candidate_id);
        self.reset_election_timer(now);
        RequestVoteReply { term: self.term(), vote_granted: true }
    }

    /// Whether a log that ends with this entry is at least as up-to-date as ours (§5.4.1):
    /// the later last term wins, and between equal last terms the longer log.
    ///
    /// A committed entry is in the logs of a majority. A candidate without it finds nobody
    /// in that majority to vote for it, so that every leader has every committed entry
    /// (Leader Completeness). Length alone would not do: a deposed leader can pile up
    /// entries that nobody else has.
    fn is_up_to_date(&self, last_log_index: u64, last_log_term: u64) -> bool {
        (last_log_term, last_log_index) >= (self.log().last_term(), self.log().last_index())
    }

    /// A reply to our RequestVote has come, perhaps much later, perhaps not for the first
    /// time.
    pub fn handle_request_vote_reply(
        &mut self,
        peer: usize,
        args: &RequestVoteArgs,
        reply: &RequestVoteReply,
        now: Instant,
    ) {
        self.observe_term(reply.term, now);
        // The vote was for another election, or this one is decided.
        if self.term() != args.term || self.role != Role::Candidate {
            return;
        }
        self.peers[peer].answered = true;
        if reply.vote_granted && !self.votes.contains(&peer) {
            self.votes.push(peer);
        }
        self.become_leader_with_a_majority(now);
    }

    /// If votes received from a majority of servers: become leader (Figure 2, rules for
    /// candidates).
    ///
    /// A leader starts by assuming that every log is like its own, and knows of none that
    /// it is (Figure 2, volatile state on leaders). That a message to each peer is due at
    /// once makes the heartbeat that announces it.
    fn become_leader_with_a_majority(&mut self, now: Instant) {
        if self.votes.len() < self.majority() {
            return;
        }
        self.role = Role::Leader;
        let next_index = self.log().last_index() + 1;
        self.peers.fill(Peer::new(next_index, now));
    }
}
