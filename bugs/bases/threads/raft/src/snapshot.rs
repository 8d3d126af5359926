//! Log compaction (§7).

use labapi::{ApplyMsg, Role};

use crate::raft::Raft;
use crate::rpc::{InstallSnapshotArgs, InstallSnapshotReply};

impl Raft {
    /// The service has made a snapshot up to `index`: the log may forget all that.
    pub(crate) fn take_snapshot(&self, index: u64, snapshot: &[u8]) {
        let mut state = self.state.lock();
        if index <= state.log.base() || index > state.last_applied {
            return;
        }
        let term = state.log.term(index).expect("it was applied and is in no snapshot yet");
        state.log.compact(index, term);
        self.persister.save(&state.encode(), Some(snapshot));
    }

    /// Sends the snapshot to a follower that is behind the log's beginning; whether it has it now.
    pub(crate) fn send_snapshot(&self, peer: usize, term: u64) -> bool {
        let state = self.state.lock();
        if state.role != Role::Leader || state.current_term != term {
            return false;
        }
        let args = InstallSnapshotArgs {
            term,
            last_included_index: state.log.base(),
            last_included_term: state.log.base_term(),
            snapshot: self.persister.snapshot(),
        };
        drop(state);
        let Ok(reply) = self.peers[peer].install_snapshot(&args) else { return false };
        let mut state = self.state.lock();
        self.see_term(&mut state, reply.term);
        if state.role != Role::Leader || state.current_term != term {
            return false;
        }
        state.match_index[peer] = state.match_index[peer].max(args.last_included_index);
        state.next_index[peer] = state.next_index[peer].max(state.match_index[peer] + 1);
        true
    }

    /// The receiver's side of InstallSnapshot (Figure 13).
    pub(crate) fn handle_install_snapshot(&self, args: InstallSnapshotArgs) -> InstallSnapshotReply {
        let mut state = self.state.lock();
        self.see_term(&mut state, args.term);
        let reply = InstallSnapshotReply { term: state.current_term };
        if args.term < state.current_term {
            return reply;
        }
        state.role = Role::Follower;
        state.reset_election_timer();
        // Nothing new: the service has it all, or will get it as commands.
        if args.last_included_index <= state.commit_index {
            return reply;
        }
        state.log.compact(args.last_included_index, args.last_included_term);
        state.commit_index = args.last_included_index;
        self.persister.save(&state.encode(), Some(&args.snapshot));
        state.pending_snapshot = Some(ApplyMsg::Snapshot {
            index: args.last_included_index,
            term: args.last_included_term,
            snapshot: args.snapshot,
        });
        self.apply_cond.notify_all();
        reply
    }
}
