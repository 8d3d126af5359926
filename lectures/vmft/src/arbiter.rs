//! Who may go on alone: a test-and-set flag that both hosts can reach when they cannot reach each other (R7).
//!
//! The flag stands on the shared disk ([`DiskArbiter`]), as in the paper.
// handout: drop
//! `kv_arbiter.rs` keeps it in the Raft-based key/value service instead.
// handout: end

use labrt::time::Duration;

use crate::rpc::{ArbiterError, DiskPeer, TestAndSet};

/// How long a host waits for an answer before it asks again.
pub const PATIENCE: Duration = Duration::from_millis(150);

/// The flag of one machine: a value for each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    epoch: u64,
    winner: Option<usize>,
    // handout: end
}

impl Default for Flag {
    // handout: body classic VB
    /// The flag of epoch 1, not set.
    fn default() -> Flag {
        Flag { epoch: 1, winner: None }
    }
}

// handout: bodies VB
impl Flag {
    /// Sets the flag, and returns whether another host had set it. A host that asks again, because the answer
    /// was lost, gets the same answer.
    ///
    /// # Errors
    /// [`ArbiterError::WrongEpoch`], if the flag belongs to another epoch. Nothing has changed.
    pub fn test_and_set(&mut self, epoch: u64, host: usize) -> Result<bool, ArbiterError> {
        if epoch != self.epoch {
            return Err(ArbiterError::WrongEpoch(self.epoch));
        }
        Ok(*self.winner.get_or_insert(host) != host)
    }

    /// Clears the flag for a newer epoch. A reset that comes late or twice changes nothing.
    pub fn reset(&mut self, epoch: u64) {
        if epoch > self.epoch {
            *self = Flag { epoch, winner: None };
        }
    }

    /// The epoch that the flag belongs to.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// Where a host asks for its machine's flag.
pub trait Arbiter: Send + Sync {
    /// Sets the flag; returns the old value.
    ///
    /// # Errors
    /// [`ArbiterError`]. After [`ArbiterError::Unreachable`] the flag may be set.
    fn test_and_set(&self, epoch: u64, host: usize) -> Result<bool, ArbiterError>;

    /// Clears the flag for a new epoch.
    ///
    /// # Errors
    /// [`ArbiterError::Unreachable`]. The flag may be cleared.
    fn reset(&self, epoch: u64) -> Result<(), ArbiterError>;
}

// handout: bodies kept
/// The flag on the shared disk.
pub struct DiskArbiter {
    disk: DiskPeer,
    vm: u64,
}

// handout: bodies VB
impl DiskArbiter {
    /// The flag of machine `vm` on this disk.
    pub fn new(disk: &DiskPeer, vm: u64) -> DiskArbiter {
        DiskArbiter { disk: disk.timeout(PATIENCE), vm }
    }
}

impl Arbiter for DiskArbiter {
    fn test_and_set(&self, epoch: u64, host: usize) -> Result<bool, ArbiterError> {
        let answer = self.disk.test_and_set(&TestAndSet { vm: self.vm, epoch, host });
        answer.unwrap_or(Err(ArbiterError::Unreachable))
    }

    fn reset(&self, epoch: u64) -> Result<(), ArbiterError> {
        self.disk.reset_flag(&(self.vm, epoch)).map_err(|_| ArbiterError::Unreachable)
    }
}
