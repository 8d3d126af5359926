//! The tests' cluster: hosts, the shared disk, the world outside, and everything watched.

use labrpc::{ClientEnd, Server};
use labrt::node::Node;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use linearize::models::counter::{Counter, CounterOp};
use linearize::{Limits, Recorder as History, Verdict};
use tester::{Boot, Booted, Group, Net, Test};
use vmft::rpc::{ClusterPeer, DiskPeer, HostPeer, WirePeer};
use vmft::{
    Arbiter, Client, ClusterServer, DiskArbiter, DiskServer, Host, Machine, Peers, Program, Role, Settings,
    Status, VM, Wire,
};

use crate::watch::{Watch, Watched};

/// A test on a cluster: the body, and then the checks of the end.
pub(crate) fn play(name: &'static str, setup: fn() -> Setup, body: fn(&Test, &Cluster)) {
    tester::run(name, move |t| {
        let cluster = Cluster::new(t, setup());
        body(t, &cluster);
        cluster.finish();
    });
}

/// The counter, with a tick a hundred times a second.
pub(crate) fn counter() -> Setup {
    Setup::new(vmft::guests::counter(10_000))
}

/// How often a test looks whether something has happened.
const LOOK: Duration = Duration::from_millis(2);

type MakeArbiter = dyn Fn(&Net) -> Arc<dyn Arbiter> + Send + Sync;

/// What a cluster is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) program: Program,
    pub(crate) settings: Settings,
    /// Hosts beyond the first two; they are free for a repair.
    pub(crate) spares: usize,
    /// Makes a host's arbiter; None: the flag on the shared disk.
    pub(crate) arbiter: Option<Arc<MakeArbiter>>,
    /// Whether messages take the time that the seed has drawn (`LAB_SWARM`).
    pub(crate) is_drawn: bool,
    /// Off in tests that show an anomaly.
    pub(crate) is_strict: bool,
}

impl Setup {
    pub(crate) fn new(program: Program) -> Setup {
        Setup {
            program,
            settings: Settings::default(),
            spares: 0,
            arbiter: None,
            is_drawn: true,
            is_strict: true,
        }
    }
}

/// The ends on which a host calls disk and wire.
#[derive(Clone, Copy, Default)]
struct Links {
    disk: usize,
    wire: usize,
}

pub(crate) struct Cluster {
    test: Test,
    pub(crate) hosts: Group<Host>,
    pub(crate) disk: Arc<DiskServer>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) watch: Watch,
    pub(crate) net: Net,
    links: Arc<Mutex<Vec<Links>>>,
    history: Arc<History<CounterOp, i64>>,
    clients: Mutex<u64>,
    timeout: Duration,
}

impl Cluster {
    pub(crate) fn new(test: &Test, setup: Setup) -> Cluster {
        let net = if setup.is_drawn { Net::as_drawn(test) } else { Net::new() };
        let watch = Watch::new(test, setup.is_strict);
        let tap = watch.clone();
        net.network().set_tap(move |event| tap.tap(event));
        let (disk, wire) = (DiskServer::new(), Wire::new());
        let spares: Vec<usize> = (2..2 + setup.spares).collect();
        let around = Node::new("around");
        net.network().add_server("disk", Server::new(&around).with(disk.service()));
        net.network().add_server("wire", Server::new(&around).with(wire.service()));
        let cluster = ClusterServer::new(&spares).service();
        net.network().add_server("cluster", Server::new(&around).with(cluster));
        let links = Arc::new(Mutex::new(vec![Links::default(); 2 + setup.spares]));
        let hosts = Group::new(test, &net, "host", 2 + setup.spares, boot(&setup, &net, &watch, &links));
        hosts.start_all();
        for host in [0, 1] {
            let machine = Machine::new(setup.program.clone());
            hosts.visit(host, move |server| server.boot(machine, host == 0, 1 - host));
        }
        let (history, clients) = Default::default();
        let timeout = setup.settings.timeout;
        Cluster { test: test.clone(), hosts, disk, wire, watch, net, links, history, clients, timeout }
    }

    /// At the end of each test: the clients' history is linearizable (invariant 5), and the disk holds what
    /// the outputs say (invariant 8). Then everything ends.
    pub(crate) fn finish(self) {
        let _ = self.watch.compared();
        self.hosts.end();
        if self.watch.is_strict() {
            if let Some(complaint) = self.history_complaint() {
                self.test.fail(complaint);
            }
            let blocks = self.disk.with(VM, |volume| volume.blocks());
            self.test.expect(blocks == self.watch.expected_blocks(), || {
                "the shared disk differs from that of a run without failures".to_owned()
            });
        }
        self.net.network().cleanup();
        let figures = self.net.figures(self.hosts.len(), self.watch.last_output());
        self.test.at_end(move |_| figures);
    }

