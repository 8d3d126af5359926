//! The log's entries, and what hosts, disk, cluster service and clients say to each other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Operation;
use crate::machine::{Interrupt, Output, Stop};

/// An event of the guest, as the primary tells it to the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The epoch in which it was recorded.
    pub epoch: u64,
    /// Its number, from 1, without gaps over all epochs.
    pub seq: u64,
    /// Retired instructions after the event. For an interrupt: those before its handler's first one.
    pub icount: u64,
    /// What happened.
    pub kind: EntryKind,
}

/// What happened in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// An interrupt was delivered, with its packet or its disk data.
    Interrupt(Interrupt),
    /// A non-deterministic instruction had this result.
    Nondeterministic {
        /// The instruction.
        operation: Operation,
        /// Its result.
        value: u64,
    },
    /// The guest made an output. The backup makes it itself, so a digest is enough to compare.
    Output {
        /// The output's number, from 1.
        index: u64,
        /// [`Output::digest`].
        digest: u64,
    },
    /// The guest has stopped by itself: it halted or trapped.
    Stopped(Stop),
    /// Control entry: the machine's owner switched it off (R12).
    PowerOff,
    /// No event: the backup may run up to here.
    Progress,
}

/// Entries, from the primary to the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBatch {
    /// The primary's epoch.
    pub epoch: u64,
    /// In order and without gaps. Batches may overlap, overtake one another, and come twice.
    pub entries: Vec<Entry>,
    /// Outputs up to this number have left the primary. A backup that hears of some of them late, or never,
    /// sends them again when it goes live, which does no harm.
    pub released: u64,
    /// The primary's clock, in nanoseconds. For whoever looks at the messages; no host needs it.
    pub sent_at: u64,
}

/// How far the backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAck {
    /// The backup's epoch.
    pub epoch: u64,
    /// It has received all entries up to this one, without a gap. They are in its buffer, not necessarily
    /// replayed. 0 from a primary.
    pub received_seq: u64,
    /// It has replayed all entries up to this one.
    pub replayed_seq: u64,
    /// Instructions that its guest has retired.
    pub replayed_icount: u64,
}

/// A sign of life, for when there is nothing to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The sender's epoch.
    pub epoch: u64,
    /// Whether the sender is the primary.
    pub is_primary: bool,
    /// Instructions that its guest has retired.
    pub icount: u64,
}

/// The whole state of a machine, for a new backup.
#[derive(Clone, Serialize, Deserialize)]
pub struct Clone {
    /// The epoch that begins with it.
    pub epoch: u64,
    /// The new backup's primary.
    pub primary: usize,
    /// The encoded [`crate::Machine`]: pages, registers, devices, icount.
    #[serde(with = "labgob::bytes")]
    pub machine: Vec<u8>,
    /// Number of the next entry.
    pub next_seq: u64,
    /// Outputs up to this number have left.
    pub released: u64,
}

impl fmt::Debug for Clone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clone(epoch {}, {} bytes, next {})", self.epoch, self.machine.len(), self.next_seq)
    }
}

/// Why a host refuses a message of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostError {
    /// The message is of another epoch than the host's, which is this one.
    WrongEpoch(u64),
    /// The host does not have the role that the message is for.
    WrongRole,
    /// A clone that holds no machine.
    Damaged,
}

/// Why the arbiter did not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArbiterError {
    /// The flag belongs to another epoch, this one. A newer one means that the host has lost, or, if its
    /// epoch never began, that it is free again (R10). An older one means nothing yet: the reset is still on
    /// its way, or the host's epoch will never begin.
    WrongEpoch(u64),
    /// The arbiter cannot be reached. It may have decided all the same.
    Unreachable,
}

/// Why the shared disk did not do what it was asked for. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskError {
    /// There is no such block.
    NoSuchBlock,
    /// The data are no block.
    WrongLength,
    /// The writer's epoch is over.
    Stale,
}

/// A question for the flag of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestAndSet {
    /// The machine.
    pub vm: u64,
    /// The host's epoch.
    pub epoch: u64,
    /// Who asks.
    pub host: usize,
}

/// A write to the shared disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskWrite {
    /// The machine.
    pub vm: u64,
    /// The block.
    pub lba: u64,
    /// [`crate::machine::BLOCK`] bytes.
    pub data: Vec<u8>,
    /// The number of the output.
    pub index: u64,
    /// The epoch of the host.
    pub writer_epoch: u64,
}

/// Outputs that leave a host for the world outside: packets and console bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transmission {
    /// The host.
    pub host: usize,
    /// Each with its number, in order.
    pub outputs: Vec<(u64, Output)>,
}

labrpc::service! {
    /// A host.
    pub service HostRpc, client HostPeer {
        /// Entries of the log, from the primary.
        fn log(batch: LogBatch) -> Result<LogAck, HostError>;
        /// A sign of life of the other host.
        fn heartbeat(heartbeat: Heartbeat) -> Result<LogAck, HostError>;
        /// Makes this host the backup. Named for the message `Clone`.
        fn adopt(clone: Clone) -> Result<(), HostError>;
        /// A packet for the guest. False: this host does not own the machine's address.
        fn packet(bytes: Vec<u8>) -> bool;
    }
}

labrpc::service! {
    /// The shared disk, with a flag for each machine.
    pub service DiskRpc, client DiskPeer {
        /// Sets the flag of an epoch. Returns whether another host had set it (the old value).
        fn test_and_set(question: TestAndSet) -> Result<bool, ArbiterError>;
        /// Clears the flag for a new epoch; an epoch that is not newer changes nothing.
        fn reset_flag(vm_and_epoch: (u64, u64)) -> ();
        /// Returns a block of a machine.
        fn read(vm_and_lba: (u64, u64)) -> Result<Vec<u8>, DiskError>;
        /// Writes a block.
        fn write(write: DiskWrite) -> Result<(), DiskError>;
    }
}

labrpc::service! {
    /// The service that knows which hosts are free.
    pub service ClusterRpc, client ClusterPeer {
        /// Picks a host for a new backup of this machine; None if no host is free.
        fn need_backup(vm: u64) -> Option<usize>;
    }
}

labrpc::service! {
    /// The network outside, as hosts see it.
    pub service WireRpc, client WirePeer {
        /// Carries outputs to whom they are meant for.
        fn transmit(transmission: Transmission) -> ();
    }
}
