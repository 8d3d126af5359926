//! What the checkers see of a solution without an observer: each rule is broken by a fake that breaks only
//! it. The fake knows one term, so rules that compare terms are tested where they stand (`outside/`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use labrt::runtime::catch_panic;
use labrt::thread;
use tester::{Cluster, Invariant, Retry, Setup, Test, Unwatched, Verdict, try_seed};

use crate::fake::*;
use crate::process::unfolded;

/// Five commands; then a follower crashes and starts again.
fn verdict(wrong: Wrong) -> Verdict {
    try_seed("fake", 1, move |t: &Test| {
        Fake::will_be(wrong);
        let cluster = Cluster::<Unwatched<Fake>>::new(t, Setup::servers(3));
        for command in 1..=5 {
            cluster.agree_on(command, 3, Retry::No);
        }
        cluster.crash(1);
        cluster.agree_on(6, 2, Retry::No);
        cluster.restart(1);
        cluster.connect(1);
        cluster.agree_on(7, 3, Retry::No);
        thread::sleep(Duration::from_secs(1));
    })
}

#[track_caller]
fn assert_broken(wrong: Wrong, invariant: Invariant, words: &[&str]) {
    let verdict = verdict(wrong);
    assert_eq!(verdict.invariant, Some(invariant), "{}", verdict.text);
    for word in words {
        assert!(unfolded(&verdict.text).contains(word), "no {word:?} in {}", verdict.text);
    }
}

#[test]
fn what_is_right_passes_and_the_report_says_what_was_not_watched() {
    let verdict = verdict(Wrong::Nothing);
    assert!(verdict.ok, "{}", verdict.text);
    let logs = "logs, roles and commit indices at each change: the servers do not show them (`watch`)";
    // The fake's leader leads without an election.
    let votes = "votes on the wire: a server leads, but `wire` reads no request that asks for one";
    let mut unwatched = verdict.report.unwatched.clone();
    unwatched.sort_unstable();
    assert_eq!(unwatched, [logs, votes]);
    assert!(verdict.text.contains("not watched: logs, roles"), "{}", verdict.text);
}

/// A `wire` is there, and yet the rules of the wire are blind.
#[test]
fn a_wire_that_reads_nothing_is_told() {
    let verdict = verdict(Wrong::ReadsNothing);
    assert!(verdict.ok, "{}", verdict.text);
    for what in
        ["votes on the wire: a server leads", "entries and acknowledgements on the wire: services get"]
    {
        let gap = verdict.report.unwatched.iter().find(|gap| gap.starts_with(what));
        let names_method = gap.is_some_and(|gap| gap.ends_with("(it reads nothing of `FakeRpc.copy`)"));
        assert!(names_method, "{}", verdict.text);
    }
}

/// Otherwise a process that runs many seeds fills its memory.
#[test]
fn no_server_is_left_when_its_run_is_over() {
    let made = Arc::new(Mutex::new(Vec::new()));
    let of_run = Arc::clone(&made);
    let verdict = try_seed("fake", 1, move |t: &Test| {
        Fake::will_be(Wrong::Nothing);
        let cluster = Cluster::<Unwatched<Fake>>::new(t, Setup::servers(3));
        cluster.agree_on(1, 3, Retry::No);
        cluster.crash(1);
        cluster.restart(1);
        *of_run.lock().unwrap() = Fake::made();
    });
    assert!(verdict.ok, "{}", verdict.text);
    let left: Vec<bool> = made.lock().unwrap().iter().map(|server| server.strong_count() > 0).collect();
    assert_eq!(left, [false; 4]);
}

#[test]
fn two_leaders_of_one_term_are_seen() {
    assert_broken(Wrong::AllLead, Invariant::ElectionSafety, &["servers 0 and", "leaders of term 1"]);
}

#[test]
fn a_term_that_goes_back_is_seen() {
    assert_broken(
        Wrong::GoesBack,
        Invariant::GrowingTerm,
        &["is in term 1 (its life 1)", "in term 2 before"],
    );
}

#[test]
fn a_term_that_is_lost_in_a_crash_is_seen() {
    assert_broken(
        Wrong::ForgetsTerm,
        Invariant::GrowingTerm,
        &["server 1", "(its life 2)", "in term 2 before"],
    );
}

#[test]
fn two_votes_in_one_term_are_seen() {
    assert_broken(Wrong::VotesTwice, Invariant::OneVote, &["server 0 votes for servers", "in term 1"]);
}

#[test]
fn different_entries_of_one_index_and_term_are_seen() {
    assert_broken(
        Wrong::SendsOther,
        Invariant::LogMatching,
        &["different commands at index 1, both of term 1"],
    );
}

#[test]
fn a_commit_index_without_acknowledgements_is_seen() {
    assert_broken(
        Wrong::CommitsAlone,
        Invariant::LeaderCompleteness,
        &["server 0", "index 1", "only 1 of 3"],
    );
}

