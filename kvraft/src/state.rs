//! The service itself: a map from keys to values. It knows nothing of replicas or clerks.

// handout: drop classic
use std::collections::BTreeMap;

// handout: end
use labgob::DecodeError;
use rsm::StateMachine;

// handout: drop classic
use crate::rpc::{KvError, MAX_KEY, MAX_VALUE, Operation};
// handout: end
// handout: put classic
// use crate::rpc::{KvError, Operation};
// handout: end

/// The map that every replica holds.
// handout: drop classic
///
/// The map is ordered, so equal maps make equal snapshots.
// handout: end
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    values: BTreeMap<String, String>,
    // handout: end
}

// handout: bodies 3A
impl KeyValue {
    fn get(&self, key: &str) -> String {
        self.values.get(key).cloned().unwrap_or_default()
    }

    fn put(&mut self, key: String, value: String) {
        assert!(value.len() <= MAX_VALUE, "a put of {} bytes got past the check of its size", value.len());
        self.values.insert(key, value);
    }

    fn append(&mut self, key: String, more: &str) -> Result<String, KvError> {
        let value = self.values.entry(key).or_default();
        assert!(value.len() <= MAX_VALUE, "a value has grown to {} bytes", value.len());
        if value.len() + more.len() > MAX_VALUE {
            return Err(KvError::TooLarge);
        }
        value.push_str(more);
        Ok(String::new())
    }

    /// Whether every key and value is within the limits. Looked at when a snapshot is made, and when one is
    /// restored.
    fn fits(&self) -> bool {
        self.values.iter().all(|(key, value)| key.len() <= MAX_KEY && value.len() <= MAX_VALUE)
    }
}

impl StateMachine for KeyValue {
    type Command = Operation;
    /// The value that a get read, an empty text for a put or an append, or the reason of a
    /// refusal. A refusal depends on the state, so the replicas agree on it as on any reply.
    type Reply = Result<String, KvError>;

    fn apply(&mut self, operation: Operation) -> Self::Reply {
        assert!(operation.key().len() <= MAX_KEY, "an operation got past the check of its key's size");
        tracing::debug!(target: "apply", "{operation}");
        match operation {
            Operation::Get { key } => Ok(self.get(&key)),
            Operation::Put { key, value } => {
                self.put(key, value);
                Ok(String::new())
            }
            Operation::Append { key, value } => self.append(key, &value),
        }
    }

    fn read(&self, operation: &Operation) -> Option<Self::Reply> {
        match operation {
            Operation::Get { key } => {
                tracing::debug!(target: "read", "{operation}");
                Some(Ok(self.get(key)))
            }
            Operation::Put { .. } | Operation::Append { .. } => None,
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        assert!(self.fits(), "a key or value is longer than any operation could make it");
        let bytes = labgob::encode(&self.values);
        tracing::debug!(target: "snapshot", "{} keys in {} bytes", self.values.len(), bytes.len());
        bytes
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        let restored = KeyValue { values: labgob::decode(snapshot)? };
        if !restored.fits() {
            return Err(DecodeError::Invalid("a key or value is too long".to_owned()));
        }
        tracing::debug!(target: "restore", "{} keys from {} bytes", restored.values.len(), snapshot.len());
        *self = restored;
        Ok(())
    }
}
