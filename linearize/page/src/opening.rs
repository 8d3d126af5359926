//! What is on the first screen, as far as it must be read before anything is drawn.
//!
//! The scripts decide what they show; if this guesses something else, they wait for the rest of the page and
//! are slower.

use linearize::{History, OPEN, Verdict};

use crate::blocks::Segment;
use crate::findings::Part;

/// Of more partitions than these the page shows one at first.
pub(crate) const FEW: usize = 20;

/// The first of so many operations are shown where there is no error.
const SOME: usize = 200;

/// Where the page opens.
#[derive(Debug)]
pub(crate) struct Opening {
    /// The partition that the verdict names.
    pub(crate) lane: Option<usize>,
    /// How long an operation usually takes: the median of a sample.
    pub(crate) usual: u64,
    /// The call at which the first screen ends where there is no error.
    pub(crate) some: u64,
    from: u64,
    to: u64,
    /// Operations that the panel names.
    named: Vec<u32>,
}

impl Opening {
    pub(crate) fn new<O, R>(history: &History<O, R>, verdict: &Verdict, parts: &[Part]) -> Self {
        let usual = usual(history);
        let focus: &[usize] = match verdict {
            Verdict::Linearizable(_) => &[],
            Verdict::NotLinearizable(explanation) => &explanation.operations,
            Verdict::Unknown(undecided) => &[undecided.reached],
        };
        let some = history.operations().get(SOME).or(history.operations().last());
        let some = some.map_or(0, |operation| operation.call);
        let Some(&first) = focus.first().filter(|&&first| first < history.len()) else {
            let to = if history.len() > SOME { some } else { OPEN };
            return Opening { lane: None, usual, some, from: 0, to, named: Vec::new() };
        };
        let lane = parts.iter().position(|part| part.indices.binary_search(&(first as u32)).is_ok());
        let from = focus.iter().map(|&index| history[index].call).min().unwrap_or(0);
        let end = |index: usize| history[index].returned().unwrap_or(history[index].call);
        let to = focus.iter().map(|&index| end(index)).max().unwrap_or(OPEN);
        let margin = (to - from) / 2 + 2 * usual;
        let stuck = lane.and_then(|lane| parts[lane].stuck.as_ref());
        let named = stuck.iter().flat_map(|stuck| stuck.alternatives.iter().map(|other| other.operation));
        let named = stuck.iter().map(|stuck| stuck.operation).chain(named).collect();
        let (from, to) = (from.saturating_sub(margin), to.saturating_add(margin));
        Opening { lane, usual, some, from, to, named }
    }

    /// Which segments are in view.
    pub(crate) fn shows(&self, segments: &[Segment], parts: &[Part]) -> Vec<bool> {
        let lanes = |lane: usize| self.lane.map_or(lane == 0 || parts.len() <= FEW, |wanted| wanted == lane);
        let in_view = |segment: &Segment| {
            let named = || self.named.iter().any(|index| segment.indices.binary_search(index).is_ok());
            lanes(segment.lane) && (segment.from <= self.to && segment.to >= self.from || named())
        };
        segments.iter().map(in_view).collect()
    }
}

fn usual<O, R>(history: &History<O, R>) -> u64 {
    let step = (history.len() >> 8).max(1);
    let sample = history.operations().iter().step_by(step);
    let mut spans: Vec<u64> =
        sample.filter_map(|operation| operation.returned().map(|end| end - operation.call)).collect();
    spans.sort_unstable();
    spans.get(spans.len() / 2).copied().filter(|&span| span > 0).unwrap_or(1_000)
}
