//! A server: a replica of the configurations, and the handler of the clerks' RPC.

use labapi::Persister;
use labrpc::{ClientEnd, Service};
use labrt::sync::Arc;
// handout: drop classic
use rsm::{ReplicatedServer, Request, Rsm, WithSessions};
// handout: end
// handout: put classic
// use rsm::{ReplicatedServer, Request, Rsm};
// handout: end

use crate::rpc::{Command, ControllerError, ControllerRpc, Reply};
use crate::state::Controller;

/// One server of the controller.
pub struct ControllerServer {
    // handout: put classic
    // rsm: Arc<Rsm<Controller>>,
    // // Your data here.
    // handout: end
    // handout: drop classic
    rsm: Arc<Rsm<WithSessions<Controller>>>,
    // handout: end
}

// handout: bodies 4A
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
}

// handout: put classic
// impl ReplicatedServer for ControllerServer {
//     /// Wrap it in [`rsm::WithSessions`], here and in the server, or keep the sessions in it: you may
//     /// change this type.
//     type Machine = Controller;
//
//     fn replica(&self) -> &Rsm<Controller> {
//         &self.rsm
//     }
//
//     fn clerk_service(self: &Arc<Self>) -> Service {
//         self.clone().into_service()
//     }
// }
//
// handout: end
// handout: drop classic
impl ReplicatedServer for ControllerServer {
    type Machine = WithSessions<Controller>;

    // handout: body kept
    fn replica(&self) -> &Rsm<WithSessions<Controller>> {
        &self.rsm
    }

    // handout: body kept
    fn clerk_service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

// handout: end
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
