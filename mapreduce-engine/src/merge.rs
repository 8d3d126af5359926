//! Merges sorted runs of pairs into one sequence: each key once, with all its values.
//!
//! The merge bounds the memory of a reduce: it holds one buffer for each run, however long the run and
//! however many values a key has.

use std::cmp::Ordering;

use mapreduce::app::Values;
use mapreduce::tasks::TaskError;

use super::PROGRESS_EVERY;
use super::pair::{self, Reader};

/// The most runs that are merged at once. With more, the buffers would be so small that the disk seeks more
/// than it reads; so a merge of more runs takes another pass over the data.
pub(super) const FAN_IN: usize = 256;

/// How many runs to merge first when there are more than [`FAN_IN`]. Merged pairs are written and read once
/// more, so this is the smallest number that leaves [`FAN_IN`] runs, or [`FAN_IN`] if that is not enough.
pub(super) fn first_merge(runs: usize) -> usize {
    FAN_IN.min(runs - FAN_IN + 1)
}

/// The largest and the smallest buffer of a run.
const BUFFER: (usize, usize) = (16 << 10, 256 << 10);

/// The size of each run's buffer when this many are merged within `memory` bytes.
pub(super) fn buffer_size(memory: usize, runs: usize) -> usize {
    (memory / runs.max(1)).clamp(BUFFER.0, BUFFER.1)
}

/// A tree of losers (Knuth, *The Art of Computer Programming*, volume 3, §5.4.1): each
/// inner place keeps the run that lost the match there, so that the next pair costs one
/// comparison for each level instead of a heap's two.
pub(super) struct Merge {
    runs: Vec<Reader>,
    /// The first bytes of each run's current key; they decide nearly every match.
    prefixes: Vec<u64>,
    /// Whether the run still has a current pair.
    alive: Vec<bool>,
    /// The losers, in the order of a heap; place 0 has the winner of all.
    tree: Vec<usize>,
    /// Whether the winner's current pair has been handed out, so that it must advance before the next match.
    /// It cannot advance sooner, because the pair is lent from its buffer.
    spent: bool,
    /// Bytes of keys and values handed out so far.
    consumed: u64,
}

impl Merge {
    /// A merge of these runs. It stands before the first key.
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

    /// Lets `run` play from its leaf to the root. While the tree is being filled, the first run that comes to
    /// a place waits there.
    fn play(&mut self, run: usize) {
        let mut winner = run;
        // The leaves stand behind the inner places, so that this is the leaf's parent.
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

    /// Whether `a`'s current pair comes before `b`'s. Equal keys come in the order of the
    /// runs, so that equal inputs give equal outputs.
    fn before(&self, a: usize, b: usize) -> bool {
        // A run that has ended loses against all others.
        match (self.alive[a], self.alive[b]) {
            (true, true) => {}
            (a_lives, _) => return a_lives,
        }
        let by_key = || self.runs[a].key().cmp(self.runs[b].key());
        let order = self.prefixes[a].cmp(&self.prefixes[b]).then_with(by_key);
        order.then_with(|| a.cmp(&b)) == Ordering::Less
    }

    /// The run with the smallest current key, if any is left. It first advances the run whose pair was handed
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

    /// Calls `visit` with each key, once, in order, and its values. From time to time it calls `report` with
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
            // The user's function need not take all values, but the next key begins after the last of them.
            let mut values = Group { merge: &mut self, key: &key, error: None };
            visit(&key, &mut values)?;
            values.finish()?;
        }
        Ok(())
    }

    /// Puts the next key into `key`; false if there is none. All values of the one before
    /// must have been taken.
    ///
    /// If a key does not come after the one before, a run was not sorted. This is an error, since the user's
    /// function gets each key only once.
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

    /// The next value of this key.
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
    /// An error of reading, which the user's function sees as the end of the values.
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
    /// Hands the values to `sink`, up to its first error.
    pub(super) fn try_for_each<E>(&mut self, sink: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        while let Some(value) = self.next() {
            sink(value)?;
        }
        Ok(())
    }

    /// Skips the remaining values, and returns the error, if there was one.
    fn finish(mut self) -> Result<(), TaskError> {
        while self.next().is_some() {}
        self.error.map_or(Ok(()), Err)
    }
}
