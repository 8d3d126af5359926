//! The operations as blocks that a page can read one by one, so that it need not read all of them to show a
//! few.
//!
//! A *segment* is a run of operations of one partition, a *block* is one segment or several small ones. What
//! never returned is in segments of its own, which are read first: it may reach into any window.

use std::collections::BTreeMap;
use std::ops::Range;

use linearize::{Effect, History, Model, OPEN};
use serde::Serialize;

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

/// What an operation is called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Name {
    text: String,
    /// 0 reads, 1 overwrites, 2 updates.
    effect: u8,
    /// Whether its values are texts.
    texts: bool,
}

/// Writes blocks one after the other.
pub(crate) struct Writer<'a, M: Model> {
    pub(crate) model: &'a M,
    pub(crate) history: &'a History<M::Op, M::Result>,
    pub(crate) strings: Strings<'a>,
    pub(crate) clients: Numbers<u32>,
    pub(crate) names: Numbers<Name>,
    lane: usize,
}

/// The columns of a segment, with an entry for each operation unless something else is said.
#[derive(Default, Serialize)]
pub(crate) struct Columns {
    /// The index, as its distance from the last one.
    gaps: Vec<u32>,
    /// The call, as its distance from the last one.
    calls: Vec<u64>,
    /// How long it took, if it returned.
    spans: Vec<Option<u64>>,
    clients: Vec<u64>,
    names: Vec<u64>,
    /// The place in the order, as its distance from the last one, or 0 for none.
    pub(crate) places: Vec<i64>,
    /// The operation at whose call it takes effect, so many behind this one; if that is elsewhere, how long
    /// after its own call it does, as a negative number.
    pub(crate) moments: Vec<i64>,
    /// What it does to the state: see [`Steps`].
    pub(crate) edits: Vec<u8>,
    /// Of each splice, how much of the beginning and of the end stays.
    pub(crate) splices: Vec<u64>,
    /// The argument, the result, and the text of the splice, if it is one: see [`reference`].
    texts: Vec<u32>,
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
    pub(crate) fn block(&mut self, segments: &[Segment], parts: &[Part], steps: &Steps) -> Vec<Columns> {
        let mut next = self.strings.begin_block();
        let mut block = Vec::new();
        for segment in segments {
            if segment.lane != self.lane {
                self.strings.begin_lane();
                self.lane = segment.lane;
            }
            let ordered = parts[segment.lane].order.is_some().then_some(steps);
            block.push(self.segment(segment, ordered, &mut next));
        }
        block
    }

    fn segment(&mut self, segment: &Segment, steps: Option<&Steps>, next: &mut u32) -> Columns {
        let mut columns = Columns::default();
        let (mut last, mut time, mut place) = (0, segment.from, -1);
        for &index in &segment.indices {
            let operation = &self.history[index as usize];
            columns.gaps.push(index - last);
            columns.calls.push(operation.call - time);
            (last, time) = (index, operation.call);
            columns.spans.push(operation.returned().map(|end| end - operation.call));
            columns.clients.push(self.clients.of(operation.client));
            self.values(index, next, &mut columns);
            if let Some(steps) = steps {
                steps.write(self.history, segment, index, &mut place, &mut columns);
                if let Some(splice) = steps.splice(index) {
                    let text = self.strings.name_here(splice.text());
                    columns.texts.push(reference(Some(text), next));
                }
            }
        }
        columns
    }

    /// What an operation is called, and its texts.
    fn values(&mut self, index: u32, next: &mut u32, columns: &mut Columns) {
        let (model, history) = (self.model, self.history);
        let operation = &history[index as usize];
        let parts = model.parts(&operation.op, operation.result.as_ref());
        let effect = effect_number(model.effect(&operation.op, None));
        columns.names.push(self.names.of(Name { text: parts.name.into_owned(), effect, texts: parts.texts }));
        let argument = parts.argument.map(|text| self.strings.name_here(&text));
        columns.texts.push(reference(argument, next));
        let result = parts.result.map(|text| self.strings.name_in_lane(text));
        columns.texts.push(reference(result, next));
    }
}

fn effect_number(effect: Effect) -> u8 {
    match effect {
        Effect::Read => 0,
        Effect::Overwrite => 1,
        Effect::Update => 2,
    }
}

/// 0 for no text, 1 for the next one that was not named before, otherwise how far back it is.
fn reference(name: Option<u32>, next: &mut u32) -> u32 {
    match name {
        None => 0,
        Some(name) if name == *next => {
            *next += 1;
            1
        }
        Some(name) => 1 + *next - name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_referred_to_from_the_newest() {
        let mut next = 0;
        let references = [Some(0), None, Some(1), Some(0), Some(1)].map(|name| reference(name, &mut next));
        assert_eq!((references, next), ([1, 0, 1, 3, 2], 2));
    }

    #[test]
    fn small_segments_share_a_block() {
        let segment = |count: usize| Segment { lane: 0, indices: vec![0; count], from: 0, to: 0 };
        let segments = [4_096, 100, 3_996, 1, 4_096, 4_000, 97].map(segment);
        assert_eq!(blocks(&segments), [0..1, 1..3, 3..4, 4..5, 5..6, 6..7]);
        assert_eq!(blocks(&[]), []);
    }
}
