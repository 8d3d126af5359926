//! A solution without its observer.

use std::sync::Arc;

use labapi::{ApplyMsg, Consensus, Persister, WireFormat};
use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;

/// The same consensus module, seen from outside only: its `watch` is not called. It shows what the tests
/// notice of a solution that has none.
pub struct Unwatched<R>(Arc<R>);

impl<R: Consensus> Consensus for Unwatched<R> {
    fn make(peers: Vec<ClientEnd>, me: usize, persister: Persister, apply: Sender<ApplyMsg>) -> Arc<Self> {
        Arc::new(Unwatched(R::make(peers, me, persister, apply)))
    }

    fn service(self: &Arc<Self>) -> Service {
        self.0.service()
    }

    fn start(self: &Arc<Self>, command: Vec<u8>) -> Option<(u64, u64)> {
        self.0.start(command)
    }

    fn get_state(self: &Arc<Self>) -> (u64, bool) {
        self.0.get_state()
    }

    fn snapshot(self: &Arc<Self>, index: u64, snapshot: Vec<u8>) {
        self.0.snapshot(index, snapshot);
    }

    fn wire() -> Option<&'static dyn WireFormat> {
        R::wire()
    }
}
