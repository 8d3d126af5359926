// handout: file apart
//! The flag in the Raft-based key/value service of lab 3, which has no single point of failure.

use kvraft::{Clerk, Operation};
use labrpc::ClientEnd;
use labrt::time::Duration;

use crate::arbiter::{Arbiter, Flag};
use crate::rpc::ArbiterError;

/// The flag in the key/value service: one key holds the history of a machine's flag, and hosts append to it.
///
/// Appends are linearizable, so all hosts see one order. A host appends its wish, reads the history, and
/// plays it on a [`Flag`]. An example: `t1.0;t1.1;r2;` says that hosts 0 and 1 asked for epoch 1, in this
/// order, so host 0 won; then the flag was reset for epoch 2.
pub struct KvArbiter {
    ends: Vec<ClientEnd>,
    key: String,
}

impl KvArbiter {
    /// The flag of machine `vm` in the service whose servers these ends reach.
    pub fn new(ends: Vec<ClientEnd>, vm: u64) -> KvArbiter {
        KvArbiter { ends, key: format!("flag of vm {vm}") }
    }

    /// Appends to the history and returns all of it.
    fn append(&self, value: String) -> Result<String, ArbiterError> {
        /// Enough for an election.
        const LONG: Duration = Duration::from_secs(2);
        // A clerk for each question: no lock is held during its calls, and questions are rare.
        let mut clerk = Clerk::new(self.ends.clone());
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
