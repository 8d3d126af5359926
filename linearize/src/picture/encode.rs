//! The data of a picture as columns of short numbers.
//!
//! `page/data.js` reads them back in the same order. An operation takes about eleven bytes: its call as the distance from the last
//! one, how long it took, client, key and name, and which texts it wrote and read, most often "the next new one".

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Fault;
use super::bytes::Column;
use super::findings::{Part, Status, Stuck};
use super::strings::Strings;
use crate::history::{History, OPEN, Unit};
use crate::model::{Effect, Model};
use crate::shown::Edit;
use crate::verdict::{Limit, Verdict};

/// All data of a picture.
pub(super) fn encode<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    verdict: &Verdict,
    parts: &[Part],
    faults: &[Fault],
) -> Vec<u8> {
    let mut strings = Strings::default();
    let origin = super::origin(history, faults);
    let operations = operations(model, history, parts, origin, &mut strings);
    let mut rest = Column::default();
    rest.number(match verdict {
        Verdict::Linearizable(_) => 1,
        Verdict::NotLinearizable(_) => 2,
        Verdict::Unknown(_) => 3,
    });
    for (lane, part) in parts.iter().enumerate() {
        rest.number(u64::from(strings.name(&part.name)));
        status(part, &mut rest, &mut strings);
        order(model, history, part, &mut rest, &mut strings);
        stuck(part.stuck.as_ref(), lane, &mut rest, &mut strings);
    }
    fault_spans(faults, origin, &mut rest, &mut strings);
    let mut all = Column::default();
    all.number(u64::from(history.unit() == Unit::Events));
    all.append(&strings.encode());
    all.append(&operations);
    all.append(&rest);
    all.bytes
}

/// Small numbers for things in the order in which they are met.
struct Numbers<K> {
    numbers: BTreeMap<K, u64>,
    met: Vec<K>,
}

impl<K: Ord + Clone> Numbers<K> {
    fn new() -> Self {
        Numbers { numbers: BTreeMap::new(), met: Vec::new() }
    }

    fn of(&mut self, thing: &K) -> u64 {
        if let Some(&number) = self.numbers.get(thing) {
            return number;
        }
        let number = self.met.len() as u64;
        self.numbers.insert(thing.clone(), number);
        self.met.push(thing.clone());
        number
    }
}

fn operations<'a, M: Model>(
    model: &'a M,
    history: &'a History<M::Op, M::Result>,
    parts: &[Part],
    origin: u64,
    strings: &mut Strings<'a>,
) -> Column {
    let lanes: BTreeMap<u64, usize> =
        parts.iter().enumerate().map(|(lane, part)| (part.partition, lane)).collect();
    let (mut clients, mut names) = (Numbers::new(), Numbers::new());
    let [mut calls, mut spans, mut who, mut keys, mut what, mut texts] =
        std::array::from_fn(|_| Column::default());
    let (mut last, mut next) = (origin, 0);
    for operation in history.operations() {
        let lane = lanes[&model.partition(&operation.op)];
        let parts = model.parts(&operation.op, operation.result.as_ref());
        calls.number(operation.call - last);
        last = operation.call;
        spans.option(operation.returned().map(|end| end - operation.call));
        who.number(clients.of(&operation.client));
        keys.number(lane as u64);
        let kind = effect_number(model.effect(&operation.op, None)) * 2 + u64::from(parts.texts);
        what.number(names.of(&(parts.name.into_owned(), kind)));
        let argument = parts.argument.map(|text| strings.name(&text));
        text_reference(&mut texts, argument, &mut next);
        let result = parts.result.map(|text| strings.name_in_lane(lane, text));
        text_reference(&mut texts, result, &mut next);
    }
    let mut all = Column::default();
    all.list(clients.met.iter().map(|&client| u64::from(client)));
    all.number(names.met.len() as u64);
    for (name, kind) in &names.met {
        all.number(u64::from(strings.name(name)));
        all.number(*kind);
    }
    all.number(history.len() as u64);
    for column in [calls, spans, who, keys, what, texts] {
        all.append(&column);
    }
    all.number(parts.len() as u64);
    all
}

fn effect_number(effect: Effect) -> u64 {
    match effect {
        Effect::Read => 0,
        Effect::Overwrite => 1,
        Effect::Update => 2,
    }
}

/// 0 for no text, 1 for the next one that was not named before, otherwise how far back it is.
fn text_reference(column: &mut Column, name: Option<u32>, next: &mut u64) {
    match name.map(u64::from) {
        None => column.number(0),
        Some(name) if name == *next => {
            column.number(1);
            *next += 1;
        }
        Some(name) => column.number(1 + *next - name),
    }
}

fn status(part: &Part, out: &mut Column, strings: &mut Strings<'_>) {
    match &part.status {
        Status::Linearizable => out.number(1),
        Status::NotLinearizable(explanation) => {
            out.number(2);
            out.number(u64::from(strings.name(explanation.kind.name())));
            out.number(u64::from(strings.name(&explanation.sentence)));
            out.number(u64::from(explanation.minimal));
            out.list(explanation.operations.iter().map(|&index| index as u64));
            out.list(explanation.context.iter().map(|&index| index as u64));
        }
        Status::Unknown(undecided) => {
            out.number(3);
            out.option(undecided.as_ref().map(|undecided| undecided.reached as u64));
            if let Some(undecided) = undecided {
                out.number(undecided.states);
                out.number(u64::from(undecided.limit == Limit::Memory));
            }
        }
    }
}

