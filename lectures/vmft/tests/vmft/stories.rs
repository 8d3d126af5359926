//! The lecture's stories: a scene each, with its outcome, and the wrong variant that shows why.

use std::time::Duration;

use kvraft::{Clerk, KvServer};
use labrt::sync::Arc;
use labrt::thread;
use tester::{Boot, Booted, Group, Net, run};
use vmft::rpc::ArbiterError;
use vmft::{Arbiter, KvArbiter, Role, VM};

use crate::cluster::{Cluster, Setup, counter, play};

/// An arbiter that lets everybody win: each host does what seems right to it.
struct Everybody;

impl Arbiter for Everybody {
    fn test_and_set(&self, _epoch: u64, _host: usize) -> Result<bool, ArbiterError> {
        Ok(false)
    }

    fn reset(&self, _epoch: u64) -> Result<(), ArbiterError> {
        Ok(())
    }
}

/// Two hosts without a third party: each takes the other for dead, and both go on. Two clients, one at each
/// half, are both told that theirs is increment number 6.
#[test]
fn split_brain_without_arbiter() {
    let setup =
        || Setup { arbiter: Some(Arc::new(|_: &Net| Arc::new(Everybody))), is_strict: false, ..counter() };
    play("split_brain_without_arbiter", setup, |t, cluster| {
        drop(cluster.count_to(5));
        t.scene("The channel is cut, and both hosts go on.");
        cluster.set_channel(false);
        (0..2).for_each(|host| cluster.wait_for(host, Role::Live, cluster.failover_ms()));
        let sums: Vec<u64> = (0..2).map(|host| cluster.counting_at(host).increment()).collect();
        t.expect(sums == [6, 6], || format!("two machines answered {sums:?}"));
        t.expect(cluster.history_complaint().is_some(), || "the checker has seen nothing".to_owned());
    });
}

/// The same with test-and-set: one half is told that it may go on, whichever asks first.
#[test]
fn test_and_set_decides() {
    play("test_and_set_decides", counter, |t, cluster| {
        drop(cluster.count_to(5));
        t.scene("The channel is cut, and the flag decides.");
        cluster.set_channel(false);
        let live = cluster.expect_one_live();
        assert_eq!(cluster.counting_at(live).increment(), 6);
        let patience = Duration::from_millis(2000);
        // A history may hold an operation that never returns.
        assert_eq!(cluster.counting_at(1 - live).increment_for(patience), None, "the loser answers");
        assert_eq!(cluster.watch.winners().into_iter().collect::<Vec<_>>(), [(1, live)]);
    });
}

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
            Arc::new(KvArbiter::new(Clerk::new(ends.collect()), VM)) as Arc<dyn Arbiter>
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
