//! What changes while the constraint problem is solved: which reads and appends stand behind which put, and
//! the block that they form.

use std::collections::BTreeSet;

use super::problem::Problem;
use crate::keys::order::slim::{INITIAL, NONE};

/// Why a choice is impossible: the operations whose places cannot be reconciled with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conflict {
    pub(crate) ops: Vec<u32>,
    /// Choices of how to cut a text that played a part, besides the places of `ops`.
    pub(crate) forks: Vec<u32>,
}

impl Conflict {
    fn between(ops: &[u32]) -> Conflict {
        Conflict { ops: ops.to_vec(), forks: Vec::new() }
    }
}

/// A write in the row behind a put; the put itself is the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) op: u32,
    /// Where its part of the text ends.
    pub(crate) end: u32,
    /// The latest call of this write and those before it, and whose that is.
    max_call: u64,
    max_by: u32,
    /// The newest choice up to here at which the text could have been cut differently; [`NONE`] if there is
    /// none.
    pub(crate) fork: u32,
    /// The earliest return of a read of exactly this text, and whose that is.
    read_end: u64,
    read_by: u32,
}

/// The part of an epoch that is saved whole before it changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Core {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) first_by: u32,
    pub(crate) last_by: u32,
    /// The read that showed the longest text; [`NONE`] at first.
    pub(crate) text_by: u32,
    max_read_call: u64,
    max_read_by: u32,
    /// The block inside of which no append is left over, as far as that was checked.
    checked: (u64, u64),
    tokens: u32,
    grown: bool,
}

impl Core {
    fn is_forward(&self) -> bool {
        self.first < self.last
    }
}

/// A put, with what is thought to stand behind it.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    pub(crate) core: Core,
    pub(crate) tokens: Vec<Token>,
}

/// How to undo a step.
enum Undo {
    Core(u32, Core),
    Read { epoch: u32, at: u32, end: u64, by: u32 },
    Placed(u32),
}

/// All epochs, with a journal of changes.
pub(crate) struct Epochs<'a> {
    problem: &'a Problem<'a>,
    /// By operation: the epoch that a put heads.
    number: Vec<u32>,
    epochs: Vec<Epoch>,
    /// By operation: the level of the choice that put it where it is.
    pub(crate) level_of: Vec<u32>,
    /// By read: the last write that it saw.
    pub(crate) saw: Vec<u32>,
    journal: Vec<Undo>,
    /// (first, epoch) of forward blocks.
    forward: BTreeSet<(u64, u32)>,
    /// (last, epoch) of backward blocks that are more than a put.
    backward: BTreeSet<(u64, u32)>,
}

impl<'a> Epochs<'a> {
    pub(crate) fn new(problem: &'a Problem<'a>) -> Self {
        let mut number = vec![NONE; problem.ops.len()];
        let mut epochs = Vec::with_capacity(problem.puts_by_call.len());
        for (epoch, &put) in problem.puts_by_call.iter().enumerate() {
            number[put as usize] = epoch as u32;
            epochs.push(fresh(problem, put));
        }
        Epochs {
            problem,
            number,
            epochs,
            level_of: vec![NONE; problem.ops.len()],
            saw: vec![NONE; problem.ops.len()],
            journal: Vec::new(),
            forward: BTreeSet::new(),
            backward: BTreeSet::new(),
        }
    }

    pub(crate) fn of_put(&self, put: u32) -> u32 {
        self.number[put as usize]
    }

    pub(crate) fn epoch(&self, epoch: u32) -> &Epoch {
        &self.epochs[epoch as usize]
    }

    pub(crate) fn all(&self) -> &[Epoch] {
        &self.epochs
    }

    /// How long the text of an epoch is as far as it has been cut.
    pub(crate) fn length(&self, epoch: u32) -> u32 {
        self.epochs[epoch as usize].tokens.last().map_or(0, |token| token.end)
    }

    pub(crate) fn mark(&self) -> usize {
        self.journal.len()
    }

    pub(crate) fn undo_to(&mut self, mark: usize) {
        while self.journal.len() > mark {
            match self.journal.pop() {
                Some(Undo::Core(epoch, core)) => {
                    self.unindex(epoch);
                    let target = &mut self.epochs[epoch as usize];
                    target.tokens.truncate(core.tokens as usize);
                    target.core = core;
                    self.index(epoch);
                }
                Some(Undo::Read { epoch, at, end, by }) => {
                    let token = &mut self.epochs[epoch as usize].tokens[at as usize];
                    (token.read_end, token.read_by) = (end, by);
                }
                Some(Undo::Placed(op)) => self.level_of[op as usize] = NONE,
                None => break,
            }
        }
    }

    fn unindex(&mut self, epoch: u32) {
        let core = self.epochs[epoch as usize].core;
        if core.is_forward() {
            self.forward.remove(&(core.first, epoch));
        } else if core.grown {
            self.backward.remove(&(core.last, epoch));
        }
    }

