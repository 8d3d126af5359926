//! The monitor: a replica of the group's state, the RPCs, and the threads that bring it
//! forward while this server leads.
//!
//! | thread | waits for | does |
//! |---|---|---|
//! | `config_loop` | another configuration | puts it into the log, one after the other |
//! | `transfer_loop` | something to get, or to have deleted | starts a transfer for each such handover |
//! | transfers | an answer of the other group | pull and install; have deleted, and forget |
//!
//! All that they decide goes through the log, and is judged there by the state. So nothing
//! is lost, or done twice, if the server loses its leadership in the middle: its successor finds
//! in the state what is left to do. And no lock is held while another group is waited for:
//! two groups may well wait for each other.

use std::collections::BTreeSet;

use kvraft::Operation;
use labapi::Observer;
use labrpc::{ClientEnd, Service};
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::Duration;
use raft::Persister;
use rsm::{Request, Rsm, SubmitError};
use shardctrler::GroupId;

use crate::peers::{MakeEnd, Peers};
use crate::rpc::{Content, Handover, KvError, PullError, ShardPeer, ShardRpc};
use crate::state::{Command, Group, Reply, Transfer, decode_shard};

/// How often a leader asks for the next configuration. The course says about ten times a
/// second; clients wait on average half of this longer for a shard that moves.
const CONFIG_INTERVAL: Duration = Duration::from_millis(80);

/// How often a leader looks for transfers that nobody is on: those that it has inherited.
/// What it brings about itself is looked for at once.
const TRANSFER_INTERVAL: Duration = Duration::from_millis(100);

/// The pause of a transfer after all servers of the other group were asked in vain. Mostly
/// they have not adopted the configuration yet, and will within a round trip or two.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// With what a server is started.
pub struct Setup {
    /// How to reach each server of the group, itself included.
    pub ends: Vec<ClientEnd>,
    /// The server's own place in `ends`.
    pub me: usize,
    /// The disk.
    pub persister: Persister,
    /// A snapshot replaces the log when Raft's state takes this many bytes; `None`: never.
    pub max_raft_state: Option<usize>,
    /// Which group it is; not [`shardctrler::NO_GROUP`].
    pub group: GroupId,
    /// How to reach the controllers.
    pub controllers: Vec<ClientEnd>,
    /// How to reach servers of other groups.
    pub make_end: MakeEnd,
}

/// One server of a group.
pub struct ShardServer {
    rsm: Arc<Rsm<Group>>,
    peers: Mutex<Peers>,
    /// The handovers with which a thread of this server is busy.
    busy: Mutex<BTreeSet<Handover>>,
}

impl ShardServer {
    /// Starts a server with what its disk holds of an earlier life, and returns at once.
    ///
    /// The threads belong to the node on which this is called, and end with it.
    ///
    /// # Panics
    /// If what the disk holds is damaged, or was written by another group.
    pub fn start(setup: Setup) -> Arc<ShardServer> {
        let Setup { ends, me, persister, max_raft_state, group, controllers, make_end } = setup;
        let server = Arc::new(ShardServer {
            rsm: Rsm::start(ends, me, persister, max_raft_state, Group::new(group)),
            peers: Mutex::new(Peers::new(make_end)),
            busy: Mutex::new(BTreeSet::new()),
        });
        let controller = shardctrler::Clerk::new(controllers);
        server.spawn("config_loop", |server| server.config_loop(controller));
        server.spawn("transfer_loop", |server| server.transfer_loop());
        server
    }

