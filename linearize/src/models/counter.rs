//! A counter.

use crate::history::History;
use crate::limits::{Limits, Progress};
use crate::model::{Decision, Effect, Model};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterOp {
    /// Adds a number, which may be negative; the result is 0.
    Add(i64),
    /// Adds a number and returns what was there before.
    FetchAdd(i64),
    /// Returns what is there.
    Read,
}

/// A counter, 0 at first. It wraps around at the ends of its type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

impl Model for Counter {
    type Op = CounterOp;
    type Result = i64;
    type State = i64;

    fn initial(&self) -> i64 {
        0
    }

    fn step(&self, state: &i64, op: &CounterOp, result: Option<&i64>) -> Option<i64> {
        let (next, answer) = match *op {
            CounterOp::Add(number) => (state.wrapping_add(number), 0),
            CounterOp::FetchAdd(number) => (state.wrapping_add(number), *state),
            CounterOp::Read => (*state, *state),
        };
        result.is_none_or(|seen| *seen == answer).then_some(next)
    }

    fn effect(&self, op: &CounterOp, _result: Option<&i64>) -> Effect {
        match op {
            CounterOp::Read => Effect::Read,
            CounterOp::Add(_) | CounterOp::FetchAdd(_) => Effect::Update,
        }
    }

    fn state_bytes(&self, _state: &i64) -> usize {
        0
    }

    fn decides(&self) -> bool {
        true
    }

    fn decide(
        &self,
        history: &History<CounterOp, i64>,
        _indices: &[u32],
        _limits: &Limits,
        _progress: &Progress,
    ) -> Option<Decision> {
        super::equal_steps::decide(history)
    }

    fn describe_op(&self, op: &CounterOp) -> String {
        match op {
            CounterOp::Add(number) => format!("Add {number}"),
            CounterOp::FetchAdd(number) => format!("FetchAdd {number}"),
            CounterOp::Read => "Read".to_owned(),
        }
    }

    fn describe_result(&self, op: &CounterOp, result: &i64) -> String {
        match op {
            CounterOp::Add(_) => String::new(),
            CounterOp::FetchAdd(_) | CounterOp::Read => result.to_string(),
        }
    }
}
