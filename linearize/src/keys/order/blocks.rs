//! Blocks: what must stay together, and whether the blocks can be put in a row.
//!
//! Between two puts the value only grows, so a put, the appends that were seen behind it and the reads
//! that saw them are contiguous in every linearization: a *block* (Gibbons and Korach 1997 call it a cluster
//! and use it for registers). A write that no read saw is a block by itself. For a block let `first` be the
//! earliest return in it and `last` the latest call. Block B must come before block C exactly if
//! `first(B) < last(C)`. If these demands have a cycle, they have one of two blocks: take the block of the
//! cycle with the smallest `first`, and the one before it. So a legal row exists exactly if
//!
//! - *forward* blocks (`first < last`) are pairwise disjoint as intervals `(first, last)`, and
//! - no *backward* block `[last, first]` lies inside a forward one.

use super::slim::{Gathered, INITIAL, Kind, NONE, Slim};

/// What is known of the moment right after a write took effect: which reads saw it, and what came next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The append that came next in the same block.
    pub(crate) follower: u32,
    /// The last read so far, by call, of this very text; the write itself if there is none.
    last_read: u32,
    /// The read that returned first, if it returned before the write; otherwise the write itself.
    earliest: u32,
    /// The put that heads the block, once a read saw this write; for a put, itself.
    pub(crate) head: u32,
}

/// Which read saw which write last, and which write follows which.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// One for each write.
    pub(crate) moments: Vec<Moment>,
    /// By operation: for a write the first read that saw it last, by call; for a read, the next one of the
    /// same write.
    next_read: Vec<u32>,
}

impl Rows {
    pub(crate) fn reset(&mut self, gathered: &Gathered) {
        self.moments.clear();
        let unseen = |write: u32| Moment { follower: NONE, last_read: write, earliest: write, head: NONE };
        self.moments.extend((0..gathered.writes as u32).map(unseen));
        self.next_read.clear();
        self.next_read.resize(gathered.ops.len(), NONE);
    }

    /// Notes that `read` saw `write` as the last one. Reads must come by rising call.
    #[inline]
    pub(crate) fn note_read(&mut self, ops: &[Slim], read: u32, write: u32) {
        let moment = &mut self.moments[write as usize];
        self.next_read[moment.last_read as usize] = read;
        moment.last_read = read;
        let earlier = ops[read as usize].end < ops[moment.earliest as usize].end;
        moment.earliest = if earlier { read } else { moment.earliest };
    }

    fn is_seen(&self, write: u32) -> bool {
        let moment = self.moments[write as usize];
        moment.last_read != write || moment.follower != NONE
    }
}

/// A block: its operation that returned first, and the one that was called last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) first_by: u32,
    pub(crate) last_by: u32,
    /// The write at its beginning.
    pub(crate) head: u32,
}

impl Block {
    /// A write alone.
    pub(crate) fn of(ops: &[Slim], head: u32) -> Block {
        let op = ops[head as usize];
        Block { first: op.end, last: op.call, first_by: head, last_by: head, head }
    }

    #[inline]
    pub(crate) fn add(&mut self, ops: &[Slim], member: u32) {
        self.add_returned(ops, member);
        self.add_called(ops, member);
    }

    #[inline]
    fn add_returned(&mut self, ops: &[Slim], member: u32) {
        let end = ops[member as usize].end;
        if end < self.first {
            self.first = end;
            self.first_by = member;
        }
    }

    #[inline]
    fn add_called(&mut self, ops: &[Slim], member: u32) {
        let call = ops[member as usize].call;
        if call > self.last {
            self.last = call;
            self.last_by = member;
        }
    }

    pub(crate) fn is_forward(&self) -> bool {
        self.first < self.last
    }
}

/// Why the blocks cannot be put in a row, or one of them not in itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clash {
    /// Within a block `before` comes before `after`, which had returned before `before` was called.
    Inside { before: u32, after: u32 },
    /// Each of the two must come before the other.
    Between(Block, Block),
}

/// The blocks of one key.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    forward: Vec<Block>,
    backward: Vec<Block>,
    /// (where in time, whether forward, head) for each block, once in order.
    row: Vec<(u64, bool, u32)>,
}

