//! What a service is to the replication below it: a deterministic state machine.

use labgob::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A service whose replicas stay equal because each applies the same commands in the same
/// order (Schneider: *Implementing fault-tolerant services using the state machine
/// approach*, 1990).
///
/// [`StateMachine::apply`] must be a function of the state and the command alone: no clock,
/// no random number, no order of a hash map, nothing of the server that it runs on. If two
/// replicas can come to different states, they will, and no test of one of them shows it.
pub trait StateMachine: Send + 'static {
    /// What clients want done. It travels through the log.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What they are told.
    type Reply: Send + 'static;

    /// Carries out a command that is committed, and tells what came of it.
    fn apply(&mut self, command: Self::Command) -> Self::Reply;

    /// The answer to a command that changes nothing, from the state as it is; `None` for
    /// every other command. A machine that never answers here is a correct one, whose reads
    /// cannot be made faster.
    fn read(&self, _command: &Self::Command) -> Option<Self::Reply> {
        None
    }

    /// The whole state as bytes: everything that a later [`StateMachine::apply`] depends
    /// on. Equal states should give equal bytes, so that replicas can be compared.
    fn snapshot(&self) -> Vec<u8>;

    /// Puts the state that [`StateMachine::snapshot`] has written in the place of this one.
    ///
    /// # Errors
    /// If the bytes are not such a state.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError>;
}
