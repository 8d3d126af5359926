//! A cluster of consensus servers and the closed list of verbs that the tests of the Raft lab are told with.

mod agree;
mod applier;
mod check;

pub use agree::{Moved, Retry};

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use labapi::{ApplyMsg, Consensus, WireFormat, digest};
use labrt::channel::Receiver;
use labrt::node::Node;
use labrt::quiet::Mutex;
use labrt::sync::Condvar;
use rustc_hash::FxHashMap;

use crate::command::Command;
use crate::group::{Boot, Booted, Group};
use crate::invariants::Applied;
use crate::net::Net;
use crate::outside::Outside;
use crate::story::What;
use crate::test::{Figures, Test};
use crate::watch::Watched;

/// The time in which a solution must be able to elect a leader: E in the course's tests.
pub const ELECTION: Duration = Duration::from_secs(1);

/// How a cluster is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    servers: usize,
    unreliable: bool,
    snapshots: bool,
    slow: bool,
}

impl Setup {
    /// So many servers on a reliable network, whose service never makes snapshots.
    pub fn servers(servers: usize) -> Setup {
        Setup { servers, unreliable: false, snapshots: false, slow: false }
    }

    /// The network loses one message in ten, and delays the others.
    pub fn unreliable(mut self) -> Setup {
        self.unreliable = true;
        self
    }

    /// The services make a snapshot after every ten commands.
    pub fn snapshots(mut self) -> Setup {
        self.snapshots = true;
        self
    }

    /// The services take up to 10 ms for each command.
    pub fn slow_service(mut self) -> Setup {
        self.slow = true;
        self
    }
}

/// A cluster of servers with a consensus module each, and above it a service that only records what it is
/// given. Clones are the same cluster. It is a [`Group`], whose verbs it shares: `connect`, `disconnect`,
/// `partition`, `heal`, `crash`, `restart`.
pub struct Cluster<R> {
    group: Group<R>,
    record: Arc<Record>,
}

/// What the tester knows of a cluster.
struct Record {
    test: Test,
    applied: Mutex<Applied>,
    watched: Arc<Watched>,
    outside: Arc<Outside>,
    /// Digests of the commands that leaders took, by index.
    taken: Mutex<FxHashMap<u64, Vec<u64>>>,
    /// Servers whose services do not get ready with a snapshot.
    held_snapshots: labrt::sync::Mutex<Vec<usize>>,
    /// Wakes these services.
    snapshots_go_on: Condvar,
    /// The test's own node.
    home: Node,
}

impl<R> Clone for Cluster<R> {
    fn clone(&self) -> Self {
        Cluster { group: self.group.clone(), record: Arc::clone(&self.record) }
    }
}

impl<R> Deref for Cluster<R> {
    type Target = Group<R>;

    fn deref(&self) -> &Group<R> {
        &self.group
    }
}

impl<R: Consensus> Cluster<R> {
    /// Starts the servers and connects them all. As in the course, callers wait up to 7 s until they learn
    /// that a server cannot be reached.
    pub fn new(test: &Test, setup: Setup) -> Cluster<R> {
        let setup = Setup { servers: test.choices().servers(setup.servers), ..setup };
        let net = Net::as_drawn(test);
        net.network().set_reliable(!setup.unreliable);
        net.network().set_long_delays(true);
        let record = Arc::new(Record {
            test: test.clone(),
            applied: Mutex::default(),
            watched: Watched::beside(test, setup.servers, 0, R::wire().is_some_and(WireFormat::is_given)),
            outside: Outside::new(test, setup.servers, R::wire()),
            taken: Mutex::default(),
            held_snapshots: labrt::sync::Mutex::default(),
            snapshots_go_on: Condvar::new(),
            home: labrt::node::current(),
        });
        let of_boot = Arc::clone(&record);
        let boot = move |boot: Boot| boot_server::<R>(boot, &of_boot, setup);
        let group = Group::new(test, &net, "server", setup.servers, boot);
        let cluster = Cluster { group, record };
        cluster.group.slow_link_as_drawn();
        if setup.snapshots {
            cluster.group.makes_snapshots();
        }
        cluster.start_all();
        cluster.group.pause_as_drawn();
        let at_end = cluster.clone();
        test.at_end(move |_| at_end.figures());
        cluster
    }

    /// How many commands that leaders took gave way to others at their index; None if none was ever taken.
    fn lost_commands(&self) -> Option<u64> {
        let (taken, applied) = (self.record.taken.lock(), self.record.applied.lock());
        let lost = taken.iter().map(|(&index, digests)| {
            let committed = applied.count(index).1.map(|command| digest(&command.0));
            committed.map_or(0, |committed| digests.iter().filter(|&&taken| taken != committed).count())
        });
        (!taken.is_empty()).then(|| lost.sum::<usize>() as u64)
    }

