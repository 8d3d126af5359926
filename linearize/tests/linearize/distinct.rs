//! What is decided without a search: queues, stacks and sets of distinct values, and counters of equal steps.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use linearize::models::collections::{Queue, QueueOp, WholeSet, WholeSetOp};
use linearize::models::counter::{Counter, CounterOp};
use linearize::models::register::{Register, RegisterOp, RegisterResult};
use linearize::models::stack::{Stack, StackOp};
use linearize::{History, Limits, Model, Operation, Progress, Verdict, check};

use crate::small::{Random, compare, compare_seeds, histories, times};

type Value = u8;

type Elements = BTreeSet<Value>;

/// A collection into which each value is put once, with what came out altered now and then.
fn distinct_values<Op: Clone + PartialEq>(
    random: &mut Random,
    put: fn(Value) -> Op,
    take: &Op,
    next: fn(&mut VecDeque<Value>) -> Option<Value>,
) -> History<Op, Option<Value>> {
    let mut values = VecDeque::new();
    let (puts, alter) = (1 + random.below(3), random.one_in(2));
    let mut operations = Vec::new();
    for (number, times) in times(random).into_iter().enumerate() {
        let (op, mut result) = if random.below(4) < puts {
            if times.happens {
                values.push_back(number as Value);
            }
            (put(number as Value), None)
        } else {
            (take.clone(), if times.happens { next(&mut values) } else { None })
        };
        if alter && op == *take && random.one_in(3) {
            result = Some(random.below(8) as Value).filter(|_| !random.one_in(3));
        }
        operations.push(match times.end {
            Some(end) => Operation::new(times.client, op, result, times.call, end),
            None => Operation::open(times.client, op, times.call),
        });
    }
    History::new(operations).unwrap()
}

/// Compares random histories, of which at least so many are decided without a search.
fn compare_decided<M: Model>(
    model: &M,
    history: impl Fn(&mut Random) -> History<M::Op, M::Result> + Sync,
    least: u64,
) {
    let decided = AtomicU64::new(0);
    compare_seeds(|seed| {
        let history = history(&mut Random(seed));
        let all: Vec<u32> = (0..history.operations().len() as u32).collect();
        let special = model.decide(&history, &all, &Limits::default(), &Progress::default());
        decided.fetch_add(u64::from(special.is_some()), Ordering::Relaxed);
        compare(model, &history)
    });
    let decided = decided.into_inner();
    assert!(decided >= least, "only {decided} were decided without a search");
}

#[test]
fn queue_of_distinct_values() {
    let history = |random: &mut Random| {
        distinct_values(random, QueueOp::Enqueue, &QueueOp::Dequeue, VecDeque::pop_front)
    };
    compare_decided(&Queue::new(), history, histories() / 2);
}

#[test]
fn stack_of_distinct_values() {
    let history =
        |random: &mut Random| distinct_values(random, StackOp::Push, &StackOp::Pop, VecDeque::pop_back);
    compare_decided(&Stack::new(), history, histories() / 2);
}

/// A history of distinct values, 64 at a time, with a backlog of about 1,000. `spoilt` says what the last
/// operation takes: what was taken long ago, or what is not next.
fn backlog<Op: Clone + PartialEq>(
    seed: u64,
    count: u32,
    put: fn(u32) -> Op,
    take: &Op,
    next: fn(&mut VecDeque<u32>) -> Option<u32>,
    spoilt: Option<bool>,
) -> History<Op, Option<u32>> {
    let mut random = Random(seed);
    let mut slots: Vec<_> = (0..count)
        .map(|number| {
            let call = u64::from(number) * 10 + random.below(640);
            let end = call + random.below(640);
            ((call + end) / 2, call, end, number)
        })
        .collect();
    slots.sort_unstable();
    let mut values = VecDeque::new();
    let mut operations = Vec::new();
    for (_, call, end, number) in slots {
        let puts = if values.len() < 1_000 { 6 } else { 4 };
        operations.push(if random.below(10) < puts {
            values.push_back(number);
            Operation::new(number, put(number), None, call, end)
        } else {
            Operation::new(number, take.clone(), next(&mut values), call, end)
        });
    }
    if let Some(again) = spoilt {
        let taken = operations.iter().find_map(|operation| operation.result.flatten());
        let middle = values.get(values.len() / 2).copied();
        let end = u64::from(count) * 20;
        operations.push(Operation::new(0, take.clone(), if again { taken } else { middle }, end, end + 1));
    }
    History::new(operations).unwrap()
}

