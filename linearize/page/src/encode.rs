//! The data of a picture as columns of short numbers, in blocks.
//!
//! `page/data.js` reads them back in the same order. An operation takes about eleven bytes: its call as the
//! distance from the last one, how long it took, client and name, which texts it wrote and read, most often
//! "the next new one", and its place in the order. The first block, the *head*, holds all else, and a table
//! of contents of the others.

use std::borrow::Cow;
use std::ops::Range;

use linearize::{Fault, History, Limit, Model, OPEN, Unit, Verdict};

use crate::blocks::{self, SEGMENT, Segment, Writer};
use crate::bytes::Column;
use crate::findings::{Part, Status, Stuck};
use crate::opening::{FEW, Opening};
use crate::steps::Steps;
use crate::strings::Strings;

/// The overview counts the calls in so many equal parts of the time.
const BINS: usize = 512;

/// The data of a picture.
pub(crate) struct Encoded {
    /// The head, then the blocks of operations.
    pub(crate) blocks: Vec<Vec<u8>>,
    /// Which of them are needed to draw the first screen.
    pub(crate) first: Vec<bool>,
}

/// All data of a picture.
pub(crate) fn encode<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    verdict: &Verdict,
    parts: &[Part],
    faults: &[Fault],
) -> Encoded {
    let segments = blocks::segments(history, parts);
    let ranges = blocks::blocks(&segments);
    let steps = Steps::new(model, history, parts);
    let mut writer = Writer::new(model, history);
    let bodies: Vec<Column> =
        ranges.iter().map(|range| writer.block(&segments[range.clone()], parts, &steps)).collect();
    let opening = Opening::new(history, verdict, parts);
    let first = first(&ranges, &opening.shows(&segments, parts), &writer.strings);
    let mut head = Head::new(history, faults);
    head.operations(&mut writer);
    head.verdict(verdict, &opening);
    head.rest.number(parts.len() as u64);
    for part in parts {
        head.partition(model, part, &mut writer);
        head.bins(part, parts.len());
    }
    head.contents(&ranges, &segments, &writer.strings);
    fault_spans(faults, head.origin, &mut head.rest, &mut head.strings);
    let mut blocks = vec![head.finish()];
    for (block, body) in bodies.iter().enumerate() {
        let mut column = writer.strings.encode(block);
        column.append(body);
        blocks.push(column.bytes);
    }
    Encoded { blocks, first }
}

/// The head, the blocks that hold a segment that is shown, and those that hold the beginning of one of their
/// texts.
fn first(ranges: &[Range<usize>], shown: &[bool], strings: &Strings<'_>) -> Vec<bool> {
    let mut first = vec![true];
    first.extend(ranges.iter().map(|range| shown[range.clone()].contains(&true)));
    for block in 0..ranges.len() {
        if first[block + 1] {
            for needed in strings.contents(block).2 {
                first[needed + 1] = true;
            }
        }
    }
    first
}

/// What is read before any operation.
struct Head<'a, O, R> {
    history: &'a History<O, R>,
    origin: u64,
    /// The beginning and the end of everything, faults included.
    from: u64,
    to: u64,
    strings: Strings<'a>,
    /// How many buffers and texts the other blocks have.
    texts: (u64, u64),
    rest: Column,
}

impl<'a, O, R> Head<'a, O, R> {
    fn new(history: &'a History<O, R>, faults: &[Fault]) -> Self {
        let ends =
            history.operations().iter().map(|operation| operation.returned().unwrap_or(operation.call));
        let fault_ends = faults.iter().map(|fault| if fault.to == OPEN { fault.from } else { fault.to });
        let first = history.operations().first().map(|operation| operation.call);
        let mut strings = Strings::default();
        strings.begin_block();
        Head {
            history,
            origin: crate::origin(history, faults),
            from: faults.iter().map(|fault| fault.from).chain(first).min().unwrap_or(0),
            to: ends.chain(fault_ends).max().unwrap_or(0),
            strings,
            texts: (0, 0),
            rest: Column::default(),
        }
    }

    fn text(&mut self, text: &str) {
        let name = self.strings.name_here(text);
        self.rest.number(u64::from(name));
    }

    fn operations<M: Model<Op = O, Result = R>>(&mut self, writer: &mut Writer<'_, M>) {
        self.rest.list(writer.clients.met.iter().map(|&client| u64::from(client)));
        self.rest.number(writer.names.met.len() as u64);
        for (name, kind) in &writer.names.met {
            self.text(name);
            self.rest.number(*kind);
        }
        self.rest.number(self.history.len() as u64);
        self.rest.number(self.from.saturating_sub(self.origin));
        self.rest.number(self.to.saturating_sub(self.origin));
    }

