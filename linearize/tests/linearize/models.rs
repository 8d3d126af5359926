//! Every model but keys with texts against the definition.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use linearize::models::collections::{Queue, QueueOp, Set, SetOp, WholeSet, WholeSetOp};
use linearize::models::counter::{Counter, CounterOp};
use linearize::models::lock::{Lock, LockOp};
use linearize::models::log::{Log, LogOp, LogResult};
use linearize::models::register::{Register, RegisterOp, RegisterResult};
use linearize::models::stack::{Stack, StackOp};
use linearize::models::versioned::{Versioned, VersionedOp, VersionedResult};
use linearize::{Effect, History, Limits, Model, Operation, Progress, Verdict, check};

use crate::small::{HISTORIES, Random, Sample, compare, compare_many, compare_seeds, times};

type Value = u8;

impl Sample for Register<Value> {
    fn random_op(&self, random: &mut Random) -> RegisterOp<Value> {
        let mut value = || random.below(3) as Value;
        let (from, to) = (value(), value());
        match random.below(3) {
            0 => RegisterOp::Read,
            1 => RegisterOp::Write(to),
            _ => RegisterOp::CompareAndSwap { from, to },
        }
    }

    fn run(&self, state: &mut Option<Value>, op: &RegisterOp<Value>) -> RegisterResult<Value> {
        match *op {
            RegisterOp::Read => RegisterResult::Value(*state),
            RegisterOp::Write(value) => {
                *state = Some(value);
                RegisterResult::Written
            }
            RegisterOp::CompareAndSwap { from, to } => {
                let fits = *state == Some(from);
                if fits {
                    *state = Some(to);
                }
                RegisterResult::Swapped(fits)
            }
        }
    }

    fn other_result(
        &self,
        random: &mut Random,
        op: &RegisterOp<Value>,
        _result: &RegisterResult<Value>,
    ) -> RegisterResult<Value> {
        match op {
            RegisterOp::Read => RegisterResult::Value(Some(random.below(3) as Value)),
            RegisterOp::Write(_) => RegisterResult::Written,
            RegisterOp::CompareAndSwap { .. } => RegisterResult::Swapped(random.one_in(2)),
        }
    }
}

impl Sample for Versioned<Value> {
    fn random_op(&self, random: &mut Random) -> VersionedOp<Value> {
        let (key, value, version) = (random.below(2), random.below(3) as Value, random.below(3));
        if random.one_in(2) { VersionedOp::Get { key } } else { VersionedOp::Put { key, value, version } }
    }

    fn run(&self, state: &mut Option<(Value, u64)>, op: &VersionedOp<Value>) -> VersionedResult<Value> {
        match *op {
            VersionedOp::Get { .. } => VersionedResult::Found(*state),
            VersionedOp::Put { value, version, .. } => {
                if state.map_or(0, |(_, version)| version) != version {
                    return VersionedResult::WrongVersion;
                }
                *state = Some((value, version + 1));
                VersionedResult::Done
            }
        }
    }

    fn other_result(
        &self,
        random: &mut Random,
        op: &VersionedOp<Value>,
        _result: &VersionedResult<Value>,
    ) -> VersionedResult<Value> {
        match op {
            VersionedOp::Get { .. } => {
                VersionedResult::Found(Some((random.below(3) as Value, random.below(3))))
            }
            VersionedOp::Put { .. } => {
                random.pick(&[VersionedResult::Done, VersionedResult::WrongVersion, VersionedResult::Maybe])
            }
        }
    }
}

impl Sample for Queue<Value> {
    fn random_op(&self, random: &mut Random) -> QueueOp<Value> {
        if random.one_in(2) { QueueOp::Dequeue } else { QueueOp::Enqueue(random.below(4) as Value) }
    }

    fn run(&self, state: &mut VecDeque<Value>, op: &QueueOp<Value>) -> Option<Value> {
        match op {
            QueueOp::Enqueue(value) => {
                state.push_back(*value);
                None
            }
            QueueOp::Dequeue => state.pop_front(),
        }
    }

    fn other_result(
        &self,
        random: &mut Random,
        op: &QueueOp<Value>,
        _result: &Option<Value>,
    ) -> Option<Value> {
        (*op == QueueOp::Dequeue).then(|| random.below(4) as Value)
    }
}

