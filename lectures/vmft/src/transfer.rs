// handout: bodies kept
//! The other way to keep a backup: state transfer. After each output the primary ships the pages that have
//! changed, instead of logging events. Here it is a measure: how many bytes does each way need?

use labrt::sync::Arc;

use crate::machine::{Interrupt, Machine, PAGE};
use crate::record::{Recorder, Sources};

/// Bytes that each way sends to the backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Entries of the log.
    pub log: u64,
    /// Dirty pages, and the registers and devices beside them.
    pub pages: u64,
    /// How many pages were shipped.
    pub shipped: u64,
}

/// Registers, flags, vectors and counters, in bytes.
const CORE: u64 = 16 * 8 + 8 * 4 + 32;

/// Has the guest serve these packets one after the other, and counts what either way sends for them.
pub fn compare(machine: Machine, packets: &[Vec<u8>], sources: Arc<dyn Sources>) -> Traffic {
    /// More instructions than a request of a sample guest takes.
    const ENOUGH: u64 = 1_000_000;
    let mut recorder = Recorder::new(machine, sources, 1, 1);
    recorder.run(ENOUGH);
    recorder.take_entries();
    recorder.machine_mut().take_dirty_pages();
    let mut traffic = Traffic::default();
    for packet in packets {
        recorder.interrupt(&Interrupt::Packet(packet.clone()));
        recorder.run(ENOUGH);
        let entries = recorder.take_entries();
        traffic.log += entries.iter().map(|entry| labgob::encode(entry).len() as u64).sum::<u64>();
        let dirty = u64::from(recorder.machine_mut().take_dirty_pages().count_ones());
        traffic.shipped += dirty;
        traffic.pages += CORE + dirty * (PAGE as u64 + 2);
    }
    traffic
}
