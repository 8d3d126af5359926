//! Each checker is broken on purpose, and must say so.

use labrt::node::Node;
use tester::{Cluster, Invariant, Retry, Setup, Test, Verdict, try_seed};

use crate::fake::*;
use crate::process::unfolded;

/// Five commands; then a follower crashes and starts again.
fn play(t: &Test, wrong: Wrong) {
    Fake::will_be(wrong);
    let cluster = Cluster::<Fake>::new(t, Setup::servers(3));
    for command in 1..=5 {
        cluster.agree_on(command, 3, Retry::No);
    }
    cluster.crash(1);
    cluster.agree_on(6, 2, Retry::No);
    cluster.restart(1);
    cluster.connect(1);
    cluster.agree_on(7, 3, Retry::No);
}

fn verdict(wrong: Wrong) -> Verdict {
    try_seed("fake", 1, move |t| play(t, wrong))
}

#[track_caller]
fn assert_broken(wrong: Wrong, invariant: Invariant, words: &[&str]) {
    let verdict = verdict(wrong);
    assert_eq!(verdict.invariant, Some(invariant), "{}", verdict.text);
    for word in words {
        assert!(verdict.message.contains(word), "no {word:?} in {:?}", verdict.message);
    }
    assert!(verdict.text.contains(&format!("broken invariant: {invariant}")), "{}", verdict.text);
    assert!(verdict.text.contains("cargo lab replay fake --seed 1"), "{}", verdict.text);
}

#[test]
fn what_is_right_passes() {
    let verdict = verdict(Wrong::Nothing);
    assert!(verdict.ok, "{}", verdict.text);
    assert!(verdict.text.contains("3 peers") && verdict.text.contains("7 commands"), "{}", verdict.text);
}

#[test]
fn what_some_servers_do_not_show_is_not_watched() {
    for (wrong, words) in [(Wrong::OneHides, "of some servers"), (Wrong::ShowsNoMore, "at some changes")] {
        let verdict = try_seed("fake", 1, move |t: &Test| {
            Fake::will_be(wrong);
            let cluster = Cluster::<Fake>::new(t, Setup::servers(3));
            for command in 1..=5 {
                cluster.agree_on(command, 3, Retry::No);
            }
        });
        let Verdict { ok, text, report, .. } = verdict;
        assert!(ok, "{text}");
        let told = |gap: &String| gap.starts_with(&format!("logs, roles and commit indices {words}: "));
        assert!(report.unwatched.iter().any(told), "{text}");
    }
}

#[test]
fn two_leaders_of_one_term_are_seen() {
    assert_broken(Wrong::AllLead, Invariant::ElectionSafety, &["servers 0 and 1", "term 1"]);
}

#[test]
fn a_leader_that_changes_its_log_is_seen() {
    assert_broken(Wrong::LeaderRewrites, Invariant::LeaderAppendOnly, &["server 0", "term 1", "index 1"]);
}

#[test]
fn different_commands_in_one_place_are_seen() {
    assert_broken(Wrong::FollowersAlter, Invariant::LogMatching, &["servers 0 and", "index 1"]);
}

#[test]
fn commitment_without_a_majority_is_seen() {
    assert_broken(
        Wrong::CommitsAlone,
        Invariant::LeaderCompleteness,
        &["server 0", "index 1", "only 1 of 3"],
    );
}

#[test]
fn different_applied_commands_are_seen() {
    assert_broken(Wrong::AppliesOther, Invariant::StateMachineSafety, &["index 1", "applied"]);
}

#[test]
fn a_command_that_is_applied_twice_is_seen() {
    assert_broken(Wrong::AppliesTwice, Invariant::ApplyOrder, &["index 1", "expects 2"]);
}

#[test]
fn an_entry_that_no_leader_made_is_seen() {
    assert_broken(
        Wrong::Invents,
        Invariant::LogOrigin,
        &["server 1, follower of term 1", "at index 2 of term 1"],
    );
}

#[test]
fn a_dropped_entry_is_seen() {
    assert_broken(
        Wrong::Forgets,
        Invariant::AcknowledgedEntry,
        &["dropped the entry at index 1", "from server 0"],
    );
}

#[test]
fn an_entry_that_is_not_in_what_was_written_is_seen() {
    assert_broken(
        Wrong::WritesEmpty,
        Invariant::AcknowledgedEntry,
        &["server 1", "lost in a crash", "index 1"],
    );
}

#[test]
fn a_server_that_survives_its_crash_is_seen() {
    assert_broken(Wrong::OutlivesCrash, Invariant::DeadServer, &["server 1"]);
}

#[test]
fn a_panic_names_server_thread_and_time() {
    let verdict = verdict(Wrong::HandlerPanics);
    assert!(!verdict.ok);
    for word in ["step != 0", "FakeRpc.copy", "server-", "seed 1", "panic at 0.0"] {
        assert!(unfolded(&verdict.text).contains(word), "no {word:?} in {}", verdict.text);
    }
}

/// A test's own clients may have nodes of their own. What they assert is expected all the same.
#[test]
fn an_assertion_of_the_test_is_an_expectation_on_any_node() {
    let verdict = try_seed("fake", 1, |_: &Test| {
        let client = Node::new("client-30").spawn("worker", || assert_eq!(1 + 1, 3, "two hold the lock"));
        let _ = client.join();
    });
    assert_eq!(verdict.report.kind, Some(labreport::Kind::Expectation), "{}", verdict.text);
    for word in ["two hold the lock", "checkers.rs:", "`worker` of `client-30`"] {
        assert!(unfolded(&verdict.text).contains(word), "no {word:?} in {}", verdict.text);
    }
}
