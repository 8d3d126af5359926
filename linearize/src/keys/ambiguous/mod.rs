//! Texts that do not name their write: a constraint problem, solved by conflict-directed backjumping.
//!
//! If the same text was put, or appended, several times, or a row of appended texts can be cut in several
//! ways, then it must be chosen which write each read saw. The variables are the reads, in the order of their
//! returns (which put do they stand behind?), and the parts of their texts (which append is this?). Once all
//! are chosen, the history is linearizable exactly if its blocks can be put in a row (`order::blocks`). And
//! that can be judged while choosing: what joins a block only makes its `first` fall and its `last` rise, so
//! a clash of two blocks stays one whatever is chosen later.
//!
//! The culprits of a clash are only the operations that set `first` and `last` of the two. So if a variable
//! runs out of values, the search goes back to the newest choice that was a culprit at all (Prosser 1993),
//! not to the newest one. Clashes are local in time, which makes this nearly linear in practice although the
//! problem is NP-complete (Gibbons and Korach 1997, theorem 3.1).
//!
//! Where many clients append few texts, there are so many appends for each part of a text that to choose
//! among them is hopeless, and pointless. Then [`walk`] takes over.

mod epochs;
mod problem;
mod tree;
pub(crate) mod walk;

use epochs::{Conflict, Epochs};
use problem::Problem;

use crate::keys::order::blocks::Rows;
use crate::keys::order::slim::{Gathered, Kind, NONE};
use crate::keys::texts::Texts;
use crate::limits::{Limits, Progress};
use crate::verdict::Limit;

/// What comes of it.
pub(crate) enum Solved {
    /// Which read saw which write.
    Rows(Rows),
    /// There is no way; `read` found no place, and `blame` are operations that stood in its way.
    Nothing { read: u32, blame: Vec<u32> },
    /// The limits came first.
    Limited { limit: Limit, states: u64, read: u32 },
}

/// What is to be chosen.
#[derive(Clone, Copy, Debug)]
enum Variable {
    /// Behind which put this read stands.
    Epoch { read: u32 },
    /// Which append is the next in the row of `epoch`, as `read` shows it.
    Next { read: u32, epoch: u32 },
}

impl Variable {
    fn read(self) -> u32 {
        match self {
            Variable::Epoch { read } | Variable::Next { read, .. } => read,
        }
    }
}

/// A choice.
struct Level {
    variable: Variable,
    /// Where its candidates stand in [`Solver::candidates`]: the next one, and the end.
    next: u32,
    end: u32,
    first: u32,
    mark: usize,
    /// The next read to choose for, once this one's text is cut.
    rank: u32,
    /// Older choices that have ruled out a candidate.
    culprits: Vec<u32>,
    /// The operations of the last conflict.
    blame: Vec<u32>,
}

struct Solver<'a> {
    problem: &'a Problem<'a>,
    epochs: Epochs<'a>,
    levels: Vec<Level>,
    candidates: Vec<u32>,
}

/// Finds out which read saw which write.
pub(crate) fn solve(texts: &Texts, gathered: &Gathered, limits: &Limits, progress: &Progress) -> Solved {
    let problem = Problem::new(texts, gathered);
    let mut solver = Solver {
        problem: &problem,
        epochs: Epochs::new(&problem),
        levels: Vec::new(),
        candidates: Vec::new(),
    };
    solver.run(limits, progress)
}

