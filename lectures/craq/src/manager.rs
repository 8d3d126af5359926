//! A manager: it hears the nodes' heartbeats, decides through its registry, and tells the nodes.
//!
//! | thread | work |
//! |---|---|
//! | steward | decides which configuration comes next |
//! | herald | tells the nodes of the configuration in force, from tail to head |

use labrpc::Service;
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::Request;

use crate::judge::Judge;
use crate::registry::{Plan, Registry};
use crate::rpc::{ChainId, Config, Granted, Heartbeat, ManagerRpc, NodePeer, NotLeader};
use crate::state::Settings;

/// How often the manager judges.
const JUDGE: Duration = Duration::from_millis(50);
/// How long the manager waits for a node before it tells it again.
const CALL: Duration = Duration::from_millis(150);
/// The pause when there is nothing to tell, or a node does not answer.
const AGAIN: Duration = Duration::from_millis(20);

/// A manager of one chain. Several of them share a registry; the one that leads decides.
pub struct Manager {
    settings: Settings,
    registry: Arc<dyn Registry>,
    nodes: Vec<NodePeer>,
    judge: Mutex<Judge>,
    /// The plan, as this manager has seen it last.
    plan: Mutex<Plan>,
}

// handout: bodies CB
impl Manager {
    /// Starts a manager that reaches all nodes, by number. Its threads belong to the caller's computer.
    pub fn start(registry: Arc<dyn Registry>, nodes: Vec<NodePeer>, settings: Settings) -> Arc<Manager> {
        let (judge, plan) = (Mutex::new(Judge::new(settings)), Mutex::new(Plan::default()));
        let manager = Arc::new(Manager { settings, registry, nodes, judge, plan });
        let (steward, herald) = (Arc::clone(&manager), Arc::clone(&manager));
        thread::spawn_named("steward", move || steward.run_steward());
        thread::spawn_named("herald", move || herald.run_herald());
        manager
    }

    /// Whether this manager decides.
    pub fn leads(&self) -> bool {
        self.registry.leads()
    }

    /// What the manager offers on the network.
    pub fn service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }

    /// The plan: everything that was decided before the call is in it.
    fn newest(&self) -> Option<Plan> {
        let plan = self.registry.newest().ok()?;
        let mut seen = self.plan.lock();
        if plan.revision > seen.revision {
            *seen = plan.clone();
        }
        Some(plan)
    }

    fn run_steward(&self) {
        loop {
            thread::sleep(JUDGE);
            if !self.leads() {
                continue;
            }
            let Some(plan) = self.newest() else { continue };
            let following = self.judge.lock().step(&plan, Instant::now());
            if let Some(following) = following {
                tracing::debug!(target: "plan", "{following:?}");
                // Whether it took effect, the next look tells.
                let _ = self.registry.publish(&following);
            }
        }
    }

    fn run_herald(&self) {
        loop {
            let plan = self.plan.lock().clone();
            let news = if self.leads() { self.judge.lock().news(&plan) } else { None };
            let Some((member, news)) = news else {
                thread::sleep(AGAIN);
                continue;
            };
            match self.nodes[member.node].timeout(CALL).new_config(&news) {
                Ok(Ok(last)) => self.judge.lock().taken(news.config.epoch, member, last.n),
                answer => {
                    tracing::debug!(target: "herald", "{member:?}: {answer:?}");
                    thread::sleep(AGAIN);
                }
            }
        }
    }
}

// handout: bodies CB
impl ManagerRpc for Manager {
    fn heartbeat(&self, heartbeat: Request<Heartbeat>) -> Result<Granted, NotLeader> {
        if heartbeat.command.chain != self.settings.chain || !self.leads() {
            return Err(NotLeader);
        }
        // The heartbeat has come: from here on the plan is looked up, and not earlier.
        let plan = self.newest().ok_or(NotLeader)?;
        Ok(self.judge.lock().note(heartbeat, &plan, Instant::now()))
    }

    fn config(&self, chain: ChainId) -> Result<Config, NotLeader> {
        if chain != self.settings.chain || !self.leads() {
            return Err(NotLeader);
        }
        self.newest().map(|plan| plan.active).ok_or(NotLeader)
    }
}
