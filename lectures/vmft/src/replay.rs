//! The backup's half of the replication: it collects the log's entries and replays them.
//!
//! Rules R1 (delivery point), R2 (run limit), R3 (non-deterministic instructions), R5 (its outputs do not
//! leave), R6 (received means in the buffer), and the first part of R8 (what it must replay before it goes
//! live).

use std::collections::{BTreeMap, VecDeque};

use labrt::sync::Arc;

use crate::machine::{Exit, Machine, Output};
use crate::record::{Held, Recorder, Sources};
use crate::rpc::{Entry, EntryKind};

/// A guest that replays a log.
pub struct Replayer {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    machine: Machine,
    /// Received without gaps, and not replayed yet.
    buffer: VecDeque<Entry>,
    /// Received before an earlier entry was.
    early: BTreeMap<u64, Entry>,
    received: u64,
    replayed: u64,
    /// Outputs of the guest that may not have left the primary.
    kept: VecDeque<Held>,
    /// The entry that ends the machine is replayed.
    is_off: bool,
    // handout: end
}

// handout: bodies VA
impl Replayer {
    /// Replays on `machine`, from entry `next_seq` on.
    pub fn new(machine: Machine, next_seq: u64) -> Replayer {
        let (received, replayed) = (next_seq - 1, next_seq - 1);
        let (buffer, early, kept) = Default::default();
        Replayer { machine, buffer, early, received, replayed, kept, is_off: false }
    }

    /// The guest.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The guest.
    pub fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// R6: all entries up to this one are here.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// All entries up to this one are replayed.
    pub fn replayed(&self) -> u64 {
        self.replayed
    }

    /// Whether there is nothing to replay.
    pub fn is_done(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether the last entry says that the machine ends: there is nothing to go on with.
    pub fn will_end(&self) -> bool {
        let last = self.buffer.back().map(|entry| &entry.kind);
        self.is_off || matches!(last, Some(EntryKind::Stopped(_) | EntryKind::PowerOff))
    }

    /// Whether the log says that the machine has ended.
    pub fn is_off(&self) -> bool {
        self.is_off
    }

    /// Takes entries into the buffer, in whatever order they come. Example: 4 and 5 come, then 3, then 4
    /// again, while 3 is due. 4 and 5 wait; 3 lets all of them pass; the second 4 is dropped.
    pub fn receive(&mut self, entries: Vec<Entry>) {
        let new = entries.into_iter().filter(|entry| entry.seq > self.received);
        self.early.extend(new.map(|entry| (entry.seq, entry)));
        while let Some(entry) = self.early.remove(&(self.received + 1)) {
            self.received += 1;
            self.buffer.push_back(entry);
        }
    }

    /// Forgets the outputs that have left the primary, up to this number.
    pub fn forget_outputs(&mut self, released: u64) {
        self.kept.retain(|held| held.index > released);
    }

    /// Replays until the buffer is empty or `budget` instructions are retired. Returns the number of retired
    /// instructions.
    ///
    /// R2: the guest never runs beyond the newest entry of the buffer, since it cannot know what happens
    /// there.
    pub fn run(&mut self, budget: u64) -> u64 {
        let start = self.machine.icount();
        while let Some(entry) = self.buffer.front() {
            let before = icount_before(entry);
            let exit = self.machine.run(before.min(start + budget));
            if self.machine.icount() < before {
                assert!(exit == Exit::Limit, "the replay diverged: {exit:?} before {entry:?}");
                break;
            }
            if let Some(entry) = self.buffer.pop_front() {
                self.replayed = entry.seq;
                self.replay(entry);
            }
        }
        self.machine.icount() - start
    }

    /// Replays an entry whose point is reached.
    fn replay(&mut self, entry: Entry) {
        let icount = self.machine.icount();
        match entry.kind {
            EntryKind::Interrupt(interrupt) => self.machine.interrupt(&interrupt),
            EntryKind::Nondeterministic { operation, value } => {
                let exit = self.machine.run(icount + 1);
                assert_eq!(exit, Exit::Nondeterministic(operation), "the replay diverged at {icount}");
                self.machine.finish_nondeterministic(value);
            }
            EntryKind::Output { index, digest } => match self.machine.run(icount + 1) {
                Exit::Output(output) => self.replay_output(entry.seq, index, digest, output),
                exit => panic!("the replay diverged at {icount}: {exit:?} in place of output {index}"),
            },
            EntryKind::Stopped(stop) => {
                let exit = self.machine.run(icount + 1);
                assert_eq!(exit, Exit::Stopped(stop), "the replay diverged at {icount}");
                self.is_off = true;
            }
            EntryKind::PowerOff => self.is_off = true,
            EntryKind::Progress => {}
        }
    }

    /// R5: the output does not leave. It is kept until the primary says that it has sent it, since a primary
    /// that dies after the acknowledgement and before the release leaves that to this host.
    fn replay_output(&mut self, seq: u64, index: u64, digest: u64, output: Output) {
        let number = self.machine.finish_output(&output);
        assert_eq!((number, output.digest()), (index, digest), "the replay diverged at output {index}");
        self.kept.push_back(Held { seq, index, output });
    }

    /// R8: what a host needs to run freely, when everything received is replayed: the guest, and the outputs
    /// that may not have left.
    ///
    /// # Panics
    /// If entries are left.
    pub fn into_recorder(self, sources: Arc<dyn Sources>, epoch: u64) -> (Recorder, VecDeque<Held>) {
        assert!(self.is_done(), "a backup goes live with {} entries to replay", self.buffer.len());
        (Recorder::new(self.machine, sources, epoch, self.received + 1), self.kept)
    }
}

/// Retired instructions right before the event: an instruction that causes one is counted in its entry.
fn icount_before(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::Nondeterministic { .. } | EntryKind::Output { .. } => entry.icount - 1,
        _ => entry.icount,
    }
}
