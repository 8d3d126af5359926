//! Registers with compare-and-swap in which each value is written once: decided without a search.
//!
//! A value that is written once does not come back. So a compare-and-swap that replaced it comes right behind
//! its write and the reads that saw it, with no other write between; and so does the next one, which replaced
//! the new value. A write, the chain of compare-and-swaps behind it and all their reads stay together: they
//! are a block, as a put with its appends is (`keys::order::blocks`; Gibbons and Korach 1997, theorem 4.11).
//! One that never returned is part of a chain if its value was seen, and need not have happened otherwise.

use super::{INITIAL, NO_VALUE, Observed, RegisterOp, RegisterResult, Value, Values, written};
use crate::keys::order::blocks::{Blocks, Clash, Rows};
use crate::keys::order::slim::{self, Gathered, Kind, NONE, Slim};
use crate::keys::texts::Text;

/// An order of the operations, or a few that have none, given the writes that they saw.
pub(super) type Found = Result<Vec<u32>, Vec<u32>>;

/// Decides a register, if each value is written once, and each compare-and-swap that returned has swapped.
pub(super) fn decide<V: Value>(values: &Values, history: &Observed<V>) -> Option<Found> {
    let fits = |operation: &super::Of<V>| {
        matches!(
            (&operation.op, &operation.result),
            (RegisterOp::Read, None | Some(RegisterResult::Value(_)))
                | (RegisterOp::Write(_), None | Some(RegisterResult::Written))
                | (RegisterOp::CompareAndSwap { .. }, None | Some(RegisterResult::Swapped(true)))
        )
    };
    let once = |value| values.sources.of(value).len() <= usize::from(value != INITIAL);
    let simple = (0..values.sources.len() as u32).all(once) && history.operations().iter().all(fits);
    simple.then(|| Chains::new(values, history).arrange())
}

struct Chains<'a> {
    values: &'a Values,
    gathered: Gathered,
    /// For each value, which of the operations gathered wrote it.
    writer: Vec<u32>,
    /// For each write gathered, one that returned and shows that it happened.
    proof: Vec<u32>,
}

impl<'a> Chains<'a> {
    fn new<V: Value>(values: &'a Values, history: &Observed<V>) -> Chains<'a> {
        let slim = |(index, operation): (usize, &super::Of<V>)| {
            let kind = match &operation.op {
                RegisterOp::Read if operation.is_open() => return None,
                RegisterOp::Read => Kind::Get,
                RegisterOp::Write(_) => Kind::Put,
                RegisterOp::CompareAndSwap { .. } => Kind::Append,
            };
            debug_assert!(kind == Kind::Get || written(operation).is_some(), "what writes has a value");
            let (call, end) = (operation.call.saturating_add(1), operation.end.saturating_add(1));
            Some(Slim { call, end, text: Text::EMPTY, index: index as u32, kind })
        };
        let gathered = Gathered::of(history.operations().iter().enumerate().filter_map(slim).collect());
        let mut writer = vec![NONE; values.sources.len()];
        writer[INITIAL as usize] = slim::INITIAL;
        for (op, number) in gathered.ops[..gathered.writes].iter().zip(0..).skip(1) {
            writer[values.written[op.index as usize] as usize] = number;
        }
        let proof = vec![NONE; gathered.writes];
        Chains { values, gathered, writer, proof }
    }

    /// Which operation wrote what this one replaced or read.
    fn source(&self, op: u32) -> u32 {
        let index = self.gathered.ops[op as usize].index as usize;
        let needed = match self.values.seen[index] {
            NO_VALUE => self.values.needed[index],
            seen => seen,
        };
        self.writer[needed as usize]
    }

    fn is_swap(&self, op: u32) -> bool {
        self.gathered.ops[op as usize].kind == Kind::Append
    }

    /// Finds what surely happened: what returned, what that saw, and so on.
    fn prove(&mut self) {
        for op in 1..self.gathered.ops.len() as u32 {
            let returned = self.gathered.ops[op as usize].end != u64::MAX;
            let mut next = if returned { op } else { NONE };
            while next != NONE && self.is_new(next, op) {
                let sees = self.gathered.ops[next as usize].kind != Kind::Put;
                next = if sees { self.source(next) } else { NONE };
            }
        }
    }

    /// Notes that `proof` shows that `op` happened. Whether that is not known yet; of reads nothing is noted.
    fn is_new(&mut self, op: u32, proof: u32) -> bool {
        match self.proof.get_mut(op as usize) {
            Some(known) if *known != NONE => false,
            Some(unknown) => {
                *unknown = proof;
                true
            }
            None => true,
        }
    }

    fn arrange(mut self) -> Found {
        self.prove();
        let mut rows = Rows::default();
        rows.reset(&self.gathered);
        let mut chained = Vec::new();
        for swap in (1..self.gathered.writes as u32).filter(|&op| self.is_swap(op)) {
            if self.proof[swap as usize] == NONE {
                continue;
            }
            let source = self.source(swap);
            if source == NONE {
                return Err(self.named(&[swap]));
            }
            let follower = std::mem::replace(&mut rows.moments[source as usize].follower, swap);
            if follower != NONE {
                return Err(self.named(&[swap, follower]));
            }
            rows.moments[swap as usize].head = source;
            chained.push(swap);
        }
        self.find_heads(&mut rows, chained)?;
        for read in self.gathered.writes as u32..self.gathered.ops.len() as u32 {
            let source = self.source(read);
            if source == NONE {
                return Err(self.named(&[read]));
            }
            rows.note_read(&self.gathered.ops, read, source);
        }
        let mut blocks = Blocks::default();
        match blocks.arrange(&self.gathered, &rows) {
            Ok(()) => Ok(blocks.order(&self.gathered, &mut rows)),
            Err(Clash::Inside { before, after }) => Err(self.named(&[before, after])),
            Err(Clash::Between(one, other)) => {
                Err(self.named(&[one.first_by, one.last_by, other.first_by, other.last_by]))
            }
        }
    }

    /// Looks for compare-and-swaps that follow each other in a circle, where each value needs another one.
    fn find_heads(&self, rows: &mut Rows, mut chained: Vec<u32>) -> Result<(), Vec<u32>> {
        for head in (0..self.gathered.writes as u32).filter(|&op| !self.is_swap(op)) {
            let mut op = rows.moments[head as usize].follower;
            while op != NONE {
                rows.moments[op as usize].head = head;
                op = rows.moments[op as usize].follower;
            }
        }
        chained.retain(|&swap| self.is_swap(rows.moments[swap as usize].head));
        if chained.is_empty() { Ok(()) } else { Err(self.named(&chained)) }
    }

    /// These operations, and what shows that those among them happened that never returned, by their index in
    /// the history.
    fn named(&self, ops: &[u32]) -> Vec<u32> {
        let proofs = ops.iter().filter_map(|&op| self.proof.get(op as usize).copied());
        let all = ops.iter().copied().chain(proofs).filter(|&op| op != slim::INITIAL && op != NONE);
        let mut named: Vec<u32> = all.map(|op| self.gathered.ops[op as usize].index).collect();
        named.sort_unstable();
        named.dedup();
        named
    }
}
