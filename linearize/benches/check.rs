//! The table of bounds, a row a bench: `cargo bench -p linearize`. Times are from a parsed history to its
//! verdict; `cargo bench -p linearize-read` has those of reading.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

#[path = "common/backlog.rs"]
mod backlog;
#[path = "common/queue.rs"]
mod queue;

use std::collections::VecDeque;
use std::hint::black_box;

use backlog::backlog;

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use linearize::generate::{Spoil, Values, Workload, compare_and_swap, spoil};
use linearize::models::collections::{Queue, QueueOp};
use linearize::models::register::{Register, RegisterOp, RegisterResult};
use linearize::models::stack::{Stack, StackOp};
use linearize::{History, KvHistory, KvOp, Limits, Model, Operation, Text, Verdict, check};
use queue::{Plain, queue_history};

fn definite(verdict: &Verdict, good: bool) {
    assert_eq!(verdict.is_linearizable(), good, "{verdict:?}");
    assert!(verdict.is_linearizable() || verdict.is_not_linearizable());
}

fn both(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, history: &KvHistory, limits: &Limits) {
    let spoilt = [Spoil::Stale, Spoil::Phantom].map(|how| spoil(history, how));
    definite(&history.check(limits), true);
    definite(&spoilt[1].check(limits), false);
    group.bench_function(format!("{name} good"), |bench| bench.iter(|| black_box(history.check(limits))));
    for (spoilt, how) in spoilt.iter().zip(["stale", "phantom"]) {
        group.bench_function(format!("{name} {how}"), |bench| bench.iter(|| black_box(spoilt.check(limits))));
    }
}

/// Get, put and append as in the labs, 10 keys, 10 clients.
fn lab(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lab");
    let limits = Limits::default();
    for operations in [300, 10_000, 100_000] {
        let history = Workload::lab(10, 10, operations).generate();
        both(&mut group, &operations.to_string(), &history, &limits);
    }
    group.sample_size(10);
    let history = Workload::lab(10, 10, 1_000_000).generate();
    both(&mut group, "1000000 all cores", &history, &limits);
    both(&mut group, "1000000 one core", &history, &limits.with_threads(1));
}

/// One key, mostly appends, many clients.
fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("appends");
    for clients in [10, 50, 100] {
        for operations in [1_000, 10_000, 100_000] {
            let history = Workload::appends(clients, operations).generate();
            both(&mut group, &format!("{clients} clients {operations}"), &history, &Limits::default());
        }
    }
}

/// One key, puts of five texts.
fn ambiguous(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ambiguous");
    for clients in [10, 50] {
        let history = Workload::register(clients, 10_000, Values::Few(5)).generate();
        both(&mut group, &format!("{clients} clients 10000"), &history, &Limits::default());
    }
}

/// One key, five texts appended again and again, and a put now and then.
fn repeated(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("appends of five texts");
    group.sample_size(10);
    for clients in [10, 50] {
        for puts in [0, 50] {
            let workload = Workload { puts, values: Values::Few(5), ..Workload::lab(1, clients, 10_000) };
            let history = workload.generate();
            definite(&history.check(&Limits::default()), true);
            group.bench_function(format!("{clients} clients 10000, {puts} puts in 1000"), |bench| {
                bench.iter(|| black_box(history.check(&Limits::default())));
            });
        }
    }
}

/// A register with compare-and-swap, 60 to 90 operations, a fifth of them open: a hundred histories an
/// iteration.
fn register(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compare and swap, 100 histories");
    for (name, spoilt) in [("good", false), ("spoilt", true)] {
        let histories: Vec<_> = (0..100).map(|seed| compare_and_swap(seed, spoilt)).collect();
        group.bench_function(name, |bench| {
            bench.iter(|| {
                for history in &histories {
                    let _ = black_box(check(&Register::new(), history, &Limits::default()));
                }
            });
        });
    }
}

fn checked<M: Model>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    model: &M,
    history: &History<M::Op, M::Result>,
    good: bool,
) {
    let limits = Limits::default();
    definite(&check(model, history, &limits), good);
    group.bench_function(name, |bench| bench.iter(|| black_box(check(model, history, &limits))));
}

/// Queues and stacks of distinct values: 100,000 operations of 64 clients, a thousand values waiting.
fn distinct(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("distinct values, a thousand waiting");
    group.sample_size(10);
    for (name, spoilt) in [("good", false), ("spoilt", true)] {
        let queue = backlog(QueueOp::Enqueue, &QueueOp::Dequeue, VecDeque::pop_front, spoilt);
        checked(&mut group, &format!("queue {name}"), &Queue::new(), &queue, !spoilt);
        let stack = backlog(StackOp::Push, &StackOp::Pop, VecDeque::pop_back, spoilt);
        checked(&mut group, &format!("stack {name}"), &Stack::new(), &stack, !spoilt);
    }
}

/// A register without compare-and-swap: 10,000 operations of 64 clients, five values.
fn few_values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("register of five values");
    let good = Workload::register(64, 10_000, Values::Few(5)).generate();
    for (name, history) in [("good", good.clone()), ("spoilt", spoil(&good, Spoil::Stale))] {
        let is_good = history.check(&Limits::default()).is_linearizable();
        let text = |text| history.texts().get(text).to_owned();
        let operation = |operation: &Operation<KvOp, Text>| {
            let Operation { client, op, result, call, end } = *operation;
            let (op, result) = match op {
                KvOp::Put { value, .. } => {
                    (RegisterOp::Write(text(value)), result.map(|_| RegisterResult::Written))
                }
                _ => (RegisterOp::Read, result.map(|seen| RegisterResult::Value(Some(text(seen))))),
            };
            Operation { client, op, result, call, end }
        };
        let operations = history.history().operations().iter().map(operation).collect();
        let register = Register::holding(String::new());
        let history = History::new(operations).expect("it was a history before");
        checked(&mut group, name, &register, &history, is_good);
    }
}

fn any_model(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step function alone");
    group.sample_size(10);
    for (name, spoilt) in [("good", false), ("spoilt", true)] {
        let history = queue_history(spoilt);
        let limits = Limits::default();
        definite(&check(&Plain(Queue::new()), &history, &limits), !spoilt);
        group.bench_function(name, |bench| {
            bench.iter(|| black_box(check(&Plain(Queue::new()), &history, &limits)));
        });
        // The same, known as a queue.
        definite(&check(&Queue::new(), &history, &limits), !spoilt);
        group.bench_function(format!("{name}, as a queue"), |bench| {
            bench.iter(|| black_box(check(&Queue::new(), &history, &limits)));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = lab, appends, ambiguous, repeated, register, distinct, few_values, any_model
}
criterion_main!(benches);
