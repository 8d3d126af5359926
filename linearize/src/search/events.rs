//! A partition as a row of returns, each with the operations that are under way at it.

use rustc_hash::FxHashMap;

use super::timeline::Timeline;
use crate::history::Operation;
use crate::model::{Effect, Model};

/// One operation, as the search sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Its index in the history.
    pub(crate) index: u32,
    /// Its bit while it is under way. Bits of operations that have returned are used again. [`NEVER`] if it
    /// was called only after everything had returned, and so need not have happened.
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
    pub(crate) timeline: Timeline,
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
        let mut events =
            Events { items: Vec::with_capacity(indices.len()), timeline: Timeline::default(), classes: 0 };
        events.classify(model, operations, indices);
        let spans: Vec<(u64, u64)> =
            events.items.iter().map(|item| (operations[item.index as usize].call, item.end)).collect();
        let items = &mut events.items;
        events.timeline = Timeline::new(
            spans.len(),
            |item| spans[item],
            true,
            |item, slot, event| {
                (items[item].slot, items[item].first) = (slot, event);
            },
        );
        events.link_twins();
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

    /// Numbers the returns, and links each item to the one of its class that returns before it; those that
    /// never do come last.
    fn link_twins(&mut self) {
        let mut newest = vec![NONE; self.classes];
        let open = (0..self.items.len() as u32).filter(|&item| self.items[item as usize].end == u64::MAX);
        let open: Vec<u32> = open.collect();
        for (event, &item) in self.timeline.returns.iter().enumerate() {
            self.items[item as usize].last = event as u32;
        }
        for &item in self.timeline.returns.iter().chain(&open) {
            let entry = &mut self.items[item as usize];
            entry.twin = std::mem::replace(&mut newest[entry.class as usize], item);
        }
    }

    /// The slot of what returns at return number `event`.
    pub(crate) fn slot_of_return(&self, event: usize) -> u32 {
        self.items[self.timeline.returns[event] as usize].slot
    }

    /// The items under way at return number `event`.
    pub(crate) fn under_way(&self, event: usize) -> impl Iterator<Item = u32> {
        self.timeline.under_way(event)
    }

    /// How many bytes it occupies.
    pub(crate) fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Item>() + self.timeline.bytes()
    }
}