impl Solver<'_> {
    fn run(&mut self, limits: &Limits, progress: &Progress) -> Solved {
        let mut states = 0;
        let solved = self.search(limits, progress, &mut states);
        progress.add_states(states & 0xfff);
        solved
    }

    fn search(&mut self, limits: &Limits, progress: &Progress, states: &mut u64) -> Solved {
        let Some(&read) = self.problem.reads.first() else { return Solved::Rows(self.rows()) };
        self.open(Variable::Epoch { read }, 0);
        loop {
            let level = self.levels.len() - 1;
            let top = &mut self.levels[level];
            self.epochs.undo_to(top.mark);
            if top.next == top.end {
                if let Some(end) = self.jump_back() {
                    return end;
                }
                continue;
            }
            let candidate = self.candidates[top.next as usize];
            top.next += 1;
            *states += 1;
            if *states & 0xfff == 0 {
                progress.add_states(0x1000);
            }
            if let Some(limit) = self.over_limit(*states, limits) {
                return Solved::Limited { limit, states: *states, read: self.levels[level].variable.read() };
            }
            match self.attempt(level as u32, candidate) {
                Err(conflict) => self.note(level, conflict),
                Ok(()) => match self.next_variable(level) {
                    Some((variable, rank)) => self.open(variable, rank),
                    None => return Solved::Rows(self.rows()),
                },
            }
        }
    }

    fn over_limit(&self, states: u64, limits: &Limits) -> Option<Limit> {
        if states >= limits.states {
            return Some(Limit::States);
        }
        // To add up the memory takes longer than to visit a state.
        if states & 0xfff != 0 {
            return None;
        }
        // Each level has its place, its candidates, a few journal entries and at most as many culprits as
        // levels; what is long among those is rare, so it is counted by what is reserved.
        let culprits: usize = self.levels.iter().map(|level| level.culprits.capacity()).sum();
        let bytes = self.levels.capacity() * size_of::<Level>()
            + (self.candidates.capacity() + culprits) * 4
            + self.epochs.mark() * 128;
        (bytes > limits.memory).then_some(Limit::Memory)
    }

    fn attempt(&mut self, level: u32, candidate: u32) -> Result<(), Conflict> {
        match self.levels[level as usize].variable {
            Variable::Epoch { read } => self.epochs.choose(candidate, read, level),
            Variable::Next { read, epoch } => {
                let top = &self.levels[level as usize];
                let lengths = self.candidates[top.first as usize..top.end as usize]
                    .iter()
                    .map(|&op| self.problem.length(op));
                let forked = lengths.clone().min() != lengths.max();
                let before = self.epochs.epoch(epoch).tokens.last().map_or(NONE, |token| token.fork);
                self.epochs.push(epoch, candidate, read, level, if forked { level } else { before })
            }
        }
    }

    /// What is to be chosen after the choice at `level`: the rest of the text, then the next read.
    fn next_variable(&self, level: usize) -> Option<(Variable, u32)> {
        let Level { variable, rank, next, .. } = self.levels[level];
        let (read, epoch) = match variable {
            Variable::Epoch { read } => (read, self.candidates[next as usize - 1]),
            Variable::Next { read, epoch } => (read, epoch),
        };
        if self.epochs.length(epoch) < self.problem.length(read) {
            return Some((Variable::Next { read, epoch }, rank));
        }
        let rank = rank + 1;
        let read = *self.problem.reads.get(rank as usize)?;
        Some((Variable::Epoch { read }, rank))
    }

    fn open(&mut self, variable: Variable, rank: u32) {
        let first = self.candidates.len() as u32;
        let (culprits, blame) = match variable {
            Variable::Epoch { read } => self.find_epochs(read),
            Variable::Next { read, epoch } => self.find_appends(read, epoch),
        };
        let end = self.candidates.len() as u32;
        self.levels.push(Level {
            variable,
            next: first,
            end,
            first,
            mark: self.epochs.mark(),
            rank,
            culprits,
            blame,
        });
    }

    /// The puts that `read` can have seen, first the one that it stretches least.
    fn find_epochs(&mut self, read: u32) -> (Vec<u32>, Vec<u32>) {
        let Problem { texts, ops, has_appends, ref puts, .. } = *self.problem;
        let (replaced, replaced_by) = self.problem.replaced[read as usize];
        let first = self.candidates.len();
        let span = (replaced, self.problem.op(read).end);
        let candidates = &mut self.candidates;
        let epochs = &self.epochs;
        puts.matching(texts, ops, self.problem.bytes(read), !has_appends, span, |put| {
            candidates.push(epochs.of_put(put));
        });
        if candidates.len() - first > 1 {
            candidates[first..].sort_by_key(|&epoch| (epochs.growth(epoch, read), std::cmp::Reverse(epoch)));
        }
        let blame = if candidates.len() == first { vec![read, replaced_by] } else { Vec::new() };
        (Vec::new(), blame)
    }

    /// The appends that `read` can show next, first the one that returns first: of equal texts, the other may
    /// be needed later.
    fn find_appends(&mut self, read: u32, epoch: u32) -> (Vec<u32>, Vec<u32>) {
        let Problem { texts, ops, ref appends, .. } = *self.problem;
        let from = self.epochs.length(epoch) as usize;
        let bytes = &self.problem.bytes(read)[from..];
        let first = self.candidates.len();
        let (floor, floor_by) = self.epochs.floor(epoch);
        let mut culprits = vec![self.epochs.level_of[read as usize]];
        culprits.extend(self.epochs.epoch(epoch).tokens.last().map(|token| token.fork));
        culprits.extend(self.epochs.level_of.get(floor_by as usize));
        let candidates = &mut self.candidates;
        let level_of = &self.epochs.level_of;
        let mut taken = Vec::new();
        appends.matching(texts, ops, bytes, false, (floor, self.problem.op(read).end), |append| {
            if level_of[append as usize] == NONE {
                candidates.push(append);
            } else {
                culprits.push(level_of[append as usize]);
                taken.push(append);
            }
        });
        candidates[first..].sort_by_key(|&append| (ops[append as usize].end, append));
        let mut blame = vec![read, floor_by];
        blame.append(&mut taken);
        (culprits, blame)
    }

    fn note(&mut self, level: usize, conflict: Conflict) {
        let level_of = &self.epochs.level_of;
        let top = &mut self.levels[level];
        // What was placed by this very choice is no older culprit, and is undone before the next.
        let older = conflict.ops.iter().filter_map(|&op| level_of.get(op as usize).copied());
        top.culprits.extend(older.chain(conflict.forks).filter(|&other| (other as usize) < level));
        if top.culprits.len() > 64 {
            top.culprits.sort_unstable();
            top.culprits.dedup();
        }
        top.blame = conflict.ops;
    }

    /// Takes back everything up to the newest choice that has to do with the dead end.
    fn jump_back(&mut self) -> Option<Solved> {
        let dead = self.levels.pop()?;
        self.candidates.truncate(dead.first as usize);
        let mut culprits = dead.culprits;
        culprits.retain(|&level| level != NONE);
        culprits.sort_unstable();
        culprits.dedup();
        let Some(target) = culprits.pop() else {
            let mut blame = dead.blame;
            blame.retain(|&op| op != NONE);
            return Some(Solved::Nothing { read: dead.variable.read(), blame });
        };
        while self.levels.len() > target as usize + 1 {
            if let Some(level) = self.levels.pop() {
                self.epochs.undo_to(level.mark);
                self.candidates.truncate(level.first as usize);
            }
        }
        let top = &mut self.levels[target as usize];
        top.culprits.extend(culprits);
        if top.blame.is_empty() {
            top.blame = dead.blame;
        }
        None
    }

    /// The choices, once all are made, as the rest of the method wants them.
    fn rows(&self) -> Rows {
        let mut rows = Rows::default();
        rows.reset(self.problem.gathered);
        for epoch in self.epochs.all() {
            let head = epoch.tokens[0].op;
            for pair in epoch.tokens.windows(2) {
                rows.moments[pair[0].op as usize].follower = pair[1].op;
                rows.moments[pair[1].op as usize].head = head;
            }
        }
        for (number, op) in self.problem.ops.iter().enumerate() {
            if op.kind == Kind::Get {
                rows.note_read(self.problem.ops, number as u32, self.epochs.saw[number]);
            }
        }
        rows
    }
}
