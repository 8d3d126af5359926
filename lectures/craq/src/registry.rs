//! Where managers keep the configuration: one trait, and two grounds to stand on.
//!
//! A registry is a register that changes by comparison. [`RaftRegistry`](crate::RaftRegistry) is one, on the
//! replicated state machine of lab 3.
// handout: drop
//! The crate `craq-zookeeper` has another one, on the coordination service.
// handout: end
//! Whatever the manager decides goes through it, so two managers that both believe they lead cannot both
//! decide.

use serde::{Deserialize, Serialize};

use crate::rpc::Config;

/// What managers have decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Counts the changes of the plan, from 0.
    pub revision: u64,
    /// The configuration in force.
    pub active: Config,
    /// The next configuration. It comes into force when the leases of those that it removes have ended.
    pub next: Option<Config>,
}

/// The registry did not answer. A plan that was published may be in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// Where one manager keeps and finds the plan.
pub trait Registry: Send + Sync + 'static {
    /// Whether this manager shall decide now. Two may believe so; see [`Registry::publish`].
    fn leads(&self) -> bool;

    /// The plan. It holds everything that was published before the call.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn newest(&self) -> Result<Plan, Unavailable>;

    /// Replaces the plan whose revision is one lower. If there is no such plan (any more), nothing happens;
    /// [`Registry::newest`] tells.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn publish(&self, plan: &Plan) -> Result<(), Unavailable>;
}

// handout: bodies kept
impl Plan {
    /// The plan behind this one.
    pub fn followed_by(&self, active: Config, next: Option<Config>) -> Plan {
        Plan { revision: self.revision + 1, active, next }
    }
}
