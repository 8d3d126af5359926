//! Merges sorted runs of pairs into one sequence: each key once, with all its values.
//!
//! The merge bounds the memory of a reduce: it has one buffer for each run, for any length of the runs and
//! any number of values.

use std::cmp::Ordering;

use mapreduce::app::Values;
use mapreduce::tasks::TaskError;

use super::PROGRESS_EVERY;
use super::pair::{self, Reader};

/// The most runs that are merged at once. With more runs the buffers would be so small that the disk seeks
/// more than it reads, so more runs take another pass over the data.
pub(super) const FAN_IN: usize = 256;

/// The number of runs to merge first if there are more than [`FAN_IN`]. Merged pairs are written and read
/// once more, so this is the smallest number that leaves [`FAN_IN`] runs, but at most [`FAN_IN`].
pub(super) fn first_merge(runs: usize) -> usize {
    FAN_IN.min(runs - FAN_IN + 1)
}

/// The smallest and the largest buffer of a run.
const BUFFER: (usize, usize) = (16 << 10, 256 << 10);

/// The size of each run's buffer if this many runs are merged within `memory` bytes.
pub(super) fn buffer_size(memory: usize, runs: usize) -> usize {
    (memory / runs.max(1)).clamp(BUFFER.0, BUFFER.1)
}

/// A tree of losers (Knuth, *The Art of Computer Programming*, volume 3, §5.4.1). Each inner node keeps the
/// run that lost the match there. The next pair costs one comparison for each level; a heap needs two.
pub(super) struct Merge {
    runs: Vec<Reader>,
    /// The first bytes of each run's current key. They decide almost every match.
    prefixes: Vec<u64>,
    /// Whether the run still has a current pair.
    alive: Vec<bool>,
    /// The losers, in the layout of a heap. Node 0 has the overall winner.
    tree: Vec<usize>,
    /// Whether the winner's current pair was handed out, so the winner must advance before the next match. It
    /// cannot advance earlier, because the pair borrows from its buffer.
    spent: bool,
    /// Bytes of keys and values handed out so far.
    consumed: u64,
}

impl Merge {
    /// A merge of these runs, before the first key.
    pub(super) fn new(mut runs: Vec<Reader>) -> Result<Merge, TaskError> {
        let alive = runs.iter_mut().map(Reader::advance).collect::<Result<Vec<_>, _>>()?;
        let prefixes = runs.iter().map(|run| pair::prefix(run.key())).collect();
        let tree = vec![usize::MAX; runs.len().max(1)];
        let mut merge = Merge { runs, prefixes, alive, tree, spent: false, consumed: 0 };
        for run in 0..merge.runs.len() {
            merge.play(run);
        }
        Ok(merge)
    }

    /// Plays the matches of `run` from its leaf to the root. While the tree is being filled, the first run
    /// that reaches a node waits there.
    fn play(&mut self, run: usize) {
        let mut winner = run;
        // The leaves follow the inner nodes, so this is the leaf's parent.
        let mut place = (run + self.runs.len()) / 2;
        while place > 0 {
            let opponent = self.tree[place];
            if opponent == usize::MAX {
                self.tree[place] = winner;
                return;
            }
            if self.before(opponent, winner) {
                self.tree[place] = winner;
                winner = opponent;
            }
            place /= 2;
        }
        self.tree[0] = winner;
    }

    /// Whether `a`'s current pair comes before `b`'s. Equal keys keep the order of the runs, so equal inputs
    /// give equal outputs.
    fn before(&self, a: usize, b: usize) -> bool {
        // An ended run loses against all others.
        match (self.alive[a], self.alive[b]) {
            (true, true) => {}
            (a_lives, _) => return a_lives,
        }
        let by_key = || self.runs[a].key().cmp(self.runs[b].key());
        let order = self.prefixes[a].cmp(&self.prefixes[b]).then_with(by_key);
        order.then_with(|| a.cmp(&b)) == Ordering::Less
    }

    /// The run with the smallest current key; `None` at the end. First advances the run whose pair was handed
    /// out last.
    fn winner(&mut self) -> Result<Option<usize>, TaskError> {
        if self.runs.is_empty() {
            return Ok(None);
        }
        let winner = self.tree[0];
        if std::mem::take(&mut self.spent) {
            let run = &mut self.runs[winner];
            self.alive[winner] = run.advance()?;
            self.prefixes[winner] = pair::prefix(run.key());
            self.play(winner);
        }
        let winner = self.tree[0];
        Ok(self.alive[winner].then_some(winner))
    }

    /// Calls `visit` once for each key, in order, with its values. From time to time it calls `report` with
    /// the number of bytes so far.
    pub(super) fn for_each_key(
        mut self,
        mut report: impl FnMut(u64) -> Result<(), TaskError>,
        mut visit: impl FnMut(&str, &mut Group<'_>) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let mut key = String::new();
        let mut due = 0;
        while self.next_key(&mut key)? {
            if self.consumed >= due {
                report(self.consumed)?;
                due = self.consumed + PROGRESS_EVERY;
            }
            // The user's function need not take all values. The rest is skipped, since the next key follows
            // the last value.
            let mut values = Group { merge: &mut self, key: &key, error: None };
            visit(&key, &mut values)?;
            values.finish()?;
        }
        Ok(())
    }

    /// Puts the next key into `key`; false at the end. All values of the previous key must have been taken.
    ///
    /// If a key is not greater than the previous one, a run was not sorted. That is an error, since the
    /// user's function gets each key only once.
    fn next_key(&mut self, key: &mut String) -> Result<bool, TaskError> {
        let Some(winner) = self.winner()? else { return Ok(false) };
        let run = &self.runs[winner];
        let next = std::str::from_utf8(run.key()).map_err(|_| run.corrupt())?;
        if self.consumed > 0 && next <= key.as_str() {
            return Err(run.corrupt());
        }
        key.clear();
        key.push_str(next);
        Ok(true)
    }

    /// The next value of this key; `None` after the last one.
    fn next_value(&mut self, key: &str) -> Result<Option<&str>, TaskError> {
        let Some(winner) = self.winner()? else { return Ok(None) };
        let run = &self.runs[winner];
        if run.key() != key.as_bytes() {
            return Ok(None);
        }
        self.spent = true;
        self.consumed += (run.key().len() + run.value().len()).max(1) as u64;
        std::str::from_utf8(run.value()).map(Some).map_err(|_| run.corrupt())
    }
}

/// The values of one key.
pub(super) struct Group<'a> {
    merge: &'a mut Merge,
    key: &'a str,
    /// A read error. The user's function sees it as the end of the values.
    error: Option<TaskError>,
}

impl Values for Group<'_> {
    fn next(&mut self) -> Option<&str> {
        if self.error.is_some() {
            return None;
        }
        match self.merge.next_value(self.key) {
            Ok(value) => value,
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }
}

impl Group<'_> {
    /// Passes the values to `sink` until its first error.
    pub(super) fn try_for_each<E>(&mut self, sink: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        while let Some(value) = self.next() {
            sink(value)?;
        }
        Ok(())
    }

    /// Skips the remaining values, and returns the read error, if there was one.
    fn finish(mut self) -> Result<(), TaskError> {
        while self.next().is_some() {}
        self.error.map_or(Ok(()), Err)
    }
}
