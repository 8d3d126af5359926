//! Sets that grow, are read as a whole, and to which no element is added twice: decided without any search.
//!
//! What a read returned says of every add whether it took effect before the read or after it. So two reads
//! must be contained in one another, and by rising content all of them stand in *ranks*: the adds that the
//! first reads show, those reads, the adds that the next ones show too, and so on; the adds that no read
//! shows come last. Operations of different ranks can take effect in one order only. The history is
//! linearizable exactly if real time demands the opposite of no two of them, and then the order of calls will
//! do within a rank.
//!
//! It takes time n log n, and one look at each element of each result.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::Value;
use super::collections::{WholeSet, WholeSetOp};
use crate::explain::naming;
use crate::history::History;
use crate::limits::Limits;
use crate::model::{Decision, Model};
use crate::verdict::{Explanation, Kind};

type Observed<V> = History<WholeSetOp<V>, Option<BTreeSet<V>>>;

/// No rank.
const NONE: u32 = u32::MAX;

/// What contradicts what. Operations are named by their index in the history.
enum Flaw {
    /// A read shows an element that was never added.
    Phantom { read: u32 },
    /// Each of two reads shows an element that the other one does not show.
    Apart { reads: [u32; 2], adds: [u32; 2] },
    /// Two operations, of which the first had returned when the second was called and yet took effect after
    /// it. If both are adds, a read that shows the second alone.
    Time { first: u32, second: u32, read: Option<u32> },
}

/// Decides a history, unless an element was added twice.
pub(super) fn decide<V: Value + Ord>(
    model: &WholeSet<V>,
    history: &Observed<V>,
    limits: &Limits,
) -> Option<Decision> {
    let mut adds: FxHashMap<&V, u32> = FxHashMap::default();
    let mut reads = Vec::new();
    for (operation, index) in history.operations().iter().zip(0..) {
        match (&operation.op, &operation.result) {
            (WholeSetOp::Add(value), _) => {
                if adds.insert(value, index).is_some() {
                    return None;
                }
            }
            (WholeSetOp::Read, Some(Some(seen))) => reads.push((index, seen)),
            // A read that never returned says nothing.
            (WholeSetOp::Read, _) => {}
        }
    }
    let found = Ranks::new(history, &adds, reads).and_then(|ranks| ranks.arrange(history));
    Some(match found {
        Ok(order) => Decision::Order(order),
        Err(flaw) if !limits.explain => Decision::Flaw(flaw.operations()),
        Err(flaw) => Decision::Explained(Box::new(flaw.explained(model, history, &adds))),
    })
}

/// In which order operations can take effect: those of lower rank first.
struct Ranks {
    /// By operation; [`NONE`] for what need not happen at all.
    of: Vec<u32>,
    /// For each two ranks, of adds and of the reads that show them, one of those reads.
    reads: Vec<u32>,
}

impl Ranks {
    fn new<V: Value + Ord>(
        history: &Observed<V>,
        adds: &FxHashMap<&V, u32>,
        mut reads: Vec<(u32, &BTreeSet<V>)>,
    ) -> Result<Ranks, Flaw> {
        reads.sort_by_key(|(_, seen)| seen.len());
        let mut ranks = Ranks { of: vec![NONE; history.len()], reads: Vec::new() };
        let mut shown = 0;
        for (read, seen) in reads {
            let mut known = 0;
            for element in seen {
                let &add = adds.get(element).ok_or(Flaw::Phantom { read })?;
                known += usize::from(ranks.of[add as usize] != NONE);
            }
            if known < shown {
                let before = ranks.reads[ranks.reads.len() - 1];
                return Err(apart(history, adds, before, read));
            }
            if ranks.reads.is_empty() || seen.len() > shown {
                let rank = 2 * ranks.reads.len() as u32;
                for element in seen {
                    let of = &mut ranks.of[adds[element] as usize];
                    *of = (*of).min(rank);
                }
                ranks.reads.push(read);
                shown = seen.len();
            }
            ranks.of[read as usize] = 2 * ranks.reads.len() as u32 - 1;
        }
        let last = 2 * ranks.reads.len() as u32;
        for &add in adds.values() {
            let of = &mut ranks.of[add as usize];
            if *of == NONE && !history[add as usize].is_open() {
                *of = last;
            }
        }
        Ok(ranks)
    }

    /// All operations by rank.
    fn arrange<O, R>(&self, history: &History<O, R>) -> Result<Vec<u32>, Flaw> {
        let mut order: Vec<u32> =
            (0..history.len() as u32).filter(|&index| self.of[index as usize] != NONE).collect();
        // They are in the order of their calls, and stay so within a rank.
        order.sort_by_key(|&index| self.of[index as usize]);
        let mut earliest: Option<u32> = None;
        for same in order.chunk_by(|&one, &other| self.of[one as usize] == self.of[other as usize]).rev() {
            if let Some(first) = earliest {
                let late = |&&second: &&u32| history[first as usize].precedes(&history[second as usize]);
                if let Some(&second) = same.iter().find(late) {
                    return Err(self.flaw(history, first, second));
                }
            }
            let sooner =
                same.iter().copied().chain(earliest).min_by_key(|&index| history[index as usize].end);
            earliest = sooner;
        }
        Ok(order)
    }

    /// That `first`, of a higher rank, had returned before `second` was called.
    fn flaw<O, R>(&self, history: &History<O, R>, first: u32, second: u32) -> Flaw {
        let rank = self.of[second as usize];
        let between = self.reads.get(rank as usize / 2).copied();
        // Both are adds if neither is a read, which have the odd ranks.
        let Some(read) =
            between.filter(|_| rank.is_multiple_of(2) && self.of[first as usize].is_multiple_of(2))
        else {
            return Flaw::Time { first, second, read: None };
        };
        let [one, other, middle] = [first, second, read].map(|index| &history[index as usize]);
        if one.precedes(middle) {
            return Flaw::Time { first, second: read, read: None };
        }
        if middle.precedes(other) {
            return Flaw::Time { first: read, second, read: None };
        }
        Flaw::Time { first, second, read: Some(read) }
    }
}

