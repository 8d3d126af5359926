//! What does not change while the constraint problem is solved.

use rustc_hash::FxHashMap;

use crate::keys::order::slim::{Gathered, INITIAL, Kind, NONE, Slim};
use crate::keys::texts::{Text, Texts};

/// All writes of one text, by rising call.
#[derive(Debug, Default)]
struct Same {
    ops: Vec<u32>,
    /// The latest return among the first one, two, … of them.
    latest_end: Vec<u64>,
}

/// The writes of one kind, by text.
#[derive(Debug, Default)]
pub(crate) struct Writers {
    by_text: FxHashMap<Text, Same>,
    /// The lengths that occur, rising.
    lengths: Vec<u32>,
}

impl Writers {
    fn new(ops: &[Slim], texts: &Texts, kind: Kind) -> Self {
        let mut writers = Writers::default();
        for (number, op) in ops.iter().enumerate().filter(|(_, op)| op.kind == kind) {
            let same = writers.by_text.entry(op.text).or_default();
            let latest = same.latest_end.last().copied().unwrap_or(0).max(op.end);
            same.ops.push(number as u32);
            same.latest_end.push(latest);
        }
        writers.lengths = writers.by_text.keys().map(|&text| texts.place(text).length).collect();
        writers.lengths.sort_unstable();
        writers.lengths.dedup();
        writers
    }

    /// Calls `visit` with each write whose text is the beginning of `bytes`, that was called by `until` and
    /// had not returned before `from`. With `whole`, the text must be all of `bytes`.
    pub(crate) fn matching(
        &self,
        texts: &Texts,
        ops: &[Slim],
        bytes: &[u8],
        whole: bool,
        (from, until): (u64, u64),
        mut visit: impl FnMut(u32),
    ) {
        for &length in &self.lengths {
            let length = length as usize;
            if length > bytes.len() || (whole && length < bytes.len()) {
                continue;
            }
            let Some(same) = texts.find_bytes(&bytes[..length]).and_then(|text| self.by_text.get(&text))
            else {
                continue;
            };
            let mut at = same.ops.partition_point(|&op| ops[op as usize].call <= until);
            while at > 0 && same.latest_end[at - 1] >= from {
                at -= 1;
                if ops[same.ops[at] as usize].end >= from {
                    visit(same.ops[at]);
                }
            }
        }
    }
}

/// One key's operations, indexed in the ways that the search needs.
pub(crate) struct Problem<'a> {
    pub(crate) texts: &'a Texts,
    pub(crate) gathered: &'a Gathered,
    pub(crate) ops: &'a [Slim],
    pub(crate) has_appends: bool,
    /// Reads by rising return: what is decided early then constrains what comes later.
    pub(crate) reads: Vec<u32>,
    /// By read: the latest call of a put that had returned before the read was called, and that put. Whatever
    /// put the read saw cannot have returned before that.
    pub(crate) replaced: Vec<(u64, u32)>,
    pub(crate) puts: Writers,
    pub(crate) appends: Writers,
    /// Puts by rising call, the initial one first.
    pub(crate) puts_by_call: Vec<u32>,
    pub(crate) appends_by_call: Vec<u32>,
    /// Appends that returned, by rising return.
    pub(crate) appends_by_end: Vec<u32>,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(texts: &'a Texts, gathered: &'a Gathered) -> Self {
        let ops = gathered.ops.as_slice();
        let of_kind = |kind: Kind| -> Vec<u32> {
            (0..ops.len() as u32).filter(|&number| ops[number as usize].kind == kind).collect()
        };
        let end = |number: &u32| ops[*number as usize].end;
        let mut reads = of_kind(Kind::Get);
        let replaced = latest_put_before(ops, &reads);
        reads.sort_by_key(end);
        let appends_by_call = of_kind(Kind::Append);
        let mut appends_by_end = appends_by_call.clone();
        appends_by_end.retain(|number| end(number) != u64::MAX);
        appends_by_end.sort_by_key(end);
        Problem {
            texts,
            gathered,
            ops,
            has_appends: gathered.has_appends,
            reads,
            replaced,
            puts: Writers::new(ops, texts, Kind::Put),
            appends: Writers::new(ops, texts, Kind::Append),
            puts_by_call: of_kind(Kind::Put),
            appends_by_call,
            appends_by_end,
        }
    }

    pub(crate) fn op(&self, number: u32) -> Slim {
        self.ops[number as usize]
    }

    pub(crate) fn bytes(&self, number: u32) -> &'a [u8] {
        self.texts.bytes(self.op(number).text)
    }

    pub(crate) fn length(&self, number: u32) -> u32 {
        self.texts.place(self.op(number).text).length
    }
}

/// `reads` by rising call.
fn latest_put_before(ops: &[Slim], reads: &[u32]) -> Vec<(u64, u32)> {
    let mut puts: Vec<u32> =
        (0..ops.len() as u32).filter(|&number| ops[number as usize].kind == Kind::Put).collect();
    puts.sort_by_key(|&number| ops[number as usize].end);
    let mut latest = vec![(0, NONE); ops.len()];
    let mut newest = (0, INITIAL);
    let mut next = puts.into_iter().peekable();
    for &read in reads {
        let call = ops[read as usize].call;
        while let Some(put) = next.next_if(|&put| ops[put as usize].end < call) {
            newest = newest.max((ops[put as usize].call, put));
        }
        latest[read as usize] = newest;
    }
    latest
}
