//! The verbs do what they say, and tell the story.

use std::time::Duration;

use labrt::thread;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, Verdict, try_seed};

use crate::fake::Fake;
use crate::process::unfolded;

type Servers = Cluster<Fake>;

fn play(body: impl Fn(&Servers) + Send + Sync + 'static) -> Verdict {
    try_seed("verbs", 7, move |t: &Test| body(&Servers::new(t, Setup::servers(3))))
}

#[track_caller]
fn assert_ok(verdict: &Verdict) {
    assert!(verdict.ok, "{}", verdict.text);
}

#[test]
fn only_servers_with_links_agree() {
    assert_ok(&play(|cluster| {
        cluster.disconnect(2);
        let index = cluster.agree_on(1, 2, Retry::No);
        thread::sleep(ELECTION);
        assert_eq!(cluster.n_committed(index), (2, Some(Command::from(1))));
        cluster.connect(2);
        assert_eq!(cluster.wait_committed(index, 3, None), Ok(Command::from(1)));
    }));
}

#[test]
fn a_partition_leaves_links_on_either_side_only() {
    assert_ok(&play(|cluster| {
        cluster.partition(&[&[0, 1], &[2]]);
        let index = cluster.agree_on(1, 2, Retry::No);
        thread::sleep(ELECTION);
        assert_eq!(cluster.n_committed(index).0, 2);
        cluster.disconnect(1);
        cluster.heal();
        let next = cluster.agree_on(2, 2, Retry::No);
        thread::sleep(ELECTION);
        assert_eq!(cluster.n_committed(next).0, 2, "healing does not connect what is disconnected");
    }));
}

#[test]
fn a_crashed_server_is_gone_and_comes_back_with_its_disk() {
    assert_ok(&play(|cluster| {
        cluster.agree_on(1, 3, Retry::No);
        let writes = cluster.persister(1).writes();
        cluster.crash(1);
        assert!(!cluster.is_alive(1) && !cluster.is_connected(1));
        assert_eq!(cluster.start(1, 5), None);
        assert_eq!(cluster.rpc_count(1), 0);
        thread::sleep(ELECTION);
        assert_eq!(cluster.persister(1).writes(), writes, "a dead server does not write");
        cluster.restart(1);
        assert!(cluster.is_alive(1) && !cluster.is_connected(1), "a restarted server has no links yet");
        cluster.connect(1);
        assert_eq!(cluster.agree_on(2, 3, Retry::No), 2, "the first command was on the disk");
    }));
}

#[test]
fn a_server_can_be_crashed_at_a_write() {
    assert_ok(&play(|cluster| {
        cluster.agree_on(1, 3, Retry::No);
        cluster.on_write(1, |group, _| group.crash(1));
        let before = cluster.persister(1).writes();
        let index = cluster.agree_on(2, 2, Retry::No);
        thread::sleep(ELECTION);
        assert!(!cluster.is_alive(1));
        assert_eq!(cluster.persister(1).writes(), before + 1, "it stopped right behind the write");
        assert_eq!(cluster.n_committed(index).0, 2);
        cluster.recover();
    }));
}

#[test]
fn no_agreement_without_enough_servers() {
    let verdict = play(|cluster| {
        cluster.crash(1);
        cluster.crash(2);
        cluster.agree_on(1, 2, Retry::Yes);
    });
    assert!(verdict.message.contains("did not within 10 s"), "{}", verdict.message);
    assert!(verdict.text.contains("broken expectation"), "{}", verdict.text);
}

#[test]
fn an_impatient_agreement_says_what_was_applied_instead() {
    let verdict = play(|cluster| {
        cluster.disconnect(2);
        cluster.agree_on(1, 3, Retry::No);
    });
    assert!(verdict.message.contains("but 2 have applied 1 there"), "{}", verdict.message);
}

#[test]
fn a_leader_is_waited_for_and_not_found() {
    let verdict = play(|cluster| {
        assert_eq!(cluster.check_one_leader(), 0);
        assert_eq!(cluster.check_terms_agree(), 1);
        cluster.disconnect(0);
        cluster.check_no_leader();
        cluster.check_one_leader();
    });
    assert!(verdict.message.contains("for 5 seconds no connected server led"), "{}", verdict.message);
}

#[test]
fn the_story_has_scenes_verbs_and_a_column_for_each_server() {
    let verdict = play(|cluster| {
        cluster.test().scene("The beginning.");
        cluster.agree_on(1, 3, Retry::No);
        cluster.disconnect(2);
        thread::sleep(Duration::from_millis(1500));
        cluster.test().fail("the end")
    });
    let lines: Vec<&str> = verdict.text.lines().collect();
    let find = |word: &str| lines.iter().position(|line| line.contains(word));
    let places = [
        "server 2",
        "LEADER of 1",
        "── The beginning.",
        "start -> 1",
        "commits ..1",
        "agree_on(1, 3)",
        "the end",
    ];
    let found: Vec<_> = places.iter().map(|word| find(word)).collect();
    assert!(found.iter().all(Option::is_some) && found.is_sorted(), "{found:?} of {}", verdict.text);
    let header = lines[found[0].unwrap_or_default()];
    let cut = lines[find("disconnect").unwrap_or_default()];
    assert_eq!(header.find("server 2"), cut.find("disconnect"), "{}", verdict.text);
}

#[test]
fn equal_seeds_tell_equal_stories() {
    let story = || {
        play(|cluster| {
            cluster.agree_on(Command::random(), 3, Retry::No);
            cluster.test().fail("the end")
        })
    };
    let [first, second] = [story(), story()];
    assert_eq!(first.text, second.text);
    assert_eq!((first.report.hash.len(), &first.report.hash), (16, &second.report.hash));
}

/// An assertion may have no words.
#[test]
fn an_assertion_of_the_test_says_where_it_stands() {
    let (verdict, line) = (play(|_| assert_eq!(Some(1), None)), line!());
    assert!(!verdict.ok);
    let place = format!("failed (tester/tests/tester/verbs.rs:{line}:");
    assert!(unfolded(&verdict.text).contains(&place), "no {place:?} in {}", verdict.text);
    assert!(unfolded(&verdict.text).contains("left: Some(1)"), "{}", verdict.text);
}

/// The end of a test is none of the situations that it was about.
#[test]
fn crashes_at_the_end_of_a_test_do_not_count() {
    let crashes = |verdict: &Verdict| verdict.report.exercised.get("crashes").copied();
    let ended = play(|cluster| cluster.end());
    assert_eq!(crashes(&ended), None, "{ended:?}");
    let crashed = play(|cluster| {
        cluster.crash(1);
        cluster.end();
    });
    assert_eq!(crashes(&crashed), Some(1), "{crashed:?}");
}

#[test]
fn a_test_that_showed_nothing_says_so() {
    let verdict = play(|cluster| cluster.test().exercised(false, "nothing ever failed"));
    assert_ok(&verdict);
    assert_eq!(verdict.report.warnings, ["not exercised: nothing ever failed"]);
}
