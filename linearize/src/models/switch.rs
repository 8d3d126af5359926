//! What is in one of two states: locks without owners, and single elements of sets. Decided without a search.
//!
//! What turns it on and what turns it off must take turns; whatever sees a state must run while that lasts.
//! Nothing is turned before something must be: when an operation returns for which the state is wrong, of
//! what turns it the other way and was called by then the one that must return first is chosen (as in a
//! schedule with deadlines, Jackson 1955). To turn later leaves more to choose from, to see a state as soon
//! as it is there costs nothing, and what turns it the same way can change places; so the history is
//! linearizable exactly if there always is one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::explain;
use crate::history::{History, Operation};
use crate::limits::Limits;
use crate::model::{Decision, Model};
use crate::verdict::{Explanation, Kind};
use crate::words;

/// What an operation does with the state, which is `false` at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Makes it this; it was the other before.
    Turn(bool),
    /// Sees it.
    See(bool),
}

impl Does {
    /// The state that must be there before.
    fn needs(self) -> bool {
        match self {
            Does::Turn(to) => !to,
            Does::See(state) => state,
        }
    }

    fn leaves(self) -> bool {
        let (Does::Turn(state) | Does::See(state)) = self;
        state
    }
}

/// Operations by rising call, and what they do.
type All = Vec<(u32, Does)>;

/// A model each partition of which is such a thing.
pub(super) trait Switched: Model {
    /// Nothing, if the operation says nothing.
    fn does(operation: &Of<Self>) -> Option<Does>;

    /// The operation in words.
    fn name(&self, operation: &Of<Self>) -> String;

    /// What has been done by those that make the state `to` with the thing that `op` is about.
    fn did(op: &Self::Op, to: bool) -> String;
}

type Of<M> = Operation<<M as Model>::Op, <M as Model>::Result>;
type Observed<M> = History<<M as Model>::Op, <M as Model>::Result>;

/// Decides the operations `indices`, those of a partition.
pub(super) fn decide<M: Switched>(
    model: &M,
    history: &Observed<M>,
    indices: &[u32],
    limits: &Limits,
) -> Decision {
    let does = |&index: &u32| Some((index, M::does(&history[index as usize])?));
    let all: All = indices.iter().filter_map(does).collect();
    let mut by_return = all.clone();
    by_return.retain(|&(index, _)| !history[index as usize].is_open());
    by_return.sort_by_key(|&(index, _)| history[index as usize].end);
    let mut switch = Switch::new(history);
    let mut calls = all.iter().peekable();
    for (index, does) in by_return {
        let end = history[index as usize].end;
        while let Some(&(called, does)) = calls.next_if(|&&(called, _)| history[called as usize].call <= end)
        {
            switch.call(called, does);
        }
        if !switch.finish(index, does) {
            let why = Why { model, history, all, last: index, need: does.needs(), does };
            let explained = if limits.explain { why.explained(indices) } else { None };
            return explained.map_or(Decision::Stuck(index), |why| Decision::Explained(Box::new(why)));
        }
    }
    Decision::Order(switch.order)
}

/// The state while operations come and go.
struct Switch<'a, O, R> {
    history: &'a History<O, R>,
    state: bool,
    /// What makes it `false` and what makes it `true`, by return; some may be done.
    turns: [BinaryHeap<Reverse<(u64, u32)>>; 2],
    /// What waits to see it so.
    sees: [Vec<u32>; 2],
    done: Vec<bool>,
    order: Vec<u32>,
}

impl<'a, O, R> Switch<'a, O, R> {
    fn new(history: &'a History<O, R>) -> Self {
        let (turns, sees) = Default::default();
        let done = vec![false; history.len()];
        Switch { history, state: false, turns, sees, done, order: Vec::with_capacity(history.len()) }
    }

    fn call(&mut self, index: u32, does: Does) {
        match does {
            Does::Turn(to) => {
                self.turns[usize::from(to)].push(Reverse((self.history[index as usize].end, index)));
            }
            Does::See(state) if state == self.state => self.take(index),
            Does::See(state) => self.sees[usize::from(state)].push(index),
        }
    }

    fn take(&mut self, index: u32) {
        self.done[index as usize] = true;
        self.order.push(index);
    }

    /// Whether an operation can have happened by now, when it returns.
    fn finish(&mut self, index: u32, does: Does) -> bool {
        if self.done[index as usize] {
            return true;
        }
        if does.needs() != self.state {
            let turns = &mut self.turns[usize::from(does.needs())];
            let left =
                std::iter::from_fn(|| turns.pop()).find(|Reverse((_, turn))| !self.done[*turn as usize]);
            let Some(Reverse((_, turn))) = left else { return false };
            self.turn(turn);
        }
        if !self.done[index as usize] {
            self.turn(index);
        }
        true
    }

    fn turn(&mut self, index: u32) {
        self.take(index);
        self.state = !self.state;
        for seeing in std::mem::take(&mut self.sees[usize::from(self.state)]) {
            self.take(seeing);
        }
    }
}

/// What shows that `last`, which needs the state `need`, cannot have happened by its return.
struct Why<'a, M: Model> {
    model: &'a M,
    history: &'a Observed<M>,
    all: All,
    last: u32,
    does: Does,
    need: bool,
}

/// More operations than these are counted, not named.
const FEW: usize = 4;

