// handout: file guided
//! Leader election (§5.2) with the election restriction (§5.4.1).

use labapi::Role;
use labrt::time::{Duration, Instant};
use tracing::debug;

use crate::rpc::{RequestVoteArgs, RequestVoteReply};
use crate::state::{Peer, State};

// handout: bodies 2A
impl State {
    /// When the election timeout elapses. `None` for a leader, which by default no timeout deposes.
    pub fn election_deadline(&self) -> Option<Instant> {
        if self.role == Role::Leader { self.quorum_deadline() } else { Some(self.election_deadline) }
    }

    /// Restarts the election timer. Exactly three things do (Figure 2, rules for
    /// followers): a message from the current leader, a vote granted, an election started.
    /// If a vote request alone reset the timer, a candidate that cannot win could keep
    /// electable servers from ever standing.
    pub(crate) fn reset_election_timer(&mut self, now: Instant) {
        self.election_deadline = now + self.election_timeout;
        self.stop_asking();
    }

    /// From the next restart of the timer on, this is the election timeout. The caller draws a
    /// new one now and then while the timer keeps being restarted.
    ///
    /// A server that kept its first draw would never be the first to stand, if that draw was
    /// long and candidates that cannot win restart its timer with their requests again and
    /// again. In a partial partition it may be the only one that can win.
    pub fn vary_election_timeout(&mut self, next_timeout: Duration) {
        debug_assert!(!next_timeout.is_zero(), "an election timeout of zero leaves no time for a leader");
        self.election_timeout = next_timeout;
    }

    /// The election timeout has elapsed: become a candidate and start an election (§5.2;
    /// Figure 2, rules for candidates).
    ///
    /// `next_timeout` limits this election. The caller draws it at random, so that
    /// candidates which split the vote once do not do so again.
    pub fn start_election(&mut self, now: Instant, next_timeout: Duration) {
        assert!(self.role != Role::Leader, "a leader does not stand for election");
        self.role = Role::Candidate;
        self.stop_asking();
        self.persistent.advance_term_as_candidate(self.me);
        debug!(target: "vote", "stands for election in term {}", self.term());
        self.votes = vec![self.me];
        self.election_timeout = next_timeout;
        self.election_deadline = now + next_timeout;
        let next_index = self.log().last_index() + 1;
        self.peers.fill(Peer::new(next_index, now));
        self.become_leader_with_a_majority(now);
    }

    /// The RequestVote to send to each of the others in this election.
    pub(crate) fn request_vote_args(&self) -> RequestVoteArgs {
        debug_assert_eq!(self.voted_for(), Some(self.me), "a candidate votes for itself");
        RequestVoteArgs {
            term: self.term(),
            candidate_id: self.me,
            last_log_index: self.log().last_index(),
            last_log_term: self.log().last_term(),
            pre_vote: false,
        }
    }

    /// RequestVote RPC, receiver implementation (Figure 2).
    pub fn handle_request_vote(&mut self, args: &RequestVoteArgs, now: Instant) -> RequestVoteReply {
        debug_assert_ne!(args.candidate_id, self.me, "a candidate does not ask itself");
        // Not in Figure 2, and only with pre-votes.
        if args.pre_vote {
            return self.handle_pre_vote(args, now);
        }
        // Not in Figure 2, and only with leases: this server has promised to wait.
        if self.is_bound(now) {
            debug!(target: "vote", "bound: ignores server {}, term {}", args.candidate_id, args.term);
            return RequestVoteReply { term: self.term(), vote_granted: false, bound: true };
        }
        self.observe_term(args.term, now);
        let refusal = self.refusal(args);
        if let Some(reason) = refusal {
            debug!(target: "vote", "refused to {} in term {}: {reason}", args.candidate_id, args.term);
        } else {
            debug!(target: "vote", "granted to {} in term {}", args.candidate_id, args.term);
            debug_assert_eq!(self.role, Role::Follower, "a candidate or leader has voted for itself");
            // The same vote again is no new one. A candidate that hears no answers repeats its
            // request, and must not keep this server from standing for election.
            if self.voted_for().is_none() {
                self.persistent.vote_for(args.candidate_id);
                self.reset_election_timer(now);
            }
        }
        RequestVoteReply { term: self.term(), vote_granted: refusal.is_none(), bound: false }
    }

    /// Why this server refuses a candidate its vote; `None` if it grants it (Figure 2,
    /// RequestVote, receiver steps 1 and 2).
    fn refusal(&self, args: &RequestVoteArgs) -> Option<&'static str> {
        // 1. Reply false if term < currentTerm: that election is over.
        if args.term < self.term() {
            return Some("the term is over");
        }
        // 2. If votedFor is null or candidateId … The same candidate gets the same vote
        // again, because the first reply may have been lost.
        if self.voted_for().is_some_and(|candidate| candidate != args.candidate_id) {
            return Some("another has the vote");
        }
        // … and candidate's log is at least as up-to-date as receiver's log, grant vote.
        if !self.is_up_to_date(args.last_log_index, args.last_log_term) {
            return Some("its log is behind");
        }
        None
    }

    /// Whether a log that ends with this entry is at least as up-to-date as ours (§5.4.1).
    /// The later last term wins, and between equal last terms the longer log.
    ///
    /// A committed entry is in the logs of a majority. No server of that majority votes for
    /// a candidate that lacks it, so every leader has every committed entry (Leader
    /// Completeness). Comparing lengths alone would not do: a deposed leader can pile up
    /// entries that no other server has.
    pub(crate) fn is_up_to_date(&self, last_log_index: u64, last_log_term: u64) -> bool {
        (last_log_term, last_log_index) >= (self.log().last_term(), self.log().last_index())
    }

    /// A reply to our RequestVote has come, perhaps much later, perhaps a second time.
    pub fn handle_request_vote_reply(
        &mut self,
        peer: usize,
        args: &RequestVoteArgs,
        reply: &RequestVoteReply,
        now: Instant,
    ) {
        debug_assert!(!(reply.vote_granted && reply.bound), "a bound server grants no vote");
        if args.pre_vote {
            return self.handle_pre_vote_reply(peer, args, reply, now);
        }
        self.observe_term(reply.term, now);
        // The vote was for another election, or this one is decided.
        if self.term() != args.term || self.role != Role::Candidate {
            return;
        }
        // A voter that is bound for now may grant its vote later in this election.
        self.peers[peer].answered = !reply.bound;
        if reply.vote_granted && !self.votes.contains(&peer) {
            self.votes.push(peer);
        }
        self.become_leader_with_a_majority(now);
    }

    /// If votes received from a majority of servers: become leader (Figure 2, rules for
    /// candidates).
    ///
    /// A leader begins with a guess, that every log is like its own, and without knowledge
    /// of any (Figure 2, volatile state on leaders). A message to each peer is due at once:
    /// the heartbeat that announces the leader.
    fn become_leader_with_a_majority(&mut self, now: Instant) {
        debug_assert_eq!(self.role, Role::Candidate, "only a candidate wins an election");
        debug_assert!(self.votes.contains(&self.me), "a candidate has its own vote");
        if self.votes.len() < self.majority() {
            return;
        }
        debug!(target: "leader", "of term {}, by the votes of {:?}", self.term(), self.votes);
        self.role = Role::Leader;
        self.reset_election_timer(now);
        let next_index = self.log().last_index() + 1;
        self.peers.fill(Peer::new(next_index, now));
    }
}
