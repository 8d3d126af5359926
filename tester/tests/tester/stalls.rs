//! A report of something that did not happen says where progress was due.

use std::time::Duration;

use labrt::thread;
use tester::{Cluster, Retry, Setup, Test, Verdict, try_seed};

use crate::fake::{Fake, Wrong};

fn play(wrong: Wrong, body: impl Fn(&Cluster<Fake>) + Send + Sync + 'static) -> Verdict {
    try_seed("stalls", 7, move |t: &Test| {
        Fake::will_be(wrong);
        body(&Cluster::new(t, Setup::servers(3)));
    })
}

#[track_caller]
fn assert_says(verdict: &Verdict, words: &[&str]) {
    assert!(!verdict.ok, "it passed");
    // Lines are broken at the width.
    let text = verdict.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in words {
        assert!(text.contains(words), "`{words}` is not in: {}", verdict.text);
    }
}

#[test]
fn too_few_servers_are_up() {
    let verdict = play(Wrong::Nothing, |cluster| {
        cluster.agree_on(1, 3, Retry::No);
        cluster.crash(1);
        cluster.crash(2);
        cluster.agree_on(2, 2, Retry::Yes);
    });
    assert_says(&verdict, &["nothing was committed behind index 1", "1 of 3 servers are up and connected"]);
    assert_says(&verdict, &["0 leads term 1", "1 crashed"]);
}

#[test]
fn requests_of_the_leader_do_not_arrive() {
    let verdict = play(Wrong::Nothing, |cluster| {
        cluster.agree_on(1, 3, Retry::No);
        cluster.disconnect(0);
        cluster.agree_on(2, 2, Retry::Yes);
    });
    assert_says(
        &verdict,
        &["server 0 leads term 1; its last calls to 1 and 2 did not arrive", "leads term 1, cut off"],
    );
}

#[test]
fn nobody_acknowledges() {
    let verdict = play(Wrong::AdmitsNothing, |cluster| {
        thread::sleep(Duration::from_millis(100));
        cluster.agree_on(1, 3, Retry::Yes);
    });
    assert_says(&verdict, &["nothing was committed behind index 0", "1 and 2 refuse all it sends"]);
    assert_says(&verdict, &["threads:"]);
}

fn assert_fits_a_screen(verdict: &Verdict) {
    let lines: Vec<&str> = verdict.text.lines().collect();
    assert!(lines.len() <= 40, "{} lines: {}", lines.len(), verdict.text);
}

/// One command, and what is said when it is not agreed on.
fn stands_still(wrong: Wrong, words: &[&str]) {
    let verdict = play(wrong, |cluster| {
        thread::sleep(Duration::from_millis(100));
        cluster.agree_on(1, 3, Retry::No);
    });
    assert_says(&verdict, words);
    assert_fits_a_screen(&verdict);
}

#[test]
fn a_command_is_not_sent() {
    stands_still(
        Wrong::KeepsCommands,
        &["server 0 leads term 1; it took a command at index 1, and sends no such entry"],
    );
}

#[test]
fn acknowledgements_are_not_counted() {
    stands_still(
        Wrong::CountsNothing,
        &["has entries up to 1; 1 and 2 acknowledged index 1: to count that was due"],
    );
}

/// What arrived is not said to be lost.
#[test]
fn handlers_do_not_return() {
    stands_still(
        Wrong::NeverReturns,
        &[
            "its last calls to 1 and 2 arrived, and their handlers have not returned",
            "are with handlers that have not returned",
            "threads such as `FakeRpc.copy` of",
        ],
    );
}

#[test]
fn nothing_is_handed_to_the_service() {
    stands_still(
        Wrong::NeverApplies,
        &["index 1 is committed, and was not handed to the service on 0, 1 and 2: that was due"],
    );
}

/// What was seen of a server before it hung is not told as what it is.
#[test]
fn a_lock_is_never_given_up() {
    stands_still(
        Wrong::KeepsLock,
        &["0 has not answered `get_state` since", "0 led term 1", "held by `keeper` of `server-0` since"],
    );
}

/// A circle of locks ends the run at once, and its lines are all that there is to say.
#[test]
fn two_locks_in_two_orders() {
    let verdict = play(Wrong::TwoLocks, |cluster| {
        cluster.agree_on(1, 3, Retry::Yes);
    });
    assert_says(&verdict, &["the cycle: ", "fake.rs", "held by"]);
    assert!(!verdict.text.contains("nothing was committed"), "{}", verdict.text);
}

/// What is seen at once, and not waited for, has no such words.
#[test]
fn other_failures_say_nothing_of_it() {
    let verdict = play(Wrong::Nothing, |cluster| cluster.test().fail("a broken expectation"));
    assert!(!verdict.text.contains("nothing was committed"), "{}", verdict.text);
}

/// What is waited for is looked at until it is there, and the report says for how long and who waits.
#[test]
fn what_does_not_come_is_named() {
    let waits = |limit: u64| {
        play(Wrong::Nothing, move |cluster| {
            let begun = labrt::time::Instant::now();
            let is_over = || (begun.elapsed() >= Duration::from_millis(40)).then_some(7);
            let found =
                cluster.test().wait_for(Duration::from_millis(limit), "forty milliseconds pass", is_over);
            assert_eq!((found, begun.elapsed()), (7, Duration::from_millis(40)));
        })
    };
    assert!(waits(50).ok, "{}", waits(50).text);
    assert_says(&waits(30), &["after 30 ms still not: forty milliseconds pass"]);
}
