//! What can be told from the texts alone: what a read shows, and in which order.

use rustc_hash::FxHashMap;

use crate::explain::naming;
use crate::history::{History, Operation};
use crate::keys::order::Error;
use crate::keys::order::resolve::Flaw;
use crate::keys::order::slim::{Kind as Does, Slim};
use crate::keys::texts::{Text, Texts};
use crate::model::Model;
use crate::verdict::Kind;

/// Something that is wrong whatever the times are, or nearly so. Operations are named by their number among
/// those of the key.
pub(super) enum Shown {
    /// `read` shows the text of `write`, and of those like it, more often than so many `writes` wrote it.
    TooOften { read: u32, write: u32, times: usize, writes: usize },
    /// `read` shows `late` before `early`, which had returned when `late` was called.
    WrongOrder { read: u32, early: u32, late: u32 },
    /// Two reads, neither of which continues the other, and there is nothing but appends.
    Disagree { one: u32, other: u32 },
}

/// Looks for such a thing in the operations `kept`, by rising call, which are known to be an error.
pub(super) fn look_at(texts: &Texts, ops: &[Slim], kept: &[u32], error: &Error) -> Option<Shown> {
    let is_get = |op: &u32| ops[*op as usize].kind == Does::Get;
    match (&error.flaw, kept) {
        (Some(Flaw::Disagree { .. }), &[one, other]) => Some(Shown::Disagree { one, other }),
        (Some(Flaw::Phantom { .. } | Flaw::Twice { .. } | Flaw::Disagree { .. }), _) => None,
        (_, &[read]) if is_get(&read) => too_often(texts, ops, read),
        (_, &[one, other]) if is_get(&one) && is_get(&other) => disagreement(texts, ops, one, other),
        (_, &[_, _, _]) => wrong_order(texts, ops, kept),
        _ => None,
    }
}

/// More than so many bytes, times texts that were written, are not worth the time to cut.
const LARGEST: usize = 1 << 22;

/// Cuts what `read` shows, which is impossible, into texts that were written, each as often as need be.
fn too_often(texts: &Texts, ops: &[Slim], read: u32) -> Option<Shown> {
    let bytes = texts.bytes(ops[read as usize].text);
    let mut writers: FxHashMap<(bool, Text), Vec<u32>> = FxHashMap::default();
    for (at, op) in ops.iter().enumerate().skip(1) {
        if op.kind != Does::Get && op.text != Text::EMPTY {
            writers.entry((op.kind == Does::Put, op.text)).or_default().push(at as u32);
        }
    }
    if bytes.len().saturating_mul(writers.len()) > LARGEST {
        return None;
    }
    // By rising operation, because the order of a hash map means nothing.
    let mut parts: Vec<((bool, Text), Vec<u32>)> = writers.into_iter().collect();
    parts.sort_unstable_by_key(|(_, writers)| writers[0]);
    // For each place the part that ends there, if the bytes before it can be cut.
    let mut ends: Vec<Option<usize>> = vec![None; bytes.len() + 1];
    for from in 0..bytes.len() {
        if from > 0 && ends[from].is_none() {
            continue;
        }
        for (number, ((is_put, text), _)) in parts.iter().enumerate() {
            let part = texts.bytes(*text);
            if bytes[from..].starts_with(part) && (from == 0 || !is_put) {
                ends[from + part.len()].get_or_insert(number);
            }
        }
    }
    let mut times = vec![0; parts.len()];
    let mut end = bytes.len();
    while end > 0 {
        let number = ends[end]?;
        times[number] += 1;
        end -= texts.bytes(parts[number].0.1).len();
    }
    let number = (0..parts.len()).find(|&number| times[number] > parts[number].1.len())?;
    let writers = &parts[number].1;
    Some(Shown::TooOften { read, write: writers[0], times: times[number], writes: writers.len() })
}

fn disagreement(texts: &Texts, ops: &[Slim], one: u32, other: u32) -> Option<Shown> {
    if ops.iter().skip(1).any(|op| op.kind == Does::Put) {
        return None;
    }
    let [first, second] = [one, other].map(|op| texts.bytes(ops[op as usize].text));
    (!first.starts_with(second) && !second.starts_with(first)).then_some(Shown::Disagree { one, other })
}

fn wrong_order(texts: &Texts, ops: &[Slim], kept: &[u32]) -> Option<Shown> {
    let of = |kind: Does| kept.iter().copied().filter(move |&op| ops[op as usize].kind == kind);
    let (mut reads, mut appends) = (of(Does::Get), of(Does::Append));
    let (read, early, late) = (reads.next()?, appends.next()?, appends.next()?);
    let text = texts.get(ops[read as usize].text);
    // Where it stands can be said only if nothing else that was written looks like it.
    let place = |write: u32| {
        let part = texts.get(ops[write as usize].text);
        let similar = |(at, op): (usize, &Slim)| {
            at != write as usize && op.kind != Does::Get && texts.get(op.text).contains(part)
        };
        if ops.iter().enumerate().any(similar) {
            return None;
        }
        text.find(part).filter(|&first| text.rfind(part) == Some(first))
    };
    let precedes = ops[early as usize].end < ops[late as usize].call;
    (precedes && place(late)? < place(early)?).then_some(Shown::WrongOrder { read, early, late })
}

impl Shown {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Shown::TooOften { .. } => Kind::Duplicate,
            Shown::WrongOrder { .. } => Kind::Order,
            Shown::Disagree { .. } => Kind::Disagreement,
        }
    }

    pub(super) fn sentence<M: Model>(
        &self,
        model: &M,
        history: &History<M::Op, M::Result>,
        ops: &[Slim],
    ) -> String {
        let operation = |op: u32| &history[ops[op as usize].index as usize];
        match *self {
            Shown::TooOften { read, write, writes: 1, times: 2 } => {
                twice(&naming(model, operation(read)), &naming_write(model, operation(write)))
            }
            Shown::TooOften { read, write, writes, times } => {
                let (read, write) = (naming(model, operation(read)), naming_write(model, operation(write)));
                let others = if writes == 1 { "once" } else { "by all clients together less often" };
                format!("{read}, which shows the text of {write} {times} times, but it was written {others}.")
            }
            Shown::WrongOrder { read, early, late } => {
                let gap = history.after(operation(late).call - operation(early).end);
                let (first, second) =
                    (naming_write(model, operation(early)), naming_write(model, operation(late)));
                let read = naming(model, operation(read));
                format!(
                    "{read}, which shows {second} before {first}, but {second} was called {gap} {first} had returned."
                )
            }
            Shown::Disagree { one, other } => {
                let (one, other) = (naming(model, operation(one)), naming(model, operation(other)));
                format!(
                    "{one} and {other}: neither continues the other, so they disagree on the order of writes."
                )
            }
        }
    }
}

pub(super) fn twice(read: &str, write: &str) -> String {
    format!("{read}, which shows {write} twice.")
}

/// A write as something that was seen: then it does not matter whether it returned.
pub(super) fn naming_write<M: Model>(model: &M, operation: &Operation<M::Op, M::Result>) -> String {
    format!("{} by client {}", model.describe_op(&operation.op), operation.client)
}
