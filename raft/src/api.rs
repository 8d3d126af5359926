//! [`Raft`] behind the interface that every solution of this lab offers.

use labapi::{ApplyMsg, Consensus, Observer, Persister, WireFormat};
use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use labrt::sync::Arc;

use crate::rpc::RaftRpc;
use crate::server::Raft;
use crate::wire::RaftWire;

impl Consensus for Raft {
    fn make(peers: Vec<ClientEnd>, me: usize, persister: Persister, apply: Sender<ApplyMsg>) -> Arc<Raft> {
        Raft::make(peers, me, persister, apply)
    }

    fn service(self: &Arc<Raft>) -> Service {
        self.clone().into_service()
    }

    fn start(self: &Arc<Raft>, command: Vec<u8>) -> Option<(u64, u64)> {
        Raft::start(self, command)
    }

    fn get_state(self: &Arc<Raft>) -> (u64, bool) {
        Raft::get_state(self)
    }

    fn snapshot(self: &Arc<Raft>, index: u64, snapshot: Vec<u8>) {
        Raft::snapshot(self, index, snapshot);
    }

    fn watch(self: &Arc<Raft>, observer: Box<dyn Observer>) {
        Raft::watch(self, observer);
    }

    fn wire() -> Option<&'static dyn WireFormat> {
        Some(&RaftWire)
    }
}
