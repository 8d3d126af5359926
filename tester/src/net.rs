//! The network of a test, and ends with names that are never used twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use labrpc::{ClientEnd, Name, Network, Traffic};
use labrt::quiet::Mutex;

use crate::test::{Figures, Test};

/// A network together with a source of names for its ends. Clones are the same network.
#[derive(Clone)]
pub struct Net {
    network: Network,
    next: Arc<AtomicUsize>,
    clients: Clients,
}

/// What became of the calls on the ends of clients, each with the name of the server that it is connected to.
pub(crate) type Clients = Arc<Mutex<Vec<(Name, Arc<Traffic>)>>>;

impl Default for Net {
    fn default() -> Self {
        Net::new()
    }
}

impl Net {
    /// A network without ends and servers, reliable.
    pub fn new() -> Net {
        Net { network: Network::new(), next: Arc::default(), clients: Arc::default() }
    }

    /// A network with the delays and duplicates that the test's seed has drawn (`LAB_SWARM`), and with what
    /// the run does otherwise (`LAB_VARIANTS`).
    pub fn as_drawn(test: &Test) -> Net {
        let net = Net::new();
        test.knobs().apply(net.network());
        test.choices().apply(net.network());
        net
    }

    /// The network itself: its faults and counters.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What the run has cost so far: the RPCs and bytes of this network, besides the test's own numbers.
    pub fn figures(&self, peers: usize, commands: u64) -> Figures {
        let (rpcs, bytes) = (self.network.total_count(), self.network.total_bytes());
        Figures { peers, rpcs, bytes, commands }
    }

    /// A new end, connected to `server` and still disabled, and the number that is its name. An end of a dead
    /// incarnation thereby never becomes one of the next.
    pub fn make_end(&self, server: &Name) -> (usize, ClientEnd) {
        let (number, end) = self.make_link(server);
        self.clients.lock().push((server.clone(), self.network.traffic(number)));
        (number, end)
    }

    /// As [`Net::make_end`], for a server of the same group, which is no client.
    pub(crate) fn make_link(&self, server: &Name) -> (usize, ClientEnd) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let end = self.network.make_end(number);
        self.network.connect(number, server);
        (number, end)
    }

    /// What becomes of the calls of clients.
    pub(crate) fn clients(&self) -> Clients {
        Arc::clone(&self.clients)
    }
}
