//! Directed tests of managers that lead, do not, and lead again. They stand on a register of the test's own,
//! which says who leads: so the test decides how long a reign is, to the millisecond.

use craq::rpc::Heartbeat;
use craq::{Mode, Plan, Registry, Unavailable};
use labrpc::{Direction, TapAction};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Instant;
use rsm::Request;
use tester::{Net, Test};

use crate::cluster::{Cluster, Ground, Setup, chain, ms, run};
use crate::part_b::{end, increments};
use crate::watch::decode;

#[derive(Default)]
struct Register {
    plan: Plan,
    /// The manager that leads.
    leader: usize,
    /// Whether the register answers nobody.
    is_mute: bool,
}

/// A register that managers share.
#[derive(Clone, Default)]
struct Throne(Arc<Mutex<Register>>);

impl Throne {
    /// Managers of this cluster stand on this register. Manager 0 leads first.
    fn under(&self, setup: Setup) -> Setup {
        let throne = self.clone();
        let ground = move |_: &Test, _: &Net| -> Ground {
            let throne = throne.clone();
            Box::new(move |boot| {
                let registry: Arc<dyn Registry> = Arc::new(Seat { throne: throne.clone(), me: boot.me });
                (registry, Vec::new())
            })
        };
        Setup { ground: Arc::new(ground), ..setup }
    }

    /// From now on this manager leads.
    fn crown(&self, manager: usize) {
        self.0.lock().leader = manager;
    }

    fn set_mute(&self, is_mute: bool) {
        self.0.lock().is_mute = is_mute;
    }

    fn plan(&self) -> Plan {
        self.0.lock().plan.clone()
    }
}

/// One manager's view of it.
struct Seat {
    throne: Throne,
    me: usize,
}

impl Registry for Seat {
    fn leads(&self) -> bool {
        self.throne.0.lock().leader == self.me
    }

    fn newest(&self) -> Result<Plan, Unavailable> {
        let register = self.throne.0.lock();
        if register.is_mute { Err(Unavailable) } else { Ok(register.plan.clone()) }
    }

    fn publish(&self, plan: &Plan) -> Result<(), Unavailable> {
        let mut register = self.throne.0.lock();
        if register.is_mute {
            return Err(Unavailable);
        }
        if plan.revision == register.plan.revision + 1 {
            register.plan = plan.clone();
        }
        Ok(())
    }
}

/// A manager does not lead, or gets no answer from its register, for a little less than the time after which
/// it takes a node for dead. When it judges again, what it heard last of each node is older than that. Nobody
/// was silent.
#[test]
fn chain_manager_returns_soon() {
    run("chain_manager_returns_soon", 600, |t| {
        let throne = Throne::default();
        let cluster = Cluster::new(t, throne.under(chain(Mode::Plain, 3)));
        let epoch = throne.plan().active.epoch;
        for round in 0..8 {
            let nearly = cluster.settings.suspicion - ms(10 + 15 * round);
            t.scene("Another manager leads for a while, and the first one again.");
            throne.crown(1);
            thread::sleep(nearly);
            throne.crown(0);
            thread::sleep(ms(600));
            t.scene("The manager that leads gets no answer from its register for a while.");
            throne.set_mute(true);
            thread::sleep(nearly - ms(80));
            throne.set_mute(false);
            thread::sleep(ms(600));
        }
        let plan = throne.plan();
        t.expect(!t.is_ordinary() || (plan.active.epoch == epoch && plan.next.is_none()), || {
            let plan = cluster.watch.words(format!("{plan:?}"));
            format!("all nodes live, and the plan changes from epoch {epoch} to {plan}")
        });
        end(t, increments(&cluster, 2), 1);
        cluster.finish();
    });
}

/// A manager knows a spare. Then another one leads: the spare restarts meanwhile, which makes it another
/// member, and joins. What the first manager knows of it is about a life that is over.
#[test]
fn chain_spare_of_an_earlier_reign() {
    run("chain_spare_of_an_earlier_reign", 600, |t| {
        let throne = Throne::default();
        let cluster = Cluster::new(t, throne.under(chain(Mode::Plain, 3).with_spares(1)));
        cluster.start(3);
        thread::sleep(ms(500));
        t.scene("The tail is lost. Before the spare can join, it crashes.");
        cluster.nodes.crash(2);
        cluster.wait(20_000, "the tail's lease is waited for", || throne.plan().next.is_some());
        thread::sleep(cluster.settings.lease);
        cluster.nodes.crash(3);
        cluster.wait(20_000, "the rest is the chain", || throne.plan().active.members.len() == 2);
        t.scene("Another manager leads. The spare starts again, and joins.");
        let before = Instant::now();
        throne.crown(1);
        cluster.start(3);
        cluster.wait(20_000, "the spare has joined", || throne.plan().active.members.len() == 3);
        t.exercised(
            before.elapsed() < cluster.settings.suspicion,
            "the other manager leads for a short time",
        );
        t.scene("The first manager leads again, and does not hear of the spare at once.");
        cluster.watch.filter(|event| {
            if event.method != "ManagerRpc.heartbeat" || event.direction == Direction::Reply {
                return TapAction::Deliver;
            }
            let heartbeat: Request<Heartbeat> = decode(event.bytes);
            if heartbeat.command.member.node == 3 { TapAction::Delay(ms(300)) } else { TapAction::Deliver }
        });
        throne.crown(0);
        thread::sleep(cluster.settings.suspicion);
        cluster.watch.unfilter();
        let plan = throne.plan();
        t.expect(!t.is_ordinary() || (plan.active.members.len() == 3 && plan.next.is_none()), || {
            cluster.watch.words(format!("all three nodes live, and the plan is {plan:?}"))
        });
        cluster.wait_for_chain(&[0, 1, 3]);
        end(t, increments(&cluster, 2), 1);
        cluster.finish();
    });
}
