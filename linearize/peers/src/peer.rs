//! The peer, porcupine-rs, which does what porcupine (Go) does: Wing and Gong's search as Lowe improved it,
//! with a cache of sets of operations and states, on the parts that a model makes of a history.
//!
//! Whatever its interface allows in its favour is done. Texts are shared, never copied, and carry their hash;
//! reads that never returned are left out, since they forbid nothing; it may check parts one after the other,
//! which is much faster for small histories than its thread for each part.

use std::hash::{Hash, Hasher};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linearize::generate::RegisterHistory;
use linearize::models::register::{RegisterOp, RegisterResult};
use linearize::{KvHistory, KvOp, Text};
use porcupine_rs::{CheckResult, Model, Operation, check_operations, check_operations_timeout};

use crate::Finding;

/// A text and its hash: equal texts have equal hashes, so that most comparisons are of two numbers.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    text: Arc<str>,
    hash: u64,
}

impl Shared {
    fn new(text: &str) -> Self {
        Shared { text: Arc::from(text), hash: extend(0, text) }
    }

    fn followed_by(&self, other: &Self) -> Self {
        let mut text = String::with_capacity(self.text.len() + other.text.len());
        text.push_str(&self.text);
        text.push_str(&other.text);
        Shared { text: Arc::from(text), hash: extend(self.hash, &other.text) }
    }
}

/// The hash of a text that has one more piece at its end.
fn extend(hash: u64, piece: &str) -> u64 {
    let step =
        |hash: u64, byte: u8| hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(byte) + 1);
    piece.bytes().fold(hash, step)
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

/// Get, put and append; a part for each key.
#[derive(Clone, Debug)]
pub(crate) struct Keys;

/// What was done to a key, and what a read saw.
#[derive(Clone, Debug)]
pub(crate) enum KeyOp {
    Get(Shared),
    Put(Shared),
    Append(Shared),
}

impl Model for Keys {
    type State = Shared;
    type Op = (u32, KeyOp);
    type Metadata = ();

    fn partition_operations(history: &[Operation<Self>]) -> Vec<Vec<Operation<Self>>> {
        let mut sizes = Vec::new();
        for operation in history {
            let key = operation.op.0 as usize;
            sizes.resize(sizes.len().max(key + 1), 0);
            sizes[key] += 1;
        }
        let mut parts: Vec<Vec<Operation<Self>>> = sizes.into_iter().map(Vec::with_capacity).collect();
        for operation in history {
            parts[operation.op.0 as usize].push(operation.clone());
        }
        parts.retain(|part| !part.is_empty());
        parts
    }

    fn init() -> Shared {
        Shared::new("")
    }

    fn step(state: &Shared, (_, op): &(u32, KeyOp)) -> (bool, Shared) {
        match op {
            KeyOp::Get(seen) => (seen == state, state.clone()),
            KeyOp::Put(text) => (true, text.clone()),
            KeyOp::Append(text) => (true, state.followed_by(text)),
        }
    }
}

/// A register with compare-and-swap, as porcupine's own model for the logs of etcd has it.
#[derive(Clone, Debug)]
pub(crate) struct Register;

impl Model for Register {
    type State = Option<i64>;
    type Op = (RegisterOp<i64>, Option<RegisterResult<i64>>);
    type Metadata = ();

    fn init() -> Option<i64> {
        None
    }

    fn step(state: &Option<i64>, (op, result): &Self::Op) -> (bool, Option<i64>) {
        match op {
            RegisterOp::Read => match result {
                Some(RegisterResult::Value(seen)) => (seen == state, *state),
                _ => (true, *state),
            },
            RegisterOp::Write(value) => (true, Some(*value)),
            RegisterOp::CompareAndSwap { from, to } => {
                let swapped = *state == Some(*from);
                let legal = result.as_ref().is_none_or(|seen| *seen == RegisterResult::Swapped(swapped));
                (legal, if swapped { Some(*to) } else { *state })
            }
        }
    }
}

/// A history as the peer wants it. To make it is not measured, as little as reading a file is.
pub(crate) enum Prepared {
    Keys(Vec<Operation<Keys>>),
    Register(Vec<Operation<Register>>),
}

/// A way for the peer to work.
pub(crate) struct Way {
    /// For so long at most.
    pub(crate) within: fn(&Prepared, Duration) -> Finding,
    /// The same without a limit, which costs it a clock and a thread.
    pub(crate) run: fn(&Prepared) -> bool,
}

