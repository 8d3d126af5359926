//! One key's operations, gathered side by side.

use crate::history::Operation;
use crate::keys::key_value::KvOp;
use crate::keys::texts::Text;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Get,
    Put,
    Append,
}

/// An operation, as this method sees it. Times are one later than in the history, which leaves 0 for the put
/// of the empty text that is thought to come before everything.
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

/// The put that is thought to come before everything.
const BEFORE_ALL: Slim = Slim { call: 0, end: 0, text: Text::EMPTY, index: NONE, kind: Kind::Put };

/// The number of that put.
pub(crate) const INITIAL: u32 = 0;

/// No operation.
pub(crate) const NONE: u32 = u32::MAX;

/// The operations of one key; and apart from them those without any effect.
///
/// Writes and reads come mixed at random, and a branch that asks which it is costs more than all else that is
/// done with an operation. So they are told apart once, by counting, and everything else goes through one
/// kind at a time.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// First the initial put, then the other writes by rising call, then the reads by rising call.
    pub(crate) ops: Vec<Slim>,
    /// How many of these are writes; so, the number of the first read.
    pub(crate) writes: usize,
    /// Completed appends of nothing: right at any moment, never seen. By index in the history.
    pub(crate) idle: Vec<u32>,
    /// Whether there is an append of something.
    pub(crate) has_appends: bool,
}

impl Gathered {
    /// Replaces what is there by the operations with these indices, which rise in each of the two.
    pub(crate) fn gather(&mut self, operations: &[Operation<KvOp, Text>], writes: &[u32], reads: &[u32]) {
        self.ops.clear();
        self.idle.clear();
        self.has_appends = false;
        self.ops.reserve(1 + writes.len() + reads.len());
        self.ops.push(BEFORE_ALL);
        for &index in writes {
            let operation = &operations[index as usize];
            let Some(text) = operation.op.value() else { continue };
            let kind = if matches!(operation.op, KvOp::Put { .. }) { Kind::Put } else { Kind::Append };
            if kind == Kind::Append && text == Text::EMPTY {
                self.idle.extend((!operation.is_open()).then_some(index));
                continue;
            }
            self.has_appends |= kind == Kind::Append;
            self.ops.push(slim(operation, kind, text, index));
        }
        self.writes = self.ops.len();
        for &index in reads {
            let operation = &operations[index as usize];
            // A read that never returned says nothing.
            let Some(text) = operation.result else { continue };
            self.ops.push(slim(operation, Kind::Get, text, index));
        }
    }

    /// The operations `ops`, without the initial put, in any order.
    pub(crate) fn of(mut ops: Vec<Slim>) -> Gathered {
        ops.push(BEFORE_ALL);
        ops.sort_by_key(|op| (op.kind == Kind::Get, op.call));
        let writes = ops.partition_point(|op| op.kind != Kind::Get);
        let has_appends = ops.iter().any(|op| op.kind == Kind::Append);
        Gathered { ops, writes, idle: Vec::new(), has_appends }
    }
}

fn slim(operation: &Operation<KvOp, Text>, kind: Kind, text: Text, index: u32) -> Slim {
    let (call, end) = (operation.call.saturating_add(1), operation.end.saturating_add(1));
    Slim { call, end, text, index, kind }
}
