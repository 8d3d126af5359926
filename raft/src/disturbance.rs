// handout: file never
//! Elections that disturb less: leaders that give up by themselves, and candidates that ask
//! before they stand. Two options, beyond Figure 2.
//!
//! Figure 2 counts on links that work both ways, between any two servers that are up. Two
//! kinds of faults break that, and each has its rule:
//!
//! - **A leader that is heard but hears nothing.** Its heartbeats keep its followers from
//!   standing for election, and it can commit nothing. With `check_quorum` a leader gives up
//!   when an election timeout elapses without answers from a majority (`CheckQuorum`,
//!   dissertation §6.2). It becomes a follower within its term and falls silent, so its
//!   followers' timers run out. Leases need this rule: a follower that has promised to keep
//!   its leader grants no vote, and a leader that reaches only this one follower would renew
//!   the promise for ever.
//! - **A follower that is not reached but reaches others.** It stands for election again and
//!   again, and each of its terms deposes the leader. With `pre_vote` a server first asks
//!   whether it would be elected (`PreVote`, dissertation §9.6). Nobody changes its term for
//!   the question, and a server that hears from its leader says no.
//!
//! Five servers, one follower that no message reaches, one client that appends for 20 s: 15 or
//! 16 elections and 518 to 584 appends without pre-votes, no election and 904 to 915 appends
//! with them (`pre_vote_deaf_follower_3c`, ten seeds).
//!
//! Pre-votes without `CheckQuorum` would be worse than neither. A server that hears from a
//! leader says no even if that leader reaches nobody else. So leases and pre-votes each turn
//! `CheckQuorum` on.
//!
//! `LeaseGuard` (Davis et al., SIGMOD 2026) replaces promises by the log: a leader's lease is
//! the age of its last committed entry. A new leader takes commands at once, and commits them
//! when the old lease is over. Elections need no promises then, so a partial partition cannot
//! block them. It is not used here for two reasons. It needs an entry in the log at the start
//! of each term and again in each lease, and the course's tests count entries. And the age of
//! another leader's entry takes clocks whose error is known, while leases of this crate assume
//! only that clocks drift within bounds.

use labapi::Role;
use labrt::time::{Duration, Instant};
use tracing::debug;

use crate::rpc::{RequestVoteArgs, RequestVoteReply};
use crate::state::{Peer, State};

/// What the options of this file have a server remember.
#[derive(Debug, Default)]
pub(crate) struct Disturbance {
    /// Whether a leader gives up when it hears from no majority.
    pub(crate) check_quorum: bool,
    /// How long after a message from its leader a server grants no pre-vote; `None` if the
    /// servers stand for election without asking.
    pre_vote: Option<Duration>,
    /// The servers that would vote for this one, itself included; `None` unless it is asking.
    pre_votes: Option<Vec<usize>>,
    /// How often this server has begun to ask. Only compared with earlier values.
    pub(crate) polls: u64,
}

impl State {
    /// From now on a leader gives up when it has heard from no majority for an election
    /// timeout.
    pub fn check_quorum(&mut self) {
        self.disturbance.check_quorum = true;
    }

    /// From now on this server asks for pre-votes, and grants none sooner than
    /// `shortest_timeout` after a message from a leader. Turns [`State::check_quorum`] on.
    pub fn ask_before_elections(&mut self, shortest_timeout: Duration) {
        debug_assert!(
            shortest_timeout <= self.election_timeout,
            "a server asks before the others may answer"
        );
        self.check_quorum();
        self.disturbance.pre_vote = Some(shortest_timeout);
    }

    /// The election timeout has elapsed. Followers and candidates stand for election, or ask
    /// for pre-votes first; a leader gives up.
    pub fn election_timeout_elapsed(&mut self, now: Instant, next_timeout: Duration) {
        if self.role == Role::Leader {
            self.fall_silent(now, next_timeout);
        } else if self.disturbance.pre_vote.is_some() {
            self.ask_for_pre_votes(now, next_timeout);
        } else {
            self.start_election(now, next_timeout);
        }
    }

