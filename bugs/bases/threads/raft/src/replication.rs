//! Replication: heartbeats, entries, and what is committed (§5.3, §5.4.2).

use labapi::Role;
use labrt::sync::Arc;
use labrt::thread;

use crate::log::Entry;
use crate::raft::{Raft, State};
use crate::rpc::{AppendEntriesArgs, AppendEntriesReply};

impl Raft {
    /// Takes a command, if this is the leader, and sends it to all others at once.
    pub(crate) fn start_command(self: &Arc<Self>, command: Vec<u8>) -> Option<(u64, u64)> {
        let mut state = self.state.lock();
        if state.role != Role::Leader {
            return None;
        }
        let term = state.current_term;
        state.log.push(Entry { term, command });
        self.persist(&state);
        for peer in self.others() {
            let raft = Arc::clone(self);
            thread::spawn_named("replicate", move || raft.replicate(peer, term));
        }
        Some((state.log.last_index(), term))
    }

    /// Sends each of the others an AppendEntries without entries. A follower that is behind gets what it
    /// lacks.
    pub(crate) fn send_heartbeats(self: &Arc<Self>, state: &State) {
        for peer in self.others() {
            // Below the snapshot we know no terms. A follower that is that far behind refuses, and gets the
            // snapshot.
            let prev = (state.next_index[peer] - 1).max(state.log.base());
            let (raft, args) = (Arc::clone(self), state.append_entries_args(prev, Vec::new()));
            // What was started later is on its way already, and would be sent twice.
            let last_index = state.log.last_index();
            thread::spawn_named("heartbeat", move || {
                let Ok(reply) = raft.peers[peer].append_entries(&args) else { return };
                let mut state = raft.state.lock();
                raft.handle_append_reply(&mut state, peer, &args, &reply);
                let behind = state.next_index[peer] <= last_index;
                drop(state);
                if behind {
                    raft.replicate(peer, args.term);
                }
            });
        }
    }

    /// Brings a follower what it lacks. If a message is lost, the next heartbeat will notice.
    fn replicate(self: &Arc<Self>, peer: usize, term: u64) {
        loop {
            let state = self.state.lock();
            if state.role != Role::Leader || state.current_term != term {
                return;
            }
            let next = state.next_index[peer];
            if next <= state.log.base() {
                drop(state);
                if !self.send_snapshot(peer, term) {
                    return;
                }
                continue;
            }
            if next > state.log.last_index() {
                return;
            }
            let args = state.append_entries_args(next - 1, state.log.suffix(next));
            drop(state);
            let Ok(reply) = self.peers[peer].append_entries(&args) else { return };
            let mut state = self.state.lock();
            self.handle_append_reply(&mut state, peer, &args, &reply);
            if reply.success {
                return;
            }
        }
    }

    /// What a leader learns from a reply.
    fn handle_append_reply(
        &self,
        state: &mut State,
        peer: usize,
        args: &AppendEntriesArgs,
        reply: &AppendEntriesReply,
    ) {
        self.see_term(state, reply.term);
        if state.role != Role::Leader || state.current_term != args.term {
            return;
        }
        if reply.success {
            // Replies may come in any order, so these only grow.
            let matched = args.prev_log_index + args.entries.len() as u64;
            state.match_index[peer] = state.match_index[peer].max(matched);
            state.next_index[peer] = state.next_index[peer].max(state.match_index[peer] + 1);
            self.advance_commit_index(state);
        } else if state.next_index[peer] == args.prev_log_index + 1 {
            // Otherwise the reply is an old one. Back up as the end of §5.3 has it: behind our last entry of
            // the conflicting term if we have one, else to where that term begins at the follower.
            let ours = reply.conflict_term.and_then(|term| state.log.last_of_term(term, args.prev_log_index));
            let next = ours.map_or(reply.conflict_index, |index| index + 1);
            state.next_index[peer] = next.max(state.match_index[peer] + 1);
        }
    }

    /// An entry of the current term that a majority has is committed, and everything before it (§5.4.2).
    fn advance_commit_index(&self, state: &mut State) {
        let mut index = state.log.last_index();
        while index > state.commit_index && state.log.term(index) == Some(state.current_term) {
            let have_it = 1 + self.others().filter(|&peer| state.match_index[peer] >= index).count();
            if self.is_majority(have_it) {
                state.commit_index = index;
                self.apply_cond.notify_all();
                return;
            }
            index -= 1;
        }
    }

    /// The receiver's side of AppendEntries, in the steps of Figure 2.
    pub(crate) fn handle_append_entries(&self, args: AppendEntriesArgs) -> AppendEntriesReply {
        let mut state = self.state.lock();
        self.see_term(&mut state, args.term);
        // 1. The sender is no longer the leader.
        if args.term < state.current_term {
            return state.refuse(None, 0);
        }
        // There is a leader in this term: a candidate gives up.
        state.role = Role::Follower;
        state.reset_election_timer();
        // 2. Do the logs fit where the new entries begin? What is in our snapshot is committed, so it does
        // fit.
        let prev = args.prev_log_index;
        if prev > state.log.last_index() {
            let behind_ours = state.log.last_index() + 1;
            return state.refuse(None, behind_ours);
        }
        if let Some(term) = state.log.term(prev).filter(|&term| term != args.prev_log_term) {
            let first = state.log.first_of_term_at(prev);
            return state.refuse(Some(term), first);
        }
        // 3. and 4.
        let last_new = prev + args.entries.len() as u64;
        if state.append(prev, args.entries) {
            self.persist(&state);
        }
        // 5. What is behind the last new entry may be wrong, whatever the leader has committed.
        let commit_index = args.leader_commit.min(last_new);
        if commit_index > state.commit_index {
            state.commit_index = commit_index;
            self.apply_cond.notify_all();
        }
        AppendEntriesReply { term: state.current_term, success: true, conflict_term: None, conflict_index: 0 }
    }
}

impl State {
    fn append_entries_args(&self, prev: u64, entries: Vec<Entry>) -> AppendEntriesArgs {
        AppendEntriesArgs {
            term: self.current_term,
            prev_log_index: prev,
            prev_log_term: self.log.term(prev).expect("the leader's own log has what it sends"),
            entries,
            leader_commit: self.commit_index,
        }
    }

    fn refuse(&self, conflict_term: Option<u64>, conflict_index: u64) -> AppendEntriesReply {
        AppendEntriesReply { term: self.current_term, success: false, conflict_term, conflict_index }
    }

    /// Takes entries over behind `prev`; whether the log has changed. Only where an entry conflicts with a
    /// new one it is deleted, with all that follow: the message may be an old one, and what follows may be
    /// right.
    fn append(&mut self, prev: u64, entries: Vec<Entry>) -> bool {
        let mut changed = false;
        for (index, entry) in (prev + 1..).zip(entries) {
            if index <= self.log.base() || self.log.term(index) == Some(entry.term) {
                continue;
            }
            if index <= self.log.last_index() {
                self.log.truncate(index);
            }
            self.log.push(entry);
            changed = true;
        }
        changed
    }
}