/// A state longer than this in all steps together is not worth its place; the stepper then stops showing states.
const STATE_BYTES: usize = 16 << 20;

/// The order by places in the partition, and what each step does to the text of the state.
fn order<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    part: &Part,
    out: &mut Column,
    strings: &mut Strings<'_>,
) {
    let Some(order) = &part.order else { return out.number(0) };
    out.number(1);
    let place = |index: &u32| part.indices.binary_search(index).unwrap_or_default() as u64;
    out.list(order.iter().map(place));
    let initial = model.initial();
    out.number(u64::from(strings.name(&model.state_text(&initial))));
    let mut states = States { state: initial, text: String::new(), written: 0 };
    states.text = model.state_text(&states.state).into_owned();
    let end = part.stuck.as_ref().map_or(OPEN, |stuck| history[stuck.operation as usize].end);
    for &index in order {
        let operation = &history[index as usize];
        // What returned later took part whatever it returned.
        let result = operation.result.as_ref().filter(|_| operation.end < end);
        match model.edit(&operation.op, result) {
            Edit::Keep => out.number(0),
            Edit::Replace => out.number(1),
            Edit::Append => out.number(2),
            Edit::Other => states.step(model, &operation.op, result, out, strings),
        }
    }
}

/// The states on the way, for models that cannot say what an operation does to the text.
struct States<S> {
    state: S,
    text: String,
    written: usize,
}

impl<S> States<S> {
    fn step<M: Model<State = S>>(
        &mut self,
        model: &M,
        op: &M::Op,
        result: Option<&M::Result>,
        out: &mut Column,
        strings: &mut Strings<'_>,
    ) {
        let next = if self.written > STATE_BYTES { None } else { model.step(&self.state, op, result) };
        let Some(next) = next else { return out.number(4) };
        let text = model.state_text(&next).into_owned();
        self.written += text.len();
        if text == self.text {
            out.number(0);
        } else {
            out.number(3);
            splice(&self.text, &text, out, strings);
        }
        self.state = next;
        self.text = text;
    }
}

/// How much of the beginning and of the end stays, in UTF-16 units, which is what scripts count in, and what stands between.
fn splice(old: &str, new: &str, out: &mut Column, strings: &mut Strings<'_>) {
    let same = old.chars().zip(new.chars()).take_while(|(one, other)| one == other);
    let head: usize = same.map(|(character, _)| character.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let same = old_rest.chars().rev().zip(new_rest.chars().rev()).take_while(|(one, other)| one == other);
    let tail: usize = same.map(|(character, _)| character.len_utf8()).sum();
    let units = |text: &str| text.encode_utf16().count() as u64;
    out.number(units(&old[..head]));
    out.number(units(&old_rest[old_rest.len() - tail..]));
    out.number(u64::from(strings.name(&new_rest[..new_rest.len() - tail])));
}

fn stuck(stuck: Option<&Stuck>, lane: usize, out: &mut Column, strings: &mut Strings<'_>) {
    let Some(stuck) = stuck else { return out.number(0) };
    out.number(1);
    out.number(u64::from(stuck.operation));
    out.number(stuck.alternatives.len() as u64);
    for alternative in &stuck.alternatives {
        out.number(u64::from(alternative.operation));
        out.number(u64::from(alternative.legal));
        for text in [&alternative.state, &alternative.expected, &alternative.observed] {
            // Often a continuation of what was read, so it costs nothing in the lane.
            let text = text.as_ref().map(|text| strings.name_in_lane(lane, Cow::Owned(text.clone())));
            out.option(text.map(u64::from));
        }
    }
}

fn fault_spans(faults: &[Fault], origin: u64, out: &mut Column, strings: &mut Strings<'_>) {
    let mut sorted: Vec<&Fault> = faults.iter().collect();
    sorted.sort_by_key(|fault| fault.from);
    out.number(sorted.len() as u64);
    for fault in sorted {
        out.number(fault.from - origin);
        let lasts = (fault.to != OPEN).then(|| fault.to.saturating_sub(fault.from));
        out.option(lasts);
        out.number(u64::from(strings.name(&fault.group)));
        out.number(u64::from(strings.name(&fault.label)));
        out.number(fault.targets.len() as u64);
        for target in &fault.targets {
            out.number(u64::from(strings.name(target)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_splice_keeps_what_is_equal_at_both_ends() {
        let mut strings = Strings::default();
        let mut out = Column::default();
        splice("[1, 2👍, 3]", "[1, 5👍, 3]", &mut out, &mut strings);
        assert_eq!(out.bytes, [4, 6, 0]);
        assert_eq!(strings.name("5"), 0);
    }

    #[test]
    fn texts_are_referred_to_from_the_newest() {
        let mut out = Column::default();
        let mut next = 0;
        for name in [Some(0), None, Some(1), Some(0), Some(1)] {
            text_reference(&mut out, name, &mut next);
        }
        assert_eq!(out.bytes, [1, 0, 1, 3, 2]);
        assert_eq!(next, 2);
    }
}
