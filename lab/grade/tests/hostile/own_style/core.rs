//! A file that begins with a byte order mark, and is called as a crate of the compiler's is.

use std::collections::BTreeSet;
use std::fmt;

/// What all depends on.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) me: usize,
    pub(super) term: u64,
    core: BTreeSet<u64>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub(super) enum Shape {
    #[default]
    Round,
    Long,
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

impl Core {
    pub(super) fn new(me: usize, shape: Shape) -> Core {
        let core = BTreeSet::new();
        Core { me, term: 0, core, shape }
    }

    pub(super) fn include(&mut self, number: u64) {
        self.core.insert(number);
    }

    #[inline]
    pub(super) fn core(&self) -> &BTreeSet<u64> {
        &self.core
    }
}
