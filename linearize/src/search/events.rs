//! A partition as a row of returns, each with the operations that are under way at it.

use super::states::{ByNumber, NONE};
use super::timeline::Timeline;
use crate::history::OPEN;
use crate::model::Effect;

/// One operation, as the search sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// What an order calls it.
    pub(crate) name: u32,
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

/// A partition, prepared.
pub(crate) struct Events {
    pub(crate) items: Vec<Item>,
    pub(crate) timeline: Timeline,
    /// The classes, by the numbers that items have, as the model numbers them.
    pub(crate) classes: Vec<u32>,
}

/// One operation of those that shall be ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// What an order calls it.
    pub(crate) name: u32,
    /// As [`ByNumber::classify`] says.
    pub(crate) class: u32,
    pub(crate) effect: Effect,
    pub(crate) call: u64,
    /// [`OPEN`] if it never returned.
    pub(crate) end: u64,
}

impl Asked {
    /// Operation `index` as it was observed, under that name.
    pub(crate) fn observed(model: &mut dyn ByNumber, index: u32) -> Asked {
        let (class, effect) = model.classify(index, true);
        let (call, end) = model.interval(index);
        Asked { name: index, class, effect, call, end }
    }
}

impl Events {
    /// `asked` is in the order of calls.
    pub(crate) fn new(mut asked: Vec<Asked>) -> Events {
        // A read that never returned can always be left out.
        asked.retain(|asked| asked.end != OPEN || asked.effect != Effect::Read);
        let mut events = Events {
            items: Vec::with_capacity(asked.len()),
            timeline: Timeline::default(),
            classes: Vec::new(),
        };
        events.add(&asked);
        let items = &mut events.items;
        events.timeline = Timeline::new(
            asked.len(),
            |item| (asked[item].call, asked[item].end),
            true,
            |item, slot, event| {
                (items[item].slot, items[item].first) = (slot, event);
            },
        );
        events.link_twins();
        events
    }

    /// The classes get numbers without gaps.
    fn add(&mut self, asked: &[Asked]) {
        let largest = asked.iter().map(|asked| asked.class as usize + 1).max();
        let mut own = vec![NONE; largest.unwrap_or(0)];
        for &Asked { name, class, effect, end, .. } in asked {
            let number = &mut own[class as usize];
            if *number == NONE {
                *number = self.classes.len() as u32;
                self.classes.push(class);
            }
            let class = *number;
            self.items.push(Item {
                name,
                slot: NEVER,
                class,
                twin: NONE,
                first: 0,
                last: NEVER,
                effect,
                end,
            });
        }
    }

    /// Numbers the returns, and links each item to the one of its class that returns before it; those that
    /// never do come last.
    fn link_twins(&mut self) {
        let mut newest = vec![NONE; self.classes.len()];
        let open = (0..self.items.len() as u32).filter(|&item| self.items[item as usize].end == OPEN);
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

    /// The class of `item`, as the model numbers it.
    pub(crate) fn class_of(&self, item: u32) -> u32 {
        self.classes[self.items[item as usize].class as usize]
    }

    /// How many bytes it occupies.
    pub(crate) fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Item>() + 4 * self.classes.capacity() + self.timeline.bytes()
    }
}
