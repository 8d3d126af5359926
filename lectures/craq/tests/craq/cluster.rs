//! The tests' cluster: nodes, managers, clients, and everything watched.

use std::collections::{BTreeMap, BTreeSet};

use craq::rpc::{Header, ManagerPeer, NodeId, NodePeer, ObjectId, ReplyPeer};
use craq::{
    Client, Config, Manager, Member, Mode, Node, Op, Outcome, Peers, RaftRegistry, ReadMode, Refusal,
    Registry, Replies, Settings, Versioned,
};
use labrpc::{ClientEnd, Name, Server, Service};
use labrt::node::Node as Computer;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::time::{Duration, Instant};
use linearize::{Limits, Recorder, Verdict};
use tester::{Allowance, Boot, Booted, Group, Net, Test, run_within};

use crate::model::{Call, Store, Told};
use crate::watch::{UNWATCHED, Watch};

/// The pause between two looks at what is waited for.
const LOOK: Duration = ms(5);

/// How many managers there are.
pub(crate) const MANAGERS: usize = 3;

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Makes a manager's registry, with the services that it needs.
pub(crate) type Ground = Box<dyn Fn(Boot) -> (Arc<dyn Registry>, Vec<Service>) + Send + Sync>;

/// Makes what the managers of a cluster stand on.
type MakeGround = dyn Fn(&Test, &Net) -> Ground + Send + Sync;

/// What a cluster is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    /// Nodes beyond those of the first chain. They are not started.
    pub(crate) spares: usize,
    /// Makes what the managers stand on.
    pub(crate) ground: Arc<MakeGround>,
    /// Off where an anomaly is shown.
    pub(crate) is_strict: bool,
}

/// The replicated state machine of lab 3.
fn on_raft(_: &Test, _: &Net) -> Ground {
    Box::new(|boot: Boot| {
        let registry = RaftRegistry::start(boot.ends, boot.me, boot.persister);
        let service = registry.service();
        (registry, vec![service])
    })
}

/// A chain of so many nodes.
pub(crate) fn chain(mode: Mode, length: usize) -> Setup {
    let settings = Settings { mode, length, ..Settings::default() };
    Setup { settings, spares: 0, ground: Arc::new(on_raft), is_strict: true }
}

impl Setup {
    pub(crate) fn with_spares(self, spares: usize) -> Setup {
        Setup { spares, ..self }
    }
}

/// A test on a cluster: the body, and then the checks of the end.
pub(crate) fn play(
    name: &'static str,
    setup: impl Fn() -> Setup + Send + Sync + 'static,
    body: fn(&Test, &Cluster),
) {
    play_for(name, 600, setup, body);
}

/// The same with so many seconds of virtual time.
pub(crate) fn play_for(
    name: &'static str,
    seconds: u64,
    setup: impl Fn() -> Setup + Send + Sync + 'static,
    body: fn(&Test, &Cluster),
) {
    run(name, seconds, move |t| {
        let cluster = Cluster::new(t, setup());
        body(t, &cluster);
        cluster.finish();
    });
}

/// A test that makes its clusters itself.
pub(crate) fn run(name: &'static str, seconds: u64, body: impl Fn(&Test) + Send + Sync + 'static) {
    let allowance = Allowance { virtual_time: Duration::from_secs(seconds), ..Allowance::default() };
    run_within(name, allowance, body);
}

/// The ends between a node and the managers, by the node, in its present life.
#[derive(Default)]
struct Links {
    /// From node to managers.
    up: BTreeMap<NodeId, Vec<usize>>,
    /// From managers to nodes: node and end.
    down: Vec<(NodeId, usize)>,
    /// Nodes that are cut off from the managers.
    cut: Vec<NodeId>,
}

pub(crate) struct Cluster {
    pub(crate) test: Test,
    pub(crate) nodes: Group<Node>,
    pub(crate) managers: Group<Manager>,
    pub(crate) watch: Watch,
    pub(crate) net: Net,
    pub(crate) settings: Settings,
    replies: Arc<Replies>,
    links: Arc<Mutex<Links>>,
    history: Arc<Recorder<Call, Told>>,
    clients: Mutex<u64>,
}

