//! Clients that call in the very moment in which their last operation returned.
//!
//! Intervals are closed, because of two clients a clock does not tell which came first within one of its
//! units. Of one client it is known: its operations follow one another. A clock of milliseconds shows many
//! such pairs, and in simulated time nearly all are.
//!
//! All methods of this crate compare intervals. So times are refined: a unit of the clock is cut into finer
//! ones, in which at first all clients call, then the operation of the pair returns, then the next is called,
//! then all others return. That is exact if only one client has a pair at that moment. With two, A and
//! B, the first of A must come before the second of A, and of B likewise, but A's first may come after B's
//! second and B's first after A's second; no intervals say that (it is the order "2 + 2", which interval
//! orders lack: Fishburn 1970). Such moments are *knots*. There two refinements enclose the truth: a loose
//! one, which leaves the pairs of a knot overlapping, and a strict one, in which all firsts return before any
//! second is called. What the loose one refutes is refuted; an order of the strict one is an order, and so is
//! one of the loose one that keeps the clients' order by chance. Between them, for a few histories, the
//! general search decides, with states that know how far each client has come (`in_order`).

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::in_order::search_in_order;
use super::{check_apart, parts};
use crate::explain::minimal::{self, Role, Trial, Trials};
use crate::explain::{for_any_model, with_role};
use crate::history::{History, OPEN, Operation, Unit, in_order};
use crate::limits::{Limits, Progress};
use crate::model::Model;
use crate::search::{Found, Numbered};
use crate::verdict::{Explanation, Kind, Order, Undecided, Verdict, Witness};

/// Whose an operation is, and when it was under way.
#[derive(Clone, Copy)]
struct Span {
    client: u32,
    partition: u64,
    call: u64,
    end: u64,
}

fn spans<M: Model>(model: &M, history: &History<M::Op, M::Result>) -> Vec<Span> {
    let span = |operation: &Operation<M::Op, M::Result>| {
        let Operation { client, call, end, .. } = *operation;
        Span { client, partition: model.partition(&operation.op), call, end }
    };
    history.operations().iter().map(span).collect()
}

/// An operation, and the next of its client in its partition, which was called when the first one returned.
struct Pair {
    first: u32,
    second: u32,
    /// Whether another client has a pair in the same partition at the same moment.
    knotted: bool,
}

/// The pairs of a history, by rising first operation.
fn pairs(spans: &[Span]) -> Vec<Pair> {
    let mut newest: FxHashMap<(u64, u32), u32> = FxHashMap::default();
    // By partition and moment: a client with a pair, and whether there is another.
    let mut moments: FxHashMap<(u64, u64), (u32, bool)> = FxHashMap::default();
    let mut pairs = Vec::new();
    for (&Span { client, partition, call, .. }, second) in spans.iter().zip(0..) {
        let Some(first) = newest.insert((partition, client), second) else { continue };
        if spans[first as usize].end != call {
            continue;
        }
        pairs.push(Pair { first, second, knotted: false });
        let moment = moments.entry((partition, call)).or_insert((client, false));
        moment.1 |= moment.0 != client;
    }
    for pair in &mut pairs {
        let second = spans[pair.second as usize];
        pair.knotted = moments[&(second.partition, second.call)].1;
    }
    pairs
}

/// A history at finer times.
struct Refined<O, R> {
    history: History<O, R>,
    /// For each of its operations, which one of the original it is.
    original: Vec<u32>,
}

/// Refines the times of `history`. Pairs of knots stay overlapping, unless `strict`.
fn refine<O: Clone, R: Clone>(
    history: &History<O, R>,
    spans: &[Span],
    pairs: &[Pair],
    strict: bool,
) -> Refined<O, R> {
    let Finer { times, clock } = Finer::new(spans, pairs, strict);
    let original = in_order(times.clone());
    let operation = |&index: &u32| {
        let (call, end) = times[index as usize];
        Operation { call, end, ..history[index as usize].clone() }
    };
    let mut refined = history.refined(original.iter().map(operation).collect(), clock.scale);
    if clock.ranks.is_some() {
        refined = refined.with_unit(Unit::Events);
    }
    Refined { history: refined, original }
}

/// Calls and ends, by a clock that tells more.
struct Finer {
    times: Vec<(u64, u64)>,
    clock: Clock,
}

