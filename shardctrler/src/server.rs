//! A server: a replica of the configurations, and the handler of the clerks' RPC.

use labapi::Observer;
use labrpc::{ClientEnd, Service};
use labrt::sync::Arc;
use raft::Persister;
use rsm::{Request, Rsm, WithSessions};

use crate::rpc::{Command, Config, ControllerError, ControllerRpc, Reply};
use crate::state::Controller;

/// One server of the controller.
pub struct ControllerServer {
    rsm: Arc<Rsm<WithSessions<Controller>>>,
}

impl ControllerServer {
    /// Starts server `me` of the controller and returns at once. `ends` reach all its servers.
    /// `persister` holds what an earlier life wrote. The server never makes a snapshot:
    /// configurations are few and small, and queries do not enter the log.
    ///
    /// The server's threads belong to the caller's node and end with it.
    ///
    /// # Panics
    /// If the disk's content is damaged.
    pub fn start(ends: Vec<ClientEnd>, me: usize, persister: Persister) -> Arc<ControllerServer> {
        let machine = WithSessions::new(Controller::default());
        Arc::new(ControllerServer { rsm: Rsm::start(ends, me, persister, None, machine) })
    }

    /// The RPC services of this server: one for clerks, one for its Raft peers.
    pub fn services(self: &Arc<Self>) -> Vec<Service> {
        vec![self.clone().into_service(), self.rsm.service()]
    }

    /// Whether this server believes it is the leader.
    pub fn is_leader(&self) -> bool {
        self.rsm.raft().get_state().1
    }

    /// The newest configuration that this server knows. Others may know newer ones.
    pub fn newest(&self) -> Config {
        self.rsm.inspect(|machine| machine.machine().newest().clone())
    }

    /// Shows the state of this server's Raft to a tester.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.rsm.watch(observer);
    }
}

impl ControllerRpc for ControllerServer {
    fn control(&self, request: Request<Command>) -> Result<Reply, ControllerError> {
        // The leader of each group asks ten times a second, mostly without news. A query changes
        // nothing, so it bypasses the log, which would grow for ever without snapshots.
        let reply = match request.command {
            Command::Query { .. } => self.rsm.read(&request),
            Command::Join { .. } | Command::Leave { .. } | Command::Move { .. } => self.rsm.submit(&request),
        };
        reply.map_err(|error| {
            tracing::debug!(target: "refuse", "client {:x}: {error}", request.client);
            ControllerError::WrongLeader
        })
    }
}
