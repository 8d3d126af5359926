//! A server: a replica of the configurations, and the RPC by which clerks reach it.

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
    /// Starts server `me` of the controller whose servers are reached through `ends`, with
    /// what `persister` holds of an earlier life, and returns at once. It never makes a
    /// snapshot: configurations are few and small.
    ///
    /// The threads belong to the node on which this is called, and end with it.
    ///
    /// # Panics
    /// If what the disk holds is damaged.
    pub fn start(ends: Vec<ClientEnd>, me: usize, persister: Persister) -> Arc<ControllerServer> {
        let machine = WithSessions::new(Controller::default());
        Arc::new(ControllerServer { rsm: Rsm::start(ends, me, persister, None, machine) })
    }

    /// What the server offers on the network: to clerks, and to its peers.
    pub fn services(self: &Arc<Self>) -> Vec<Service> {
        vec![self.clone().into_service(), self.rsm.service()]
    }

    /// Whether this server believes to be the leader.
    pub fn is_leader(&self) -> bool {
        self.rsm.raft().get_state().1
    }

    /// The newest configuration that this server knows, which may not be the newest there is.
    pub fn newest(&self) -> Config {
        self.rsm.inspect(|machine| machine.machine().newest().clone())
    }

    /// Shows the state of its Raft to a tester.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.rsm.watch(observer);
    }
}

impl ControllerRpc for ControllerServer {
    fn control(&self, request: Request<Command>) -> Result<Reply, ControllerError> {
        // Every leader of every group asks ten times a second, and mostly there is no news. A
        // query changes nothing, so that it need not be in the log, which nobody shortens.
        let reply = match request.command {
            Command::Query { .. } => self.rsm.read(&request),
            Command::Join { .. } | Command::Leave { .. } | Command::Move { .. } => self.rsm.submit(&request),
        };
        reply.map_err(|_| ControllerError::WrongLeader)
    }
}
