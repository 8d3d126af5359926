//! What the page shows of each partition beyond its operations: an order, or where every order gets stuck.

use std::borrow::Cow;
use std::collections::BTreeMap;

use linearize::{Explanation, History, Limits, Model, OPEN, Operation, Undecided, Verdict, check};

/// How many states the search may visit for one partition of which the verdict says nothing. The page must
/// not take long, so this is far below the default; a partition that it leaves open is drawn as such.
const STATES: u64 = 200_000;

/// A longer list of alternatives does not help.
const ALTERNATIVES: usize = 64;

/// A state longer than this is given once, not with each alternative.
const LONG: usize = 4_096;

/// What is known of a partition.
#[derive(Debug)]
pub(crate) enum Status {
    Linearizable,
    NotLinearizable(Box<Explanation>),
    Unknown(Option<Undecided>),
}

/// One partition.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) partition: u64,
    pub(crate) name: String,
    /// Indices into the history, rising.
    pub(crate) indices: Vec<u32>,
    pub(crate) status: Status,
    /// The order in which the operations took effect, as indices into the history; if there is none for all,
    /// then one of all that returned before some moment.
    pub(crate) order: Option<Vec<u32>>,
    pub(crate) stuck: Option<Stuck>,
}

/// Where an order ends because nothing can follow.
#[derive(Debug)]
pub(crate) struct Stuck {
    /// The operation whose return cannot be explained.
    pub(crate) operation: u32,
    /// What could be tried next, and why it does not help. The first is `operation` itself.
    pub(crate) alternatives: Vec<Alternative>,
}

/// Something that could be tried next.
#[derive(Debug)]
pub(crate) struct Alternative {
    pub(crate) operation: u32,
    /// Whether it is legal here, so that it is the stuck operation that is not legal afterwards.
    pub(crate) legal: bool,
    /// The state in which the operation, or the stuck one after it, is not legal; left out if it is long and
    /// told already.
    pub(crate) state: Option<String>,
    /// What would have been legal there, if the model can tell.
    pub(crate) expected: Option<String>,
    /// What was returned instead.
    pub(crate) observed: Option<String>,
}

/// All partitions, by their number.
pub(crate) fn parts<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    verdict: &Verdict,
) -> Vec<Part> {
    let mut grouped: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (index, operation) in history.operations().iter().enumerate() {
        grouped.entry(model.partition(&operation.op)).or_default().push(index as u32);
    }
    let about = Verdicts::new(model, history, verdict);
    grouped
        .into_iter()
        .map(|(partition, indices)| {
            let name = model.partition_name(&history[indices[0] as usize].op);
            let mut part =
                Part { partition, name, indices, status: Status::Unknown(None), order: None, stuck: None };
            about.fill(model, history, &mut part);
            part
        })
        .collect()
}

/// The verdict, by partition.
struct Verdicts<'a> {
    orders: BTreeMap<u64, &'a [u32]>,
    bad: Option<&'a Explanation>,
    unknown: Option<(u64, &'a Undecided)>,
}

impl<'a> Verdicts<'a> {
    fn new<M: Model>(model: &M, history: &History<M::Op, M::Result>, verdict: &'a Verdict) -> Self {
        let mut all = Verdicts { orders: BTreeMap::new(), bad: None, unknown: None };
        match verdict {
            Verdict::Linearizable(witness) => {
                all.orders =
                    witness.orders.iter().map(|order| (order.partition, &*order.operations)).collect();
            }
            Verdict::NotLinearizable(explanation) => all.bad = Some(explanation),
            Verdict::Unknown(undecided) => {
                let reached = history.operations().get(undecided.reached);
                all.unknown = reached.map(|reached| (model.partition(&reached.op), undecided));
            }
        }
        all
    }