impl Finer {
    fn new(spans: &[Span], pairs: &[Pair], strict: bool) -> Finer {
        // Within a moment: calls at 0, then for each pair of a client a return and a call, then all other
        // returns at the top.
        let mut calls = vec![0u64; spans.len()];
        let mut ends: Vec<Option<u64>> = vec![None; spans.len()];
        let mut top = 1;
        for pair in pairs.iter().filter(|pair| strict || !pair.knotted) {
            let (first, second) = (pair.first as usize, pair.second as usize);
            // If the first one took no time, its own call was in this moment too.
            let same_moment = spans[first].call == spans[first].end;
            let end = if same_moment { calls[first] + 1 } else { 1 };
            (ends[first], calls[second]) = (Some(end), end + 1);
            top = top.max(end + 2);
        }
        // Within the lower half of a unit, so that spans between two moments can be rounded to whole units.
        let clock = Clock::new(spans, 2 * (top + 1));
        let time = |(index, span): (usize, &Span)| {
            let call = clock.time(span.call) + calls[index];
            (call, if span.end == OPEN { OPEN } else { clock.time(span.end) + ends[index].unwrap_or(top) })
        };
        Finer { times: spans.iter().enumerate().map(time).collect(), clock }
    }
}

/// Makes room between the moments of a clock.
struct Clock {
    first: u64,
    scale: u64,
    /// All moments in order, if the times are too far apart to be multiplied.
    ranks: Option<Vec<u64>>,
}

impl Clock {
    fn new(spans: &[Span], scale: u64) -> Clock {
        let times = || spans.iter().flat_map(|span| [span.call, span.end]).filter(|&time| time != OPEN);
        let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let fits = (last - first).checked_add(1).and_then(|span| span.checked_mul(scale)).is_some();
        let ranks = (!fits).then(|| {
            let mut ranks: Vec<u64> = times().collect();
            ranks.sort_unstable();
            ranks.dedup();
            ranks
        });
        Clock { first, scale, ranks }
    }

    fn time(&self, time: u64) -> u64 {
        let moment = match &self.ranks {
            Some(ranks) => ranks.partition_point(|&other| other < time) as u64,
            None => time - self.first,
        };
        moment * self.scale
    }
}

/// Decides a history in which clients call when their operation before returns.
///
/// With `specially`, also by methods of the model's own.
pub(crate) fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    specially: bool,
    limits: &Limits,
    progress: &Progress,
) -> Verdict {
    let spans = spans(model, history);
    let pairs = pairs(&spans);
    let loose = refine(history, &spans, &pairs, false);
    let verdict = check_apart(model, &loose.history, specially, limits, progress);
    let verdict = renumbered(verdict, &loose.original);
    match verdict {
        Verdict::Linearizable(witness) if pairs.iter().any(|pair| pair.knotted) => {
            keep_clients_order(model, history, &spans, &pairs, witness, limits, progress)
        }
        // Each client's own order may make fewer operations suffice.
        Verdict::NotLinearizable(explanation)
            if limits.explain
                && pairs.iter().any(|pair| pair.knotted)
                && !explanation.holds(model, history) =>
        {
            let (part, roles) = explanation.roles();
            let fewer = minimal(model, history, &part, roles, Explanation { minimal: false, ..*explanation });
            Verdict::NotLinearizable(Box::new(fewer))
        }
        verdict => verdict,
    }
}

/// A verdict about a refined history as one about the original.
fn renumbered(mut verdict: Verdict, original: &[u32]) -> Verdict {
    let old = |index: &mut usize| *index = original[*index] as usize;
    match &mut verdict {
        Verdict::Linearizable(witness) => {
            let all = witness.orders.iter_mut().flat_map(|order| &mut order.operations);
            all.for_each(|index| *index = original[*index as usize]);
        }
        Verdict::NotLinearizable(explanation) => {
            for list in [&mut explanation.operations, &mut explanation.context] {
                list.iter_mut().for_each(old);
                list.sort_unstable();
            }
        }
        Verdict::Unknown(undecided) => old(&mut undecided.reached),
    }
    verdict
}

