//! Part B: what is read from outside of the machine is read by one host.

use std::time::Duration;

use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::{node, thread};
use tester::{Test, run};
use vmft::guests::clock;
use vmft::{Client, HostSources, Operation, Role, Settings, Sources};

use crate::cluster::{Cluster, Setup};

/// How often each host was asked for a value.
#[derive(Default)]
struct Counted {
    asked: Mutex<Vec<(String, Operation)>>,
}

impl Sources for Counted {
    fn read(&self, operation: Operation) -> u64 {
        self.asked.lock().push((node::current().name().to_owned(), operation));
        HostSources.read(operation)
    }
}

/// Two hosts with a clock server, and its client, which has asked twenty times.
fn asked_twenty_times(t: &Test, sources: &Arc<Counted>) -> (Cluster, Client) {
    let settings = Settings { sources: sources.clone(), ..Settings::default() };
    let cluster = Cluster::new(t, Setup { settings, ..Setup::new(clock(10_000)) });
    t.scene("A client asks twenty times.");
    let mut client = cluster.client();
    for _ in 0..20 {
        client.call(&[0]);
    }
    thread::sleep(Duration::from_millis(300));
    (cluster, client)
}

/// The clock server answers with the time and a random number. The backup takes both from the log.
#[test]
fn vm_nondet_values() {
    run("vm_nondet_values", |t: &Test| {
        let sources = Arc::new(Counted::default());
        let (cluster, mut client) = asked_twenty_times(t, &sources);
        let asked = |host: &str| sources.asked.lock().iter().filter(|(name, _)| name == host).count();
        let (primary, backup) = (asked("host-0"), asked("host-1"));
        t.expect(primary >= 40, || format!("the primary has read {primary} values"));
        t.expect(backup == 0, || {
            format!("the backup has carried out {backup} non-deterministic instructions")
        });
        t.expect(cluster.watch.compared().is_none_or(|compared| compared >= 60), || {
            "the backup has replayed too little".to_owned()
        });
        t.scene("The primary crashes. From now on the other host reads the values.");
        cluster.hosts.crash(0);
        cluster.wait_for(1, Role::Live, cluster.failover_ms());
        client.call(&[0]);
        t.expect(asked("host-1") >= 2, || "the host that went live has read no values".to_owned());
        cluster.finish();

        let (cluster, _) = asked_twenty_times(t, &Arc::default());
        t.scene("The machine is switched off. Both guests have ended with the same values.");
        cluster.tell(0, |host| host.power_off());
        (0..2).for_each(|host| cluster.wait_for(host, Role::Off, 5000));
        let [one, other] =
            [0, 1].map(|host| cluster.status(host).map(|status| (status.icount, status.state_hash)));
        t.expect(one == other, || format!("invariant 1: the guests have ended at {one:?} and {other:?}"));
        cluster.finish();
    });
}