#[test]
fn a_promise_that_never_reached_the_disk_is_seen_at_the_restart() {
    assert_broken(
        Wrong::NeverWrites,
        Invariant::DurablePromise,
        &["server 1 is restarted", "index 5 (term 1)"],
    );
}

#[test]
fn a_promise_that_is_written_late_is_seen() {
    assert_broken(
        Wrong::WritesLate,
        Invariant::DurablePromise,
        &["acknowledged the entry at index", "(term 1) without a write to its disk since"],
    );
}

#[test]
fn different_applied_commands_are_seen() {
    assert_broken(Wrong::AppliesOther, Invariant::StateMachineSafety, &["index 1", "applied"]);
}

#[test]
fn different_terms_of_an_applied_entry_are_seen() {
    let words = ["hands over index 1 as an entry of term", "as one of term"];
    assert_broken(Wrong::TellsOtherTerm, Invariant::StateMachineSafety, &words);
}

#[test]
fn a_thread_that_writes_after_the_crash_is_named() {
    let words = ["server 1", "writes to its disk (", "fake.rs:", "by thread `immortal` of `elsewhere`"];
    assert_broken(Wrong::OutlivesCrash, Invariant::DeadServer, &words);
}

/// Waits for long when it is dropped.
struct SlowDrop;

impl Drop for SlowDrop {
    fn drop(&mut self) {
        thread::sleep(Duration::from_secs(2));
    }
}

/// std says of all threads of a simulation that they panic while one of them waits in a destructor.
#[test]
fn a_dead_server_is_seen_while_another_thread_unwinds() {
    let verdict = try_seed("fake", 1, |t: &Test| {
        Fake::will_be(Wrong::OutlivesCrash);
        let cluster = Cluster::<Unwatched<Fake>>::new(t, Setup::servers(3));
        cluster.agree_on(1, 3, Retry::No);
        thread::spawn(|| {
            let caught: Result<(), String> = catch_panic(|| {
                let _slow = SlowDrop;
                panic!("on purpose")
            });
            caught
        });
        thread::sleep(Duration::from_millis(1));
        cluster.crash(1);
        thread::sleep(Duration::from_secs(1));
    });
    assert_eq!(verdict.invariant, Some(Invariant::DeadServer), "{}", verdict.text);
}

/// No thread of the server does it: the tester lets go of the last reference to it.
#[test]
fn a_destructor_that_acts_is_no_thread_that_lives_on() {
    for wrong in [Wrong::WritesWhenDropped, Wrong::CallsWhenDropped] {
        let watched = try_seed("fake", 1, move |t: &Test| {
            Fake::will_be(wrong);
            let cluster = Cluster::<Fake>::new(t, Setup::servers(3));
            cluster.agree_on(1, 3, Retry::No);
            cluster.crash(1);
            thread::sleep(Duration::from_secs(1));
        });
        for verdict in [verdict(wrong), watched] {
            assert!(verdict.ok, "{}", verdict.text);
        }
    }
}

#[test]
fn a_thread_that_calls_after_the_crash_is_named() {
    let words = ["server 1", "calls another server (", "fake.rs:", "by thread `immortal` of `elsewhere`"];
    assert_broken(Wrong::OutlivesCalling, Invariant::DeadServer, &words);
}

#[test]
fn a_command_after_the_crash_is_seen() {
    assert_broken(
        Wrong::OutlivesApplying,
        Invariant::DeadServer,
        &["server 1", "hands index 1 to its service"],
    );
}

/// Every call into a server runs on its node, so whatever `start` spawns ends with the server.
#[test]
fn threads_that_start_spawns_die_with_their_server() {
    let verdict = try_seed("fake", 1, |t: &Test| {
        Fake::will_be(Wrong::StartSpawns);
        let cluster = Cluster::<Unwatched<Fake>>::new(t, Setup::servers(3));
        cluster.agree_on(1, 3, Retry::No);
        let disk = cluster.persister(0);
        let before = disk.writes();
        thread::sleep(Duration::from_secs(1));
        assert!(disk.writes() >= before + 40, "the thread writes every 20 ms");
        cluster.crash(0);
        let at_crash = disk.writes();
        thread::sleep(Duration::from_secs(1));
        assert_eq!(disk.writes(), at_crash, "a dead server does not write");
    });
    assert!(verdict.ok, "{}", verdict.text);
}

/// Between two looks at `get_state`, and no later than the crash.
#[test]
fn a_server_is_looked_at_right_before_its_crash() {
    let verdict = try_seed("fake", 1, |t: &Test| {
        Fake::will_be(Wrong::GoesBack);
        let cluster = Cluster::<Unwatched<Fake>>::new(t, Setup::servers(3));
        thread::sleep(Duration::from_millis(10));
        cluster.start(0, 1);
        cluster.start(0, 2);
        cluster.crash(0);
    });
    assert_eq!(verdict.invariant, Some(Invariant::GrowingTerm), "{}", verdict.text);
    assert!(verdict.text.contains("seen at 0.010000 s"), "{}", verdict.text);
}