fn a_long_backlog_needs_no_search<M: Model<Result = Option<u32>>>(
    model: &M,
    put: fn(u32) -> M::Op,
    take: &M::Op,
    next: fn(&mut VecDeque<u32>) -> Option<u32>,
) {
    for (seed, spoilt) in [(1, None), (2, Some(true)), (3, Some(false))] {
        let history = backlog(seed, 100_000, put, take, next, spoilt);
        let begun = std::time::Instant::now();
        let verdict = check(model, &history, &Limits::default().with_states(1));
        println!("{} operations: {:?}", history.len(), begun.elapsed());
        match verdict {
            Verdict::Linearizable(witness) => {
                assert_eq!(spoilt, None);
                witness.replay(model, &history).unwrap();
            }
            Verdict::NotLinearizable(explanation) => {
                assert!(spoilt.is_some() && explanation.minimal, "{explanation}");
                assert!(explanation.holds(model, &history), "{explanation}");
            }
            Verdict::Unknown(undecided) => panic!("{undecided}"),
        }
    }
}

#[test]
fn a_queue_with_a_long_backlog_is_decided_without_a_search() {
    let dequeue = QueueOp::Dequeue;
    a_long_backlog_needs_no_search(&Queue::new(), QueueOp::Enqueue, &dequeue, VecDeque::pop_front);
}

#[test]
fn a_stack_with_a_long_backlog_is_decided_without_a_search() {
    a_long_backlog_needs_no_search(&Stack::new(), StackOp::Push, &StackOp::Pop, VecDeque::pop_back);
}

/// A register to which each value is written once. What was read is altered now and then, and so is what was
/// compared.
fn written_once(
    random: &mut Random,
    first: Option<Value>,
) -> History<RegisterOp<Value>, RegisterResult<Value>> {
    let (mut state, alter, writes) = (first, random.one_in(2), random.below(3));
    let mut operations = Vec::new();
    for (number, times) in times(random).into_iter().enumerate() {
        let to = number as Value;
        let altered = alter && random.one_in(4);
        let there = if altered { Some(random.below(8) as Value) } else { state };
        let (op, result) = match (random.below(4), there) {
            (kind, _) if kind < writes => (RegisterOp::Write(to), RegisterResult::Written),
            (3, _) | (_, None) => (RegisterOp::Read, RegisterResult::Value(there)),
            (_, Some(from)) => (RegisterOp::CompareAndSwap { from, to }, RegisterResult::Swapped(true)),
        };
        let changes = op != RegisterOp::Read && (there == state || matches!(op, RegisterOp::Write(_)));
        if times.happens && changes {
            state = Some(to);
        }
        operations.push(match times.end {
            Some(end) => Operation::new(times.client, op, result, times.call, end),
            None => Operation::open(times.client, op, times.call),
        });
    }
    History::new(operations).unwrap()
}

#[test]
fn register_of_distinct_values() {
    compare_decided(&Register::new(), |random| written_once(random, None), histories() / 2);
    compare_decided(&Register::holding(100), |random| written_once(random, Some(100)), histories() / 2);
}

/// A chain of compare-and-swaps, each of which is under way with 63 others, and writes between.
#[test]
fn a_long_chain_of_swaps_needs_no_search() {
    for spoilt in [false, true] {
        let mut state = 0;
        let history = many(
            |random, number, spoil| match random.below(3) {
                _ if spoil => (RegisterOp::Read, RegisterResult::Value(Some(state - 200))),
                0 => (RegisterOp::Read, RegisterResult::Value(Some(state))),
                kind => {
                    let from = std::mem::replace(&mut state, number + 1);
                    match kind {
                        1 => (RegisterOp::Write(state), RegisterResult::Written),
                        _ => (RegisterOp::CompareAndSwap { from, to: state }, RegisterResult::Swapped(true)),
                    }
                }
            },
            spoilt,
        );
        needs_no_search(&Register::holding(0), &history, spoilt);
    }
}

