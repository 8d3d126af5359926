//! A lock with owners.

use super::switch::{self, Does, Switched};
use crate::history::{History, Operation};
use crate::limits::{Limits, Progress};
use crate::model::{Decision, Effect, Model};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockOp {
    /// Takes the lock, waiting until it is free if need be; always right once it returns.
    Acquire {
        /// For whom.
        owner: u32,
    },
    /// Takes the lock if it is free; the result says whether.
    TryAcquire {
        /// For whom.
        owner: u32,
    },
    /// Gives the lock up; the result says whether `owner` held it.
    Release {
        /// The client that held it.
        owner: u32,
    },
}

/// A lock, free at first. It can be taken again only after it was given up, by the same owner too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock;

impl Model for Lock {
    type Op = LockOp;
    /// Whether it worked.
    type Result = bool;
    /// The client that holds it.
    type State = Option<u32>;

    fn initial(&self) -> Option<u32> {
        None
    }

    fn step(&self, state: &Option<u32>, op: &LockOp, result: Option<&bool>) -> Option<Option<u32>> {
        let (next, answer) = match *op {
            // A client that waits for the lock has not taken it yet.
            LockOp::Acquire { .. } if state.is_some() => return None,
            LockOp::Acquire { owner } => (Some(owner), true),
            LockOp::TryAcquire { owner } => (state.or(Some(owner)), state.is_none()),
            LockOp::Release { owner } if *state == Some(owner) => (None, true),
            LockOp::Release { .. } => (*state, false),
        };
        result.is_none_or(|seen| *seen == answer).then_some(next)
    }

    fn effect(&self, _op: &LockOp, result: Option<&bool>) -> Effect {
        if result == Some(&false) { Effect::Read } else { Effect::Update }
    }

    fn state_bytes(&self, _state: &Option<u32>) -> usize {
        0
    }

    fn decides(&self) -> bool {
        true
    }

    /// A lock that one owner alone takes and gives up has two states.
    fn decide(
        &self,
        history: &History<LockOp, bool>,
        indices: &[u32],
        limits: &Limits,
        _progress: &Progress,
    ) -> Option<Decision> {
        is_plain(history).then(|| switch::decide(self, history, indices, limits))
    }

    fn describe_op(&self, op: &LockOp) -> String {
        match op {
            LockOp::Acquire { owner } => format!("Acquire for {owner}"),
            LockOp::TryAcquire { owner } => format!("TryAcquire for {owner}"),
            LockOp::Release { owner } => format!("Release by {owner}"),
        }
    }

    fn describe_state(&self, state: &Option<u32>) -> String {
        state.map_or("free".to_owned(), |owner| format!("held by {owner}"))
    }
}

/// Whether there is one owner, and whatever returned has worked.
fn is_plain(history: &History<LockOp, bool>) -> bool {
    let owner = |op: &LockOp| match *op {
        LockOp::Acquire { owner } | LockOp::Release { owner } => Some(owner),
        LockOp::TryAcquire { .. } => None,
    };
    let first = history.operations().first().and_then(|operation| owner(&operation.op));
    first.is_some()
        && history
            .operations()
            .iter()
            .all(|operation| owner(&operation.op) == first && operation.result != Some(false))
}

impl Switched for Lock {
    fn does(operation: &Operation<LockOp, bool>) -> Option<Does> {
        Some(Does::Turn(matches!(operation.op, LockOp::Acquire { .. })))
    }

    fn name(&self, operation: &Operation<LockOp, bool>) -> String {
        let takes = matches!(operation.op, LockOp::Acquire { .. });
        format!("{} by client {}", if takes { "Acquire" } else { "Release" }, operation.client)
    }

    fn did(_op: &LockOp, to: bool) -> String {
        if to { "taken the lock" } else { "released the lock" }.to_owned()
    }
}
