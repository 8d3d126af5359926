//! Sets of slots, in as few words as they need.

use std::hash::Hash;

/// A set of small numbers.
pub(crate) trait Mask: Clone + Eq + Hash {
    /// The empty set, with room for `slots` numbers.
    fn empty(slots: usize) -> Self;
    fn has(&self, slot: u32) -> bool;
    fn insert(&mut self, slot: u32);
    fn remove(&mut self, slot: u32);
    /// The members that are in `other` too.
    fn within(&self, other: &Self) -> Self;
    /// The members that are not in `other`.
    fn without(&self, other: &Self) -> Self;
    fn is_subset(&self, other: &Self) -> bool;
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

    fn within(&self, other: &Self) -> Self {
        self & other
    }

    fn without(&self, other: &Self) -> Self {
        self & !other
    }

    fn is_subset(&self, other: &Self) -> bool {
        self & !other == 0
    }
}

impl<const WORDS: usize> Mask for [u64; WORDS] {
    fn empty(_slots: usize) -> Self {
        [0; WORDS]
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

    fn within(&self, other: &Self) -> Self {
        std::array::from_fn(|word| self[word] & other[word])
    }

    fn without(&self, other: &Self) -> Self {
        std::array::from_fn(|word| self[word] & !other[word])
    }

    fn is_subset(&self, other: &Self) -> bool {
        self.iter().zip(other).all(|(one, other)| one.is_subset(other))
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

    fn within(&self, other: &Self) -> Self {
        self.iter().zip(other.iter()).map(|(one, other)| one & other).collect()
    }

    fn without(&self, other: &Self) -> Self {
        self.iter().zip(other.iter()).map(|(one, other)| one & !other).collect()
    }

    fn is_subset(&self, other: &Self) -> bool {
        self.iter().zip(other.iter()).all(|(one, other)| one.is_subset(other))
    }
}