impl Cluster {
    pub(crate) fn new(test: &Test, setup: Setup) -> Cluster {
        let net = Net::as_drawn(test);
        let watch = Watch::new(test, setup.settings.mode, setup.is_strict);
        let (tap, around) = (watch.clone(), watch.clone());
        net.network().set_tap(move |event| tap.tap(event));
        let replies = Replies::new();
        let outside = replies.service().around(move |_, bytes, run| {
            let told: Vec<craq::rpc::UpdateReply> = crate::watch::decode(bytes);
            told.into_iter().for_each(|reply| around.replied(reply));
            run()
        });
        net.network().add_server("clients", Server::new(&Computer::new("outside")).with(outside));
        let (settings, links) = (setup.settings, Arc::new(Mutex::new(Links::default())));
        let all = settings.length + setup.spares;
        let nodes = Group::new(test, &net, "node", all, boot_node(&net, settings, &watch, &links));
        let boot = boot_manager(&net, settings, all, (setup.ground)(test, &net), &watch, &links);
        let managers = Group::beside(test, &net, "manager", MANAGERS, all, boot);
        managers.start_all();
        let (history, clients) = (Arc::new(Recorder::new()), Mutex::default());
        let test = test.clone();
        let cluster =
            Cluster { test, nodes, managers, watch, net, settings, replies, links, history, clients };
        (0..settings.length).for_each(|node| cluster.start(node));
        let members: Vec<NodeId> = (0..settings.length).collect();
        cluster.wait(20_000, "the first chain is there", || cluster.is_in_force(&members));
        cluster
    }

    /// At the end of each test: the clients' history is linearizable (invariant 4). Then everything ends.
    pub(crate) fn finish(self) {
        self.seen();
        self.nodes.end();
        self.managers.end();
        self.net.network().cleanup();
        self.check_history(false);
        if !self.watch.is_shown() {
            self.test.unwatched(UNWATCHED);
        }
        let figures = self.net.figures(self.nodes.len(), self.watch.committed());
        self.test.at_end(move |_| figures);
    }

    /// Invariant 4: each object by itself, or all objects together.
    pub(crate) fn check_history(&self, is_joint: bool) {
        match self.verdict(is_joint) {
            Verdict::Linearizable(_) => {}
            _ if !self.watch.is_strict() => {}
            Verdict::NotLinearizable(why) => {
                self.test.fail(format!("invariant 4: the history is not linearizable: {why}"))
            }
            verdict => self.test.fail(format!("invariant 4: not decided: {verdict:?}")),
        }
    }

    pub(crate) fn verdict(&self, is_joint: bool) -> Verdict {
        let history = self.history.history().expect("each client has one operation at a time");
        linearize::check(&Store { is_joint }, &history, &Limits::default())
    }

    /// Starts a node, as a spare.
    pub(crate) fn start(&self, node: NodeId) {
        self.nodes.restart(node);
        self.nodes.connect(node);
    }

    /// A client that reaches all nodes.
    pub(crate) fn client(&self) -> Talker {
        let number = {
            let mut clients = self.clients.lock();
            *clients += 1;
            *clients
        };
        let nodes = (0..self.nodes.len()).map(|node| NodePeer::new(self.open_end(self.nodes.name(node))));
        let managers =
            (0..MANAGERS).map(|manager| ManagerPeer::new(self.open_end(self.managers.name(manager))));
        let client = Client::new(number, nodes.collect(), managers.collect(), &self.replies, self.settings);
        Talker { client, number: number as u32, history: self.history.clone() }
    }

    /// The watch, after a look at all living nodes if they show no steps: what a node does in a thread of its
    /// own, the looks around its handlers miss.
    pub(crate) fn seen(&self) -> &Watch {
        if !self.watch.is_shown() {
            for node in 0..self.nodes.len() {
                let watch = self.watch.clone();
                self.nodes.visit(node, move |node| node.inspect(|state| watch.look(state)));
            }
        }
        &self.watch
    }

    /// A node, for messages of the test's own.
    pub(crate) fn peer(&self, node: NodeId) -> NodePeer {
        NodePeer::new(self.open_end(self.nodes.name(node)))
    }

    /// An end to a manager, for messages of the test's own.
    pub(crate) fn manager_end(&self, manager: usize) -> ClientEnd {
        self.open_end(self.managers.name(manager))
    }

    fn open_end(&self, server: &Name) -> ClientEnd {
        let (number, end) = self.net.make_end(server);
        self.net.network().enable(number, true);
        end
    }

    /// The chain and the newest epoch.
    pub(crate) fn header(&self) -> Header {
        Header { chain: self.settings.chain, epoch: self.watch.newest().epoch }
    }

    /// Whether these nodes are the chain, in this order, and all of them have taken their places.
    pub(crate) fn is_in_force(&self, nodes: &[NodeId]) -> bool {
        let config = self.watch.newest();
        self.watch.chain() == nodes && config.members.iter().all(|&member| self.has_taken(&config, member))
    }

    /// Whether a member is alive, and has taken its place in a configuration.
    fn has_taken(&self, config: &Config, member: Member) -> bool {
        let look = |node: &Arc<Node>| node.inspect(|state| (state.me(), state.config().clone()));
        self.nodes.visit(member.node, look).is_some_and(|(me, taken)| me == member && taken == *config)
    }

