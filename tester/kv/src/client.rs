//! Clients of a group: clerks with links of their own, which the test switches on and off.

use labapi::KvServer;
use rand::seq::SliceRandom;

use crate::cluster::KvCluster;
use crate::record::Recorded;

/// Names a client of a [`KvCluster`] while its clerk is elsewhere, perhaps in the middle of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub(super) u32);

/// The links of clients.
#[derive(Default)]
pub(super) struct Links {
    /// Names of the ends of each client that lives now, by its number and by server.
    of_client: Vec<Vec<usize>>,
    /// Names of all ends of clients that there ever were.
    all: Vec<usize>,
}

impl<S: KvServer> KvCluster<S> {
    /// A new client with links to the servers in `to`. Its clerk gets its ends in a random order: it cannot
    /// know which server is which.
    pub fn make_client(&self, to: &[usize]) -> Recorded<S::Clerk> {
        let (names, mut ends): (Vec<usize>, Vec<_>) =
            (0..self.len()).map(|server| self.net().make_end(self.name(server))).unzip();
        to.iter().for_each(|&server| self.net().network().enable(names[server], true));
        ends.shuffle(&mut labrt::rand::rng());
        let clerk = self.records().clerk(S::clerk(ends));
        let links = &mut *self.links().lock();
        let place = clerk.number() as usize;
        links.all.extend_from_slice(&names);
        links.of_client.resize(links.of_client.len().max(place + 1), Vec::new());
        links.of_client[place] = names;
        clerk
    }

    /// Names a client.
    pub fn client(&self, clerk: &Recorded<S::Clerk>) -> Client {
        Client(clerk.number())
    }

    /// Gives the client its links to these servers.
    pub fn connect_client(&self, client: Client, to: &[usize]) {
        self.test().note(format!("connect_client({}, {to:?})", client.0));
        self.switch(client, to, true);
    }

    /// Takes from the client its links to these servers.
    pub fn disconnect_client(&self, client: Client, from: &[usize]) {
        self.test().note(format!("disconnect_client({}, {from:?})", client.0));
        self.switch(client, from, false);
    }

    fn switch(&self, client: Client, servers: &[usize], on: bool) {
        let ends = self.ends_of(client);
        servers.iter().for_each(|&server| self.net().network().enable(ends[server], on));
    }

    /// Cuts the way back from these servers to the client, or mends it: requests arrive and are served,
    /// replies are lost.
    pub fn cut_replies(&self, client: Client, from: &[usize], cut: bool) {
        let words = if cut { "cut_replies" } else { "mend_replies" };
        self.test().note(format!("{words}({}, {from:?})", client.0));
        let target = format!("client {}", client.0);
        match cut {
            true => self.test().faults().begin("replies", format!("replies of {from:?} lost"), &target),
            false => self.test().faults().end("replies", &target),
        }
        let ends = self.ends_of(client);
        from.iter().for_each(|&server| self.net().network().cut_replies(ends[server], cut));
    }

    /// Names of the client's ends in the network, by server.
    pub fn ends_of(&self, client: Client) -> Vec<usize> {
        self.links().lock().of_client[client.0 as usize].clone()
    }

    /// Calls that this client has made.
    pub fn calls_of(&self, client: Client) -> u64 {
        self.ends_of(client).into_iter().map(|end| self.net().network().calls_on(end)).sum()
    }

    /// Replies to clients that were lost. Each is an operation that was done while its client does not know
    /// it and asks again.
    pub fn lost_replies(&self) -> u64 {
        let all = self.links().lock().all.clone();
        all.into_iter().map(|end| self.net().network().replies_lost(end)).sum()
    }
}
