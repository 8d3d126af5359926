//! Any model: Lowe's just-in-time graph search.
//!
//! Lowe, "Testing for linearizability" (2017), §5: walk along the returns. An operation need not have taken
//! effect before its return, so decide nothing earlier; at its return choose which of the operations under
//! way took effect, the last of them being the one that returns. What can be chosen next depends only on the
//! state and on which of the operations under way have happened, so a node of the graph is (return, state, a
//! bit for each operation under way), and is visited once. Compare the search of Wing and Gong with Lowe's
//! memory of visited configurations, which most checkers use: there a node has a bit for *every* operation of
//! the history.
//!
//! The search goes deep first, which finds an order soon. If that takes long, `frontier` goes through the
//! same graph return by return, which takes less memory.
//!
//! Five reductions, none of which changes the answer:
//!
//! - a read happens as soon as its result is right: it never branches;
//! - an operation that never returned happens only if another operation makes use of it, and of two ways to
//!   the same node the one that used fewer of those is enough;
//! - an overwrite that no operation waits for happens right before a later overwrite, where it leaves no
//!   trace: it never branches until its own return;
//! - of operations under way that ask the same and got the same, the one that returns first goes first;
//! - several orders of trying candidates race, each for a bounded number of steps, then for more. A short
//!   history is first gone through without trying twice what differs in open operations alone.

mod events;
mod frontier;
mod graph;
mod interner;
pub(crate) mod mask;
mod states;
pub(crate) mod timeline;

pub(crate) use events::Asked;
use events::Events;
use frontier::Frontier;
use graph::{Action, Outcome, Preference, Search};
use mask::Mask;
use rustc_hash::FxHashMap;
use states::States;
pub(crate) use states::{ByNumber, NONE, Numbered, inverse};

use crate::limits::{Limits, Progress};
use crate::model::Effect;
use crate::verdict::Limit;

/// What the search finds out about one partition.
#[derive(Debug)]
pub(crate) enum Found {
    /// An order of names: indices into the history, unless the operations were given others.
    Order(Vec<u32>),
    /// No order: what had returned up to the return of `stuck` cannot be
    /// linearized.
    Nothing { stuck: u32 },
    /// The limits came first.
    Limited { limit: Limit, states: u64, reached: u32 },
}

/// How many nodes the first round of each preference may visit; each further round, eight times as many.
const FIRST_ROUND: u64 = 512;

/// A history of so many operations is first gone through without looking back much: each node is visited
/// once, and of the rounds behind that the first are as short.
const SHORT: usize = 256;

/// How many nodes these rounds may visit at least.
const FEWEST: u64 = 128;

/// How many nodes the search that goes deep may visit before the one that goes broad takes over, where that
/// one can.
const DEEP: u64 = 1 << 16;

/// Decides whether the operations `indices` (in the order of their calls) can be linearized.
pub(crate) fn search(
    model: &mut dyn ByNumber,
    indices: &[u32],
    limits: &Limits,
    progress: &Progress,
) -> Found {
    let asked = indices.iter().map(|&index| Asked::observed(model, index)).collect();
    search_asked(model, asked, limits, progress)
}

/// As [`search`], of operations that are in the order of their calls.
pub(crate) fn search_asked(
    model: &mut dyn ByNumber,
    asked: Vec<Asked>,
    limits: &Limits,
    progress: &Progress,
) -> Found {
    search_from(DEEP, model, asked, limits, progress)
}

/// As [`search_asked`], but an operation that never returned may happen any number of times, so that what it
/// did need not be remembered. The orders found may name it more than once; if there are none, then there are
/// none without repetition either.
pub(crate) fn search_endless(
    model: &mut dyn ByNumber,
    asked: Vec<Asked>,
    limits: &Limits,
    progress: &Progress,
) -> Found {
    let events = Events::new(asked);
    go_deep(&events, &mut States::new(model, events.classes.len()), true, limits, progress)
}

