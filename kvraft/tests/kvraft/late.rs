//! Requests that arrive when their clerk has gone on, keys that are too long, and operations with a time
//! limit.

use std::sync::Arc;
use std::time::Duration;

use kvraft::{Clerk, ClerkError, KvServer, MAX_KEY, MAX_VALUE, Operation};
use labrpc::{ClientEnd, Direction, Name, TapAction, TapEvent};
use labrt::rand::random_range;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::thread;
use labrt::time::Instant;
use tester::{Test, run};
use tester_kv::{KvCluster, KvSetup, element};

use crate::directed_3a::expect_appends;

/// Some requests take seconds. Their clerk sends them again, gets its answer, and sends its next commands.
/// When the late copies arrive, they change nothing.
#[test]
fn late_requests_3a() {
    run("late_requests_3a", |t: &Test| {
        const APPENDS: usize = 12;
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3));
        let mut clerk = cluster.make_client(&cluster.all());
        clerk.put("x", "");
        let ends: Vec<Name> = cluster.ends_of(cluster.client(&clerk)).into_iter().map(Name::from).collect();
        let (asked, late) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (of_test, count) = (Arc::clone(&asked), Arc::clone(&late));
        cluster.net().network().set_tap(move |event: &TapEvent<'_>| {
            let is_request = event.direction == Direction::Request && ends.contains(event.end);
            if is_request && of_test.swap(0, Ordering::SeqCst) > 0 {
                count.fetch_add(1, Ordering::SeqCst);
                return TapAction::Delay(Duration::from_millis(random_range(1000..2500)));
            }
            TapAction::Deliver
        });
        t.scene("The first copy of every other request takes more than a second.");
        for number in 0..APPENDS {
            asked.store((number as u64 + 1) % 2, Ordering::SeqCst);
            clerk.append("x", &element(0, number));
        }
        t.exercised(late.load(Ordering::SeqCst) > 0, "no request came late");
        t.scene("The last of them arrive.");
        for _ in 0..3 {
            thread::sleep(Duration::from_secs(1));
            expect_appends(t, &clerk.get("x"), &[(0, APPENDS)]);
        }
        cluster.net().network().clear_tap();
    });
}

/// This solution's own clerk, and its ends. Its operations return errors, which the recorded clerks of other
/// tests do not.
fn plain_clerk(cluster: &KvCluster<KvServer>) -> (Clerk, Vec<Name>) {
    let ends = cluster.all().into_iter().map(|server| {
        let (number, end) = cluster.net().make_end(cluster.name(server));
        cluster.net().network().enable(number, true);
        (Name::from(number), end)
    });
    let (names, ends): (Vec<Name>, Vec<ClientEnd>) = ends.unzip();
    (Clerk::new(ends), names)
}

/// A key or value that is too long is an error, and a clerk with a time limit gives up when no server can
/// answer. It is as good as before then: what it does next is another operation than the one that it gave up.
#[test]
fn limits_3a() {
    run("limits_3a", |t: &Test| {
        /// What a clerk may need beyond its time limit: a call that is under way.
        const MORE: Duration = Duration::from_secs(1);
        let cluster = KvCluster::<KvServer>::new(t, KvSetup::servers(3));
        let (mut clerk, ends) = plain_clerk(&cluster);
        let long = "k".repeat(MAX_KEY + 1);
        let outcomes = [clerk.get(&long).map(drop), clerk.put(&long, ""), clerk.append(&long, "v")];
        t.expect(outcomes == [Err(ClerkError::TooLarge); 3], || {
            format!("get, put and append with a key of {} bytes: {outcomes:?}", long.len())
        });
        t.expect(clerk.put(&long[1..], "v") == Ok(()), || {
            "a key of the greatest length is refused".to_owned()
        });
        let long = "v".repeat(MAX_VALUE + 1);
        let outcomes = [clerk.put("y", &long), clerk.append("y", &long)];
        t.expect(outcomes == [Err(ClerkError::TooLarge); 2], || {
            format!("put and append of {} bytes: {outcomes:?}", long.len())
        });
        t.scene("Appends fill a value to the greatest length. One more character is too much.");
        let half = "h".repeat(MAX_VALUE / 2);
        let filled =
            [clerk.put("z", &half), clerk.append("z", &half), clerk.append("z", &half[..MAX_VALUE % 2])];
        t.expect(filled == [Ok(()); 3], || format!("a put and appends of {MAX_VALUE} bytes: {filled:?}"));
        let outcome = clerk.append("z", "v");
        t.expect(outcome == Err(ClerkError::TooLarge), || {
            format!("an append to a value of the greatest length ended with {outcome:?}")
        });
        let length = clerk.get("z").map(|value| value.len());
        t.expect(length == Ok(MAX_VALUE), || {
            format!("a value of {MAX_VALUE} bytes has {length:?} after an append that was refused")
        });
        t.scene("No server has a majority. A clerk with a time limit gives up.");
        cluster.partition(&[&[0], &[1], &[2]]);
        for patience in [1000, 3000].map(Duration::from_millis) {
            let (operation, begun) = (Operation::Get { key: "x".to_owned() }, Instant::now());
            let outcome = clerk.operate(operation, Some(patience));
            let taken = begun.elapsed();
            t.expect(outcome == Err(ClerkError::TimedOut), || {
                format!("without a majority an operation with a time limit ended with {outcome:?}")
            });
            t.expect_in_time(!t.is_ordinary() || taken <= patience + MORE, || {
                format!("an operation with a time limit of {patience:?} took {taken:?}")
            });
        }
        t.scene("All links are restored. The answers to an append with a time limit are lost.");
        cluster.connect_all();
        cluster.net().network().set_tap(move |event: &TapEvent<'_>| {
            let is_lost = event.direction == Direction::Reply && ends.contains(event.end);
            if is_lost { TapAction::Drop } else { TapAction::Deliver }
        });
        let given_up = Operation::Append { key: "x".to_owned(), value: "u".to_owned() };
        let outcome = clerk.operate(given_up, Some(Duration::from_secs(3)));
        t.expect(outcome == Err(ClerkError::TimedOut), || {
            format!("an append whose answers are lost ended with {outcome:?}")
        });
        cluster.net().network().clear_tap();
        let outcome = clerk.append("x", "v");
        t.expect(outcome == Ok(()), || format!("an append after a time-out ended with {outcome:?}"));
        let read = clerk.get("x");
        t.expect(read.as_ref().is_ok_and(|value| value.contains('v')), || {
            format!("\"v\" was appended after an append that was given up, but a read says {read:?}")
        });
    });
}