    /// What is wrong with the history of the counter's clients.
    pub(crate) fn history_complaint(&self) -> Option<String> {
        let history = self.history.history().expect("each client waits for its operations");
        match linearize::check(&Counter, &history, &Limits::default()) {
            Verdict::Linearizable(_) => None,
            verdict => Some(format!("the counter's history is not linearizable: {verdict:?}")),
        }
    }

    /// The number of a new client.
    fn new_number(&self) -> u64 {
        let mut clients = self.clients.lock();
        *clients += 1;
        *clients
    }

    /// A client of the guest.
    pub(crate) fn client(&self) -> Client {
        self.client_with(self.new_number())
    }

    fn client_with(&self, number: u64) -> Client {
        let ends = (0..self.hosts.len()).map(|host| HostPeer::new(self.open_end(self.hosts.name(host))));
        self.wire.client(number, ends.collect())
    }

    /// A client of the counter, whose operations are recorded.
    pub(crate) fn counting(&self) -> Counting {
        let number = self.new_number();
        let client = self.client_with(number);
        Counting { client, number: number as u32, history: self.history.clone() }
    }

    /// A client of the counter that reaches one host only.
    pub(crate) fn counting_at(&self, host: usize) -> Counting {
        let number = self.new_number();
        let client = self.wire.client(number, vec![HostPeer::new(self.open_end(self.hosts.name(host)))]);
        Counting { client, number: number as u32, history: self.history.clone() }
    }

    fn open_end(&self, server: &labrpc::Name) -> ClientEnd {
        open_end(&self.net, server.clone()).1
    }

    pub(crate) fn status(&self, host: usize) -> Option<Status> {
        self.hosts.visit(host, |server| server.status())
    }

    pub(crate) fn role(&self, host: usize) -> Option<Role> {
        self.status(host).map(|status| status.role)
    }

    /// Waits until a host has a role, for so many milliseconds.
    #[track_caller]
    pub(crate) fn wait_for(&self, host: usize, role: Role, ms: u64) {
        self.wait(ms, &format!("host {host} becomes {role:?}"), || self.role(host) == Some(role));
    }

    #[track_caller]
    pub(crate) fn wait(&self, ms: u64, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_millis(ms);
        while !is_so() {
            self.test.expect(Instant::now() < deadline, || format!("after {ms} ms still not: {what}"));
            thread::sleep(LOOK);
        }
    }

    /// Has a host's server do something.
    pub(crate) fn tell(&self, host: usize, what: impl FnOnce(&Host) + Send + 'static) {
        self.hosts.visit(host, move |server| what(server));
    }

    /// Waits until the backup has replayed everything and the counter stands at `sum`.
    pub(crate) fn count_to(&self, sum: u64) -> Counting {
        let mut client = self.counting();
        (1..=sum).for_each(|next| assert_eq!(client.increment(), next, "an increment of a healthy machine"));
        self.settle();
        client
    }

