//! Experiments E28 and E31: chain replication beside primary/backup and weak reads, and how reads grow with
//! the chain. The lab's own nodes and clients, in virtual time. `cargo lab bench lectures`.

mod primary_backup;

use std::collections::BTreeMap;
use std::process::ExitCode;

use craq::rpc::{ManagerPeer, NodePeer, ReplyPeer};
use craq::{
    Client, Manager, Mode, Node, Op, Peers, Plan, ReadMode, Registry, Replies, ReplyFrom, Settings,
    Unavailable,
};
use labrpc::{Answer, ClientEnd, DelayModel, Name, Server};
use labrt::node::Node as Computer;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use tester::{Experiment, Net, play, trial};

fn main() -> ExitCode {
    play(&[throughput, scaling])
}

/// Trials of each point, each with a seed of its own.
const SEEDS: u64 = 5;

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn now() -> Duration {
    Duration::from_nanos(Instant::now().as_nanos())
}

/// A processor, or one direction of a network card: what it has to do is done in turn.
#[derive(Clone, Default)]
pub(crate) struct Station {
    busy_until: Arc<Mutex<Duration>>,
}

impl Station {
    /// Does something that takes so long, behind everything that came before.
    pub(crate) fn work(&self, cost: Duration) {
        let end = {
            let mut busy = self.busy_until.lock();
            *busy = (*busy).max(now()) + cost;
            *busy
        };
        thread::sleep(end.saturating_sub(now()));
    }
}

/// What a message costs a node, by its method and length: before it is handled, or its answer afterwards.
type Cost = fn(&str, usize) -> Duration;

/// A register in the memory of the only manager.
#[derive(Default)]
struct Memory {
    plan: Mutex<Plan>,
}

impl Registry for Memory {
    fn leads(&self) -> bool {
        true
    }

    fn newest(&self) -> Result<Plan, Unavailable> {
        Ok(self.plan.lock().clone())
    }

    fn publish(&self, plan: &Plan) -> Result<(), Unavailable> {
        *self.plan.lock() = plan.clone();
        Ok(())
    }
}

/// A chain without failures, whose nodes' messages cost time.
struct Chain {
    net: Net,
    replies: Arc<Replies>,
    settings: Settings,
}

impl Chain {
    fn new(settings: Settings, hop: Duration, before: Cost, after: Cost) -> Chain {
        let net = Net::new();
        net.network().set_delay(DelayModel::fixed(hop));
        let replies = Replies::new();
        let outside = Server::new(&Computer::new("outside")).with(replies.service());
        net.network().add_server("clients", outside);
        let chain = Chain { net, replies, settings };
        let manager = Computer::new("manager");
        let nodes = (0..settings.length).map(|node| NodePeer::new(chain.end(&format!("node-{node}"))));
        let nodes: Vec<NodePeer> = nodes.collect();
        let server = manager.enter(|| Manager::start(Arc::new(Memory::default()), nodes, settings));
        chain.net.network().add_server("manager-0", Server::new(&manager).with(server.service()));
        let nodes: Vec<Arc<Node>> = (0..settings.length).map(|me| chain.start(me, before, after)).collect();
        let is_ready = |node: &Arc<Node>| {
            node.inspect(|state| state.config().epoch > 0 && state.has_lease(Instant::now()))
        };
        while !nodes.iter().all(is_ready) {
            thread::sleep(ms(10));
        }
        chain
    }

    fn end(&self, server: &str) -> ClientEnd {
        let (number, end) = self.net.make_end(&Name::from(server));
        self.net.network().enable(number, true);
        end
    }

    fn start(&self, me: usize, before: Cost, after: Cost) -> Arc<Node> {
        let computer = Computer::new(format!("node-{me}"));
        let nodes = (0..self.settings.length).map(|node| NodePeer::new(self.end(&format!("node-{node}"))));
        let peers = Peers {
            nodes: nodes.collect(),
            managers: vec![ManagerPeer::new(self.end("manager-0"))],
            clients: ReplyPeer::new(self.end("clients")),
        };
        let node = computer.enter(|| Node::start(me, peers, self.settings, None));
        let (first, second) = (Station::default(), Station::default());
        let around = move |method: &str, bytes: &[u8], handle: &dyn Fn() -> Option<Answer>| {
            first.work(before(method, bytes.len()));
            let answer = handle();
            let length = answer.as_ref().and_then(|answer| answer.as_ref().ok()).map_or(0, Vec::len);
            second.work(after(method, length));
            answer
        };
        let server = Server::new(&computer).with(node.service().around(around));
        self.net.network().add_server(format!("node-{me}").as_str(), server);
        node
    }

