//! Registers without a search, as far as that goes, and what is said of those that are not linearizable.
//!
//! Without compare-and-swap a register is a key with texts that are put and read whole, and what decides
//! those (`order`) decides it. With compare-and-swap there is a fast method where each value is written once
//! (`chains`). Otherwise the problem is NP-complete (Gibbons and Korach 1997), and the general search
//! decides. But three flaws show without any order, and most errors that are met have one of them:
//!
//! - *from nowhere*: an operation saw a value that cannot have been written by then;
//! - *stale*: all that can have written the value had returned before something was called that left another
//!   value, and that had returned before the value was seen;
//! - *lost update*: more compare-and-swaps replaced a value than wrote it.
//!
//! All three are looked for in time n log n, whatever the number of clients and however often values are
//! repeated.

mod chains;
mod sources;

use rustc_hash::FxHashMap;
use sources::Sources;

use super::Value;
use super::register::{Register, RegisterOp, RegisterResult};
use super::register_words::Words;
use crate::explain;
use crate::history::{History, Operation};
use crate::keys::explain as keys_explain;
use crate::keys::order::slim::{Gathered, Kind as Does, Slim};
use crate::keys::order::{Finding, Scratch};
use crate::keys::texts::{Text, Texts};
use crate::limits::{Limits, Progress};
use crate::model::Decision;
use crate::verdict::{Explanation, Kind};

pub(super) type Of<V> = Operation<RegisterOp<V>, RegisterResult<V>>;
pub(super) type Observed<V> = History<RegisterOp<V>, RegisterResult<V>>;

/// What an operation that returned saw: the value was this just before it, or while it ran.
pub(super) fn seen<V: Value>(operation: &Of<V>) -> Option<Option<&V>> {
    match (&operation.op, operation.result.as_ref()?) {
        (RegisterOp::Read, RegisterResult::Value(value)) => Some(value.as_ref()),
        (RegisterOp::CompareAndSwap { from, .. }, RegisterResult::Swapped(true)) => Some(Some(from)),
        _ => None,
    }
}

/// What the register holds right after an operation that returned.
pub(super) fn left<V: Value>(operation: &Of<V>) -> Option<Option<&V>> {
    match (&operation.op, operation.result.as_ref()?) {
        (RegisterOp::Read, RegisterResult::Value(value)) => Some(value.as_ref()),
        (RegisterOp::Write(value), RegisterResult::Written) => Some(Some(value)),
        (RegisterOp::CompareAndSwap { to, .. }, RegisterResult::Swapped(true)) => Some(Some(to)),
        _ => None,
    }
}

/// What an operation may have written.
pub(super) fn written<V: Value>(operation: &Of<V>) -> Option<&V> {
    match (&operation.op, &operation.result) {
        (RegisterOp::Write(value), _) => Some(value),
        (RegisterOp::CompareAndSwap { to, .. }, None | Some(RegisterResult::Swapped(true))) => Some(to),
        _ => None,
    }
}

/// What must be there for an operation to write.
pub(super) fn needed<V>(op: &RegisterOp<V>) -> Option<&V> {
    if let RegisterOp::CompareAndSwap { from, .. } = op { Some(from) } else { None }
}

/// Decides a register, if that needs no search.
pub(super) fn decide<V: Value>(
    model: &Register<V>,
    history: &Observed<V>,
    limits: &Limits,
    progress: &Progress,
) -> Option<Decision> {
    let values = Values::new(model, history);
    if let Some(flaw) = values.flaw(history) {
        return Some(match limits.explain {
            true => Decision::Explained(Box::new(values.explained(model, history, flaw))),
            false => Decision::Flaw(flaw.operations()),
        });
    }
    let plain = |operation: &Of<V>| {
        matches!(
            (&operation.op, &operation.result),
            (RegisterOp::Read, None | Some(RegisterResult::Value(_)))
                | (RegisterOp::Write(_), None | Some(RegisterResult::Written))
        )
    };
    if history.operations().iter().all(plain) {
        return Some(values.as_texts(model, history, limits, progress));
    }
    Some(match chains::decide(&values, history)? {
        Ok(order) => Decision::Order(order),
        Err(flaw) if limits.explain => {
            let context = values.grounds(history, &flaw);
            let explanation = explain::of_flaw(model, history, &flaw, &context);
            let known = explanation.minimal && history.len() > SHORT;
            let explanation =
                if known { explanation } else { explanation_or_fewer(model, history, explanation) };
            Decision::Explained(Box::new(explanation))
        }
        Err(flaw) => Decision::Flaw(flaw),
    })
}

