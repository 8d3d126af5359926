// handout: drop classic
//! A manager: it hears the nodes' heartbeats, decides through its registry, and tells the nodes.
//!
//! | thread | work |
//! |---|---|
//! | steward | decides which configuration comes next |
//! | herald | tells the nodes of the configuration in force, from tail to head |
// handout: end
// handout: put classic
// //! A manager: it hears the nodes' heartbeats, decides through its registry, and tells the nodes.
// handout: end

use labrpc::Service;
// handout: drop classic
use labrt::sync::{Arc, Condvar, Monitor, Mutex, Settle};
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::Request;

use crate::judge::Judge;
use crate::registry::{Plan, Registry};
use crate::rpc::{ChainId, Config, Granted, Heartbeat, ManagerRpc, NodePeer, NotLeader};
use crate::state::Settings;

/// How long the manager waits for a node before it tells it again.
const CALL: Duration = Duration::from_millis(150);
/// The pause before the manager tells a node again that did not answer.
const AGAIN: Duration = Duration::from_millis(20);
// handout: end
// handout: put classic
// use labrt::sync::Arc;
// use rsm::Request;
//
// use crate::registry::Registry;
// use crate::rpc::{ChainId, Config, Granted, Heartbeat, ManagerRpc, NodePeer, NotLeader};
// use crate::state::Settings;
// handout: end

/// A manager of one chain. Several of them share a registry; the one that leads decides.
pub struct Manager {
    // handout: drop classic
    settings: Settings,
    registry: Arc<dyn Registry>,
    nodes: Vec<NodePeer>,
    judge: Mutex<Judge>,
    plan: Monitor<Known>,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: drop classic
/// What the manager knows of the plan.
#[derive(Default)]
struct Known {
    /// The plan, as this manager has seen it last.
    newest: Plan,
    /// How many questions to the registry have begun, and how many have ended: one is open at most.
    asked: u64,
    answered: u64,
    /// The answer to the last question that has ended; None if there was none.
    answer: Option<Plan>,
    /// The revision of the plan when the herald was woken last.
    announced: u64,
}

/// What the threads of a manager wait for.
#[derive(Default)]
struct Signals {
    /// A question has been answered.
    answered: Condvar,
    /// The manager has seen a newer plan.
    changed: Condvar,
}

// handout: bodies CA
/// This also runs behind an access that has changed nothing, such as the look of a thread that then waits. If
/// each of them woke threads that wait in a loop, these would wake each other for ever. So `answered` is told
/// only while no question is open, when nobody begins to wait; and `changed` once for each plan.
impl Settle for Known {
    type Signals = Signals;

    fn settle(&mut self, signals: &Signals) {
        if self.asked == self.answered {
            signals.answered.notify_all();
        }
        if self.announced != self.newest.revision {
            self.announced = self.newest.revision;
            signals.changed.notify_all();
        }
    }
}

// handout: end
// handout: bodies CA
impl Manager {
    /// Starts a manager that reaches all nodes, by number. Its threads belong to the caller's computer.
    pub fn start(registry: Arc<dyn Registry>, nodes: Vec<NodePeer>, settings: Settings) -> Arc<Manager> {
        let (judge, plan) = (Mutex::new(Judge::new(settings)), Monitor::new(Known::default()));
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

    /// The plan: everything that was decided before the call is in it. One question to the registry serves
    /// all calls that came before it; one that was under way already may miss a decision. A call is done with
    /// the first answer that will do, even if another call has asked the next question by then: where calls
    /// are many, it would wait for ever otherwise.
    fn newest(&self) -> Option<Plan> {
        let mut known = self.plan.lock();
        let needed = known.asked + 1;
        while known.answered < needed {
            if known.asked == known.answered {
                known.asked += 1;
                drop(known);
                let answer = self.registry.newest().ok();
                known = self.plan.lock();
                known.answered += 1;
                if let Some(plan) = answer.as_ref().filter(|plan| plan.revision > known.newest.revision) {
                    known.newest = plan.clone();
                }
                known.answer = answer;
            } else {
                known.wait(|on| &on.answered);
            }
        }
        known.answer.clone()
    }

    fn run_steward(&self) {
        loop {
            thread::sleep(self.settings.heartbeat);
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

    /// Without news the herald waits for a newer plan, but for a heartbeat at most: nothing wakes it when
    /// this manager becomes the leader, and a new leader tells all nodes anew.
    fn run_herald(&self) {
        loop {
            let plan = self.plan.lock().newest.clone();
            let news = if self.leads() { self.judge.lock().news(&plan) } else { None };
            let Some((member, news)) = news else {
                self.wait_for_plan_after(plan.revision, Instant::now() + self.settings.heartbeat);
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

    fn wait_for_plan_after(&self, revision: u64, due: Instant) {
        let mut known = self.plan.lock();
        while known.newest.revision <= revision && Instant::now() < due {
            known.wait_until(|on| &on.changed, due);
        }
    }
}

// handout: bodies CA
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