    fn client(&self, number: u64) -> Client {
        let nodes = (0..self.settings.length).map(|node| NodePeer::new(self.end(&format!("node-{node}"))));
        let managers = vec![ManagerPeer::new(self.end("manager-0"))];
        Client::new(number, nodes.collect(), managers, &self.replies, self.settings)
    }
}

/// Patient nodes and clients: nothing is lost, and queues are long.
fn patient(mode: Mode, reply_from: ReplyFrom, length: usize, window: usize) -> Settings {
    let long = Duration::from_secs(60);
    Settings {
        mode,
        reply_from,
        length,
        window,
        heartbeat: ms(1000),
        lease: long,
        suspicion: long,
        call: long,
        resend: long,
        ..Settings::default()
    }
}

/// Closed-loop clients, each doing `operate(client, turn)` again and again. Returns operations a second.
fn rate<C: Send + 'static>(
    clients: Vec<C>,
    warm_up: Duration,
    measured: Duration,
    operate: impl Fn(&mut C, u64) + Clone + Send + 'static,
) -> f64 {
    let (from, until) = (now() + warm_up, now() + warm_up + measured);
    let threads = clients.into_iter().map(|mut client| {
        let operate = operate.clone();
        thread::spawn_named("client", move || {
            let (mut turn, mut done) = (0, 0_u64);
            while now() < until {
                operate(&mut client, turn);
                turn += 1;
                done += u64::from((from..until).contains(&now()));
            }
            done
        })
    });
    let threads: Vec<_> = threads.collect();
    let done: u64 = threads.into_iter().map(|thread| thread.join().expect("a client ends")).sum();
    done as f64 / measured.as_secs_f64()
}

fn mean(of: impl Fn(u64) -> f64) -> f64 {
    (1..=SEEDS).map(of).sum::<f64>() / SEEDS as f64
}

/// E28: what a query and an update cost, and a message (OSDI 2004, section 5.1).
const QUERY: Duration = ms(5);
const FIRST: Duration = ms(50);
const OTHER: Duration = ms(20);
const MESSAGE: Duration = ms(1);
const CLIENTS: u64 = 25;

fn service_time(method: &str, _length: usize) -> Duration {
    match method {
        "NodeRpc.update" => FIRST,
        "NodeRpc.forward" => OTHER,
        "NodeRpc.read" => QUERY,
        _ => Duration::ZERO,
    }
}

fn nothing(_method: &str, _length: usize) -> Duration {
    Duration::ZERO
}

/// Whether a client's operation is an update: so many percent are, spread evenly from a random phase.
fn is_update(percent: u64, phase: u64, turn: u64) -> bool {
    (turn + phase) * percent / 100 != (turn + phase + 1) * percent / 100
}

/// Updates take longer, so that it takes longer until there are enough operations.
fn measured(percent: u64) -> Duration {
    ms(if percent < 15 { 20_000 } else { 100_000 })
}

/// Operations a second on a chain; weak: reads of anything at any node.
fn chain_rate(seed: u64, percent: u64, length: usize, is_weak: bool) -> f64 {
    trial(seed, move || {
        let mode = if is_weak { Mode::Craq } else { Mode::Plain };
        let settings = patient(mode, ReplyFrom::Tail, length, CLIENTS as usize);
        let chain = Chain::new(settings, MESSAGE, service_time, nothing);
        let read = if is_weak { ReadMode::Eventual } else { ReadMode::Strong };
        let clients = (1..=CLIENTS).map(|client| (chain.client(client), labrt::rand::random_range(0..100)));
        rate(clients.collect(), ms(2000), measured(percent), move |(client, phase), turn| {
            let answer = if is_update(percent, *phase, turn) {
                client.update(turn % 100, Op::Put(b"value".to_vec())).map(drop)
            } else {
                client.read(turn % 100, read).map(drop)
            };
            answer.expect("nothing is refused");
        })
    })
}

