//! Who may go on alone: a test-and-set flag that both hosts can reach when they cannot reach each other (R7).
//!
//! The flag may stand on the shared disk ([`DiskArbiter`]), as in the paper, or in the Raft-based key/value
//! service of lab 3 ([`KvArbiter`]), which has no single point of failure.

use labrt::sync::Mutex;
use labrt::time::Duration;

use kvraft::{Clerk, Operation};

use crate::rpc::{ArbiterError, DiskPeer, TestAndSet};

/// How long a host waits for an answer before it asks again.
pub const PATIENCE: Duration = Duration::from_millis(150);

/// The flag of one machine: a value for each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    epoch: u64,
    winner: Option<usize>,
}

impl Default for Flag {
    /// The flag of epoch 1, not set.
    fn default() -> Flag {
        Flag { epoch: 1, winner: None }
    }
}

// handout: bodies PB
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

/// The flag on the shared disk.
pub struct DiskArbiter {
    disk: DiskPeer,
    vm: u64,
}

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

/// The flag in the key/value service: one key holds the history of a machine's flag, and hosts append to it.
///
/// Appends are linearizable, so all hosts see one order. A host appends its wish, reads the history, and
/// plays it on a [`Flag`]. An example: `t1.0;t1.1;r2;` says that hosts 0 and 1 asked for epoch 1, in this
/// order, so host 0 won; then the flag was reset for epoch 2.
pub struct KvArbiter {
    clerk: Mutex<Clerk>,
    key: String,
}

impl KvArbiter {
    /// The flag of machine `vm`, asked for through this clerk.
    pub fn new(clerk: Clerk, vm: u64) -> KvArbiter {
        KvArbiter { clerk: Mutex::new(clerk), key: format!("flag of vm {vm}") }
    }

    /// Appends to the history and returns all of it.
    fn append(&self, value: String) -> Result<String, ArbiterError> {
        /// Enough for an election.
        const LONG: Duration = Duration::from_secs(2);
        let mut clerk = self.clerk.lock();
        let key = self.key.clone();
        let append = Operation::Append { key: key.clone(), value };
        let history =
            clerk.operate(append, Some(LONG)).and_then(|_| clerk.operate(Operation::Get { key }, Some(LONG)));
        history.map_err(|_| ArbiterError::Unreachable)
    }
}

/// What a wish, such as `t1.0` or `r2`, does to the flag. Something else does nothing.
fn play(flag: &mut Flag, wish: &str) -> Option<Result<bool, ArbiterError>> {
    if let Some(epoch) = wish.strip_prefix('r') {
        flag.reset(epoch.parse().ok()?);
        return None;
    }
    let (epoch, host) = wish.strip_prefix('t')?.split_once('.')?;
    Some(flag.test_and_set(epoch.parse().ok()?, host.parse().ok()?))
}

impl Arbiter for KvArbiter {
    fn test_and_set(&self, epoch: u64, host: usize) -> Result<bool, ArbiterError> {
        let wish = format!("t{epoch}.{host}");
        let history = self.append(format!("{wish};"))?;
        let mut flag = Flag::default();
        // The last of this host's wishes that are in the history has the newest answer.
        let mut answer = None;
        for next in history.split(';') {
            let played = play(&mut flag, next);
            answer = if next == wish { played } else { answer };
        }
        answer.unwrap_or(Err(ArbiterError::Unreachable))
    }

    fn reset(&self, epoch: u64) -> Result<(), ArbiterError> {
        self.append(format!("r{epoch};")).map(drop)
    }
}
