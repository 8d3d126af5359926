//! The service itself: a map from keys to values, as if there were one copy and one client.

use std::collections::BTreeMap;

use labgob::DecodeError;
use rsm::StateMachine;

use crate::rpc::{KvError, MAX_VALUE, Operation};

/// The map that all replicas hold.
///
/// Ordered, so that equal maps make equal snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue {
    values: BTreeMap<String, String>,
}

impl KeyValue {
    fn append(&mut self, key: String, more: &str) -> Result<String, KvError> {
        let value = self.values.entry(key).or_default();
        if value.len() + more.len() > MAX_VALUE {
            return Err(KvError::TooLarge);
        }
        value.push_str(more);
        Ok(String::new())
    }
}

impl StateMachine for KeyValue {
    type Command = Operation;
    /// What a get has read, nothing for the others, or why it was refused. Refusals depend
    /// on the state, so they are replies that all replicas agree on like any other.
    type Reply = Result<String, KvError>;

    fn apply(&mut self, operation: Operation) -> Self::Reply {
        match operation {
            Operation::Get { key } => Ok(self.values.get(&key).cloned().unwrap_or_default()),
            Operation::Put { key, value } => {
                self.values.insert(key, value);
                Ok(String::new())
            }
            Operation::Append { key, value } => self.append(key, &value),
        }
    }

    fn read(&self, operation: &Operation) -> Option<Self::Reply> {
        match operation {
            Operation::Get { key } => Some(Ok(self.values.get(key).cloned().unwrap_or_default())),
            Operation::Put { .. } | Operation::Append { .. } => None,
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        labgob::encode(&self.values)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        self.values = labgob::decode(snapshot)?;
        Ok(())
    }
}