    /// In a swarm run a slow network makes clients ask again, so that replies to what has long been answered
    /// are still on their way. Waits until a second has passed without one.
    fn settle(&self) {
        let mut left = u64::MAX;
        while !self.test.is_ordinary() && left != self.watch.outputs_of(0) {
            left = self.watch.outputs_of(0);
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// Longer than a host needs to suspect the other one, ask the arbiter and go live.
    pub(crate) fn failover_ms(&self) -> u64 {
        2 * self.timeout.as_millis() as u64 + 1500
    }

    /// Cuts or mends the logging channel, both ways.
    pub(crate) fn set_channel(&self, is_open: bool) {
        self.test.note(if is_open { "the channel is mended" } else { "the channel is cut" });
        for (from, to) in [(0, 1), (1, 0)] {
            self.net.network().enable(self.hosts.link(from, to), is_open);
        }
    }

    /// Cuts or mends a host's link to the shared disk.
    pub(crate) fn set_disk(&self, host: usize, is_open: bool) {
        self.test.note_server(host, if is_open { "disk is there" } else { "disk is cut off" });
        self.net.network().enable(self.links.lock()[host].disk, is_open);
    }

    /// Loses the disk's answers to a host, or no longer.
    pub(crate) fn cut_disk_replies(&self, host: usize, cut: bool) {
        self.net.network().cut_replies(self.links.lock()[host].disk, cut);
    }

    /// Whether nobody has set the flag of the first epoch.
    pub(crate) fn flag_is_free(&self) -> bool {
        let nobody = usize::MAX;
        // Asked on a copy, which changes nothing.
        self.disk.with(VM, |volume| {
            let mut copy = *volume.flag();
            copy.test_and_set(1, nobody) == Ok(false)
        })
    }

    /// Cuts or mends a host's link to the world outside.
    pub(crate) fn set_wire(&self, host: usize, is_open: bool) {
        self.net.network().enable(self.links.lock()[host].wire, is_open);
    }

    /// Who wins is free, but exactly one of the two goes on, and the other halts for good.
    pub(crate) fn expect_one_live(&self) -> usize {
        let roles = || [self.role(0), self.role(1)];
        self.wait(self.failover_ms(), "one host is live and one has lost", || {
            let mut roles = roles();
            roles.sort_by_key(|role| *role == Some(Role::Lost));
            roles == [Some(Role::Live), Some(Role::Lost)]
        });
        usize::from(roles()[1] == Some(Role::Live))
    }
}

type Boots = dyn Fn(Boot) -> Booted<Host> + Send + Sync;

fn boot(setup: &Setup, net: &Net, watch: &Watch, links: &Arc<Mutex<Vec<Links>>>) -> Box<Boots> {
    let (setup, net, watch, links) = (setup.clone(), net.clone(), watch.clone(), links.clone());
    Box::new(move |boot: Boot| {
        let me = boot.me;
        let ((disk, disk_end), (wire, wire_end)) = (open_end(&net, "disk"), open_end(&net, "wire"));
        [disk, wire].into_iter().for_each(|end| watch.own(end, me));
        links.lock()[me] = Links { disk, wire };
        let disk = DiskPeer::new(disk_end);
        let inner = match &setup.arbiter {
            Some(make) => make(&net),
            None => Arc::new(DiskArbiter::new(&disk, VM)),
        };
        let peers = Peers {
            hosts: boot.ends.into_iter().map(HostPeer::new).collect(),
            disk,
            arbiter: Arc::new(Watched { inner, watch: watch.clone() }),
            cluster: (setup.spares > 0).then(|| ClusterPeer::new(open_end(&net, "cluster").1)),
            wire: WirePeer::new(wire_end),
        };
        let probe = watch.clone();
        let show = move |event, icount, hash| probe.event(me, event, icount, hash);
        let probe: Option<vmft_machine::Probe> = watch.wants_probe().then(|| Arc::new(show) as _);
        let settings = Settings { probe, ..setup.settings.clone() };
        let server = Host::start(me, peers, settings);
        let around = watch.clone();
        let service =
            server.service().around(move |method, bytes, run| around.around(me, method, bytes, run));
        Booted { server, services: vec![service] }
    })
}

fn open_end(net: &Net, server: impl Into<labrpc::Name>) -> (usize, ClientEnd) {
    let (number, end) = net.make_end(&server.into());
    net.network().enable(number, true);
    (number, end)
}

/// A client of the counter, recorded.
pub(crate) struct Counting {
    client: Client,
    number: u32,
    history: Arc<History<CounterOp, i64>>,
}

impl Counting {
    pub(crate) fn increment(&mut self) -> u64 {
        let ticket = self.history.call(self.number, CounterOp::FetchAdd(1), Instant::now().as_nanos());
        let sum = self.client.call(&[1]);
        self.history.returned(ticket, sum as i64 - 1, Instant::now().as_nanos());
        sum
    }

    /// As [`Counting::increment`], but gives up after some time; then it is open whether it was carried out.
    pub(crate) fn increment_for(&mut self, patience: Duration) -> Option<u64> {
        let ticket = self.history.call(self.number, CounterOp::FetchAdd(1), Instant::now().as_nanos());
        let sum = self.client.call_for(&[1], patience)?;
        self.history.returned(ticket, sum as i64 - 1, Instant::now().as_nanos());
        Some(sum)
    }

    pub(crate) fn get(&mut self) -> u64 {
        let ticket = self.history.call(self.number, CounterOp::Read, Instant::now().as_nanos());
        let sum = self.client.call(&[0]);
        self.history.returned(ticket, sum as i64, Instant::now().as_nanos());
        sum
    }
}