/// What is wrong with so few operations is told in the best words if the fewest of them are looked for.
const SHORT: usize = 256;

/// The number of a value that was neither written nor seen.
const NO_VALUE: u32 = u32::MAX;

/// The number of the value that the register holds at first.
const INITIAL: u32 = 0;

/// The values of a history by number.
struct Values {
    /// For each operation.
    seen: Vec<u32>,
    left: Vec<u32>,
    written: Vec<u32>,
    /// What a compare-and-swap compares with, whether it returned or not.
    needed: Vec<u32>,
    sources: Sources,
}

impl Values {
    fn new<'a, V: Value>(model: &'a Register<V>, history: &'a Observed<V>) -> Values {
        let mut numbers: FxHashMap<Option<&'a V>, u32> = FxHashMap::default();
        numbers.insert(model.initial.as_ref(), INITIAL);
        let mut number = |value: Option<Option<&'a V>>| {
            let next = numbers.len() as u32;
            value.map_or(NO_VALUE, |value| *numbers.entry(value).or_insert(next))
        };
        let mut lists: [Vec<u32>; 4] = std::array::from_fn(|_| Vec::with_capacity(history.len()));
        for operation in history.operations() {
            // No value is looked up twice: a compare-and-swap saw what it needed, and an operation left what
            // it wrote or saw.
            let needed = number(needed(&operation.op).map(Some));
            let seen = match seen(operation) {
                Some(_) if needed != NO_VALUE => needed,
                value => number(value),
            };
            let written = number(written(operation).map(Some));
            let left = match left(operation) {
                None => NO_VALUE,
                Some(_) if written != NO_VALUE => written,
                Some(_) => seen,
            };
            for (list, value) in lists.iter_mut().zip([seen, left, written, needed]) {
                list.push(value);
            }
        }
        let [seen, left, written, needed] = lists;
        let sources = Sources::new(&written, numbers.len());
        Values { seen, left, written, needed, sources }
    }

    /// What cannot be, if it shows without any order.
    fn flaw<V: Value>(&self, history: &Observed<V>) -> Option<Flaw> {
        let returned = returned(history);
        let newest = Newest::new(self, history, &returned);
        let mut reach = vec![Reach::default(); self.sources.len()];
        let found = returned.into_iter().find_map(|(end, index)| {
            let value = self.seen[index as usize];
            if value == NO_VALUE {
                return None;
            }
            let reach = &mut reach[value as usize];
            reach.extend(history, self.sources.of(value), end);
            self.nobody_wrote(history, index, *reach).or_else(|| self.stale(history, index, *reach, &newest))
        });
        found.or_else(|| self.lost_update())
    }

    /// `read` saw what cannot have been written by then.
    fn nobody_wrote<V: Value>(&self, history: &Observed<V>, read: u32, reach: Reach) -> Option<Flaw> {
        let value = self.seen[read as usize];
        let sources = self.sources.of(value);
        // Nobody writes what it sees itself.
        let own = reach.count == 1 && sources[0] == read;
        if value == INITIAL || reach.count > usize::from(own) {
            return None;
        }
        let end = history[read as usize].end;
        let later = sources.iter().copied().find(|&source| history[source as usize].call > end);
        Some(Flaw::Nowhere { read, later })
    }

    /// `read` saw what had surely been replaced. `reach` tells of its possible writers.
    fn stale<V: Value>(
        &self,
        history: &Observed<V>,
        read: u32,
        reach: Reach,
        newest: &Newest,
    ) -> Option<Flaw> {
        let value = self.seen[read as usize];
        if self.written[read as usize] == value {
            return None;
        }
        let other = newest.before(history[read as usize].call, value)?;
        let call = history[other as usize].call;
        let replaced = reach.latest.is_none_or(|latest| history[latest as usize].end < call);
        replaced.then(|| Flaw::Stale {
            read,
            other,
            source: reach.latest,
            writer: self.writer(history, other, value),
        })
    }

    /// The possible writer of what `other` read: a compare-and-swap that replaced `value`, if there is one.
    fn writer<V: Value>(&self, history: &Observed<V>, other: u32, value: u32) -> Option<u32> {
        let seen = self.seen[other as usize];
        if seen == NO_VALUE || self.written[other as usize] != NO_VALUE {
            return None;
        }
        let sources = self.in_reach(history, other, seen);
        let replacing = sources.iter().rev().find(|&&source| self.seen[source as usize] == value);
        replacing.copied().or_else(|| self.simplest(sources))
    }

    /// Of possible writers, the last one that needs no other value to be there, or else the last one.
    fn simplest(&self, sources: &[u32]) -> Option<u32> {
        let plain = sources.iter().rev().find(|&&source| self.needed[source as usize] == NO_VALUE);
        plain.or(sources.last()).copied()
    }

    /// The possible writers of `value` for `reader`, by rising call.
    fn in_reach<V: Value>(&self, history: &Observed<V>, reader: u32, value: u32) -> &[u32] {
        let sources = self.sources.of(value);
        let end = history[reader as usize].end;
        &sources[..sources.partition_point(|&source| history[source as usize].call <= end)]
    }

    /// More compare-and-swaps replaced a value than can have written it.
    fn lost_update(&self) -> Option<Flaw> {
        let replaces = |index: &u32| {
            let [needed, seen, left] =
                [&self.needed, &self.seen, &self.left].map(|list| list[*index as usize]);
            needed != NO_VALUE && seen != NO_VALUE && seen != left
        };
        let all = || (0..self.seen.len() as u32).filter(replaces);
        let mut counts = vec![0; self.sources.len()];
        all().for_each(|swap| counts[self.seen[swap as usize] as usize] += 1);
        let (value, most) = (0..).zip(counts).find_map(|(value, count): (u32, usize)| {
            let most = self.sources.of(value).len() + usize::from(value == INITIAL);
            (count > most).then_some((value, most))
        })?;
        let swaps = all().filter(|&swap| self.seen[swap as usize] == value).take(most + 1).collect();
        Some(Flaw::LostUpdate { swaps, sources: self.sources.of(value).to_vec() })
    }

    /// The writers of what `operations` saw, and what these saw, and so on: that they are there matters, and
    /// when does not.
    fn grounds<V: Value>(&self, history: &Observed<V>, operations: &[u32]) -> Vec<u32> {
        let mut all = operations.to_vec();
        let mut next = 0;
        while let Some(&operation) = all.get(next).filter(|_| all.len() < GROUNDS) {
            next += 1;
            let value = match self.seen[operation as usize] {
                NO_VALUE => self.needed[operation as usize],
                seen => seen,
            };
            if value == NO_VALUE || value == INITIAL {
                continue;
            }
            let sources = self.in_reach(history, operation, value);
            if !all.iter().any(|&other| other != operation && sources.contains(&other)) {
                all.extend(sources.iter().rev().find(|&&source| source != operation));
            }
        }
        all.split_off(operations.len())
    }

    /// The flaw in words.
    fn explained<V: Value>(&self, model: &Register<V>, history: &Observed<V>, flaw: Flaw) -> Explanation {
        let words = Words::new(model, history);
        let operations = flaw.operations();
        let mut context = self.grounds(history, &operations);
        let (kind, sentence) = match &flaw {
            Flaw::Nowhere { read, later: None } => (Kind::Phantom, words.phantom(*read as usize)),
            Flaw::Nowhere { read, later: Some(later) } => {
                (Kind::FutureRead, words.seen_early(*read as usize, *later as usize))
            }
            Flaw::Stale { read, other, source, writer } => {
                context.extend(
                    writer.filter(|writer| !context.contains(writer) && !operations.contains(writer)),
                );
                let [read, other] = [*read, *other].map(|index| index as usize);
                let [source, writer] = [*source, *writer].map(|index| index.map(|index| index as usize));
                (Kind::StaleRead, words.stale(read, other, source, writer))
            }
            Flaw::LostUpdate { swaps, sources } => {
                context.extend(sources.iter().filter(|source| !swaps.contains(source)));
                context.sort_unstable();
                context.dedup();
                (Kind::LostUpdate, words.lost_update(swaps, sources))
            }
        };
        let mut explanation = explain::told(model, history, &operations, &context, kind, sentence.clone());
        // A chain of compare-and-swaps may need each value once, so that when it was written does not matter
        // either; and one that was called too late may not have been possible at any time.
        let idle = match flaw {
            Flaw::Stale { read, other, source: Some(source), .. } => Some((vec![read, other], source)),
            Flaw::Nowhere { read, later: Some(later) } => Some((vec![read], later)),
            _ => None,
        };
        if let Some((needed, idle)) = idle {
            context.push(idle);
            let fewer = explain::told(model, history, &needed, &context, kind, sentence);
            if fewer.minimal {
                explanation = fewer;
            }
        }
        if explanation.minimal { explanation } else { explanation_or_fewer(model, history, explanation) }
    }

    /// Decides it as a key whose texts are put and read whole.
    fn as_texts<V: Value>(
        &self,
        model: &Register<V>,
        history: &Observed<V>,
        limits: &Limits,
        progress: &Progress,
    ) -> Decision {
        let mut texts = Texts::new();
        let mut names = vec![Text::EMPTY];
        names.extend((1..self.sources.len()).map(|number| texts.intern(&number.to_string())));
        let slim = |(index, operation): (usize, &Of<V>)| {
            let (kind, value) = match self.written[index] {
                NO_VALUE => (Does::Get, self.seen[index]),
                value => (Does::Put, value),
            };
            // A read that never returned says nothing.
            let text = *names.get(value as usize)?;
            Some(Slim {
                call: operation.call.saturating_add(1),
                end: operation.end.saturating_add(1),
                text,
                index: index as u32,
                kind,
            })
        };
        let gathered = Gathered::of(history.operations().iter().enumerate().filter_map(slim).collect());
        let mut scratch = Scratch::default();
        match crate::keys::order::decide(&texts, &gathered, &mut scratch, limits, progress) {
            Finding::Order(order) => Decision::Order(order),
            Finding::Bad(error) if limits.explain => {
                let explanation = keys_explain::explain(model, history, &texts, "value", &gathered, error);
                Decision::Explained(Box::new(explanation))
            }
            Finding::Bad(error) => {
                let index = |&op: &u32| gathered.ops[op as usize].index;
                let named = error.operations.iter().filter(|&&op| op != 0).map(index).collect();
                Decision::Flaw(named)
            }
            Finding::Limited { limit, states, read } => {
                Decision::Limited { limit, states, reached: gathered.ops[read as usize].index }
            }
        }
    }
}