impl Sample for Set {
    fn random_op(&self, random: &mut Random) -> SetOp {
        let element = random.below(2);
        random.pick(&[SetOp::Insert(element), SetOp::Remove(element), SetOp::Contains(element)])
    }

    fn run(&self, state: &mut bool, op: &SetOp) -> bool {
        let before = *state;
        match op {
            SetOp::Insert(_) => *state = true,
            SetOp::Remove(_) => *state = false,
            SetOp::Contains(_) => {}
        }
        if matches!(op, SetOp::Insert(_)) { !before } else { before }
    }

    fn other_result(&self, _random: &mut Random, _op: &SetOp, result: &bool) -> bool {
        !result
    }
}

type Elements = std::collections::BTreeSet<Value>;

impl Sample for WholeSet<Value> {
    fn random_op(&self, random: &mut Random) -> WholeSetOp<Value> {
        if random.one_in(2) { WholeSetOp::Read } else { WholeSetOp::Add(random.below(3) as Value) }
    }

    fn run(&self, state: &mut Elements, op: &WholeSetOp<Value>) -> Option<Elements> {
        match op {
            WholeSetOp::Add(value) => {
                state.insert(*value);
                None
            }
            WholeSetOp::Read => Some(state.clone()),
        }
    }

    fn other_result(
        &self,
        random: &mut Random,
        op: &WholeSetOp<Value>,
        _result: &Option<Elements>,
    ) -> Option<Elements> {
        (*op == WholeSetOp::Read).then(|| (0..3).filter(|_| random.one_in(2)).collect())
    }
}

impl Sample for Lock {
    fn random_op(&self, random: &mut Random) -> LockOp {
        let owner = random.below(2) as u32;
        random.pick(&[LockOp::Acquire { owner }, LockOp::TryAcquire { owner }, LockOp::Release { owner }])
    }

    fn run(&self, state: &mut Option<u32>, op: &LockOp) -> bool {
        match *op {
            LockOp::Acquire { owner } | LockOp::TryAcquire { owner } => {
                let free = state.is_none();
                *state = state.or(Some(owner));
                // An Acquire cannot fail, so if it was not free this is a history that must be found out.
                free || matches!(op, LockOp::Acquire { .. })
            }
            LockOp::Release { owner } => {
                let held = *state == Some(owner);
                if held {
                    *state = None;
                }
                held
            }
        }
    }

    fn other_result(&self, _random: &mut Random, _op: &LockOp, result: &bool) -> bool {
        !result
    }
}

impl Sample for Counter {
    fn random_op(&self, random: &mut Random) -> CounterOp {
        let number = 1 + random.below(2) as i64;
        random.pick(&[CounterOp::Add(number), CounterOp::FetchAdd(number), CounterOp::Read])
    }

    fn run(&self, state: &mut i64, op: &CounterOp) -> i64 {
        let before = *state;
        match op {
            CounterOp::Add(number) | CounterOp::FetchAdd(number) => *state += number,
            CounterOp::Read => {}
        }
        if matches!(op, CounterOp::Add(_)) { 0 } else { before }
    }

    fn other_result(&self, random: &mut Random, op: &CounterOp, result: &i64) -> i64 {
        if matches!(op, CounterOp::Add(_)) { 0 } else { result + random.below(3) as i64 - 1 }
    }
}

impl Sample for Log<Value> {
    fn random_op(&self, random: &mut Random) -> LogOp<Value> {
        let number = random.below(3);
        random.pick(&[LogOp::Append(number as Value), LogOp::Read(number as usize), LogOp::Length])
    }

    fn run(&self, state: &mut Vec<Value>, op: &LogOp<Value>) -> LogResult<Value> {
        match op {
            LogOp::Append(value) => {
                state.push(*value);
                LogResult::Appended(state.len() - 1)
            }
            LogOp::Read(index) => LogResult::Entry(state.get(*index).copied()),
            LogOp::Length => LogResult::Length(state.len()),
        }
    }

