//! Keys with texts: `Get`, `Put` and `Append`, as in the key/value labs.
//!
//! An absent key reads as the empty text. Keys and texts are interned when they are recorded or read from a
//! file, so that an operation is a few machine words and checking compares numbers.

use std::borrow::Cow;

use crate::history::{History, HistoryError, Operation, Unit};
use crate::keys::texts::{Text, Texts};
use crate::limits::{Limits, Progress};
use crate::model::{Effect, Model};
use crate::shown::{Edit, Parts};
use crate::verdict::Verdict;
use crate::words;

/// The name of a key: keys of a history are numbered densely from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u32);

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// Reads the text of a key.
    Get {
        /// Which key.
        key: Key,
    },
    /// Replaces the text of a key.
    Put {
        /// Which key.
        key: Key,
        /// By what.
        value: Text,
    },
    /// Adds to the end of the text of a key.
    Append {
        /// Which key.
        key: Key,
        /// What.
        value: Text,
    },
}

impl KvOp {
    /// The key that it touches.
    pub fn key(self) -> Key {
        match self {
            KvOp::Get { key } | KvOp::Put { key, .. } | KvOp::Append { key, .. } => key,
        }
    }

    /// What it writes, if it writes.
    pub fn value(self) -> Option<Text> {
        match self {
            KvOp::Get { .. } => None,
            KvOp::Put { value, .. } | KvOp::Append { value, .. } => Some(value),
        }
    }
}

/// A history of `Get`, `Put` and `Append`, with its texts. The result of a write is [`Text::EMPTY`].
#[derive(Clone, Debug, Default)]
pub struct KvHistory {
    keys: Vec<String>,
    texts: Texts,
    history: History<KvOp, Text>,
}

impl KvHistory {
    /// The operations, for [`crate::check()`].
    pub fn history(&self) -> &History<KvOp, Text> {
        &self.history
    }

    /// The texts written and read.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// The names of the keys; [`Key`] numbers them.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The model that knows these texts.
    pub fn model(&self) -> KeyValue<'_> {
        KeyValue { keys: &self.keys, texts: &self.texts }
    }

    /// Is the history linearizable?
    pub fn check(&self, limits: &Limits) -> Verdict {
        crate::check(&self.model(), &self.history, limits)
    }
}

/// Builds a [`KvHistory`], operation by operation, in any order.
#[derive(Clone, Debug, Default)]
pub struct KvBuilder {
    keys: Texts,
    key_names: Vec<String>,
    texts: Texts,
    operations: Vec<Operation<KvOp, Text>>,
    unit: Unit,
    origin: i64,
}

impl KvBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of a key.
    pub fn key(&mut self, name: &str) -> Key {
        // The empty text has name 0 already, so every name in `keys` is the key's number.
        let key = self.keys.intern(name);
        while self.key_names.len() <= key.index() {
            let next = Text::from_index(self.key_names.len());
            self.key_names.push(self.keys.get(next).to_owned());
        }
        Key(key.index() as u32)
    }

    /// The name of a text that is written.
    pub fn written(&mut self, text: &str) -> Text {
        self.texts.intern(text)
    }

    /// The name of a text that was read from `key`.
    pub fn read(&mut self, key: Key, text: &str) -> Text {
        self.texts.intern_read(key.0 as usize, text)
    }

    /// Makes `origin`, which is negative, time 0: until now times below 0 were so far below 2⁶⁴.
    pub fn begin_at(&mut self, origin: i64) {
        self.origin = origin;
        for operation in &mut self.operations {
            operation.call = operation.call.wrapping_sub(origin as u64);
            if operation.result.is_some() {
                operation.end = operation.end.wrapping_sub(origin as u64);
            }
        }
    }

    /// Adds an operation and says which it is: its place among all that were added.
    pub fn push(&mut self, operation: Operation<KvOp, Text>) -> usize {
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// Adds a `Get` that returned `output` at `end`; `None` for one that never returned.
    pub fn get(&mut self, client: u32, key: &str, call: u64, returned: Option<(&str, u64)>) {
        let key = self.key(key);
        let op = KvOp::Get { key };
        let operation = match returned {
            Some((output, end)) => Operation::new(client, op, self.read(key, output), call, end),
            None => Operation::open(client, op, call),
        };
        self.push(operation);
    }

    /// Adds a `Put` that returned at `end`, or never.
    pub fn put(&mut self, client: u32, key: &str, value: &str, call: u64, end: Option<u64>) {
        let op = KvOp::Put { key: self.key(key), value: self.written(value) };
        self.push_write(client, op, call, end);
    }

    /// Adds an `Append` that returned at `end`, or never.
    pub fn append(&mut self, client: u32, key: &str, value: &str, call: u64, end: Option<u64>) {
        let op = KvOp::Append { key: self.key(key), value: self.written(value) };
        self.push_write(client, op, call, end);
    }

    fn push_write(&mut self, client: u32, op: KvOp, call: u64, end: Option<u64>) {
        self.push(match end {
            Some(end) => Operation::new(client, op, Text::EMPTY, call, end),
            None => Operation::open(client, op, call),
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.operations.len()
    }

    pub(crate) fn operation_mut(&mut self, place: usize) -> &mut Operation<KvOp, Text> {
        &mut self.operations[place]
    }

    /// Says what the times count; nanoseconds, unless told.
    pub fn set_unit(&mut self, unit: Unit) {
        self.unit = unit;
    }

    /// Says what the clock showed at time 0; 0, unless told.
    pub fn set_origin(&mut self, origin: i64) {
        self.origin = origin;
    }

    /// The finished history.
    ///
    /// # Errors
    ///
    /// As [`History::new`].
    pub fn finish(self) -> Result<KvHistory, HistoryError> {
        let history = History::new(self.operations)?.with_unit(self.unit).with_origin(self.origin);
        Ok(KvHistory { keys: self.key_names, texts: self.texts, history })
    }
}

/// The sequential specification of `Get`, `Put` and `Append` over the texts of one history.
#[derive(Clone, Copy, Debug)]
pub struct KeyValue<'a> {
    keys: &'a [String],
    texts: &'a Texts,
}

impl KeyValue<'_> {
    /// The texts.
    pub fn texts(&self) -> &Texts {
        self.texts
    }

    /// The names of the keys.
    pub fn keys(&self) -> &[String] {
        self.keys
    }
}

