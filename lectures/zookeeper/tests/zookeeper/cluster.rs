//! The tests' cluster: servers, clients, and everything watched.

use std::ops::Deref;

use labrt::node::Node;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use tester::{Allowance, Boot, Booted, Group, Net, Test, run_within};
use zookeeper::{Answer, Client, EventKind, Pending, Server, Settings, Watch as ClientWatch};

use crate::watch::Watch;

/// How long the event of a change may take, at a server that has the change and answers the client.
const EVENT: Duration = Duration::from_secs(30);
/// How long an answer may take, if a majority of the servers is there.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a client waits for an answer, unless a test says otherwise. No test keeps one waiting for so
/// long: whoever gets "connection loss" has lost the answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server leads before a test counts on it: three heartbeats of a slow Raft.
const SETTLED: Duration = Duration::from_millis(400);
/// How often a test looks for such a leader.
const MANY_LOOKS: usize = 250;

/// A test on a cluster of so many servers.
pub(crate) fn play(name: &'static str, servers: usize, body: fn(&Test, &Cluster)) {
    play_with(name, servers, None, body);
}

/// The same with snapshots, once Raft's state takes so many bytes.
pub(crate) fn play_with(
    name: &'static str,
    servers: usize,
    max_raft_state: Option<usize>,
    body: fn(&Test, &Cluster),
) {
    // Many operations one after the other take long on a slow network.
    let allowance = Allowance { virtual_time: Duration::from_secs(600), ..Allowance::default() };
    run_within(name, allowance, move |t| {
        let cluster = Cluster::new(t, servers, max_raft_state);
        body(t, &cluster);
        cluster.finish();
    });
}

pub(crate) struct Cluster {
    pub(crate) test: Test,
    pub(crate) servers: Group<Server>,
    pub(crate) watch: Watch,
    pub(crate) net: Net,
    clients: Mutex<usize>,
    /// Clients that tests have dropped, and that have to hear something.
    kept: Arc<Mutex<Vec<Arc<Client>>>>,
}

/// A client on a computer of its own.
pub(crate) struct Zk {
    pub(crate) client: Arc<Client>,
    pub(crate) node: Node,
    watch: Watch,
    kept: Arc<Mutex<Vec<Arc<Client>>>>,
    net: Net,
    /// The ends to the servers, by server; None: the client does not know it.
    ends: Vec<Option<usize>>,
}

impl Deref for Zk {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// A client to which an event is due lives until the end of the test, where that is looked at.
impl Drop for Zk {
    fn drop(&mut self) {
        if self.watch.is_due(self.client.session()) {
            self.kept.lock().push(self.client.clone());
        }
    }
}

impl Zk {
    /// Cuts or mends the client's link to a server.
    pub(crate) fn set_link(&self, server: usize, is_open: bool) {
        if let Some(end) = self.ends[server] {
            self.net.network().enable(end, is_open);
        }
    }

    /// Cuts or mends all its links.
    pub(crate) fn set_links(&self, is_open: bool) {
        (0..self.ends.len()).for_each(|server| self.set_link(server, is_open));
    }

    /// The client's computer stops.
    pub(crate) fn crash(&self) {
        self.set_links(false);
        self.node.kill();
    }
}

impl Cluster {
    fn new(test: &Test, servers: usize, max_raft_state: Option<usize>) -> Cluster {
        let net = Net::as_drawn(test);
        let watch = Watch::new(test);
        let (probe, around) = (watch.clone(), watch.clone());
        let boot = move |boot: Boot| {
            let (me, probe, around) = (boot.me, probe.clone(), around.clone());
            let probe = Arc::new(move |zxid, transaction: &_, tree: &_, answer: &_| {
                probe.probe(me, zxid, transaction, tree, answer);
            });
            let server = Server::start(boot.ends, me, boot.persister, max_raft_state, Some(probe));
            let services = rsm::ReplicatedServer::services(&server).into_iter().map(|service| {
                let around = around.clone();
                service.around(move |method, bytes, run| around.around(me, method, bytes, run))
            });
            Booted { services: services.collect(), server }
        };
        let servers = Group::new(test, &net, "zk", servers, boot);
        servers.start_all();
        Cluster { test: test.clone(), servers, watch, net, clients: Mutex::default(), kept: Arc::default() }
    }

    /// At the end of each test: no event is missing. Then everything ends.
    fn finish(self) {
        self.expect_events();
        self.servers.end();
        self.net.network().cleanup();
        let figures = self.net.figures(self.servers.len(), self.watch.zxid());
        self.test.at_end(move |_| figures);
    }

