//! What one client alone would see of a chain's objects: the model of the histories.

use std::collections::BTreeMap;

use craq::rpc::ObjectId;
use craq::{Op, Outcome, Refusal, Version};
use linearize::{Effect, Model};

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Read(ObjectId),
    Update(ObjectId, Op),
}

/// What it was told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    Value(Version, Vec<u8>),
    Outcome(Outcome),
    Refused(Refusal),
}

/// The objects of a chain: checked each by itself, or all together.
pub(crate) struct Store {
    pub(crate) is_joint: bool,
}

type Objects = BTreeMap<ObjectId, (Version, Vec<u8>)>;

fn object(call: &Call) -> ObjectId {
    match call {
        Call::Read(object) | Call::Update(object, _) => *object,
    }
}

/// The value and the number behind an update; a refusal changes nothing.
fn carry_out(op: &Op, version: Version, value: &[u8]) -> Result<(Vec<u8>, i64), Refusal> {
    match op {
        Op::Put(new) => Ok((new.clone(), 0)),
        Op::Append(more) => Ok(([value, more].concat(), 0)),
        Op::Increment(by) => {
            let text = if value.is_empty() { b"0" } else { value };
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
            let number = number.and_then(|number| number.checked_add(*by)).ok_or(Refusal::NotANumber)?;
            Ok((number.to_string().into_bytes(), number))
        }
        Op::TestAndSet { version: expected, value: new } if *expected == version => Ok((new.clone(), 0)),
        Op::TestAndSet { .. } => Err(Refusal::BadVersion(version)),
    }
}

impl Model for Store {
    type Op = Call;
    type Result = Told;
    type State = Objects;

    fn initial(&self) -> Objects {
        Objects::new()
    }

    fn step(&self, state: &Objects, call: &Call, told: Option<&Told>) -> Option<Objects> {
        // A busy object is refused whatever it holds.
        if told == Some(&Told::Refused(Refusal::Busy)) {
            return Some(state.clone());
        }
        let (version, value) = state.get(&object(call)).cloned().unwrap_or_default();
        let Call::Update(id, op) = call else {
            let is_right = told.is_none_or(|told| *told == Told::Value(version, value));
            return is_right.then(|| state.clone());
        };
        match carry_out(op, version, &value) {
            Ok((value, number)) => {
                let outcome = Outcome { version: version + 1, number };
                let is_right = told.is_none_or(|told| *told == Told::Outcome(outcome));
                is_right.then(|| {
                    let mut next = state.clone();
                    next.insert(*id, (version + 1, value));
                    next
                })
            }
            Err(refusal) => {
                let is_right = told.is_none_or(|told| *told == Told::Refused(refusal));
                is_right.then(|| state.clone())
            }
        }
    }

    fn partition(&self, call: &Call) -> u64 {
        if self.is_joint { 0 } else { object(call) }
    }

    fn effect(&self, call: &Call, told: Option<&Told>) -> Effect {
        let is_read = matches!(call, Call::Read(_)) || matches!(told, Some(Told::Refused(_)));
        if is_read { Effect::Read } else { Effect::Update }
    }
}