impl Model for KeyValue<'_> {
    type Op = KvOp;
    type Result = Text;
    /// The text of the one key that a partition has.
    type State = String;

    fn initial(&self) -> String {
        String::new()
    }

    fn step(&self, state: &String, op: &KvOp, result: Option<&Text>) -> Option<String> {
        match *op {
            KvOp::Get { .. } => {
                result.is_none_or(|&seen| self.texts.get(seen) == state.as_str()).then(|| state.clone())
            }
            KvOp::Put { value, .. } => Some(self.texts.get(value).to_owned()),
            KvOp::Append { value, .. } => Some(format!("{state}{}", self.texts.get(value))),
        }
    }

    /// A text of many appends would be copied with each of them.
    fn advance(&self, mut state: String, op: &KvOp, result: Option<&Text>) -> Option<String> {
        match *op {
            KvOp::Get { .. } => result.is_none_or(|&seen| self.texts.get(seen) == state).then_some(state),
            KvOp::Put { .. } => self.step(&state, op, result),
            KvOp::Append { value, .. } => {
                state.push_str(self.texts.get(value));
                Some(state)
            }
        }
    }

    fn partition(&self, op: &KvOp) -> u64 {
        u64::from(op.key().0)
    }

    fn effect(&self, op: &KvOp, _result: Option<&Text>) -> Effect {
        match op {
            KvOp::Get { .. } => Effect::Read,
            KvOp::Put { .. } => Effect::Overwrite,
            KvOp::Append { .. } => Effect::Update,
        }
    }

    fn partition_name(&self, op: &KvOp) -> String {
        self.keys[op.key().0 as usize].clone()
    }

    fn describe_op(&self, op: &KvOp) -> String {
        match *op {
            KvOp::Get { .. } => "Get".to_owned(),
            KvOp::Put { value, .. } => format!("Put {}", words::quoted(self.texts.get(value))),
            KvOp::Append { value, .. } => format!("Append {}", words::quoted(self.texts.get(value))),
        }
    }

    fn describe_result(&self, op: &KvOp, result: &Text) -> String {
        match op {
            KvOp::Get { .. } => words::quoted(self.texts.get(*result)),
            KvOp::Put { .. } | KvOp::Append { .. } => String::new(),
        }
    }

    fn describe_state(&self, state: &String) -> String {
        words::quoted(state)
    }

    fn parts<'a>(&'a self, op: &'a KvOp, result: Option<&'a Text>) -> Parts<'a> {
        let name = match op {
            KvOp::Get { .. } => "Get",
            KvOp::Put { .. } => "Put",
            KvOp::Append { .. } => "Append",
        };
        let seen = result.filter(|_| op.value().is_none());
        Parts {
            name: Cow::Borrowed(name),
            argument: op.value().map(|value| Cow::Borrowed(self.texts.get(value))),
            result: seen.map(|&seen| Cow::Borrowed(self.texts.get(seen))),
            texts: true,
        }
    }

    fn edit(&self, op: &KvOp, _result: Option<&Text>) -> Edit {
        match op {
            KvOp::Get { .. } => Edit::Keep,
            KvOp::Put { .. } => Edit::Replace,
            KvOp::Append { .. } => Edit::Append,
        }
    }

    fn state_text<'a>(&'a self, state: &'a String) -> Cow<'a, str> {
        Cow::Borrowed(state)
    }

    fn expected<'a>(&'a self, state: &'a String, op: &'a KvOp) -> Option<Cow<'a, str>> {
        matches!(op, KvOp::Get { .. }).then_some(Cow::Borrowed(state))
    }

    fn check_specially(
        &self,
        history: &History<KvOp, Text>,
        limits: &Limits,
        progress: &Progress,
    ) -> Option<Verdict> {
        Some(crate::keys::order::check(self, history, limits, progress))
    }
}
