//! Leader election (§5.2, §5.4.1).

use labapi::Role;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Instant;

use crate::raft::{Raft, State};
use crate::rpc::{RequestVoteArgs, RequestVoteReply};

impl Raft {
    /// Becomes a candidate in the next term and asks each of the others for a vote, in a thread of its own.
    pub(crate) fn start_election(self: &Arc<Self>, state: &mut State) {
        state.current_term += 1;
        state.role = Role::Candidate;
        state.voted_for = Some(self.me);
        state.votes = 1;
        state.reset_election_timer();
        self.persist(state);
        let args = RequestVoteArgs {
            term: state.current_term,
            candidate: self.me,
            last_log_index: state.log.last_index(),
            last_log_term: state.log.last_term(),
        };
        tracing::debug!(target: "vote", "stands for election in term {}", args.term);
        for peer in self.others() {
            let (raft, args) = (Arc::clone(self), args.clone());
            thread::spawn_named("request_vote", move || raft.ask_for_vote(peer, &args));
        }
    }

    /// Asks one server for its vote, and counts it.
    fn ask_for_vote(self: &Arc<Self>, peer: usize, args: &RequestVoteArgs) {
        let Ok(reply) = self.peers[peer].request_vote(args) else { return };
        let mut state = self.state.lock();
        self.see_term(&mut state, reply.term);
        // The reply may be old: it counts only for the election in which it was asked for.
        if state.role != Role::Candidate || state.current_term != args.term || !reply.granted {
            return;
        }
        state.votes += 1;
        if self.is_majority(state.votes) {
            self.become_leader(&mut state);
        }
    }

    fn become_leader(self: &Arc<Self>, state: &mut State) {
        tracing::debug!(target: "vote", "leads term {}", state.current_term);
        state.role = Role::Leader;
        state.next_index = vec![state.log.last_index() + 1; self.peers.len()];
        state.match_index = vec![0; self.peers.len()];
        // The ticker sends the first heartbeats at its next tick.
        state.heartbeat_due = Instant::now();
    }

    /// The receiver's side of RequestVote.
    pub(crate) fn handle_request_vote(&self, args: &RequestVoteArgs) -> RequestVoteReply {
        let mut state = self.state.lock();
        self.see_term(&mut state, args.term);
        let free = state.voted_for.is_none_or(|candidate| candidate == args.candidate);
        // Its log must be at least as good as ours: the later last term wins, then the longer log (§5.4.1).
        let theirs = (args.last_log_term, args.last_log_index);
        let up_to_date = theirs >= (state.log.last_term(), state.log.last_index());
        let granted = args.term == state.current_term && free && up_to_date;
        if granted {
            state.voted_for = Some(args.candidate);
            state.reset_election_timer();
            self.persist(&state);
            tracing::debug!(target: "vote", "granted to {} in term {}", args.candidate, args.term);
        }
        RequestVoteReply { term: state.current_term, granted }
    }
}
