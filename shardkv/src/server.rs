//! A server: a replica of the group's state, the RPC handlers, and the threads that drive the
//! group while this server leads.
// handout: drop classic
//!
//! | thread | waits for | does |
//! |---|---|---|
//! | `config_loop` | the next configuration | puts it into the log |
//! | `transfer_loop` | handovers that are not over | starts a transfer for each |
//! | transfers | the other group's answers | pull, then install; discard, then forget |
//!
//! The threads only put commands into the log, and the state decides on each there. So a server
//! may lose leadership at any point: nothing is lost or done twice, and the next leader finds
//! the remaining work in the state. No thread holds a lock while it waits for another group,
//! because two groups may wait for each other at the same time.
// handout: end

// handout: drop classic
use std::collections::BTreeSet;

use kvraft::Operation;
use labrpc::Service;
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::Duration;
use rsm::{ReplicatedServer, Request, Rsm, SubmitError};

use crate::peers::Peers;
use crate::rpc::{Content, KvError, PullError, ShardPeer, ShardRpc};
// handout: end
// handout: put classic
// use labgob::DecodeError;
// use labrpc::Service;
// use labrt::sync::Arc;
// use rsm::{ReplicatedServer, Rsm, StateMachine};
//
// handout: end
use crate::setup::Setup;
// handout: drop classic
use crate::state::{Command, Group, Reply, Transfer, decode_shard};
use crate::view::{GroupView, Handover};
// handout: end
// handout: put classic
// use crate::view::GroupView;
// handout: end

// handout: drop classic
/// The pause between a leader's queries for the next configuration. The course asks for about ten
/// queries a second. A shard that moves waits half of this pause on average.
const CONFIG_INTERVAL: Duration = Duration::from_millis(80);

/// The pause between a leader's looks for transfers that have no thread, such as those of its
/// predecessor. It starts the transfers of a configuration that it adopts itself at once.
const TRANSFER_INTERVAL: Duration = Duration::from_millis(100);

/// The pause of a transfer after no server of the other group had a good answer. Usually they have
/// not adopted the configuration yet, and will within a few round trips.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

// handout: end
/// One server of a group.
pub struct ShardServer {
    // handout: put classic
    // rsm: Arc<Rsm<Group>>,
    // // Your data here.
    // handout: end
    // handout: drop classic
    rsm: Arc<Rsm<Group>>,
    peers: Mutex<Peers>,
    /// The handovers that have a transfer thread on this server.
    busy: Mutex<BTreeSet<Handover>>,
    // handout: end
}

// handout: bodies 4B
impl ShardServer {
    /// Starts a server and returns at once.
    ///
    /// The server's threads belong to the caller's node and end with it.
    ///
    /// # Panics
    /// If the disk's content is damaged, or if the group's number is [`shardctrler::NO_GROUP`].
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

    fn spawn(self: &Arc<Self>, name: &'static str, body: impl FnOnce(&Arc<ShardServer>) + Send + 'static) {
        let server = self.clone();
        thread::spawn_named(name, move || body(&server));
    }

    // handout: drop classic
    // handout: body kept
    /// Shows what a tester may see of the group, at once and after each change of it. A solution that shows
    /// nothing is judged by what its clients and the network see.
    pub fn watch_group(&self, mut watcher: impl FnMut(&GroupView) + Send + 'static) {
        let mut shown = None;
        self.rsm.watch_machine(move |_, group| {
            // Most entries are operations of clients, which change nothing here.
            if shown.replace(group.changes()) != Some(group.changes()) {
                watcher(&group.view());
            }
        });
    }

    // handout: end
    /// While this server leads, takes the group from one configuration to the next. It skips none: a
    /// configuration may give away a shard that the next one brings back changed.
    fn config_loop(self: &Arc<Self>, mut controller: shardctrler::Clerk) {
        loop {
            self.rsm.wait_until_leader();
            let next = self.rsm.inspect(Group::config) + 1;
            let config = controller.query(i64::try_from(next).unwrap_or(i64::MAX));
            assert!(config.number <= next, "a query of {next} returned configuration {}", config.number);
            if config.number == next && self.rsm.submit(&Command::Adopt(config)).is_ok() {
                self.start_transfers();
            } else {
                thread::sleep(CONFIG_INTERVAL);
            }
        }
    }

    /// While this server leads, takes up the transfers that its predecessors left.
    fn transfer_loop(self: &Arc<Self>) {
        loop {
            self.rsm.wait_until_leader();
            self.start_transfers();
            thread::sleep(TRANSFER_INTERVAL);
        }
    }

    /// Starts a thread for each handover to this group that has none. With a thread for each, a group
    /// that does not answer delays no other handover.
    fn start_transfers(self: &Arc<Self>) {
        for handover in self.rsm.inspect(Group::transfers) {
            if self.busy.lock().insert(handover) {
                self.spawn("transfer", move |server| {
                    server.run_transfer(handover);
                    let was_busy = server.busy.lock().remove(&handover);
                    assert!(was_busy, "two transfers of {handover:?}");
                });
            }
        }
    }

