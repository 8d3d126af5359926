//! Explaining what the methods for keys and texts find.

use std::collections::BTreeSet;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::shows;
use super::shows::{Shown, look_at};
use crate::explain::minimal::{Role, STATES_A_TRIAL, Trial, Trials, bound};
use crate::explain::{SHOWN, for_any_model, listing, naming, with_role};
use crate::history::History;
use crate::keys::order::resolve::Flaw;
use crate::keys::order::slim::{Gathered, INITIAL, Kind as Does, Slim};
use crate::keys::order::{Error, Finding, Scratch, decide};
use crate::keys::texts::{Text, Texts};
use crate::limits::{Limits, Progress};
use crate::model::{Effect, Model};
use crate::verdict::{Explanation, Kind};
use crate::words;

/// How many operations can be prepared for a trial in the time that it takes to visit a state, more or less.
const OPERATIONS_A_STATE: u64 = 8;

/// How many states all the trials together may visit.
const STATES: u64 = 40_000;

/// A key with more operations than this is not searched as a whole for a smaller explanation.
const LARGEST: usize = 3_000;

/// Explains what is wrong with a key, or with a register without compare-and-swap, whose values are then
/// texts. `thing` is what the model calls what was written.
pub(crate) fn explain<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    texts: &Texts,
    thing: &str,
    gathered: &Gathered,
    error: Error,
) -> Explanation {
    let (ops, error) = by_call(gathered, error);
    let ops = &ops;
    let mut trials = ByValues { texts, ops, scratch: Scratch::default(), states: STATES };
    let (roles, minimal) = reduce(&mut trials, &error);
    // The initial put has no index.
    let indices: Vec<u32> = ops.iter().map(|op| op.index).collect();
    let operations = with_role(&indices[1..], &roles[1..], Role::Bound);
    let context = with_role(&indices[1..], &roles[1..], Role::Free);
    let kept: Vec<u32> = bound(&roles).into_iter().map(|at| at as u32).collect();
    let shown = look_at(texts, ops, &kept, &error);
    let kind = shown.as_ref().map_or_else(|| kind_of(ops, &kept, &error), Shown::kind);
    let mut sentence = match shown {
        Some(shown) => shown.sentence(model, history, ops),
        None => sentence(model, history, texts, ops, kind, &operations, &error),
    };
    if error.ambiguous && kind == Kind::StaleRead {
        sentence.push_str(&format!(" No other write of the same {thing} fits either."));
    }
    let of = &history[gathered.ops[1].index as usize].op;
    Explanation {
        key: model.partition_name(of),
        partition: model.partition(of),
        kind,
        operations,
        context,
        sentence,
        minimal,
    }
}

/// The operations by rising call, whatever they do, and the error in their new numbers.
fn by_call(gathered: &Gathered, mut error: Error) -> (Vec<Slim>, Error) {
    let mut order: Vec<u32> = (0..gathered.ops.len() as u32).collect();
    order[1..].sort_by_key(|&op| gathered.ops[op as usize].index);
    let mut number = vec![0; order.len()];
    for (&op, new) in order.iter().zip(0..) {
        number[op as usize] = new;
    }
    let renumber = |op: &mut u32| *op = number[*op as usize];
    error.operations.retain(|&op| op != INITIAL);
    error.operations.iter_mut().for_each(renumber);
    error.operations.sort_unstable();
    error.operations.dedup();
    match &mut error.flaw {
        Some(Flaw::Phantom { read, .. }) => renumber(read),
        Some(Flaw::Twice { append, read, other }) => [append, read, other].into_iter().for_each(renumber),
        Some(Flaw::Disagree { read, other }) => [read, other].into_iter().for_each(renumber),
        Some(Flaw::Ambiguous) | None => {}
    }
    (order.into_iter().map(|op| gathered.ops[op as usize]).collect(), error)
}

/// The fewest operations, and whether they are known to be the fewest.
fn reduce(trials: &mut ByValues<'_>, error: &Error) -> (Vec<Role>, bool) {
    let ops = trials.ops;
    let mut shown = vec![Role::Absent; ops.len()];
    for &op in &error.operations {
        shown[op as usize] = Role::Bound;
    }
    let mut roles = shown.clone();
    add_writes_seen(trials.texts, ops, error, &mut roles);
    if let Some(minimal) = trials.try_from(&mut roles) {
        return (roles, minimal);
    }
    // Freed like this, some write of the same text fits. Bound, the one that comes nearest may not; and that
    // the others do not fit either is what the method found out.
    bind_nearest_writes(ops, error, &mut shown);
    let mut roles = shown.clone();
    if let Some(minimal) = trials.try_from(&mut roles)
        && bound(&roles).len() > 1
    {
        return (roles, minimal);
    }
    let mut roles = vec![Role::Bound; ops.len()];
    roles[INITIAL as usize] = Role::Absent;
    if roles.len() > LARGEST {
        return (shown, false);
    }
    let minimal = (trials as &mut dyn Trials).minimize(&mut roles);
    // What was freed until the budget ended was freed with a proof, and what was shown may be no error by
    // itself.
    if minimal || bound(&roles).len() <= SHOWN { (roles, minimal) } else { (shown, false) }
}

