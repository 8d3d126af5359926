//! One register with read, write and compare-and-swap: what Jepsen's tests of etcd and others record.

use std::borrow::Cow;

use super::{Value, register_words, registers};
use crate::history::History;
use crate::limits::{Limits, Progress};
use crate::model::{Decision, Effect, Model};
use crate::verdict::Explanation;

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

/// A register.
#[derive(Clone, Copy, Debug)]
pub struct Register<V> {
    pub(super) initial: Option<V>,
}

impl<V> Register<V> {
    /// A register that is empty at first.
    pub fn new() -> Self {
        Register { initial: None }
    }

    /// A register that holds `value` at first.
    pub fn holding(value: V) -> Self {
        Register { initial: Some(value) }
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
        self.initial.clone()
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
            // A write that got the answer to something else is never legal.
            (RegisterOp::Write(_), None | Some(RegisterResult::Written)) => Effect::Overwrite,
            (RegisterOp::Write(_), Some(RegisterResult::Value(_) | RegisterResult::Swapped(true))) => {
                Effect::Update
            }
            (RegisterOp::CompareAndSwap { .. }, _) => Effect::Update,
        }
    }

    fn decides(&self) -> bool {
        true
    }

    fn decide(
        &self,
        history: &History<RegisterOp<V>, RegisterResult<V>>,
        indices: &[u32],
        limits: &Limits,
        progress: &Progress,
    ) -> Option<Decision> {
        let whole = indices.len() == history.len();
        whole.then(|| registers::decide(self, history, limits, progress)).flatten()
    }

    fn reword(&self, history: &History<RegisterOp<V>, RegisterResult<V>>, explanation: &mut Explanation) {
        if explanation.minimal {
            register_words::reword(self, history, explanation);
        }
    }

    fn describe_op(&self, op: &RegisterOp<V>) -> String {
        match op {
            RegisterOp::Read => "Read".to_owned(),
            RegisterOp::Write(value) => format!("Write {value:?}"),
            RegisterOp::CompareAndSwap { from, to } => format!("CompareAndSwap {from:?} to {to:?}"),
        }
    }

    fn describe_state(&self, state: &Option<V>) -> String {
        described(state.as_ref())
    }

    fn expected<'a>(&'a self, state: &'a Option<V>, op: &'a RegisterOp<V>) -> Option<Cow<'a, str>> {
        let answer = match op {
            RegisterOp::Read => RegisterResult::Value(state.clone()),
            RegisterOp::Write(_) => return None,
            RegisterOp::CompareAndSwap { from, .. } => RegisterResult::Swapped(state.as_ref() == Some(from)),
        };
        Some(Cow::Owned(self.describe_result(op, &answer)))
    }

    fn describe_result(&self, _op: &RegisterOp<V>, result: &RegisterResult<V>) -> String {
        match result {
            RegisterResult::Value(value) => described(value.as_ref()),
            RegisterResult::Written => String::new(),
            RegisterResult::Swapped(true) => "swapped".to_owned(),
            RegisterResult::Swapped(false) => "not swapped".to_owned(),
        }
    }
}

fn described<V: Value>(value: Option<&V>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| format!("{value:?}"))
}