    fn verdict(&mut self, verdict: &Verdict, opening: &Opening) {
        self.rest.number(match verdict {
            Verdict::Linearizable(_) if !self.history.is_observed() => 3,
            Verdict::Linearizable(_) => 1,
            Verdict::NotLinearizable(_) => 2,
            Verdict::Unknown(_) => 3,
        });
        self.rest.option(opening.lane.map(|lane| lane as u64));
        self.rest.number(opening.usual);
        self.rest.number(opening.some.saturating_sub(self.origin));
    }

    fn partition<M: Model<Op = O, Result = R>>(
        &mut self,
        model: &M,
        part: &Part,
        writer: &mut Writer<'_, M>,
    ) {
        self.text(&part.name);
        self.rest.number(part.indices.len() as u64);
        let clients = blocks::clients(self.history, part);
        self.rest.list(clients.into_iter().map(|client| writer.clients.of(client)));
        status(part, &mut self.rest, &mut self.strings);
        match &part.order {
            None => self.rest.number(0),
            Some(order) => {
                self.rest.number(1 + order.len() as u64);
                self.text(&model.state_text(&model.initial()));
            }
        }
        self.strings.begin_lane();
        stuck(part.stuck.as_ref(), &mut self.rest, &mut self.strings);
    }

    /// How many calls fall into each part of the time, for a partition of which not all is read at first: one
    /// of a few, or a large one.
    fn bins(&mut self, part: &Part, parts: usize) {
        if parts > FEW && part.indices.len() <= SEGMENT {
            return self.rest.number(0);
        }
        let all = u128::from((self.to - self.from).max(1));
        let mut bins = [0; BINS];
        for &index in &part.indices {
            let at = u128::from(self.history[index as usize].call - self.from) * BINS as u128 / all;
            bins[(at as usize).min(BINS - 1)] += 1;
        }
        self.rest.number(BINS as u64);
        bins.iter().for_each(|&count| self.rest.number(count));
    }

    /// For each block its texts and where else they are; for each of its segments, whose it is and when.
    fn contents(&mut self, ranges: &[Range<usize>], segments: &[Segment], strings: &Strings<'_>) {
        self.rest.number(ranges.len() as u64);
        for (block, range) in ranges.iter().enumerate() {
            let (buffers, texts, needed) = strings.contents(block);
            self.texts = (self.texts.0 + buffers, self.texts.1 + texts);
            self.rest.number(buffers);
            self.rest.number(texts);
            self.rest.list(needed.into_iter().map(|block| block as u64));
            self.rest.number(range.len() as u64);
            for segment in &segments[range.clone()] {
                self.rest.number(segment.lane as u64);
                self.rest.number(segment.indices.len() as u64);
                self.rest.number(segment.from - self.origin);
                self.rest.option((segment.to != OPEN).then(|| segment.to - segment.from));
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        let (buffers, texts, _) = self.strings.contents(0);
        let mut all = Column::default();
        all.number(u64::from(self.history.unit() == Unit::Events));
        for number in [buffers, texts, self.texts.0, self.texts.1] {
            all.number(number);
        }
        all.append(&self.strings.encode(0));
        all.append(&self.rest);
        all.bytes
    }
}

fn status(part: &Part, out: &mut Column, strings: &mut Strings<'_>) {
    match &part.status {
        Status::Linearizable => out.number(1),
        Status::NotLinearizable(explanation) => {
            out.number(2);
            out.number(u64::from(strings.name_here(explanation.kind.name())));
            out.number(u64::from(strings.name_here(&explanation.sentence)));
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

fn stuck(stuck: Option<&Stuck>, out: &mut Column, strings: &mut Strings<'_>) {
    let Some(stuck) = stuck else { return out.number(0) };
    out.number(1);
    out.number(u64::from(stuck.operation));
    out.number(stuck.alternatives.len() as u64);
    for alternative in &stuck.alternatives {
        out.number(u64::from(alternative.operation));
        out.number(u64::from(alternative.legal));
        for text in [&alternative.state, &alternative.expected, &alternative.observed] {
            // Often a continuation of what was read, so it costs nothing in the lane.
            let text = text.as_ref().map(|text| strings.name_in_lane(Cow::Owned(text.clone())));
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
        out.number(u64::from(strings.name_here(&fault.group)));
        out.number(u64::from(strings.name_here(&fault.label)));
        out.number(fault.targets.len() as u64);
        for target in &fault.targets {
            out.number(u64::from(strings.name_here(target)));
        }
    }
}
