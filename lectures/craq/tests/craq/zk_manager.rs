// handout: file never
//! The manager on the coordination service, behind the same trait. It is this solution's own.

use craq::{Mode, Registry};
use craq_zookeeper::ZkRegistry;
use labrpc::Name;
use labrt::sync::Arc;
use labrt::thread;
use tester::{Boot, Booted, Group, Net, Test};
use zookeeper::Server;

use crate::cluster::{Cluster, Ground, Setup, chain, ms, play};
use crate::part_b::{end, increments};
use crate::part_b_partitions::{cut_off, mend};

/// Servers of the coordination service.
const SERVERS: usize = 3;

/// A coordination service, and managers that are its clients.
fn on_zookeeper(test: &Test, net: &Net) -> Ground {
    let boot = |boot: Boot| {
        let server = Server::start(boot.ends, boot.me, boot.persister, None, None);
        Booted { services: rsm::ReplicatedServer::services(&server), server }
    };
    // Behind the nodes and the managers.
    let service = Group::beside(test, net, "zk", SERVERS, 7, boot);
    service.start_all();
    let net = net.clone();
    Box::new(move |_| {
        let ends = (0..SERVERS).map(|server| {
            let (number, end) = net.make_end(&Name::from(format!("zk-{server}").as_str()));
            net.network().enable(number, true);
            end
        });
        let _ = &service;
        let registry: Arc<dyn Registry> = ZkRegistry::start(ends.collect());
        (registry, Vec::new())
    })
}

fn setup() -> Setup {
    let mut setup = Setup { ground: Arc::new(on_zookeeper), ..chain(Mode::Craq, 3).with_spares(1) };
    // A question to the service takes several messages.
    setup.settings.heartbeat = ms(200);
    setup.settings.lease = ms(3000);
    setup.settings.clock_error = ms(450);
    setup.settings.suspicion = ms(3000);
    setup
}

/// What the managers on the replicated state machine do, these do.
fn everything(t: &Test, cluster: &Cluster) {
    end(t, increments(cluster, 3), 1);
    t.scene("The head crashes, and a spare joins.");
    cluster.nodes.crash(0);
    cluster.wait_for_chain(&[1, 2]);
    end(t, increments(cluster, 3), 4);
    cluster.start(3);
    cluster.wait_for_chain(&[1, 2, 3]);
    t.scene("A node is cut off, and comes back.");
    cut_off(cluster, 2);
    let clients = increments(cluster, 3);
    cluster.wait_for_chain(&[1, 3]);
    end(t, clients, 7);
    mend(cluster, 2);
    cluster.wait_for_chain(&[1, 3, 2]);
    t.scene("The manager that leads crashes in the middle of a change.");
    cluster.nodes.crash(3);
    thread::sleep(ms(labrt::rand::random_range(2900..6200)));
    let first = cluster.leader();
    cluster.managers.crash(first);
    cluster.wait_for_chain(&[1, 2]);
    end(t, increments(cluster, 3), 10);
}

#[test]
fn zookeeper_decides() {
    play("zookeeper_decides", setup, everything);
}
