//! Servers for which an operation costs something. In a simulation computing takes no time,
//! so that a single server could serve everybody; with a price for each operation it is as
//! busy as a real one, and groups can be compared.

use kvraft::Operation;
use labrpc::Service;
use labrt::quiet::Mutex;
use labrt::thread;
use labrt::time::Instant;
use rsm::Request;
use shardkv::{Content, Handover, KvError, PullError, ShardRpc, ShardServer};
use std::sync::Arc;
use std::time::Duration;

/// A server with one processor, which every operation of a client that it leads keeps busy for
/// a while.
pub(crate) struct Costly {
    server: Arc<ShardServer>,
    cost: Duration,
    /// When the processor has done everything that was asked of it so far.
    free_at: Mutex<Option<Instant>>,
}

/// What the server offers, with the price.
pub(crate) fn services(server: &Arc<ShardServer>, cost: Duration) -> Vec<Service> {
    let mut services = server.services();
    let costly = Costly { server: Arc::clone(server), cost, free_at: Mutex::default() };
    services[0] = Arc::new(costly).into_service();
    services
}

impl ShardRpc for Costly {
    fn operate(&self, request: Request<Operation>) -> Result<String, KvError> {
        // To say that another leads costs nothing.
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
