//! `list`, `test`, `replay` and `bench`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Said, lab};

const FIGURES: &str = "virtual 3.1 s, real 0.2 ms, 3 peers, 58 RPCs, 6120 bytes";

#[test]
fn list_shows_labs_parts_tests_and_points() {
    let said = lab(&["list", "1A"]).ended(0);
    assert!(
        said.out.starts_with("mini  a lab for the tests of the command line (3 tests, 3 points)\n"),
        "{}",
        said.out
    );
    assert_eq!(said.row("warns_1a"), ["warns_1a", "1", "passes", "with", "a", "warning"]);
    assert!(!said.out.contains("1B"));
    // The name of a group means all its labs.
    assert_eq!(lab(&["list", "minis"]).ended(0).out, lab(&["list", "mini"]).ended(0).out);
}

/// The processes that any thread of this one has started.
pub(crate) fn children(process: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The test's process is in a group of its own, so it must be ended by `lab`.
#[test]
fn ctrl_c_ends_the_tests_too() {
    let mut command = crate::command(&["test", "hangs_1c", "--seed", "2"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lab can be run");
    let begun = Instant::now();
    let test = loop {
        // cargo is a child of `lab`, too.
        let name = |process: &String| fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        if let Some(test) = children(child.id()).into_iter().find(|process| name(process).starts_with("mini"))
        {
            break test;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the test does not start");
        sleep(Duration::from_millis(2));
    };
    let status = Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
    assert!(status.expect("kill can be run").success());
    let said = Said::new(child.wait_with_output().expect("lab ends")).ended(130);
    assert!(said.out.contains("interrupted after 0 tests"), "{}", said.out);
    assert!(!Path::new(&format!("/proc/{test}")).exists(), "the test goes on");
}

#[test]
fn list_check_finds_what_is_missing() {
    let said = lab(&["list", "--check"]).ended(1);
    assert!(
        said.out.contains("missing: part_1d::missing_1d is in labs.toml and not in mini"),
        "{}",
        said.out
    );
    assert!(!said.out.contains("unlisted"));
}

#[test]
fn test_prints_a_line_for_each_test_as_the_course_does() {
    let said = lab(&["test", "1A", "--seed", "7"]).ended(0);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[0], format!("Test (1A): passes ... Passed -- {FIGURES}"));
    assert_eq!(lines[1], format!("Test (1A): passes with a warning ... Passed -- {FIGURES}"));
    assert_eq!(lines[2], "    warning: not exercised: no leader ever lost");
    assert!(lines[4].starts_with("3 tests passed in ") && lines[4].ends_with("(seed 7)"), "{}", said.out);
}

#[test]
fn test_counts_points_and_says_of_which() {
    let last = |said: Said| said.out.lines().last().unwrap_or_default().to_owned();
    assert!(last(lab(&["test", "1A", "--seed", "7"]).ended(0)).contains(", 3 of 3 points (seed 7)"));
    let failed = last(lab(&["test", "fails_1c", "1A", "answer_1b", "--seed", "20"]).ended(1));
    assert!(failed.starts_with("1 of 5 tests failed in ") && failed.contains(", 8 of 8 points"), "{failed}");
    // Nothing to earn, nothing said.
    assert!(!last(lab(&["test", "slow_1a"]).ended(0)).contains("points"));
}

#[test]
fn tests_without_points_stand_below_the_reason() {
    let heading = "directed: no points, for the tests above cover the same\n";
    for said in [lab(&["list", "1C"]).ended(0), lab(&["test", "limits_1c"]).ended(1)] {
        let (_, below) = said.out.split_once(heading).unwrap_or_else(|| panic!("{}", said.out));
        assert!(below.contains("tells the limits") && !below.contains("data race"), "{}", said.out);
    }
}

/// No pass, and no failure either: a verdict, a count and an exit code of its own.
#[test]
fn a_test_without_a_processor_is_inconclusive() {
    let said = lab(&["test", "starves_1c", "passes_1a", "--seed", "4"]).ended(3);
    let line = "gets no processor at seed 4 ... INCONCLUSIVE -- seed 4: starved: no processor for 80 ms";
    assert!(said.out.contains(line), "{}", said.out);
    let last = said.out.lines().last().unwrap_or_default();
    assert!(last.starts_with("1 of 2 tests inconclusive in ") && last.contains(", 2 of 5 points"), "{last}");
    lab(&["replay", "starves_1c", "--seed", "4"]).ended(3);
}

#[test]
fn test_prints_the_whole_report_of_a_failure_and_how_to_replay_it() {
    let said = lab(&["test", "fails_1c", "passes_1a", "--seed", "20", "--swarm"]).ended(1);
    let expected = "Test (1C): fails at every tenth seed ... FAILED -- seed 20: ElectionSafety: seed 20 is round\n    \
                    The leader is cut off.\n    Two leaders in term 4.\n    \
                    replay: cargo lab replay fails_1c --seed 20 --swarm\n";
    assert!(said.out.contains(expected), "{}", said.out);
    assert!(said.out.contains("1 of 2 tests failed"), "{}", said.out);
}

#[test]
fn tests_are_named_by_part_by_spelling_of_the_course_and_by_piece() {
    for name in ["passes_1a", "TestPasses1A", "part_1a::passes_1a", "passes"] {
        let said = lab(&["test", name, "--seed", "1"]).ended(0);
        assert!(said.out.contains("1 test passed"), "{name}: {}", said.out);
    }
}

#[test]
fn every_run_draws_another_seed() {
    let seed = || {
        lab(&["test", "passes_1a"])
            .ended(0)
            .out
            .lines()
            .last()
            .map(|line| line.rsplit(' ').next().map(str::to_owned))
    };
    assert_ne!(seed(), seed());
}

#[test]
fn test_binaries_are_told_their_limits() {
    let said = lab(&["test", "limits_1c", "--swarm", "--threads"]).ended(1);
    let told = "LAB_VIRTUAL_LIMIT_S=7 LAB_REAL_LIMIT_S=60 LAB_MEMORY_LIMIT_MB=65 LAB_RUNTIME=threads LAB_REPORT=socket LAB_SWARM=1";
    assert!(said.out.contains(told), "{}", said.out);
}

#[test]
fn replay_shows_a_column_for_each_server_and_then_the_story() {
    let said = lab(&["replay", "passes_1a", "--seed", "4", "--columns-width", "90"]).ended(0);
    let expected = "\
seconds       server-0                 server-1                 test
──────────────────────────────────────────────────────────────────────────────────────────
0.001500                               vote starts an election
                                       for term 1
0.001600      vote grants its vote to
              server-1
0.001800                                                        fault disconnects
                                                                server-0
Test (1A): passes ... Passed -- ";
    assert!(said.out.starts_with(expected), "{}", said.out);
}

#[test]
fn replay_filters_by_topic() {
    let just = lab(&["replay", "passes_1a", "--seed", "4", "--just", "lock,fault"]).ended(0);
    assert!(
        just.out.contains("lock state")
            && just.out.contains("fault disconnects")
            && !just.out.contains("vote")
    );
    let ignore = lab(&["replay", "passes_1a", "--seed", "4", "-i", "vote"]).ended(0);
    assert!(
        !ignore.out.contains("vote")
            && ignore.out.contains("fault disconnects")
            && !ignore.out.contains("lock")
    );
}

#[test]
fn replay_of_a_failure_tells_its_story() {
    let said = lab(&["replay", "fails_1c", "--seed", "30"]).ended(1);
    assert!(said.out.contains("    Two leaders in term 4.\n"), "{}", said.out);
}

#[test]
fn bench_compares_with_the_bounds() {
    let said = lab(&["bench", "--seconds", "0.3"]).ended(1);
    assert_eq!(said.row("passes_1a").last(), Some(&"reached"));
    assert_eq!(said.row("slow_1a").last(), Some(&"MISSED"));
    lab(&["bench", "passes", "--seconds", "0.1"]).ended(0);
}