/// The fewest operations that show the error, if the trials find them; otherwise `explanation`, which names
/// more than are needed, or writes that are not enough.
fn explanation_or_fewer<V: Value>(
    model: &Register<V>,
    history: &Observed<V>,
    explanation: Explanation,
) -> Explanation {
    let indices: Vec<u32> = (0..history.len() as u32).collect();
    let returned = explanation.operations.iter().copied().filter(|&index| !history[index].is_open());
    let Some(last) = returned.max_by_key(|&index| history[index].end) else { return explanation };
    let fewer = explain::by_search(model, history, explanation.partition, &indices, last as u32);
    if fewer.minimal { fewer } else { explanation }
}

/// The writers of what this many operations saw are looked for.
const GROUNDS: usize = 64;

/// What cannot be, whatever the order.
enum Flaw {
    Nowhere { read: u32, later: Option<u32> },
    Stale { read: u32, other: u32, source: Option<u32>, writer: Option<u32> },
    LostUpdate { swaps: Vec<u32>, sources: Vec<u32> },
}

impl Flaw {
    /// Those whose times and results cannot be reconciled.
    fn operations(&self) -> Vec<u32> {
        let mut all = match self {
            Flaw::Nowhere { read, later } => later.iter().chain([read]).copied().collect(),
            Flaw::Stale { read, other, source, .. } => source.iter().chain([other, read]).copied().collect(),
            Flaw::LostUpdate { swaps, .. } => swaps.clone(),
        };
        all.sort_unstable();
        all
    }
}

