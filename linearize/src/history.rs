//! What was observed: operations, each with the moments at which it was called and returned.

use std::fmt;

use rustc_hash::FxHashMap;

/// The `end` of an operation that never returned.
pub const OPEN: u64 = u64::MAX;

/// One operation of one client.
///
/// Its interval is closed: it took effect at some moment from `call` to `end`, both included, so an operation
/// that returned in the very nanosecond in which another client's was called overlaps it. Operations of one
/// client follow one another whatever the clock resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<O, R> {
    /// The client that called. A client has at most one operation under way at a time.
    pub client: u32,
    /// What it asked for.
    pub op: O,
    /// What it got back; `None` if it never returned.
    pub result: Option<R>,
    /// When it was called, in nanoseconds on a clock that all clients share.
    pub call: u64,
    /// When it returned, on the same clock; [`OPEN`] if it never did. An open operation may have taken effect
    /// at any moment since its call, or never.
    pub end: u64,
}

impl<O, R> Operation<O, R> {
    /// An operation that returned.
    pub fn new(client: u32, op: O, result: R, call: u64, end: u64) -> Self {
        Operation { client, op, result: Some(result), call, end }
    }

    /// An operation that never returned.
    pub fn open(client: u32, op: O, call: u64) -> Self {
        Operation { client, op, result: None, call, end: OPEN }
    }

    /// Whether it never returned.
    pub fn is_open(&self) -> bool {
        self.end == OPEN
    }

    /// When it returned, if it did.
    pub fn returned(&self) -> Option<u64> {
        (!self.is_open()).then_some(self.end)
    }

    /// Call and end. A client may call in the very moment in which its last operation both began and
    /// returned: by both together its operations are in the order in which it called.
    fn interval(&self) -> (u64, u64) {
        (self.call, self.end)
    }

    /// Whether it had returned before `other` was called, so that it must have taken effect first.
    pub fn precedes(&self, other: &Self) -> bool {
        self.end < other.call
    }
}

/// A checked sequence of operations in the order of their calls; of those called at the same time, in the
/// order of their returns.
///
/// Everything else in this crate names an operation by its index here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<O, R> {
    operations: Vec<Operation<O, R>>,
    unit: Unit,
    /// What the recorder's clock said at time 0.
    origin: i64,
    /// Whether some client called in the very moment in which its operation before had returned.
    touching: bool,
    /// So many units of `call` and `end` are one of `unit`, and all of them are within its lower half.
    scale: u64,
}

/// What the times of a history count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    #[default]
    Nanoseconds,
    /// Events, of which only the order is known: a log without a clock.
    Events,
}

impl<O, R> Default for History<O, R> {
    fn default() -> Self {
        History { operations: Vec::new(), unit: Unit::default(), origin: 0, touching: false, scale: 1 }
    }
}

impl<O, R> History<O, R> {
    /// Puts the operations in the order of their calls, and those called at the same time in the order of
    /// their returns (equal ones stay in the order given), so that it does not matter in which order they are
    /// given. Those in order already cost one pass.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] if an operation returns before its call, or is open and has a result, or has returned
    /// and has none, or if a client calls while its last operation is under way.
    pub fn new(mut operations: Vec<Operation<O, R>>) -> Result<Self, HistoryError> {
        for (index, operation) in operations.iter().enumerate() {
            check_operation(index, operation)?;
        }
        let mut clients = Clients::default();
        if operations.is_sorted_by_key(Operation::interval) {
            for (index, operation) in operations.iter().enumerate() {
                clients.call(index, operation.client, operation.interval())?;
            }
        } else {
            let order = in_order(operations.iter().map(Operation::interval).collect());
            for &index in &order {
                let operation = &operations[index as usize];
                clients.call(index as usize, operation.client, operation.interval())?;
            }
            operations = arranged(operations, &order);
        }
        Ok(History { operations, touching: clients.touching, ..Self::default() })
    }

    /// Some of the operations, in the order of their calls, as `operation` changes them; `None` if it refuses
    /// one.
    pub(crate) fn part<P, S>(
        &self,
        indices: &[u32],
        operation: impl Fn(&Operation<O, R>) -> Option<Operation<P, S>>,
    ) -> Option<History<P, S>> {
        let operations =
            indices.iter().map(|&index| operation(&self[index as usize])).collect::<Option<_>>()?;
        let History { unit, origin, touching, scale, .. } = *self;
        Some(History { operations, unit, origin, touching, scale })
    }

    /// The same clients' operations at finer times: `operations` by rising call, of which `scale` units are
    /// one of this history.
    pub(crate) fn refined(&self, operations: Vec<Operation<O, R>>, scale: u64) -> Self {
        let History { unit, origin, .. } = *self;
        History { operations, unit, origin, touching: false, scale }
    }

    /// Whether some client called in the very moment in which its operation before had returned.
    pub(crate) fn is_touching(&self) -> bool {
        self.touching
    }

    /// The same history, recorded by a clock that said `origin` at time 0: times before that are negative.
    #[must_use]
    pub fn with_origin(mut self, origin: i64) -> Self {
        self.origin = origin;
        self
    }

