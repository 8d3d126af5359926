//! Part 3A with four servers, of which two are no majority.

use kvraft::KvServer;
use labrt::thread;
use tester::{ELECTION, Test, run};
use tester_kv::{KvCluster, KvSetup, PATIENCE};

/// Two of four servers answer nothing. A third server on the leader's side is enough; then it crashes.
#[test]
fn four_servers_3a() {
    run("four_servers_3a", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(4));
        let all = cluster.all();
        let mut clerk = cluster.make_client(&all);
        clerk.put("x", "old");
        let leader = cluster.wait_leader();
        let server = |distance: usize| (leader + distance) % 4;

        t.scene("Two servers are on the leader's side, and two on the other. Nobody answers.");
        cluster.partition(&[&[leader, server(1)], &[server(2), server(3)]]);
        let [mut one, mut other] =
            [[leader, server(1)], [server(2), server(3)]].map(|side| cluster.make_client(&side));
        let clients = [cluster.client(&one), cluster.client(&other)];
        let put = cluster.begin(move || one.put("x", "new"));
        let get = cluster.begin(move || other.get("x"));
        thread::sleep(2 * ELECTION);
        t.expect(!put.is_done(), || "two of four servers carried out a put".to_owned());
        t.expect(!get.is_done(), || "two of four servers answered a get".to_owned());

        t.scene("A third server comes to the leader's side.");
        cluster.partition(&[&[leader, server(1), server(2)], &[server(3)]]);
        put.within(PATIENCE, "a put at three of four servers");
        t.scene("It crashes, and starts again with all links.");
        cluster.crash(server(2));
        thread::sleep(ELECTION);
        cluster.restart(server(2));
        cluster.connect_all();
        clients.iter().for_each(|&client| cluster.connect_client(client, &all));
        get.within(PATIENCE, "a get at all servers");
        let value = clerk.get("x");
        t.expect(value == "new", || {
            format!("expected a get of key \"x\" to read \"new\", but it read {value:?}")
        });
    });
}
