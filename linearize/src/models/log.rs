//! An append-only log whose appends say where they went.

use std::marker::PhantomData;

use super::Value;
use crate::model::{Effect, Model};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogOp<V> {
    /// Adds an entry at the end.
    Append(V),
    /// Reads the entry at an index, counted from 0.
    Read(usize),
    /// How many entries there are.
    Length,
}

/// What it gets back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogResult<V> {
    /// The index at which the entry now stands.
    Appended(usize),
    /// The entry, if there is one.
    Entry(Option<V>),
    /// The number of entries.
    Length(usize),
}

/// A log, empty at first.
#[derive(Clone, Copy, Debug)]
pub struct Log<V>(PhantomData<fn(V)>);

impl<V> Log<V> {
    /// The specification; it has no parameters.
    pub fn new() -> Self {
        Log(PhantomData)
    }
}

impl<V> Default for Log<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Value> Model for Log<V> {
    type Op = LogOp<V>;
    type Result = LogResult<V>;
    type State = Vec<V>;

    fn initial(&self) -> Vec<V> {
        Vec::new()
    }

    fn step(&self, state: &Vec<V>, op: &LogOp<V>, result: Option<&LogResult<V>>) -> Option<Vec<V>> {
        let answer = match op {
            LogOp::Append(_) => LogResult::Appended(state.len()),
            LogOp::Read(index) => LogResult::Entry(state.get(*index).cloned()),
            LogOp::Length => LogResult::Length(state.len()),
        };
        if result.is_some_and(|seen| *seen != answer) {
            return None;
        }
        let mut next = state.clone();
        if let LogOp::Append(value) = op {
            next.push(value.clone());
        }
        Some(next)
    }

    fn effect(&self, op: &LogOp<V>, _result: Option<&LogResult<V>>) -> Effect {
        match op {
            LogOp::Append(_) => Effect::Update,
            LogOp::Read(_) | LogOp::Length => Effect::Read,
        }
    }

    fn state_bytes(&self, state: &Vec<V>) -> usize {
        state.len() * size_of::<V>()
    }

    fn describe_op(&self, op: &LogOp<V>) -> String {
        match op {
            LogOp::Append(value) => format!("Append {value:?}"),
            LogOp::Read(index) => format!("Read entry {index}"),
            LogOp::Length => "Length".to_owned(),
        }
    }

    fn describe_result(&self, _op: &LogOp<V>, result: &LogResult<V>) -> String {
        match result {
            LogResult::Appended(index) => format!("index {index}"),
            LogResult::Entry(Some(value)) => format!("{value:?}"),
            LogResult::Entry(None) => "no entry".to_owned(),
            LogResult::Length(length) => length.to_string(),
        }
    }
}
