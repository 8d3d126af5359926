//! Any of the models, over the values of files: which one a file records is known only when it has been read.
//!
//! One type for all of them, so that search, explanation and pictures are compiled once.

use std::borrow::Cow;

use super::collections::{Queue, QueueOp, Set, SetOp, WholeSet, WholeSetOp};
use super::counter::{Counter, CounterOp};
use super::lock::{Lock, LockOp};
use super::log::{Log, LogOp};
use super::register::{Register, RegisterOp};
use super::scalar::Scalar;
use super::stack::{Stack, StackOp};
use super::versioned::{Versioned, VersionedOp};
use crate::history::{History, Operation};
use crate::limits::{Limits, Progress};
use crate::model::{Decision, Effect, Model};
use crate::shown::{Edit, Parts};
use crate::verdict::Explanation;

/// Objects of one kind, each under a key of its own.
#[derive(Clone, Debug)]
pub struct Keyed {
    object: Object,
    keys: Vec<String>,
}

impl Keyed {
    /// What kind of object it is, and the names of the keys. A file of one object has one key without a name.
    pub fn new(object: Object, keys: Vec<String>) -> Self {
        Keyed { object, keys }
    }

    /// What kind of object it is.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The names of the keys; operations number them.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }
}

/// An operation on the object of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyedOp {
    /// Which key.
    pub key: u32,
    /// What the client asks for.
    pub call: Call,
}

/// Writes the same arms for each model.
macro_rules! objects {
    ($($name:ident: $model:ty, $op:ty;)*) => {
        /// What kind of object a file records.
        #[derive(Clone, Debug)]
        pub enum Object { $(#[doc = concat!("A `", stringify!($model), "`.")] $name($model),)* }

        /// What a client asks of it.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Call { $(#[doc = concat!("Of a `", stringify!($model), "`.")] $name($op),)* }

        /// What it answers.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Answer { $(#[doc = concat!("Of a `", stringify!($model), "`.")] $name(<$model as Model>::Result),)* }

        /// What it holds.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum State { $(#[doc = concat!("Of a `", stringify!($model), "`.")] $name(<$model as Model>::State),)* }

        impl Object {
            fn initial(&self) -> State {
                match self { $(Object::$name(model) => State::$name(model.initial()),)* }
            }

            fn step(&self, state: &State, call: &Call, answer: Option<&Answer>) -> Option<State> {
                match (self, state, call) {
                    $((Object::$name(model), State::$name(state), Call::$name(call)) => {
                        let answer = match answer {
                            None => None,
                            Some(Answer::$name(answer)) => Some(answer),
                            Some(_) => return None,
                        };
                        model.step(state, call, answer).map(State::$name)
                    })*
                    _ => None,
                }
            }

            fn state_bytes(&self, state: &State) -> usize {
                match (self, state) {
                    $((Object::$name(model), State::$name(state)) => model.state_bytes(state),)*
                    _ => 0,
                }
            }

            fn partition(&self, call: &Call) -> u64 {
                match (self, call) {
                    $((Object::$name(model), Call::$name(call)) => model.partition(call),)*
                    _ => 0,
                }
            }

            fn partition_name(&self, call: &Call) -> String {
                match (self, call) {
                    $((Object::$name(model), Call::$name(call)) => model.partition_name(call),)*
                    _ => String::new(),
                }
            }

            fn effect(&self, call: &Call, answer: Option<&Answer>) -> Effect {
                match (self, call, answer) {
                    $((Object::$name(model), Call::$name(call), None) => model.effect(call, None),)*
                    $((Object::$name(model), Call::$name(call), Some(Answer::$name(answer))) => {
                        model.effect(call, Some(answer))
                    })*
                    _ => Effect::Update,
                }
            }

            fn describe_op(&self, call: &Call) -> String {
                match (self, call) {
                    $((Object::$name(model), Call::$name(call)) => model.describe_op(call),)*
                    _ => String::new(),
                }
            }

            fn describe_result(&self, call: &Call, answer: &Answer) -> String {
                match (self, call, answer) {
                    $((Object::$name(model), Call::$name(call), Answer::$name(answer)) => {
                        model.describe_result(call, answer)
                    })*
                    _ => String::new(),
                }
            }

            fn describe_state(&self, state: &State) -> String {
                match (self, state) {
                    $((Object::$name(model), State::$name(state)) => model.describe_state(state),)*
                    _ => String::new(),
                }
            }

            fn edit(&self, call: &Call, answer: Option<&Answer>) -> Edit {
                match (self, call, answer) {
                    $((Object::$name(model), Call::$name(call), None) => model.edit(call, None),)*
                    $((Object::$name(model), Call::$name(call), Some(Answer::$name(answer))) => {
                        model.edit(call, Some(answer))
                    })*
                    _ => Edit::Other,
                }
            }

            fn expected<'a>(&'a self, state: &'a State, call: &'a Call) -> Option<Cow<'a, str>> {
                match (self, state, call) {
                    $((Object::$name(model), State::$name(state), Call::$name(call)) => {
                        model.expected(state, call)
                    })*
                    _ => None,
                }
            }

            fn decide(
                &self,
                history: &History<KeyedOp, Answer>,
                indices: &[u32],
                limits: &Limits,
                progress: &Progress,
            ) -> Option<Decision> {
                match self {
                    $(Object::$name(model) if model.decides() => {
                        let part = part_of::<$model>(history, indices)?;
                        let all: Vec<u32> = (0..indices.len() as u32).collect();
                        let decision = model.decide(&part, &all, limits, progress)?;
                        Some(decision.renumbered(|index| indices[index as usize]))
                    })*
                    _ => None,
                }
            }

            /// Words of the model's own.
            fn reword(
                &self,
                history: &History<KeyedOp, Answer>,
                indices: &[u32],
                explanation: &mut Explanation,
            ) {
                match self {
                    $(Object::$name(model) => {
                        if let Some(part) = part_of::<$model>(history, indices) {
                            model.reword(&part, explanation);
                        }
                    })*
                }
            }
        }

        $(impl Part for $model {
            fn of(call: &Call) -> Option<&Self::Op> {
                if let Call::$name(op) = call { Some(op) } else { None }
            }

            fn answered(answer: &Answer) -> Option<&Self::Result> {
                if let Answer::$name(result) = answer { Some(result) } else { None }
            }
        })*
    };
}

