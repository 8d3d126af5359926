//! What the page needs to know of the orders: the place of each operation, its moment, and what it does to
//! the state.

use linearize::{Edit, History, Model, OPEN};
use rustc_hash::FxHashMap;

use crate::blocks::{Columns, Segment};
use crate::findings::Part;

/// States longer than this in all steps together are not worth their place; the stepper then stops showing
/// states.
const STATE_BYTES: usize = 16 << 20;

/// No place: the operation is in no order.
const NONE: u32 = u32::MAX;

/// The orders of all partitions, by operation.
#[derive(Debug)]
pub(crate) struct Steps {
    places: Vec<u32>,
    /// The operation at whose call each takes effect. An operation takes effect, say, at the latest call up
    /// to its place: then nothing has to wait, and no operation has returned yet.
    moments: Vec<u32>,
    /// 0: nothing; 1: the argument replaces the state; 2: the argument is added; 3: a splice; 4: not
    /// recorded.
    edits: Vec<u8>,
    splices: FxHashMap<u32, Splice>,
}

/// What changes in the text of a state: how much of the beginning and of the end stays, in UTF-16 units,
/// which is what scripts count in, and what stands between.
#[derive(Debug, PartialEq)]
pub(crate) struct Splice {
    head: u64,
    tail: u64,
    text: String,
}

impl Steps {
    pub(crate) fn new<M: Model>(model: &M, history: &History<M::Op, M::Result>, parts: &[Part]) -> Self {
        let count = history.len();
        let mut steps = Steps {
            places: vec![NONE; count],
            moments: vec![NONE; count],
            edits: vec![0; count],
            splices: FxHashMap::default(),
        };
        for part in parts {
            steps.follow(model, history, part);
        }
        steps
    }

    fn follow<M: Model>(&mut self, model: &M, history: &History<M::Op, M::Result>, part: &Part) {
        let Some(order) = &part.order else { return };
        let initial = model.initial();
        let text = model.state_text(&initial).into_owned();
        let mut states = States { state: initial, text, written: 0 };
        let end = part.stuck.as_ref().map_or(OPEN, |stuck| history[stuck.operation as usize].end);
        let mut latest = NONE;
        for (place, &index) in order.iter().enumerate() {
            let operation = &history[index as usize];
            if latest == NONE || history[latest as usize].call <= operation.call {
                latest = index;
            }
            self.places[index as usize] = place as u32;
            self.moments[index as usize] = latest;
            // What returned later took part whatever it returned.
            let result = operation.result.as_ref().filter(|_| operation.end < end);
            self.edits[index as usize] = match model.edit(&operation.op, result) {
                Edit::Keep => 0,
                Edit::Replace => 1,
                Edit::Append => 2,
                Edit::Other => match states.step(model, &operation.op, result) {
                    Step::Same => 0,
                    Step::Unknown => 4,
                    Step::Splice(splice) => {
                        self.splices.insert(index, splice);
                        3
                    }
                },
            };
        }
    }

    /// The place of an operation, the moment, and the edit.
    pub(crate) fn write<O, R>(
        &self,
        history: &History<O, R>,
        segment: &Segment,
        index: u32,
        last: &mut i64,
        columns: &mut Columns,
    ) {
        let place = self.places[index as usize];
        let moment = self.moments[index as usize];
        columns.edits.push(self.edits[index as usize]);
        if place == NONE {
            columns.places.push(0);
            return columns.moments.push(0);
        }
        columns.places.push(i64::from(place) - *last);
        *last = i64::from(place);
        let at = |index: u32| segment.indices.binary_search(&index);
        let ahead = if moment == index {
            Some(0)
        } else {
            at(moment).ok().zip(at(index).ok()).map(|(to, from)| to - from)
        };
        columns.moments.push(match ahead {
            Some(ahead) => ahead as i64,
            None => -((history[moment as usize].call - history[index as usize].call) as i64),
        });
        if let Some(splice) = self.splice(index) {
            columns.splices.extend([splice.head, splice.tail]);
        }
    }

    pub(crate) fn splice(&self, index: u32) -> Option<&Splice> {
        self.splices.get(&index)
    }
}

impl Splice {
    fn between(old: &str, new: &str) -> Self {
        let same = old.chars().zip(new.chars()).take_while(|(one, other)| one == other);
        let head: usize = same.map(|(character, _)| character.len_utf8()).sum();
        let (old_rest, new_rest) = (&old[head..], &new[head..]);
        let same = old_rest.chars().rev().zip(new_rest.chars().rev()).take_while(|(one, other)| one == other);
        let tail: usize = same.map(|(character, _)| character.len_utf8()).sum();
        let units = |text: &str| text.encode_utf16().count() as u64;
        Splice {
            head: units(&old[..head]),
            tail: units(&old_rest[old_rest.len() - tail..]),
            text: new_rest[..new_rest.len() - tail].to_owned(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// The states on the way, for models that cannot say what an operation does to the text.
struct States<S> {
    state: S,
    text: String,
    written: usize,
}

enum Step {
    Same,
    Unknown,
    Splice(Splice),
}

impl<S> States<S> {
    fn step<M: Model<State = S>>(&mut self, model: &M, op: &M::Op, result: Option<&M::Result>) -> Step {
        let next = if self.written > STATE_BYTES { None } else { model.step(&self.state, op, result) };
        let Some(next) = next else { return Step::Unknown };
        let text = model.state_text(&next).into_owned();
        self.written += text.len();
        let step =
            if text == self.text { Step::Same } else { Step::Splice(Splice::between(&self.text, &text)) };
        self.state = next;
        self.text = text;
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_splice_keeps_what_is_equal_at_both_ends() {
        let splice = Splice::between("[1, 2👍, 3]", "[1, 5👍, 3]");
        assert_eq!(splice, Splice { head: 4, tail: 6, text: "5".to_owned() });
    }
}