/// Of the possible writers of a value, the first few by call.
#[derive(Clone, Copy, Default)]
struct Reach {
    count: usize,
    /// Which of them returned last.
    latest: Option<u32>,
}

impl Reach {
    /// Adds those that were called by `end`. Asked with rising `end`.
    fn extend<V: Value>(&mut self, history: &Observed<V>, sources: &[u32], end: u64) {
        while let Some(&source) =
            sources.get(self.count).filter(|&&source| history[source as usize].call <= end)
        {
            self.count += 1;
            let later = |latest: u32| history[latest as usize].end < history[source as usize].end;
            if self.latest.is_none_or(later) {
                self.latest = Some(source);
            }
        }
    }
}

/// The operations that returned, and when, by rising return.
fn returned<V: Value>(history: &Observed<V>) -> Vec<(u64, u32)> {
    let all = history.operations().iter().zip(0..).filter(|(operation, _)| !operation.is_open());
    let mut returned: Vec<(u64, u32)> = all.map(|(operation, index)| (operation.end, index)).collect();
    returned.sort_unstable();
    returned
}

/// An operation and the value that it left.
type Leaving = Option<(u32, u32)>;

/// For each return, of what had returned by then, the operations called last that left two different values.
struct Newest {
    /// By rising return.
    ends: Vec<u64>,
    both: Vec<[Leaving; 2]>,
}

