//! One register with read, write and compare-and-swap: what Jepsen's tests of etcd and others record.

use std::marker::PhantomData;

use super::Value;
use crate::model::{Effect, Model};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp<V> {
    /// Reads the value.
    Read,
    /// Replaces the value.
    Write(V),
    /// Replaces the value if it is `from`.
    CompareAndSwap {
        /// What the value must be.
        from: V,
        /// What it becomes.
        to: V,
    },
}

/// What it gets back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterResult<V> {
    /// What was read; `None` before the first write.
    Value(Option<V>),
    /// Written.
    Written,
    /// Whether it was swapped. If not, the value was something else at that moment.
    Swapped(bool),
}

/// A register that is empty at first.
#[derive(Clone, Copy, Debug)]
pub struct Register<V>(PhantomData<fn(V)>);

impl<V> Register<V> {
    /// The specification; it has no parameters.
    pub fn new() -> Self {
        Register(PhantomData)
    }
}

impl<V> Default for Register<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Value> Model for Register<V> {
    type Op = RegisterOp<V>;
    type Result = RegisterResult<V>;
    type State = Option<V>;

    fn initial(&self) -> Option<V> {
        None
    }

    fn step(
        &self,
        state: &Option<V>,
        op: &RegisterOp<V>,
        result: Option<&RegisterResult<V>>,
    ) -> Option<Option<V>> {
        let (next, answer) = match op {
            RegisterOp::Read => (state.clone(), RegisterResult::Value(state.clone())),
            RegisterOp::Write(value) => (Some(value.clone()), RegisterResult::Written),
            RegisterOp::CompareAndSwap { from, to } if state.as_ref() == Some(from) => {
                (Some(to.clone()), RegisterResult::Swapped(true))
            }
            RegisterOp::CompareAndSwap { .. } => (state.clone(), RegisterResult::Swapped(false)),
        };
        result.is_none_or(|seen| *seen == answer).then_some(next)
    }

    fn effect(&self, op: &RegisterOp<V>, result: Option<&RegisterResult<V>>) -> Effect {
        match (op, result) {
            (RegisterOp::Read, _) | (_, Some(RegisterResult::Swapped(false))) => Effect::Read,
            (RegisterOp::Write(_), _) => Effect::Overwrite,
            (RegisterOp::CompareAndSwap { .. }, _) => Effect::Update,
        }
    }

    fn describe_op(&self, op: &RegisterOp<V>) -> String {
        match op {
            RegisterOp::Read => "Read".to_owned(),
            RegisterOp::Write(value) => format!("Write {value:?}"),
            RegisterOp::CompareAndSwap { from, to } => format!("CompareAndSwap {from:?} to {to:?}"),
        }
    }

    fn describe_result(&self, _op: &RegisterOp<V>, result: &RegisterResult<V>) -> String {
        match result {
            RegisterResult::Value(Some(value)) => format!("{value:?}"),
            RegisterResult::Value(None) => "nothing".to_owned(),
            RegisterResult::Written => String::new(),
            RegisterResult::Swapped(true) => "swapped".to_owned(),
            RegisterResult::Swapped(false) => "not swapped".to_owned(),
        }
    }
}
