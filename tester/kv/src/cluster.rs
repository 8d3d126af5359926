//! A group of key/value servers and the verbs that the tests of lab 3 are told with.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use labapi::KvServer;
use labapi::Persister;
use labrpc::{ClientEnd, DelayModel};
use labrt::node::Node;
use labrt::quiet::Mutex;
use labrt::rand::random_range;
use labrt::{World, thread};
use tester::{Boot, Booted, Checks, Figures, Group, Life, Net, Test};

use crate::client::Links;
use crate::pending::Pending;
use crate::record::Records;

/// How long a healthy group may take for an operation, an election and repetitions included.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How a group is set up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KvSetup {
    pub(super) servers: usize,
    pub(super) unreliable: bool,
    pub(super) max_raft_state: Option<usize>,
    clock_drift: f64,
}

impl KvSetup {
    /// So many servers on a reliable network, which never make snapshots.
    pub fn servers(servers: usize) -> KvSetup {
        KvSetup { servers, unreliable: false, max_raft_state: None, clock_drift: 0.0 }
    }

    /// The network loses one message in ten, and delays the others.
    pub fn unreliable(mut self) -> KvSetup {
        self.unreliable = true;
        self
    }

    /// The servers make snapshots, so that their Raft state stays near this many bytes.
    pub fn snapshots(mut self, max_raft_state: usize) -> KvSetup {
        self.max_raft_state = Some(max_raft_state);
        self
    }

    /// The servers' clocks run fast or slow by up to this fraction, each at a speed of its own that is drawn
    /// when it starts.
    pub fn clock_drift(mut self, fraction: f64) -> KvSetup {
        self.clock_drift = fraction;
        self
    }
}

/// A group of key/value servers with clients. Clones are the same group. It is a [`Group`], whose verbs it
/// shares: `connect`, `disconnect`, `partition`, `heal`, `crash`, `restart`. They touch links between servers
/// only.
pub struct KvCluster<S> {
    group: Group<S>,
    shared: Arc<Shared>,
}

struct Shared {
    records: Arc<Records>,
    checks: Arc<Checks>,
    links: Mutex<Links>,
    setup: KvSetup,
}

