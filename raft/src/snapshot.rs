//! Log compaction (§7): the service's own snapshots, and those that a leader sends.

use labrt::time::Instant;

use crate::rpc::{InstallSnapshotArgs, InstallSnapshotReply};
use crate::state::State;

impl State {
    /// The service has made a snapshot of its state after applying everything up to and
    /// including `index`: keep it, and forget these entries.
    ///
    /// An index that the present snapshot reaches already is ignored: a leader's snapshot
    /// may have arrived while the service made its own.
    ///
    /// # Panics
    /// If `index` is beyond what was handed to the service, which therefore cannot be in a
    /// snapshot.
    pub fn snapshot(&mut self, index: u64, snapshot: &[u8]) {
        assert!(
            index <= self.last_applied,
            "the service's snapshot reaches to index {index}, but only {} entries have been applied",
            self.last_applied
        );
        if index <= self.log().last_included_index() {
            return;
        }
        if let Some(term) = self.log().term(index) {
            self.persistent.install_snapshot(index, term, snapshot);
        }
    }

    /// The InstallSnapshot to send to a follower that has fallen behind the log's
    /// beginning.
    pub(crate) fn install_snapshot_args(&self) -> InstallSnapshotArgs {
        InstallSnapshotArgs {
            term: self.term(),
            leader_id: self.me,
            last_included_index: self.log().last_included_index(),
            last_included_term: self.log().last_included_term(),
            data: self.persistent.snapshot().into(),
        }
    }

    /// InstallSnapshot RPC, receiver implementation (Figure 13).
    pub fn handle_install_snapshot(
        &mut self,
        args: &InstallSnapshotArgs,
        now: Instant,
    ) -> InstallSnapshotReply {
        self.observe_term(args.term, now);
        let reply = InstallSnapshotReply { term: self.term() };
        // 1. Reply immediately if term < currentTerm.
        if args.term < self.term() {
            return reply;
        }
        self.recognise_leader(args.leader_id, now);
        // A message that was delayed may tell what we have known for long. To go back to it
        // would take from the service what it has applied.
        if args.last_included_index <= self.commit_index {
            return reply;
        }
        // 5 to 7. Save the snapshot; retain the log entries behind its last included entry
        // if we have that entry, else discard the entire log.
        self.persistent.install_snapshot(args.last_included_index, args.last_included_term, &args.data);
        // 8. Reset state machine using snapshot contents: left to `take_applicable`, which
        // sees that the snapshot is ahead of the service.
        self.commit_index = args.last_included_index;
        reply
    }

    /// A reply to our InstallSnapshot has come: the follower has everything that the
    /// snapshot holds.
    pub fn handle_install_snapshot_reply(
        &mut self,
        peer: usize,
        args: &InstallSnapshotArgs,
        reply: &InstallSnapshotReply,
        now: Instant,
    ) {
        if self.still_leads(args.term, reply.term, now) {
            self.note_answer(peer);
            self.note_match(peer, args.last_included_index);
        }
    }
}
