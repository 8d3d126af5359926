// handout: bodies kept
//! Adapters: [`KvServer`] and [`Clerk`] as `labapi`'s traits, through which the tests use them.

use labapi::{KvClerk, Observer, Persister, WireFormat};
use labrpc::{ClientEnd, Service};
use labrt::sync::Arc;
use rsm::ReplicatedServer;

use crate::client::{Clerk, ClerkError};
use crate::server::KvServer;

impl labapi::KvServer for KvServer {
    type Clerk = Clerk;

    fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
    ) -> Arc<KvServer> {
        KvServer::start(ends, me, persister, max_raft_state)
    }

    fn services(self: &Arc<Self>) -> Vec<Service> {
        ReplicatedServer::services(self)
    }

    fn is_leader(self: &Arc<Self>) -> bool {
        ReplicatedServer::is_leader(&**self)
    }

    fn raft_state(self: &Arc<Self>) -> Option<(u64, bool)> {
        Some(ReplicatedServer::raft_state(&**self))
    }

    fn watch(self: &Arc<Self>, observer: Box<dyn Observer>) {
        ReplicatedServer::watch(&**self, observer);
    }

    fn wire() -> Option<&'static dyn WireFormat> {
        <KvServer as ReplicatedServer>::wire()
    }

    fn clerk(ends: Vec<ClientEnd>) -> Clerk {
        Clerk::new(ends)
    }
}

/// The course's clerk returns no errors: without a time limit only an oversized key or value
/// fails, and the tests send none.
fn done<T>(result: Result<T, ClerkError>) -> T {
    result.unwrap_or_else(|error| panic!("a test's operation failed: {error}"))
}

impl KvClerk for Clerk {
    fn get(&mut self, key: &str) -> String {
        done(Clerk::get(self, key))
    }

    fn put(&mut self, key: &str, value: &str) {
        done(Clerk::put(self, key, value));
    }

    fn append(&mut self, key: &str, value: &str) {
        done(Clerk::append(self, key, value));
    }
}
