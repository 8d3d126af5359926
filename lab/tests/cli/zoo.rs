//! `zoo`: the fixture has two wrong solutions that its tests catch, one that they do not, and one that does
//! not build.

use std::fs;

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
