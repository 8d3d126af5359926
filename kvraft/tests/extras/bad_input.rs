// handout: file never
//! Oversized input, and clerks whose servers are all down.

use std::time::Duration;

use kvraft::{Clerk, ClerkError, KvServer, MAX_KEY, MAX_VALUE, Operation};
use labrt::thread;
use labrt::time::Instant;
use rsm::Request;
use tester::{Test, try_seed};
use tester_kv::{KvCluster, KvSetup};

/// This solution's own clerk. Its operations return errors, which the recorded clerks of other tests do not.
fn clerk(cluster: &KvCluster<KvServer>) -> Clerk {
    let net = cluster.net();
    let ends = cluster.all().into_iter().map(|server| {
        let (number, end) = net.make_end(cluster.name(server));
        net.network().enable(number, true);
        end
    });
    Clerk::new(ends.collect())
}

/// Runs a test once.
fn once(name: &'static str, body: impl Fn(&Test) + Send + Sync + 'static) {
    let verdict = try_seed(name, 1, body);
    assert!(verdict.ok, "{}", verdict.text);
}

#[test]
fn what_is_too_long_is_an_error() {
    once("what_is_too_long_is_an_error", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3));
        let mut clerk = clerk(&cluster);
        let (key, value) = ("k".repeat(MAX_KEY), "v".repeat(MAX_VALUE));
        let (long_key, long_value) = (format!("{key}k"), format!("{value}v"));
        assert_eq!(clerk.get(&long_key), Err(ClerkError::TooLarge));
        assert_eq!(clerk.put(&long_key, ""), Err(ClerkError::TooLarge));
        assert_eq!(clerk.put("x", &long_value), Err(ClerkError::TooLarge));
        assert_eq!(clerk.append("x", &long_value), Err(ClerkError::TooLarge));
        assert_eq!(clerk.get("x").as_deref(), Ok(""), "a refused operation changed the value");
        assert_eq!(clerk.put(&key, &value), Ok(()), "a key and a value at the limit were refused");
        assert_eq!(clerk.append(&key, "v"), Err(ClerkError::TooLarge), "an append made a value too long");
        assert_eq!(clerk.append(&key, ""), Ok(()));
        assert_eq!(clerk.get(&key).map(|value| value.len()), Ok(MAX_VALUE));
    });
}

/// A server checks sizes itself: other clients may not.
#[test]
fn a_server_refuses_what_is_too_long() {
    once("a_server_refuses_what_is_too_long", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(1));
        let leader = cluster.wait_leader();
        let (number, end) = cluster.net().make_end(cluster.name(leader));
        cluster.net().network().enable(number, true);
        let command = Operation::Put { key: "k".repeat(MAX_KEY + 1), value: String::new() };
        let request = Request { client: 1, sequence: 1, command };
        let reply = kvraft::KvPeer::new(end).operate(&request);
        assert_eq!(reply, Ok(Err(kvraft::KvError::TooLarge)));
    });
}

/// A clerk without a time limit blocks while all servers are down, and is served after they restart. A clerk
/// with a time limit gives up in time.
#[test]
fn servers_that_are_all_gone() {
    once("servers_that_are_all_gone", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3));
        let mut patient = clerk(&cluster);
        assert_eq!(patient.put("x", "old"), Ok(()));
        cluster.crash_all();
        let waiting = cluster.begin(move || patient.append("x", " new").map(|()| patient.get("x")));
        for limit in [0, 1, 50, 1000, 10_000].map(Duration::from_millis) {
            let called = Instant::now();
            let outcome = clerk(&cluster).operate(Operation::Get { key: "x".to_owned() }, Some(limit));
            assert_eq!(outcome, Err(ClerkError::TimedOut));
            let late = called.elapsed().saturating_sub(limit);
            assert!(
                late < Duration::from_millis(25),
                "an operation returned {late:?} after its limit of {limit:?}"
            );
        }
        assert!(!waiting.is_done(), "a clerk without a time limit gave up");
        cluster.restart_all();
        let served = waiting.within(Duration::from_secs(10), "an append");
        assert_eq!(served, Ok(Ok("old new".to_owned())));
    });
}

/// An operation that timed out may have taken effect. It must not do so after the clerk's next operation.
#[test]
fn an_operation_that_was_given_up_does_not_come_back() {
    once("an_operation_that_was_given_up_does_not_come_back", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3));
        let mut clerk = clerk(&cluster);
        assert_eq!(clerk.put("x", "old"), Ok(()));
        let leader = cluster.wait_leader();
        let others: Vec<usize> = cluster.all().into_iter().filter(|&server| server != leader).collect();
        cluster.partition(&[&others, &[leader]]);
        let give_up = Operation::Append { key: "x".to_owned(), value: " lost".to_owned() };
        let outcome = clerk.operate(give_up, Some(Duration::from_millis(100)));
        assert_eq!(outcome, Err(ClerkError::TimedOut));
        cluster.connect_all();
        thread::sleep(Duration::from_secs(2));
        assert_eq!(clerk.append("x", " new"), Ok(()));
        let value = clerk.get("x");
        assert!(value == Ok("old new".to_owned()) || value == Ok("old lost new".to_owned()), "{value:?}");
    });
}

/// A single server crashes and starts again. It answers from its disk, and a clerk's repetition counts once.
#[test]
fn a_single_server_restarts() {
    once("a_single_server_restarts", |t: &Test| {
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(1).snapshots(500));
        let mut clerk = cluster.make_client(&cluster.all());
        let mut expected = String::new();
        for round in 0..5 {
            for number in 0..10 {
                let element = format!("{round}.{number} ");
                clerk.append("x", &element);
                expected.push_str(&element);
            }
            t.scene("The server crashes, and starts again.");
            cluster.crash_all();
            thread::sleep(Duration::from_millis(100));
            cluster.restart_all();
            let value = clerk.get("x");
            t.expect(value == expected, || format!("expected {expected:?}, but key \"x\" reads {value:?}"));
        }
        cluster.expect_short_logs();
    });
}