    fn index(&mut self, epoch: u32) {
        let core = self.epochs[epoch as usize].core;
        if core.is_forward() {
            self.forward.insert((core.first, epoch));
        } else if core.grown {
            self.backward.insert((core.last, epoch));
        }
    }

    fn save(&mut self, epoch: u32) {
        self.journal.push(Undo::Core(epoch, self.epochs[epoch as usize].core));
    }

    /// How much longer the forward part of an epoch's block gets if `op` joins it.
    pub(crate) fn growth(&self, epoch: u32, op: u32) -> u64 {
        let core = self.epochs[epoch as usize].core;
        let op = self.problem.op(op);
        let now = core.last.saturating_sub(core.first);
        core.last.max(op.call).saturating_sub(core.first.min(op.end)) - now
    }

    /// Lets `op` join the block of `epoch`, by the choice at `level`.
    fn join(&mut self, epoch: u32, op: u32, level: u32) -> Result<(), Conflict> {
        self.save(epoch);
        if self.level_of[op as usize] == NONE {
            self.journal.push(Undo::Placed(op));
            self.level_of[op as usize] = level;
        }
        self.unindex(epoch);
        let slim = self.problem.op(op);
        let core = &mut self.epochs[epoch as usize].core;
        core.grown = true;
        if slim.end < core.first {
            (core.first, core.first_by) = (slim.end, op);
        }
        if slim.call > core.last {
            (core.last, core.last_by) = (slim.call, op);
        }
        self.index(epoch);
        self.check_blocks(epoch)
    }

    /// Looks for another block that would have to come both before and after this one.
    fn check_blocks(&self, epoch: u32) -> Result<(), Conflict> {
        let core = self.epochs[epoch as usize].core;
        if core.is_forward() {
            let after = self.forward.range((core.first, epoch + 1)..).next();
            let before = self.forward.range(..(core.first, epoch)).next_back();
            for &(_, other) in after.into_iter().chain(before) {
                let theirs = self.epochs[other as usize].core;
                if theirs.first < core.last && core.first < theirs.last {
                    return Err(self.clash(epoch, other));
                }
            }
            return self.check_backward_inside(epoch);
        }
        let over = self.forward.range(..(core.last, 0)).next_back();
        match over {
            Some(&(_, other)) if core.first < self.epochs[other as usize].core.last => {
                Err(self.clash(epoch, other))
            }
            _ => Ok(()),
        }
    }

    fn check_backward_inside(&self, epoch: u32) -> Result<(), Conflict> {
        let core = self.epochs[epoch as usize].core;
        let grown = self.backward.range((core.first + 1, 0)..(core.last, 0));
        for &(_, other) in grown {
            if self.epochs[other as usize].core.first < core.last {
                return Err(self.clash(epoch, other));
            }
        }
        let puts = &self.problem.puts_by_call;
        let from = puts.partition_point(|&put| self.problem.op(put).call <= core.first);
        for (offset, &put) in puts[from..].iter().enumerate() {
            let op = self.problem.op(put);
            if op.call >= core.last {
                break;
            }
            let other = (from + offset) as u32;
            if op.end < core.last && other != epoch && !self.epochs[other as usize].core.grown {
                return Err(self.clash(epoch, other));
            }
        }
        Ok(())
    }

    fn clash(&self, one: u32, other: u32) -> Conflict {
        let (one, other) = (self.epochs[one as usize].core, self.epochs[other as usize].core);
        Conflict::between(&[one.first_by, one.last_by, other.first_by, other.last_by])
    }

    /// Puts `read` behind the put of `epoch`, as far as that can be judged by its text and its times.
    pub(crate) fn choose(&mut self, epoch: u32, read: u32, level: u32) -> Result<(), Conflict> {
        let target = &self.epochs[epoch as usize];
        let known = match target.core.text_by {
            NONE => self.problem.bytes(target.tokens[0].op),
            by => self.problem.bytes(by),
        };
        let bytes = self.problem.bytes(read);
        let common = known.len().min(bytes.len());
        let same = self.problem.op(read).text;
        let agree = target.core.text_by != NONE && self.problem.op(target.core.text_by).text == same;
        if !agree && known[..common] != bytes[..common] {
            return Err(Conflict::between(&[read, target.core.text_by]));
        }
        let longer = bytes.len() > known.len() || target.core.text_by == NONE;
        self.join(epoch, read, level)?;
        if longer {
            self.epochs[epoch as usize].core.text_by = read;
        }
        if self.length(epoch) >= bytes.len() as u32 { self.settle(epoch, read) } else { Ok(()) }
    }

    /// Puts `append` next in the row of `epoch`, because `read` shows it there.
    pub(crate) fn push(
        &mut self,
        epoch: u32,
        append: u32,
        read: u32,
        level: u32,
        fork: u32,
    ) -> Result<(), Conflict> {
        let before = self.epochs[epoch as usize].tokens.last().copied();
        let (end, max) = before.map_or((0, (0, NONE)), |token| (token.end, (token.max_call, token.max_by)));
        let op = self.problem.op(append);
        let (max_call, max_by) = max.max((op.call, append));
        self.join(epoch, append, level)?;
        self.epochs[epoch as usize].tokens.push(Token {
            op: append,
            end: end + self.problem.length(append),
            max_call,
            max_by,
            fork,
            read_end: u64::MAX,
            read_by: NONE,
        });
        self.epochs[epoch as usize].core.tokens += 1;
        if self.length(epoch) == self.problem.length(read) { self.settle(epoch, read) } else { Ok(()) }
    }

