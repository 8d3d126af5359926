//! The harness of the key/value labs: what is right passes, and what is wrong is found out, in the right
//! words.

use std::time::Duration;

use labapi::{KvClerk, KvServer};
use labrt::thread;
use tester::{ELECTION, Test, Verdict, try_seed};
use tester_kv::{KvCluster, KvSetup, Workload, speed};

use crate::fake::*;

fn play(wrong: KvWrong, workload: Workload) -> Verdict {
    try_seed("kv", 1, move |t: &Test| {
        FakeKv::will_be(wrong);
        workload.run::<FakeKv>(t);
    })
}

fn on_cluster(
    wrong: KvWrong,
    setup: KvSetup,
    body: impl Fn(&KvCluster<FakeKv>) + Send + Sync + 'static,
) -> Verdict {
    try_seed("kv", 1, move |t: &Test| {
        FakeKv::will_be(wrong);
        body(&KvCluster::new(t, setup));
    })
}

#[track_caller]
fn assert_ok(verdict: &Verdict) {
    assert!(verdict.ok, "{}", verdict.text);
}

/// The test has failed in a way that `message` tells, and the report has all of `words`.
#[track_caller]
fn assert_failed(verdict: &Verdict, message: &str, words: &[&str]) {
    assert!(!verdict.ok && verdict.message.contains(message), "no {message:?} in {}", verdict.text);
    for word in words {
        assert!(verdict.text.contains(word), "no {word:?} in {}", verdict.text);
    }
}

#[test]
fn what_is_right_passes_every_kind_of_workload() {
    let workload = Workload::new(3, 3);
    for workload in [
        workload,
        workload.unreliable(),
        workload.restarts(),
        workload.partitions(),
        workload.snapshots(1000),
        workload.unreliable().restarts().partitions().random_keys(),
    ] {
        let verdict = play(KvWrong::Right, workload);
        assert_ok(&verdict);
        assert_eq!((verdict.report.warnings.as_slice(), verdict.report.peers), ([].as_slice(), 3));
    }
}

/// The checkers ask again and again, also in the middle of requests. That a server does not tell then says
/// nothing of its term.
#[test]
fn a_server_that_does_not_always_tell_its_term_has_not_lost_it() {
    assert_ok(&play(KvWrong::TellsWhenFree, Workload::new(3, 3)));
}

#[test]
fn clients_on_a_fast_network_write_no_endless_log() {
    let verdict = on_cluster(KvWrong::Right, KvSetup::servers(1), |cluster| {
        // Five microseconds there and back: a million operations in the test's 15 seconds.
        cluster.net().network().steady(Duration::from_nanos(2500));
        Workload::new(2, 1).play(cluster);
    });
    assert_ok(&verdict);
    // The last ones are the looks at the keys.
    let rpcs = verdict.report.rpcs;
    assert!((4000..5000).contains(&rpcs), "{rpcs} calls of two clients in three rounds");
}

#[test]
fn a_lost_append_is_missed_by_its_client_and_by_the_checker() {
    let verdict = play(KvWrong::Loses, Workload::new(1, 3));
    let words =
        ["is missing in", "broken expectation", "history: not linearizable", "stale read", "Append \"x 0 "];
    assert_failed(&verdict, "client 0 alone writes key \"0\", and has read it: append \"x 0 ", &words);
}

#[test]
fn a_repeated_append_is_seen_by_its_client_and_by_the_checker() {
    let verdict = play(KvWrong::Duplicates, Workload::new(1, 3).unreliable());
    assert_failed(&verdict, "is there twice in", &["client 0 alone writes key", "history: not linearizable"]);
}

#[test]
fn a_stale_read_is_seen_by_the_checker_alone() {
    let verdict = play(KvWrong::ReadsStale, Workload::new(3, 3).random_keys());
    assert_failed(
        &verdict,
        "not linearizable – key",
        &["stale read", "had already returned", "═", "cargo lab replay"],
    );
    assert_eq!(verdict.report.kind, Some(labreport::Kind::History));
    assert_eq!(verdict.invariant, None);
}

#[test]
fn a_history_that_is_right_is_said_to_be_when_something_else_is_wrong() {
    let verdict = on_cluster(KvWrong::Right, KvSetup::servers(3), |cluster| {
        cluster.make_client(&[0, 1, 2]).put("x", "1");
        cluster.test().fail("the end")
    });
    assert_failed(&verdict, "the end", &["history: linearizable: 1 operation,"]);
}

#[test]
fn a_client_that_waits_for_ever_is_named() {
    let verdict = play(KvWrong::Hangs, Workload::new(1, 3));
    assert_failed(
        &verdict,
        "expected client 0's last operation, after all faults have ended, to be done within 10 s",
        &["linearizable"],
    );
}

/// A test that waits for an answer itself comes to no end. Out of time is the run, but not the reason.
#[test]
fn an_answer_that_never_comes_was_expected() {
    let verdict = on_cluster(KvWrong::Hangs, KvSetup::servers(3), |cluster| {
        let mut client = cluster.make_client(&[0, 1, 2]);
        (0..50).for_each(|_| client.append("x", "1"));
    });
    let words = ["broken expectation", "out of virtual time at", "client 0 waits since", "FakeKvRpc.operate"];
    assert_failed(&verdict, "client 0's append of \"x\" has had no answer in", &words);
    assert_eq!(verdict.report.kind, Some(labreport::Kind::Expectation));
}