    fn fill<M: Model>(&self, model: &M, history: &History<M::Op, M::Result>, part: &mut Part) {
        // Every order explains a history in which nothing was seen, and that is no reason for a tick.
        if !history.is_observed() {
            part.status = Status::Unknown(None);
            return;
        }
        if let Some(order) = self.orders.get(&part.partition) {
            part.status = Status::Linearizable;
            part.order = Some(order.to_vec());
            return;
        }
        if let Some(explanation) = self.bad.filter(|bad| bad.partition == part.partition) {
            part.status = Status::NotLinearizable(Box::new(explanation.clone()));
        } else if let Some((_, undecided)) = self.unknown.filter(|unknown| unknown.0 == part.partition) {
            part.status = Status::Unknown(Some(undecided.clone()));
        } else {
            check_part(model, history, part);
        }
        match &part.status {
            Status::Linearizable => {}
            Status::NotLinearizable(explanation) => {
                let last =
                    explanation.operations.iter().map(|&index| history[index].end).max().unwrap_or(OPEN);
                if let Some((order, stuck)) = longest(model, history, &part.indices, last) {
                    part.stuck = Some(alternatives(model, history, &part.indices, &order, stuck));
                    part.order = Some(order);
                }
            }
            Status::Unknown(undecided) => {
                let reached = undecided.as_ref().map(|undecided| history[undecided.reached].end);
                // Everything that returned before the place reached has an order, if it is found again.
                let before = reached.map(|end| trial(model, history, &part.indices, end.saturating_sub(1)));
                if let Some(Trial::Order(order)) = before {
                    part.order = Some(order);
                }
            }
        }
    }
}

/// Decides a partition of which the verdict says nothing: a check ends at the first error.
fn check_part<M: Model>(model: &M, history: &History<M::Op, M::Result>, part: &mut Part) {
    let whole = |places: &mut Vec<usize>| {
        for place in places.iter_mut() {
            *place = part.indices[*place] as usize;
        }
    };
    let operations = part.indices.iter().map(|&index| history[index as usize].clone()).collect();
    part.status = match History::new(operations)
        .map(|alone| check(model, &alone.with_unit(history.unit()), &limits()))
    {
        Ok(Verdict::Linearizable(witness)) => {
            let order = witness.orders.first().map(|order| &*order.operations).unwrap_or_default();
            part.order = Some(order.iter().map(|&place| part.indices[place as usize]).collect());
            Status::Linearizable
        }
        Ok(Verdict::NotLinearizable(mut explanation)) => {
            whole(&mut explanation.operations);
            whole(&mut explanation.context);
            Status::NotLinearizable(explanation)
        }
        Ok(Verdict::Unknown(mut undecided)) => {
            undecided.reached = part.indices[undecided.reached] as usize;
            Status::Unknown(Some(undecided))
        }
        Err(_) => Status::Unknown(None),
    };
}

fn limits() -> Limits {
    Limits::default().with_states(STATES)
}

/// Whether what had returned up to some moment can be put in order.
enum Trial {
    Order(Vec<u32>),
    Nothing,
    Undecided,
}

/// Tries what had returned up to `cut`. What was called up to then and returned later may take part.
fn trial<M: Model>(model: &M, history: &History<M::Op, M::Result>, indices: &[u32], cut: u64) -> Trial {
    let called = indices.iter().filter(|&&index| history[index as usize].call <= cut);
    let operations = called
        .map(|&index| {
            let operation = &history[index as usize];
            if operation.end <= cut {
                return operation.clone();
            }
            Operation::open(operation.client, operation.op.clone(), operation.call)
        })
        .collect();
    let Ok(prefix) = History::new(operations) else { return Trial::Undecided };
    match check(model, &prefix, &limits()) {
        Verdict::Linearizable(witness) => {
            let order = witness.orders.first().map(|order| &*order.operations).unwrap_or_default();
            Trial::Order(order.iter().map(|&place| indices[place as usize]).collect())
        }
        Verdict::NotLinearizable(_) => Trial::Nothing,
        Verdict::Unknown(_) => Trial::Undecided,
    }
}