    /// The bound below which no further append of this epoch can have returned, and whose call that is.
    pub(crate) fn floor(&self, epoch: u32) -> (u64, u32) {
        let target = &self.epochs[epoch as usize];
        let chain = target.tokens.last().map_or((0, NONE), |token| (token.max_call, token.max_by));
        chain.max((target.core.max_read_call, target.core.max_read_by))
    }

    /// Gives `read` its place among the writes of its epoch, all of which are there by now.
    fn settle(&mut self, epoch: u32, read: u32) -> Result<(), Conflict> {
        let target = &self.epochs[epoch as usize];
        let length = self.problem.length(read);
        let op = self.problem.op(read);
        let at = target.tokens.partition_point(|token| token.end < length);
        let token = target.tokens[at];
        if token.end != length {
            let mut conflict = Conflict::between(&[read, token.op, target.core.text_by]);
            conflict.forks.push(token.fork);
            return Err(conflict);
        }
        if op.end < token.max_call {
            return Err(Conflict::between(&[read, token.max_by]));
        }
        // Whatever comes later must not have returned before this was called.
        for later in &target.tokens[at + 1..] {
            let early = if self.problem.op(later.op).end < op.call { later.op } else { later.read_by };
            if self.problem.op(later.op).end < op.call || later.read_end < op.call {
                return Err(Conflict::between(&[read, early, target.core.text_by]));
            }
        }
        self.journal.push(Undo::Read { epoch, at: at as u32, end: token.read_end, by: token.read_by });
        self.save(epoch);
        self.saw[read as usize] = token.op;
        let target = &mut self.epochs[epoch as usize];
        if op.end < token.read_end {
            let token = &mut target.tokens[at];
            (token.read_end, token.read_by) = (op.end, read);
        }
        if op.call > target.core.max_read_call {
            (target.core.max_read_call, target.core.max_read_by) = (op.call, read);
        }
        self.check_left_over(epoch)
    }

    /// All appends of this block are known now. An append that was called and returned inside it must be one
    /// of them.
    fn check_left_over(&mut self, epoch: u32) -> Result<(), Conflict> {
        let core = self.epochs[epoch as usize].core;
        if !core.is_forward() {
            return Ok(());
        }
        let (checked_first, checked_last) = core.checked;
        let some = checked_first < checked_last;
        let by_call = &self.problem.appends_by_call;
        let from = by_call.partition_point(|&append| self.problem.op(append).call <= core.first);
        let until = if some { checked_first } else { core.last };
        for &append in &by_call[from..] {
            let op = self.problem.op(append);
            if op.call > until {
                break;
            }
            if op.end < core.last && self.level_of[append as usize] == NONE {
                return Err(self.left_over(epoch, append));
            }
        }
        if some {
            let by_end = &self.problem.appends_by_end;
            let from = by_end.partition_point(|&append| self.problem.op(append).end < checked_last);
            for &append in &by_end[from..] {
                let op = self.problem.op(append);
                if op.end >= core.last {
                    break;
                }
                if op.call > core.first && self.level_of[append as usize] == NONE {
                    return Err(self.left_over(epoch, append));
                }
            }
        }
        self.save(epoch);
        self.epochs[epoch as usize].core.checked = (core.first, core.last);
        Ok(())
    }

    /// `append` could only be where an append of the same text is, or if the text were cut differently.
    fn left_over(&self, epoch: u32, append: u32) -> Conflict {
        let target = &self.epochs[epoch as usize];
        let mut conflict =
            Conflict::between(&[target.core.first_by, target.core.last_by, target.core.text_by, append]);
        let text = self.problem.op(append).text;
        let twins = target.tokens.iter().skip(1).filter(|token| self.problem.op(token.op).text == text);
        conflict.forks.extend(twins.map(|token| self.level_of[token.op as usize]));
        conflict.forks.extend(target.tokens.last().map(|token| token.fork));
        conflict
    }
}

fn fresh(problem: &Problem<'_>, put: u32) -> Epoch {
    let op = problem.op(put);
    let core = Core {
        first: op.end,
        last: op.call,
        first_by: put,
        last_by: put,
        text_by: NONE,
        max_read_call: 0,
        max_read_by: NONE,
        checked: (u64::MAX, 0),
        tokens: 1,
        // The initial put is before everything, so nothing can go wrong with it while no read saw it.
        grown: put == INITIAL,
    };
    let token = Token {
        op: put,
        end: problem.length(put),
        max_call: op.call,
        max_by: put,
        fork: NONE,
        read_end: u64::MAX,
        read_by: NONE,
    };
    Epoch { core, tokens: vec![token] }
}
