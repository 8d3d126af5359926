//! What the servers of all replicated services have in common.

use labapi::{Consensus, Observer, WireFormat};
use labrpc::Service;
use labrt::sync::Arc;

use crate::below::Below;
use crate::machine::StateMachine;
use crate::server::Rsm;

/// One server of a replicated service, as the network, its clerks and a tester see it.
///
/// A service names its replica and the RPCs that its clerks send. The rest is the same for
/// every service, and stands here.
pub trait ReplicatedServer: Send + Sync + 'static {
    /// The service's state machine.
    type Machine: StateMachine;

    /// This server's copy of the state machine.
    fn replica(&self) -> &Rsm<Self::Machine>;

    /// The RPCs that the service's clerks send to this server.
    fn clerk_service(self: &Arc<Self>) -> Service;

    /// Everything that this server offers on the network: to clerks, and to the other
    /// replicas.
    fn services(self: &Arc<Self>) -> Vec<Service> {
        vec![self.clerk_service(), self.replica().service()]
    }

    /// Whether this server believes it is the leader.
    fn is_leader(&self) -> bool {
        self.replica().is_leader()
    }

    /// The term of this server's Raft, and whether it believes it is the leader.
    fn raft_state(&self) -> (u64, bool) {
        self.replica().raft().get_state()
    }

    /// How a tester reads the messages between the servers' Rafts.
    fn wire() -> Option<&'static dyn WireFormat>
    where
        Self: Sized,
    {
        Below::wire()
    }

    /// Shows the state of this server's Raft to a tester.
    fn watch(&self, observer: Box<dyn Observer>) {
        self.replica().watch(observer);
    }
}