    fn spawn(self: &Arc<Self>, name: &str, body: impl FnOnce(&Arc<ShardServer>) + Send + 'static) {
        let server = self.clone();
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || body(&server));
        // Without one of its threads the server would look alive and be broken.
        spawned.expect("the system has room for a thread");
    }

    /// What the server offers on the network: to clerks and other groups, and to its peers.
    pub fn services(self: &Arc<Self>) -> Vec<Service> {
        vec![self.clone().into_service(), self.rsm.service()]
    }

    /// Whether this server believes to be the leader of its group.
    pub fn is_leader(&self) -> bool {
        self.rsm.raft().get_state().1
    }

    /// Shows the state of its Raft to a tester.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.rsm.watch(observer);
    }

    /// Shows the group's state to a tester: now, and after each step, with the index of the
    /// log to which it has come.
    pub fn watch_group(&self, watcher: impl FnMut(u64, &Group) + Send + 'static) {
        self.rsm.watch_machine(watcher);
    }

    /// Looks at the group's state as it is on this server.
    pub fn inspect<T>(&self, look: impl FnOnce(&Group) -> T) -> T {
        self.rsm.inspect(look)
    }

    /// Blocks while another server leads.
    fn wait_for_leadership(&self) {
        let mut leadership = self.rsm.raft().get_state();
        while !leadership.1 {
            leadership = self.rsm.raft().wait_for_leadership(leadership);
        }
    }

    /// While this server leads, takes the group from one configuration to the next. None is
    /// left out: each may give away a shard that the next one brings back changed.
    fn config_loop(self: &Arc<Self>, mut controller: shardctrler::Clerk) {
        loop {
            self.wait_for_leadership();
            let next = self.rsm.inspect(Group::config) + 1;
            let config = controller.query(i64::try_from(next).unwrap_or(i64::MAX));
            if config.number == next && self.rsm.submit(&Command::Adopt(config)).is_ok() {
                self.start_transfers();
            } else {
                thread::sleep(CONFIG_INTERVAL);
            }
        }
    }

    /// While this server leads, looks for what its predecessors have left undone.
    fn transfer_loop(self: &Arc<Self>) {
        loop {
            self.wait_for_leadership();
            self.start_transfers();
            thread::sleep(TRANSFER_INTERVAL);
        }
    }

    /// Starts a thread for each handover to this group that has none. One each, so that a
    /// group that does not answer keeps nobody waiting for another.
    fn start_transfers(self: &Arc<Self>) {
        for handover in self.rsm.inspect(Group::transfers) {
            if self.busy.lock().insert(handover) {
                self.spawn("transfer", move |server| {
                    server.run_transfer(handover);
                    server.busy.lock().remove(&handover);
                });
            }
        }
    }

    /// Does whatever a handover to this group needs, until it is over or another leads.
    fn run_transfer(&self, handover: Handover) {
        while self.is_leader() {
            let Some(transfer) = self.rsm.inspect(|group| group.transfer(handover)) else { return };
            let news = match transfer {
                Transfer::Pull(servers) => {
                    self.pull(handover, &servers).map(|content| Command::Install(handover, content))
                }
                Transfer::Discard(servers) => {
                    self.have_discarded(handover, &servers).then_some(Command::Forget(handover))
                }
            };
            let submitted = news.map(|command| self.rsm.submit(&command));
            if !matches!(submitted, Some(Ok(_))) {
                thread::sleep(RETRY_PAUSE);
            }
        }
    }

    /// The content of a shard, from the first of these servers that has it.
    fn pull(&self, handover: Handover, servers: &[String]) -> Option<Content> {
        let pulled = |peer: ShardPeer| peer.pull(&handover).ok()?.ok();
        let content = servers.iter().find_map(|server| pulled(self.peer(server)))?;
        // WithSessions in the log, it must be fit to be applied.
        decode_shard(&content).is_ok().then_some(content)
    }

    /// Whether the former owner has deleted its copy.
    fn have_discarded(&self, handover: Handover, servers: &[String]) -> bool {
        servers.iter().any(|server| self.peer(server).discard(&handover) == Ok(true))
    }

    fn peer(&self, name: &str) -> ShardPeer {
        self.peers.lock().get(name)
    }
}

impl ShardRpc for ShardServer {
    fn operate(&self, request: Request<Operation>) -> Result<String, KvError> {
        // A clerk of ours would not send it, but who knows who calls.
        if !request.command.fits() {
            return Err(KvError::TooLarge);
        }
        // What will be refused need not go through the log. But to refuse, too, this server must
        // be the leader: one that was cut off long ago would send its clients away for ever.
        let refusal = |group: &Group| group.refusal(request.command.key());
        if self.rsm.inspect(refusal).is_some() {
            match self.rsm.inspect_fresh(refusal) {
                Ok(Some(refusal)) => return Err(refusal),
                // It was behind, and has caught up.
                Ok(None) => {}
                Err(_) => return Err(KvError::WrongLeader),
            }
        }
        match self.rsm.submit(&Command::Operate(request)) {
            Ok(Reply::Operation(result)) => result,
            Ok(Reply::Done) => unreachable!("an operation has a result"),
            Err(SubmitError::NotLeader | SubmitError::Overtaken) => Err(KvError::WrongLeader),
        }
    }

    fn pull(&self, handover: Handover) -> Result<Content, PullError> {
        self.rsm.inspect(|group| group.hand_over(handover))
    }

    fn discard(&self, handover: Handover) -> bool {
        let is_gone = || self.rsm.inspect(|group| group.is_gone(handover));
        is_gone() || self.rsm.submit(&Command::Discard(handover)).is_ok() && is_gone()
    }
}