/// That two reads show different elements.
fn apart<V: Value + Ord>(history: &Observed<V>, adds: &FxHashMap<&V, u32>, one: u32, other: u32) -> Flaw {
    let only = |read: u32, other: u32| {
        let mut only = seen(history, read).difference(seen(history, other));
        adds[only.next().expect("neither of the two shows all that the other one shows")]
    };
    Flaw::Apart { reads: [one, other], adds: [only(one, other), only(other, one)] }
}

/// The elements that a read shows.
fn seen<V>(history: &Observed<V>, read: u32) -> &BTreeSet<V> {
    match &history[read as usize].result {
        Some(Some(seen)) => seen,
        _ => unreachable!("only reads that returned are asked for"),
    }
}

impl Flaw {
    fn operations(&self) -> Vec<u32> {
        match *self {
            Flaw::Phantom { read } => vec![read],
            Flaw::Apart { reads, .. } => reads.to_vec(),
            Flaw::Time { first, second, read } => [first, second].into_iter().chain(read).collect(),
        }
    }

    /// The flaw in words. Without any one of the operations the others have an order, if the adds whose
    /// elements they show are free.
    fn explained<V: Value + Ord>(
        &self,
        model: &WholeSet<V>,
        history: &Observed<V>,
        adds: &FxHashMap<&V, u32>,
    ) -> Explanation {
        let mut operations = self.operations();
        operations.sort_unstable();
        let is_read = |index: u32| matches!(history[index as usize].op, WholeSetOp::Read);
        let shown = operations.iter().filter(|&&index| is_read(index)).flat_map(|&read| seen(history, read));
        let shown = shown.filter_map(|element| adds.get(element)).filter(|add| !operations.contains(add));
        let context: BTreeSet<u32> =
            if matches!(self, Flaw::Phantom { .. }) { BTreeSet::new() } else { shown.copied().collect() };
        let (kind, sentence) = self.in_words(model, history, adds);
        Explanation {
            key: String::new(),
            partition: 0,
            kind,
            operations: operations.iter().map(|&index| index as usize).collect(),
            context: context.iter().map(|&index| index as usize).collect(),
            sentence,
            minimal: true,
        }
    }

    fn in_words<V: Value + Ord>(
        &self,
        model: &WholeSet<V>,
        history: &Observed<V>,
        adds: &FxHashMap<&V, u32>,
    ) -> (Kind, String) {
        let name = |index: u32| naming(model, &history[index as usize]);
        let element = |add: u32| match &history[add as usize].op {
            WholeSetOp::Add(value) => format!("{value:?}"),
            WholeSetOp::Read => String::new(),
        };
        match *self {
            Flaw::Phantom { read } => {
                let unknown = seen(history, read).iter().find(|element| !adds.contains_key(element));
                let unknown = unknown.map_or_else(String::new, |element| format!("{element:?}"));
                (Kind::Phantom, format!("{}, but nobody added {unknown}.", name(read)))
            }
            Flaw::Apart { reads: [one, other], adds: [its, others] } => {
                let (its, others) = (element(its), element(others));
                let sentence = format!(
                    "{} shows {its} without {others}, and {} shows {others} without {its}: one of the two was added first.",
                    client(history, one),
                    client(history, other)
                );
                (Kind::Disagreement, sentence)
            }
            Flaw::Time { first, second, read } => late(model, history, first, second, read),
        }
    }
}

/// That `first` had returned when `second` was called, and yet took effect after it, in words.
fn late<V: Value + Ord>(
    model: &WholeSet<V>,
    history: &Observed<V>,
    first: u32,
    second: u32,
    read: Option<u32>,
) -> (Kind, String) {
    let [one, other] = [first, second].map(|index| &history[index as usize]);
    let [first_name, second_name] = [one, other].map(|operation| naming(model, operation));
    // Whether it returned does not matter where it came too late.
    let asked = format!("{} by client {}", model.describe_op(&other.op), other.client);
    let gap = other.call - one.end;
    let (before, after) = (history.before(gap), history.after(gap));
    match (&one.op, &other.op) {
        (WholeSetOp::Add(missed), WholeSetOp::Read) => (
            Kind::StaleRead,
            format!(
                "{second_name} without {missed:?}, but {first_name} had already returned {before} it was called."
            ),
        ),
        (WholeSetOp::Read, WholeSetOp::Read) => {
            let mut missed = seen(history, first).difference(seen(history, second));
            let missed = missed.next().expect("the read of the higher rank shows more");
            let sentence = format!(
                "{second_name} without {missed:?}, but the {} that shows {missed:?} had already returned {before} it \
                 was called.",
                client(history, first)
            );
            (Kind::StaleRead, sentence)
        }
        (WholeSetOp::Read, WholeSetOp::Add(early)) => (
            Kind::FutureRead,
            format!("{first_name} with {early:?}, but {asked} was called only {after} that."),
        ),
        (WholeSetOp::Add(missed), WholeSetOp::Add(shown)) => {
            let read = read.map_or_else(String::new, |read| client(history, read));
            let sentence = format!(
                "{read} shows {shown:?} without {missed:?}, but {first_name} had already returned {before} \
                 {asked} was called."
            );
            (Kind::Order, sentence)
        }
    }
}

fn client<O, R>(history: &History<O, R>, read: u32) -> String {
    format!("Read by client {}", history[read as usize].client)
}