/// Finds an order that keeps each client's own, for the partitions in which the one found does not.
fn keep_clients_order<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    spans: &[Span],
    pairs: &[Pair],
    mut witness: Witness,
    limits: &Limits,
    progress: &Progress,
) -> Verdict {
    let indices: BTreeMap<u64, Vec<u32>> =
        parts(spans.iter().map(|span| span.partition).collect()).into_iter().collect();
    let mut undecided = None;
    for order in &mut witness.orders {
        if in_clients_order(spans, &order.operations) {
            continue;
        }
        let part = &indices[&order.partition];
        match decide_knots(model, history, spans, pairs, part, limits, progress) {
            Found::Order(operations) => order.operations = operations,
            Found::Nothing { stuck } => {
                let explanation = explained(model, history, part, order.partition, stuck, limits);
                return Verdict::NotLinearizable(Box::new(explanation));
            }
            Found::Limited { limit, states, reached } => {
                let key = model.partition_name(&history[reached as usize].op);
                let (reached, operations) = (reached as usize, part.len());
                undecided = undecided.or(Some(Undecided { key, limit, states, reached, operations }));
            }
        }
    }
    undecided.map_or(Verdict::Linearizable(witness), Verdict::Unknown)
}

/// Whether each client's operations are in the order in which it called them.
fn in_clients_order(spans: &[Span], order: &[u32]) -> bool {
    let mut newest: FxHashMap<u32, u32> = FxHashMap::default();
    order.iter().all(|&index| {
        let before = newest.insert(spans[index as usize].client, index);
        before.is_none_or(|before| before < index)
    })
}

/// Decides one partition: by the strict refinement if that has an order, or else by the general search.
fn decide_knots<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    spans: &[Span],
    pairs: &[Pair],
    part: &[u32],
    limits: &Limits,
    progress: &Progress,
) -> Found {
    let pairs = pairs_within(pairs, part);
    let spans: Vec<Span> = part.iter().map(|&index| spans[index as usize]).collect();
    let alone = history.part(part, |operation| Some(operation.clone())).unwrap_or_default();
    let strict = refine(&alone, &spans, &pairs, true);
    let briefly = limits.clone().without_explanation();
    let verdict = check_apart(model, &strict.history, true, &briefly, progress);
    if let Verdict::Linearizable(Witness { mut orders }) = renumbered(verdict, &strict.original)
        && let Some(Order { operations, .. }) = orders.pop()
    {
        return Found::Order(operations.into_iter().map(|index| part[index as usize]).collect());
    }
    let loose = refine(&alone, &spans, &pairs, false);
    let chains = chains(&pairs);
    let chains = loose.original.iter().map(|index| chains.get(index).copied()).collect();
    let mut numbered = Numbered::new(model, loose.history.operations());
    let found = search_in_order(&mut numbered, chains, limits, progress);
    renamed(found, |found| part[loose.original[found as usize] as usize])
}

/// The pairs of a partition, by the places of their operations in it.
fn pairs_within(pairs: &[Pair], part: &[u32]) -> Vec<Pair> {
    let mut place: FxHashMap<u32, u32> = FxHashMap::default();
    place.extend(part.iter().copied().zip(0..));
    let within = |pair: &Pair| {
        let (first, second) = (*place.get(&pair.first)?, *place.get(&pair.second)?);
        Some(Pair { first, second, knotted: pair.knotted })
    };
    pairs.iter().filter_map(within).collect()
}

/// What was found, with other names for the operations.
fn renamed(found: Found, name: impl Fn(u32) -> u32) -> Found {
    match found {
        Found::Order(order) => Found::Order(order.into_iter().map(name).collect()),
        Found::Nothing { stuck } => Found::Nothing { stuck: name(stuck) },
        Found::Limited { limit, states, reached } => Found::Limited { limit, states, reached: name(reached) },
    }
}

/// Explains a partition that only the clients' own order makes impossible: what returned up to the return of
/// `stuck` has none.
fn explained<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    part: &[u32],
    partition: u64,
    stuck: u32,
    limits: &Limits,
) -> Explanation {
    let name = crate::explain::naming(model, &history[stuck as usize]);
    let explanation = Explanation {
        key: model.partition_name(&history[stuck as usize].op),
        partition,
        kind: Kind::Order,
        operations: vec![stuck as usize],
        context: Vec::new(),
        sentence: format!(
            "No order of all operations gets past {name}, if each client's operations follow one another. Which of the \
             others it contradicts was not found out."
        ),
        minimal: false,
    };
    if !limits.explain {
        return explanation;
    }
    minimal(model, history, part, minimal::before(history.operations(), part, stuck), explanation)
}