/// The longest run of returns that can be explained, in an order, and the return after it; `last` is a moment
/// at which there is no order any more. Whatever has an order still has one if its end is cut off, so halving
/// finds it.
fn longest<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    indices: &[u32],
    last: u64,
) -> Option<(Vec<u32>, u32)> {
    let mut returns: Vec<(u64, u32)> = indices
        .iter()
        .map(|&index| (history[index as usize].end, index))
        .filter(|&(end, _)| end <= last && end != OPEN)
        .collect();
    returns.sort_unstable();
    // Up to the return `good - 1` there is an order, up to the return `bad` there is none. The error is
    // likely to be near the last return, so the steps back begin small.
    let (mut good, mut bad) = (0, returns.len().checked_sub(1)?);
    let mut order = Vec::new();
    let mut step = 1;
    while good < bad {
        let next = if good == 0 { bad.saturating_sub(step) } else { good.midpoint(bad) };
        match trial(model, history, indices, returns[next].0) {
            Trial::Order(found) => {
                order = found;
                good = next + 1;
            }
            Trial::Nothing => bad = next,
            Trial::Undecided => return None,
        }
        step *= 2;
    }
    Some((order, returns[bad].1))
}

/// What could come after `order`, and why nothing of it explains the return of `stuck`.
fn alternatives<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    indices: &[u32],
    order: &[u32],
    stuck: u32,
) -> Stuck {
    let mut state = model.initial();
    let mut placed = vec![false; history.len()];
    let end = history[stuck as usize].end;
    for &index in order {
        placed[index as usize] = true;
        let operation = &history[index as usize];
        // What returned later took part whatever it returned.
        let result = operation.result.as_ref().filter(|_| operation.end < end);
        if model.effect(&operation.op, result) != linearize::Effect::Read
            && let Some(next) = model.step(&state, &operation.op, result)
        {
            state = next;
        }
    }
    let open = indices
        .iter()
        .copied()
        .filter(|&index| index != stuck && !placed[index as usize] && history[index as usize].call <= end);
    let tried = std::iter::once(stuck).chain(open).take(ALTERNATIVES);
    let refuted = tried.filter_map(|index| refute(model, history, &state, index, stuck)).collect();
    Stuck { operation: stuck, alternatives: refuted }
}

/// Why going on with `index` does not help `stuck`. `None` if it does, which only an operation can that
/// returned a result that another order would need.
fn refute<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    state: &M::State,
    index: u32,
    stuck: u32,
) -> Option<Alternative> {
    let tried = &history[index as usize];
    let rejection = |state: &M::State, operation: &Operation<M::Op, M::Result>, legal: bool| {
        let text = model.state_text(state);
        let told = index != stuck && text.len() > LONG;
        Alternative {
            operation: index,
            legal,
            state: (!told).then(|| text.into_owned()),
            expected: if told { None } else { expected(model, history, state, &operation.op) },
            observed: model.parts(&operation.op, operation.result.as_ref()).result.map(Cow::into_owned),
        }
    };
    match model.step(state, &tried.op, tried.result.as_ref()) {
        None => Some(rejection(state, tried, false)),
        Some(next) => {
            let last = &history[stuck as usize];
            let helps = index == stuck || model.step(&next, &last.op, last.result.as_ref()).is_some();
            (!helps).then(|| rejection(&next, last, true))
        }
    }
}

/// What `op` would have returned: what the model says, or a result that another operation got and that is
/// legal here.
fn expected<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    state: &M::State,
    op: &M::Op,
) -> Option<String> {
    /// How many results to try.
    const RESULTS: usize = 2_000;
    if let Some(text) = model.expected(state, op) {
        return Some(text.into_owned());
    }
    let name = model.parts(op, None).name;
    let alike = history
        .operations()
        .iter()
        .take(RESULTS)
        .filter_map(|other| other.result.as_ref().filter(|_| model.parts(&other.op, None).name == name));
    let mut legal = alike.filter(|result| model.step(state, op, Some(result)).is_some());
    model.parts(op, legal.next()).result.map(Cow::into_owned)
}