    /// Invariant 6: a watch that is due fires, once its server has the change. Nothing is due in most tests,
    /// and then this takes no time. A server that is cut off may never have the change.
    fn expect_events(&self) {
        let states = || (0..self.servers.len()).map(|server| self.zxid(server)).collect::<Vec<_>>();
        let newest = vec![Some(self.watch.zxid()); self.servers.len()];
        let (mut before, mut since) = (states(), Instant::now());
        while since.elapsed() < EVENT {
            if self.watch.overdue(&newest).is_none() {
                return;
            }
            thread::sleep(ms(20));
            let now = states();
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
        let overdue = self.watch.overdue(&before);
        self.test.expect(overdue.is_none(), || format!("invariant 6: {}", overdue.unwrap_or_default()));
    }

    /// A client that knows all servers, and begins at this one.
    pub(crate) fn client_at(&self, server: usize) -> Zk {
        let all = self.servers.len();
        let order: Vec<usize> = (0..all).map(|next| (server + next) % all).collect();
        self.client_of(&order, Settings::default())
    }

    /// A client that knows these servers, in this order.
    pub(crate) fn client_of(&self, order: &[usize], settings: Settings) -> Zk {
        let settings = Settings { patience: settings.patience.or(Some(PATIENCE)), ..settings };
        let number = {
            let mut clients = self.clients.lock();
            *clients += 1;
            *clients - 1
        };
        let node = Node::new(format!("client-{number}"));
        let mut numbers = vec![None; self.servers.len()];
        let ends = order.iter().map(|&server| {
            let (number, end) = self.net.make_end(self.servers.name(server));
            self.net.network().enable(number, true);
            numbers[server] = Some(number);
            end
        });
        let ends = ends.collect();
        let client = node.enter(|| Arc::new(Client::open(ends, settings)));
        let (watch, kept) = (self.watch.clone(), self.kept.clone());
        Zk { client, node, watch, kept, net: self.net.clone(), ends: numbers }
    }

    /// The server that leads, once one does.
    pub(crate) fn leader(&self) -> usize {
        let leads = |server: usize| {
            let state = self.servers.visit(server, |server| rsm::ReplicatedServer::raft_state(&**server));
            state.filter(|(_, leads)| *leads).map(|(term, _)| (term, server))
        };
        let find = || (0..self.servers.len()).filter_map(leads).max().map(|(_, server)| server);
        self.wait_for(20_000, "a server leads", find)
    }

    /// The same, once it has led for a while: the first one is often replaced at once, by a server that stood
    /// for election at the same time. A test that says what happens to *the* leader begins with this.
    pub(crate) fn settled_leader(&self) -> usize {
        let (mut leader, mut since) = (self.leader(), Instant::now());
        // Where faults come all the time none may last.
        for _ in 0..MANY_LOOKS {
            if since.elapsed() >= SETTLED {
                break;
            }
            thread::sleep(ms(20));
            let now = self.leader();
            if now != leader {
                (leader, since) = (now, Instant::now());
            }
        }
        leader
    }

    /// The servers that do not lead.
    pub(crate) fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.servers.len()).filter(|&server| server != leader).collect()
    }

    /// The state of a server; None if it is down.
    pub(crate) fn zxid(&self, server: usize) -> Option<u64> {
        self.servers.visit(server, |server| server.zxid())
    }

    /// Waits until all servers have the newest state.
    pub(crate) fn settle(&self) {
        self.wait(20_000, "all servers have the newest state", || {
            (0..self.servers.len()).all(|server| self.zxid(server) == Some(self.watch.zxid()))
        });
    }

    /// Waits until something holds, for so many milliseconds.
    #[track_caller]
    pub(crate) fn wait(&self, ms: u64, what: &str, is_so: impl Fn() -> bool) {
        self.wait_for(ms, what, || is_so().then_some(()));
    }

    #[track_caller]
    pub(crate) fn wait_for<T>(&self, ms: u64, what: &str, find: impl Fn() -> Option<T>) -> T {
        self.test.wait_for(Duration::from_millis(ms), what, find)
    }
}

/// A watch must fire within ten seconds, with one of these kinds of event.
#[track_caller]
pub(crate) fn expect_event(t: &Test, what: &str, watch: ClientWatch, kinds: &[EventKind]) {
    let kind = watch.wait_for(ms(10_000)).map(|event| event.kind);
    t.expect(kind.is_some_and(|kind| kinds.contains(&kind)), || {
        let told = kind.map_or("nothing".to_owned(), |kind| format!("{kind:?}"));
        format!("the watch of {what} tells {told} within 10 s, and {kinds:?} was due (invariant 6)")
    });
}

/// The answer to an operation that some server can carry out. It is due within twenty seconds.
#[track_caller]
pub(crate) fn answer(t: &Test, what: &str, pending: Pending) -> Answer {
    t.wait_for(ANSWER, &format!("the answer to {what}"), || pending.is_done().then_some(()));
    pending.wait()
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
