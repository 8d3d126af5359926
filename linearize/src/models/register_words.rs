//! What is said of registers that are not linearizable.

use rustc_hash::FxHashMap;

use super::Value;
use super::register::{Register, RegisterOp, RegisterResult};
use super::registers::{Observed, left, needed, seen, written};
use crate::explain::naming;
use crate::model::Model;
use crate::verdict::{Explanation, Kind};

/// Says why the operations of a minimal explanation cannot be ordered, where it is one of the usual reasons.
pub(super) fn reword<V: Value>(model: &Register<V>, history: &Observed<V>, explanation: &mut Explanation) {
    let words = Words::new(model, history);
    if let Some((kind, sentence)) = words.usual(&explanation.operations, &explanation.context) {
        (explanation.kind, explanation.sentence) = (kind, sentence);
    }
}

/// So many reasons of one kind are named.
const FEW: usize = 3;

/// What finds words for the operations of a history.
pub(super) struct Words<'a, V> {
    model: &'a Register<V>,
    history: &'a Observed<V>,
}

impl<'a, V: Value> Words<'a, V> {
    pub(super) fn new(model: &'a Register<V>, history: &'a Observed<V>) -> Self {
        Words { model, history }
    }

    /// The kind of what is wrong with `operations`, given that `context` happened, and the sentence for it.
    fn usual(&self, operations: &[usize], context: &[usize]) -> Option<(Kind, String)> {
        let of = |index: usize| &self.history[index];
        let last = operations.iter().copied().max_by_key(|&index| of(index).call)?;
        let others: Vec<usize> = operations.iter().copied().filter(|&index| index != last).collect();
        if let (RegisterOp::CompareAndSwap { from, .. }, Some(RegisterResult::Swapped(false))) =
            (&of(last).op, &of(last).result)
        {
            return self.must_have_swapped(last, from, &others);
        }
        let value = seen(of(last));
        match (others.as_slice(), value) {
            ([], Some(value))
                if value != self.model.initial.as_ref() && self.writers(value).next().is_none() =>
            {
                Some((Kind::Phantom, self.phantom(last)))
            }
            ([], Some(value)) if !self.can_be_there(value, of(last).end) => {
                Some((Kind::Phantom, self.out_of_reach(last, value)))
            }
            ([early], None) if seen(of(*early)).is_some() && seen(of(*early)) == Some(written(of(last))) => {
                Some((Kind::FutureRead, self.seen_early(*early, last)))
            }
            ([_] | [_, _], Some(value)) => {
                let replaced = |&index: &usize| {
                    of(index).end < of(last).call && left(of(index)).is_some_and(|left| left != value)
                };
                let other = others.iter().copied().filter(replaced).max_by_key(|&index| of(index).call)?;
                let source = others.iter().copied().find(|&index| index != other);
                let is_source = |source: usize| {
                    value.is_some()
                        && (written(of(source)) == value || left(of(source)) == Some(value))
                        && of(source).end < of(other).call
                };
                if source.is_some_and(|source| !is_source(source)) {
                    return None;
                }
                // Otherwise it may be another reason.
                let written_once = context.iter().filter(|&&index| written(of(index)) == value).count() <= 1;
                let writer = self.writer(other, value, context);
                (source.is_some() || written_once)
                    .then(|| (Kind::StaleRead, self.stale(last, other, source, writer)))
            }
            _ => None,
        }
    }

    /// Among `context`, the write of what `other` read: one that replaced `value` if there is one.
    fn writer(&self, other: usize, value: Option<&V>, context: &[usize]) -> Option<usize> {
        let wrote = left(&self.history[other])?;
        let is_writer = |&index: &usize| wrote.is_some() && written(&self.history[index]) == wrote;
        let all = || context.iter().copied().filter(is_writer);
        all().find(|&index| seen(&self.history[index]) == Some(value)).or_else(|| all().next())
    }

