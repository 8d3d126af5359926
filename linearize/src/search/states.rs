//! States by number, and which leads to which.

use std::hash::BuildHasher;
use std::mem::size_of;

use rustc_hash::FxBuildHasher;

use super::events::Events;
use crate::history::Operation;
use crate::model::Model;

const UNKNOWN: u32 = u32::MAX;
const ILLEGAL: u32 = u32::MAX - 1;

/// An empty place of the index.
const EMPTY: u32 = u32::MAX;

/// Above this many columns most steps are taken once, and a table of them would be empty space.
const TABLE_COLUMNS: usize = 256;

/// Every state met so far, or all that [`States::keep`] has left of them.
pub(crate) struct States<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Op, M::Result>],
    known: Vec<M::State>,
    hashes: Vec<u32>,
    /// A hash table of numbers, so that each state is kept once: a state is looked for from the place that
    /// its hash names, up to the first empty one.
    index: Vec<u32>,
    /// For each state a row of one number for each column; empty if there are too many columns.
    table: Vec<u32>,
    row: usize,
    /// What the states hold on the heap.
    heap: usize,
}

impl<'a, M: Model> States<'a, M> {
    /// States whose steps are remembered by the class of the operation.
    pub(crate) fn new(model: &'a M, operations: &'a [Operation<M::Op, M::Result>], events: &Events) -> Self {
        Self::with_columns(model, operations, events.classes)
    }

    /// States of which each remembers so many steps.
    pub(crate) fn with_columns(
        model: &'a M,
        operations: &'a [Operation<M::Op, M::Result>],
        columns: usize,
    ) -> Self {
        let row = if columns <= TABLE_COLUMNS { columns } else { 0 };
        let mut states = States {
            model,
            operations,
            known: Vec::new(),
            hashes: Vec::new(),
            index: vec![EMPTY; 16],
            table: Vec::new(),
            row,
            heap: 0,
        };
        states.number_of(model.initial());
        states
    }

    fn number_of(&mut self, state: M::State) -> u32 {
        // The lower half is the better mixed one.
        let hash = FxBuildHasher.hash_one(&state) as u32;
        let mut place = hash as usize & (self.index.len() - 1);
        while self.index[place] != EMPTY {
            let number = self.index[place] as usize;
            if self.hashes[number] == hash && self.known[number] == state {
                return number as u32;
            }
            place = (place + 1) & (self.index.len() - 1);
        }
        let number = self.known.len() as u32;
        self.index[place] = number;
        self.heap += self.model.state_bytes(&state);
        self.known.push(state);
        self.hashes.push(hash);
        self.table.resize(self.table.len() + self.row, UNKNOWN);
        if self.known.len() * 2 > self.index.len() {
            self.rebuild_index(self.index.len() * 2);
        }
        number
    }

    fn rebuild_index(&mut self, size: usize) {
        self.index.clear();
        self.index.resize(size, EMPTY);
        for (number, &hash) in self.hashes.iter().enumerate() {
            let mut place = hash as usize & (size - 1);
            while self.index[place] != EMPTY {
                place = (place + 1) & (size - 1);
            }
            self.index[place] = number as u32;
        }
    }

    /// The state after the operation `index`, or `None` if it is not legal in `state`. All operations that
    /// are asked for under one `column` must do the same.
    pub(crate) fn step(&mut self, state: u32, column: u32, index: u32) -> Option<u32> {
        let cell = state as usize * self.row + column as usize;
        if self.row > 0 && self.table[cell] != UNKNOWN {
            return (self.table[cell] != ILLEGAL).then_some(self.table[cell]);
        }
        let operation = &self.operations[index as usize];
        let next = self.model.step(&self.known[state as usize], &operation.op, operation.result.as_ref());
        let number = next.map(|next| self.number_of(next));
        if self.row > 0 {
            self.table[cell] = number.unwrap_or(ILLEGAL);
        }
        number
    }

    /// Forgets every step, and all states but those that `numbers` name; gives these new numbers.
    pub(crate) fn keep<'n>(&mut self, numbers: impl Iterator<Item = &'n mut u32>) {
        let mut renumbered = vec![EMPTY; self.known.len()];
        let mut kept: u32 = 0;
        for number in numbers {
            let new = &mut renumbered[*number as usize];
            if *new == EMPTY {
                *new = kept;
                kept += 1;
            }
            *number = *new;
        }
        let mut old: Vec<_> = std::mem::take(&mut self.known)
            .into_iter()
            .zip(std::mem::take(&mut self.hashes))
            .zip(renumbered)
            .filter(|&(_, new)| new != EMPTY)
            .collect();
        old.sort_unstable_by_key(|&(_, new)| new);
        self.heap = 0;
        for ((state, hash), _) in old {
            self.heap += self.model.state_bytes(&state);
            self.known.push(state);
            self.hashes.push(hash);
        }
        self.table = vec![UNKNOWN; self.known.len() * self.row];
        self.rebuild_index((self.known.len() * 4).next_power_of_two().max(16));
    }

    /// About how many bytes the states occupy.
    pub(crate) fn bytes(&self) -> usize {
        self.heap
            + self.known.capacity() * (size_of::<M::State>() + 4)
            + 4 * (self.index.len() + self.table.capacity())
    }
}
