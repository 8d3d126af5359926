//! The data of a picture as JSON, in blocks.
//!
//! `page/data.js` reads it. The first block, the *head*, holds all but the operations and their texts, and a
//! table of contents of the others. Each of these is two lines: its texts, and its operations as columns of
//! numbers, most of which are differences, since small numbers compress well. The last block has no
//! operations; its texts are those of the head that may be as long as a state.

use std::borrow::Cow;

use linearize::{Explanation, Fault, History, Limit, Model, OPEN, Unit, Verdict};
use serde::Serialize;

use crate::blocks::{self, Name, SEGMENT, Segment, Writer};
use crate::findings::{Alternative, Part, Status};
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
    let mut bodies: Vec<Vec<u8>> =
        ranges.iter().map(|range| json(&writer.block(&segments[range.clone()], parts, &steps))).collect();
    bodies.push(b"[]".to_vec());
    let opening = Opening::new(history, verdict, parts);
    let shown = opening.shows(&segments, parts);
    let in_view = ranges.iter().map(|range| shown[range.clone()].contains(&true));
    let first = [true].into_iter().chain(in_view).chain([true]).collect();
    writer.strings.begin_block();
    let times = Times::new(history, faults);
    let keys: Vec<Key<'_>> = parts.iter().map(|part| key(&mut writer, part, parts.len(), &times)).collect();
    let head = Head {
        events: history.unit() == Unit::Events,
        operations: history.len(),
        first: times.since(times.from),
        last: times.since(times.to),
        verdict: number(verdict, history.is_observed()),
        worst: opening.lane,
        usual: opening.usual,
        some: times.since(opening.some),
        texts: writer.strings.len(),
        buffers: writer.strings.shared(),
        clients: &writer.clients.met,
        names: &writer.names.met,
        blocks: ranges
            .iter()
            .map(|range| contents(&segments[range.clone()], &times))
            .chain([vec![]])
            .collect(),
        faults: spans(faults, &times),
        keys,
    };
    let mut all = vec![json(&head)];
    for (block, body) in bodies.iter().enumerate() {
        all.push([&json(&writer.strings.block(block))[..], b"\n", body].concat());
    }
    Encoded { blocks: all, first }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Neither a Vec nor what is written here has anything to refuse.
    serde_json::to_vec(value).expect("numbers and texts are JSON")
}

/// The beginning and the end of everything, faults included, and the moment from which the page counts.
struct Times {
    origin: u64,
    from: u64,
    to: u64,
}

impl Times {
    fn new<O, R>(history: &History<O, R>, faults: &[Fault]) -> Self {
        let operations = history.operations().iter();
        let ends = operations.map(|operation| operation.returned().unwrap_or(operation.call));
        let fault_ends = faults.iter().map(|fault| if fault.to == OPEN { fault.from } else { fault.to });
        let first = history.operations().first().map(|operation| operation.call);
        Times {
            origin: crate::origin(history, faults),
            from: faults.iter().map(|fault| fault.from).chain(first).min().unwrap_or(0),
            to: ends.chain(fault_ends).max().unwrap_or(0),
        }
    }

    fn since(&self, time: u64) -> u64 {
        time.saturating_sub(self.origin)
    }

    /// The end of something, if it has one.
    fn end(&self, time: u64) -> Option<u64> {
        (time != OPEN).then(|| self.since(time))
    }
}

/// What is read before any operation. Clients, names of operations and texts are numbered.
#[derive(Serialize)]
struct Head<'a> {
    /// Whether times count events.
    events: bool,
    /// How many there are.
    operations: usize,
    first: u64,
    last: u64,
    verdict: u8,
    /// The key that the verdict names.
    worst: Option<usize>,
    usual: u64,
    some: u64,
    /// How many texts all blocks have together.
    texts: usize,
    /// What texts of several blocks begin.
    buffers: Vec<&'a str>,
    clients: &'a [u32],
    names: &'a [Name],
    keys: Vec<Key<'a>>,
    /// The segments of each block.
    blocks: Vec<Vec<Contents>>,
    faults: Vec<Span<'a>>,
}

#[derive(Serialize)]
struct Key<'a> {
    name: &'a str,
    size: usize,
    clients: Vec<u64>,
    status: u8,
    found: Option<Found<'a>>,
    /// How long the order is.
    steps: Option<usize>,
    initial: String,
    /// The operation whose return cannot be explained.
    stuck: Option<u32>,
    alternatives: Vec<Tried>,
    bins: Vec<u32>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Found<'a> {
    Error { kind: &'a str, sentence: &'a str, minimal: bool, witness: &'a [usize], context: &'a [usize] },
    Undecided { reached: usize, states: u64, limit: &'a str },
}