impl<S> Clone for KvCluster<S> {
    fn clone(&self) -> Self {
        KvCluster { group: self.group.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<S> Deref for KvCluster<S> {
    type Target = Group<S>;

    fn deref(&self) -> &Group<S> {
        &self.group
    }
}

impl<S: KvServer> KvCluster<S> {
    /// Starts the servers and connects them all. The network is reliable while they start.
    pub fn new(test: &Test, setup: KvSetup) -> KvCluster<S> {
        KvCluster::with(test, setup, S::start)
    }

    /// As [`KvCluster::new`], with servers that are started in another way than [`KvServer::start`].
    pub fn with(
        test: &Test,
        setup: KvSetup,
        start: impl Fn(Vec<ClientEnd>, usize, Persister, Option<usize>) -> Arc<S> + Send + Sync + 'static,
    ) -> KvCluster<S> {
        let net = Net::as_drawn(test);
        let checks = Arc::new(Checks::beside(test, setup.servers, 0, S::wire()));
        let (of_boot, of_test) = (Arc::clone(&checks), test.clone());
        let boot = move |boot: Boot| {
            if setup.clock_drift > 0.0 {
                let rate = 1.0 + random_range(-setup.clock_drift..=setup.clock_drift);
                set_clock_rate(&of_test, &boot.node, rate);
            }
            let (observer, life) = of_boot.begin(&boot);
            let server = start(boot.ends, boot.me, boot.persister, setup.max_raft_state);
            if let Some(observer) = observer {
                server.watch(observer);
            }
            poll(&of_test, &life, &server);
            let services = life.around_all(server.services());
            Booted { server, services }
        };
        let group = Group::new(test, &net, "server", setup.servers, boot);
        let shared = Shared { records: Records::new(test), checks, links: Mutex::default(), setup };
        let cluster = KvCluster { group, shared: Arc::new(shared) };
        cluster.start_all();
        cluster.set_reliable(!setup.unreliable);
        if setup.max_raft_state.is_some() {
            cluster.group.makes_snapshots();
        }
        cluster.group.pause_as_drawn();
        let at_end = cluster.clone();
        test.at_end(move |_| at_end.figures());
        cluster
    }

    fn figures(&self) -> Figures {
        let network = self.net().network();
        Figures {
            peers: self.len(),
            rpcs: network.total_count(),
            bytes: network.total_bytes(),
            commands: self.shared.records.operations() as u64,
        }
    }

    /// All servers.
    pub fn all(&self) -> Vec<usize> {
        (0..self.len()).collect()
    }

    /// How the group was set up.
    pub(super) fn setup(&self) -> KvSetup {
        self.shared.setup
    }

    pub(super) fn records(&self) -> &Arc<Records> {
        &self.shared.records
    }

    pub(super) fn links(&self) -> &Mutex<Links> {
        &self.shared.links
    }

    /// How often a server became leader; None if the servers do not let themselves be watched.
    pub fn elections(&self) -> Option<u64> {
        self.shared.checks.elections()
    }
}

/// Verbs.
impl<S: KvServer> KvCluster<S> {
    /// Whether the network loses nothing from now on, or one message in ten.
    pub fn set_reliable(&self, reliable: bool) {
        match reliable {
            true => self.test().faults().end("network", ""),
            false => self.test().faults().begin("network", "unreliable", ""),
        }
        self.net().network().set_reliable(reliable);
    }

    /// Messages take as long as they usually do, whatever a swarm's seed has drawn: for tests with so many
    /// operations in a row that a slow network would keep them busy for minutes.
    pub fn usual_delays(&self) {
        self.net().network().set_delay(DelayModel::default_here());
    }

    /// Messages take half a millisecond in the simulation, and no time on real threads, as in the course: for
    /// a test whose bound is meant for the servers and not for the network.
    pub fn short_delays(&self) {
        self.net().network().set_delay(match labrt::world() {
            World::Simulated => DelayModel::fixed(Duration::from_micros(500)),
            World::Threads => DelayModel::zero(),
        });
    }

    /// Lets a server's clock run `rate` times as fast as it should, until it crashes.
    pub fn set_clock_rate(&self, server: usize, rate: f64) {
        self.test().note_server(server, format!("clock x {rate}"));
        if let Some(node) = self.node(server) {
            set_clock_rate(self.test(), &node, rate);
        }
    }

    /// The first living server that believes it leads.
    pub fn leader(&self) -> Option<usize> {
        (0..self.len()).find(|&server| self.visit(server, |server| server.is_leader()).unwrap_or(false))
    }

    /// Waits until a server believes it leads.
    ///
    /// # Panics
    /// If none does for [`PATIENCE`].
    pub fn wait_leader(&self) -> usize {
        const PAUSE: Duration = Duration::from_millis(20);
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if let Some(leader) = self.leader() {
                self.test().note(format!("wait_leader: server {leader}"));
                return leader;
            }
            thread::sleep(PAUSE);
        }
        self.test().fail_waiting(format!("expected a leader, but for {} s no server led", PATIENCE.as_secs()))
    }

    /// Chooses a majority without the leader, and a minority whose last member is the leader. Nothing is cut
    /// yet.
    pub fn make_partition(&self) -> (Vec<usize>, Vec<usize>) {
        let leader = self.wait_leader();
        let mut others: Vec<usize> = (0..self.len()).filter(|&server| server != leader).collect();
        let mut minority = others.split_off(self.len() / 2 + 1);
        minority.push(leader);
        (others, minority)
    }

    /// Gives all living servers all their links.
    pub fn connect_all(&self) {
        self.heal();
        (0..self.len()).for_each(|server| self.connect(server));
    }

    /// Crashes all servers.
    pub fn crash_all(&self) {
        (0..self.len()).for_each(|server| self.crash(server));
    }

    /// Starts all servers, after a crash of those that live, and connects them.
    pub fn restart_all(&self) {
        (0..self.len()).for_each(|server| self.restart(server));
        self.connect_all();
    }

    /// Ends all faults: all servers run and have links, and the network loses nothing. Then an operation must
    /// succeed.
    ///
    /// # Panics
    /// If none does within [`PATIENCE`].
    pub fn recover(&self) {
        self.test().note("everybody recovers");
        self.set_reliable(true);
        self.heal();
        for server in 0..self.len() {
            if !self.is_alive(server) {
                self.restart(server);
            }
            if !self.is_connected(server) {
                self.connect(server);
            }
        }
        let mut clerk = self.make_client(&self.all());
        self.within(PATIENCE, "an operation after all faults have ended", move || {
            clerk.put("recovered", "yes");
        });
    }

    /// Runs `operation` on a thread of its own, for at most so long.
    ///
    /// # Panics
    /// If it is not done then; `what` says what was expected.
    pub fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        what: &str,
        operation: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.begin(operation).within(limit, what)
    }

    /// Begins an operation, which goes on by itself.
    pub fn begin<T: Send + 'static>(&self, operation: impl FnOnce() -> T + Send + 'static) -> Pending<T> {
        Pending::begin(self.test(), operation)
    }

    /// Checks that no server's Raft state is longer than eight times what the servers were told, if they make
    /// snapshots.
    ///
    /// # Panics
    /// If one is.
    pub fn expect_short_logs(&self) {
        let Some(told) = self.shared.setup.max_raft_state else { return };
        let size = self.log_size();
        self.test().expect(size <= 8 * told, || {
            format!(
                "expected a Raft state of at most {} bytes thanks to snapshots, but one has {size}",
                8 * told
            )
        });
    }

    /// Checks that no server has a snapshot of more than `bytes` bytes.
    ///
    /// # Panics
    /// If one has.
    pub fn expect_snapshots_up_to(&self, bytes: usize) {
        let size = self.snapshot_size();
        self.test().expect(size <= bytes, || {
            format!("expected snapshots of at most {bytes} bytes, but one has {size}")
        });
    }
}

/// Has the checkers ask for term and leadership, if the server tells them.
fn poll<S: KvServer>(test: &Test, life: &Life, server: &Arc<S>) {
    match server.raft_state() {
        Some(_) => {
            let server = Arc::clone(server);
            life.poll_now_and_then(move || server.raft_state());
        }
        None => test.unwatched("terms and leaders; implement `raft_state`"),
    }
}

fn set_clock_rate(test: &Test, node: &Node, rate: f64) {
    node.set_clock_rate(rate);
    test.faults().begin("clock", format!("runs {rate:.3} times as fast"), node.name());
}
