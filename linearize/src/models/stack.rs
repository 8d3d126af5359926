//! A stack.

use std::marker::PhantomData;

use super::Value;
use crate::history::History;
use crate::limits::{Limits, Progress};
use crate::model::{Decision, Model};
use crate::verdict::Explanation;

/// What a client asks of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StackOp<V> {
    /// Puts a value on top.
    Push(V),
    /// Takes the value on top.
    Pop,
}

/// A stack, last in, first out, without bounds, empty at first. What `Pop` returned is the result, `None` if
/// the stack was empty; the result of `Push` is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Stack<V>(PhantomData<fn(V)>);

impl<V> Stack<V> {
    /// The specification; it has no parameters.
    pub fn new() -> Self {
        Stack(PhantomData)
    }
}

impl<V> Default for Stack<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Value> Model for Stack<V> {
    type Op = StackOp<V>;
    type Result = Option<V>;
    /// The top is at the end.
    type State = Vec<V>;

    fn initial(&self) -> Vec<V> {
        Vec::new()
    }

    fn step(&self, state: &Vec<V>, op: &StackOp<V>, result: Option<&Option<V>>) -> Option<Vec<V>> {
        match op {
            StackOp::Push(value) => {
                let mut next = state.clone();
                next.push(value.clone());
                result.is_none_or(Option::is_none).then_some(next)
            }
            // Compared before anything is copied: most candidates of the search are not legal.
            StackOp::Pop => {
                if result.is_some_and(|seen| seen.as_ref() != state.last()) {
                    return None;
                }
                Some(state[..state.len().saturating_sub(1)].to_vec())
            }
        }
    }

    fn state_bytes(&self, state: &Vec<V>) -> usize {
        state.len() * size_of::<V>() + 16
    }

    fn decides(&self) -> bool {
        true
    }

    fn decide(
        &self,
        history: &History<StackOp<V>, Option<V>>,
        _indices: &[u32],
        _limits: &Limits,
        _progress: &Progress,
    ) -> Option<Decision> {
        super::lifo::decide(history)
    }

    fn reword(&self, history: &History<StackOp<V>, Option<V>>, explanation: &mut Explanation) {
        super::paired::reword(self, history, explanation, super::lifo::does, "pushed");
    }

    fn describe_op(&self, op: &StackOp<V>) -> String {
        match op {
            StackOp::Push(value) => format!("Push {value:?}"),
            StackOp::Pop => "Pop".to_owned(),
        }
    }

    fn describe_result(&self, op: &StackOp<V>, result: &Option<V>) -> String {
        match (op, result) {
            (StackOp::Push(_), _) => String::new(),
            (StackOp::Pop, Some(value)) => format!("{value:?}"),
            (StackOp::Pop, None) => "nothing".to_owned(),
        }
    }
}