    fn figures(&self) -> Figures {
        if let Some(lost) = self.lost_commands() {
            self.test().met("uncommitted entries lost", lost);
        }
        let network = self.net().network();
        Figures {
            peers: self.len(),
            rpcs: network.total_count(),
            bytes: network.total_bytes(),
            commands: self.record.applied.lock().max_index(),
        }
    }

    /// Asks a server to have `command` agreed on: the index and term that it expects, or None if it does not
    /// believe it is the leader, or is crashed.
    pub fn start(&self, server: usize, command: impl Into<Command>) -> Option<(u64, u64)> {
        if !self.test().choices().allows("start") {
            return None;
        }
        let command = command.into().0;
        let of_command = digest(&command);
        let accepted = self.visit(server, move |server| server.start(command))?;
        if let Some((index, term)) = accepted {
            self.group.progress().takes(server, index, term);
            self.record.taken.lock().entry(index).or_default().push(of_command);
            self.test().tell(Some(server), What::Started(index));
        }
        accepted
    }

    /// From now on the services of these servers, and of no others, do not get ready with a snapshot that
    /// they begin to make. They take nothing from their apply channels meanwhile. None: all get ready.
    pub fn hold_snapshots(&self, servers: impl IntoIterator<Item = usize>) {
        *self.record.held_snapshots.lock() = servers.into_iter().collect();
        self.record.snapshots_go_on.notify_all();
    }

    /// Term of a living server, and whether it believes it is the leader; None if it is crashed.
    pub fn get_state(&self, server: usize) -> Option<(u64, bool)> {
        self.visit(server, |server| server.get_state())
    }

    /// Calls made so far, also those that could not be delivered.
    pub fn rpc_total(&self) -> u64 {
        self.net().network().total_count()
    }

    /// Bytes of requests and delivered replies so far.
    pub fn bytes_total(&self) -> u64 {
        self.net().network().total_bytes()
    }

    /// How often a server lost entries that it had taken as a leader, and that were not committed; None if
    /// the servers do not let themselves be watched.
    pub fn lost_suffixes(&self) -> Option<u64> {
        self.record.watched.lost_suffixes()
    }

    /// Ends all faults: all servers run and have links, and the network loses nothing. Then the cluster must
    /// agree again.
    pub fn recover(&self) -> u64 {
        self.test().note("everybody recovers");
        self.net().network().set_reliable(true);
        self.net().network().set_long_reordering(false);
        self.heal();
        for server in 0..self.len() {
            if !self.is_alive(server) {
                self.restart(server);
            }
            self.connect(server);
        }
        self.agree_on(Command::random(), self.len(), Retry::Yes)
    }
}

/// Starts a server's consensus module, its applier, and the watch over it.
fn boot_server<R: Consensus>(boot: Boot, record: &Arc<Record>, setup: Setup) -> Booted<R> {
    let (sender, receiver) = labrt::channel::bounded(0);
    let mut applier = applier::Applier::new(Arc::clone(record), boot.me, setup, boot.crash.progress.clone());
    applier.load(&boot.persister.snapshot());
    let observer = record.watched.observer(&boot);
    let life = record.outside.begin(&boot);
    let (me, crash) = (boot.me, Arc::clone(&boot.crash));
    let server = R::make(boot.ends, boot.me, boot.persister, sender);
    if let Some(observer) = observer {
        server.watch(observer);
    }
    *crash.at_kill.lock() = Some(listen_after_crash(record, me, receiver.clone()));
    let module = Arc::clone(&server);
    life.poll(move || module.get_state());
    let module = Arc::clone(&server);
    labrt::runtime::spawn_detached(&boot.node, "the tester's service", move || {
        applier.run(&receiver, &module);
    });
    let services = vec![life.around(server.service())];
    Booted { server, services }
}

/// What begins to listen at a server's crash: whatever arrives on the apply channel then was sent by a dead
/// server.
fn listen_after_crash(
    record: &Arc<Record>,
    server: usize,
    messages: Receiver<ApplyMsg>,
) -> Box<dyn FnOnce() + Send> {
    let record = Arc::clone(record);
    Box::new(move || {
        labrt::runtime::spawn_detached(
            &record.home.clone(),
            "the tester's listener to a dead server",
            move || {
                if let Ok(ApplyMsg::Command { index, .. } | ApplyMsg::Snapshot { index, .. }) =
                    messages.recv()
                {
                    record.test.dead_server_acts(server, &format!("hands index {index} to its service"));
                }
            },
        );
    })
}
