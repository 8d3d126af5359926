// handout: file guided
//! Log compaction (§7): the service's own snapshots, and those that a leader sends.

use bytes::Bytes;
use labapi::Role;
use labrt::time::Instant;
use tracing::debug;

use crate::replication::MAX_MESSAGE_BYTES;
use crate::rpc::{InstallSnapshotArgs, InstallSnapshotReply};
use crate::state::State;

/// Leader: a snapshot that a follower is being sent. It shares the bytes with the disk, and
/// keeps them when the service makes a newer snapshot meanwhile. Otherwise a follower that
/// takes longer than the service's next snapshot would start again and again.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingSnapshot {
    last_included_index: u64,
    last_included_term: u64,
    data: Bytes,
    /// How many bytes the follower has.
    offset: usize,
}

/// Follower: the chunks of a snapshot that have come so far, in memory only. After a restart
/// the leader sends the snapshot from its beginning.
#[derive(Debug, Default)]
pub(crate) struct IncomingSnapshot {
    /// The term of the leader that sends it, and the last index that it replaces. Another
    /// leader may encode the same state in another way, so both identify the bytes.
    id: (u64, u64),
    data: Vec<u8>,
}

// handout: bodies 2D
impl State {
    /// The service has made a snapshot of its state after applying everything up to and
    /// including `index`. Raft keeps it, and discards these entries.
    ///
    /// If the present snapshot reaches that index already, nothing happens: a leader's
    /// snapshot may have arrived while the service made its own.
    ///
    /// # Panics
    /// If `index` is beyond what was handed to the service, which therefore cannot be in a
    /// snapshot.
    pub fn snapshot(&mut self, index: u64, snapshot: Bytes) {
        assert!(
            index <= self.last_applied,
            "the service's snapshot reaches to index {index}, but only {} entries have been applied",
            self.last_applied
        );
        if index <= self.log().last_included_index() {
            return;
        }
        let term = self.log().term(index);
        debug_assert!(term.is_some(), "an applied entry is missing from the log");
        if let Some(term) = term {
            debug!(target: "snapshot", "own, up to index {index}, {} bytes", snapshot.len());
            self.persistent.install_snapshot(index, term, snapshot);
        }
    }

    /// The InstallSnapshot to send to a follower that needs entries which are no longer in
    /// the log: the next chunk of the snapshot.
    pub(crate) fn install_snapshot_args(&mut self, peer: usize) -> InstallSnapshotArgs {
        debug_assert_eq!(self.role, Role::Leader, "only a leader sends snapshots");
        let (term, leader_id) = (self.term(), self.me);
        let log = self.persistent.log();
        let probing = self.peers[peer].probing;
        let outgoing = &mut self.peers[peer].outgoing;
        // As long as the follower has nothing, and nothing is on its way, the newest snapshot
        // is the best.
        drop(outgoing.take_if(|outgoing| outgoing.offset == 0 && !probing));
        let OutgoingSnapshot { last_included_index, last_included_term, data, offset } = outgoing
            .get_or_insert_with(|| OutgoingSnapshot {
                last_included_index: log.last_included_index(),
                last_included_term: log.last_included_term(),
                data: self.persistent.snapshot(),
                offset: 0,
            });
        debug_assert!(*offset <= data.len(), "the follower cannot have more than there is");
        // A chunk without bytes is a heartbeat.
        let end = if probing { *offset } else { data.len().min(*offset + MAX_MESSAGE_BYTES) };
        debug!(
            target: "snapshot",
            "to server {peer}: up to index {last_included_index}, bytes {offset} to {end} of {}",
            data.len()
        );
        InstallSnapshotArgs {
            term,
            leader_id,
            last_included_index: *last_included_index,
            last_included_term: *last_included_term,
            offset: *offset as u64,
            data: data.slice(*offset..end),
            done: end == data.len() && !probing,
        }
    }

