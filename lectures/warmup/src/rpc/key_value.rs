//! A key/value service on calls that run exactly once: a map, and nothing about retries.

use std::collections::BTreeMap;

use labrt::sync::Mutex;

use super::dispatcher::Handler;
use super::stub::{CallError, Stub};
use super::wire::{Malformed, Value, decode, encode};

/// The server's map.
#[derive(Debug, Default)]
pub struct KeyValue {
    // handout: drop classic
    values: Mutex<BTreeMap<String, String>>,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies 0C
impl KeyValue {
    /// Carries out an operation. None if there is no such method, or its arguments are others.
    fn operate(&self, method: &str, args: &[u8]) -> Option<Value> {
        let Ok(Value::List(args)) = decode(args) else { return None };
        let mut values = self.values.lock();
        match (method, args.as_slice()) {
            ("get", [Value::Text(key)]) => {
                return Some(Value::Text(values.get(key).cloned().unwrap_or_default()));
            }
            ("put", [Value::Text(key), Value::Text(value)]) => {
                values.insert(key.clone(), value.clone());
            }
            ("append", [Value::Text(key), Value::Text(value)]) => {
                values.entry(key.clone()).or_default().push_str(value);
            }
            _ => return None,
        }
        Some(Value::Text(String::new()))
    }
}

impl Handler for KeyValue {
    /// The form of the arguments is free, since only [`Clerk`] sends them. The result is the encoded text
    /// that a get reads, empty for writes. A request that makes no sense is answered with [`Value::Unit`].
    fn handle(&self, method: &str, args: &[u8]) -> Vec<u8> {
        encode(&self.operate(method, args).unwrap_or(Value::Unit))
    }

    fn save(&self) -> Vec<u8> {
        labgob::encode(&*self.values.lock())
    }

    fn load(&self, state: &[u8]) {
        if !state.is_empty() {
            *self.values.lock() = labgob::decode(state).expect("the state was saved by an earlier life");
        }
    }
}

/// A client of the service.
pub struct Clerk {
    // handout: drop classic
    stub: Stub,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

impl Clerk {
    /// A clerk that calls over `stub`.
    pub fn new(stub: Stub) -> Clerk {
        Clerk { stub }
    }

    /// The value of `key`, empty if it was never written.
    ///
    /// # Errors
    /// As [`Stub::call`].
    pub fn get(&self, key: &str) -> Result<String, CallError> {
        self.operate("get", &[key])
    }

    /// Replaces the value of `key`.
    ///
    /// # Errors
    /// As [`Stub::call`].
    pub fn put(&self, key: &str, value: &str) -> Result<(), CallError> {
        self.operate("put", &[key, value]).map(drop)
    }

    /// Adds to the end of the value of `key`.
    ///
    /// # Errors
    /// As [`Stub::call`].
    pub fn append(&self, key: &str, value: &str) -> Result<(), CallError> {
        self.operate("append", &[key, value]).map(drop)
    }

    fn operate(&self, method: &str, args: &[&str]) -> Result<String, CallError> {
        let args = args.iter().map(|arg| Value::Text((*arg).to_owned())).collect();
        let reply = self.stub.call(method, encode(&Value::List(args)))?;
        match decode(&reply) {
            Ok(Value::Text(text)) => Ok(text),
            reply @ (Ok(_) | Err(Malformed)) => panic!("the service answers {method} with {reply:?}"),
        }
    }
}

impl labapi::KvClerk for Clerk {
    // handout: bodies kept
    fn get(&mut self, key: &str) -> String {
        done(Clerk::get(self, key))
    }

    fn put(&mut self, key: &str, value: &str) {
        done(Clerk::put(self, key, value));
    }

    fn append(&mut self, key: &str, value: &str) {
        done(Clerk::append(self, key, value));
    }
}

/// The tests' clerk has no errors: exactly once, a call returns or goes on.
fn done<T>(result: Result<T, CallError>) -> T {
    result.unwrap_or_else(|error| panic!("an operation failed: {error}"))
}