/// How long one update and one query take on an idle chain of three, in milliseconds.
fn latencies() -> (f64, f64) {
    trial(1, || {
        let settings = patient(Mode::Plain, ReplyFrom::Tail, 3, 8);
        let chain = Chain::new(settings, MESSAGE, service_time, nothing);
        let mut client = chain.client(1);
        client.refresh();
        let start = now();
        client.update(1, Op::Put(b"value".to_vec())).expect("nothing is refused");
        let middle = now();
        client.read(1, ReadMode::Strong).expect("nothing is refused");
        ((middle - start).as_secs_f64() * 1000.0, (now() - middle).as_secs_f64() * 1000.0)
    })
}

/// The rates of E28 at one share of updates.
struct Point {
    chain: [f64; 3],
    primary: f64,
    weak: [f64; 3],
}

const LENGTHS: [usize; 3] = [2, 3, 10];

fn point(percent: u64) -> Point {
    Point {
        chain: LENGTHS.map(|length| mean(|seed| chain_rate(seed, percent, length, false))),
        primary: mean(|seed| primary_backup::rate(seed, percent)),
        weak: LENGTHS.map(|length| mean(|seed| chain_rate(seed, percent, length, true))),
    }
}

/// E28 (chain replication, section 5.1, Figure 4).
fn throughput() -> Experiment {
    // Percent of updates: chain, primary/backup, weak reads with 2, 3, 10 servers.
    let expected: BTreeMap<u64, [f64; 5]> = BTreeMap::from([
        (0, [200.0, 200.0, 393.0, 574.0, 1607.0]),
        (6, [168.0, 128.0, 189.0, 216.0, 281.0]),
        (15, [134.0, 84.0, 100.0, 109.0, 124.0]),
        (25, [80.0, 61.0, 67.0, 71.0, 76.0]),
        (50, [41.0, 37.0, 38.0, 38.0, 39.0]),
    ]);
    let columns =
        ["updates", "chain 2", "chain 3", "chain 10", "p/b", "weak 2", "weak 3", "weak 10", "model"];
    let title = "operations a second: chain, primary/backup, weak reads; by servers";
    let mut table = Experiment::new("E28", title, &columns);
    let (update, query) = latencies();
    table.within("an update on three servers, ms", update, 94.0, 1e-6);
    table.within("a query, ms", query, 7.0, 1e-6);
    let points: BTreeMap<u64, Point> = expected.keys().map(|&percent| (percent, point(percent))).collect();
    for (percent, point) in &points {
        let figure = |rate: f64| format!("{rate:.0}");
        let [chain_2, chain_3, chain_10] = point.chain.map(figure);
        let [weak_2, weak_3, weak_10] = point.weak.map(figure);
        let model = expected[percent].map(figure).join(" ");
        let primary = figure(point.primary);
        let share = format!("{percent} %");
        table.row([share, chain_2, chain_3, chain_10, primary, weak_2, weak_3, weak_10, model]);
        let ours = [point.chain[1], point.primary, point.weak[0], point.weak[1], point.weak[2]];
        let names = ["chain", "primary/backup", "weak, 2", "weak, 3", "weak, 10"];
        for ((name, ours), expected) in names.iter().zip(ours).zip(expected[percent]) {
            table.within(&format!("{percent} % updates, {name}"), ours, expected, 0.04);
        }
        for (length, rate) in LENGTHS.iter().zip(point.chain) {
            table.within(&format!("{percent} % updates, chain of {length}"), rate, point.chain[1], 0.02);
        }
        let is_best = point.chain.iter().all(|chain| *chain >= point.primary * 0.999);
        table.accept(is_best, format!("{percent} % updates: chain is at least primary/backup"));
    }
    crossings(&mut table, &points[&6], &points[&15]);
    table
}

/// Where weak reads begin to lose to the chain.
fn crossings(table: &mut Experiment, low: &Point, high: &Point) {
    let crossing = |index: usize| {
        let (before, after) = (low.weak[index] - low.chain[index], high.weak[index] - high.chain[index]);
        let is_between = before > 0.0 && after < 0.0;
        if is_between { 6.0 + 9.0 * before / (before - after) } else { f64::NAN }
    };
    let at = [0, 1, 2].map(crossing);
    let holds = at[0] < at[1] && at[1] < at[2];
    table.accept(
        holds,
        format!("weak reads of 2, 3, 10 servers lose from {at:.1?} % updates on: later and later"),
    );
}

/// E31: a card of 100 Mbit/s, and a hop of the network.
const CARD: f64 = 12.5e6;
const HOP: Duration = us(215);
/// The size of an object.
const OBJECT: usize = 500;
/// Requests that a client has under way.
const WINDOW: usize = 50;

