//! Handing committed entries to the service (Figure 2, rules for all servers).

use labapi::ApplyMsg;

use crate::state::State;

impl State {
    /// Rule for all servers (Figure 2; §5.3): "If commitIndex > lastApplied: increment
    /// lastApplied, apply `log[lastApplied]` to state machine". Returns what is to be
    /// applied now, in order; nothing if the service is up to date.
    ///
    /// A caller takes all there is at once, so that a service that is slow costs Raft no
    /// more than one that is fast. `last_applied` says from then on what has been taken,
    /// although the service may still be at work on it.
    ///
    /// One caller at a time: the messages must reach the service in the order in which they
    /// are taken here, snapshots among them.
    pub fn take_applicable(&mut self) -> Vec<ApplyMsg> {
        // The entries in between are gone, and the snapshot stands for them.
        if self.last_applied < self.log().last_included_index() {
            return vec![self.take_snapshot_to_apply()];
        }
        let first = self.last_applied + 1;
        let committed = self.log().range(first, self.commit_index);
        let numbered = (first..).zip(committed);
        let messages = numbered
            .map(|(index, entry)| ApplyMsg::Command {
                index,
                term: entry.term,
                command: entry.command.to_vec(),
            })
            .collect();
        self.last_applied = self.commit_index;
        messages
    }

    /// A leader's snapshot has overtaken the service: reset state machine using snapshot
    /// contents (Figure 13, receiver step 8).
    fn take_snapshot_to_apply(&mut self) -> ApplyMsg {
        let (index, term) = (self.log().last_included_index(), self.log().last_included_term());
        self.last_applied = index;
        ApplyMsg::Snapshot { index, term, snapshot: self.persistent.snapshot() }
    }
}
