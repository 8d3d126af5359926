//! Values that went into a collection and came out of it, each at most once.

use rustc_hash::FxHashMap;

use super::Value;
use crate::explain::naming;
use crate::history::{History, OPEN};
use crate::model::Model;
use crate::verdict::{Explanation, Kind};

/// No operation.
pub(super) const NONE: u32 = u32::MAX;

/// What an operation does with a value.
pub(super) enum Does<'a, V> {
    /// Puts this value in.
    Put(&'a V),
    /// Takes some value out.
    Take,
}

/// A value, with the operations that put it in and took it out, and between which moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) put: u32,
    /// [`NONE`] if it was never taken.
    pub(super) take: u32,
    /// It was put in from `called` to `in_by`.
    pub(super) called: u64,
    pub(super) in_by: u64,
    /// It was taken out from `out_from` to `out_by`; both are [`OPEN`] if it was never taken.
    pub(super) out_from: u64,
    pub(super) out_by: u64,
    /// How many of the empty moments come before it.
    pub(super) group: usize,
}

impl Item {
    fn new(put: u32, called: u64, in_by: u64) -> Item {
        Item { put, take: NONE, called, in_by, out_from: OPEN, out_by: OPEN, group: 0 }
    }

    /// The operations that put it in and took it out.
    pub(super) fn operations(&self) -> impl Iterator<Item = u32> {
        [self.put, self.take].into_iter().filter(|&operation| operation != NONE)
    }
}

/// Operations that cannot be reconciled, by index in the history.
pub(super) type Flaw = Vec<u32>;

/// Pairs the operations that put values in with those that took them out. `None` if that cannot be done by
/// value: if one was put in twice, or an operation that takes something never returned.
///
/// A value is put in before the return of the operation that takes it out, and taken out after the call of
/// the operation that puts it in. So intervals are cut to that.
pub(super) fn pair<'a, O, V: Value>(
    history: &'a History<O, Option<V>>,
    does: impl Fn(&'a O) -> Does<'a, V>,
) -> Option<Result<Vec<Item>, Flaw>> {
    let mut items: Vec<Item> = Vec::with_capacity(history.len());
    let mut by_value: FxHashMap<&V, usize> = FxHashMap::default();
    for (index, operation) in history.operations().iter().enumerate() {
        match does(&operation.op) {
            Does::Put(value) => {
                // One that returned a value contradicts its specification; the search says so.
                let contradicts = operation.result.iter().any(Option::is_some);
                if by_value.insert(value, items.len()).is_some() || contradicts {
                    return None;
                }
                items.push(Item::new(index as u32, operation.call, operation.end));
            }
            Does::Take if operation.is_open() => return None,
            Does::Take => {}
        }
    }
    for (index, operation) in history.operations().iter().enumerate() {
        let (Does::Take, Some(Some(value))) = (does(&operation.op), &operation.result) else { continue };
        let Some(item) = by_value.get(value).map(|&at| &mut items[at]) else {
            return Some(Err(vec![index as u32]));
        };
        if item.take != NONE {
            return Some(Err(vec![item.take, index as u32, item.put]));
        }
        if operation.end < item.called {
            return Some(Err(vec![item.put, index as u32]));
        }
        item.take = index as u32;
        item.in_by = item.in_by.min(operation.end);
        item.out_from = operation.call.max(item.called);
        item.out_by = operation.end;
    }
    // What was never seen and never returned need not have happened.
    items.retain(|item| item.take != NONE || item.in_by != OPEN);
    Some(Ok(items))
}

/// Words for operations that took out one value, and oftener than it was put in: `put` says that.
pub(super) fn reword<V: Value, M: Model<Result = Option<V>>>(
    model: &M,
    history: &History<M::Op, M::Result>,
    explanation: &mut Explanation,
    does: impl Fn(&M::Op) -> Does<'_, V>,
    put: &str,
) {
    let taken = |&index: &usize| match does(&history[index].op) {
        Does::Take => history[index].result.as_ref()?.as_ref(),
        Does::Put(_) => None,
    };
    let Some(value) = explanation.operations.first().and_then(taken) else { return };
    let puts = history.operations().iter();
    let puts =
        puts.filter(|operation| matches!(does(&operation.op), Does::Put(other) if other == value)).count();
    let takes = explanation.operations.len();
    if !explanation.minimal
        || takes <= puts
        || explanation.operations.iter().any(|take| taken(take) != Some(value))
    {
        return;
    }
    let names: Vec<String> =
        explanation.operations.iter().map(|&take| naming(model, &history[take])).collect();
    let names = names.join("; ");
    (explanation.kind, explanation.sentence) = match puts {
        0 => (Kind::Phantom, format!("{names}, but nobody {put} {value:?}.")),
        1 => (Kind::Duplicate, format!("{names}; but {value:?} was {put} once only.")),
        _ => (Kind::Duplicate, format!("{names}; but {value:?} was {put} {puts} times only.")),
    };
}
