//! States by number, and which leads to which.

use std::mem::size_of;

use rustc_hash::FxHashMap;

use super::events::Events;
use crate::history::Operation;
use crate::model::Model;

const UNKNOWN: u32 = u32::MAX;
const ILLEGAL: u32 = u32::MAX - 1;

/// Above this many classes of operations most steps are taken once, and a table of them would be empty space.
const TABLE_CLASSES: usize = 256;

/// Every state met so far.
pub(crate) struct States<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Op, M::Result>],
    known: Vec<M::State>,
    numbers: FxHashMap<M::State, u32>,
    /// For each state a row of one number for each class; empty if there are too many classes.
    table: Vec<u32>,
    row: usize,
    bytes: usize,
}

impl<'a, M: Model> States<'a, M> {
    pub(crate) fn new(model: &'a M, operations: &'a [Operation<M::Op, M::Result>], events: &Events) -> Self {
        let row = if events.classes <= TABLE_CLASSES { events.classes } else { 0 };
        let mut states = States {
            model,
            operations,
            known: Vec::new(),
            numbers: FxHashMap::default(),
            table: Vec::new(),
            row,
            bytes: 0,
        };
        states.number_of(model.initial());
        states
    }

    fn number_of(&mut self, state: M::State) -> u32 {
        if let Some(&number) = self.numbers.get(&state) {
            return number;
        }
        let number = self.known.len() as u32;
        // Kept twice: by number and as the key of the map, which has room for twice as many.
        self.bytes += 2 * (self.model.state_bytes(&state) + size_of::<M::State>() + 8) + 4 * self.row;
        self.known.push(state.clone());
        self.numbers.insert(state, number);
        self.table.resize(self.table.len() + self.row, UNKNOWN);
        number
    }

    /// The state after the operation `index`, of class `class`, or `None` if it is not legal in `state`.
    pub(crate) fn step(&mut self, state: u32, class: u32, index: u32) -> Option<u32> {
        let cell = state as usize * self.row + class as usize;
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

    /// About how many bytes the states occupy.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
