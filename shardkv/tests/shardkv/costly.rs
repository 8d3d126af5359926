//! Servers on which an operation takes time. Computing takes no time in a simulation, so a single
//! server could serve any number of clients. With a cost for each operation, a server gets as busy
//! as a real one, and the throughput of groups can be compared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use labrpc::{Direction, Service, TapAction, TapEvent};
use labrt::quiet::Mutex;
use labrt::thread;
use labrt::time::Instant;
#[allow(unused_imports, reason = "a solution may have these methods without the trait")]
use rsm::ReplicatedServer as _;
use shardkv::ShardServer;
use tester::Net;

use crate::callers::{Caller, Callers};

/// What operations cost on all servers. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Costs {
    /// How long an operation keeps a leader busy.
    cost: Duration,
    /// The methods that clients have called. A solution names them as it likes.
    of_clients: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Costs {
    /// Learns the methods of clients from the network, and takes its tap for that.
    pub(crate) fn new(cost: Duration, net: &Net, callers: &Callers) -> Costs {
        let of_clients = Arc::<Mutex<BTreeSet<&'static str>>>::default();
        let (seen, callers) = (Arc::clone(&of_clients), callers.clone());
        net.network().set_tap(move |message: &TapEvent<'_>| {
            if message.direction == Direction::Request && callers.of(message) == Some(Caller::Client) {
                seen.lock().insert(message.method);
            }
            TapAction::Deliver
        });
        Costs { cost, of_clients }
    }

    /// The services of a server with one processor. Each operation that it receives as the leader keeps the
    /// processor busy for the cost.
    pub(crate) fn around_all(&self, services: Vec<Service>, server: &Arc<ShardServer>) -> Vec<Service> {
        // The time at which the processor has finished all operations so far.
        let free_at = Arc::<Mutex<Option<Instant>>>::default();
        let around = |service: Service| {
            let (costs, server, free_at) = (self.clone(), Arc::clone(server), Arc::clone(&free_at));
            service.around(move |method, _, handle| {
                // A refusal for lack of leadership costs nothing.
                if costs.of_clients.lock().contains(method) && server.is_leader() {
                    costs.keep_busy(&free_at);
                }
                handle()
            })
        };
        services.into_iter().map(around).collect()
    }

    fn keep_busy(&self, free_at: &Mutex<Option<Instant>>) {
        let now = Instant::now();
        let done = {
            let mut free_at = free_at.lock();
            let done = free_at.map_or(now, |free_at| free_at.max(now)) + self.cost;
            *free_at = Some(done);
            done
        };
        thread::sleep(done - now);
    }
}
