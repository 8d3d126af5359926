//! States and operations by number. The search knows nothing else of a model, so it is compiled once and not
//! for each of them.

use std::hash::{BuildHasher, Hash};
use std::mem::size_of;

use rustc_hash::FxBuildHasher;

use super::interner::Interner;
use crate::history::Operation;
use crate::model::{Effect, Model};

const UNKNOWN: u32 = u32::MAX;
const ILLEGAL: u32 = u32::MAX - 1;

/// Above this many columns most steps are taken once, and a table of them would be empty space.
const TABLE_COLUMNS: usize = 256;

/// What the search asks of a model and the operations of a history.
pub(crate) trait ByNumber {
    /// When operation `index` was called and when it returned.
    fn interval(&self, index: u32) -> (u64, u64);

    /// The class of operation `index`, which is equal for operations that ask the same and got the same, and
    /// its effect. Unless `observed`, what it got is taken to be unknown.
    fn classify(&mut self, index: u32, observed: bool) -> (u32, Effect);

    /// The state after an operation of this class, or `None` if that is not legal in `state`.
    fn step(&mut self, state: u32, class: u32) -> Option<u32>;

    /// Forgets all states but the initial one, which becomes number 0.
    fn restart(&mut self);

    /// How many states there are.
    fn count(&self) -> usize;

    /// Gives each state the number that `new` has at its place; those that have none there ([`NONE`]) are
    /// forgotten. The new numbers leave no gaps.
    fn renumber(&mut self, new: &[u32]);

    /// About how many bytes states and classes occupy.
    fn bytes(&self) -> usize;
}

/// No number.
pub(crate) const NONE: u32 = u32::MAX;

/// Any model, and operations of it.
pub(crate) struct Numbered<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Op, M::Result>],
    /// For each class an operation of it, and whether what that got counts.
    classes: Vec<(u32, bool)>,
    class_numbers: Interner,
    states: Vec<M::State>,
    state_numbers: Interner,
    /// What the states hold on the heap.
    heap: usize,
}

impl<'a, M: Model> Numbered<'a, M> {
    pub(crate) fn new(model: &'a M, operations: &'a [Operation<M::Op, M::Result>]) -> Self {
        Numbered {
            model,
            operations,
            classes: Vec::new(),
            class_numbers: Interner::default(),
            states: Vec::new(),
            state_numbers: Interner::default(),
            heap: 0,
        }
    }

    fn number_of(&mut self, state: M::State) -> u32 {
        let hash = hash(&state);
        let states = &self.states;
        if let Some(number) = self.state_numbers.find(hash, &|number| states[number as usize] == state) {
            return number;
        }
        self.heap += self.model.state_bytes(&state);
        self.states.push(state);
        self.state_numbers.add(hash)
    }

    /// What operation `index` asked, and what it got if that counts.
    fn asked(&self, (index, observed): (u32, bool)) -> (&'a M::Op, Option<&'a M::Result>) {
        let operation = &self.operations[index as usize];
        (&operation.op, operation.result.as_ref().filter(|_| observed))
    }
}

/// The lower half is the better mixed one.
fn hash(value: &impl Hash) -> u32 {
    FxBuildHasher.hash_one(value) as u32
}

