// handout: file never
//! Sessions that end.

use std::time::Duration;

use kvraft::{ExpiringClerk, ExpiringServer, SessionError};
use labrpc::{Direction, Name, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::thread;
use tester::{Test, run};
use tester_kv::{KvCluster, KvSetup, Workload};

/// With how many commands after its last use a session is still alive, in the directed tests.
const LIFETIME: u64 = 20;

fn cluster(t: &Test, setup: KvSetup) -> KvCluster<ExpiringServer> {
    KvCluster::with(t, setup, |ends, me, persister, max_raft_state| {
        ExpiringServer::start_with(ends, me, persister, max_raft_state, LIFETIME)
    })
}

/// A clerk of its own, whose operations return errors, with the names of its ends.
fn clerk(cluster: &KvCluster<ExpiringServer>) -> (Vec<Name>, ExpiringClerk) {
    let net = cluster.net();
    let links = cluster.all().into_iter().map(|server| {
        let (number, end) = net.make_end(cluster.name(server));
        net.network().enable(number, true);
        (Name::from(number), end)
    });
    let (names, ends) = links.unzip();
    (names, ExpiringClerk::new(ends))
}

/// The course's generic test, over the service whose sessions end: none ends as long as its clerk goes on.
#[test]
fn expiring_sessions_3c() {
    let workload = Workload::new(5, 5).unreliable().restarts().partitions().snapshots(1000).random_keys();
    run("expiring_sessions_3c", move |t: &Test| workload.run::<ExpiringServer>(t));
}

/// Two hundred clerks write once and go. The sessions of the last ones are all that a snapshot has of them.
#[test]
fn sessions_end_3c() {
    run("sessions_end_3c", |t: &Test| {
        let cluster = cluster(t, KvSetup::servers(3).snapshots(500));
        let all = cluster.all();
        for number in 0..200 {
            cluster.make_client(&all).append("x", &format!("{number} "));
        }
        let value = cluster.make_client(&all).get("x");
        let expected: String = (0..200).map(|number| format!("{number} ")).collect();
        t.expect(value == expected, || format!("each clerk appends once, but the value is {value:?}"));
        thread::sleep(Duration::from_secs(1));
        // A session takes some 40 bytes: three numbers and the last reply. Those of all clerks would take
        // 8,000.
        let most = value.len() + 60 * LIFETIME as usize;
        let size = cluster.snapshot_size();
        t.exercised(size > 0, "no server made a snapshot");
        t.expect(size < most, || {
            format!("a snapshot of {LIFETIME} sessions has {size} bytes, not {most} at most")
        });
    });
}

/// A command takes three seconds to arrive. Its clerk sends it again, which is carried out, and then says
/// nothing while others do more than its session outlives. The late copy must be refused, and so must what
/// the clerk says in that session later.
#[test]
fn expired_command_3c() {
    run("expired_command_3c", |t: &Test| {
        let cluster = cluster(t, KvSetup::servers(3));
        let (names, mut slow) = clerk(&cluster);
        t.expect(slow.append("x", "first ") == Ok(()), || "an append was refused".to_owned());

        t.scene("The first copy of a command takes three seconds.");
        let copies = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&copies);
        cluster.net().network().set_tap(move |event| {
            let is_first = event.direction == Direction::Request
                && names.contains(event.end)
                && count.fetch_add(1, Ordering::Relaxed) == 0;
            if is_first { TapAction::Delay(Duration::from_secs(3)) } else { TapAction::Deliver }
        });
        t.expect(slow.append("x", "once ") == Ok(()), || "an append was refused".to_owned());
        t.exercised(copies.load(Ordering::Relaxed) > 1, "the command was not sent again");

        t.scene("Others do more than the session outlives. Then the late copy arrives.");
        let mut other = cluster.make_client(&cluster.all());
        for number in 0..2 * LIFETIME {
            other.put("y", &number.to_string());
        }
        thread::sleep(Duration::from_secs(4));
        // What a clerk that nobody records has written, only such a clerk may read.
        let (_, mut reader) = clerk(&cluster);
        let value = reader.get("x").unwrap_or_default();
        t.expect(value == "first once ", || {
            format!("a copy was carried out after its session's end: {value:?}")
        });

        t.scene("The clerk goes on in the session that has ended, and then in another one.");
        let refused = slow.append("x", "refused ");
        t.expect(refused == Err(SessionError::Expired), || format!("the append was answered by {refused:?}"));
        t.expect(slow.append("x", "second") == Ok(()), || "a new session was refused".to_owned());
        let value = slow.get("x");
        t.expect(value.as_deref() == Ok("first once second"), || format!("the value is {value:?}"));
    });
}
