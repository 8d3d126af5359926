//! Sets of slots, in as few words as they need.

use std::hash::Hash;

/// A set of small numbers.
pub(crate) trait Mask: Clone + Eq + Hash {
    /// The empty set, with room for `slots` numbers.
    fn empty(slots: usize) -> Self;
    fn has(&self, slot: u32) -> bool;
    fn insert(&mut self, slot: u32);
    fn remove(&mut self, slot: u32);
}

impl Mask for u64 {
    fn empty(_slots: usize) -> Self {
        0
    }

    fn has(&self, slot: u32) -> bool {
        self >> slot & 1 == 1
    }

    fn insert(&mut self, slot: u32) {
        *self |= 1 << slot;
    }

    fn remove(&mut self, slot: u32) {
        *self &= !(1 << slot);
    }
}

impl Mask for Box<[u64]> {
    fn empty(slots: usize) -> Self {
        vec![0; slots.div_ceil(64)].into_boxed_slice()
    }

    fn has(&self, slot: u32) -> bool {
        self[slot as usize / 64].has(slot % 64)
    }

    fn insert(&mut self, slot: u32) {
        self[slot as usize / 64].insert(slot % 64);
    }

    fn remove(&mut self, slot: u32) {
        self[slot as usize / 64].remove(slot % 64);
    }
}