/// Frees the writes that the reads of an error show: they must exist, but when does not matter.
fn add_writes_seen(texts: &Texts, ops: &[Slim], error: &Error, roles: &mut [Role]) {
    if matches!(error.flaw, Some(Flaw::Phantom { .. })) {
        return;
    }
    let has_appends = ops.iter().any(|op| op.kind == Does::Append);
    let terminators: BTreeSet<u8> = ops[1..]
        .iter()
        .filter(|op| op.kind != Does::Get && op.text != Text::EMPTY)
        .map(|op| texts.place(op.text).terminator)
        .collect();
    let reads = error.operations.iter().map(|&op| ops[op as usize]).filter(|op| op.kind == Does::Get);
    let mut seen: BTreeSet<Text> = BTreeSet::new();
    for read in reads {
        let bytes = texts.bytes(read.text);
        match terminators.first() {
            _ if !has_appends => seen.extend(texts.find_bytes(bytes)),
            Some(&terminator) if terminator != 0 && terminators.len() == 1 => {
                let parts = bytes.split_inclusive(|&byte| byte == terminator);
                seen.extend(parts.filter_map(|part| texts.find_bytes(part)));
            }
            // The text can be cut anywhere: whatever stands in it may have been seen.
            _ => {
                let text = texts.get(read.text);
                let inside =
                    ops[1..].iter().filter(|op| op.kind != Does::Get && text.contains(texts.get(op.text)));
                seen.extend(inside.map(|op| op.text));
            }
        }
    }
    for (op, role) in ops.iter().zip(roles.iter_mut()).skip(1) {
        if op.kind != Does::Get && *role == Role::Absent && seen.contains(&op.text) {
            *role = Role::Free;
        }
    }
}

/// Of the writes that a read may have seen, takes the last one called before the read returned.
fn bind_nearest_writes(ops: &[Slim], error: &Error, roles: &mut [Role]) {
    for &op in &error.operations {
        let read = ops[op as usize];
        if read.kind != Does::Get {
            continue;
        }
        let same = |other: &Slim| other.kind == Does::Put && other.text == read.text;
        let before = (1..ops.len()).rev().find(|&at| same(&ops[at]) && ops[at].call <= read.end);
        let nearest = before.or_else(|| (1..ops.len()).find(|&at| same(&ops[at])));
        if let Some(at) = nearest {
            roles[at] = Role::Bound;
        }
    }
}

/// Trials by the methods for keys and texts.
struct ByValues<'a> {
    texts: &'a Texts,
    ops: &'a [Slim],
    scratch: Scratch,
    states: u64,
}

impl ByValues<'_> {
    /// Reduces `roles` if they are not linearizable. Returns whether the result is minimal.
    fn try_from(&mut self, roles: &mut [Role]) -> Option<bool> {
        matches!(self.attempt(roles), Trial::NotLinearizable)
            .then(|| (self as &mut dyn Trials).minimize(roles))
    }
}

impl Trials for ByValues<'_> {
    fn attempt(&mut self, roles: &[Role]) -> Trial {
        let trial = Gathered::of(self.cast(roles));
        let prepared = trial.ops.len() as u64 / OPERATIONS_A_STATE;
        if self.states <= prepared {
            return Trial::Undecided;
        }
        self.states -= prepared;
        let limits = Limits::default().with_states(STATES_A_TRIAL.min(self.states));
        let progress = Progress::default();
        let finding = decide(self.texts, &trial, &mut self.scratch, &limits, &progress);
        self.states = self.states.saturating_sub(progress.states());
        match finding {
            Finding::Order(order) => Trial::Linearizable(order),
            Finding::Bad(_) => Trial::NotLinearizable,
            Finding::Limited { .. } => Trial::Undecided,
        }
    }
}

impl ByValues<'_> {
    /// The operations of a trial. Freed writes of one text in one way are all the same, so no more of them
    /// are there than the reads can show.
    fn cast(&self, roles: &[Role]) -> Vec<Slim> {
        let all = || self.ops.iter().zip(roles).zip(0..).skip(1);
        let bound = || all().filter(|((_, role), _)| **role == Role::Bound);
        let mut trial: Vec<Slim> = bound().map(|((&op, _), index)| Slim { index, ..op }).collect();
        let reads = trial.iter().filter(|op| op.kind == Does::Get);
        let reads: Vec<u32> = reads.map(|op| self.texts.place(op.text).length).collect();
        let most = |op: &Slim| {
            let shown = reads.iter().map(|length| match op.kind {
                Does::Append => length / self.texts.place(op.text).length.max(1),
                Does::Get | Does::Put => 1,
            });
            shown.sum::<u32>()
        };
        let mut left: FxHashMap<(bool, Text), u32> = FxHashMap::default();
        for ((&op, role), index) in all() {
            if *role != Role::Free || op.kind == Does::Get {
                continue;
            }
            let left = left.entry((op.kind == Does::Put, op.text)).or_insert_with(|| most(&op));
            if *left > 0 {
                *left -= 1;
                trial.push(Slim { index, call: 1, end: u64::MAX, ..op });
            }
        }
        trial
    }
}

