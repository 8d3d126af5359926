//! The registry on the replicated state machine of lab 3.

use labapi::Persister;
// handout: drop classic
use labgob::DecodeError;
// handout: end
use labrpc::{ClientEnd, Service};
use labrt::sync::Arc;
// handout: drop classic
use rsm::{Rsm, StateMachine};
// handout: end

use crate::registry::{Plan, Registry, Unavailable};

// handout: drop classic
/// The replicated state: the plan. A state machine that knows nothing of chains is enough, since managers
/// decide and it only compares.
#[derive(Default)]
struct Register {
    plan: Plan,
}

// handout: bodies CA
impl StateMachine for Register {
    /// A plan, which takes the place of the one before it.
    type Command = Plan;
    type Reply = ();

    /// A repetition finds a plan that is not the one before it, and changes nothing: no sessions are needed.
    fn apply(&mut self, plan: Plan) {
        if plan.revision == self.plan.revision + 1 {
            tracing::debug!(target: "plan", "{plan:?}");
            self.plan = plan;
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        labgob::encode(&self.plan)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        self.plan = labgob::decode(snapshot)?;
        Ok(())
    }
}

// handout: end
/// One server of the replicated register. The manager beside it decides while this server leads.
pub struct RaftRegistry {
    // handout: drop classic
    rsm: Arc<Rsm<Register>>,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies CA
impl RaftRegistry {
    /// Starts server `me`. `ends` reach all of them, and `persister` holds what an earlier life wrote.
    ///
    /// # Panics
    /// If the disk's content is damaged.
    pub fn start(ends: Vec<ClientEnd>, me: usize, persister: Persister) -> Arc<RaftRegistry> {
        Arc::new(RaftRegistry { rsm: Rsm::start(ends, me, persister, None, Register::default()) })
    }

    /// What the servers of the register say to each other.
    pub fn service(&self) -> Service {
        self.rsm.service()
    }
}

// handout: bodies CA
impl Registry for RaftRegistry {
    fn leads(&self) -> bool {
        self.rsm.is_leader()
    }

    fn newest(&self) -> Result<Plan, Unavailable> {
        self.rsm.inspect_fresh(|register| register.plan.clone()).map_err(|_| Unavailable)
    }

    fn publish(&self, plan: &Plan) -> Result<(), Unavailable> {
        self.rsm.submit(plan).map_err(|_| Unavailable)
    }
}
