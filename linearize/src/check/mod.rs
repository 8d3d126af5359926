//! From a history to a verdict: partitions, threads, and which method decides what.

mod in_order;
mod touching;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::explain;
use crate::history::History;
use crate::limits::{Limits, Progress};
use crate::model::{Decision, Model};
use crate::search::{self, Found, Numbered};
use crate::verdict::{Explanation, Order, Undecided, Verdict, Witness};

/// Is `history` linearizable with respect to `model`?
///
/// The verdict is a function of the three arguments: it does not depend on time, threads or chance. If some
/// partition is not linearizable, the verdict tells of the first such one, even if another is undecided.
pub fn check<M: Model>(model: &M, history: &History<M::Op, M::Result>, limits: &Limits) -> Verdict {
    check_watched(model, history, limits, &Progress::default())
}

/// As [`check`], with counters that another thread may read meanwhile.
pub fn check_watched<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    limits: &Limits,
    progress: &Progress,
) -> Verdict {
    if history.is_touching() {
        return touching::check(model, history, true, limits, progress);
    }
    check_apart(model, history, true, limits, progress)
}

/// As [`check_watched`], of a history in which no client calls in the very moment in which its operation
/// before returned.
///
/// Methods of the model's own are asked only if `specially`.
pub(crate) fn check_apart<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    specially: bool,
    limits: &Limits,
    progress: &Progress,
) -> Verdict {
    let verdict = if specially { model.check_specially(history, limits, progress) } else { None };
    verdict.unwrap_or_else(|| check_parts(model, history, specially, limits, progress))
}

/// As [`check_watched`], by the general search alone, whatever faster method the model may have.
pub fn check_by_search<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    limits: &Limits,
    progress: &Progress,
) -> Verdict {
    if history.is_touching() {
        return touching::check(model, history, false, limits, progress);
    }
    check_apart(model, history, false, limits, progress)
}

fn check_parts<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    specially: bool,
    limits: &Limits,
    progress: &Progress,
) -> Verdict {
    let parts = parts(history.operations().iter().map(|operation| model.partition(&operation.op)).collect());
    progress.set_partitions(parts.len());
    let threads = limits.threads_for(history.len(), parts.len());
    let check = |part: usize| {
        let (partition, indices) = &parts[part];
        let decision = if specially { model.decide(history, indices, limits, progress) } else { None };
        let verdict = match decision {
            Some(decision) => decided(model, history, *partition, indices, decision, limits),
            None => check_part(model, history, *partition, indices, limits, progress),
        };
        progress.partition_done();
        verdict
    };
    in_parallel(parts.len(), threads, &|| Box::new(check))
}

/// The operations of each partition, given the partition of each operation.
fn parts(partitions: Vec<u64>) -> Vec<(u64, Vec<u32>)> {
    let mut parts: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (&partition, index) in partitions.iter().zip(0..) {
        parts.entry(partition).or_default().push(index);
    }
    parts.into_iter().collect()
}

/// What a method of the model's own has found.
fn decided<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    partition: u64,
    indices: &[u32],
    decision: Decision,
    limits: &Limits,
) -> Part {
    match decision {
        Decision::Order(operations) => Part::Good(Order { partition, operations }),
        Decision::Flaw(flaw) => Part::Bad(Box::new(match limits.explain {
            true => explain::of_flaw(model, history, &flaw, &[]),
            false => explain::in_brief(model, history, flaw.iter().map(|&index| index as usize).collect()),
        })),
        Decision::Stuck(stuck) => {
            Part::Bad(Box::new(stuck_at(model, history, partition, indices, stuck, limits)))
        }
        Decision::Explained(mut explanation) => {
            explanation.partition = partition;
            explanation.key = model.partition_name(&history[indices[0] as usize].op);
            Part::Bad(explanation)
        }
        Decision::Limited { limit, states, reached } => Part::Unknown(Undecided {
            key: model.partition_name(&history[reached as usize].op),
            limit,
            states,
            reached: reached as usize,
            operations: indices.len(),
        }),
    }
}

fn check_part<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    partition: u64,
    indices: &[u32],
    limits: &Limits,
    progress: &Progress,
) -> Part {
    match search::search(&mut Numbered::new(model, history.operations()), indices, limits, progress) {
        Found::Order(operations) => Part::Good(Order { partition, operations }),
        Found::Nothing { stuck } => {
            Part::Bad(Box::new(stuck_at(model, history, partition, indices, stuck, limits)))
        }
        Found::Limited { limit, states, reached } => Part::Unknown(Undecided {
            key: model.partition_name(&history[reached as usize].op),
            limit,
            states,
            reached: reached as usize,
            operations: indices.len(),
        }),
    }
}

/// Explains a partition of which what had returned up to the return of `stuck` cannot be linearized.
fn stuck_at<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    partition: u64,
    indices: &[u32],
    stuck: u32,
    limits: &Limits,
) -> Explanation {
    match limits.explain {
        true => explain::by_search(model, history, partition, indices, stuck),
        false => explain::in_brief(model, history, vec![stuck as usize]),
    }
}

/// The finding for one partition.
pub(crate) enum Part {
    Good(Order),
    Bad(Box<Explanation>),
    Unknown(Undecided),
}

/// Checks partitions by their numbers.
pub(crate) type Checker<'c> = Box<dyn FnMut(usize) -> Part + 'c>;

/// Checks `count` partitions and combines the findings. After one is known to be bad, none behind it is
/// begun; those before it are finished, so that the verdict names the first bad one whatever the threads do.
///
/// Each thread has a checker of its own, with its own working memory.
pub(crate) fn in_parallel<'c>(
    count: usize,
    threads: usize,
    checker: &(dyn Fn() -> Checker<'c> + Sync),
) -> Verdict {
    let first_bad = AtomicUsize::new(usize::MAX);
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Part)>> = Mutex::new(Vec::new());
    let work = || {
        let mut check = checker();
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= count || part > first_bad.load(Ordering::Relaxed) {
                break;
            }
            let finding = check(part);
            if matches!(finding, Part::Bad(_)) {
                first_bad.fetch_min(part, Ordering::Relaxed);
            }
            found.lock().push((part, finding));
        }
    };
    if threads <= 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
    }
    combine(found.into_inner())
}

fn combine(mut found: Vec<(usize, Part)>) -> Verdict {
    found.sort_by_key(|&(part, _)| part);
    let mut witness = Witness::default();
    let mut unknown = None;
    for (_, finding) in found {
        match finding {
            Part::Good(order) => witness.orders.push(order),
            Part::Bad(explanation) => return Verdict::NotLinearizable(explanation),
            Part::Unknown(undecided) => unknown = unknown.or(Some(undecided)),
        }
    }
    unknown.map_or(Verdict::Linearizable(witness), Verdict::Unknown)
}

impl Explanation {
    /// Tests what [`Explanation`] promises of `operations` and `context`, by the general search.
    pub fn holds<M: Model>(&self, model: &M, history: &History<M::Op, M::Result>) -> bool {
        if history.is_touching() {
            let (indices, roles) = self.roles();
            return touching::holds(model, history, &indices, &roles);
        }
        self.holds_by(model, history, true)
    }
}
