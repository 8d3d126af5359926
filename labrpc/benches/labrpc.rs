//! What a call costs: on the simulated network, and on real threads.

#![expect(clippy::disallowed_types, reason = "a bench measures wall time, also of the simulation")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use labrpc::{Network, Server, service};
use labrt::node::Node;
use labrt::{Config, Limits, PolicyKind, run, thread};

service! {
    /// A service with a small request and a small reply.
    pub service Echo, client EchoClient {
        /// Gives the number back.
        fn echo(number: u64) -> u64;
    }
}

struct EchoServer;

impl Echo for EchoServer {
    fn echo(&self, number: u64) -> u64 {
        number
    }
}

/// A network with one server.
fn network() -> Network {
    let network = Network::new();
    let node = Node::new("server");
    network.add_server(0, Server::new(&node).with(Arc::new(EchoServer).into_service()));
    network
}

fn client(network: &Network, end: usize) -> EchoClient {
    let client = EchoClient::new(network.make_end(end));
    network.connect(end, 0);
    network.enable(end, true);
    client
}

fn call(client: &EchoClient, calls: u64) {
    for number in 0..calls {
        assert_eq!(client.echo(&number), Ok(number));
    }
}

/// Makes `each` calls by each of `clients` concurrent clients, which call again as soon as they have a reply.
fn call_all(clients: &[EchoClient], each: u64) {
    let start = |client: &EchoClient| {
        let client = client.clone();
        thread::spawn(move || call(&client, each))
    };
    let callers: Vec<_> = clients.iter().map(start).collect();
    for caller in callers {
        caller.join().expect("nobody kills the clients");
    }
}

/// With one policy: the default one draws from the seed how often threads take turns, and a figure would say
/// more about the seed than about calls.
fn simulated() -> Config {
    Config::simulated(1).policy(PolicyKind::Random { switch_every: 16 })
}

/// Wall time of `calls` calls altogether.
fn time_calls(config: Config, clients: usize, calls: u64) -> Duration {
    let limits = Limits { virtual_time: Duration::MAX, real_time: Duration::MAX, ..Limits::default() };
    let outcome = run(config.limits(limits), move || {
        let network = network();
        let all: Vec<_> = (0..clients).map(|end| client(&network, end)).collect();
        // Stacks, tables and the pool's threads are no part of what a call costs once they are there.
        call_all(&all, 10);
        let each = calls.div_ceil(clients as u64);
        let started = Instant::now();
        call_all(&all, each);
        started.elapsed().mul_f64(calls as f64 / (each * clients as u64) as f64)
    });
    outcome.result.unwrap_or_else(|failure| panic!("{failure}"))
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    group.throughput(Throughput::Elements(1));
    for clients in [1, 10, 1000] {
        group.bench_function(format!("simulated, {clients} clients"), |bencher| {
            bencher.iter_custom(|calls| time_calls(simulated(), clients, calls));
        });
    }
    group.bench_function("real threads, 1 client", |bencher| {
        bencher.iter_custom(|calls| time_calls(Config::threads(1), 1, calls));
    });
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