impl Blocks {
    /// Forms all blocks and puts them in a row, if that can be done.
    pub(crate) fn arrange(&mut self, gathered: &Gathered, rows: &Rows) -> Result<(), Clash> {
        let ops = &gathered.ops;
        self.forward.clear();
        self.backward.clear();
        self.row.clear();
        for (op, head) in ops[..gathered.writes].iter().zip(0..) {
            let block = match op.kind {
                Kind::Append if rows.moments[head as usize].head != NONE => continue,
                Kind::Put if head == INITIAL || rows.is_seen(head) => walk(ops, rows, head)?,
                // Nobody saw it, and it need not have happened.
                _ if op.end == u64::MAX => continue,
                _ => Block::of(ops, head),
            };
            if block.is_forward() {
                self.forward.push(block);
            } else {
                self.backward.push(block);
            }
        }
        self.place_forward()?;
        self.place_backward()
    }

    fn place_forward(&mut self) -> Result<(), Clash> {
        self.forward.sort_by_key(|block| block.first);
        for pair in self.forward.windows(2) {
            if pair[1].first < pair[0].last {
                return Err(Clash::Between(pair[0], pair[1]));
            }
        }
        Ok(())
    }

    /// A backward block goes to its `last`, or behind the forward block that reaches over that.
    fn place_backward(&mut self) -> Result<(), Clash> {
        let mut next = 0;
        for &block in &self.backward {
            // The blocks come nearly by rising time, so the place is near the last one.
            while next > 0 && self.forward[next - 1].first >= block.last {
                next -= 1;
            }
            while next < self.forward.len() && self.forward[next].first < block.last {
                next += 1;
            }
            let over = next.checked_sub(1).map(|at| self.forward[at]);
            let mut place = block.last;
            if let Some(over) = over {
                if block.first < over.last {
                    return Err(Clash::Between(over, block));
                }
                place = place.max(over.last);
            }
            self.row.push((place, false, block.head));
        }
        Ok(())
    }

    /// The order in which everything took effect, by index in the history. Uses `rows` up.
    pub(crate) fn order(&mut self, gathered: &Gathered, rows: &mut Rows) -> Vec<u32> {
        let ops = &gathered.ops;
        self.row.extend(self.forward.iter().map(|block| (block.first, true, block.head)));
        // At equal times a backward block goes first: it may have to, and never has to go second.
        self.row.sort_by_key(|&(place, forward, _)| (place, forward));
        let Rows { moments, next_read: next } = rows;
        // Behind the last read of a write comes its follower, so that a block is one row.
        for moment in moments {
            next[moment.last_read as usize] = moment.follower;
        }
        let mut order = Vec::with_capacity(ops.len());
        for &(_, _, head) in &self.row {
            let mut op = if head == INITIAL { next[head as usize] } else { head };
            while op != NONE {
                order.push(ops[op as usize].index);
                op = next[op as usize];
            }
        }
        order
    }
}

/// Walks through the block of `head` in the order that the reads showed, and looks for an operation that
/// returned before one that comes earlier was called.
fn walk(ops: &[Slim], rows: &Rows, head: u32) -> Result<Block, Clash> {
    let mut block = Block::of(ops, head);
    let mut write = head;
    loop {
        // `last_by` is the latest call among all that comes before.
        if ops[write as usize].end < block.last {
            return Err(Clash::Inside { before: block.last_by, after: write });
        }
        block.add(ops, write);
        let moment = rows.moments[write as usize];
        if ops[moment.earliest as usize].end < block.last {
            return Err(Clash::Inside { before: block.last_by, after: moment.earliest });
        }
        block.add_returned(ops, moment.earliest);
        block.add_called(ops, moment.last_read);
        if moment.follower == NONE {
            return Ok(block);
        }
        write = moment.follower;
    }
}

/// Puts operations without effect into an order, each behind everything that may have happened by its return.
pub(crate) fn insert_idle(
    order: Vec<u32>,
    idle: &[u32],
    call: impl Fn(u32) -> u64,
    end: impl Fn(u32) -> u64,
) -> Vec<u32> {
    if idle.is_empty() {
        return order;
    }
    let mut idle = idle.to_vec();
    // Ties by call: of two that return together either may come first, unless one returned before the other's
    // call.
    idle.sort_by_key(|&index| (end(index), call(index)));
    let mut waiting = idle.into_iter().peekable();
    let mut merged = Vec::with_capacity(order.len() + waiting.len());
    let mut latest_call = 0;
    for index in order {
        latest_call = latest_call.max(call(index));
        while let Some(ready) = waiting.next_if(|&other| end(other) < latest_call) {
            merged.push(ready);
        }
        merged.push(index);
    }
    merged.extend(waiting);
    merged
}