/// The same of calls that are no operations of a recorded client.
#[test]
fn a_call_that_waits_for_ever_is_told_with_its_server() {
    let verdict = on_cluster(KvWrong::Hangs, KvSetup::servers(3), |cluster| {
        let (number, end) = cluster.net().make_end(&labrpc::Name::from("server-0".to_owned()));
        cluster.net().network().enable(number, true);
        let mut clerk = FakeKv::clerk(vec![end]);
        (0..50).for_each(|_| clerk.append("x", "1"));
    });
    let message = "a call of clients waits at server-0, and nothing has been committed from 0.000 s on";
    assert_failed(&verdict, message, &["broken expectation", "out of virtual time at"]);
}

/// As long as nobody waited for it, it is the time that was missing.
#[test]
fn an_answer_that_is_not_late_is_not_missed() {
    let verdict = on_cluster(KvWrong::Right, KvSetup::servers(3), |cluster| {
        let mut client = cluster.make_client(&[0, 1, 2]);
        loop {
            client.append("x", "1");
            thread::sleep(ELECTION);
        }
    });
    assert_eq!(verdict.report.kind, Some(labreport::Kind::VirtualTime), "{}", verdict.text);
}

#[test]
fn slow_operations_are_too_slow() {
    let setup = KvSetup::servers(3);
    assert_ok(&on_cluster(KvWrong::Right, setup, speed));
    assert_failed(
        &on_cluster(KvWrong::Slow, setup, speed),
        "expected an operation to take at most 33.3 ms",
        &[],
    );
}

#[test]
fn logs_and_snapshots_have_bounds() {
    let workload = Workload::new(1, 3).snapshots(100);
    assert_failed(&play(KvWrong::KeepsAll, workload), "expected a Raft state of at most 800 bytes", &[]);
    assert_failed(
        &play(KvWrong::Snapshots, Workload::new(1, 3)),
        "expected snapshots of at most 0 bytes",
        &[],
    );
}

#[test]
fn a_client_reaches_only_the_servers_that_it_is_connected_to() {
    let verdict = on_cluster(KvWrong::Right, KvSetup::servers(3), |cluster| {
        let mut clerk = cluster.make_client(&[1, 2]);
        let client = cluster.client(&clerk);
        let waiting = thread::spawn(move || clerk.get("x"));
        thread::sleep(ELECTION);
        assert!(!waiting.is_finished(), "server 0 alone answers");
        cluster.connect_client(client, &[0]);
        thread::sleep(ELECTION);
        assert!(waiting.is_finished());
        assert!(cluster.calls_of(client) > 3);
    });
    assert_ok(&verdict);
}

#[test]
fn replies_can_be_cut_off() {
    let verdict = on_cluster(KvWrong::Right, KvSetup::servers(3), |cluster| {
        let mut clerk = cluster.make_client(&[0, 1, 2]);
        let client = cluster.client(&clerk);
        clerk.put("x", "");
        cluster.cut_replies(client, &[0], true);
        let appending = thread::spawn(move || clerk.append("x", "1"));
        thread::sleep(ELECTION);
        assert!(!appending.is_finished() && cluster.lost_replies() > 1);
        let mut other = cluster.make_client(&[0]);
        assert_eq!(other.get("x"), "1", "the request has arrived");
        cluster.cut_replies(client, &[0], false);
        thread::sleep(ELECTION);
        assert!(appending.is_finished());
        assert_eq!(other.get("x"), "1");
    });
    assert_ok(&verdict);
}

#[test]
fn the_number_of_a_client_that_is_gone_is_used_again() {
    let verdict = on_cluster(KvWrong::Right, KvSetup::servers(3), |cluster| {
        let (first, second) = (cluster.make_client(&[0]), cluster.make_client(&[0]));
        assert_eq!((first.number(), second.number()), (0, 1));
        drop(first);
        assert_eq!(cluster.make_client(&[0]).number(), 0);
    });
    assert_ok(&verdict);
}

#[test]
fn what_takes_too_long_is_named() {
    let verdict = on_cluster(KvWrong::Right, KvSetup::servers(3), |cluster| {
        let mut clerk = cluster.make_client(&[1]);
        cluster.within(Duration::from_secs(2), "a read from server 1", move || clerk.get("x"));
    });
    assert_failed(
        &verdict,
        "expected a read from server 1 to be done within 2 s",
        &["history: nothing was observed: the one operation never returned"],
    );
}

#[test]
fn the_leader_is_in_the_minority() {
    let verdict = on_cluster(KvWrong::Right, KvSetup::servers(5), |cluster| {
        assert_eq!(cluster.make_partition(), (vec![1, 2, 3], vec![4, 0]));
    });
    assert_ok(&verdict);
}

/// Faults are told beside the operations that do not fit.
#[test]
fn faults_stand_beside_the_operations() {
    let verdict = on_cluster(KvWrong::ReadsStale, KvSetup::servers(3), |cluster| {
        let (mut writer, mut reader) = (cluster.make_client(&[0]), cluster.make_client(&[2]));
        cluster.crash(1);
        cluster.restart(1);
        cluster.connect(1);
        cluster.disconnect(2);
        writer.put("x", "1");
        assert_eq!(reader.get("x"), "", "it is cut off and does not mind");
    });
    assert_failed(
        &verdict,
        "stale read",
        &["links     ░ disconnected server-2 ░", "crash     ░ down server-1"],
    );
}
