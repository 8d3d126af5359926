//! Experiments E19 and E25: throughput by read share and number of servers, and the herd effect. The lab's
//! own servers and clients, in virtual time. `cargo lab bench lectures`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use labapi::Persister;
use labrpc::{Answer as RpcAnswer, DelayModel, Name, Server as NetServer};
use labrt::node::Node;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::ReplicatedServer;
use tester::{Experiment, Net, play, trial};
use zookeeper::rpc::{Delivery, Exchange, Exchanged, Refused};
use zookeeper::{ANY_VERSION, Client, Error, Flags, Operation, Server, Settings};
use zookeeper_recipes::{Held, QueueLock, SimpleLock};

fn main() -> ExitCode {
    play(&[throughput, herd])
}

/// Trials of each point, each with a seed of its own.
const SEEDS: u64 = 5;

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What operations cost a server's processor (the model of E19).
#[derive(Clone, Copy)]
struct Costs {
    read: Duration,
    /// A write, at the leader.
    lead: Duration,
    /// A write, at a follower.
    follow: Duration,
    /// An event, where it leaves.
    event: Duration,
}

impl Costs {
    fn of(servers: usize) -> Costs {
        Costs { read: us(31), lead: us(22 + 7 * servers as u64), follow: us(25), event: us(31) }
    }
}

/// A processor: what it has to do is done in turn.
#[derive(Clone, Default)]
struct Cpu {
    /// Since the run's beginning.
    busy_until: Arc<Mutex<Duration>>,
}

fn now() -> Duration {
    Duration::from_nanos(Instant::now().as_nanos())
}

impl Cpu {
    fn charge(&self, cost: Duration) -> Duration {
        let mut busy = self.busy_until.lock();
        *busy = (*busy).max(now()) + cost;
        *busy
    }

    /// Does something that takes so long, behind everything that came before.
    fn work(&self, cost: Duration) {
        let end = self.charge(cost);
        thread::sleep(end.saturating_sub(now()));
    }
}

/// What was counted.
#[derive(Default)]
struct Counts {
    /// Events that left, each by client and number.
    events: BTreeSet<(u64, u64)>,
    /// Creates that found the node there.
    failed: u64,
    /// Transactions.
    zxid: u64,
}

/// A service on a fast network (round trip 100 µs), whose servers' processors cost time.
struct Service {
    net: Net,
    nodes: Vec<Node>,
    servers: Vec<Arc<Server>>,
    counts: Arc<Mutex<Counts>>,
    ends: usize,
}

impl Service {
    fn new(servers: usize) -> Service {
        let net = Net::new();
        net.network().set_delay(DelayModel::fixed(us(50)));
        let names: Vec<Name> = (0..servers).map(|me| Name::from(format!("zk-{me}").as_str())).collect();
        let nodes: Vec<Node> = (0..servers).map(|me| Node::new(format!("zk-{me}"))).collect();
        let mut service = Service { net, nodes, servers: Vec::new(), counts: Arc::default(), ends: servers };
        let costs = Costs::of(servers);
        for me in 0..servers {
            let ends = names.iter().map(|name| service.end(name)).collect();
            let (cpu, counts, probed) = (Cpu::default(), service.counts.clone(), service.counts.clone());
            // A server does not know in its probe whether it leads; the test does.
            let leads = Arc::new(Mutex::new(false));
            let (probe_cpu, probe_leads) = (cpu.clone(), leads.clone());
            let probe = Arc::new(move |zxid: u64, _: &_, _: &_, answer: &zookeeper::Answer| {
                probe_cpu.charge(if *probe_leads.lock() { costs.lead } else { costs.follow });
                let mut counts = probed.lock();
                if zxid > counts.zxid {
                    counts.zxid = zxid;
                    counts.failed += u64::from(*answer == Err(Error::NodeExists));
                }
            });
            let node = service.nodes[me].clone();
            let server = node.enter(|| Server::start(ends, me, Persister::new(), None, Some(probe)));
            let asked = server.clone();
            let around = move |method: &str, bytes: &[u8], run: &dyn Fn() -> Option<RpcAnswer>| {
                *leads.lock() = asked.is_leader();
                charged(&cpu, &costs, &counts, method, bytes, run)
            };
            let services = ReplicatedServer::services(&server);
            let on_network = services
                .into_iter()
                .fold(NetServer::new(&node), |all, one| all.with(one.around(around.clone())));
            service.net.network().add_server(names[me].clone(), on_network);
            service.servers.push(server);
        }
        service.leader();
        service
    }

