//! Experiment E17: aggregate rates of reads, writes and appends. The lab's own master, chunkservers and
//! clients, in virtual time. `cargo lab bench lectures`.
//!
//! Everything is a thousandth of the paper's: a byte of the lab stands for 1,000. Transfers are fluid: all
//! that are under way share the cards and the trunk between the two switches fairly.

use std::process::ExitCode;

use gfs::rpc::{AppendArgs, PushData, ReadReply, ServerId};
use gfs::{ChunkServer, Master, Settings};
use gfs_client::Client;
use labapi::Persister;
use labrpc::{Answer, ClientEnd, DelayModel, Name, Server};
use labrt::node::Node;
use labrt::rand::random_range;
use labrt::sync::{Arc, Condvar, Monitor, Settle};
use labrt::thread;
use labrt::time::{Duration, Instant};
use tester::{Experiment, Net, play, trial};

fn main() -> ExitCode {
    play(&[rates])
}

/// Trials of each point, each with a seed of its own.
const SEEDS: u64 = 5;
const SERVERS: usize = 16;
/// Bytes that a byte of the lab stands for.
const SCALE: f64 = 1000.0;
/// Bytes a second of a card, and of the trunk (§6.1).
const CARD: f64 = 12.5e6;
const TRUNK: f64 = 125e6;
/// How long is measured, behind a tenth that is not.
const MEASURED: Duration = Duration::from_secs(30);
/// What a read, and a write, costs besides the transfer (the model of E17).
const READ_COST: Duration = Duration::from_millis(80);
const WRITE_COST: Duration = Duration::from_millis(79);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A direction of a card, or of the trunk.
#[derive(Clone, Copy, PartialEq)]
enum Wire {
    ServerIn(ServerId),
    ServerOut(ServerId),
    ClientIn(usize),
    ClientOut(usize),
    ToServers,
    ToClients,
}

/// A transfer under way.
struct Flow {
    number: u64,
    left: f64,
    wires: Vec<Wire>,
    rate: f64,
}

/// All transfers.
struct Flows {
    flows: Vec<Flow>,
    next: u64,
    at: Instant,
    /// Share of the trunk that is of use: `N` clients get in each other's way.
    efficiency: f64,
    has_changed: bool,
}

impl Settle for Flows {
    type Signals = Condvar;

    fn settle(&mut self, changed: &Condvar) {
        if std::mem::take(&mut self.has_changed) {
            changed.notify_all();
        }
    }
}

impl Flows {
    /// Lets the time pass until now.
    fn advance(&mut self) {
        let passed = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        self.flows.iter_mut().for_each(|flow| flow.left -= flow.rate * passed);
    }

    fn capacity(&self, wire: Wire) -> f64 {
        let is_trunk = matches!(wire, Wire::ToServers | Wire::ToClients);
        if is_trunk { TRUNK * self.efficiency } else { CARD }
    }

    /// Max-min fair rates: the scarcest wire decides for its flows, and what they leave is for the others.
    fn share(&mut self) {
        self.has_changed = true;
        let mut open: Vec<usize> = (0..self.flows.len()).collect();
        self.flows.iter_mut().for_each(|flow| flow.rate = 0.0);
        while !open.is_empty() {
            let room = |wire: Wire| {
                let uses = |flow: &&Flow| flow.wires.contains(&wire);
                let used: f64 = self.flows.iter().filter(uses).map(|flow| flow.rate).sum();
                let users = open.iter().filter(|&&flow| self.flows[flow].wires.contains(&wire)).count();
                (self.capacity(wire) - used) / users as f64
            };
            let wires = open.iter().flat_map(|&flow| self.flows[flow].wires.clone());
            let scarcest = wires.map(|wire| (room(wire), wire)).min_by(|a, b| a.0.total_cmp(&b.0));
            let Some((rate, wire)) = scarcest else { return };
            open.retain(|&flow| {
                let is_on = self.flows[flow].wires.contains(&wire);
                if is_on {
                    self.flows[flow].rate = rate;
                }
                !is_on
            });
        }
    }
}

