//! What the runtime costs: `cargo bench -p labrt`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::time::Duration;
use labrt::{Config, PolicyKind, World, channel, node, run, runtime, thread};

/// Operations inside of one run, so that the start of a run does not show.
const ROUNDS: u64 = 10_000;

/// With one policy: the default one draws from the seed how often threads take turns, and a figure would say
/// more about the seed than about the runtime.
fn simulated(seed: u64) -> Config {
    Config::simulated(seed).policy(PolicyKind::Random { switch_every: 16 })
}

/// Tasks that end at once, ten between two sleeps, so that the list of ready tasks stays short.
fn short_tasks() {
    let node = node::current();
    for round in 0..ROUNDS {
        runtime::spawn_detached(&node, "task", || {});
        if round % 10 == 0 {
            thread::sleep(Duration::from_nanos(1));
        }
    }
}

fn spawns_and_joins() {
    (0..ROUNDS).for_each(|_| thread::spawn(|| ()).join().unwrap());
}

fn locks() {
    let lock = Mutex::new(0);
    (0..ROUNDS).for_each(|_| *lock.lock() += 1);
}

fn sleeps() {
    (0..ROUNDS).for_each(|_| thread::sleep(Duration::from_millis(1)));
}

fn timers() {
    (0..ROUNDS).for_each(|_| runtime::at(runtime::now() + Duration::from_nanos(1), || {}));
    thread::sleep(Duration::from_millis(1));
}

fn operations(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulated");
    group.throughput(Throughput::Elements(ROUNDS));
    let all: [(&str, fn()); 5] = [
        ("spawn, run, end", short_tasks),
        ("spawn and join", spawns_and_joins),
        ("lock and unlock", locks),
        ("sleep", sleeps),
        ("timer", timers),
    ];
    for (name, main) in all {
        group.bench_function(name, |b| b.iter(|| run(simulated(1), main)));
    }
    group.finish();
}

/// A condition variable handed to and fro between two threads.
fn ping_pong() {
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    let other = Arc::clone(&pair);
    let rounds = ROUNDS / 10;
    let thread = thread::spawn(move || {
        for round in 0..rounds {
            let mut turn = other.0.lock();
            other.1.wait_while(&mut turn, |turn| *turn != 2 * round + 1);
            *turn += 1;
            other.1.notify_one();
        }
    });
    for round in 0..rounds {
        let mut turn = pair.0.lock();
        *turn += 1;
        pair.1.notify_one();
        pair.1.wait_while(&mut turn, |turn| *turn != 2 * round + 2);
    }
    thread.join().unwrap();
}

/// Messages through a channel of one place.
fn stream() {
    let (sender, receiver) = channel::bounded(1);
    thread::spawn(move || (0..ROUNDS / 10).for_each(|i| sender.send(i).unwrap()));
    assert_eq!(receiver.iter().count() as u64, ROUNDS / 10);
}

fn both_worlds(c: &mut Criterion) {
    for (name, world) in [("simulated", World::Simulated), ("threads", World::Threads)] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(ROUNDS / 10));
        let config = Config { world, ..simulated(1) };
        group.bench_function("ping-pong", |b| b.iter(|| run(config.clone(), ping_pong)));
        group.bench_function("channel", |b| b.iter(|| run(config.clone(), stream)));
        group.finish();
    }
}

/// A node with waiting threads is started and killed.
fn start_and_kill() {
    let node = node::Node::new("server");
    for _ in 0..10 {
        node.spawn("waits", || thread::sleep(Duration::from_secs(9)));
    }
    thread::sleep(Duration::from_millis(1));
    node.kill();
}

/// Times whole runs on a thread that has drawn no hash keys, as the tester does: other runs get a fresh
/// thread each.
fn on_clean_thread(rounds: u64, main: fn()) -> Duration {
    let timed = move || {
        let started = std::time::Instant::now();
        (0..rounds).for_each(|seed| run(simulated(seed), main).result.unwrap());
        started.elapsed()
    };
    std::thread::spawn(timed).join().unwrap()
}

fn whole_runs(c: &mut Criterion) {
    c.bench_function("simulated/empty run", |b| b.iter_custom(|rounds| on_clean_thread(rounds, || ())));
    c.bench_function("simulated/empty run on a fresh OS thread", |b| b.iter(|| run(simulated(1), || ())));
    c.bench_function("simulated/start and kill of a node with ten waiting threads", |b| {
        b.iter_custom(|rounds| on_clean_thread(rounds, start_and_kill));
    });
    // As with a program that uses std's hash maps.
    c.bench_function("simulated/the same, each on a fresh OS thread", |b| {
        b.iter(|| run(simulated(1), start_and_kill));
    });
}

criterion_group!(benches, operations, both_worlds, whole_runs);
criterion_main!(benches);