/// As [`search_asked`], going deep for so many nodes.
fn search_from(
    deep: u64,
    model: &mut dyn ByNumber,
    asked: Vec<Asked>,
    limits: &Limits,
    progress: &Progress,
) -> Found {
    let events = Events::new(asked);
    let classes = events.classes.len();
    let can_go_broad = events.timeline.slots <= frontier::SLOTS
        && events.items.iter().all(|item| item.effect != Effect::Overwrite);
    if !can_go_broad || limits.states <= deep {
        return go_deep(&events, &mut States::new(model, classes), false, limits, progress);
    }
    let briefly = limits.clone().with_states(deep);
    let found = go_deep(&events, &mut States::new(model, classes), false, &briefly, progress);
    let Found::Limited { states: spent, .. } = found else { return found };
    let broad = limits.clone().with_states(limits.states - spent);
    let states = States::new(model, events.timeline.slots);
    let mut frontier = Frontier::new(&events, states, &broad, progress);
    let outcome = frontier.run();
    let spent = spent + frontier.visits;
    drop(frontier);
    if !matches!(outcome, Outcome::Limited { limit: Limit::Memory, .. }) {
        return found_by(&events, outcome, spent);
    }
    // There is too much of it at once. What is left is to hope that some order comes early.
    let rest = limits.clone().with_states(limits.states - spent);
    match go_deep(&events, &mut States::new(model, classes), false, &rest, progress) {
        Found::Limited { limit, states, reached } => {
            Found::Limited { limit, states: states + spent, reached }
        }
        found => found,
    }
}

/// How many bytes a hash map takes with entries of this size: now, or while it grows if that is what the next
/// entry makes it do; then the old table is still there beside one of twice its size.
fn map_bytes<K, V>(map: &FxHashMap<K, V>, entry: usize) -> usize {
    let table = map.capacity() * (entry + 1) * 8 / 7;
    if map.len() == map.capacity() { 3 * table } else { table }
}

fn go_deep(
    events: &Events,
    states: &mut States<'_>,
    endless: bool,
    limits: &Limits,
    progress: &Progress,
) -> Found {
    match events.timeline.slots {
        0..=64 => race::<u64>(events, states, endless, limits, progress),
        65..=128 => race::<[u64; 2]>(events, states, endless, limits, progress),
        _ => race::<Box<[u64]>>(events, states, endless, limits, progress),
    }
}

fn race<K: Mask>(
    events: &Events,
    states: &mut States<'_>,
    endless: bool,
    limits: &Limits,
    progress: &Progress,
) -> Found {
    let mixed = [Effect::Update, Effect::Overwrite]
        .map(|effect| events.items.iter().any(|item| item.effect == effect));
    // With updates alone, or overwrites alone, all three orders are the same.
    let preferences: &[Preference] = match mixed {
        [true, true] => &[Preference::Return, Preference::Updates, Preference::Overwrites],
        _ => &[Preference::Return],
    };
    // A trial of an explanation, which may visit few nodes, has been through that.
    let thorough = !endless && limits.states >= DEEP;
    let mut refutable = thorough && events.items.iter().any(|item| item.end == u64::MAX);
    let mut round = FIRST_ROUND;
    let mut spent = 0;
    if thorough && events.items.len() <= SHORT {
        round = (2 * events.items.len() as u64).max(FEWEST);
        let bound = limits.clone().with_states(round);
        let mut search = Search::<K>::new(events, states, Preference::Return, &bound, progress);
        search.once = true;
        let (outcome, visits) = search.run();
        spent += visits;
        if !matches!(outcome, Outcome::Limited { .. }) {
            return found_by(events, outcome, spent);
        }
    }
    loop {
        for &preference in preferences {
            let left = limits.states.saturating_sub(spent);
            let alone = preferences.len() == 1 && !refutable;
            let bound = limits.clone().with_states(if alone { left } else { left.min(round) });
            let mut search = Search::<K>::new(events, states, preference, &bound, progress);
            search.endless = endless;
            let (outcome, visits) = search.run();
            spent += visits;
            if let Outcome::Limited { limit: Limit::States, .. } = outcome
                && spent < limits.states
            {
                continue;
            }
            return found_by(events, outcome, spent);
        }
        round *= 8;
        // What is impossible even if open operations may happen any number of times is found to be impossible
        // far sooner like that.
        if std::mem::take(&mut refutable) {
            let bound = limits.clone().with_states(limits.states.saturating_sub(spent).min(round));
            let mut search = Search::<K>::new(events, states, Preference::Return, &bound, progress);
            search.endless = true;
            let (outcome, visits) = search.run();
            spent += visits;
            if matches!(outcome, Outcome::Exhausted { .. }) {
                return found_by(events, outcome, spent);
            }
        }
    }
}

/// An outcome in terms of the history.
fn found_by(events: &Events, outcome: Outcome, states: u64) -> Found {
    let index_of = |event: usize| events.items[events.timeline.returns[event] as usize].name;
    match outcome {
        Outcome::Found(trail) => Found::Order(order_of(events, &trail)),
        Outcome::Exhausted { deepest } => Found::Nothing { stuck: index_of(deepest) },
        Outcome::Limited { limit, deepest } => Found::Limited { limit, states, reached: index_of(deepest) },
    }
}

