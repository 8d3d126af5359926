//! Servers on which an operation takes time. Computing takes no time in a simulation, so a single
//! server could serve any number of clients. With a cost for each operation, a server gets as busy
//! as a real one, and the throughput of groups can be compared.

use std::sync::Arc;
use std::time::Duration;

use kvraft::Operation;
use labrpc::Service;
use labrt::quiet::Mutex;
use labrt::thread;
use labrt::time::Instant;
use rsm::{ReplicatedServer as _, Request};
use shardkv::{Content, Handover, KvError, PullError, ShardRpc, ShardServer};

/// A server with one processor. Each operation that it receives as the leader keeps the processor
/// busy for `cost`.
pub(crate) struct Costly {
    server: Arc<ShardServer>,
    cost: Duration,
    /// The time at which the processor has finished all operations so far.
    free_at: Mutex<Option<Instant>>,
}

/// The server's services, with the cost of operations.
pub(crate) fn services(server: &Arc<ShardServer>, cost: Duration) -> Vec<Service> {
    let mut services = server.services();
    let costly = Costly { server: Arc::clone(server), cost, free_at: Mutex::default() };
    services[0] = Arc::new(costly).into_service();
    services
}

impl ShardRpc for Costly {
    fn operate(&self, request: Request<Operation>) -> Result<String, KvError> {
        // A refusal for lack of leadership costs nothing.
        if self.server.is_leader() {
            let now = Instant::now();
            let done = {
                let mut free_at = self.free_at.lock();
                let done = free_at.map_or(now, |free_at| free_at.max(now)) + self.cost;
                *free_at = Some(done);
                done
            };
            thread::sleep(done - now);
        }
        self.server.operate(request)
    }

    fn pull(&self, handover: Handover) -> Result<Content, PullError> {
        self.server.pull(handover)
    }

    fn discard(&self, handover: Handover) -> bool {
        self.server.discard(handover)
    }
}
