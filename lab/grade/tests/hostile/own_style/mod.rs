//! An honest student's helpers: what std offers, macros of their own, modules in files, unit tests.
#![allow(dead_code, unused_imports, clippy::all, clippy::pedantic)]

use std::borrow::{Borrow, Cow};
use std::cell::{Cell, RefCell};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque, btree_map};
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign, Bound, Deref, DerefMut, Index, RangeInclusive};
use std::rc::Rc;
use std::str::FromStr;
use std::sync::atomic::{self, AtomicBool, AtomicU64};
use std::sync::{Arc, Weak};
use std::time::Duration;
use std::{cmp, fmt, iter, mem, slice, vec};

use serde::{Deserialize, Serialize};
use tracing::{debug, info, trace, warn};

use self::core::{Core, Shape};

mod core;
#[cfg(test)]
#[allow(unused)]
mod tests;

/// Names in messages.
static NAMES: [&str; 3] = ["follower", "candidate", "leader"];
static SHORTEST: Duration = Duration::from_millis(150);
const LONGEST: Duration = Duration::from_millis(2 * 150);

/// A new type for a number.
macro_rules! number {
    ($(#[$meta:meta])* $visibility:vis $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        $visibility struct $name($inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(out, "{}", self.0)
            }
        }

        impl AddAssign<$inner> for $name {
            fn add_assign(&mut self, more: $inner) {
                self.0 += more;
            }
        }
    };
}

number!(
    /// A term.
    #[must_use]
    pub(crate) Term(u64)
);
number!(Place(usize));

/// Says what a server does.
macro_rules! say {
    ($core:expr, $($word:tt)*) => {
        debug!(target: "own", "S{} T{}: {}", $core.me, $core.term, format!($($word)*))
    };
}

macro_rules! at_least {
    ($value:expr, $least:expr) => {
        if $value < $least { $least } else { $value }
    };
}

macro_rules! table {
    ($($key:expr => $value:expr),* $(,)?) => {{
        let mut table = HashMap::new();
        $(table.insert($key, $value);)*
        table
    }};
}

#[derive(Debug)]
pub(crate) enum Fault {
    Empty,
    Number(std::num::ParseIntError),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Empty => out.write_str("empty"),
            Fault::Number(error) => write!(out, "no number: {error}"),
        }
    }
}

impl Error for Fault {}

impl From<std::num::ParseIntError> for Fault {
    fn from(error: std::num::ParseIntError) -> Self {
        Fault::Number(error)
    }
}

impl FromStr for Term {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err(Fault::Empty) } else { Ok(Term(text.parse()?)) }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Eq))]
struct Kept {
    #[serde(rename = "t", default)]
    term: Term,
    #[serde(skip_serializing_if = "Option::is_none", default = "Kept::nobody")]
    vote: Option<usize>,
}

impl Kept {
    fn nobody() -> Option<usize> {
        None
    }
}

/// A log that counts from another place than 0.
struct Shifted<T> {
    first: usize,
    entries: VecDeque<T>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Index<usize> for Shifted<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.entries[at - self.first]
    }
}

struct Guard<'a>(&'a Cell<u32>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Uses all of it.
pub(crate) fn exercise() {
    let mut core = Core::new(1, Shape::Round);
    core.include(3);
    let include = core.core().len();
    say!(core, "{} of {:?}", include, std::mem::size_of::<Term>());
    let counts: HashMap<&str, usize> = NAMES.iter().copied().zip(1..).collect();
    let mut order: Vec<_> = counts.iter().map(|(name, count)| (*count, *name)).collect();
    order.sort_by_key(|&(count, _)| cmp::Reverse(count));
    let taken = mem::take(&mut order);
    let mut heap: BinaryHeap<cmp::Reverse<u64>> =
        taken.iter().map(|(count, _)| cmp::Reverse(*count as u64)).collect();
    let least = heap.pop().map_or(0, |cmp::Reverse(least)| least);
    let table = table! { "a" => 1_u64, "b" => u64::from(u8::MAX), "c" => least };
    let shared = Arc::new(AtomicU64::new(table.values().sum()));
    let weak: Weak<AtomicU64> = Arc::downgrade(&shared);
    assert!(weak.upgrade().is_some_and(|number| number.load(atomic::Ordering::SeqCst) > 0));
    let drops = Cell::new(0);
    drop(Guard(&drops));
    let term: Result<Term, Box<dyn Error>> = "7".parse::<Term>().map_err(Into::into);
    let kept = Kept { term: term.unwrap_or_default(), vote: Some(at_least!(include, 1)) };
    let again: Kept = labgob::decode(&labgob::encode(&(kept.term, kept.vote)))
        .map(|(term, vote)| Kept { term, vote })
        .unwrap_or_default();
    assert_eq!(kept, again, "{}", drops.get());
    let shifted = Shifted { first: 5, entries: iter::repeat_n(1_u8, 3).collect(), kind: PhantomData };
    debug_assert_ne!(shifted[6], std::u8::MAX);
    let env = cmp::min(SHORTEST, LONGEST).as_millis();
    let mut hasher = DefaultHasher::new();
    (env, std::i64::MAX, r#"use std::fs; unsafe { static X }"#).hash(&mut hasher);
    let words = RefCell::new(Rc::new(Cow::Borrowed("x")));
    Rc::make_mut(&mut words.borrow_mut()).to_mut().push_str("yz");
    trace!(hash = hasher.finish(), words = %words.borrow(), "done");
}