fn kind_of(ops: &[Slim], kept: &[u32], error: &Error) -> Kind {
    match error.flaw {
        Some(Flaw::Phantom { .. }) => return Kind::Phantom,
        Some(Flaw::Twice { .. }) => return Kind::Duplicate,
        Some(Flaw::Disagree { .. }) => return Kind::Disagreement,
        Some(Flaw::Ambiguous) | None => {}
    }
    let reads = kept.iter().filter(|&&op| ops[op as usize].kind == Does::Get).count();
    let end = kept.iter().map(|&op| ops[op as usize].end).min().unwrap_or(0);
    let latest = kept.iter().map(|&op| ops[op as usize]).max_by_key(|op| op.call);
    match (kept.len(), latest) {
        (1, _) => Kind::Phantom,
        // The operation that is called last sees the past wrongly, or that was seen before it was called.
        (_, Some(latest)) if end < latest.call && latest.kind == Does::Get => Kind::StaleRead,
        (2, Some(_)) if reads == 1 => Kind::FutureRead,
        _ if reads == kept.len() => Kind::Disagreement,
        _ => Kind::Order,
    }
}

fn sentence<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    texts: &Texts,
    ops: &[Slim],
    kind: Kind,
    operations: &[usize],
    error: &Error,
) -> String {
    let name = |index: usize| naming(model, &history[index]);
    let of = |op: u32| ops[op as usize].index as usize;
    match (&error.flaw, operations) {
        (Some(Flaw::Phantom { read, part }), _) => {
            let text = texts.get(ops[*read as usize].text);
            // All of it is what the read returned, however the model shows that.
            let operation = &history[of(*read)];
            let whole = operation.result.as_ref().filter(|_| part.len() == text.len());
            let what = whole.map_or_else(
                || words::quoted(&part_of(text, part)),
                |result| model.describe_result(&operation.op, result),
            );
            format!("{}, but nobody wrote {what} there.", name(of(*read)))
        }
        (Some(Flaw::Twice { append, read, other }), _) if read == other => {
            shows::twice(&name(of(*read)), &shows::naming_write(model, &history[of(*append)]))
        }
        (Some(Flaw::Twice { append, .. }), [one, other]) => {
            let append = shows::naming_write(model, &history[of(*append)]);
            format!(
                "{append} shows at two places: {}, and {}, which stands behind another Put.",
                name(*one),
                name(*other)
            )
        }
        (None, [early, late]) if history[*early].precedes(&history[*late]) => {
            two(model, history, kind, *early, *late)
        }
        (None, [_, _, _, ..]) if kind == Kind::StaleRead => stale(model, history, operations),
        _ => for_any_model(model, history, operations),
    }
}

/// The bytes `part` of a text, widened to whole characters.
fn part_of(text: &str, part: &Range<usize>) -> String {
    String::from_utf8_lossy(&text.as_bytes()[part.clone()]).into_owned()
}

/// `early` had returned before `late` was called, and yet must come after it.
fn two<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    kind: Kind,
    early: usize,
    late: usize,
) -> String {
    let gap = history[late].call - history[early].end;
    let (first, second) = (naming(model, &history[early]), naming(model, &history[late]));
    if kind == Kind::FutureRead {
        let second = shows::naming_write(model, &history[late]);
        return format!("{first}, but {second} was called only {} that.", history.after(gap));
    }
    let first = passive(model, history, early);
    format!("{second}, but {first} had already returned {} it was called.", history.before(gap))
}

/// Three or more, of which the last one called is a read.
fn stale<M: Model>(model: &M, history: &History<M::Op, M::Result>, operations: &[usize]) -> String {
    let Some((&last, rest)) = operations.split_last() else { return String::new() };
    let before = |late: usize| {
        let earlier = rest.iter().copied().filter(move |&other| history[other].precedes(&history[late]));
        earlier.max_by_key(|&other| history[other].end)
    };
    let Some(newest) = before(last) else { return for_any_model(model, history, operations) };
    let gap = history.before(history[last].call - history[newest].end);
    let (read, other) = (naming(model, &history[last]), passive(model, history, newest));
    let start = format!("{read}, but {other} had already returned {gap} it was called");
    match (rest, before(newest)) {
        ([_, _], Some(first)) => {
            let gap = history.after(history[newest].call - history[first].end);
            format!("{start}, and was itself called {gap} {} had returned.", passive(model, history, first))
        }
        // When the last one was called is said already.
        _ => format!("{start}. No order fits it and these: {}.", listing(model, history, rest)),
    }
}

/// An operation as one that something else is compared with.
fn passive<M: Model>(model: &M, history: &History<M::Op, M::Result>, index: usize) -> String {
    let operation = &history[index];
    match &operation.result {
        Some(result) if model.effect(&operation.op, Some(result)) == Effect::Read => {
            let seen = model.describe_result(&operation.op, result);
            format!("the {} by client {} that saw {seen}", model.describe_op(&operation.op), operation.client)
        }
        _ => naming(model, operation),
    }
}
