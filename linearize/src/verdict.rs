//! What a check finds.

use std::fmt;

use rustc_hash::FxHashMap;

use crate::explain::Explanation;
use crate::history::{History, OPEN};
use crate::model::Model;

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

/// How far a check came before its limits stopped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The partition that is undecided, as [`Model::partition_name`] calls it.
    pub key: String,
    /// Which limit was reached.
    pub limit: Limit,
    /// How many states were visited.
    pub states: u64,
    /// Up to which operation (its index in the history) the order of events was followed: everything that returned
    /// before its return can be linearized.
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
    /// The partition, as [`Model::partition`] numbers it.
    pub partition: u64,
    /// Indices into the history. Every operation that returned is there once; an open one that never took effect
    /// (or need not have) is absent.
    pub operations: Vec<u32>,
}

/// Why an order proves nothing. To get one from [`Witness::replay`] is a bug in this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The model does not allow this operation after those before it.
    Illegal {
        /// Its index in the history.
        operation: usize,
    },
    /// This operation had returned before one that the order puts before it was called, or its client called that one later.
    RealTime {
        /// Its index in the history.
        operation: usize,
    },
    /// This operation occurs twice, in a wrong partition, or returned and is missing.
    NotOnce {
        /// Its index in the history.
        operation: usize,
    },
}

impl Witness {
    /// Runs the orders through the model and checks that they respect real time: the proof, checked.
    ///
    /// # Errors
    ///
    /// The first operation that does not fit.
    pub fn replay<M: Model>(
        &self,
        model: &M,
        history: &History<M::Op, M::Result>,
    ) -> Result<(), ReplayError> {
        let mut seen = vec![false; history.len()];
        for order in &self.orders {
            replay_order(model, history, order, &mut seen)?;
        }
        let missing = history
            .operations()
            .iter()
            .zip(&seen)
            .position(|(operation, seen)| !seen && !operation.is_open());
        missing.map_or(Ok(()), |operation| Err(ReplayError::NotOnce { operation }))
    }
}

fn replay_order<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    order: &Order,
    seen: &mut [bool],
) -> Result<(), ReplayError> {
    let mut state = model.initial();
    let mut latest_call = 0;
    let mut newest: FxHashMap<u32, usize> = FxHashMap::default();
    for &index in &order.operations {
        let operation = index as usize;
        let entry = &history[operation];
        if std::mem::replace(&mut seen[operation], true) || model.partition(&entry.op) != order.partition {
            return Err(ReplayError::NotOnce { operation });
        }
        // Each operation takes effect at the latest call so far, or at its own: possible if it has not returned.
        latest_call = latest_call.max(entry.call);
        let before = newest.insert(entry.client, operation);
        if (entry.end < latest_call && entry.end != OPEN) || before.is_some_and(|before| before > operation) {
            return Err(ReplayError::RealTime { operation });
        }
        state = model
            .advance(state, &entry.op, entry.result.as_ref())
            .ok_or(ReplayError::Illegal { operation })?;
    }
    Ok(())
}
