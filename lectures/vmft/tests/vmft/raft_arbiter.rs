// handout: file never
//! The arbiter by the Raft-based key/value service. It is this solution's own.

use std::time::Duration;

use kvraft::KvServer;
use labrt::sync::Arc;
use labrt::thread;
use tester::{Boot, Booted, Group, Net, run};
use vmft::{Arbiter, KvArbiter, Role, VM};

use crate::cluster::{Cluster, Setup, counter};

/// The flag in the Raft-based key/value service: no single machine is needed to decide. One of its servers is
/// down all the time.
#[test]
fn raft_decides() {
    run("raft_decides", |t| {
        let arbiter = |net: &Net| {
            let ends = (0..3).map(|server| {
                let (number, end) = net.make_end(&format!("kv-{server}").as_str().into());
                net.network().enable(number, true);
                end
            });
            Arc::new(KvArbiter::new(ends.collect(), VM)) as Arc<dyn Arbiter>
        };
        let setup = Setup { arbiter: Some(Arc::new(arbiter)), spares: 1, ..counter() };
        let cluster = Cluster::new(t, setup);
        let boot = |boot: Boot| {
            let server = KvServer::start(boot.ends, boot.me, boot.persister, None);
            Booted { services: labapi::KvServer::services(&server), server }
        };
        let service = Group::beside(t, &cluster.net, "kv", 3, 3, boot);
        service.start_all();
        let mut client = cluster.count_to(3);
        thread::sleep(Duration::from_millis(1000));
        service.crash(0);
        t.scene("The channel is cut. Raft's log decides which host goes on.");
        cluster.set_channel(false);
        let lost = || (0..2).filter(|&host| cluster.role(host) == Some(Role::Lost)).count();
        cluster.wait(10_000, "one of the two has lost", || lost() == 1);
        let live = usize::from(cluster.role(0) == Some(Role::Lost));
        assert_eq!(client.increment(), 4);
        t.scene("It is repaired, in a new epoch of the flag. Then the survivor crashes.");
        cluster.wait_for(2, Role::Backup, 5000);
        assert_eq!(client.increment(), 5);
        cluster.hosts.crash(live);
        cluster.wait_for(2, Role::Live, 10_000);
        assert_eq!(client.increment(), 6);
        assert_eq!(cluster.watch.winners().values().copied().collect::<Vec<_>>(), [live, 2]);
        cluster.finish();
        (0..3).for_each(|server| service.crash(server));
    });
}