/// A set to which each element is added once; what a read showed is altered now and then.
fn distinct_elements(random: &mut Random) -> History<WholeSetOp<Value>, Option<Elements>> {
    let mut elements = Elements::new();
    let alter = random.one_in(2);
    let mut operations = Vec::new();
    for (number, times) in times(random).into_iter().enumerate() {
        let number = number as Value;
        let (op, mut result) = if random.one_in(2) {
            if times.happens {
                elements.insert(number);
            }
            (WholeSetOp::Add(number), None)
        } else {
            (WholeSetOp::Read, Some(elements.clone()))
        };
        if let Some(seen) = result.as_mut().filter(|_| alter && random.one_in(3)) {
            let element = random.below(8) as Value;
            if !seen.remove(&element) {
                seen.insert(element);
            }
        }
        operations.push(match times.end {
            Some(end) => Operation::new(times.client, op, result, times.call, end),
            None => Operation::open(times.client, op, times.call),
        });
    }
    History::new(operations).unwrap()
}

#[test]
fn whole_set_of_distinct_elements() {
    compare_decided(&WholeSet::new(), distinct_elements, histories());
}

/// A counter to which only one number is added.
fn equal_steps(random: &mut Random) -> History<CounterOp, i64> {
    let number = random.pick(&[1, 1, 3, -2]);
    let (mut sum, alter) = (0, random.one_in(2));
    let mut operations = Vec::new();
    for times in times(random) {
        let op = random.pick(&[CounterOp::Add(number), CounterOp::FetchAdd(number), CounterOp::Read]);
        let seen = sum;
        if times.happens && op != CounterOp::Read {
            sum += number;
        }
        let altered = if alter && random.one_in(4) { random.below(3) as i64 * number - number } else { 0 };
        let result = if matches!(op, CounterOp::Add(_)) { 0 } else { seen + altered };
        operations.push(match times.end {
            Some(end) => Operation::new(times.client, op, result, times.call, end),
            None => Operation::open(times.client, op, times.call),
        });
    }
    History::new(operations).unwrap()
}

#[test]
fn counter_of_equal_steps() {
    compare_decided(&Counter, equal_steps, histories());
}

/// 100,000 operations of 64 at a time, with a read now and then of what is there; `spoilt` alters a late one.
fn many<Op, R>(mut run: impl FnMut(&mut Random, u32, bool) -> (Op, R), spoilt: bool) -> History<Op, R> {
    let mut random = Random(5);
    let mut slots: Vec<_> = (0..100_000)
        .map(|number| {
            let call = u64::from(number) * 10 + random.below(640);
            let end = call + random.below(640);
            ((call + end) / 2, call, end, number)
        })
        .collect();
    slots.sort_unstable();
    let operation = |(place, (_, call, end, number)): (usize, (u64, u64, u64, u32))| {
        let (op, result) = run(&mut random, number, spoilt && place == 99_000);
        Operation::new(number, op, result, call, end)
    };
    History::new(slots.into_iter().enumerate().map(operation).collect()).unwrap()
}

fn needs_no_search<M: Model>(model: &M, history: &History<M::Op, M::Result>, spoilt: bool) {
    let begun = std::time::Instant::now();
    let verdict = check(model, history, &Limits::default().with_states(1));
    println!("{} operations: {:?}", history.len(), begun.elapsed());
    match verdict {
        Verdict::Linearizable(witness) => {
            assert!(!spoilt);
            witness.replay(model, history).unwrap();
        }
        Verdict::NotLinearizable(_) => assert!(spoilt),
        Verdict::Unknown(undecided) => panic!("{undecided}"),
    }
}

#[test]
fn a_long_counter_needs_no_search() {
    for spoilt in [false, true] {
        let mut sum = 0;
        let history = many(
            |random, _, spoil| match random.below(3) {
                _ if spoil => (CounterOp::Read, sum - 200),
                0 => (CounterOp::Read, sum),
                1 => {
                    sum += 1;
                    (CounterOp::FetchAdd(1), sum - 1)
                }
                _ => {
                    sum += 1;
                    (CounterOp::Add(1), 0)
                }
            },
            spoilt,
        );
        needs_no_search(&Counter, &history, spoilt);
    }
}

#[test]
fn a_large_set_needs_no_search() {
    for spoilt in [false, true] {
        let mut elements = BTreeSet::new();
        let history = many(
            |random, number, spoil| match random.below(1_000) {
                0 => (WholeSetOp::Read, Some(elements.clone())),
                _ if spoil => {
                    let mut seen = elements.clone();
                    let first = *seen.iter().next().unwrap();
                    seen.remove(&first);
                    (WholeSetOp::Read, Some(seen))
                }
                _ => {
                    elements.insert(number);
                    (WholeSetOp::Add(number), None)
                }
            },
            spoilt,
        );
        needs_no_search(&WholeSet::new(), &history, spoilt);
    }
}
