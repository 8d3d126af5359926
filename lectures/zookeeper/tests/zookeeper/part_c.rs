//! Part ZC: sessions, partitions, crashes.

use labrt::thread;
use zookeeper::rpc::Action;
use zookeeper::{ANY_VERSION, Error, Flags, Operation, Outcome, Settings};

use crate::cluster::{answer, ms, play, play_with};

/// Rule 7 and invariant 7: silence longer and shorter than the timeout, and a change of leaders.
#[test]
fn zk_ephemeral_expiry() {
    play("zk_ephemeral_expiry", 3, |t, cluster| {
        let (short, long, other) = (cluster.client_at(0), cluster.client_at(1), cluster.client_at(2));
        short.create("short", b"", Flags::EPHEMERAL).expect("a new node");
        for node in ["long-1", "long-2"] {
            long.create(node, b"", Flags::EPHEMERAL).expect("a new node");
        }
        t.scene("Two clients are cut off: one for less than its timeout, one for more.");
        [&short, &long].iter().for_each(|zk| zk.set_links(false));
        thread::sleep(ms(800));
        short.set_links(true);
        thread::sleep(ms(200));
        other.sync("").expect("a leader is there");
        let short_node = other.exists("short");
        t.expect(matches!(short_node, Ok(Some(_))), || {
            format!(
                "a client was cut off for less than its timeout, and its ephemeral node is {short_node:?} \
                 (invariant 7)"
            )
        });
        cluster.wait(20_000, "the session that is cut off ends", || {
            cluster.watch.ended(long.session()).is_some()
        });
        other.sync("").expect("a leader is there");
        for path in ["long-1", "long-2"] {
            let node = other.exists(path);
            t.expect(node == Ok(None), || format!("{path} outlives its session (invariant 7): {node:?}"));
        }
        t.scene("The client learns it when it is back.");
        long.set_links(true);
        let told = long.exists("long-1");
        t.expect(told == Err(Error::SessionExpired), || {
            format!(
                "a client whose session has ended comes back and reads {told:?}; it must learn of the end"
            )
        });
        if t.is_ordinary() {
            assert!(short.exists("short").expect("its session lives").is_some());
        }
        let before = cluster.watch.count(|one, _| one.action == Action::Expire);
        t.scene("The leader crashes. The new one gives all sessions their time.");
        cluster.servers.crash(cluster.leader());
        thread::sleep(ms(4000));
        let after = cluster.watch.count(|one, _| one.action == Action::Expire);
        assert!(!t.is_ordinary() || before == after, "live sessions end with the leader");
        assert!(!t.is_ordinary() || other.exists("short").expect("a read").is_some());
    });
}

/// The leader stands with the minority: it takes no writes, and may serve old reads.
#[test]
fn zk_partition_majority() {
    play("zk_partition_majority", 5, |t, cluster| {
        let leader = cluster.leader();
        let others: Vec<usize> = (0..5).filter(|&server| server != leader).collect();
        let patient = Settings { timeout: ms(20_000), patience: Some(ms(1500)) };
        let inside = cluster.client_of(&[leader], patient);
        // A sync of the first client would wait for its own write, whatever the leader thinks.
        let asking = cluster.client_of(&[leader], patient);
        let outside = cluster.client_of(&others[1..], Settings::default());
        outside.create("x", b"old", Flags::REGULAR).expect("a new node");
        inside.sync("x").expect("the leader is there");
        assert_eq!(inside.get_data("x").expect("a read").0, b"old");
        t.scene("The leader and one follower are cut off from the other three.");
        cluster.servers.partition(&[&[leader, others[0]], &others[1..]]);
        assert_eq!(inside.get_data("x").expect("a local read").0, b"old");
        assert_eq!(asking.get_data("x").expect("a local read").0, b"old");
        let lost = inside.set_data("x", b"lost?", ANY_VERSION);
        assert_eq!(lost, Err(Error::ConnectionLoss), "a write without a majority");
        assert_eq!(asking.sync("x"), Err(Error::ConnectionLoss), "a sync without a majority");
        t.scene("The majority goes on.");
        outside.set_data("x", b"new", ANY_VERSION).expect("the majority has a leader");
        assert_eq!(outside.get_data("x").expect("a read").0, b"new");
        t.scene("The partition ends. The write that was under way is carried out, behind the others.");
        cluster.servers.heal();
        cluster.wait(30_000, "the write of the minority's client is done", || {
            cluster.watch.data("x").is_some_and(|data| data == b"lost?")
        });
        let until = |outcome: &Result<(), Error>| outcome.is_ok();
        let sync = || inside.sync("x");
        cluster.wait(30_000, "a sync succeeds", || until(&sync()));
        assert_eq!(inside.get_data("x").expect("a read").0, b"lost?");
        outside.sync("x").expect("a leader is there");
        assert_eq!(outside.get_data("x").expect("a read").0, b"lost?");
    });
}

/// Invariant 9: all servers go down and come back, again and again; sessions survive.
#[test]
fn zk_crash_all_restart() {
    play_with("zk_crash_all_restart", 3, Some(2000), |t, cluster| {
        let long = Settings { timeout: ms(6000), patience: None };
        let zk = cluster.client_of(&[0, 1, 2], long);
        zk.create("dir", b"", Flags::REGULAR).expect("a new node");
        zk.create("mine", b"", Flags::EPHEMERAL).expect("a new node");
        let mut created = 0;
        for round in 1..=4 {
            t.scene(format!("Round {round}: writes, and then all servers crash at once."));
            let create = |number: usize| Operation::Create {
                path: format!("dir/{number}"),
                data: vec![0; 50],
                flags: Flags::REGULAR,
            };
            let calls: Vec<_> = (created..created + 20).map(|number| zk.start(create(number))).collect();
            created += 20;
            thread::sleep(ms(20 * round));
            (0..3).for_each(|server| cluster.servers.crash(server));
            thread::sleep(ms(100));
            for server in 0..3 {
                cluster.servers.restart(server);
                cluster.servers.connect(server);
            }
            for (number, call) in calls.into_iter().enumerate() {
                let path = format!("dir/{}", created - 20 + number);
                let (answer, due) =
                    (answer(t, &format!("the create of {path}"), call), Ok(Outcome::Created(path)));
                t.expect(answer == due, || {
                    format!(
                        "asked for again, carried out once: {due:?} was due, and the answer is {answer:?}"
                    )
                });
            }
        }
        zk.sync("").expect("a leader is there");
        assert_eq!(zk.get_children("dir").expect("a list").len(), created);
        assert!(zk.exists("mine").expect("the session lives").is_some());
        t.exercised(cluster.servers.snapshot_size() > 0, "a snapshot replaced the log");
    });
}
