// handout: file guided
//! Clients of servers that are known by name.

use std::collections::BTreeMap;

use rsm::CALL_TIMEOUT;

use crate::rpc::ShardPeer;
use crate::setup::MakeEnd;

/// The clients of all servers called so far. Each server's end is made once.
pub(crate) struct Peers {
    make_end: MakeEnd,
    known: BTreeMap<String, ShardPeer>,
}

impl Peers {
    pub(crate) fn new(make_end: MakeEnd) -> Peers {
        Peers { make_end, known: BTreeMap::new() }
    }

    /// The client of the server with this name. The server need not exist.
    pub(crate) fn get(&mut self, name: &str) -> ShardPeer {
        if let Some(peer) = self.known.get(name) {
            return peer.clone();
        }
        let peer = ShardPeer::new((self.make_end)(name)).timeout(CALL_TIMEOUT);
        self.known.insert(name.to_owned(), peer.clone());
        peer
    }

    /// The clients of these servers.
    pub(crate) fn all(&mut self, names: &[String]) -> Vec<ShardPeer> {
        names.iter().map(|name| self.get(name)).collect()
    }
}