    /// InstallSnapshot RPC, receiver implementation (Figure 13).
    pub fn handle_install_snapshot(
        &mut self,
        args: &InstallSnapshotArgs,
        now: Instant,
    ) -> InstallSnapshotReply {
        self.observe_term(args.term, now);
        let term = self.term();
        // 1. Reply immediately if term < currentTerm.
        if args.term < term {
            return InstallSnapshotReply { term, next_offset: Some(0) };
        }
        self.recognise_leader(args.leader_id, now);
        // The message may have been delayed, and bring what this server has long had.
        // Going back to it would take from the service what it has applied.
        if args.last_included_index <= self.commit_index {
            return InstallSnapshotReply { term, next_offset: None };
        }
        // 2 to 4.
        match self.store_chunk(args) {
            Err(next_offset) => return InstallSnapshotReply { term, next_offset: Some(next_offset) },
            Ok(snapshot) => {
                debug!(target: "snapshot", "the leader's, up to index {}", args.last_included_index);
                // 5 to 7. Save the snapshot; retain the log entries behind its last included
                // entry if we have that entry, else discard the entire log.
                let (index, index_term) = (args.last_included_index, args.last_included_term);
                self.persistent.install_snapshot(index, index_term, snapshot);
            }
        }
        // 8. Reset state machine using snapshot contents: left to `take_applicable`, which
        // sees that the snapshot is ahead of the service.
        self.commit_index = args.last_included_index;
        debug_assert!(self.last_applied < self.commit_index, "the service is ahead of the snapshot");
        InstallSnapshotReply { term, next_offset: None }
    }

    /// InstallSnapshot, receiver steps 2 to 4. Returns the snapshot once its last chunk has
    /// come, and until then the offset at which the next chunk has to start.
    fn store_chunk(&mut self, args: &InstallSnapshotArgs) -> Result<Bytes, u64> {
        let id = (args.term, args.last_included_index);
        // A late chunk of a snapshot that a newer one has replaced.
        if id < self.incoming.id {
            return Err(args.offset);
        }
        // 2. Create new snapshot file if first chunk; 5. discard any partial snapshot with a
        // smaller index.
        if id > self.incoming.id {
            self.incoming = IncomingSnapshot { id, data: Vec::new() };
        }
        debug_assert!(id.1 > self.commit_index, "a snapshot of what is committed here already");
        let data = &mut self.incoming.data;
        // 3. Write data into snapshot file at given offset. A chunk that has come before
        // changes nothing, and one that does not join on must come again later.
        if args.offset != data.len() as u64 {
            return Err(data.len() as u64);
        }
        data.extend_from_slice(&args.data);
        // 4. Reply and wait for more data chunks if done is false.
        if !args.done {
            return Err(data.len() as u64);
        }
        Ok(std::mem::take(&mut self.incoming).data.into())
    }

    /// A reply to our InstallSnapshot has come. One to a chunk without bytes says only that the
    /// follower is there, and so that the next chunk may go.
    pub fn handle_install_snapshot_reply(
        &mut self,
        peer: usize,
        args: &InstallSnapshotArgs,
        sent: Instant,
        reply: &InstallSnapshotReply,
        now: Instant,
    ) {
        if !self.still_leads(args.term, reply.term, now) {
            return;
        }
        self.note_answer(peer, sent);
        debug_assert!(args.last_included_index <= self.commit_index, "a snapshot of uncommitted entries");
        let contact = &mut self.peers[peer];
        let Some(next_offset) = reply.next_offset else {
            contact.outgoing = None;
            return self.note_match(peer, args.last_included_index);
        };
        let outgoing = contact.outgoing.as_mut();
        let is_current = |of: &&mut OutgoingSnapshot| {
            of.last_included_index == args.last_included_index && of.offset as u64 == args.offset
        };
        // An answer to an earlier chunk says nothing about the present one.
        if let Some(outgoing) = outgoing.filter(is_current) {
            // Without progress the next chunk waits until the next heartbeat is due.
            contact.back_off = next_offset <= args.offset && !args.data.is_empty();
            outgoing.offset = (next_offset as usize).min(outgoing.data.len());
        }
    }
}