/// The order that a trail describes.
fn order_of(events: &Events, trail: &[Action]) -> Vec<u32> {
    let mut under: Vec<(usize, u32)> = Vec::new();
    let mut newest = 0;
    for (place, action) in trail.iter().enumerate() {
        match *action {
            Action::Step(item) => {
                if events.items[item as usize].effect == Effect::Overwrite {
                    newest = place;
                }
            }
            Action::Under(item) => under.push((newest, item)),
        }
    }
    let mut under = under.into_iter().peekable();
    let mut order = Vec::with_capacity(trail.len());
    for (place, action) in trail.iter().enumerate() {
        while let Some((_, item)) = under.next_if(|&(before, _)| before == place) {
            order.push(events.items[item as usize].name);
        }
        if let Action::Step(item) = *action {
            order.push(events.items[item as usize].name);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Random;
    use crate::history::Operation;
    use crate::model::Model;
    use crate::models::collections::{Queue, QueueOp};
    use crate::models::counter::{Counter, CounterOp};

    /// Up to nine operations of four clients at small random moments, some of them open, in the order of
    /// their calls.
    fn history<O, R>(
        random: &mut Random,
        mut ask: impl FnMut(&mut Random) -> (O, R),
    ) -> Vec<Operation<O, R>> {
        let count = 1 + random.below(9);
        let mut operations: Vec<_> = (0..count)
            .map(|client| {
                let (call, (op, result)) = (random.below(12), ask(random));
                match random.below(6) {
                    0 => Operation::open(client as u32, op, call),
                    _ => Operation::new(client as u32, op, result, call, call + random.below(6)),
                }
            })
            .collect();
        operations.sort_by_key(|operation| operation.call);
        operations
    }

    /// Whether there is an order, after it was made sure that both searches say the same and that the order
    /// found is one.
    fn both<M: Model>(model: &M, operations: &[Operation<M::Op, M::Result>]) -> bool {
        let indices: Vec<u32> = (0..operations.len() as u32).collect();
        let (limits, progress) = (Limits::default(), Progress::default());
        let mut numbered = Numbered::new(model, operations);
        let asked: Vec<Asked> = indices.iter().map(|&index| Asked::observed(&mut numbered, index)).collect();
        let events = Events::new(asked.clone());
        let states = &mut States::new(&mut numbered, events.classes.len());
        let deep = go_deep(&events, states, false, &limits, &progress);
        let states = States::new(&mut numbered, events.timeline.slots);
        let broad = found_by(&events, Frontier::new(&events, states, &limits, &progress).run(), 0);
        // Handed over from one to the other at once.
        let handed = search_from(2, &mut numbered, asked, &limits, &progress);
        assert_eq!(std::mem::discriminant(&handed), std::mem::discriminant(&deep), "{operations:?}");
        match (deep, broad) {
            (Found::Order(_), Found::Order(order)) => {
                let mut state = model.initial();
                let mut latest = 0;
                for &index in &order {
                    let operation = &operations[index as usize];
                    latest = latest.max(operation.call);
                    assert!(latest <= operation.end, "{operations:?}: {order:?}");
                    state = model.step(&state, &operation.op, operation.result.as_ref()).expect("legal");
                }
                let missing = indices.iter().find(|index| !order.contains(index));
                assert!(missing.is_none_or(|&index| operations[index as usize].is_open()), "{operations:?}");
                true
            }
            (Found::Nothing { stuck }, Found::Nothing { stuck: other }) => {
                assert_eq!(stuck, other, "{operations:?}");
                false
            }
            other => panic!("{other:?} for {operations:?}"),
        }
    }

    #[test]
    fn both_searches_agree() {
        let (mut queues, mut counters) = (0, 0);
        for seed in 0..30_000 {
            let mut random = Random::new(seed);
            let queue = history(&mut random, |random| match random.below(2) {
                0 => (QueueOp::Enqueue(random.below(3)), None),
                _ => (QueueOp::Dequeue, Some(random.below(3)).filter(|&value| value < 2)),
            });
            queues += u32::from(both(&Queue::new(), &queue));
            let counter = history(&mut random, |random| match random.below(3) {
                0 => (CounterOp::Add(1), 0),
                1 => (CounterOp::FetchAdd(1), random.below(3) as i64),
                _ => (CounterOp::Read, random.below(3) as i64),
            });
            counters += u32::from(both(&Counter, &counter));
        }
        assert!(queues.min(counters) > 3_000 && queues.max(counters) < 27_000, "{queues}, {counters}");
    }
}
