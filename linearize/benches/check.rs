//! The table of bounds, a row a bench: `cargo bench -p linearize`. Times are from a parsed history to its verdict, but for
//! the last group, which reads.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

use std::hint::black_box;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use linearize::generate::{Random, Spoil, Values, Workload, compare_and_swap, json_lines, spoil};
use linearize::models::collections::{Queue, QueueOp};
use linearize::models::register::Register;
use linearize::read::read;
use linearize::{History, KvHistory, Limits, Model, Operation, Verdict, check};

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

/// A register with compare-and-swap, 60 to 90 operations, a fifth of them open: a hundred histories an iteration.
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

/// A queue that is known by its step function alone.
struct Plain(Queue<u32>);

impl Model for Plain {
    type Op = QueueOp<u32>;
    type Result = Option<u32>;
    type State = <Queue<u32> as Model>::State;

    fn initial(&self) -> Self::State {
        self.0.initial()
    }

    fn step(&self, state: &Self::State, op: &Self::Op, result: Option<&Self::Result>) -> Option<Self::State> {
        self.0.step(state, op, result)
    }
}

/// 1,000 operations of eight clients, of which the last is spoilt on demand: then everything must be explored.
fn queue_history(spoilt: bool) -> History<QueueOp<u32>, Option<u32>> {
    let mut random = Random::new(7);
    let mut queue = std::collections::VecDeque::new();
    let mut clocks = [0u64; 8];
    let mut slots: Vec<(u64, u64, u64, u32)> = Vec::new();
    for number in 0..1_000 {
        let clock = &mut clocks[number % 8];
        let call = *clock + random.below(1_000);
        let effect = call + random.below(1_000);
        *clock = effect + random.below(1_000) + 1;
        slots.push((effect, call, *clock - 1, (number % 8) as u32));
    }
    slots.sort_unstable();
    let mut operations = Vec::new();
    for (number, (_, call, end, client)) in slots.into_iter().enumerate() {
        // Mostly dequeues, so the queue stays short: the orders that are open are those of what is in it.
        operations.push(if random.below(5) < 2 {
            queue.push_back(number as u32);
            Operation::new(client, QueueOp::Enqueue(number as u32), None, call, end)
        } else {
            let front = queue.pop_front();
            let seen = if spoilt && number > 990 { Some(0) } else { front };
            Operation::new(client, QueueOp::Dequeue, seen, call, end)
        });
    }
    History::new(operations).expect("the clients' operations follow one another")
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

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reading");
    let histories = [
        ("lab 100000", Workload::lab(10, 10, 100_000)),
        ("appends 10000", Workload::appends(10, 10_000)),
        ("register 100000", Workload::register(10, 100_000, Values::Unique)),
    ];
    for (name, workload) in histories {
        let text = json_lines(&workload.generate());
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| black_box(read("bench", text.as_bytes()).expect("it was written so")));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = lab, appends, ambiguous, register, any_model, reading
}
criterion_main!(benches);
