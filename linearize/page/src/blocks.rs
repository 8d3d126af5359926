//! The operations as blocks that a page can read one by one, so that it need not read all of them to show a
//! few.
//!
//! A *segment* is a run of operations of one partition, a *block* is one segment or several small ones. What
//! never returned is in segments of its own, which are read first: it may reach into any window. A text may
//! begin in an earlier block, whose number then stands in the table of contents.

use std::collections::BTreeMap;
use std::ops::Range;

use linearize::{Effect, History, Model, OPEN};

use crate::bytes::Column;
use crate::findings::Part;
use crate::steps::Steps;
use crate::strings::Strings;

/// How many operations a block holds: few enough to be read between two frames, enough to be worth
/// compressing.
pub(crate) const SEGMENT: usize = 4_096;

/// Some operations of one partition.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) lane: usize,
    /// Indices into the history, rising.
    pub(crate) indices: Vec<u32>,
    /// The first call.
    pub(crate) from: u64,
    /// The last return.
    pub(crate) to: u64,
}

/// All operations in segments, partition by partition.
pub(crate) fn segments<O, R>(history: &History<O, R>, parts: &[Part]) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (lane, part) in parts.iter().enumerate() {
        let end = |index: u32| history[index as usize].end;
        let (open, closed): (Vec<u32>, Vec<u32>) =
            part.indices.iter().partition(|&&index| end(index) == OPEN);
        segments.extend(open.chunks(SEGMENT).chain(closed.chunks(SEGMENT)).map(|indices| Segment {
            lane,
            indices: indices.to_vec(),
            from: history[indices[0] as usize].call,
            to: indices.iter().map(|&index| end(index)).max().unwrap_or(OPEN),
        }));
    }
    segments
}

/// Which segments each block holds.
pub(crate) fn blocks(segments: &[Segment]) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    let mut filled = SEGMENT;
    for (number, segment) in segments.iter().enumerate() {
        filled += segment.indices.len();
        match blocks.last_mut() {
            Some(last) if filled <= SEGMENT => last.end = number + 1,
            _ => {
                blocks.push(number..number + 1);
                filled = segment.indices.len();
            }
        }
    }
    blocks
}

/// The clients of a partition, in rising order.
pub(crate) fn clients<O, R>(history: &History<O, R>, part: &Part) -> Vec<u32> {
    let mut clients: Vec<u32> = part.indices.iter().map(|&index| history[index as usize].client).collect();
    clients.sort_unstable();
    clients.dedup();
    clients
}

/// Small numbers for things in the order in which they are met.
pub(crate) struct Numbers<K> {
    numbers: BTreeMap<K, u64>,
    pub(crate) met: Vec<K>,
}

impl<K: Ord + Clone> Numbers<K> {
    fn new() -> Self {
        Numbers { numbers: BTreeMap::new(), met: Vec::new() }
    }

    pub(crate) fn of(&mut self, thing: K) -> u64 {
        if let Some(&number) = self.numbers.get(&thing) {
            return number;
        }
        let number = self.met.len() as u64;
        self.numbers.insert(thing.clone(), number);
        self.met.push(thing);
        number
    }
}

/// Writes blocks one after the other.
pub(crate) struct Writer<'a, M: Model> {
    model: &'a M,
    history: &'a History<M::Op, M::Result>,
    pub(crate) strings: Strings<'a>,
    pub(crate) clients: Numbers<u32>,
    /// Names of operations, each with its effect and whether its values are texts.
    pub(crate) names: Numbers<(String, u64)>,
    lane: usize,
}

/// The columns of a segment, in the order in which they are written.
#[derive(Default)]
struct Columns {
    indices: Column,
    calls: Column,
    spans: Column,
    clients: Column,
    names: Column,
    steps: Column,
    texts: Column,
}

impl<'a, M: Model> Writer<'a, M> {
    pub(crate) fn new(model: &'a M, history: &'a History<M::Op, M::Result>) -> Self {
        Writer {
            model,
            history,
            strings: Strings::default(),
            clients: Numbers::new(),
            names: Numbers::new(),
            lane: usize::MAX,
        }
    }

    /// The columns of a block's segments; its texts are written when all blocks are known, since they may
    /// still grow.
    pub(crate) fn block(&mut self, segments: &[Segment], parts: &[Part], steps: &Steps) -> Column {
        self.strings.begin_block();
        let mut block = Column::default();
        let mut next = 0;
        for segment in segments {
            if segment.lane != self.lane {
                self.strings.begin_lane();
                self.lane = segment.lane;
            }
            let ordered = parts[segment.lane].order.is_some().then_some(steps);
            self.segment(segment, ordered, &mut next, &mut block);
        }
        block
    }

    fn segment(&mut self, segment: &Segment, steps: Option<&Steps>, next: &mut u64, block: &mut Column) {
        let mut columns = Columns::default();
        let (mut last, mut time, mut place) = (0, segment.from, 0);
        for &index in &segment.indices {
            let operation = &self.history[index as usize];
            columns.indices.number(u64::from(index - last));
            columns.calls.number(operation.call - time);
            (last, time) = (index, operation.call);
            columns.spans.option(operation.returned().map(|end| end - operation.call));
            columns.clients.number(self.clients.of(operation.client));
            self.values(index, next, &mut columns);
            if let Some(steps) = steps {
                steps.write(self.history, segment, index, &mut place, &mut columns.steps);
                if let Some(splice) = steps.splice(index) {
                    splice.write(&mut columns.steps);
                    let text = self.strings.name_here(splice.text());
                    text_reference(&mut columns.texts, Some(text), next);
                }
            }
        }
        let Columns { indices, calls, spans, clients, names, steps, texts } = columns;
        for column in [indices, calls, spans, clients, names, steps, texts] {
            block.append(&column);
        }
    }

    /// What an operation is called, and its texts.
    fn values(&mut self, index: u32, next: &mut u64, columns: &mut Columns) {
        let (model, history) = (self.model, self.history);
        let operation = &history[index as usize];
        let parts = model.parts(&operation.op, operation.result.as_ref());
        let kind = effect_number(model.effect(&operation.op, None)) * 2 + u64::from(parts.texts);
        columns.names.number(self.names.of((parts.name.into_owned(), kind)));
        let argument = parts.argument.map(|text| self.strings.name_here(&text));
        text_reference(&mut columns.texts, argument, next);
        let result = parts.result.map(|text| self.strings.name_in_lane(text));
        text_reference(&mut columns.texts, result, next);
    }
}

fn effect_number(effect: Effect) -> u64 {
    match effect {
        Effect::Read => 0,
        Effect::Overwrite => 1,
        Effect::Update => 2,
    }
}

/// 0 for no text, 1 for the next one that was not named before, otherwise how far back it is.
pub(crate) fn text_reference(column: &mut Column, name: Option<u32>, next: &mut u64) {
    match name.map(u64::from) {
        None => column.number(0),
        Some(name) if name == *next => {
            column.number(1);
            *next += 1;
        }
        Some(name) => column.number(1 + *next - name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn small_segments_share_a_block() {
        let segment = |count: usize| Segment { lane: 0, indices: vec![0; count], from: 0, to: 0 };
        let segments = [4_096, 100, 3_996, 1, 4_096, 4_000, 97].map(segment);
        assert_eq!(blocks(&segments), [0..1, 1..3, 3..4, 4..5, 5..6, 6..7]);
        assert_eq!(blocks(&[]), []);
    }
}