/// How long a card needs for a message: 108 bytes more for each packet of 1,448.
fn card(length: usize) -> Duration {
    let bytes = length + 108 * length.div_ceil(1448).max(1);
    Duration::from_secs_f64(bytes as f64 / CARD)
}

fn incoming(method: &str, length: usize) -> Duration {
    if method.starts_with("NodeRpc.new") { Duration::ZERO } else { card(length) }
}

fn outgoing(method: &str, length: usize) -> Duration {
    if method == "NodeRpc.read" { card(length) } else { Duration::ZERO }
}

fn reads(seed: u64, mode: Mode, length: usize) -> f64 {
    trial(seed, move || {
        let settings = patient(mode, ReplyFrom::Head, length, WINDOW);
        let chain = Chain::new(settings, HOP, incoming, outgoing);
        chain.client(1).update(1, Op::Put(vec![7; OBJECT])).expect("nothing is refused");
        let readers = (WINDOW * length) as u64;
        let clients = (2..readers + 2).map(|client| chain.client(client)).collect();
        rate(clients, ms(30), ms(300), |client: &mut Client, _| {
            client.read(1, ReadMode::Strong).expect("nothing is refused");
        })
    })
}

fn writes(seed: u64, length: usize) -> f64 {
    trial(seed, move || {
        let settings = patient(Mode::Craq, ReplyFrom::Head, length, WINDOW);
        let chain = Chain::new(settings, HOP, incoming, outgoing);
        // Two clients with a full window each.
        let writers = 2 * WINDOW as u64;
        let clients = (1..=writers).map(|client| (chain.client(client), client)).collect();
        rate(clients, ms(30), ms(300), |(client, object): &mut (Client, u64), _| {
            client.update(*object, Op::Put(vec![7; OBJECT])).expect("nothing is refused");
        })
    })
}

fn test_and_sets(seed: u64, length: usize) -> f64 {
    trial(seed, move || {
        let settings = patient(Mode::Craq, ReplyFrom::Head, length, WINDOW);
        let chain = Chain::new(settings, HOP, nothing, nothing);
        let clients = vec![chain.client(1)];
        rate(clients, ms(0), ms(1000), |client: &mut Client, turn| {
            let op = Op::TestAndSet { version: turn, value: b"four".to_vec() };
            client.update(1, op).expect("the version is right");
        })
    })
}

/// E31 (CRAQ, Figure 5).
fn scaling() -> Experiment {
    let columns = ["chain", "reads", "paper", "writes", "paper", "test-and-set", "paper"];
    let mut table = Experiment::new("E31", "operations a second by the chain's length, 500 bytes", &columns);
    let plain = mean(|seed| reads(seed, Mode::Plain, 3));
    let none = || "-".to_owned();
    let figure = |rate: f64| format!("{rate:.0}");
    table.row(["CR-3".into(), figure(plain), "20552".into(), none(), none(), none(), none()]);
    table.within("reads of CR-3", plain, 20_500.0, 0.05);
    let paper = [(3, "59882", "5514", "776"), (5, "99466", "4999", "427"), (7, "138833", "4538", "308")];
    let mut updates = Vec::new();
    for (length, paper_reads, paper_writes, paper_tests) in paper {
        let all = mean(|seed| reads(seed, Mode::Craq, length));
        let (write, test) = (mean(|seed| writes(seed, length)), mean(|seed| test_and_sets(seed, length)));
        let papers = [paper_reads, paper_writes, paper_tests].map(str::to_owned);
        let [paper_reads, paper_writes, paper_tests] = papers;
        let name = format!("CRAQ-{length}");
        table.row([name, figure(all), paper_reads, figure(write), paper_writes, figure(test), paper_tests]);
        table.within(&format!("reads of CRAQ-{length} beside CR-3"), all / plain, length as f64, 0.1);
        updates.push((write, test));
    }
    let share = updates[2].0 / updates[0].0;
    table.accept((0.7..=1.0).contains(&share), format!("writes of 7 beside 3: {share:.2}, 0.7 to 1.0"));
    let ratio = updates[0].1 / updates[2].1;
    table.accept((1.9..=3.0).contains(&ratio), format!("test-and-set of 3 beside 7: {ratio:.2}, 1.9 to 3.0"));
    let falls = updates.windows(2).all(|pair| pair[0].1 > pair[1].1);
    table.accept(falls, "test-and-set gets slower with the length");
    table
}
