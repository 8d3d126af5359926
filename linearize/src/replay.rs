//! Checking a proof: an order, run through its model.

use rustc_hash::FxHashMap;

use crate::history::{History, OPEN};
use crate::model::Model;
use crate::verdict::{Order, Witness};

/// Why an order proves nothing. To get one from [`Witness::replay`] is a bug in this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The model does not allow this operation after those before it.
    Illegal {
        /// Its index in the history.
        operation: usize,
    },
    /// This operation had returned before one that the order puts before it was called, or its client called
    /// that one later.
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
        // Each operation takes effect at the latest call so far, or at its own: possible if it has not
        // returned.
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