    fn other_result(
        &self,
        random: &mut Random,
        op: &LogOp<Value>,
        _result: &LogResult<Value>,
    ) -> LogResult<Value> {
        let number = random.below(3);
        match op {
            LogOp::Append(_) => LogResult::Appended(number as usize),
            LogOp::Read(_) => LogResult::Entry(Some(number as Value)),
            LogOp::Length => LogResult::Length(number as usize),
        }
    }
}

/// Another model without its hints: they must only make it faster.
struct Plain<M>(M);

impl<M: Model> Model for Plain<M> {
    type Op = M::Op;
    type Result = M::Result;
    type State = M::State;

    fn initial(&self) -> M::State {
        self.0.initial()
    }

    fn step(&self, state: &M::State, op: &M::Op, result: Option<&M::Result>) -> Option<M::State> {
        assert_eq!(self.effect(op, result), Effect::Update);
        self.0.step(state, op, result)
    }
}

impl<M: Sample> Sample for Plain<M> {
    fn random_op(&self, random: &mut Random) -> M::Op {
        self.0.random_op(random)
    }

    fn run(&self, state: &mut M::State, op: &M::Op) -> M::Result {
        self.0.run(state, op)
    }

    fn other_result(&self, random: &mut Random, op: &M::Op, result: &M::Result) -> M::Result {
        self.0.other_result(random, op, result)
    }
}

#[test]
fn register() {
    compare_many(&Register::new());
}

/// Eighty updates that never returned have more orders than anybody can try.
#[test]
fn a_value_that_nobody_wrote_needs_no_search() {
    let updates = |client: u32| {
        let op = RegisterOp::CompareAndSwap { from: client as Value % 40, to: (client as Value + 7) % 40 };
        Operation::open(client, op, u64::from(client))
    };
    let mut operations: Vec<_> = (0..80).map(updates).collect();
    operations.push(Operation::new(80, RegisterOp::Write(0), RegisterResult::Written, 90, 95));
    operations.push(Operation::new(81, RegisterOp::Read, RegisterResult::Value(Some(99)), 100, 110));
    let history = History::new(operations).unwrap();
    let Verdict::NotLinearizable(explanation) =
        check(&Register::new(), &history, &Limits::default().with_states(1))
    else {
        panic!("nobody wrote 99")
    };
    assert_eq!((explanation.operations.as_slice(), explanation.minimal), ([81].as_slice(), true));
    assert!(explanation.holds(&Register::new(), &history));
}

#[test]
fn register_without_hints() {
    compare_many(&Plain(Register::new()));
}

#[test]
fn versioned() {
    compare_many(&Versioned::new());
}

#[test]
fn queue() {
    compare_many(&Queue::new());
}

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

/// Compares histories of distinct values, of which most are to be decided without a search.
fn compare_distinct<M: Model<Result = Option<Value>>>(
    model: &M,
    put: fn(Value) -> M::Op,
    take: &M::Op,
    next: fn(&mut VecDeque<Value>) -> Option<Value>,
) {
    let decided = AtomicU64::new(0);
    compare_seeds(|seed| {
        let history = distinct_values(&mut Random(seed), put, take, next);
        let all: Vec<u32> = (0..history.operations().len() as u32).collect();
        let special = model.decide(&history, &all, &Limits::default(), &Progress::default());
        decided.fetch_add(u64::from(special.is_some()), Ordering::Relaxed);
        compare(model, &history)
    });
    let decided = decided.into_inner();
    assert!(decided > HISTORIES / 2, "only {decided} were decided without a search");
}

#[test]
fn queue_of_distinct_values() {
    compare_distinct(&Queue::new(), QueueOp::Enqueue, &QueueOp::Dequeue, VecDeque::pop_front);
}

#[test]
fn stack_of_distinct_values() {
    compare_distinct(&Stack::new(), StackOp::Push, &StackOp::Pop, VecDeque::pop_back);
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

#[test]
fn set() {
    compare_many(&Set);
}

#[test]
fn whole_set() {
    compare_many(&WholeSet::new());
}

#[test]
fn lock() {
    compare_many(&Lock);
}

#[test]
fn counter() {
    compare_many(&Counter);
}

#[test]
fn log() {
    compare_many(&Log::new());
}