    /// The server that leads, once one does.
    fn leader(&self) -> usize {
        loop {
            if let Some(leader) = self.servers.iter().position(|server| server.is_leader()) {
                return leader;
            }
            thread::sleep(ms(10));
        }
    }

    fn end(&self, server: &Name) -> labrpc::ClientEnd {
        let (number, end) = self.net.make_end(server);
        self.net.network().enable(number, true);
        end
    }

    /// A client of one server.
    fn client(&self, number: usize) -> Client {
        let settings = Settings { timeout: Duration::from_secs(60), patience: None };
        let server = Name::from(format!("zk-{}", number % self.ends).as_str());
        Client::open(vec![self.end(&server)], settings)
    }

    fn stop(self) {
        self.nodes.iter().for_each(Node::kill);
        self.net.network().cleanup();
    }
}

/// Runs a handler, and lets the time pass that the server's processor needs for it.
fn charged(
    cpu: &Cpu,
    costs: &Costs,
    counts: &Mutex<Counts>,
    method: &str,
    bytes: &[u8],
    run: &dyn Fn() -> Option<RpcAnswer>,
) -> Option<RpcAnswer> {
    match method {
        "ZkRpc.forward" => cpu.work(Duration::ZERO),
        "ZkRpc.exchange" => {
            let Ok(exchange) = labgob::decode::<Exchange>(bytes) else { return run() };
            let reads = exchange.requests.iter().filter(|request| !request.operation.is_write()).count();
            cpu.work(costs.read * reads as u32);
            let answer = run();
            let reply = answer.as_ref().and_then(|answer| answer.as_ref().ok());
            let exchanged = reply.map(|bytes| labgob::decode::<Result<Exchanged, Refused>>(bytes));
            if let Some(Ok(Ok(exchanged))) = exchanged {
                let new = |(number, delivery): (u64, &Delivery)| {
                    matches!(delivery, Delivery::Event(_))
                        && counts.lock().events.insert((exchange.session, number))
                };
                let events = (exchanged.first..).zip(&exchanged.deliveries).filter(|one| new(*one)).count();
                cpu.work(costs.event * events as u32);
            }
            return answer;
        }
        _ => {}
    }
    run()
}

/// The paper's Table 1: operations a second with reads alone, and with writes alone.
const PAPER: [(usize, f64, f64); 5] = [
    (3, 87_000.0, 21_000.0),
    (5, 165_000.0, 18_000.0),
    (7, 257_000.0, 14_000.0),
    (9, 296_000.0, 12_000.0),
    (13, 460_000.0, 8_000.0),
];

/// How clients load the service: enough to keep its processors busy, and little more, since every call that
/// is under way makes all of them slower.
struct Load {
    clients_per_server: usize,
    /// How many calls a client starts at a time.
    window: usize,
    /// How long is measured, behind a quarter that is not.
    measured: Duration,
}

const READS: Load = Load { clients_per_server: 3, window: 100, measured: ms(40) };
const WRITES: Load = Load { clients_per_server: 1, window: 40, measured: ms(400) };

/// Operations a second of clients that do nothing but read, or nothing but write.
fn measure(servers: usize, writes: bool) -> f64 {
    let trials = (1..=SEEDS).map(|seed| trial(seed, move || saturate(servers, writes)));
    trials.sum::<f64>() / SEEDS as f64
}

