//! Every model but keys with texts against the definition.

use std::collections::VecDeque;

use linearize::models::collections::{Queue, QueueOp, Set, SetOp, WholeSet, WholeSetOp};
use linearize::models::counter::{Counter, CounterOp};
use linearize::models::lock::{Lock, LockOp};
use linearize::models::log::{Log, LogOp, LogResult};
use linearize::models::register::{Register, RegisterOp, RegisterResult};
use linearize::models::stack::{Stack, StackOp};
use linearize::models::versioned::{Versioned, VersionedOp, VersionedResult};
use linearize::{Effect, History, Limits, Model, Operation, Verdict, check};

use crate::small::{Random, Sample, compare, compare_many, compare_seeds};

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

impl Sample for Stack<Value> {
    fn random_op(&self, random: &mut Random) -> StackOp<Value> {
        if random.one_in(2) { StackOp::Pop } else { StackOp::Push(random.below(4) as Value) }
    }

    fn run(&self, state: &mut Vec<Value>, op: &StackOp<Value>) -> Option<Value> {
        match op {
            StackOp::Push(value) => {
                state.push(*value);
                None
            }
            StackOp::Pop => state.pop(),
        }
    }

    fn other_result(
        &self,
        random: &mut Random,
        op: &StackOp<Value>,
        _result: &Option<Value>,
    ) -> Option<Value> {
        (*op == StackOp::Pop).then(|| random.below(4) as Value)
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

/// Writes that never returned, a write before everything else, some operations at once, and a read behind
/// them: a write that never returned may be needed for no more than hiding another one.
#[test]
fn writes_that_hide_others() {
    compare_seeds(|seed| {
        let random = &mut Random(seed);
        let mut slots = vec![(1, 1, Some(2), RegisterOp::Write(3)), (10, 10, Some(11), RegisterOp::Read)];
        for _ in 0..1 + random.below(2) {
            slots.push((0, random.below(10), None, RegisterOp::Write(1 + random.below(3) as Value)));
        }
        for _ in 0..2 + random.below(2) {
            let (call, end) = (3 + random.below(3), 6 + random.below(3));
            let to = 1 + random.below(3) as Value;
            let op = match random.below(2) {
                0 => RegisterOp::Write(to),
                _ => RegisterOp::CompareAndSwap { from: 0, to },
            };
            slots.push((call, call + random.below(1 + end - call), Some(end), op));
        }
        slots.sort_by_key(|slot| slot.1);
        let (model, mut state, mut all) = (Register::new(), None, Vec::new());
        for (client, (call, _, end, mut op)) in (0..).zip(slots) {
            if let (RegisterOp::CompareAndSwap { from, .. }, Some(value)) = (&mut op, state) {
                *from = value;
            }
            let result = match (&op, random.one_in(2)) {
                (RegisterOp::Read, true) => RegisterResult::Value(Some(1 + random.below(3) as Value)),
                _ => model.run(&mut state, &op),
            };
            all.push(match end {
                None => Operation::open(client, op, call),
                Some(end) => Operation::new(client, op, result, call, end),
            });
        }
        compare(&model, &History::new(all).unwrap())
    });
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

#[test]
fn stack() {
    compare_many(&Stack::new());
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

/// As files have them: whoever releases it.
struct Ownerless;

impl Model for Ownerless {
    type Op = LockOp;
    type Result = bool;
    type State = Option<u32>;

    fn initial(&self) -> Option<u32> {
        Lock.initial()
    }

    fn step(&self, state: &Option<u32>, op: &LockOp, result: Option<&bool>) -> Option<Option<u32>> {
        Lock.step(state, op, result)
    }

    fn decides(&self) -> bool {
        true
    }

    fn decide(
        &self,
        history: &History<LockOp, bool>,
        indices: &[u32],
        limits: &Limits,
        progress: &linearize::Progress,
    ) -> Option<linearize::Decision> {
        Some(Lock.decide(history, indices, limits, progress).expect("it has one owner"))
    }
}

impl Sample for Ownerless {
    fn random_op(&self, random: &mut Random) -> LockOp {
        random.pick(&[LockOp::Acquire { owner: 0 }, LockOp::Release { owner: 0 }])
    }

    fn run(&self, state: &mut Option<u32>, op: &LockOp) -> bool {
        Lock.run(state, op);
        true
    }

    fn other_result(&self, _random: &mut Random, _op: &LockOp, result: &bool) -> bool {
        *result
    }
}

#[test]
fn lock_without_owners() {
    compare_many(&Ownerless);
}

#[test]
fn counter() {
    compare_many(&Counter);
}

#[test]
fn log() {
    compare_many(&Log::new());
}
