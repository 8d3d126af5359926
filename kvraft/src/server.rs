//! A server: a replica of the map, and the handler of the clerks' RPC.

// handout: drop
use labapi::{Lease, Options, Persister};
use labrpc::{ClientEnd, Service};
use labrt::sync::Arc;
use rsm::{ReplicatedServer, Request, Rsm, WithSessions};

use crate::rpc::{KvError, KvRpc, Operation};
use crate::state::KeyValue;
// handout: end
// handout: put
// use labapi::Persister;
// use labrpc::{ClientEnd, Service};
// use labrt::sync::Arc;
// handout: end
// handout: put classic
// use rsm::{ReplicatedServer, Request, Rsm};
// handout: end
// handout: put guided
// use rsm::{ReplicatedServer, Request, Rsm, WithSessions};
// handout: end
// handout: put
//
// use crate::rpc::{KvError, KvRpc, Operation};
// use crate::state::KeyValue;
// handout: end

// handout: drop
/// How servers answer gets. All servers of a service must use the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reads {
    /// Through the log, like every operation.
    #[default]
    Log,
    /// From the leader's state, after a round of messages has confirmed that it still leads
    /// (dissertation §6.4).
    ReadIndex,
    /// From the leader's state, while its followers promise to elect no other leader
    /// (dissertation §6.4.1). Linearizable only if no clock drifts more than the lease allows.
    Lease(Lease),
}

// handout: end
/// One server of the key/value service.
pub struct KvServer {
    // handout: put classic
    // rsm: Arc<Rsm<KeyValue>>,
    // // Your data here.
    // handout: end
    // handout: drop classic
    rsm: Arc<Rsm<WithSessions<KeyValue>>>,
    // handout: end
    // handout: drop
    reads: Reads,
    // handout: end
}

// handout: bodies 3A
impl KvServer {
    /// Starts server `me` of the service and returns at once. `ends` reach all servers of the
    /// service. `persister` holds what an earlier life wrote. A snapshot replaces the log once
    /// Raft's state takes `max_raft_state` bytes; `None`: never.
    ///
    /// The server's threads belong to the caller's node and end with it.
    ///
    /// # Panics
    /// If the disk's content is damaged: a server that has forgotten its promises must not
    /// serve.
    pub fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
    ) -> Arc<KvServer> {
        KvServer::start_with(ends, me, persister, max_raft_state, Reads::default())
    }
}

// handout: drop
impl KvServer {
    /// As [`KvServer::start`], with a choice of how to answer gets.
    ///
    /// # Panics
    /// As [`KvServer::start`]; and if a lease's drift is not between 0 and 1.
    pub fn start_with(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
        reads: Reads,
    ) -> Arc<KvServer> {
        KvServer::start_with_options(ends, me, persister, max_raft_state, reads, Options::default())
    }

    /// As [`KvServer::start_with`], with options for the Raft below. `reads` alone decides
    /// whether there are leases.
    ///
    /// # Panics
    /// As [`KvServer::start_with`].
    pub fn start_with_options(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
        reads: Reads,
        options: Options,
    ) -> Arc<KvServer> {
        let lease = match reads {
            Reads::Log | Reads::ReadIndex => None,
            Reads::Lease(lease) => Some(lease),
        };
        let (machine, options) = (WithSessions::new(KeyValue::default()), Options { lease, ..options });
        let rsm = Rsm::start_with(ends, me, persister, max_raft_state, machine, options);
        Arc::new(KvServer { rsm, reads })
    }
}

// handout: end
// handout: put classic
// impl ReplicatedServer for KvServer {
//     /// Wrap it in [`rsm::WithSessions`], here and in the server, or keep the sessions in it: you may
//     /// change this type.
//     type Machine = KeyValue;
//
//     fn replica(&self) -> &Rsm<KeyValue> {
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
impl ReplicatedServer for KvServer {
    type Machine = WithSessions<KeyValue>;

    // handout: body kept
    fn replica(&self) -> &Rsm<WithSessions<KeyValue>> {
        &self.rsm
    }

    // handout: body kept
    fn clerk_service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

// handout: end
impl KvRpc for KvServer {
    fn operate(&self, request: Request<Operation>) -> Result<String, KvError> {
        // The clerk in this crate checks this itself, but other clients may not.
        if !request.command.fits() {
            tracing::debug!(target: "refuse", "client {:x}: key or value too long", request.client);
            return Err(KvError::TooLarge);
        }
        let Request { client, sequence, command } = &request;
        tracing::debug!(target: "request", "client {client:x}, number {sequence}: {command}");
        let done = match (command, self.reads) {
            (Operation::Get { .. }, Reads::ReadIndex | Reads::Lease(_)) => self.rsm.read(&request),
            _ => self.rsm.submit(&request),
        };
        match done {
            Ok(result) => {
                tracing::debug!(target: "reply", "client {client:x}, number {sequence}: applied");
                result
            }
            Err(error) => {
                tracing::debug!(target: "refuse", "client {client:x}, number {sequence}: {error}");
                Err(KvError::WrongLeader)
            }
        }
    }
}
