//! Why a history is not linearizable: the fewest operations that show it, in words.

use minimal::Role;

use crate::history::History;
use crate::model::{Effect, Model};
use crate::search::Numbered;
use crate::verdict::{Explanation, Kind};

mod json;
pub(crate) mod minimal;
mod sentence;

pub(crate) use sentence::{for_any_model, listing, naming};

/// Explains a partition of which the general search found that what had returned up to the return of `stuck`
/// cannot be linearized.
pub(crate) fn by_search<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    partition: u64,
    indices: &[u32],
    stuck: u32,
) -> Explanation {
    let mut roles = minimal::before(history.operations(), indices, stuck);
    let small = indices.len() <= LARGEST;
    let minimal =
        small && minimal::by_search(&mut Numbered::new(model, history.operations()), indices, &mut roles);
    let mut operations = with_role(indices, &roles, Role::Bound);
    let mut context = with_role(indices, &roles, Role::Free);
    if !minimal && operations.len() > SHOWN {
        // Too large to be reduced, so name at least those among which the search found no way on.
        let at = &history[stuck as usize];
        operations.retain(|&index| !history[index].precedes(at) && !at.precedes(&history[index]));
        context.clear();
    }
    // Few operations may be left and yet not be an error by themselves.
    let sentence = match minimal {
        true => sentence::for_any_model(model, history, &operations),
        false => sentence::around(model, history, &operations, stuck as usize),
    };
    let mut explanation = Explanation {
        key: model.partition_name(&history[stuck as usize].op),
        partition,
        kind: if minimal { kind_for_any_model(model, history, &operations, &context) } else { Kind::Order },
        sentence,
        operations,
        context,
        minimal,
    };
    model.reword(history, &mut explanation);
    explanation
}

/// Explains operations (in any order) of which a method knows that they cannot be reconciled, not even with
/// nothing besides them but what `context` did at whatever time.
pub(crate) fn of_flaw<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    flaw: &[u32],
    context: &[u32],
) -> Explanation {
    let mut bound = flaw.to_vec();
    bound.sort_unstable();
    let role = |index: &u32| if bound.binary_search(index).is_ok() { Role::Bound } else { Role::Free };
    let mut indices: Vec<u32> = flaw.iter().chain(context).copied().collect();
    indices.sort_unstable();
    let mut roles: Vec<Role> = indices.iter().map(role).collect();
    let minimal = minimal::by_search(&mut Numbered::new(model, history.operations()), &indices, &mut roles);
    let operations = with_role(&indices, &roles, Role::Bound);
    let context = with_role(&indices, &roles, Role::Free);
    let first = &history[indices[0] as usize].op;
    let mut explanation = Explanation {
        key: model.partition_name(first),
        partition: model.partition(first),
        kind: kind_for_any_model(model, history, &operations, &context),
        sentence: sentence::for_any_model(model, history, &operations),
        context,
        operations,
        minimal,
    };
    model.reword(history, &mut explanation);
    explanation
}

/// An explanation that a method found with its words. Whether it is minimal is tried out.
pub(crate) fn told<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    operations: &[u32],
    context: &[u32],
    kind: Kind,
    sentence: String,
) -> Explanation {
    let mut sorted = [operations.to_vec(), context.to_vec()];
    sorted.iter_mut().for_each(|list| list.sort_unstable());
    let [operations, context] =
        sorted.map(|list| list.into_iter().map(|index| index as usize).collect::<Vec<_>>());
    let first = &history[operations[0]].op;
    let (key, partition) = (model.partition_name(first), model.partition(first));
    let mut explanation = Explanation { key, partition, kind, operations, context, sentence, minimal: false };
    explanation.minimal = explanation.holds_by(model, history, false);
    if !explanation.minimal {
        explanation.sentence += " Whether fewer operations show it is not known.";
    }
    explanation
}

/// A read that nothing explains saw what was not there; an update may have failed for any reason.
fn kind_for_any_model<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    operations: &[usize],
    context: &[usize],
) -> Kind {
    match operations {
        [only]
            if context.is_empty()
                && model.effect(&history[*only].op, history[*only].result.as_ref()) == Effect::Read =>
        {
            Kind::Phantom
        }
        _ => Kind::Order,
    }
}

/// Names `operations`, around which no order was found, for a caller that does not want to know which of them
/// are needed and why.
pub(crate) fn in_brief<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    mut operations: Vec<usize>,
) -> Explanation {
    operations.sort_unstable();
    operations.dedup();
    let last = &history[operations[operations.len() - 1]];
    Explanation {
        key: model.partition_name(&last.op),
        partition: model.partition(&last.op),
        kind: Kind::Order,
        sentence: format!("{}: no order explains it, and why was not asked.", sentence::naming(model, last)),
        operations,
        context: Vec::new(),
        minimal: false,
    }
}

/// Partitions larger than this are not worth the trials: freed operations are candidates at every step.
const LARGEST: usize = 3_000;

/// An explanation that is not minimal names at most this many operations.
pub(crate) const SHOWN: usize = 8;

pub(crate) fn with_role(indices: &[u32], roles: &[Role], role: Role) -> Vec<usize> {
    let chosen = indices.iter().zip(roles).filter(|&(_, &other)| other == role);
    chosen.map(|(&index, _)| index as usize).collect()
}

impl Explanation {
    /// As [`Explanation::holds`], of a history in which no client calls when its operation before returns;
    /// not `patient`, if that may be left open.
    pub(crate) fn holds_by<M: Model>(
        &self,
        model: &M,
        history: &History<M::Op, M::Result>,
        patient: bool,
    ) -> bool {
        let (indices, roles) = self.roles();
        minimal::holds_by_search(&mut Numbered::new(model, history.operations()), &indices, &roles, patient)
    }

    /// All operations that it names, by rising index, and the part that each has.
    pub(crate) fn roles(&self) -> (Vec<u32>, Vec<Role>) {
        let mut indices: Vec<u32> =
            self.operations.iter().chain(&self.context).map(|&index| index as u32).collect();
        indices.sort_unstable();
        let role = |index: &u32| match self.operations.contains(&(*index as usize)) {
            true => Role::Bound,
            false => Role::Free,
        };
        let roles = indices.iter().map(role).collect();
        (indices, roles)
    }
}