/// All parts at once, each on a thread, as its interface has it; and one part after the other.
const WAYS: [Way; 2] = [
    Way { within: Prepared::at_once_within, run: Prepared::at_once },
    Way { within: Prepared::one_by_one_within, run: Prepared::one_by_one },
];

impl Prepared {
    /// The ways that differ.
    pub(crate) fn ways(&self) -> &'static [Way] {
        let parts = match self {
            Prepared::Keys(history) => Keys::partition_operations(history).len(),
            Prepared::Register(_) => 1,
        };
        &WAYS[..parts.clamp(1, 2)]
    }

    pub(crate) fn keys(history: &KvHistory) -> Self {
        let mut shared: Vec<Option<Shared>> = vec![None; history.texts().len()];
        let mut text = |text: Text| {
            let slot = &mut shared[text.index()];
            slot.get_or_insert_with(|| Shared::new(history.texts().get(text))).clone()
        };
        let operations = history.history().operations().iter().filter_map(|operation| {
            let what = match operation.op {
                KvOp::Get { .. } => KeyOp::Get(text(operation.result?)),
                KvOp::Put { value, .. } => KeyOp::Put(text(value)),
                KvOp::Append { value, .. } => KeyOp::Append(text(value)),
            };
            Some(timed(operation, (operation.op.key().0, what)))
        });
        Prepared::Keys(operations.collect())
    }

    pub(crate) fn register(history: &RegisterHistory) -> Self {
        let telling = history.operations().iter().filter(|operation| {
            // A read that never returned.
            !(operation.is_open() && operation.op == RegisterOp::Read)
        });
        let operations =
            telling.map(|operation| timed(operation, (operation.op.clone(), operation.result.clone())));
        Prepared::Register(operations.collect())
    }

    pub(crate) fn at_once_within(&self, limit: Duration) -> Finding {
        match self {
            Prepared::Keys(history) => finding(&check_operations_timeout(history, limit)),
            Prepared::Register(history) => finding(&check_operations_timeout(history, limit)),
        }
    }

    fn at_once(&self) -> bool {
        match self {
            Prepared::Keys(history) => check_operations(history),
            Prepared::Register(history) => check_operations(history),
        }
    }

    fn one_by_one_within(&self, limit: Duration) -> Finding {
        let Prepared::Keys(history) = self else { return self.at_once_within(limit) };
        let parts = Keys::partition_operations(history);
        let findings = parts.iter().map(|part| finding(&check_operations_timeout(part, limit)));
        findings.into_iter().find(|finding| *finding != Finding::Good).unwrap_or(Finding::Good)
    }

    fn one_by_one(&self) -> bool {
        let Prepared::Keys(history) = self else { return self.at_once() };
        Keys::partition_operations(history).iter().all(|part| check_operations(part))
    }
}

/// Luck: that a thread of the peer begins with the part which is refuted fastest, and that the others are
/// stopped at once. A bound from below for bad histories, whatever runs the threads.
pub(crate) struct Luck<'a> {
    all: &'a [Operation<Keys>],
    part: Vec<Operation<Keys>>,
}

impl<'a> Luck<'a> {
    /// If there is more than one part, and one that is refuted within `limit`.
    pub(crate) fn new(prepared: &'a Prepared, limit: Duration) -> Option<Self> {
        let Prepared::Keys(all) = prepared else { return None };
        let parts = Keys::partition_operations(all);
        if parts.len() < 2 {
            return None;
        }
        let refuted = parts.into_iter().filter_map(|part| {
            let start = Instant::now();
            let result = check_operations_timeout(&part, limit);
            (result == CheckResult::Illegal).then(|| (start.elapsed(), part))
        });
        let (_, part) = refuted.min_by_key(|refuted| refuted.0)?;
        Some(Luck { all, part })
    }

    pub(crate) fn run(&self) -> bool {
        black_box(Keys::partition_operations(self.all));
        check_operations(&self.part)
    }
}

fn finding(result: &CheckResult) -> Finding {
    match result {
        CheckResult::Ok => Finding::Good,
        CheckResult::Illegal => Finding::Bad,
        CheckResult::Unknown => Finding::Undecided,
    }
}

fn timed<M: Model, O, R>(operation: &linearize::Operation<O, R>, op: M::Op) -> Operation<M> {
    // One that never returned returns at the end of time, after all others.
    let time = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    Operation {
        client_id: Some(operation.client),
        call_time: time(operation.call),
        return_time: time(operation.end),
        op,
        metadata: None,
    }
}
