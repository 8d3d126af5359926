//! The primary's half of the replication: it runs the guest and writes down whatever the backup cannot know.
//!
//! Rules R1 (delivery point) and R3 (non-deterministic instructions).

use labrt::sync::Arc;

use crate::Operation;
use crate::machine::{Exit, Interrupt, Machine, Output};
use crate::rpc::{Entry, EntryKind};

/// Where the results of non-deterministic instructions come from.
pub trait Sources: Send + Sync {
    /// The result of `rdtime` (microseconds) or `rdrand`.
    fn read(&self, operation: Operation) -> u64;
}

/// The run's clock and random numbers.
#[derive(Debug, Default)]
pub struct HostSources;

impl Sources for HostSources {
    fn read(&self, operation: Operation) -> u64 {
        match operation {
            Operation::Rdtime => labrt::time::Instant::now().as_nanos() / 1000,
            _ => labrt::rand::random(),
        }
    }
}

/// What `rdhost` returns on every host: the guest is one machine, so its host has one number.
pub const VIRTUAL_HOST: u64 = 0x76_6d_66_74;

/// An output that has not left, with the entry that tells the backup of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Number of its entry.
    pub seq: u64,
    /// Number of the output, from 1.
    pub index: u64,
    /// The output.
    pub output: Output,
}

/// A guest that is recorded.
pub struct Recorder {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    machine: Machine,
    sources: Arc<dyn Sources>,
    /// Of the entries to come.
    epoch: u64,
    next_seq: u64,
    /// False while there is no backup: nothing is written down.
    is_recording: bool,
    entries: Vec<Entry>,
    outputs: Vec<Held>,
    // handout: end
}

// handout: bodies VA
impl Recorder {
    /// Records `machine`, whose next entry has the number `next_seq`.
    pub fn new(machine: Machine, sources: Arc<dyn Sources>, epoch: u64, next_seq: u64) -> Recorder {
        let (entries, outputs) = Default::default();
        Recorder { machine, sources, epoch, next_seq, is_recording: true, entries, outputs }
    }

    /// The guest.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The guest.
    pub fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// Number of the next entry.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Writes entries of this epoch from now on; None: no entries at all.
    pub fn set_epoch(&mut self, epoch: Option<u64>) {
        self.is_recording = epoch.is_some();
        self.epoch = epoch.unwrap_or(self.epoch);
    }

    /// The entries that were written since the last call.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// The outputs that were made since the last call.
    pub fn take_outputs(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.outputs)
    }

    /// Runs the guest until it has retired `budget` instructions, waits, or has stopped. Returns the number
    /// of retired instructions.
    pub fn run(&mut self, budget: u64) -> u64 {
        let start = self.machine.icount();
        loop {
            match self.machine.run(start + budget) {
                Exit::Limit | Exit::Waiting | Exit::Stopped(_) => break,
                Exit::Nondeterministic(operation) => self.answer(operation),
                Exit::Output(output) => self.make_output(output),
            }
        }
        self.machine.icount() - start
    }

    /// R3: the host carries the instruction out, and writes down the result.
    fn answer(&mut self, operation: Operation) {
        let value = if operation == Operation::Rdhost { VIRTUAL_HOST } else { self.sources.read(operation) };
        self.machine.finish_nondeterministic(value);
        self.record(EntryKind::Nondeterministic { operation, value });
    }

    fn make_output(&mut self, output: Output) {
        let index = self.machine.finish_output(&output);
        let seq = self.next_seq;
        self.record(EntryKind::Output { index, digest: output.digest() });
        self.outputs.push(Held { seq, index, output });
    }

    /// R1: delivers an interrupt at this point of the run, and writes the point down. False if the guest does
    /// not take interrupts now.
    pub fn interrupt(&mut self, interrupt: &Interrupt) -> bool {
        if !self.machine.takes_interrupts() {
            return false;
        }
        self.machine.interrupt(interrupt);
        self.record(EntryKind::Interrupt(interrupt.clone()));
        true
    }

    /// Tells the backup how far it may run.
    pub fn record_progress(&mut self) {
        self.record(EntryKind::Progress);
    }

    /// Tells the backup that the machine ends here (R12): by itself, or by its owner.
    pub fn record_end(&mut self) {
        self.record(self.machine.stopped().map_or(EntryKind::PowerOff, EntryKind::Stopped));
    }

    fn record(&mut self, kind: EntryKind) {
        if self.is_recording {
            let (epoch, seq, icount) = (self.epoch, self.next_seq, self.machine.icount());
            tracing::trace!(target: "record", "entry {seq} at {icount}: {kind:?}");
            self.entries.push(Entry { epoch, seq, icount, kind });
            self.next_seq += 1;
        }
    }
}
