//! A process that dies, hangs, grows or talks nonsense costs the seed that did it, and no other.

use std::fs;
use std::path::Path;

use crate::{Said, lab, scratch};

/// Forty seeds from 0 on, of one test, and the folder of the campaign.
fn stress(test: &str) -> (Said, std::path::PathBuf) {
    let folder = scratch().join("campaign");
    let output = folder.display().to_string();
    (lab(&["stress", test, "--runs", "40", "--first-seed", "0", "--output", &output]), folder)
}

/// One of forty seeds failed, this one and for this reason. The story that is kept.
#[track_caller]
fn assert_one_failure(test: &str, seed: u64, reason: &str) -> String {
    let (said, folder) = stress(test);
    let said = said.ended(1);
    assert_eq!(said.row(test)[1..3], ["1", "40"], "{}", said.out);
    assert!(said.out.contains(&format!("Failed {test} seed {seed}: {reason}")), "{}", said.out);
    story(&folder, test, seed)
}

fn story(folder: &Path, test: &str, seed: u64) -> String {
    let path = folder.join("failures").join(format!("{test}-seed-{seed}.txt"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// It dies with ten reports held back: the seed that did it is found all the same, and the ten are not lost.
#[test]
fn an_abort_is_charged_to_the_seed_that_aborted() {
    let story = assert_one_failure("aborts_1c", 13, "died: the process was killed by SIGABRT");
    assert!(story.contains("these are the last words"), "{story}");
    assert!(story.contains("replay: cargo lab replay aborts_1c --seed 13"), "{story}");
}

#[test]
fn a_stack_overflow_is_named() {
    let story = assert_one_failure("overflows_1c", 3, "stack_overflow: ");
    assert!(story.contains("has overflowed its stack"), "{story}");
}

#[test]
fn an_exit_is_no_pass_even_with_status_zero() {
    assert_one_failure("exits_1c", 5, "died: the process ended with status 0 before the test did");
}

/// One line that looks like a report, and an exit with status 0.
#[test]
fn a_forged_report_is_no_pass() {
    let said = lab(&["test", "forges_1c"]).ended(1);
    assert!(said.out.contains("FAILED") && !said.out.contains("Passed"), "{}", said.out);
}

#[test]
fn a_hang_is_ended() {
    assert_one_failure("hangs_1c", 2, "real_time: no sign of life for ");
}

#[test]
fn a_report_of_a_stuck_run_is_the_last_of_its_process() {
    let reason = "blocked: an endless loop in thread `rpc` of `server-1`";
    assert_one_failure("sticks_1c", 6, reason);
}

#[test]
fn memory_is_limited() {
    let story = assert_one_failure("eats_1c", 4, "memory: the test held ");
    assert!(story.contains("64 MiB are allowed (labs.toml)"), "{story}");
    let held = story.split("held ").nth(1).and_then(|rest| rest.split(' ').next());
    let held: u64 = held.and_then(|number| number.parse().ok()).expect("the story tells how much it held");
    // It eats at most a mebibyte a millisecond, and is looked at every 50; the rest is for a machine with
    // much to do.
    assert!((80..1500).contains(&held), "ended only at {held} MiB");
}

#[test]
fn only_reports_of_the_seed_that_is_due_count() {
    let (said, folder) = stress("chatters_1c");
    assert_eq!(said.ended(0).row("chatters_1c")[1..3], ["0", "40"]);
    assert!(!folder.exists(), "a campaign in which all passed leaves nothing behind");
}

#[test]
fn every_failure_is_counted_and_kept() {
    let (said, folder) = stress("fails_1c");
    assert_eq!(said.ended(1).row("fails_1c")[1..3], ["4", "40"]);
    for seed in [0, 10, 20, 30] {
        assert!(story(&folder, "fails_1c", seed).contains("Two leaders in term 4."));
    }
}

/// What is planted in the fixture must be found; without a nightly toolchain there is a sentence and no
/// verdict.
#[test]
fn a_data_race_is_found() {
    let output = scratch().join("campaign").display().to_string();
    let said = lab(&["stress", "races_1c", "--race", "--runs", "2", "--output", &output]);
    if said.code == Some(2) {
        assert!(
            said.err.contains("the race detector needs a nightly toolchain, and there is none"),
            "{}",
            said.err
        );
        return;
    }
    let said = said.ended(1);
    assert!(said.out.contains("race: WARNING: ThreadSanitizer: data race"), "{}", said.out);
}

#[test]
fn code_without_a_race_passes_under_the_detector() {
    let output = scratch().join("campaign").display().to_string();
    let said = lab(&["stress", "passes_1a", "--race", "--runs", "2", "--output", &output]);
    assert!(
        said.code == Some(0) || said.err.contains("needs a nightly toolchain"),
        "{}{}",
        said.out,
        said.err
    );
}

#[test]
fn a_run_without_a_processor_is_counted_apart() {
    let (said, folder) = stress("starves_1c");
    let said = said.ended(3);
    let row = said.row("starves_1c");
    assert_eq!((&row[1..3], row.last()), (&["0", "40"][..], Some(&"1")), "{}", said.out);
    assert!(said.out.contains("Inconclusive starves_1c seed 4: starved: no processor"), "{}", said.out);
    assert!(story(&folder, "starves_1c", 4).contains("replay: cargo lab replay starves_1c --seed 4"));
}