    /// Takes the steps of a handover to this group, until it is over or this server no longer leads.
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

    /// Returns a shard's content from the first of these servers that has it.
    fn pull(&self, handover: Handover, servers: &[String]) -> Option<Content> {
        let pulled = |peer: ShardPeer| peer.pull(&handover).ok()?.ok();
        let content = servers.iter().find_map(|server| pulled(self.peer(server)))?;
        // A content in the log must be one that every replica can decode.
        if let Err(error) = decode_shard(&content) {
            tracing::warn!(target: "pull", "shard {} cannot be decoded: {error}", handover.shard);
            return None;
        }
        let bytes = content.0.len();
        tracing::debug!(target: "pull", "shard {} of {}: {bytes} bytes", handover.shard, handover.config);
        Some(content)
    }

    /// Asks the former owner to delete its copy. True if it has.
    fn have_discarded(&self, handover: Handover, servers: &[String]) -> bool {
        servers.iter().any(|server| self.peer(server).discard(&handover) == Ok(true))
    }

    fn peer(&self, name: &str) -> ShardPeer {
        self.peers.lock().get(name)
    }
}

// handout: put classic
// impl ShardServer {
//     /// Shows what a tester may see of the group, at once and after each change of it. A solution that
//     /// shows nothing is judged by what its clients and the network see.
//     pub fn watch_group(&self, watcher: impl FnMut(&GroupView) + Send + 'static) {}
// }
//
// impl ReplicatedServer for ShardServer {
//     type Machine = Group;
//
//     fn replica(&self) -> &Rsm<Group> {
//         &self.rsm
//     }
//
//     fn clerk_service(self: &Arc<Self>) -> Service {
//         todo!("4B")
//     }
// }
//
// /// What the servers of a group replicate.
// pub struct Group {
//     // Your data here.
// }
//
// impl StateMachine for Group {
//     /// Your type here.
//     type Command = ();
//     /// Your type here.
//     type Reply = ();
//
//     fn apply(&mut self, command: ()) {
//         todo!("4B")
//     }
//
//     fn snapshot(&self) -> Vec<u8> {
//         todo!("4B")
//     }
//
//     fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
//         todo!("4B")
//     }
// }
// handout: end
// handout: drop classic
impl ReplicatedServer for ShardServer {
    type Machine = Group;

    // handout: body kept
    fn replica(&self) -> &Rsm<Group> {
        &self.rsm
    }

    // handout: body kept
    fn clerk_service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

impl ShardRpc for ShardServer {
    fn operate(&self, request: Request<Operation>) -> Result<String, KvError> {
        // The clerk in this crate checks this itself, but other clients may not.
        if !request.command.fits() {
            return Err(KvError::TooLarge);
        }
        // A refusal need not go through the log. But only the leader may refuse: a server that is cut
        // off from its group would send its clients away for ever.
        let refusal = |group: &Group| group.refusal(request.command.key());
        if self.rsm.inspect(refusal).is_some() {
            match self.rsm.inspect_fresh(refusal) {
                Ok(Some(refusal)) => {
                    tracing::debug!(target: "refuse", "{}: {refusal:?}", request.command);
                    return Err(refusal);
                }
                // The state lagged behind and has caught up.
                Ok(None) => {}
                Err(_) => return Err(KvError::WrongLeader),
            }
        }
        let (client, sequence) = (request.client, request.sequence);
        tracing::debug!(target: "request", "client {client:x}, number {sequence}: {}", request.command);
        match self.rsm.submit(&Command::Operate(request)) {
            Ok(Reply::Operation(result)) => result,
            Ok(Reply::Done) => unreachable!("the reply to an operation is its result"),
            Err(error @ (SubmitError::NotLeader | SubmitError::Overtaken)) => {
                tracing::debug!(target: "refuse", "client {client:x}, number {sequence}: {error}");
                Err(KvError::WrongLeader)
            }
        }
    }

    fn pull(&self, handover: Handover) -> Result<Content, PullError> {
        let Handover { shard, config } = handover;
        let content = self.rsm.inspect(|group| group.hand_over(handover));
        match &content {
            Ok(content) => {
                let bytes = content.0.len();
                tracing::debug!(target: "hand over", "shard {shard} by {config}: {bytes} bytes");
            }
            Err(error) => {
                tracing::debug!(target: "hand over", "shard {shard} by {config}: {error:?}");
            }
        }
        content
    }

    fn discard(&self, handover: Handover) -> bool {
        let is_gone = || self.rsm.inspect(|group| group.is_gone(handover));
        is_gone() || self.rsm.submit(&Command::Discard(handover)).is_ok() && is_gone()
    }
}
// handout: end
