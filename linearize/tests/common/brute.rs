//! The definition of linearizability, tried out: every order that respects real time and the order of each
//! client.

use linearize::{History, Model};

/// Whether some order of some of the open operations and all others respects the model and real time.
pub(crate) fn is_linearizable<M: Model>(model: &M, history: &History<M::Op, M::Result>) -> bool {
    let parts: std::collections::BTreeSet<u64> =
        history.operations().iter().map(|operation| model.partition(&operation.op)).collect();
    parts.into_iter().all(|part| {
        let members: Vec<usize> =
            (0..history.len()).filter(|&index| model.partition(&history[index].op) == part).collect();
        extend(model, history, &members, 0, &model.initial())
    })
}

fn extend<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    members: &[usize],
    done: u32,
    state: &M::State,
) -> bool {
    let left = |bit: usize| done >> bit & 1 == 0;
    if members.iter().enumerate().all(|(bit, &index)| !left(bit) || history[index].is_open()) {
        return true;
    }
    members.iter().enumerate().any(|(bit, &index)| {
        let operation = &history[index];
        let first = |before: usize| {
            history[before].precedes(operation)
                || (before < index && history[before].client == operation.client)
        };
        let minimal = members.iter().enumerate().all(|(other, &before)| !left(other) || !first(before));
        left(bit)
            && minimal
            && model
                .step(state, &operation.op, operation.result.as_ref())
                .is_some_and(|next| extend(model, history, members, done | 1 << bit, &next))
    })
}
