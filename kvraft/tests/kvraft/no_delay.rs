//! Part 3A, directed: a network without delay, where only the scheduler decides what comes first.

use std::time::Duration;

use kvraft::KvServer;
use labrpc::DelayModel;
use labrt::runtime;
use tester::{Test, run};
use tester_kv::{KvCluster, KvSetup, element};

use crate::directed_3a::expect_appends;

/// What ten appends in a row may take: three of them in the course's 100 ms between two heartbeats.
const TEN: Duration = Duration::from_micros(333_333);

/// Where messages take no time, a command may be applied before the handler that started it begins to wait.
/// Who then waits for what has happened already waits in vain, until the clerk asks again.
#[test]
fn messages_without_delay_3a() {
    run("messages_without_delay_3a", |t: &Test| {
        const APPENDS: usize = 1000;
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3));
        cluster.net().network().set_delay(DelayModel::zero());
        let mut clerk = cluster.make_client(&cluster.all());
        t.scene("A first operation waits for a leader.");
        clerk.get("x");
        t.scene(format!("{APPENDS} appends, one after the other."));
        for row in 0..APPENDS / 10 {
            let start = runtime::now();
            (0..10).for_each(|number| clerk.append("x", &element(0, 10 * row + number)));
            let took = runtime::now() - start;
            // A swarm's seed may have slowed the link or the server.
            t.expect(took <= TEN || !t.is_ordinary(), || {
                format!("ten appends in a row took {} ms though no message takes any time", took.as_millis())
            });
        }
        expect_appends(t, &clerk.get("x"), &[(0, APPENDS)]);
    });
}