/// Takes as long as the transfer of these bytes of the lab over these wires.
fn transfer(flows: &Monitor<Flows>, bytes: usize, wires: Vec<Wire>) {
    let mut state = flows.lock();
    state.advance();
    state.next += 1;
    let number = state.next;
    state.flows.push(Flow { number, left: bytes as f64 * SCALE, wires, rate: 0.0 });
    state.share();
    loop {
        let own = state.flows.iter().find(|flow| flow.number == number);
        // Half a byte of rounding.
        let Some((left, rate)) = own.map(|flow| (flow.left, flow.rate)).filter(|(left, _)| *left > 0.5)
        else {
            break;
        };
        let end = Instant::now() + Duration::from_secs_f64(left / rate);
        state.wait_until(|changed| changed, end);
        state.advance();
    }
    state.flows.retain(|flow| flow.number != number);
    state.share();
}

/// What clients do.
#[derive(Clone, Copy, PartialEq)]
enum Load {
    Read,
    Write,
    Append,
}

/// Whose turn it is.
#[derive(Default)]
struct Turn {
    is_taken: bool,
}

impl Settle for Turn {
    type Signals = Condvar;

    fn settle(&mut self, free: &Condvar) {
        if !self.is_taken {
            free.notify_one();
        }
    }
}

/// What messages of clients cost.
#[derive(Clone)]
struct Costs {
    load: Load,
    flows: Arc<Monitor<Flows>>,
    /// While the files are made, nothing costs time.
    is_on: Arc<labrt::quiet::Mutex<bool>>,
    /// The primary of the file that is appended to admits one record at a time.
    turn: Arc<Monitor<Turn>>,
}

impl Costs {
    fn around(
        &self,
        client: usize,
        server: ServerId,
        method: &str,
        bytes: &[u8],
        run: &dyn Fn() -> Option<Answer>,
    ) -> Option<Answer> {
        if !*self.is_on.lock() {
            return run();
        }
        match (method, self.load) {
            ("ChunkRpc.read", _) => {
                let answer = run();
                if let Some(Ok(reply)) = &answer
                    && let Ok(Ok(reply)) = labgob::decode::<Result<ReadReply, gfs::rpc::ChunkError>>(reply)
                {
                    let wires = vec![Wire::ServerOut(server), Wire::ToClients, Wire::ClientIn(client)];
                    transfer(&self.flows, reply.bytes.len(), wires);
                }
                answer
            }
            ("ChunkRpc.push_data", Load::Write) => {
                let push: PushData = labgob::decode(bytes).expect("a message of the lab");
                transfer(&self.flows, push.bytes.len(), along(client, server, &push.chain));
                run()
            }
            ("ChunkRpc.append", _) => {
                let append: AppendArgs = labgob::decode(bytes).expect("a message of the lab");
                self.admit(client, server, append.length);
                let answer = run();
                self.turn.lock().is_taken = false;
                answer
            }
            _ => run(),
        }
    }

    /// The record's data arrive, and it costs what a write costs, while no other one is admitted.
    fn admit(&self, client: usize, primary: ServerId, length: usize) {
        let mut turn = self.turn.lock();
        while turn.is_taken {
            turn.wait(|free| free);
        }
        turn.is_taken = true;
        drop(turn);
        // Which secondaries there are makes no difference: nobody else uses their cards.
        let chain = [(primary + 1) % SERVERS, (primary + 2) % SERVERS];
        transfer(&self.flows, length, along(client, primary, &chain));
        thread::sleep(WRITE_COST);
    }
}

/// The wires of a pipelined push from a client along a chain of servers.
fn along(client: usize, first: ServerId, chain: &[ServerId]) -> Vec<Wire> {
    let mut wires = vec![Wire::ClientOut(client), Wire::ToServers, Wire::ServerIn(first)];
    let mut last = first;
    for &next in chain {
        wires.extend([Wire::ServerOut(last), Wire::ServerIn(next)]);
        last = next;
    }
    wires
}

/// A store whose messages take 100 µs, and whose data take what the wires allow.
struct Store {
    net: Net,
    nodes: Vec<Node>,
    costs: Costs,
    settings: Settings,
}