    /// What the recorder's clock said at time 0.
    pub fn origin(&self) -> i64 {
        self.origin
    }

    /// What that clock said at `time`.
    pub fn recorded_time(&self, time: u64) -> i128 {
        i128::from(time / self.scale) + i128::from(self.origin)
    }

    /// The same history, with times that count something else.
    #[must_use]
    pub fn with_unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// What the times count.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// A span of time in words, for example `3.1 ms` or `5 events`.
    pub fn span(&self, span: u64) -> String {
        match self.unit {
            Unit::Nanoseconds => crate::words::span(self.whole(span)),
            Unit::Events => crate::words::count(self.whole(span), "event"),
        }
    }

    /// How many units a span has. Where they were cut into finer ones, all times are within the lower half of
    /// a unit, so that rounding tells.
    fn whole(&self, span: u64) -> u64 {
        span.saturating_add(self.scale / 2) / self.scale
    }

    /// How long before something else, for example `3.1 ms before`, or `just before` if the clock does not
    /// tell.
    pub(crate) fn before(&self, span: u64) -> String {
        if self.whole(span) == 0 { "just before".to_owned() } else { format!("{} before", self.span(span)) }
    }

    /// How long after something else, as [`History::before`].
    pub(crate) fn after(&self, span: u64) -> String {
        if self.whole(span) == 0 { "just after".to_owned() } else { format!("{} after", self.span(span)) }
    }

    /// All operations, in the order of their calls.
    pub fn operations(&self) -> &[Operation<O, R>] {
        &self.operations
    }

    /// All operations, for a history of others.
    pub fn into_operations(self) -> Vec<Operation<O, R>> {
        self.operations
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether any operation returned. If none did, nothing was observed, and every order explains it.
    pub fn is_observed(&self) -> bool {
        self.operations.iter().any(|operation| !operation.is_open())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

impl<O, R> std::ops::Index<usize> for History<O, R> {
    type Output = Operation<O, R>;

    fn index(&self, index: usize) -> &Operation<O, R> {
        &self.operations[index]
    }
}

fn check_operation<O, R>(index: usize, operation: &Operation<O, R>) -> Result<(), HistoryError> {
    let kind = if operation.end < operation.call {
        HistoryErrorKind::ReturnBeforeCall
    } else if operation.is_open() != operation.result.is_none() {
        HistoryErrorKind::ResultAndReturnDisagree
    } else {
        return Ok(());
    };
    Err(HistoryError { index, client: operation.client, kind })
}

/// The places of intervals by rising call, those called at the same time by rising return; equal ones stay in
/// the order given.
pub(crate) fn in_order(intervals: Vec<(u64, u64)>) -> Vec<u32> {
    let mut order: Vec<u32> = (0..intervals.len() as u32).collect();
    order.sort_unstable_by_key(|&index| (intervals[index as usize], index));
    order
}

/// `values` in the order that `order` names, which has each place once.
fn arranged<T>(values: Vec<T>, order: &[u32]) -> Vec<T> {
    let mut values: Vec<Option<T>> = values.into_iter().map(Some).collect();
    order.iter().filter_map(|&index| values[index as usize].take()).collect()
}

/// What clients do, in the order of their calls.
#[derive(Default)]
struct Clients {
    busy_until: FxHashMap<u32, u64>,
    /// Whether one called when its operation before returned.
    touching: bool,
}

impl Clients {
    /// An operation of `client`, which is number `index` where an error shall name it.
    fn call(&mut self, index: usize, client: u32, (call, end): (u64, u64)) -> Result<(), HistoryError> {
        match self.busy_until.insert(client, end) {
            Some(until) if call < until => {
                let kind = HistoryErrorKind::TwoOpenOperations;
                return Err(HistoryError { index, client, kind });
            }
            Some(until) => self.touching |= call == until,
            None => {}
        }
        Ok(())
    }
}

/// Why operations are not a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryError {
    /// Which operation, by its place in the order in which they were given.
    pub index: usize,
    /// Its client.
    pub client: u32,
    /// What is wrong with it.
    pub kind: HistoryErrorKind,
}

/// What can be wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryErrorKind {
    /// It returned before it was called.
    ReturnBeforeCall,
    /// It has a result and never returned, or the other way round.
    ResultAndReturnDisagree,
    /// Its client's last operation had not returned when it was called.
    TwoOpenOperations,
}

impl fmt::Display for HistoryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.client;
        match self.kind {
            HistoryErrorKind::ReturnBeforeCall => {
                write!(formatter, "client {client}'s operation returns before its call")
            }
            HistoryErrorKind::ResultAndReturnDisagree => {
                write!(
                    formatter,
                    "client {client}'s operation has either a result or a return time, not both"
                )
            }
            HistoryErrorKind::TwoOpenOperations => {
                write!(
                    formatter,
                    "client {client} calls while its last operation has not returned (after an operation that never \
                     returned, a client must go on under another number)"
                )
            }
        }
    }
}

impl std::error::Error for HistoryError {}
