//! Keys with texts: the order of writes is read from the values, without any search.
//!
//! If every text names its write, then what reads returned says which put each read stands behind and in
//! which order the appends between came (Gibbons and Korach 1997 for registers; the order of appends is read
//! from lists as Elle does for transactions). What is left is to compare times: `resolve` cuts the texts,
//! `blocks` compares. Both are linear but for sorting what is nearly sorted. Where texts do not name their
//! writes, [`crate::keys::ambiguous`] takes over.

pub(crate) mod blocks;
pub(crate) mod resolve;
pub(crate) mod slim;

use blocks::{Blocks, Clash, Rows, insert_idle};
use resolve::{Flaw, Resolver};
use slim::{Gathered, INITIAL, Kind, Slim};

use crate::check::{Part, in_parallel};
use crate::explain::in_brief;
use crate::history::{History, Operation};
use crate::keys::ambiguous::walk::Walked;
use crate::keys::ambiguous::{self, Solved};
use crate::keys::explain;
use crate::keys::key_value::{KeyValue, KvOp};
use crate::keys::texts::{Text, Texts};
use crate::limits::{Limits, Progress};
use crate::verdict::{Limit, Order, Undecided, Verdict};

/// Working memory, kept from key to key.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    rows: Rows,
    resolver: Resolver,
    blocks: Blocks,
}

/// What is found of one key.
pub(crate) enum Finding {
    /// An order, by index in the history, without the operations that have no effect.
    Order(Vec<u32>),
    Bad(Error),
    Limited {
        limit: Limit,
        states: u64,
        read: u32,
    },
}

/// What is wrong with a key. Operations are named by their number in [`Gathered::ops`].
#[derive(Clone, Debug)]
pub(crate) struct Error {
    /// Operations that cannot be ordered; perhaps not all are needed, but they are enough if `certain`.
    pub(crate) operations: Vec<u32>,
    /// The flaw of the texts, if it is one.
    pub(crate) flaw: Option<Flaw>,
    /// Whether some write could have been taken for another.
    pub(crate) ambiguous: bool,
}

/// Checks all keys of a history.
pub(crate) fn check(
    model: &KeyValue<'_>,
    history: &History<KvOp, Text>,
    limits: &Limits,
    progress: &Progress,
) -> Verdict {
    let operations = history.operations();
    let groups = Groups::new(operations, model.keys().len());
    let keys: Vec<usize> = (0..model.keys().len()).filter(|&key| !groups.is_empty(key)).collect();
    progress.set_partitions(keys.len());
    let threads = limits.threads_for(history.len(), keys.len());
    in_parallel(keys.len(), threads, &|| {
        let mut scratch = Scratch::default();
        let mut gathered = Gathered::default();
        let (keys, groups) = (&keys, &groups);
        Box::new(move |part| {
            let key = keys[part];
            gathered.gather(operations, groups.writes(key), groups.reads(key));
            let part = check_key(model, history, key, &gathered, &mut scratch, limits, progress);
            progress.partition_done();
            part
        })
    })
}

/// The operations by key, and of each key the writes before the reads.
struct Groups {
    /// Where the writes of each key begin, where its reads do, where the writes of the next key do, and so
    /// on.
    starts: Vec<u32>,
    indices: Vec<u32>,
}

impl Groups {
    fn new(operations: &[Operation<KvOp, Text>], keys: usize) -> Self {
        let group = |operation: &Operation<KvOp, Text>| {
            operation.op.key().0 as usize * 2 + usize::from(matches!(operation.op, KvOp::Get { .. }))
        };
        let mut starts = vec![0u32; keys * 2 + 1];
        for operation in operations {
            starts[group(operation) + 1] += 1;
        }
        for group in 0..keys * 2 {
            starts[group + 1] += starts[group];
        }
        let mut next = starts.clone();
        let mut indices = vec![0; operations.len()];
        for (index, operation) in operations.iter().enumerate() {
            let next = &mut next[group(operation)];
            indices[*next as usize] = index as u32;
            *next += 1;
        }
        Groups { starts, indices }
    }

    fn group(&self, group: usize) -> &[u32] {
        &self.indices[self.starts[group] as usize..self.starts[group + 1] as usize]
    }

    fn writes(&self, key: usize) -> &[u32] {
        self.group(key * 2)
    }

    fn reads(&self, key: usize) -> &[u32] {
        self.group(key * 2 + 1)
    }

    fn is_empty(&self, key: usize) -> bool {
        self.starts[key * 2] == self.starts[key * 2 + 2]
    }
}

fn check_key(
    model: &KeyValue<'_>,
    history: &History<KvOp, Text>,
    key: usize,
    gathered: &Gathered,
    scratch: &mut Scratch,
    limits: &Limits,
    progress: &Progress,
) -> Part {
    match decide(model.texts(), gathered, scratch, limits, progress) {
        Finding::Order(order) => {
            let call = |index: u32| history[index as usize].call;
            let end = |index: u32| history[index as usize].end;
            let operations = insert_idle(order, &gathered.idle, call, end);
            Part::Good(Order { partition: key as u64, operations })
        }
        Finding::Bad(error) if limits.explain => {
            Part::Bad(Box::new(explain::explain(model, history, model.texts(), "text", gathered, error)))
        }
        Finding::Bad(error) => {
            let index = |&op: &u32| gathered.ops[op as usize].index as usize;
            let named = error.operations.iter().filter(|&&op| op != INITIAL).map(index).collect();
            Part::Bad(Box::new(in_brief(model, history, named)))
        }
        Finding::Limited { limit, states, read } => Part::Unknown(Undecided {
            key: model.keys()[key].clone(),
            limit,
            states,
            reached: gathered.ops[read as usize].index as usize,
            operations: gathered.ops.len() - 1 + gathered.idle.len(),
        }),
    }
}

