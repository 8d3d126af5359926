//! The cost of an operation: three servers in one process, on real threads, over a network without
//! delays. Prints figures; `cargo bench -p kvraft`, or `cargo bench -p kvraft -- leases` for those
//! whose name contains "leases".
//!
//! Each figure is the median of five rounds, because other processes disturb single rounds.

use kvraft::{Clerk, KvServer, Reads};
use labapi::Persister;
use labrt::Config;
use labrt::node::Node;
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::time::{Duration, Instant};
use rsm::ReplicatedServer;

const SERVERS: usize = 3;

fn main() {
    println!("{:<58} {:>12} {:>14}", "three servers, real threads", "µs an op", "op/s");
    sequential("one clerk, appends, no snapshots", None, Reads::Log, false);
    sequential("one clerk, appends, snapshots at 1000 bytes", Some(1000), Reads::Log, false);
    sequential("one clerk, gets through the log", Some(1000), Reads::Log, true);
    sequential("one clerk, gets by ReadIndex", Some(1000), Reads::ReadIndex, true);
    let lease = Reads::Lease(labapi::Lease { max_clock_drift: 0.1 });
    sequential("one clerk, gets by leases", Some(1000), lease, true);
    concurrent(16, None);
    concurrent(16, Some(1000));
    wake_ups(16);
    println!();
    growth();
}

/// Whether the command line asks for this figure: it gives part of its name, or no name at all.
fn is_wanted(what: &str) -> bool {
    let mut filters = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
    filters.peek().is_none() || filters.any(|filter| what.contains(&filter))
}

/// One clerk, one operation after another.
fn sequential(what: &str, max_raft_state: Option<usize>, reads: Reads, gets: bool) {
    if !is_wanted(what) {
        return;
    }
    let mut rounds: Vec<Duration> = (0..5)
        .map(|_| {
            with_servers(max_raft_state, reads, move |servers| {
                let mut clerk = servers.clerk();
                clerk.put("x", "").expect("short enough");
                let operations = 2000;
                let start = Instant::now();
                for number in 0..operations {
                    if gets {
                        clerk.get("x").map(drop)
                    } else if number % 100 == 0 {
                        clerk.put("x", "")
                    } else {
                        clerk.append("x", "x 0 123 y")
                    }
                    .expect("short enough");
                }
                start.elapsed() / operations
            })
        })
        .collect();
    report(what, &mut rounds);
}

/// Several clerks at once, each with a key of its own.
fn concurrent(clerks: usize, max_raft_state: Option<usize>) {
    let snapshots = if max_raft_state.is_some() { "snapshots" } else { "no snapshots" };
    let what = format!("{clerks} clerks, puts, {snapshots}");
    if !is_wanted(&what) {
        return;
    }
    let mut rounds: Vec<Duration> = (0..5)
        .map(|_| {
            with_servers(max_raft_state, Reads::Log, move |servers| {
                servers.clerk().put("x", "").expect("short enough");
                let operations = 2000;
                let start = Instant::now();
                let threads: Vec<_> = (0..clerks)
                    .map(|number| {
                        let mut clerk = servers.clerk();
                        labrt::thread::spawn(move || {
                            let key = number.to_string();
                            (0..operations).for_each(|_| clerk.put(&key, "x 0 123 y").expect("short enough"));
                        })
                    })
                    .collect();
                threads.into_iter().for_each(|thread| thread.join().expect("clerks do not panic"));
                start.elapsed() / (operations * clerks) as u32
            })
        })
        .collect();
    report(&what, &mut rounds);
}

/// The machine's yardstick: pairs of threads that wake each other in turn, as a clerk and its server's
/// handler do. A clerk's operation takes three wake-ups at least: of the handler, of the handler again when
/// the operation is applied, and of the clerk. What the servers say to one another comes on top.
fn wake_ups(pairs: usize) {
    let what = format!("{pairs} pairs of threads, a wake-up");
    if !is_wanted(&what) {
        return;
    }
    let mut rounds: Vec<Duration> = (0..5)
        .map(|_| {
            let start = Instant::now();
            let turns = 5000;
            let threads: Vec<_> = (0..pairs)
                .flat_map(|_| {
                    let table = Arc::new((Mutex::new(0), Condvar::new()));
                    [0, 1].map(|me| {
                        let table = table.clone();
                        labrt::thread::spawn(move || take_turns(&table, me, turns))
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("nobody panics"));
            start.elapsed() / (2 * turns * pairs as u32)
        })
        .collect();
    report(&what, &mut rounds);
}

/// Thread `me` of two takes its turns, and wakes the other one after each.
fn take_turns((turn, taken): &(Mutex<u32>, Condvar), me: u32, turns: u32) {
    for _ in 0..turns {
        let mut turn = turn.lock();
        while *turn % 2 != me {
            taken.wait(&mut turn);
        }
        *turn += 1;
        taken.notify_one();
    }
}

/// Without snapshots the log grows. The cost of an operation must not grow with it.
fn growth() {
    if !is_wanted("growth") {
        return;
    }
    println!("{:<58} {:>12}", "one clerk, log without snapshots", "µs an op");
    with_servers(None, Reads::Log, |servers| {
        let mut clerk = servers.clerk();
        for tenth in 1..=10 {
            let operations = 10_000;
            let start = Instant::now();
            (0..operations).for_each(|_| clerk.put("x", "x 0 123 y").expect("short enough"));
            let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(operations);
            println!("  {:<56} {each:>12.1}", format!("up to {} entries", tenth * operations));
        }
    });
}

fn report(what: &str, rounds: &mut [Duration]) {
    rounds.sort_unstable();
    let median = rounds[rounds.len() / 2].as_secs_f64();
    println!("  {what:<56} {:>12.1} {:>14.0}", median * 1e6, 1.0 / median);
}

struct Servers {
    network: labrpc::Network,
}

impl Servers {
    fn clerk(&self) -> Clerk {
        Clerk::new((0..SERVERS).map(|server| link(&self.network, server)).collect())
    }
}

fn link(network: &labrpc::Network, server: usize) -> labrpc::ClientEnd {
    let name = format!("{:016x} -> {server}", labrt::rand::random::<u64>());
    let end = network.make_end(name.clone());
    network.connect(name.clone(), server);
    network.enable(name, true);
    end
}

/// Runs `body` beside three servers.
fn with_servers<T: Send + 'static>(
    max_raft_state: Option<usize>,
    reads: Reads,
    body: impl FnOnce(Servers) -> T + Send + 'static,
) -> T {
    let outcome = labrt::run(Config::threads(1), move || {
        let network = labrpc::Network::new();
        for me in 0..SERVERS {
            let node = Node::new(format!("server {me}"));
            let ends = (0..SERVERS).map(|server| link(&network, server)).collect();
            let persister = Persister::new();
            let server: Arc<KvServer> =
                node.enter(|| KvServer::start_with(ends, me, persister, max_raft_state, reads));
            let on_network =
                server.services().into_iter().fold(labrpc::Server::new(&node), labrpc::Server::with);
            network.add_server(me, on_network);
        }
        body(Servers { network })
    });
    outcome.result.unwrap_or_else(|failure| panic!("{failure}"))
}