    /// Waits until these nodes are the chain, in this order. Where messages are slow or nodes pause, one may
    /// have been taken for dead before, and have joined again as the tail: then any order will do.
    #[track_caller]
    pub(crate) fn wait_for_chain(&self, nodes: &[NodeId]) {
        let sorted = |nodes: &[NodeId]| nodes.iter().copied().collect::<BTreeSet<_>>();
        self.wait(60_000, &format!("the chain is {nodes:?}"), || {
            let chain = self.watch.chain();
            let is_meant =
                if self.test.is_ordinary() { chain == nodes } else { sorted(&chain) == sorted(nodes) };
            is_meant && self.is_in_force(&chain)
        });
        self.test.note(format!("the chain is {nodes:?}"));
    }

    /// Waits until a configuration of a later epoch is in force, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_epoch_after(&self, epoch: u64) -> Config {
        self.wait(30_000, "a later configuration is in force", || {
            let newest = self.watch.newest();
            newest.epoch > epoch && newest.members.iter().all(|&one| self.has_taken(&newest, one))
        });
        self.watch.newest()
    }

    /// Waits until all nodes of the chain have all updates and know them committed.
    #[track_caller]
    pub(crate) fn settle(&self) {
        self.wait(30_000, "all updates are committed everywhere", || {
            let known = |node: &NodeId| {
                self.nodes.visit(*node, |node| node.inspect(|state| (state.hist(), state.committed())))
            };
            let all: Vec<_> = self.watch.chain().iter().map(known).collect();
            let committed = self.seen().committed();
            all.iter().all(|one| *one == Some((committed, committed)))
        });
    }

    /// Cuts or mends the links between a node and the managers.
    pub(crate) fn set_managers(&self, node: NodeId, is_open: bool) {
        let words = if is_open { "reaches managers" } else { "no managers" };
        self.test.note_server(node, words);
        let mut links = self.links.lock();
        links.cut.retain(|&cut| cut != node);
        if !is_open {
            links.cut.push(node);
        }
        let up = links.up.get(&node).into_iter().flatten().copied();
        let down = links.down.iter().filter(|(to, _)| *to == node).map(|(_, end)| *end);
        up.chain(down).for_each(|end| self.net.network().enable(end, is_open));
    }

    /// Cuts or mends the link between two nodes.
    pub(crate) fn set_link(&self, one: NodeId, other: NodeId, is_open: bool) {
        self.test.note(format!("link {one} - {other} {}", if is_open { "is mended" } else { "is cut" }));
        for (from, to) in [(one, other), (other, one)] {
            self.net.network().enable(self.nodes.link(from, to), is_open);
        }
    }

    /// The manager that leads, once one does.
    pub(crate) fn leader(&self) -> usize {
        self.wait_for(20_000, "a manager leads", || {
            (0..MANAGERS).find(|&one| self.managers.visit(one, |manager| manager.leads()) == Some(true))
        })
    }

    #[track_caller]
    pub(crate) fn wait(&self, ms: u64, what: &str, is_so: impl Fn() -> bool) {
        self.wait_for(ms, what, || is_so().then_some(()));
    }

    /// Looks every few milliseconds, as [`Test::wait_for`]. If it is in vain, the message says how the nodes
    /// stand: where an update has got stuck, the threads' stacks do not tell.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, ms: u64, what: &str, find: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_millis(ms);
        loop {
            if let Some(found) = find() {
                return found;
            }
            if Instant::now() >= deadline {
                self.test.fail_waiting(format!("after {ms} ms still not: {what}; {}", self.standing()));
            }
            labrt::thread::sleep(LOOK);
        }
    }

    /// What was seen of each node last. It is not asked: a node that holds its lock for ever does not answer.
    fn standing(&self) -> String {
        let stands = |node: NodeId| {
            let down = if self.nodes.is_alive(node) { "" } else { "is down, " };
            format!("node {node} {down}{}", self.watch.standing(node))
        };
        let nodes: Vec<String> = (0..self.nodes.len()).map(stands).collect();
        format!(
            "the chain is {:?} of epoch {}; {}",
            self.watch.chain(),
            self.header().epoch,
            nodes.join("; ")
        )
    }
}