impl<M: Switched> Why<'_, M> {
    fn of(&self, index: u32) -> &Of<M> {
        &self.history[index as usize]
    }

    /// What makes the state `to`, by rising call.
    fn turns(&self, to: bool) -> impl DoubleEndedIterator<Item = u32> {
        self.all.iter().filter(move |(_, does)| *does == Does::Turn(to)).map(|&(index, _)| index)
    }

    /// The explanation, unless trials tell as much.
    fn explained(&self, indices: &[u32]) -> Option<Explanation> {
        let told = self.named().or_else(|| self.counted());
        let told = told.map(|(operations, sentence)| {
            explain::told(self.model, self.history, &operations, &[], Kind::Order, sentence)
        });
        if indices.len() > SHORT || told.as_ref().is_some_and(|told| told.minimal) {
            return told;
        }
        let partition = self.model.partition(&self.of(self.last).op);
        let mut found = explain::by_search(self.model, self.history, partition, indices, self.last);
        if !found.minimal || found.operations.len() > MOST {
            return told;
        }
        let operations: Vec<u32> = found.operations.iter().map(|&index| index as u32).collect();
        found.sentence = self.words(&operations)?;
        Some(found)
    }

    /// A few operations from the first call of which to the last return too little can have made the state
    /// what it must be.
    fn named(&self) -> Option<(Vec<u32>, String)> {
        let (last, end) = (self.of(self.last), self.of(self.last).end);
        let first = self.need && self.turns(true).all(|index| self.of(index).call > end);
        let undone = |&&(index, other): &&(u32, Does)| {
            let together = other == self.does && other == Does::Turn(!self.need) && self.of(index).end <= end;
            other.leaves() != self.need
                && index != self.last
                && (together || self.of(index).end < last.call)
                && self.turning(self.need, self.of(index).call.min(last.call), end).next().is_none()
        };
        let operations = match self.all.iter().rev().take(NEAR).find(undone) {
            _ if first => vec![self.last],
            Some(&(undone, _)) => vec![undone, self.last],
            None => self.too_many()?,
        };
        self.words(&operations).map(|sentence| (operations, sentence))
    }

    /// What can have made the state `to` between two moments.
    fn turning(&self, to: bool, from: u64, end: u64) -> impl Iterator<Item = u32> {
        self.turns(to).filter(move |&index| self.of(index).call <= end && self.of(index).end >= from)
    }

    /// Operations that turn it one way, while too few can have turned it back.
    fn too_many(&self) -> Option<Vec<u32>> {
        let end = self.of(self.last).end;
        let mut named = Vec::new();
        for index in self.turns(!self.need).rev().filter(|&index| self.of(index).end <= end).take(FEW) {
            named.push(index);
            if named.len() >= self.turning(self.need, self.of(index).call, end).count() + 2 {
                return Some(named);
            }
        }
        None
    }

    /// That all together turned it one way oftener than the other.
    fn counted(&self) -> Option<(Vec<u32>, String)> {
        let last = self.of(self.last);
        let sees = matches!(self.does, Does::See(_));
        let must =
            |&index: &u32| if sees { self.of(index).end < last.call } else { self.of(index).end <= last.end };
        let done: Vec<u32> = self.turns(!self.need).filter(must).collect();
        let helping = self.turning(self.need, 0, last.end).count();
        if helping + usize::from(!self.need) >= done.len() + usize::from(sees) {
            return None;
        }
        let name = self.model.name(last);
        let [did, undid] = [!self.need, self.need].map(|to| M::did(&last.op, to));
        let times = words::count(done.len(), "operation");
        let sentence = match sees {
            true => format!(
                "{name}, but {times} had {did} when it was called, and at most {helping} can have {undid} by its return."
            ),
            false => format!("{name}; by then {times} had {did}, but at most {helping} can have {undid}."),
        };
        let newest = done.into_iter().filter(|&index| index != self.last);
        let newest = newest.max_by_key(|&index| self.of(index).end);
        Some((newest.into_iter().chain([self.last]).collect(), sentence))
    }

    /// Words for operations, if it is true of them that too little can have happened meanwhile.
    fn words(&self, named: &[u32]) -> Option<String> {
        let last = *named.iter().max()?;
        let does = M::does(self.of(last))?;
        let need = does.needs();
        let others: Vec<u32> = named.iter().copied().filter(|&index| index != last).collect();
        let end = named.iter().map(|&index| self.of(index).end).max()?;
        let from = if others.is_empty() { 0 } else { self.of(*named.iter().min()?).call };
        let all_turn = named.iter().all(|&index| M::does(self.of(index)) == Some(Does::Turn(!need)));
        let undone = |index: u32| {
            let leaves = M::does(self.of(index)).map(Does::leaves);
            all_turn || leaves == Some(!need) && self.of(index).end < self.of(last).call
        };
        let name = |index: u32| self.model.name(self.of(index));
        let turning: Vec<String> = self.turning(need, from, end).map(name).collect();
        let all = others.iter().map(|&index| name(index)).collect::<Vec<_>>().join(", ");
        let (said, did) = (name(last), M::did(&self.of(last).op, need));
        Some(match (&others[..], &turning[..]) {
            ([], []) if need => format!("{said}, but nobody can have {did} by then."),
            ([other], []) if undone(*other) => format!(
                "{all} and {said}, but nobody can have {did} between the first call and the last return."
            ),
            (_, some) if all_turn && some.len() < others.len() => format!(
                "{all} and {said}, but between the first call and the last return only {} can have {did}.",
                some.join(" and ")
            ),
            // Off at first, it was turned off oftener than on.
            _ if all_turn && need => {
                let turned: Vec<String> = self.turning(need, 0, end).map(name).collect();
                if turned.len() >= named.len() {
                    return None;
                }
                format!("{all} and {said}, but by then only {} can have {did}.", turned.join(" and "))
            }
            _ => return None,
        })
    }
}

/// With so few operations the fewest are looked for by trials, too, and if they are no more than these, told.
const SHORT: usize = 256;
const MOST: usize = 8;

/// So many operations before are looked at.
const NEAR: usize = 1_000;
