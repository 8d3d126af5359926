//! How to reach servers of which only the names are known.

use std::collections::BTreeMap;

use labrpc::ClientEnd;
use labrt::sync::Arc;
use rsm::CALL_TIMEOUT;

use crate::rpc::ShardPeer;

/// Makes an end of the network on which a server can be called, by its name.
pub type MakeEnd = Arc<dyn Fn(&str) -> ClientEnd + Send + Sync>;

/// The servers that were called before, with their ends: each end is made once.
pub(crate) struct Peers {
    make_end: MakeEnd,
    known: BTreeMap<String, ShardPeer>,
}

impl Peers {
    pub(crate) fn new(make_end: MakeEnd) -> Peers {
        Peers { make_end, known: BTreeMap::new() }
    }

    /// The server with this name, which need not exist.
    pub(crate) fn get(&mut self, name: &str) -> ShardPeer {
        if let Some(peer) = self.known.get(name) {
            return peer.clone();
        }
        let peer = ShardPeer::new((self.make_end)(name)).timeout(CALL_TIMEOUT);
        self.known.insert(name.to_owned(), peer.clone());
        peer
    }

    /// All of them.
    pub(crate) fn all(&mut self, names: &[String]) -> Vec<ShardPeer> {
        names.iter().map(|name| self.get(name)).collect()
    }
}
