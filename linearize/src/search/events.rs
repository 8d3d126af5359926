//! A partition as a row of returns, each with the operations that are under way at it.

use rustc_hash::FxHashMap;

use crate::history::Operation;
use crate::model::{Effect, Model};

/// One operation, as the search sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Its index in the history.
    pub(crate) index: u32,
    /// Its bit while it is under way. Bits of operations that have returned are used again. [`NEVER`] if it was called
    /// only after everything had returned, and so need not have happened.
    pub(crate) slot: u32,
    /// Equal for operations that ask the same and got the same: only one of those need be tried at a time.
    pub(crate) class: u32,
    /// Of the items of its class, the one that returns just before it; [`NONE`] if there is none.
    pub(crate) twin: u32,
    /// The first return at which it is under way.
    pub(crate) first: u32,
    /// Its own return; [`NEVER`] if it never does.
    pub(crate) last: u32,
    pub(crate) effect: Effect,
    pub(crate) end: u64,
}

/// No slot, or no return.
pub(crate) const NEVER: u32 = u32::MAX;

/// No item.
pub(crate) const NONE: u32 = u32::MAX;

/// A partition, prepared.
pub(crate) struct Events {
    pub(crate) items: Vec<Item>,
    /// The items that return, in the order of their returns.
    pub(crate) returns: Vec<u32>,
    /// For each return, where its part of `under_way` begins; one more at the end.
    starts: Vec<u32>,
    /// The items under way at each return, first those that return first.
    under_way: Vec<u32>,
    /// How many slots there are.
    pub(crate) slots: usize,
    /// How many classes there are.
    pub(crate) classes: usize,
}

impl Events {
    /// `indices` are the partition's operations in the order of their calls.
    pub(crate) fn new<M: Model>(
        model: &M,
        operations: &[Operation<M::Op, M::Result>],
        indices: &[u32],
    ) -> Events {
        let mut events = Events {
            items: Vec::with_capacity(indices.len()),
            returns: Vec::new(),
            starts: vec![0],
            under_way: Vec::new(),
            slots: 0,
            classes: 0,
        };
        events.classify(model, operations, indices);
        let mut returns: Vec<u32> = (0..events.items.len() as u32)
            .filter(|&item| events.items[item as usize].end != u64::MAX)
            .collect();
        returns.sort_by_key(|&item| events.items[item as usize].end);
        events.link_twins(&returns);
        events.returns = returns;
        events.assign_slots(operations);
        events
    }

    fn classify<M: Model>(&mut self, model: &M, operations: &[Operation<M::Op, M::Result>], indices: &[u32]) {
        let mut classes: FxHashMap<(&M::Op, Option<&M::Result>), u32> = FxHashMap::default();
        for &index in indices {
            let operation = &operations[index as usize];
            let effect = model.effect(&operation.op, operation.result.as_ref());
            // A read that never returned can always be left out.
            if operation.is_open() && effect == Effect::Read {
                continue;
            }
            let fresh = classes.len() as u32;
            let class = *classes.entry((&operation.op, operation.result.as_ref())).or_insert(fresh);
            let end = operation.end;
            self.items.push(Item {
                index,
                slot: NEVER,
                class,
                twin: NONE,
                first: 0,
                last: NEVER,
                effect,
                end,
            });
        }
        self.classes = classes.len();
    }

    /// `returns` are the items that return, in that order; those that never do come behind them. Numbers them on the way.
    fn link_twins(&mut self, returns: &[u32]) {
        let mut newest = vec![NONE; self.classes];
        let open = (0..self.items.len() as u32).filter(|&item| self.items[item as usize].end == u64::MAX);
        let open: Vec<u32> = open.collect();
        for (event, &item) in returns.iter().enumerate() {
            self.items[item as usize].last = event as u32;
        }
        for &item in returns.iter().chain(&open) {
            let entry = &mut self.items[item as usize];
            entry.twin = std::mem::replace(&mut newest[entry.class as usize], item);
        }
    }

    /// Walks through time: calls before returns of the same moment, because intervals are closed.
    fn assign_slots<O, R>(&mut self, operations: &[Operation<O, R>]) {
        let mut free: Vec<u32> = Vec::new();
        let mut called = 0;
        let mut current: Vec<u32> = Vec::new();
        for (event, &returning) in self.returns.iter().enumerate() {
            let now = self.items[returning as usize].end;
            while called < self.items.len() && operations[self.items[called].index as usize].call <= now {
                // An operation that never returns keeps its slot for ever, and has one that was nobody else's.
                let again = if self.items[called].end == u64::MAX { None } else { free.pop() };
                let slot = again.unwrap_or_else(|| {
                    self.slots += 1;
                    self.slots as u32 - 1
                });
                self.items[called].slot = slot;
                self.items[called].first = event as u32;
                let end = self.items[called].end;
                let place = current.partition_point(|&other| self.items[other as usize].end <= end);
                current.insert(place, called as u32);
                called += 1;
            }
            self.under_way.extend_from_slice(&current);
            self.starts.push(self.under_way.len() as u32);
            current.retain(|&item| item != returning);
            free.push(self.items[returning as usize].slot);
        }
    }

    /// The slot of what returns at return number `event`.
    pub(crate) fn slot_of_return(&self, event: usize) -> u32 {
        self.items[self.returns[event] as usize].slot
    }

    /// The items under way at return number `event`.
    pub(crate) fn under_way(&self, event: usize) -> &[u32] {
        &self.under_way[self.starts[event] as usize..self.starts[event + 1] as usize]
    }
}
