//! The general search with states that know how far each client has come.

use rustc_hash::FxHashMap;

use crate::limits::{Limits, Progress};
use crate::model::Effect;
use crate::search::{self, ByNumber, Found, NONE, inverse};

/// A place in a chain of operations that must take effect one after the other.
type Place = Option<(u32, u32)>;

/// Decides whether all operations of `model` have an order that keeps every chain. `chains` has for each
/// operation its chain and its place there, from 0, if it is in one.
pub(super) fn search_in_order(
    model: &mut dyn ByNumber,
    chains: Vec<Place>,
    limits: &Limits,
    progress: &Progress,
) -> Found {
    let all: Vec<u32> = (0..chains.len() as u32).collect();
    search::search(&mut InOrder::new(model, chains), &all, limits, progress)
}

/// A model whose states are pairs of a state of another and how far each chain has come.
struct InOrder<'a> {
    model: &'a mut dyn ByNumber,
    chains: Vec<Place>,
    /// For each class that of the other model, and the place in a chain.
    classes: Vec<(u32, Place)>,
    class_numbers: FxHashMap<(u32, Place), u32>,
    states: Vec<(u32, Vec<u32>)>,
    state_numbers: FxHashMap<(u32, Vec<u32>), u32>,
}

impl<'a> InOrder<'a> {
    fn new(model: &'a mut dyn ByNumber, chains: Vec<Place>) -> Self {
        InOrder {
            model,
            chains,
            classes: Vec::new(),
            class_numbers: FxHashMap::default(),
            states: Vec::new(),
            state_numbers: FxHashMap::default(),
        }
    }

    fn number_of(&mut self, state: (u32, Vec<u32>)) -> u32 {
        let next = self.states.len() as u32;
        let number = *self.state_numbers.entry(state.clone()).or_insert(next);
        if number == next {
            self.states.push(state);
        }
        number
    }
}

impl ByNumber for InOrder<'_> {
    fn interval(&self, index: u32) -> (u64, u64) {
        self.model.interval(index)
    }

    fn classify(&mut self, index: u32, observed: bool) -> (u32, Effect) {
        let (class, effect) = self.model.classify(index, observed);
        let place = self.chains[index as usize];
        let next = self.classes.len() as u32;
        let number = *self.class_numbers.entry((class, place)).or_insert(next);
        if number == next {
            self.classes.push((class, place));
        }
        (number, if effect == Effect::Read && place.is_none() { Effect::Read } else { Effect::Update })
    }

    fn step(&mut self, state: u32, class: u32) -> Option<u32> {
        let (class, place) = self.classes[class as usize];
        let (state, come) = &self.states[state as usize];
        if place.is_some_and(|(chain, place)| come[chain as usize] != place) {
            return None;
        }
        let mut come = come.clone();
        if let Some((chain, place)) = place {
            come[chain as usize] = place + 1;
        }
        let next = self.model.step(*state, class)?;
        Some(self.number_of((next, come)))
    }

    fn restart(&mut self) {
        self.model.restart();
        self.states = Vec::new();
        self.state_numbers = FxHashMap::default();
        let count = self.chains.iter().flatten().map(|(chain, _)| chain + 1).max().unwrap_or(0);
        self.number_of((0, vec![0; count as usize]));
    }

    fn count(&self) -> usize {
        self.states.len()
    }

    fn renumber(&mut self, new: &[u32]) {
        let old = std::mem::take(&mut self.states);
        self.state_numbers = FxHashMap::default();
        // States of the other model that are still in use get new numbers, too.
        let mut inner = vec![NONE; self.model.count()];
        let mut used = 0;
        for place in inverse(new) {
            let (state, come) = &old[place as usize];
            let number = &mut inner[*state as usize];
            if *number == NONE {
                *number = used;
                used += 1;
            }
            let number = *number;
            self.number_of((number, come.clone()));
        }
        self.model.renumber(&inner);
    }

    fn bytes(&self) -> usize {
        let chains = self.states.first().map_or(0, |(_, come)| 4 * come.capacity());
        // Each state is kept twice, in a list and in a map.
        let state = 2 * (size_of::<(u32, Vec<u32>)>() + chains) + 8;
        self.model.bytes() + self.states.len() * state + self.classes.len() * 2 * size_of::<(u32, Place)>()
    }
}
