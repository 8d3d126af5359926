//! What a solution keeps beside its state so that an [`Observer`] can follow it.

use crate::observer::{Observer, Role, View, digest};

/// How many old entries each call of [`Probe::show`] compares besides those at the end of the log.
const REVISITED: u64 = 4;

/// The window of one server: shows its state to the observer, if there is one, and finds out by itself which
/// entries of the log have changed since the last time.
///
/// It costs little for a long log. A correct Raft changes its log only at the end, so the probe compares
/// entries from the end backwards until one is as it was. A wrong one might change an entry in the middle; a
/// few older entries are compared in turn at each call, so that this shows soon, too.
#[derive(Default)]
pub struct Probe {
    observer: Option<Box<dyn Observer>>,
    /// What was shown last.
    last: Option<(Shown, u64)>,
    /// Term and digest of each entry that was shown last; the first belongs to index `base + 1`.
    entries: Vec<(u64, u64)>,
    base: u64,
    /// Where the comparison of older entries goes on.
    revisit: u64,
}

/// The state that [`Probe::show`] shows beside the log, in the words of the paper's Figure 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The current term.
    pub term: u64,
    /// What the server is in that term.
    pub role: Role,
    /// Highest index known to be committed.
    pub commit_index: u64,
    /// Last index that the snapshot covers; 0 if there is none. The log begins behind it.
    pub last_included_index: u64,
}

impl Probe {
    /// From now on the observer is shown what [`Probe::show`] is called with, everything at the first call.
    pub fn attach(&mut self, observer: Box<dyn Observer>) {
        *self = Probe { observer: Some(observer), ..Probe::default() };
    }

    /// Shows the state. To be called under the lock that protects it, after a change and before the lock is
    /// given up. `last_index` is the last index of the log (or of the snapshot, if the log is empty). `entry`
    /// gives term and command at an index behind the snapshot and up to `last_index`.
    ///
    /// Does nothing without an observer, or if nothing has changed.
    ///
    /// # Panics
    /// If the observer finds that the state breaks an invariant; if `last_index` is before the snapshot's
    /// last index.
    #[track_caller]
    pub fn show<C: AsRef<[u8]>>(&mut self, shown: Shown, last_index: u64, entry: impl Fn(u64) -> (u64, C)) {
        // A thread that is being unwound may leave a change half done.
        if self.observer.is_none() || labrt::thread::panicking() {
            return;
        }
        let base = shown.last_included_index;
        assert!(
            last_index >= base,
            "the log that is shown ends at index {last_index}, before the snapshot's last index {base}: all indices count \
             from the log's first entry on, whatever the snapshot replaces"
        );
        let known = |index| {
            let (term, command) = entry(index);
            (term, digest(command.as_ref()))
        };
        let changed_from = self.take_log(base, last_index, &known);
        if changed_from == u64::MAX && self.last == Some((shown, last_index)) {
            return;
        }
        self.last = Some((shown, last_index));
        let (base, entries) = (self.base, &self.entries);
        let view = View {
            term: shown.term,
            role: shown.role,
            commit_index: shown.commit_index,
            last_included_index: shown.last_included_index,
            last_index,
            changed_from,
            entry: &|index| entries.get(usize::try_from(index.checked_sub(base + 1)?).ok()?).copied(),
        };
        if let Some(observer) = &mut self.observer {
            observer.observe(&view);
        }
    }

    /// Takes over the log, and returns the first index that is not as it was; `u64::MAX` if all are.
    fn take_log(&mut self, base: u64, last_index: u64, known: &dyn Fn(u64) -> (u64, u64)) -> u64 {
        if base < self.base || self.last.is_none() {
            self.entries.clear();
        } else {
            let covered = usize::try_from(base - self.base).unwrap_or(usize::MAX).min(self.entries.len());
            self.entries.drain(..covered);
        }
        self.base = base;
        let old_last = base + self.entries.len() as u64;
        let common = old_last.min(last_index);
        let changed = self.first_changed(common, known);
        let from = changed.unwrap_or(common + 1);
        self.entries.truncate((from - base - 1) as usize);
        self.entries.extend((from..=last_index).map(known));
        if changed.is_some() || old_last != last_index { from } else { u64::MAX }
    }

    /// The first index up to `common` whose entry is not as it was, as far as it was compared.
    fn first_changed(&mut self, common: u64, known: &dyn Fn(u64) -> (u64, u64)) -> Option<u64> {
        let is_as_before = |index: u64| self.entries[(index - self.base - 1) as usize] == known(index);
        let same = (self.base + 1..=common).rev().find(|&index| is_as_before(index)).unwrap_or(self.base);
        let at_the_end = (same < common).then_some(same + 1);
        let span = same - self.base;
        if span == 0 {
            return at_the_end;
        }
        let turn = (0..REVISITED.min(span)).map(|step| self.base + 1 + (self.revisit + step) % span);
        let in_the_middle = turn.filter(|&index| !is_as_before(index)).min();
        self.revisit = (self.revisit + REVISITED) % span;
        in_the_middle.or(at_the_end)
    }
}