fn boot_node(
    net: &Net,
    settings: Settings,
    watch: &Watch,
    links: &Arc<Mutex<Links>>,
) -> impl Fn(Boot) -> Booted<Node> + Send + Sync + 'static {
    let (net, watch, links) = (net.clone(), watch.clone(), links.clone());
    move |boot: Boot| {
        let me = boot.me;
        let is_open = !links.lock().cut.contains(&me);
        let (numbers, managers): (Vec<usize>, Vec<ManagerPeer>) = (0..MANAGERS)
            .map(|manager| {
                let (number, end) = net.make_end(&Name::from(format!("manager-{manager}").as_str()));
                net.network().enable(number, is_open);
                (number, ManagerPeer::new(end))
            })
            .unzip();
        links.lock().up.insert(me, numbers);
        let (number, outside) = net.make_end(&Name::from("clients"));
        net.network().enable(number, true);
        let nodes = boot.ends.into_iter().map(NodePeer::new).collect();
        let peers = Peers { nodes, managers, clients: ReplyPeer::new(outside) };
        let (probe, around, watched) = (watch.clone(), watch.clone(), watch.clone());
        let show = move |step: &craq::Step<'_>, state: &craq::State| probe.probe(step, state);
        let probe: Option<craq::Probe> = watch.wants_probe().then(|| Arc::new(show) as _);
        let server = Node::start(me, peers, settings, probe);
        watched.born(server.inspect(craq::State::me));
        let seen = server.clone();
        // Only nodes that show nothing are looked at.
        let look = move || {
            if !around.is_shown() {
                seen.inspect(|state| around.look(state));
            }
        };
        let service = server.service().around(move |method, bytes, run| {
            look();
            let run_and_look = || {
                let answer = run();
                look();
                answer
            };
            watched.around(me, method, bytes, &run_and_look)
        });
        Booted { services: vec![service], server }
    }
}

fn boot_manager(
    net: &Net,
    settings: Settings,
    nodes: usize,
    ground: Ground,
    watch: &Watch,
    links: &Arc<Mutex<Links>>,
) -> impl Fn(Boot) -> Booted<Manager> + Send + Sync + 'static {
    let (net, watch, links) = (net.clone(), watch.clone(), links.clone());
    move |boot: Boot| {
        let ends = (0..nodes).map(|node| {
            let (number, end) = net.make_end(&Name::from(format!("node-{node}").as_str()));
            let mut links = links.lock();
            net.network().enable(number, !links.cut.contains(&node));
            links.down.push((node, number));
            watch.own(number);
            NodePeer::new(end)
        });
        let ends = ends.collect();
        let (registry, mut services) = ground(boot);
        let server = Manager::start(registry, ends, settings);
        services.push(server.service());
        Booted { services, server }
    }
}

/// A client whose operations are recorded.
pub(crate) struct Talker {
    pub(crate) client: Client,
    number: u32,
    history: Arc<Recorder<Call, Told>>,
}

fn now() -> u64 {
    Instant::now().as_nanos()
}

impl Talker {
    pub(crate) fn update(&mut self, object: ObjectId, op: Op) -> Result<Outcome, Refusal> {
        self.update_for(object, op, Duration::from_secs(3600)).expect("an hour is enough")
    }

    /// None: nobody answered. Whether the update is carried out is open, and the client is a new one.
    pub(crate) fn update_for(
        &mut self,
        object: ObjectId,
        op: Op,
        patience: Duration,
    ) -> Option<Result<Outcome, Refusal>> {
        let ticket = self.history.call(self.number, Call::Update(object, op.clone()), now());
        let answer = self.client.update_for(object, op, patience);
        match answer {
            Some(answer) => {
                let told = answer.map_or_else(Told::Refused, Told::Outcome);
                self.history.returned(ticket, told, now());
            }
            // An operation that never returned is its client's last. The one that goes on is another one.
            None => self.number += 1000,
        }
        answer
    }

    pub(crate) fn put(&mut self, object: ObjectId, value: &str) -> Outcome {
        self.update(object, Op::Put(value.as_bytes().to_vec())).expect("a put is never refused")
    }

    pub(crate) fn increment(&mut self, object: ObjectId) -> i64 {
        self.update(object, Op::Increment(1)).expect("it is a number").number
    }

    /// A strong read.
    pub(crate) fn get(&mut self, object: ObjectId) -> Versioned {
        self.get_for(object, None, Duration::from_secs(3600)).expect("an hour is enough")
    }

    /// A strong read at this node.
    pub(crate) fn get_at(&mut self, object: ObjectId, node: NodeId) -> Versioned {
        self.get_for(object, Some(node), Duration::from_secs(3600)).expect("an hour is enough")
    }

    pub(crate) fn get_for(
        &mut self,
        object: ObjectId,
        node: Option<NodeId>,
        patience: Duration,
    ) -> Option<Versioned> {
        let ticket = self.history.call(self.number, Call::Read(object), now());
        match self.client.read_for(object, ReadMode::Strong, node, patience) {
            Some(Ok(versioned)) => {
                let Versioned { version, value } = versioned.clone();
                self.history.returned(ticket, Told::Value(version, value), now());
                Some(versioned)
            }
            _ => {
                self.number += 1000;
                None
            }
        }
    }
}