/// The fewest of the operations `part` in these `roles`; `otherwise` if they are not found.
fn minimal<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    part: &[u32],
    mut roles: Vec<Role>,
    otherwise: Explanation,
) -> Explanation {
    let mut explanation = otherwise;
    if part.len() <= LARGEST {
        let trials: &mut dyn Trials = &mut ByCheck { model, history, indices: part, work: WORK };
        if matches!(trials.attempt(&roles), Trial::NotLinearizable) && trials.minimize(&mut roles) {
            explanation.operations = with_role(part, &roles, Role::Bound);
            explanation.context = with_role(part, &roles, Role::Free);
            explanation.minimal = true;
            explanation.sentence = for_any_model(model, history, &explanation.operations);
            model.reword(history, &mut explanation);
        }
    }
    explanation
}

/// Whether an explanation of a touching history is what it promises.
pub(crate) fn holds<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    indices: &[u32],
    roles: &[Role],
) -> bool {
    let trials: &mut dyn Trials = &mut ByCheck { model, history, indices, work: u64::MAX };
    trials.holds(roles)
}

/// Partitions larger than this are not worth the trials.
const LARGEST: usize = 1_000;

/// How many operations all trials together may have.
const WORK: u64 = 400_000;

/// Trials by checking what is left.
struct ByCheck<'a, M: Model> {
    model: &'a M,
    history: &'a History<M::Op, M::Result>,
    indices: &'a [u32],
    /// How many operations may still be tried.
    work: u64,
}

impl<M: Model> Trials for ByCheck<'_, M> {
    fn attempt(&mut self, roles: &[Role]) -> Trial {
        let cast = self.indices.iter().zip(roles).zip(0..).filter(|((_, role), _)| **role != Role::Absent);
        let clients = self.history.operations().iter().map(|operation| operation.client).max().unwrap_or(0);
        let mut fresh = u64::from(clients);
        let (mut operations, mut places) = (Vec::new(), Vec::new());
        for ((&index, role), place) in cast {
            let operation = &self.history[index as usize];
            places.push(place);
            if *role == Role::Bound {
                operations.push(operation.clone());
                continue;
            }
            fresh += 1;
            // As many clients as numbers are not met in practice.
            let Ok(client) = u32::try_from(fresh) else { return Trial::Undecided };
            operations.push(Operation::open(client, operation.op.clone(), 0));
        }
        // As the history will have them.
        let order = in_order(operations.iter().map(|operation| (operation.call, operation.end)).collect());
        let places: Vec<u32> = order.into_iter().map(|at| places[at as usize]).collect();
        let count = operations.len() as u64;
        let Some(left) = self.work.checked_sub(count) else { return Trial::Undecided };
        self.work = left;
        let Ok(history) = History::new(operations) else { return Trial::Undecided };
        let limits = Limits::default().with_states(10_000).with_threads(1).without_explanation();
        let progress = Progress::default();
        let verdict = crate::check::check_watched(self.model, &history, &limits, &progress);
        self.work = self.work.saturating_sub(progress.states());
        match verdict {
            Verdict::Linearizable(mut witness) => {
                let order = witness.orders.pop().unwrap_or_default().operations;
                Trial::Linearizable(order.into_iter().map(|at| places[at as usize]).collect())
            }
            Verdict::NotLinearizable(_) => Trial::NotLinearizable,
            Verdict::Unknown(_) => Trial::Undecided,
        }
    }
}

/// For each operation of a knot, which chain of one client it is in, and at which place.
fn chains(pairs: &[Pair]) -> FxHashMap<u32, (u32, u32)> {
    let mut chains: FxHashMap<u32, (u32, u32)> = FxHashMap::default();
    let mut count = 0;
    for pair in pairs.iter().filter(|pair| pair.knotted) {
        let (chain, place) = *chains.entry(pair.first).or_insert_with(|| {
            count += 1;
            (count - 1, 0)
        });
        chains.insert(pair.second, (chain, place + 1));
    }
    chains
}
