//! One key's operations, gathered side by side.

use crate::history::Operation;
use crate::models::key_value::KvOp;
use crate::texts::Text;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Get,
    Put,
    Append,
}

/// An operation, as this method sees it. Times are one later than in the history, which leaves 0 for the put of the
/// empty text that is thought to come before everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slim {
    pub(crate) call: u64,
    /// `u64::MAX` if it never returned.
    pub(crate) end: u64,
    /// What was written or read.
    pub(crate) text: Text,
    /// Its index in the history.
    pub(crate) index: u32,
    pub(crate) kind: Kind,
}

/// The number of the put that is thought to come before everything.
pub(crate) const INITIAL: u32 = 0;

/// No operation.
pub(crate) const NONE: u32 = u32::MAX;

/// The operations of one key by rising call, behind the initial put; and apart from them those without any effect.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) ops: Vec<Slim>,
    /// Completed appends of nothing: right at any moment, seen by nobody. By index in the history.
    pub(crate) idle: Vec<u32>,
    /// Whether there is an append of something.
    pub(crate) has_appends: bool,
}

impl Gathered {
    /// Replaces what is there by the operations `indices`.
    pub(crate) fn gather(&mut self, operations: &[Operation<KvOp, Text>], indices: &[u32]) {
        self.ops.clear();
        self.idle.clear();
        self.has_appends = false;
        self.ops.reserve(indices.len() + 1);
        self.ops.push(Slim { call: 0, end: 0, text: Text::EMPTY, index: NONE, kind: Kind::Put });
        for &index in indices {
            self.add(&operations[index as usize], index);
        }
    }

    fn add(&mut self, operation: &Operation<KvOp, Text>, index: u32) {
        let (kind, text) = match (operation.op, operation.result) {
            (KvOp::Get { .. }, Some(seen)) => (Kind::Get, seen),
            // A read that never returned says nothing.
            (KvOp::Get { .. }, None) => return,
            (KvOp::Put { value, .. }, _) => (Kind::Put, value),
            (KvOp::Append { value, .. }, _) if value == Text::EMPTY => {
                if !operation.is_open() {
                    self.idle.push(index);
                }
                return;
            }
            (KvOp::Append { value, .. }, _) => (Kind::Append, value),
        };
        self.has_appends |= kind == Kind::Append;
        let (call, end) = (operation.call.saturating_add(1), operation.end.saturating_add(1));
        self.ops.push(Slim { call, end, text, index, kind });
    }
}
