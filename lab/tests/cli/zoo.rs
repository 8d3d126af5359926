//! `zoo`: the fixture has two wrong solutions that its tests catch, one that they do not, and one that does
//! not build.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Said, command, fixture, lab, scratch};

/// The fixture's zoo with a folder of its own: two zoos at once would spoil each other's copy.
fn zoo(arguments: &[&str]) -> Said {
    let mut command = command(&[&["zoo", "mini"], arguments].concat());
    Said::new(command.env("CARGO_TARGET_DIR", scratch()).output().expect("lab can be run"))
}

#[test]
fn wrong_solutions_are_caught_by_the_tests_and_invariants_named_for_them() {
    let said = zoo(&["--matrix", "--bug", "M1", "--bug", "m2"]).ended(0);
    assert!(
        said.out.contains("killed by answer_1b seed 1: ElectionSafety: the answer is wrong"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("killed by sometimes_1b seed 7: ElectionSafety: seed 7 is too much"),
        "{}",
        said.out
    );
    // Columns: bug, then the tests of the parts up to 1B.
    assert_eq!(said.row("bug"), ["bug", "1", "2", "3", "4", "5"]);
    let matrix = said.out.split("bug   ").nth(1).expect("there is a matrix");
    let row = |id: &str| -> Vec<&str> {
        let line = matrix.lines().find(|line| line.starts_with(id)).expect("the bug has a row");
        line.split_whitespace().collect()
    };
    assert_eq!(row("M1"), ["M1", "·", "·", "·", "100", "·"]);
    // Of 20 seeds the seventh and the fourteenth are killed.
    assert_eq!(row("M2"), ["M2", "·", "·", "·", "·", "10"]);
    assert!(said.out.contains("a grading kills it with 99 %"), "{}", said.out);
    assert!(said.out.contains("all caught: 2 wrong solutions"), "{}", said.out);
}

/// M1 fails with every seed, so three kills are enough, and the tests that its patch does not name are not
/// run.
#[test]
fn the_runs_end_when_the_verdict_is_certain() {
    let said = zoo(&["--json", "--jobs", "1", "--bug", "M1"]).ended(0);
    let row: serde_json::Value =
        serde_json::from_str(said.out.lines().next().unwrap_or_default()).expect("a line of JSON");
    assert_eq!((row["verdict"].as_str(), row["all_tests"].as_bool()), (Some("caught"), Some(false)));
    let tests = row["tests"].as_array().expect("tests");
    assert_eq!(tests.len(), 1, "{tests:?}");
    assert_eq!((tests[0]["test"].as_str(), tests[0]["kills"].as_u64()), (Some("answer_1b"), Some(3)));
}

#[test]
fn a_survivor_is_a_failure_until_there_are_seeds_enough() {
    let said = zoo(&["--bug", "M10"]).ended(1);
    assert!(
        said.out.contains("SURVIVED every test") && said.out.contains("not caught: 1 of 1: M10"),
        "{}",
        said.out
    );
    let said = zoo(&["--bug", "M10", "--seeds", "100"]).ended(0);
    assert!(said.out.contains("killed by sometimes_1b seed 100"), "{}", said.out);
}

/// One that does not build hides no verdict on the others, and is none itself.
#[test]
fn a_solution_that_does_not_build_is_told_beside_the_others() {
    let said = zoo(&["--bug", "M1b", "--bug", "M2"]).ended(2);
    assert!(
        said.out.contains("killed by sometimes_1b") && said.out.contains("all caught: 1"),
        "{}",
        said.out
    );
    assert!(said.err.contains("1 solution could not be judged: M1b does not build"), "{}", said.err);
}

/// The workspace is not touched, whatever the zoo does.
#[test]
fn the_original_stays_as_it_is() {
    let source = fixture().join("src/lib.rs");
    let before = fs::read_to_string(&source).expect("the fixture is there");
    zoo(&["--bug", "M1"]).ended(0);
    assert_eq!(fs::read_to_string(&source).expect("the fixture is there"), before);
}

#[test]
fn mutants_are_made_of_rules() {
    let said = lab(&["mutants", "mini"]).ended(2);
    assert!(said.err.contains("labs.toml names no rules of mini"), "{}", said.err);
    assert!(lab(&["mutants", "maxi"]).ended(2).err.contains("there is no lab maxi"));
}

#[test]
fn an_unknown_lab_is_an_error() {
    assert!(lab(&["zoo", "maxi"]).ended(2).err.contains("there is no lab maxi"));
}

/// A copy of the fixture with a correct solution that is unusual, and a partial one.
fn with_other_solutions() -> PathBuf {
    let folder = scratch().join("fixture");
    let copied = Command::new("cp").arg("-r").arg(fixture()).arg(&folder).status();
    assert!(copied.expect("cp can be run").success());
    let diff = "--- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -4,3 +4,3 @@\n pub fn answer() -> u64 {\n-    42\n+    40 + 2\n }\n";
    for (file, head) in [
        ("bugs/correct/mini/C1.patch", "id: C1\npart: 1B\ntitle: a sum\nlabs: mini\nexcept: 1C\n"),
        ("bugs/parts/mini-1B.patch", "id: mini-1B\npart: 1B\ntitle: no 1C\n"),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("there is room");
        fs::write(path, format!("{head}\n{diff}")).expect("there is room");
    }
    folder
}

/// `zoo` over that copy, in a process group of its own.
fn zoo_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = crate::binary();
    command.arg("--labs").arg(folder.join("labs.toml")).arg("zoo").args(arguments);
    command.env("CARGO_TARGET_DIR", "target").env_remove("COLUMNS").env_remove("RUSTFLAGS");
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Whatever the letters of the lab's name. What is built lies where cargo puts it, from the workspace's root.
#[test]
fn correct_and_partial_solutions_pass() {
    let folder = with_other_solutions();
    for (arguments, expected) in [
        (
            &["--correct", "MINI", "--test", "1B", "--seeds", "5"][..],
            "passed: C1, a sum: 2 tests, 5 seeds each",
        ),
        (&["mini", "--parts", "--seeds", "5"], "passed: mini-1B, no 1C: 5 tests, none needs a later part"),
    ] {
        let said = Said::new(zoo_in(&folder, arguments).output().expect("lab can be run")).ended(0);
        assert!(said.out.contains(expected), "{}", said.out);
    }
    assert!(folder.join("target/zoo/target").is_dir());
    assert!(!folder.join("target/zoo/source/target").exists());
}

/// The terminal's ctrl-C ends cargo, too. No solution is to blame for that.
#[test]
fn ctrl_c_during_a_build_is_an_interruption() {
    for arguments in [&["--correct"][..], &["mini", "--parts"], &["mini"]] {
        let folder = with_other_solutions();
        let child = zoo_in(&folder, arguments).spawn().expect("lab can be run");
        let begun = Instant::now();
        while crate::verbs::children(child.id()).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is built");
            std::thread::sleep(Duration::from_millis(1));
        }
        let group = format!("-{}", child.id());
        let status = Command::new("kill").args(["-INT", "--", &group]).status();
        assert!(status.expect("kill can be run").success());
        let said = Said::new(child.wait_with_output().expect("lab ends")).ended(130);
        assert!(said.out.contains("interrupted"), "{arguments:?}: {}", said.out);
        let all = said.out + &said.err;
        assert!(!all.contains("does not build") && !all.contains("all caught"), "{arguments:?}: {all}");
    }
}