impl Newest {
    fn new<V: Value>(values: &Values, history: &Observed<V>, returned: &[(u64, u32)]) -> Newest {
        let call = |leaving: Leaving| leaving.map(|(index, _)| history[index as usize].call);
        let mut newest =
            Newest { ends: Vec::with_capacity(returned.len()), both: Vec::with_capacity(returned.len()) };
        let mut both: [Leaving; 2] = [None, None];
        for &(end, index) in returned.iter().filter(|(_, index)| values.left[*index as usize] != NO_VALUE) {
            let next = Some((index, values.left[index as usize]));
            let same = both[0].is_some_and(|(_, value)| value == values.left[index as usize]);
            if same {
                both[0] = if call(next) > call(both[0]) { next } else { both[0] };
            } else if call(next) > call(both[0]) {
                both = [next, both[0]];
            } else if call(next) > call(both[1]) {
                both[1] = next;
            }
            newest.ends.push(end);
            newest.both.push(both);
        }
        newest
    }

    /// Of what had returned before `call` and left another value than `value`, what was called last.
    fn before(&self, call: u64, value: u32) -> Option<u32> {
        let count = self.ends.partition_point(|&end| end < call);
        let both = self.both.get(count.checked_sub(1)?)?;
        both.iter().flatten().find(|(_, other)| *other != value).map(|(index, _)| *index)
    }
}
