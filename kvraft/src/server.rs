//! A server: a replica of the map, and the RPC by which clerks reach it.

use labrpc::{ClientEnd, Service};
use labrt::sync::Arc;
use raft::Persister;
use rsm::{Once, Request, Rsm};
use tester::Observer;

use crate::rpc::{KvError, KvRpc, Operation};
use crate::state::KeyValue;

/// One server of the key/value service.
pub struct KvServer {
    rsm: Arc<Rsm<Once<KeyValue>>>,
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
        let machine = Once::new(KeyValue::default());
        Arc::new(KvServer { rsm: Rsm::start(ends, me, persister, max_raft_state, machine) })
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
        self.rsm.submit(&request).unwrap_or(Err(KvError::WrongLeader))
    }
}