impl Store {
    fn new(load: Load, clients: usize) -> Store {
        let net = Net::new();
        net.network().set_delay(DelayModel::fixed(Duration::from_micros(100)));
        let minute = Duration::from_secs(60);
        let settings = Settings {
            chunk: 64_000,
            block: 64,
            piece: 16_000,
            capacity: 1 << 40,
            lease: ms(2000),
            heartbeat: ms(500),
            silence: minute,
            call: minute,
            look: minute,
            scrub: minute,
            trash: minute,
            checkpoint: 1 << 20,
            cache: minute * 60,
            patience: minute * 60,
            ..Settings::default()
        };
        let flows = Flows {
            flows: Vec::new(),
            next: 0,
            at: Instant::now(),
            efficiency: 1.0 / (1.0 + 0.02 * (clients - 1) as f64),
            has_changed: false,
        };
        let costs = Costs {
            load,
            flows: Arc::new(Monitor::new(flows)),
            is_on: Arc::default(),
            turn: Arc::new(Monitor::new(Turn::default())),
        };
        let mut store = Store { net, nodes: Vec::new(), costs, settings };
        store.start(clients);
        thread::sleep(ms(2500));
        store
    }

    fn end(&self, server: impl Into<Name>) -> ClientEnd {
        let (number, end) = self.net.make_end(&server.into());
        self.net.network().enable(number, true);
        end
    }

    fn start(&mut self, clients: usize) {
        let names: Vec<String> = (0..SERVERS).map(|server| format!("server-{server}")).collect();
        let ends = |store: &Store| names.iter().map(|name| store.end(name.as_str())).collect::<Vec<_>>();
        let node = Node::new("master");
        let (all, settings) = (ends(self), self.settings.clone());
        let master = node.enter(|| Master::start(all, Vec::new(), Persister::new(), settings));
        self.net.network().add_server("master", Server::new(&node).with(master.service()));
        self.nodes.push(node);
        for (me, name) in names.iter().enumerate() {
            let node = Node::new(name.as_str());
            let (masters, all, settings) = (vec![self.end("master")], ends(self), self.settings.clone());
            let start = || ChunkServer::start(me, masters, all, Persister::new(), settings);
            let server = node.enter(start);
            self.net.network().add_server(name.as_str(), Server::new(&node).with(server.service()));
            // Each client calls the server by a name of its own, so that it is known whose card is used.
            for client in 0..clients {
                let costs = self.costs.clone();
                let around = move |method: &str, bytes: &[u8], run: &dyn Fn() -> Option<Answer>| {
                    costs.around(client, me, method, bytes, run)
                };
                let service = server.service().around(around);
                self.net.network().add_server(format!("{name}/{client}"), Server::new(&node).with(service));
            }
            self.nodes.push(node);
        }
    }

    fn client(&self, number: usize) -> Client {
        let servers = (0..SERVERS).map(|server| self.end(format!("server-{server}/{number}"))).collect();
        Client::new(vec![self.end("master")], servers, None, self.settings.clone())
    }

    fn stop(self) {
        self.nodes.iter().for_each(Node::kill);
        self.net.network().cleanup();
    }
}

/// Megabytes of the paper.
const fn mb(megabytes: usize) -> usize {
    megabytes * 1000
}

/// The aggregate rate of so many clients, in megabytes a second of the paper.
fn measure(load: Load, clients: usize) -> f64 {
    let trials = (1..=SEEDS).map(|seed| trial(seed, move || run(load, clients)));
    trials.sum::<f64>() / SEEDS as f64
}

fn run(load: Load, clients: usize) -> f64 {
    const FILES: usize = 16;
    let store = Store::new(load, clients);
    let mut maker = store.client(0);
    for file in 0..FILES {
        maker.create(&format!("/{file}")).expect("a new file");
        if load == Load::Read {
            maker.write(&format!("/{file}"), 0, &vec![7; mb(64)]).expect("a write");
        }
    }
    *store.costs.is_on.lock() = true;
    let done = Arc::new(labrt::quiet::Mutex::new(0_usize));
    for number in 0..clients {
        let (mut client, done) = (store.client(number), done.clone());
        thread::spawn_named("client", move || {
            let mut at = 0;
            loop {
                let bytes = operation(&mut client, load, number, &mut at);
                *done.lock() += bytes;
            }
        });
    }
    thread::sleep(MEASURED / 10);
    let before = *done.lock();
    thread::sleep(MEASURED);
    let rate = (*done.lock() - before) as f64 / mb(1) as f64 / MEASURED.as_secs_f64();
    store.stop();
    rate
}

