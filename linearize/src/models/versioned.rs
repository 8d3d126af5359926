//! Keys with a value and a version: `Get` and the conditional `Put` of the 2025 labs.

use std::marker::PhantomData;

use super::Value;
use crate::model::{Effect, Model};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VersionedOp<V> {
    /// Reads value and version of a key.
    Get {
        /// Which key.
        key: u64,
    },
    /// Replaces the value of a key if its version is the one given, and raises the version by one. A key that
    /// does not exist has version 0.
    Put {
        /// Which key.
        key: u64,
        /// By what.
        value: V,
        /// What its version must be.
        version: u64,
    },
}

/// What it gets back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VersionedResult<V> {
    /// The value and its version; `None` for a key that does not exist.
    Found(Option<(V, u64)>),
    /// `OK`: replaced.
    Done,
    /// `ErrVersion` or `ErrNoKey`: the version was another.
    WrongVersion,
    /// `ErrMaybe`: the answer to a request sent again said `WrongVersion`, so perhaps the first one was done.
    Maybe,
}

/// Keys with versions; none exists at first.
#[derive(Clone, Copy, Debug)]
pub struct Versioned<V>(PhantomData<fn(V)>);

impl<V> Versioned<V> {
    /// The specification; it has no parameters.
    pub fn new() -> Self {
        Versioned(PhantomData)
    }
}

impl<V> Default for Versioned<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Value> Model for Versioned<V> {
    type Op = VersionedOp<V>;
    type Result = VersionedResult<V>;
    /// Of one key.
    type State = Option<(V, u64)>;

    fn initial(&self) -> Self::State {
        None
    }

    fn step(
        &self,
        state: &Self::State,
        op: &VersionedOp<V>,
        result: Option<&VersionedResult<V>>,
    ) -> Option<Self::State> {
        match op {
            VersionedOp::Get { .. } => {
                use VersionedResult::Found;
                let right = |seen: &VersionedResult<V>| matches!(seen, Found(found) if found == state);
                result.is_none_or(right).then(|| state.clone())
            }
            VersionedOp::Put { value, version, .. } => {
                let fits = state.as_ref().map_or(0, |(_, current)| *current) == *version;
                let answer = if fits { VersionedResult::Done } else { VersionedResult::WrongVersion };
                let right = result.is_none_or(|seen| *seen == answer || *seen == VersionedResult::Maybe);
                let next = if fits { Some((value.clone(), version + 1)) } else { state.clone() };
                right.then_some(next)
            }
        }
    }

    fn partition(&self, op: &VersionedOp<V>) -> u64 {
        match op {
            VersionedOp::Get { key } | VersionedOp::Put { key, .. } => *key,
        }
    }

    fn effect(&self, op: &VersionedOp<V>, result: Option<&VersionedResult<V>>) -> Effect {
        match (op, result) {
            (VersionedOp::Get { .. }, _) | (_, Some(VersionedResult::WrongVersion)) => Effect::Read,
            (VersionedOp::Put { .. }, _) => Effect::Update,
        }
    }

    fn partition_name(&self, op: &VersionedOp<V>) -> String {
        self.partition(op).to_string()
    }

    fn describe_op(&self, op: &VersionedOp<V>) -> String {
        match op {
            VersionedOp::Get { .. } => "Get".to_owned(),
            VersionedOp::Put { value, version, .. } => format!("Put {value:?} at version {version}"),
        }
    }

    fn describe_result(&self, _op: &VersionedOp<V>, result: &VersionedResult<V>) -> String {
        match result {
            VersionedResult::Found(Some((value, version))) => format!("{value:?} at version {version}"),
            VersionedResult::Found(None) => "no such key".to_owned(),
            VersionedResult::Done => "done".to_owned(),
            VersionedResult::WrongVersion => "wrong version".to_owned(),
            VersionedResult::Maybe => "maybe".to_owned(),
        }
    }
}