    /// When this leader gives up unless a majority answers it; `None` if it never does.
    ///
    /// An answer counts from when its message was made, as for reads. A new leader has a
    /// whole timeout for the first answers.
    pub(crate) fn quorum_deadline(&self) -> Option<Instant> {
        debug_assert_eq!(self.role, Role::Leader, "only a leader needs answers");
        // The leader counts itself, so a cluster of one needs nobody else.
        let others_needed = self.majority() - 1;
        if !self.disturbance.check_quorum || others_needed == 0 {
            return None;
        }
        let mut heard: Vec<_> = self.others().map(|peer| self.peers[peer].acknowledged).collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        let deadline = heard[others_needed - 1].map(|moment| moment + self.election_timeout);
        Some(deadline.map_or(self.election_deadline, |deadline| deadline.max(self.election_deadline)))
    }

    /// A leader gives up within its term. It has voted for itself in this term, so it votes
    /// for nobody else, and no other server can lead the term.
    fn fall_silent(&mut self, now: Instant, next_timeout: Duration) {
        debug_assert!(
            self.quorum_deadline().is_some_and(|deadline| deadline <= now),
            "a majority has answered"
        );
        debug!(target: "leader", "has heard from no majority, and gives up in term {}", self.term());
        self.role = Role::Follower;
        self.election_timeout = next_timeout;
        self.election_deadline = now + next_timeout;
        self.peers.iter_mut().for_each(|peer| peer.outgoing = None);
    }

    /// Asks all others whether they would vote for this server in the next term. Its own term
    /// and vote stay as they are.
    fn ask_for_pre_votes(&mut self, now: Instant, next_timeout: Duration) {
        debug_assert_ne!(self.role, Role::Leader, "a leader does not ask for pre-votes");
        debug!(target: "vote", "asks for pre-votes for term {}", self.term() + 1);
        // A candidate whose election came to nothing asks again, and meanwhile is none.
        self.role = Role::Follower;
        self.election_timeout = next_timeout;
        self.election_deadline = now + next_timeout;
        let next_index = self.log().last_index() + 1;
        self.peers.fill(Peer::new(next_index, now));
        self.disturbance.pre_votes = Some(vec![self.me]);
        self.disturbance.polls += 1;
        self.stand_with_a_majority(now);
    }

    /// Whether this server is asking for pre-votes.
    pub(crate) fn asks_for_pre_votes(&self) -> bool {
        self.disturbance.pre_votes.is_some()
    }

    /// There is a leader, a candidate or an election: nothing is left to ask for.
    pub(crate) fn stop_asking(&mut self) {
        self.disturbance.pre_votes = None;
    }

    /// The request for a pre-vote to send to each of the others.
    pub(crate) fn pre_vote_args(&self) -> RequestVoteArgs {
        RequestVoteArgs {
            term: self.term() + 1,
            candidate_id: self.me,
            last_log_index: self.log().last_index(),
            last_log_term: self.log().last_term(),
            pre_vote: true,
        }
    }

    /// A server asks whether this one would vote for it. Nothing changes here, whatever the
    /// answer.
    pub(crate) fn handle_pre_vote(&self, args: &RequestVoteArgs, now: Instant) -> RequestVoteReply {
        let quiet = self.disturbance.pre_vote.unwrap_or_default();
        let has_leader = self.role == Role::Leader || now < self.last_heartbeat + quiet;
        let granted = args.term > self.term()
            && !has_leader
            && self.is_up_to_date(args.last_log_index, args.last_log_term);
        let answer = if granted { "would vote" } else { "would not vote" };
        debug!(target: "vote", "{answer} for server {} in term {}", args.candidate_id, args.term);
        RequestVoteReply { term: self.term(), vote_granted: granted, bound: false }
    }

    /// A reply to our request for a pre-vote has come.
    pub(crate) fn handle_pre_vote_reply(
        &mut self,
        peer: usize,
        args: &RequestVoteArgs,
        reply: &RequestVoteReply,
        now: Instant,
    ) {
        self.observe_term(reply.term, now);
        if args.term != self.term() + 1 {
            return;
        }
        let Some(pre_votes) = &mut self.disturbance.pre_votes else { return };
        // A server that says no because it hears from a leader may say yes later.
        self.peers[peer].answered = reply.vote_granted;
        if reply.vote_granted && !pre_votes.contains(&peer) {
            pre_votes.push(peer);
        }
        self.stand_with_a_majority(now);
    }

    /// If a majority would vote for this server: start an election.
    fn stand_with_a_majority(&mut self, now: Instant) {
        let pre_votes = self.disturbance.pre_votes.as_ref().map_or(0, Vec::len);
        if pre_votes >= self.majority() {
            let timeout = self.election_timeout;
            self.start_election(now, timeout);
        }
    }
}
