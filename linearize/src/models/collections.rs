//! A queue and a set.

use std::collections::{BTreeSet, VecDeque};
use std::marker::PhantomData;

use super::Value;
use super::switch::{self, Does, Switched};
use crate::explain::naming;
use crate::history::{History, Operation};
use crate::limits::{Limits, Progress};
use crate::model::{Decision, Effect, Model};
use crate::verdict::Explanation;

/// What a client asks of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueOp<V> {
    /// Puts a value at the end.
    Enqueue(V),
    /// Takes the value at the front.
    Dequeue,
}

/// A queue, first in, first out, without bounds, empty at first. What `Dequeue` returned is the result,
/// `None` if the queue was empty; the result of `Enqueue` is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Queue<V>(PhantomData<fn(V)>);

impl<V> Queue<V> {
    /// The specification; it has no parameters.
    pub fn new() -> Self {
        Queue(PhantomData)
    }
}

impl<V> Default for Queue<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Value> Model for Queue<V> {
    type Op = QueueOp<V>;
    type Result = Option<V>;
    type State = VecDeque<V>;

    fn initial(&self) -> VecDeque<V> {
        VecDeque::new()
    }

    fn step(&self, state: &VecDeque<V>, op: &QueueOp<V>, result: Option<&Option<V>>) -> Option<VecDeque<V>> {
        match op {
            QueueOp::Enqueue(value) => {
                let mut next = state.clone();
                next.push_back(value.clone());
                result.is_none_or(Option::is_none).then_some(next)
            }
            // Compared before anything is copied: most candidates of the search are not legal.
            QueueOp::Dequeue => {
                if result.is_some_and(|seen| seen.as_ref() != state.front()) {
                    return None;
                }
                let mut next = state.clone();
                next.pop_front();
                Some(next)
            }
        }
    }

    fn state_bytes(&self, state: &VecDeque<V>) -> usize {
        state.len() * size_of::<V>() + 16
    }

    fn decides(&self) -> bool {
        true
    }

    fn decide(
        &self,
        history: &History<QueueOp<V>, Option<V>>,
        _indices: &[u32],
        _limits: &Limits,
        _progress: &Progress,
    ) -> Option<Decision> {
        super::fifo::decide(history)
    }

    fn reword(&self, history: &History<QueueOp<V>, Option<V>>, explanation: &mut Explanation) {
        super::paired::reword(self, history, explanation, super::fifo::does, "enqueued");
    }

    fn describe_op(&self, op: &QueueOp<V>) -> String {
        match op {
            QueueOp::Enqueue(value) => format!("Enqueue {value:?}"),
            QueueOp::Dequeue => "Dequeue".to_owned(),
        }
    }

    fn describe_result(&self, op: &QueueOp<V>, result: &Option<V>) -> String {
        match (op, result) {
            (QueueOp::Enqueue(_), _) => String::new(),
            (QueueOp::Dequeue, Some(value)) => format!("{value:?}"),
            (QueueOp::Dequeue, None) => "nothing".to_owned(),
        }
    }
}

/// What a client asks of a set. Each element is a partition of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    /// Adds an element; the result says whether it is new.
    Insert(u64),
    /// Takes an element out; the result says whether it was there.
    Remove(u64),
    /// The result says whether the element is there.
    Contains(u64),
}

impl SetOp {
    fn element(&self) -> u64 {
        match self {
            SetOp::Insert(element) | SetOp::Remove(element) | SetOp::Contains(element) => *element,
        }
    }
}

/// A set of numbers, empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

impl Model for Set {
    type Op = SetOp;
    type Result = bool;
    /// Whether the one element of the partition is there.
    type State = bool;

    fn initial(&self) -> bool {
        false
    }

    fn step(&self, state: &bool, op: &SetOp, result: Option<&bool>) -> Option<bool> {
        let (next, answer) = match op {
            SetOp::Insert(_) => (true, !state),
            SetOp::Remove(_) => (false, *state),
            SetOp::Contains(_) => (*state, *state),
        };
        result.is_none_or(|seen| *seen == answer).then_some(next)
    }

    fn partition(&self, op: &SetOp) -> u64 {
        op.element()
    }

    fn effect(&self, op: &SetOp, result: Option<&bool>) -> Effect {
        match (op, result) {
            // Nothing new was inserted, or nothing that was there removed.
            (SetOp::Contains(_), _) | (_, Some(false)) => Effect::Read,
            (SetOp::Insert(_) | SetOp::Remove(_), _) => Effect::Update,
        }
    }

    fn partition_name(&self, op: &SetOp) -> String {
        op.element().to_string()
    }

    fn decides(&self) -> bool {
        true
    }