/// A model that files may record.
trait Part: Model {
    fn of(call: &Call) -> Option<&Self::Op>;
    fn answered(answer: &Answer) -> Option<&Self::Result>;
}

/// The operations `indices` as those of one model.
fn part_of<M: Part>(
    history: &History<KeyedOp, Answer>,
    indices: &[u32],
) -> Option<History<M::Op, M::Result>> {
    history.part(indices, |operation| {
        let Operation { client, call, end, .. } = *operation;
        let result = match &operation.result {
            Some(answer) => Some(M::answered(answer)?.clone()),
            None => None,
        };
        Some(Operation { client, op: M::of(&operation.op.call)?.clone(), result, call, end })
    })
}

objects! {
    Register: Register<Scalar>, RegisterOp<Scalar>;
    Queue: Queue<Scalar>, QueueOp<Scalar>;
    Stack: Stack<Scalar>, StackOp<Scalar>;
    Set: WholeSet<Scalar>, WholeSetOp<Scalar>;
    Elements: Set, SetOp;
    Counter: Counter, CounterOp;
    Lock: Lock, LockOp;
    Log: Log<Scalar>, LogOp<Scalar>;
    Versioned: Versioned<Scalar>, VersionedOp<Scalar>;
}

/// Partitions that an object has by itself are numbered below this.
const INNER: u32 = 40;

impl Model for Keyed {
    type Op = KeyedOp;
    type Result = Answer;
    type State = State;

    fn initial(&self) -> State {
        self.object.initial()
    }

    fn step(&self, state: &State, op: &KeyedOp, result: Option<&Answer>) -> Option<State> {
        self.object.step(state, &op.call, result)
    }

    fn state_bytes(&self, state: &State) -> usize {
        self.object.state_bytes(state)
    }

    fn partition(&self, op: &KeyedOp) -> u64 {
        (u64::from(op.key) << INNER) + (self.object.partition(&op.call) & ((1 << INNER) - 1))
    }

    fn partition_name(&self, op: &KeyedOp) -> String {
        let key = self.keys.get(op.key as usize).map_or("", String::as_str);
        let inner = match &op.call {
            // What is told apart by keys here is not told apart by numbers as well.
            Call::Versioned(_) => String::new(),
            call => self.object.partition_name(call),
        };
        match (key, inner.as_str()) {
            (key, "") => key.to_owned(),
            ("", inner) => inner.to_owned(),
            (key, inner) => format!("{key}, {inner}"),
        }
    }

    fn effect(&self, op: &KeyedOp, result: Option<&Answer>) -> Effect {
        self.object.effect(&op.call, result)
    }

    fn describe_op(&self, op: &KeyedOp) -> String {
        match &op.call {
            // A lock of a file has no owners.
            Call::Lock(LockOp::Acquire { .. }) => "Acquire".to_owned(),
            Call::Lock(LockOp::Release { .. }) => "Release".to_owned(),
            call => self.object.describe_op(call),
        }
    }

    fn describe_result(&self, op: &KeyedOp, result: &Answer) -> String {
        match result {
            Answer::Lock(true) => String::new(),
            result => self.object.describe_result(&op.call, result),
        }
    }

    fn describe_state(&self, state: &State) -> String {
        match state {
            State::Lock(Some(_)) => "held".to_owned(),
            state => self.object.describe_state(state),
        }
    }

    fn parts<'a>(&'a self, op: &'a KeyedOp, result: Option<&'a Answer>) -> Parts<'a> {
        Parts::of_description(&self.describe_op(op), result.map(|result| self.describe_result(op, result)))
    }

    fn edit(&self, op: &KeyedOp, result: Option<&Answer>) -> Edit {
        self.object.edit(&op.call, result)
    }

    fn expected<'a>(&'a self, state: &'a State, op: &'a KeyedOp) -> Option<Cow<'a, str>> {
        self.object.expected(state, &op.call)
    }

    fn decide(
        &self,
        history: &History<KeyedOp, Answer>,
        indices: &[u32],
        limits: &Limits,
        progress: &Progress,
    ) -> Option<Decision> {
        self.object.decide(history, indices, limits, progress)
    }

    fn decides(&self) -> bool {
        true
    }

    fn reword(&self, history: &History<KeyedOp, Answer>, explanation: &mut Explanation) {
        let Some(&first) = explanation.operations.first() else { return };
        let key = history[first].op.key;
        let indices: Vec<u32> =
            (0..history.len() as u32).filter(|&index| history[index as usize].op.key == key).collect();
        let place = |index: usize| indices.partition_point(|&other| (other as usize) < index);
        let mut own = explanation.clone();
        for index in own.operations.iter_mut().chain(&mut own.context) {
            *index = place(*index);
        }
        self.object.reword(history, &indices, &mut own);
        (explanation.kind, explanation.sentence) = (own.kind, own.sentence);
    }
}
