//! The definition of linearizability, tried out: every order that respects real time and the order of each
//! client.

use std::collections::HashSet;

use linearize::{History, Model};

/// Whether some order of some of the open operations and all others respects the model and real time.
pub(crate) fn is_linearizable<M: Model>(model: &M, history: &History<M::Op, M::Result>) -> bool {
    let parts: std::collections::BTreeSet<u64> =
        history.operations().iter().map(|operation| model.partition(&operation.op)).collect();
    parts.into_iter().all(|part| {
        let members: Vec<usize> =
            (0..history.len()).filter(|&index| model.partition(&history[index].op) == part).collect();
        let mut orders = Orders { model, history, members, tried: HashSet::new() };
        orders.can_be_extended(0, &model.initial())
    })
}

/// The orders of one part of a history.
struct Orders<'a, M: Model> {
    model: &'a M,
    history: &'a History<M::Op, M::Result>,
    /// The operations of the part.
    members: Vec<usize>,
    /// What was tried in vain: which operations are done, and the state after them. Which order led there
    /// makes no difference for the rest.
    tried: HashSet<(u32, M::State)>,
}

impl<M: Model> Orders<'_, M> {
    /// Whether the operations that are left can follow. `done` has a bit for each of the others.
    fn can_be_extended(&mut self, done: u32, state: &M::State) -> bool {
        let left = |bit: usize| done >> bit & 1 == 0;
        let count = self.members.len();
        if (0..count).all(|bit| !left(bit) || self.history[self.members[bit]].is_open()) {
            return true;
        }
        if self.tried.contains(&(done, state.clone())) {
            return false;
        }
        let extended = (0..count).any(|bit| {
            let minimal = (0..count).all(|other| !left(other) || !self.is_first(other, bit));
            left(bit)
                && minimal
                && self.step(bit, state).is_some_and(|next| self.can_be_extended(done | 1 << bit, &next))
        });
        if !extended {
            self.tried.insert((done, state.clone()));
        }
        extended
    }

    /// Whether real time, or their client, puts the one operation before the other.
    fn is_first(&self, before: usize, after: usize) -> bool {
        let (before, after) = (self.members[before], self.members[after]);
        let (earlier, later) = (&self.history[before], &self.history[after]);
        earlier.precedes(later) || (before < after && earlier.client == later.client)
    }

    fn step(&self, bit: usize, state: &M::State) -> Option<M::State> {
        let operation = &self.history[self.members[bit]];
        self.model.step(state, &operation.op, operation.result.as_ref())
    }
}