impl<M: Model> ByNumber for Numbered<'_, M> {
    fn interval(&self, index: u32) -> (u64, u64) {
        let operation = &self.operations[index as usize];
        (operation.call, operation.end)
    }

    fn classify(&mut self, index: u32, observed: bool) -> (u32, Effect) {
        let asked = self.asked((index, observed));
        let hash = hash(&asked);
        let same = |class: u32| self.asked(self.classes[class as usize]) == asked;
        let class = self.class_numbers.find(hash, &same).unwrap_or_else(|| {
            self.classes.push((index, observed));
            self.class_numbers.add(hash)
        });
        (class, self.model.effect(asked.0, asked.1))
    }

    fn step(&mut self, state: u32, class: u32) -> Option<u32> {
        let (op, result) = self.asked(self.classes[class as usize]);
        let next = self.model.step(&self.states[state as usize], op, result)?;
        Some(self.number_of(next))
    }

    fn restart(&mut self) {
        self.states = Vec::new();
        self.state_numbers = Interner::default();
        self.heap = 0;
        self.number_of(self.model.initial());
    }

    fn count(&self) -> usize {
        self.states.len()
    }

    fn renumber(&mut self, new: &[u32]) {
        let mut old: Vec<Option<M::State>> = std::mem::take(&mut self.states).into_iter().map(Some).collect();
        self.state_numbers = Interner::default();
        self.heap = 0;
        for place in inverse(new) {
            let state = old[place as usize].take().expect("each state has one new number");
            self.heap += self.model.state_bytes(&state);
            self.state_numbers.add(hash(&state));
            self.states.push(state);
        }
    }

    fn bytes(&self) -> usize {
        self.heap
            + self.states.capacity() * size_of::<M::State>()
            + self.state_numbers.bytes()
            + self.classes.capacity() * size_of::<(u32, bool)>()
            + self.class_numbers.bytes()
    }
}

/// By new number, the old one.
pub(crate) fn inverse(new: &[u32]) -> Vec<u32> {
    let count = new.iter().filter(|&&number| number != NONE).count();
    let mut old = vec![NONE; count];
    for (&number, place) in new.iter().zip(0..) {
        if number != NONE {
            old[number as usize] = place;
        }
    }
    old
}

/// Every state met so far, or all that [`States::keep`] has left of them, and which leads to which.
pub(crate) struct States<'a> {
    model: &'a mut dyn ByNumber,
    /// For each state a row of one number for each column; empty if there are too many columns.
    table: Vec<u32>,
    row: usize,
    /// How many steps the model was asked for.
    taken: u64,
}

impl<'a> States<'a> {
    /// Begins with the initial state alone. Each state remembers so many steps.
    pub(crate) fn new(model: &'a mut dyn ByNumber, columns: usize) -> Self {
        model.restart();
        let row = if columns <= TABLE_COLUMNS { columns } else { 0 };
        States { model, table: vec![UNKNOWN; row], row, taken: 0 }
    }

    /// The state after an operation of `class`, or `None` if it is not legal in `state`. All operations that
    /// are asked for under one `column` must do the same.
    #[inline]
    pub(crate) fn step(&mut self, state: u32, column: u32, class: u32) -> Option<u32> {
        let cell = state as usize * self.row + column as usize;
        if self.row > 0 {
            match self.table[cell] {
                UNKNOWN => {}
                ILLEGAL => return None,
                number => return Some(number),
            }
        }
        self.take(cell, state, class)
    }

    /// As [`States::step`], for the first time.
    #[cold]
    fn take(&mut self, cell: usize, state: u32, class: u32) -> Option<u32> {
        self.taken += 1;
        let number = self.model.step(state, class);
        if self.row == 0 {
            return number;
        }
        let end = number.map_or(0, |number| (number as usize + 1) * self.row);
        if end > self.table.len() {
            self.table.resize(end, UNKNOWN);
        }
        self.table[cell] = number.unwrap_or(ILLEGAL);
        number
    }

    /// How many steps the model was asked for: only then what [`States::bytes`] says can be more than before.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Forgets every step, and all states but those that `numbers` name; gives these new numbers.
    pub(crate) fn keep<'n>(&mut self, numbers: impl Iterator<Item = &'n mut u32>) {
        let mut new = vec![NONE; self.model.count()];
        let mut kept: u32 = 0;
        for number in numbers {
            let place = &mut new[*number as usize];
            if *place == NONE {
                *place = kept;
                kept += 1;
            }
            *number = *place;
        }
        self.model.renumber(&new);
        self.table = vec![UNKNOWN; kept as usize * self.row];
    }

    /// About how many bytes the states occupy.
    pub(crate) fn bytes(&self) -> usize {
        self.model.bytes() + 4 * self.table.capacity()
    }
}
