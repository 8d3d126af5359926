//! Texts that are appended again and again: a walk through what was read.
//!
//! If fifty clients append five different texts, to choose which append each part of each text is (as the
//! rest of
//! [`crate::keys::ambiguous`] does) means to try out what makes no difference. What makes one is only *when*
//! the key holds *which text*. Of all texts just those matter that are read, or whose beginning is read:
//! places in a tree (`super::tree`). So this method looks for a walk through the tree in time. A *step* is an
//! append that leads one place further down, or a put that leads to a place near the root. A place may be
//! left once a read was there; then, until the next put, no read looks, and whatever is written can
//! *hide*. Reads never wait: a read that sees the place reads at once.
//!
//! # Which writes take the steps
//!
//! Writes of one kind and text are a *class*, and it is left open which of them takes a step. Two things must
//! be possible: each step needs a *taker*, a write under way that takes no other step; and each write that
//! returns must be *settled*: be a taker, or have been under way when no read looked. By a theorem of
//! Mendelsohn and Dulmage (1958) it is enough that each of the two can be done by itself: a matching that
//! covers all steps and one that covers all writes with nowhere to hide can be combined into one that covers
//! both. And each by itself is easy, since steps are moments and writes are intervals: give every step to the
//! write that returns first (of those not yet *spent*, for the first purpose; of those not settled, for the
//! second).
//!
//! # When steps are taken
//!
//! As late as possible, as in Lowe's search: at the return of a read that has not read, or of a write that is
//! not settled. That something was put off never harms the second purpose, nor any read. It can harm the
//! first, if a write returns unspent, and later a step of its class finds no taker. So there is one more
//! choice, at the return of a settled write that is not spent: to take a step with it all the same. This is
//! tried only if a step of its class was *missed* somewhere behind the first choice. If none was, then there
//! would have been no way on even with any number of takers of that class, and one more of them does not
//! help.
//!
//! Without puts nothing is ever left before its end, so nothing is put off in vain, and there is no choice at
//! all unless texts can be cut in several ways: such histories are decided in time linear in their length,
//! times the number of clients.
//!
//! # What prunes the search
//!
//! - A place is left at once if no read can come there or below, since puts to come will have replaced
//!   it.
//! - Reads under way that continue neither the place nor one another need a put each, and there may be too
//!   few.
//! - There is no way on from a node if there was none from one with fewer spent and more settled.
//!
//! # How to read
//!
//! `course` prepares a key; `steps` says which steps are possible; `search` tries them; `order` says which
//! write took which.

mod course;
mod order;
mod search;
mod steps;

use course::Course;
use search::{Outcome, Search};

use crate::keys::order::slim::Gathered;
use crate::keys::texts::Texts;
use crate::limits::{Limits, Progress};
use crate::search::mask::Mask;
use crate::verdict::Limit;

/// What comes of it.
pub(crate) enum Walked {
    /// The operations, by their number in [`Gathered::ops`], in an order that is possible.
    Order(Vec<u32>),
    /// There is no order of what was called by the return of `stuck`.
    Nowhere { stuck: u32 },
    /// The limits came first.
    Limited { limit: Limit, states: u64, reached: u32 },
}

/// Decides a key.
pub(crate) fn walk(texts: &Texts, gathered: &Gathered, limits: &Limits, progress: &Progress) -> Walked {
    let course = Course::new(texts, gathered);
    match course.timeline.slots {
        0..=64 => walk_with::<u64>(&course, limits, progress),
        _ => walk_with::<Box<[u64]>>(&course, limits, progress),
    }
}

fn walk_with<K: Mask>(course: &Course<'_>, limits: &Limits, progress: &Progress) -> Walked {
    let (outcome, states) = Search::<K>::new(course, limits, progress).run();
    let returning = |event: u32| course.items[course.timeline.returns[event as usize] as usize].op;
    match outcome {
        Outcome::Found(trail) => Walked::Order(order::order_of(course, &trail)),
        Outcome::Exhausted { deepest } => Walked::Nowhere { stuck: returning(deepest) },
        Outcome::Limited { limit, deepest } => Walked::Limited { limit, states, reached: returning(deepest) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_by_search;
    use crate::generate::{Random, Spoil, Values, Workload, spoil};
    use crate::keys::key_value::KvHistory;
    use crate::keys::order::blocks::insert_idle;
    use crate::model::Model;
    use crate::verdict::{Order, Verdict, Witness};

    /// The verdict of the walk alone; whatever order it finds is checked.
    fn is_linearizable(history: &KvHistory) -> Option<bool> {
        let operations = history.history().operations();
        let mut gathered = Gathered::default();
        let is_write = |&index: &u32| operations[index as usize].op.value().is_some();
        let (writes, reads): (Vec<u32>, Vec<u32>) = (0..operations.len() as u32).partition(is_write);
        gathered.gather(operations, &writes, &reads);
        match walk(
            history.texts(),
            &gathered,
            &Limits::default().with_states(2_000_000),
            &Progress::default(),
        ) {
            Walked::Order(order) => {
                let order = order.into_iter().map(|op| gathered.ops[op as usize].index).collect();
                let at = |index: u32| &operations[index as usize];
                let operations =
                    insert_idle(order, &gathered.idle, |index| at(index).call, |index| at(index).end);
                let partition = history.model().partition(&history.history()[0].op);
                let witness = Witness { orders: vec![Order { partition, operations }] };
                witness.replay(&history.model(), history.history()).expect("the order proves it");
                Some(true)
            }
            Walked::Nowhere { .. } => Some(false),
            Walked::Limited { .. } => None,
        }
    }

    fn workload(random: &mut Random, operations: usize) -> Workload {
        Workload {
            puts: 50 * random.below(6),
            appends: 500,
            values: Values::Few(1 + random.below(4)),
            crashes: 500 * random.below(3),
            seed: random.bits(),
            ..Workload::lab(1, 2 + random.below(9) as u32, operations)
        }
    }

    #[test]
    fn alone_it_finds_what_the_general_search_finds() {
        let mut random = Random::new(1);
        let (mut good, mut compared) = (0, 0);
        for _ in 0..5_000 {
            let operations = 5 + random.below(20) as usize;
            let history = spoil(&workload(&mut random, operations).generate(), Spoil::Stale);
            let found = is_linearizable(&history).expect("so few operations are no trouble");
            // Without knowing what will be read, a few of these are beyond the general search.
            let limits = Limits::default().with_states(20_000);
            let verdict = check_by_search(&history.model(), history.history(), &limits, &Progress::default());
            if matches!(verdict, Verdict::Unknown(_)) {
                continue;
            }
            compared += 1;
            assert_eq!(found, verdict.is_linearizable(), "{:#?}", history.history());
            good += u32::from(found);
        }
        assert!(compared > 4_500, "only {compared} of 5000 were compared");
        assert!((1_000..4_000).contains(&good), "{good} of {compared} are linearizable");
    }

    #[test]
    fn long_histories_that_are_linearizable_are_found_to_be() {
        let mut random = Random::new(2);
        let drawn = (0..400).map(|_| workload(&mut random, 200));
        let seeds = (40..56).map(|seed| Workload {
            puts: 50,
            values: Values::Few(5),
            seed,
            ..Workload::appends(10, 400)
        });
        for workload in drawn.collect::<Vec<_>>().into_iter().chain(seeds) {
            let history = workload.generate();
            assert_ne!(is_linearizable(&history), Some(false), "{:#?}", history.history());
            assert_eq!(is_linearizable(&history), Some(true), "undecided {workload:?}");
        }
    }
}
