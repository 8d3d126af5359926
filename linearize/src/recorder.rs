//! Building a history while the clients run.

use parking_lot::Mutex;

use crate::history::{History, HistoryError, Operation};
use crate::keys::key_value::{KvBuilder, KvHistory, KvOp};
use crate::keys::texts::Text;

/// Names an operation that was called and has not returned.
///
/// A client that dies with its ticket leaves its operation open, which is right: it may have taken effect or
/// not.
#[derive(Debug)]
#[must_use = "an operation whose ticket is dropped counts as never returned"]
pub struct Ticket(usize);

/// Collects the operations of any model from many threads.
///
/// The recorder has no clock: the caller reads one *before* it makes the call and *after* it got the answer.
/// Read the other way round, an interval is too short and the checker reports errors that are none.
#[derive(Debug)]
pub struct Recorder<O, R> {
    operations: Mutex<Vec<Operation<O, R>>>,
}

impl<O, R> Default for Recorder<O, R> {
    fn default() -> Self {
        Recorder { operations: Mutex::new(Vec::new()) }
    }
}

impl<O: Clone, R: Clone> Recorder<O, R> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `client` is about to call, at `now` nanoseconds.
    pub fn call(&self, client: u32, op: O, now: u64) -> Ticket {
        let mut operations = self.operations.lock();
        operations.push(Operation::open(client, op, now));
        Ticket(operations.len() - 1)
    }

    /// Notes that the operation returned `result`, at `now` nanoseconds.
    pub fn returned(&self, ticket: Ticket, result: R, now: u64) {
        let mut operations = self.operations.lock();
        let operation = &mut operations[ticket.0];
        operation.result = Some(result);
        operation.end = now;
    }

    /// The history so far; operations under way are open in it.
    ///
    /// # Errors
    ///
    /// As [`History::new`].
    pub fn history(&self) -> Result<History<O, R>, HistoryError> {
        History::new(self.operations.lock().clone())
    }
}

/// Collects `Get`, `Put` and `Append` from many threads. See [`Recorder`] for when to read the clock.
#[derive(Debug, Default)]
pub struct KvRecorder {
    builder: Mutex<KvBuilder>,
}

impl KvRecorder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `client` is about to call `Get(key)`, at `now` nanoseconds.
    pub fn call_get(&self, client: u32, key: &str, now: u64) -> Ticket {
        let mut builder = self.builder.lock();
        let op = KvOp::Get { key: builder.key(key) };
        Ticket(builder.push(Operation::open(client, op, now)))
    }

    /// Notes that `client` is about to call `Put(key, value)`, at `now` nanoseconds.
    pub fn call_put(&self, client: u32, key: &str, value: &str, now: u64) -> Ticket {
        let mut builder = self.builder.lock();
        let op = KvOp::Put { key: builder.key(key), value: builder.written(value) };
        Ticket(builder.push(Operation::open(client, op, now)))
    }

    /// Notes that `client` is about to call `Append(key, value)`, at `now` nanoseconds.
    pub fn call_append(&self, client: u32, key: &str, value: &str, now: u64) -> Ticket {
        let mut builder = self.builder.lock();
        let op = KvOp::Append { key: builder.key(key), value: builder.written(value) };
        Ticket(builder.push(Operation::open(client, op, now)))
    }

    /// Notes that the operation returned at `now` nanoseconds; `output` is what a `Get` read, and is ignored
    /// for writes.
    pub fn returned(&self, ticket: Ticket, output: &str, now: u64) {
        let mut builder = self.builder.lock();
        let op = builder.operation_mut(ticket.0).op;
        let result = match op {
            KvOp::Get { key } => builder.read(key, output),
            KvOp::Put { .. } | KvOp::Append { .. } => Text::EMPTY,
        };
        let operation = builder.operation_mut(ticket.0);
        operation.result = Some(result);
        operation.end = now;
    }

    /// How many operations were called so far.
    pub fn len(&self) -> usize {
        self.builder.lock().len()
    }

    /// Whether nothing was called yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The history so far; operations under way are open in it.
    ///
    /// # Errors
    ///
    /// As [`History::new`].
    pub fn history(&self) -> Result<KvHistory, HistoryError> {
        self.builder.lock().clone().finish()
    }
}
