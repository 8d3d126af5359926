// handout: bodies kept
//! The cluster service: it knows which hosts are free, and picks one for a new backup.

use labrpc::Service;
use labrt::sync::{Arc, Mutex};

use crate::rpc::ClusterRpc;

/// The cluster service.
#[derive(Default)]
pub struct ClusterServer {
    free: Mutex<Vec<usize>>,
}

impl ClusterServer {
    /// A service that knows these free hosts.
    pub fn new(free: &[usize]) -> Arc<ClusterServer> {
        Arc::new(ClusterServer { free: Mutex::new(free.to_vec()) })
    }

    /// What the service offers on the network.
    pub fn service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

// handout: bodies VB
impl ClusterRpc for ClusterServer {
    /// Hosts are named in turn, so that a free host that has crashed does not stop the repair. A host that
    /// has a guest refuses to become a backup.
    fn need_backup(&self, vm: u64) -> Option<usize> {
        let mut free = self.free.lock();
        let host = *free.first()?;
        free.rotate_left(1);
        tracing::debug!(target: "cluster", "host {host} for machine {vm}");
        Some(host)
    }
}
