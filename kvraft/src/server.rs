//! A server: a replica of the map, and the RPC by which clerks reach it.

use labapi::Observer;
use labrpc::{ClientEnd, Service};
use labrt::sync::Arc;
use raft::{Lease, Options, Persister};
use rsm::{Request, Rsm, WithSessions};

use crate::rpc::{KvError, KvRpc, Operation};
use crate::state::KeyValue;

/// How gets are answered. All servers of a service must do it the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reads {
    /// Through the log, like every operation.
    #[default]
    Log,
    /// From the leader's state, after a round of messages has shown that it still leads
    /// (dissertation §6.4).
    ReadIndex,
    /// From the leader's state, as long as its followers have promised to keep it
    /// (dissertation §6.4.1). Linearizable only if no clock drifts more than is said here.
    Lease(Lease),
}

/// One server of the key/value service.
pub struct KvServer {
    rsm: Arc<Rsm<WithSessions<KeyValue>>>,
    reads: Reads,
}

impl KvServer {
    /// Starts server `me` of the service whose servers are reached through `ends`, with what
    /// `persister` holds of an earlier life, and returns at once. The log is replaced by a
    /// snapshot once Raft's state takes `max_raft_state` bytes; `None`: never.
    ///
    /// The threads belong to the node on which this is called, and end with it.
    ///
    /// # Panics
    /// If what the disk holds is damaged: a server that has forgotten what it promised must
    /// not serve.
    pub fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
    ) -> Arc<KvServer> {
        KvServer::start_with(ends, me, persister, max_raft_state, Reads::default())
    }

    /// As [`KvServer::start`], with another way to answer gets.
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
        let lease = match reads {
            Reads::Log | Reads::ReadIndex => None,
            Reads::Lease(lease) => Some(lease),
        };
        let machine = WithSessions::new(KeyValue::default());
        let rsm = Rsm::start_with(ends, me, persister, max_raft_state, machine, Options { lease });
        Arc::new(KvServer { rsm, reads })
    }

    /// What the server offers on the network: to clerks, and to its peers.
    pub fn services(self: &Arc<Self>) -> Vec<Service> {
        vec![self.clone().into_service(), self.rsm.service()]
    }

    /// Whether this server believes to be the leader.
    pub fn is_leader(&self) -> bool {
        self.rsm.raft().get_state().1
    }

    /// Shows the state of its Raft to a tester.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.rsm.watch(observer);
    }
}

impl KvRpc for KvServer {
    fn operate(&self, request: Request<Operation>) -> Result<String, KvError> {
        // A clerk of ours would not send it, but who knows who calls.
        if !request.command.fits() {
            return Err(KvError::TooLarge);
        }
        let done = match (&request.command, self.reads) {
            (Operation::Get { .. }, Reads::ReadIndex | Reads::Lease(_)) => self.rsm.read(&request),
            _ => self.rsm.submit(&request),
        };
        done.unwrap_or(Err(KvError::WrongLeader))
    }
}