    /// Whether nothing but `writer` can have written what it did by the return of `reader`.
    fn alone_wrote(&self, writer: usize, reader: usize) -> bool {
        let end = self.history[reader].end;
        let mut writers = self.writers(written(&self.history[writer]));
        writers.all(|index| index == writer || self.history[index].call > end)
    }

    pub(super) fn phantom(&self, read: usize) -> String {
        let operation = &self.history[read];
        let value = seen(operation).flatten();
        let nobody = if written(operation) == value { "nobody else" } else { "nobody" };
        format!("{}, but {nobody} wrote {}.", naming(self.model, operation), self.value(value))
    }

    /// `read` saw `value`, and all that can have written it by then needed another value that nobody had
    /// written, or `value` itself.
    fn out_of_reach(&self, read: usize, value: Option<&V>) -> String {
        let operation = &self.history[read];
        let writers = self.writers(value).filter(|&index| index != read);
        let by_then = writers.filter(|&index| self.history[index].call <= operation.end);
        let reasons = by_then.take(FEW).filter_map(|index| {
            let needed = self.value(Some(needed(&self.history[index].op)?));
            Some(format!("{} needed {needed} to be there first", self.naming_write(index)))
        });
        let why = reasons.collect::<Vec<_>>().join("; ");
        let why = if why.is_empty() { why } else { format!(": {why}") };
        format!(
            "{}, but nobody can have written {} by then{why}.",
            naming(self.model, operation),
            self.value(value)
        )
    }

    /// Whether the register can have held `value` by `end`, whatever the order of what had been called by
    /// then.
    fn can_be_there(&self, value: Option<&V>, end: u64) -> bool {
        let mut next: Vec<Option<&V>> = vec![self.model.initial.as_ref()];
        let mut swaps: FxHashMap<Option<&V>, Vec<Option<&V>>> = FxHashMap::default();
        for operation in self.history.operations().iter().filter(|operation| operation.call <= end) {
            match (written(operation), needed(&operation.op)) {
                (None, _) => {}
                (to, None) => next.push(to),
                (to, from) => swaps.entry(from).or_default().push(to),
            }
        }
        while let Some(there) = next.pop() {
            if there == value {
                return true;
            }
            next.extend(swaps.remove(&there).unwrap_or_default());
        }
        false
    }

    pub(super) fn seen_early(&self, read: usize, write: usize) -> String {
        let gap = self.history.after(self.history[write].call - self.history[read].end);
        let others = self.others(written(&self.history[write]), &[write]);
        let (read, write) = (naming(self.model, &self.history[read]), self.naming_write(write));
        format!("{read}, but {write} was called only {gap} that.{others}")
    }

    /// `read` saw what `source` had written, or what was there at first, and `other` shows that it had been
    /// replaced; `writer` may have written what `other` read, and is named if nothing else can have.
    pub(super) fn stale(
        &self,
        read: usize,
        other: usize,
        source: Option<usize>,
        writer: Option<usize>,
    ) -> String {
        let of = |index: usize| &self.history[index];
        let value = seen(of(read)).flatten();
        let gap = self.history.before(of(read).call - of(other).end);
        let (said, shown) = (naming(self.model, of(read)), self.value(value));
        let writer = writer.filter(|&writer| self.alone_wrote(writer, other));
        let mut sentence = match (&of(other).op, writer) {
            (RegisterOp::Read, Some(writer)) => format!(
                "{said}, but {} had replaced {shown}: {} had already returned {gap} it was called",
                self.naming_write(writer),
                self.that_saw(other),
            ),
            (RegisterOp::CompareAndSwap { from, .. }, _) if Some(from) == value => format!(
                "{said}, but {} had replaced {shown} and returned {gap} it was called",
                self.naming_write(other),
            ),
            _ => format!("{said}, but {} had already returned {gap} it was called", self.that_saw(other)),
        };
        match source.filter(|&source| of(source).end < of(other).call) {
            Some(source) => {
                let gap = self.history.after(of(other).call - of(source).end);
                sentence += &format!(", and was itself called {gap} {} had returned.", self.that_saw(source));
                if written(of(source)).is_none() {
                    return sentence + &format!(" No write of {shown} fits between.");
                }
            }
            None if value == self.model.initial.as_ref() && self.writers(value).next().is_none() => {
                sentence += &format!(", and {shown} was there at first only.");
            }
            None => sentence.push('.'),
        }
        let named: Vec<usize> = match source {
            Some(source) => vec![source],
            None => self.writers(value).take(1).collect(),
        };
        sentence + &self.others(value, &named)
    }