    fn decide(
        &self,
        history: &History<SetOp, bool>,
        indices: &[u32],
        limits: &Limits,
        _progress: &Progress,
    ) -> Option<Decision> {
        Some(switch::decide(self, history, indices, limits))
    }
}

impl Switched for Set {
    fn does(operation: &Operation<SetOp, bool>) -> Option<Does> {
        Some(match (&operation.op, operation.result) {
            (SetOp::Insert(_), None | Some(true)) => Does::Turn(true),
            (SetOp::Remove(_), None | Some(true)) => Does::Turn(false),
            (SetOp::Insert(_), Some(false)) => Does::See(true),
            (SetOp::Remove(_), Some(false)) => Does::See(false),
            (SetOp::Contains(_), seen) => Does::See(seen?),
        })
    }

    fn name(&self, operation: &Operation<SetOp, bool>) -> String {
        naming(self, operation)
    }

    fn did(op: &SetOp, to: bool) -> String {
        format!("{} {}", if to { "inserted" } else { "removed" }, op.element())
    }
}

/// What a client asks of a set that is read as a whole, as Jepsen's set tests do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WholeSetOp<V> {
    /// Adds an element; the result is `None`.
    Add(V),
    /// Reads all elements.
    Read,
}

/// A set that only grows and is read as a whole, empty at first. `Read` returns the elements in rising order.
#[derive(Clone, Copy, Debug)]
pub struct WholeSet<V>(PhantomData<fn(V)>);

impl<V> WholeSet<V> {
    /// The specification; it has no parameters.
    pub fn new() -> Self {
        WholeSet(PhantomData)
    }
}

impl<V> Default for WholeSet<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Value + Ord> Model for WholeSet<V> {
    type Op = WholeSetOp<V>;
    type Result = Option<BTreeSet<V>>;
    type State = BTreeSet<V>;

    fn initial(&self) -> BTreeSet<V> {
        BTreeSet::new()
    }

    fn step(
        &self,
        state: &BTreeSet<V>,
        op: &WholeSetOp<V>,
        result: Option<&Option<BTreeSet<V>>>,
    ) -> Option<BTreeSet<V>> {
        match op {
            WholeSetOp::Add(value) => {
                let mut next = state.clone();
                next.insert(value.clone());
                result.is_none_or(Option::is_none).then_some(next)
            }
            WholeSetOp::Read => result.is_none_or(|seen| seen.as_ref() == Some(state)).then(|| state.clone()),
        }
    }

    /// A set of many elements would be copied with each of them.
    fn advance(
        &self,
        mut state: BTreeSet<V>,
        op: &WholeSetOp<V>,
        result: Option<&Option<BTreeSet<V>>>,
    ) -> Option<BTreeSet<V>> {
        match op {
            WholeSetOp::Add(value) => {
                state.insert(value.clone());
                result.is_none_or(Option::is_none).then_some(state)
            }
            WholeSetOp::Read => result.is_none_or(|seen| seen.as_ref() == Some(&state)).then_some(state),
        }
    }

    fn effect(&self, op: &WholeSetOp<V>, _result: Option<&Option<BTreeSet<V>>>) -> Effect {
        match op {
            WholeSetOp::Add(_) => Effect::Update,
            WholeSetOp::Read => Effect::Read,
        }
    }

    fn state_bytes(&self, state: &BTreeSet<V>) -> usize {
        state.len() * (size_of::<V>() + 8) + 64
    }

    fn decides(&self) -> bool {
        true
    }

    fn decide(
        &self,
        history: &History<WholeSetOp<V>, Option<BTreeSet<V>>>,
        _indices: &[u32],
        limits: &Limits,
        _progress: &Progress,
    ) -> Option<Decision> {
        super::whole_set::decide(self, history, limits)
    }

    fn describe_op(&self, op: &WholeSetOp<V>) -> String {
        match op {
            WholeSetOp::Add(value) => format!("Add {value:?}"),
            WholeSetOp::Read => "Read".to_owned(),
        }
    }

    fn describe_result(&self, _op: &WholeSetOp<V>, result: &Option<BTreeSet<V>>) -> String {
        result.as_ref().map_or_else(String::new, elements)
    }

    fn describe_state(&self, state: &BTreeSet<V>) -> String {
        elements(state)
    }
}

/// A set in a few words: not all elements of a large one.
fn elements<V: Value>(set: &BTreeSet<V>) -> String {
    const SHOWN: usize = 12;
    let mut words: Vec<String> = set.iter().take(SHOWN).map(|element| format!("{element:?}")).collect();
    if set.len() > SHOWN {
        words.push(format!("… ({} elements)", set.len()));
    }
    format!("{{{}}}", words.join(", "))
}