/// One operation of a client. Returns how many bytes it moved.
fn operation(client: &mut Client, load: Load, number: usize, at: &mut u64) -> usize {
    match load {
        Load::Read => {
            let (file, offset) = (random_range(0..16), random_range(0..=mb(60)));
            let read = client.read(&format!("/{file}"), offset as u64, mb(4)).expect("a read");
            thread::sleep(READ_COST);
            read.len()
        }
        Load::Write => {
            client.write(&format!("/{number}"), *at, &vec![1; mb(1)]).expect("a write");
            *at += mb(1) as u64;
            thread::sleep(WRITE_COST);
            mb(1)
        }
        Load::Append => {
            client.append("/0", &vec![1; mb(1)]).expect("an append");
            mb(1)
        }
    }
}

/// Numbers of clients, and the paper's rate.
type Points = &'static [(usize, &'static str)];

fn rates() -> Experiment {
    let mut table = Experiment::new(
        "E17",
        "aggregate rates of N clients and 16 servers, MB/s; paper: Figure 3 and section 6.1",
        &["operation", "N", "limit", "paper", "ours", "of the limit"],
    );
    let points: [(Load, &str, Points); 3] = [
        (Load::Read, "read", &[(1, "10"), (5, "43"), (10, "71"), (16, "94")]),
        (Load::Write, "write", &[(1, "6.3"), (5, "20"), (10, "29"), (16, "35")]),
        (Load::Append, "append", &[(1, "6.0"), (16, "4.8")]),
    ];
    let limit = |load: Load, clients: usize| {
        let (clients, servers) = (clients as f64 * CARD, SERVERS as f64 * CARD);
        let limit = match load {
            Load::Read => clients.min(TRUNK),
            Load::Write => clients.min(servers / 3.0),
            Load::Append => CARD,
        };
        limit / 1e6
    };
    let mut ours = Vec::new();
    for (load, name, points) in points {
        for &(clients, paper) in points {
            let (rate, limit) = (measure(load, clients), limit(load, clients));
            table.row([
                name.to_owned(),
                clients.to_string(),
                format!("{limit:.1}"),
                paper.to_owned(),
                format!("{rate:.1}"),
                format!("{:.0} %", rate / limit * 100.0),
            ]);
            table.accept(rate < limit, format!("{name}, N = {clients}: below the limit of {limit:.1}"));
            ours.push((load, clients, rate, rate / limit));
        }
    }
    let of = |load: Load, clients: usize| {
        let point = ours.iter().find(|point| (point.0, point.1) == (load, clients));
        point.map_or((f64::NAN, f64::NAN), |point| (point.2, point.3))
    };
    let between = |table: &mut Experiment, what: &str, value: f64, (least, most): (f64, f64)| {
        table.accept((least..=most).contains(&value), format!("{what}: {value:.2}, {least} to {most}"));
    };
    table.within("reads, N = 1", of(Load::Read, 1).0, 10.0, 0.05);
    table.within("reads, N = 16", of(Load::Read, 16).0, 94.0, 0.08);
    for (clients, bounds) in [(1, (0.78, 0.82)), (10, (0.50, 0.65)), (16, (0.70, 0.80))] {
        between(
            &mut table,
            &format!("reads, share of the limit, N = {clients}"),
            of(Load::Read, clients).1,
            bounds,
        );
    }
    let lowest = [1, 5, 16].iter().all(|&other| of(Load::Read, 10).1 < of(Load::Read, other).1);
    table.accept(lowest, "reads: the share of the limit is lowest at N = 10");
    table.within("writes, N = 1", of(Load::Write, 1).0, 6.3, 0.06);
    between(&mut table, "writes, N = 16", of(Load::Write, 16).0, (28.0, 45.0));
    let appends = of(Load::Append, 16).0;
    between(&mut table, "appends, N = 16 over N = 1", appends / of(Load::Append, 1).0, (0.6, 1.1));
    table.accept(appends < of(Load::Write, 16).0 / 3.0, "appends, N = 16: below a third of the writes");
    table
}