/// An alternative; its texts are those of the last block.
#[derive(Serialize)]
struct Tried {
    op: u32,
    legal: bool,
    state: Option<u32>,
    expected: Option<u32>,
    observed: Option<u32>,
}

/// A segment, before its operations are read.
#[derive(Serialize)]
struct Contents {
    key: usize,
    from: u64,
    to: Option<u64>,
}

#[derive(Serialize)]
struct Span<'a> {
    from: u64,
    to: Option<u64>,
    group: &'a str,
    label: &'a str,
    targets: &'a [String],
}

/// A verdict as a number: 1 good, 2 bad, 3 unknown.
fn number(verdict: &Verdict, observed: bool) -> u8 {
    match verdict {
        Verdict::Linearizable(_) if observed => 1,
        Verdict::NotLinearizable(_) => 2,
        Verdict::Linearizable(_) | Verdict::Unknown(_) => 3,
    }
}

fn key<'a, M: Model>(writer: &mut Writer<'_, M>, part: &'a Part, parts: usize, times: &Times) -> Key<'a> {
    let (model, history) = (writer.model, writer.history);
    let (status, found) = status(part);
    writer.strings.begin_lane();
    let stuck = part.stuck.as_ref();
    let alternatives = stuck.map_or(&[][..], |stuck| &stuck.alternatives);
    Key {
        name: &part.name,
        size: part.indices.len(),
        clients: blocks::clients(history, part).into_iter().map(|client| writer.clients.of(client)).collect(),
        status,
        found,
        steps: part.order.as_ref().map(Vec::len),
        initial: part.order.as_ref().map_or_else(String::new, |_| model.state_text(&model.initial()).into()),
        stuck: stuck.map(|stuck| stuck.operation),
        alternatives: alternatives.iter().map(|tried| alternative(tried, &mut writer.strings)).collect(),
        // Of a partition of which not all is read at first: one of a few, or a large one.
        bins: if parts > FEW && part.indices.len() <= SEGMENT { vec![] } else { bins(history, part, times) },
    }
}

fn status(part: &Part) -> (u8, Option<Found<'_>>) {
    match &part.status {
        Status::Linearizable => (1, None),
        Status::NotLinearizable(explanation) => {
            let Explanation { kind, sentence, minimal, operations: witness, context, .. } = &**explanation;
            let (kind, minimal) = (kind.name(), *minimal);
            (2, Some(Found::Error { kind, sentence, minimal, witness, context }))
        }
        Status::Unknown(undecided) => {
            let found = undecided.as_ref().map(|undecided| Found::Undecided {
                reached: undecided.reached,
                states: undecided.states,
                limit: if undecided.limit == Limit::Memory { "memory" } else { "states" },
            });
            (3, found)
        }
    }
}

fn alternative(tried: &Alternative, strings: &mut Strings<'_>) -> Tried {
    // Often a continuation of another, so it costs nothing in the lane.
    let mut name = |text: &Option<String>| text.clone().map(|text| strings.name_in_lane(Cow::Owned(text)));
    Tried {
        op: tried.operation,
        legal: tried.legal,
        state: name(&tried.state),
        expected: name(&tried.expected),
        observed: name(&tried.observed),
    }
}

/// How many calls of a partition fall into each part of the time.
fn bins<O, R>(history: &History<O, R>, part: &Part, times: &Times) -> Vec<u32> {
    let all = u128::from((times.to - times.from).max(1));
    let mut bins = vec![0; BINS];
    for &index in &part.indices {
        let at = u128::from(history[index as usize].call - times.from) * BINS as u128 / all;
        bins[(at as usize).min(BINS - 1)] += 1;
    }
    bins
}

fn contents(segments: &[Segment], times: &Times) -> Vec<Contents> {
    let contents = |segment: &Segment| Contents {
        key: segment.lane,
        from: times.since(segment.from),
        to: times.end(segment.to),
    };
    segments.iter().map(contents).collect()
}

fn spans<'a>(faults: &'a [Fault], times: &Times) -> Vec<Span<'a>> {
    let mut sorted: Vec<&Fault> = faults.iter().collect();
    sorted.sort_by_key(|fault| fault.from);
    let span = |fault: &'a Fault| Span {
        from: times.since(fault.from),
        to: times.end(fault.to.max(fault.from)),
        group: &fault.group,
        label: &fault.label,
        targets: &fault.targets,
    };
    sorted.into_iter().map(span).collect()
}