/// Decides one key.
pub(crate) fn decide(
    texts: &Texts,
    gathered: &Gathered,
    scratch: &mut Scratch,
    limits: &Limits,
    progress: &Progress,
) -> Finding {
    let Scratch { rows, resolver, blocks } = scratch;
    match resolver.resolve(texts, gathered, rows) {
        Ok(()) => match blocks.arrange(gathered, rows) {
            Ok(()) => Finding::Order(blocks.order(gathered, rows)),
            Err(clash) => Finding::Bad(clash_error(clash, resolver, rows)),
        },
        Err(Flaw::Ambiguous) => decide_ambiguous(texts, gathered, blocks, limits, progress),
        Err(flaw) => {
            let operations = match flaw {
                Flaw::Phantom { read, .. } => vec![read],
                Flaw::Twice { read, other, .. } | Flaw::Disagree { read, other } => vec![read, other],
                Flaw::Ambiguous => Vec::new(),
            };
            Finding::Bad(Error { operations, flaw: Some(flaw), ambiguous: false })
        }
    }
}

/// Some text does not name its write. To choose which write each read saw is quick where texts are repeated
/// now and then; where few texts are appended again and again it takes more choices than there are
/// operations, and then the walk is better.
fn decide_ambiguous(
    texts: &Texts,
    gathered: &Gathered,
    blocks: &mut Blocks,
    limits: &Limits,
    progress: &Progress,
) -> Finding {
    let few = if gathered.has_appends { 256 + 2 * gathered.ops.len() as u64 } else { u64::MAX };
    let bound = limits.clone().with_states(limits.states.min(few));
    match ambiguous::solve(texts, gathered, &bound, progress) {
        Solved::Rows(mut rows) => match blocks.arrange(gathered, &rows) {
            Ok(()) => Finding::Order(blocks.order(gathered, &mut rows)),
            Err(clash) => panic!("the choices fit one by one, but not together: {clash:?}"),
        },
        Solved::Nothing { read, mut blame } => {
            blame.push(read);
            Finding::Bad(Error { operations: blame, flaw: None, ambiguous: true })
        }
        Solved::Limited { limit: Limit::States, states, .. } if states < limits.states => {
            let left = limits.clone().with_states(limits.states - states);
            walk(texts, gathered, &left, progress)
        }
        Solved::Limited { limit, states, read } => Finding::Limited { limit, states, read },
    }
}

fn walk(texts: &Texts, gathered: &Gathered, limits: &Limits, progress: &Progress) -> Finding {
    let index = |op: u32| gathered.ops[op as usize].index;
    match ambiguous::walk::walk(texts, gathered, limits, progress) {
        Walked::Order(order) => Finding::Order(order.into_iter().map(index).collect()),
        Walked::Nowhere { stuck } => {
            let operations = newest_before(&gathered.ops, stuck);
            Finding::Bad(Error { operations, flaw: None, ambiguous: true })
        }
        Walked::Limited { limit, states, reached } => Finding::Limited { limit, states, read: reached },
    }
}

/// `stuck`, and the last two reads and the last put that had returned before it was called: most often it
/// contradicts those.
fn newest_before(ops: &[Slim], stuck: u32) -> Vec<u32> {
    let call = ops[stuck as usize].call;
    let mut before: Vec<u32> =
        (INITIAL + 1..ops.len() as u32).filter(|&op| ops[op as usize].end < call).collect();
    before.sort_by_key(|&op| std::cmp::Reverse(ops[op as usize].end));
    let newest = |kind: Kind, count: usize| {
        before.iter().copied().filter(move |&op| ops[op as usize].kind == kind).take(count)
    };
    newest(Kind::Get, 2).chain(newest(Kind::Put, 1)).chain([stuck]).collect()
}

/// The operations of a clash, and the reads that show which writes belong together.
fn clash_error(clash: Clash, resolver: &Resolver, rows: &Rows) -> Error {
    let proof = |head: u32| resolver.epoch(head).map(|epoch| epoch.longest_by);
    let operations = match clash {
        Clash::Inside { before, after } => {
            let moments = [before, after].into_iter().filter_map(|op| rows.moments.get(op as usize));
            let heads = moments.map(|moment| moment.head).filter(|&head| head != slim::NONE);
            [before, after].into_iter().chain(heads.filter_map(proof)).collect()
        }
        Clash::Between(one, other) => {
            let members = [one.first_by, one.last_by, other.first_by, other.last_by];
            members.into_iter().chain([one.head, other.head].into_iter().filter_map(proof)).collect()
        }
    };
    let mut error = Error { operations, flaw: None, ambiguous: false };
    error.operations.retain(|&op| op != INITIAL);
    error
}