fn saturate(servers: usize, writes: bool) -> f64 {
    let Load { clients_per_server, window, measured } = if writes { WRITES } else { READS };
    let service = Service::new(servers);
    let opener = service.client(0);
    opener.create("x", &[0; 1024], Flags::REGULAR).expect("a new node");
    let done = Arc::new(Mutex::new(0_u64));
    let clients: Vec<Arc<Client>> =
        (0..clients_per_server * servers).map(|at| Arc::new(service.client(at))).collect();
    for client in &clients {
        client.sync("x").expect("a leader is there");
        let (client, done) = (client.clone(), done.clone());
        thread::spawn(move || while keep_busy(&client, window, writes, &done) {});
    }
    thread::sleep(measured / 4);
    let before = *done.lock();
    thread::sleep(measured);
    let rate = (*done.lock() - before) as f64 / measured.as_secs_f64();
    service.stop();
    rate
}

/// A window of calls. False: the run is over.
fn keep_busy(client: &Client, window: usize, writes: bool, done: &Mutex<u64>) -> bool {
    let calls: Vec<_> = (0..window).map(|_| client.start(operation(writes))).collect();
    for call in calls {
        if call.wait().is_err() {
            return false;
        }
        *done.lock() += 1;
    }
    true
}

fn operation(writes: bool) -> Operation {
    let path = "x".to_owned();
    if writes {
        Operation::SetData { path, data: vec![0; 1024], version: ANY_VERSION }
    } else {
        Operation::GetData { path, watch: false }
    }
}

/// The model's operations a second at a share of reads: the leader or the followers are the bottleneck, and
/// clients are spread evenly.
fn model(servers: usize, share: f64) -> f64 {
    let costs = Costs::of(servers);
    let reads = share / servers as f64 * costs.read.as_secs_f64();
    let load = |write: Duration| reads + (1.0 - share) * write.as_secs_f64();
    1.0 / load(costs.lead).max(load(costs.follow))
}

/// At which shares of reads, in thousandths, a larger ensemble becomes faster than three servers.
fn crossings(servers: usize) -> Vec<u32> {
    let is_faster = |share: u32| {
        let share = f64::from(share) / 1000.0;
        model(servers, share) > model(3, share)
    };
    (1..=1000).filter(|&share| is_faster(share) != is_faster(share - 1)).collect()
}

fn throughput() -> Experiment {
    let mut table = Experiment::new(
        "E19",
        "operations a second by read share and servers; paper: Table 1. Reads and writes alone: measured; \
         mixtures: model",
        &[
            "servers",
            "reads, paper",
            "reads",
            "writes, paper",
            "writes",
            "50 % (model)",
            "crosses 3 at, paper",
            "at",
        ],
    );
    let seen = ["", "75 %", "78 %", "82 %", "93 %"];
    let mut rates = Vec::new();
    for ((servers, reads, writes), seen) in PAPER.into_iter().zip(seen) {
        let ours = (measure(servers, false), measure(servers, true));
        let crossing = crossings(servers);
        let at = crossing.first().map_or(String::new(), |&share| format!("{:.1} %", f64::from(share) / 10.0));
        table.row([
            servers.to_string(),
            format!("{reads:.0}"),
            format!("{:.0}", ours.0),
            format!("{writes:.0}"),
            format!("{:.0}", ours.1),
            format!("{:.0}", model(servers, 0.5)),
            seen.to_owned(),
            at,
        ]);
        table.within(&format!("{servers} servers, reads"), ours.0, reads, 0.15);
        table.within(&format!("{servers} servers, writes"), ours.1, writes, 0.15);
        table.within(&format!("{servers} servers, reads by the model"), ours.0, model(servers, 1.0), 0.05);
        table.within(&format!("{servers} servers, writes by the model"), ours.1, model(servers, 0.0), 0.05);
        rates.push((servers, ours, crossing));
    }
    table.accept(rates.is_sorted_by(|a, b| a.1.0 < b.1.0), "more servers read faster");
    table.accept(rates.is_sorted_by(|a, b| a.1.1 > b.1.1), "more servers write more slowly");
    let once = rates[1..].iter().all(|(_, _, at)| at.len() == 1 && (600..=950).contains(&at[0]));
    table.accept(once, "each larger ensemble crosses the curve of 3 servers once, between 60 % and 95 %");
    table.accept(rates[1..].is_sorted_by(|a, b| a.2 < b.2), "later for more servers");
    let scale = rates[4].1.0 / rates[0].1.0;
    table.accept(
        (3.5..=6.0).contains(&scale),
        format!("13 servers read {scale:.2} times as fast as 3: 3.5 to 6"),
    );
    table
}

