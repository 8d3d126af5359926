//! What the replication expects of a service: a deterministic state machine.

use labgob::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

// ANCHOR: machine
/// A service whose replicas stay equal because each applies the same commands in the same
/// order (Schneider: *Implementing fault-tolerant services using the state machine
/// approach*, 1990).
///
/// [`StateMachine::apply`] must be a function of the state and the command alone: no clock,
/// no random number, no order of a hash map, nothing that differs between servers. If two
/// replicas can reach different states, they will, and no test of a single replica shows it.
pub trait StateMachine: Send + 'static {
    /// What clients ask for. It travels through the log.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What they get as an answer.
    type Reply: Send + 'static;

    /// Carries out a committed command, and returns the reply.
    fn apply(&mut self, command: Self::Command) -> Self::Reply;

    /// The answer to a command that changes nothing, from the present state; `None` for every
    /// other command. A machine that always returns `None` is correct, too; all its reads go
    /// through the log.
    fn read(&self, _command: &Self::Command) -> Option<Self::Reply> {
        None
    }

    /// The whole state as bytes: everything that a later [`StateMachine::apply`] depends
    /// on. Equal states should give equal bytes, so that replicas can be compared.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces the state by one that [`StateMachine::snapshot`] has written.
    ///
    /// # Errors
    /// If the bytes are not such a state.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError>;
}
// ANCHOR_END: machine