    /// A compare-and-swap that did not swap though the value was right.
    fn must_have_swapped(&self, swap: usize, from: &V, others: &[usize]) -> Option<(Kind, String)> {
        let of = |index: usize| &self.history[index];
        let said = naming(self.model, of(swap));
        let sentence = match *others {
            [] if self.model.initial.as_ref() == Some(from) => {
                format!("{said}, but the register held {from:?} from the beginning.")
            }
            [write] if left(of(write)) == Some(Some(from)) && of(write).end < of(swap).call => {
                let gap = self.history.before(of(swap).call - of(write).end);
                let write = self.that_saw(write);
                format!("{said}, but the register held {from:?}: {write} had returned {gap} it was called.")
            }
            _ => return None,
        };
        Some((Kind::Order, sentence))
    }

    /// `swaps` replaced the same value, which `sources` wrote, and those are fewer.
    pub(super) fn lost_update(&self, swaps: &[u32], sources: &[u32]) -> String {
        let value = swaps.first().and_then(|&swap| seen(&self.history[swap as usize])).flatten();
        let named = |all: &[u32]| -> Vec<String> {
            all.iter().map(|&index| self.naming_write(index as usize)).collect()
        };
        let (swaps, writers) = (named(swaps), named(sources));
        let first = value == self.model.initial.as_ref();
        let why = match (first, &writers[..]) {
            (true, []) => "which was there at first and never written".to_owned(),
            (true, writers) => {
                format!("which was there at first and else only written by {}", writers.join(", "))
            }
            (false, [writer]) => format!("which only {writer} wrote, once"),
            (false, writers) => {
                format!("which was written {} times only: {}", writers.len(), writers.join(", "))
            }
        };
        let (last, rest) =
            swaps.split_last().map_or((String::new(), &[][..]), |(last, rest)| (last.clone(), rest));
        let each = if rest.len() == 1 { "both" } else { "all" };
        format!("{} and {last} {each} replaced {}, {why}.", rest.join(", "), self.value(value))
    }

    /// The operations that may have written `value`.
    fn writers(&self, value: Option<&V>) -> impl Iterator<Item = usize> {
        let all = self.history.operations().iter().enumerate();
        all.filter(move |(_, operation)| value.is_some() && written(*operation) == value)
            .map(|(index, _)| index)
    }

    /// What is said of other writes of the same value.
    fn others(&self, value: Option<&V>, named: &[usize]) -> String {
        let more = self.writers(value).any(|index| !named.contains(&index));
        let value = self.value(value);
        if more { format!(" No other write of {value} fits either.") } else { String::new() }
    }

    fn value(&self, value: Option<&V>) -> String {
        self.model.describe_state(&value.cloned())
    }

    /// Without its result: that it happened was seen.
    fn naming_write(&self, index: usize) -> String {
        let operation = &self.history[index];
        format!("{} by client {}", self.model.describe_op(&operation.op), operation.client)
    }

    fn that_saw(&self, index: usize) -> String {
        match (&self.history[index].op, left(&self.history[index])) {
            (RegisterOp::Read, Some(value)) => {
                format!("the Read by client {} that saw {}", self.history[index].client, self.value(value))
            }
            _ => self.naming_write(index),
        }
    }
}
