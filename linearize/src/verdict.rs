//! What a check finds.

use std::fmt;

/// The answer to "is this history linearizable?".
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Verdict {
    /// Yes, and here is an order that proves it.
    Linearizable(Witness),
    /// No, and here is why.
    NotLinearizable(Box<Explanation>),
    /// The limits were reached first. This is never a pass.
    Unknown(Undecided),
}

impl Verdict {
    /// Whether the history was shown to be linearizable.
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Verdict::Linearizable(_))
    }

    /// Whether the history was shown not to be linearizable.
    pub fn is_not_linearizable(&self) -> bool {
        matches!(self, Verdict::NotLinearizable(_))
    }
}

/// What sort of error a history shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A read returned something that had not been written.
    Phantom,
    /// A read returned something that was written only after the read had returned.
    FutureRead,
    /// A read returned a value that had been replaced, or missed one that had been written, before it was
    /// called.
    StaleRead,
    /// Two reads disagree on the order, or on the number, of writes.
    Disagreement,
    /// One write shows twice.
    Duplicate,
    /// Several updates replaced the same value, of which fewer were written.
    LostUpdate,
    /// The operations named cannot be put in any order that respects both their results and real time.
    Order,
}

impl Kind {
    /// The kind in words.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Phantom => "phantom value",
            Kind::FutureRead => "read from the future",
            Kind::StaleRead => "stale read",
            Kind::Disagreement => "reads disagree",
            Kind::Duplicate => "write applied twice",
            Kind::LostUpdate => "lost update",
            Kind::Order => "no order fits",
        }
    }
}

/// Why one partition of a history is not linearizable.
///
/// # What minimal means
///
/// `operations` and `context` alone are not linearizable, where those in `context` are freed from their
/// times: they may have taken effect at any moment or never (their *existence* matters, because a read saw
/// what they wrote; their times do not). Free any one of `operations` in the same way, and what is left is
/// linearizable. So each of `operations` is needed, and nothing else is. [`Explanation::minimal`] says
/// whether this was established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The partition's name, for example the key.
    pub key: String,
    /// The partition's number, as [`crate::Model::partition`] gives it.
    pub partition: u64,
    /// What sort of error it is.
    pub kind: Kind,
    /// The operations whose times and results cannot be reconciled, by their index in the history, in order
    /// of call.
    pub operations: Vec<usize>,
    /// Writes that the reads among `operations` saw, needed at no particular time. By rising index.
    pub context: Vec<usize>,
    /// One sentence, or a few, that names `operations` and says why they cannot be ordered.
    pub sentence: String,
    /// Whether `operations` is known to be minimal in the sense above. It is left open where establishing it
    /// would take longer than the verdict did: if the general search found the error in a partition of more
    /// than 3,000 operations, or if the trials of what can be left out visit more than 8,000 states together.
    /// `operations` then names those around the place where every order gets stuck, which need not be enough
    /// by themselves. It is false, too, if [`crate::Limits::explain`] is.
    pub minimal: bool,
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not linearizable")?;
        if !self.key.is_empty() {
            write!(formatter, " – key {}", crate::words::quoted(&self.key))?;
        }
        write!(formatter, " – {}\n{}", self.kind.name(), self.sentence)
    }
}

/// How far a check came before its limits stopped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The partition that is undecided, as [`crate::Model::partition_name`] calls it.
    pub key: String,
    /// Which limit was reached.
    pub limit: Limit,
    /// How many states were visited.
    pub states: u64,
    /// Up to which operation (its index in the history) the order of events was followed: everything that
    /// returned before its return can be linearized.
    pub reached: usize,
    /// How many operations the partition has.
    pub operations: usize,
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`crate::Limits::states`].
    States,
    /// [`crate::Limits::memory`].
    Memory,
}

impl fmt::Display for Undecided {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = match self.limit {
            Limit::States => "states",
            Limit::Memory => "memory",
        };
        if !self.key.is_empty() {
            write!(formatter, "key {}: ", crate::words::quoted(&self.key))?;
        }
        write!(
            formatter,
            "undecided: the limit on {limit} was reached after {}, at operation {} (the key has {})",
            crate::words::count(self.states, "state"),
            self.reached,
            crate::words::count(self.operations, "operation")
        )
    }
}

/// Orders that prove a history linearizable, one for each partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// One order for each partition, by rising partition.
    pub orders: Vec<Order>,
}

/// In which order the operations of one partition took effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The partition, as [`crate::Model::partition`] numbers it.
    pub partition: u64,
    /// Indices into the history. Every operation that returned is there once; an open one that never took
    /// effect (or need not have) is absent.
    pub operations: Vec<u32>,
}