#[derive(Clone, Copy, PartialEq)]
enum Lock {
    Simple,
    Queue,
}

impl Lock {
    fn acquire(self, client: &Client) -> Held {
        let held = match self {
            Lock::Simple => SimpleLock::new(client, "lf").acquire(),
            Lock::Queue => QueueLock::new(client, "queue").acquire(),
        };
        held.expect("the session lives")
    }

    fn release(self, client: &Client, held: &Held) {
        let done = match self {
            Lock::Simple => SimpleLock::new(client, "lf").release(held),
            Lock::Queue => QueueLock::new(client, "queue").release(held),
        };
        done.expect("the session lives");
    }
}

/// Events, failed retries, and the mean time from a release to the next holder, in milliseconds.
fn hand_over(lock: Lock, waiters: usize) -> (u64, u64, f64) {
    let service = Service::new(3);
    // All clients are at the leader: elsewhere the time until a follower hears of a commit hides the rest.
    let leader = service.leader();
    let opener = service.client(leader);
    opener.create("queue", b"", Flags::REGULAR).expect("a new node");
    let held = lock.acquire(&opener);
    let released = Arc::new(Mutex::new(Duration::ZERO));
    let waited = Arc::new(Mutex::new(Duration::ZERO));
    let wait = |_| {
        let (client, released, waited) = (service.client(leader), released.clone(), waited.clone());
        thread::spawn(move || {
            let held = lock.acquire(&client);
            *waited.lock() += now() - *released.lock();
            // Longer than the others need to watch again.
            thread::sleep(ms(100));
            *released.lock() = now();
            lock.release(&client, &held);
        })
    };
    let waiting: Vec<_> = (0..waiters).map(wait).collect();
    thread::sleep(ms(500));
    let failed = service.counts.lock().failed;
    *released.lock() = now();
    lock.release(&opener, &held);
    waiting.into_iter().for_each(|waiter| waiter.join().expect("it gets the lock"));
    let (events, retries) = {
        let counts = service.counts.lock();
        (counts.events.len() as u64, counts.failed - failed)
    };
    service.stop();
    let mean = waited.lock().as_secs_f64() * 1000.0 / waiters as f64;
    (events, retries, mean)
}

fn herd() -> Experiment {
    let mut table = Experiment::new(
        "E25",
        "the herd effect: N wait for a lock (paper: section 2.4)",
        &[
            "lock",
            "N",
            "events, expected",
            "events",
            "failed retries, expected",
            "failed retries",
            "hand-over, ms",
        ],
    );
    for (lock, name) in [(Lock::Simple, "simple"), (Lock::Queue, "queueing")] {
        let mut times = Vec::new();
        for waiters in [10_u64, 50, 100] {
            let (expected, retries) = match lock {
                Lock::Simple => (waiters * (waiters + 1) / 2, waiters * (waiters - 1) / 2),
                Lock::Queue => (waiters, 0),
            };
            let trials = (1..=SEEDS).map(|seed| trial(seed, move || hand_over(lock, waiters as usize)));
            let trials: Vec<_> = trials.collect();
            let exact = trials.iter().all(|ours| (ours.0, ours.1) == (expected, retries));
            let time = trials.iter().map(|ours| ours.2).sum::<f64>() / SEEDS as f64;
            table.row([
                name.to_owned(),
                waiters.to_string(),
                expected.to_string(),
                trials[0].0.to_string(),
                retries.to_string(),
                trials[0].1.to_string(),
                format!("{time:.3}"),
            ]);
            table.accept(
                exact,
                format!("{name} lock, N = {waiters}: events and retries as expected, each seed"),
            );
            times.push(time);
        }
        let growth = times[2] / times[0];
        let (grows, bound) = match lock {
            Lock::Simple => (growth > 1.3, "more than 1.3"),
            Lock::Queue => (growth < 1.1, "less than 1.1"),
        };
        table.accept(grows, format!("{name} lock: hand-over at N = 100 over N = 10: {growth:.2}, {bound}"));
    }
    table
}
