//! One register with read, write and compare-and-swap: what Jepsen's tests of etcd and others record.

use std::marker::PhantomData;

use rustc_hash::FxHashMap;

use super::Value;
use crate::explain;
use crate::history::History;
use crate::limits::{Limits, Progress};
use crate::model::{Effect, Model};
use crate::verdict::Verdict;

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

    fn check_specially(
        &self,
        history: &History<RegisterOp<V>, RegisterResult<V>>,
        _limits: &Limits,
        _progress: &Progress,
    ) -> Option<Verdict> {
        let flaw = value_from_nowhere(history)?;
        Some(Verdict::NotLinearizable(Box::new(explain::of_flaw(self, history, &flaw))))
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

/// An operation that saw a value which nobody can have written by then, and those who wrote it later.
///
/// Many operations of which nobody knows whether they happened, all at once, have more orders than can be tried; so what can be told without any
/// order is told first.
fn value_from_nowhere<V: Value>(history: &History<RegisterOp<V>, RegisterResult<V>>) -> Option<Vec<u32>> {
    let mut writers: FxHashMap<&V, Vec<u32>> = FxHashMap::default();
    for (index, operation) in history.operations().iter().enumerate() {
        let written = match (&operation.op, &operation.result) {
            (RegisterOp::Write(value), _) => value,
            (RegisterOp::CompareAndSwap { to, .. }, result)
                if *result != Some(RegisterResult::Swapped(false)) =>
            {
                to
            }
            _ => continue,
        };
        writers.entry(written).or_default().push(index as u32);
    }
    history.operations().iter().enumerate().find_map(|(index, operation)| {
        let seen = match (&operation.op, operation.result.as_ref()?) {
            (RegisterOp::Read, RegisterResult::Value(Some(value))) => value,
            (RegisterOp::CompareAndSwap { from, .. }, RegisterResult::Swapped(true)) => from,
            _ => return None,
        };
        let writers = writers.get(seen).map_or(&[][..], Vec::as_slice);
        // By rising call, so the first one tells for all; but nobody writes for itself.
        let first = writers.iter().find(|&&writer| writer as usize != index);
        if first.is_some_and(|&writer| history[writer as usize].call <= operation.end) {
            return None;
        }
        let others = writers.iter().copied().filter(|&writer| writer as usize != index);
        Some(others.chain([index as u32]).collect())
    })
}
