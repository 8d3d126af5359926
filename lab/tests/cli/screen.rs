//! What fits a terminal's screen: lines no wider than it, many tests in few lines, more tests than rows.

use std::process::Stdio;

use crate::terminal::in_a_shell;
use crate::{Said, command, lab, scratch};

/// Runs `lab` as on a terminal of this size.
fn on_a_screen(columns: usize, rows: usize, arguments: &[&str]) -> Said {
    let mut command = command(arguments);
    command.env("COLUMNS", columns.to_string()).env("LINES", rows.to_string());
    command.env("FIXTURE_COUNTS", scratch().join("counts"));
    Said::new(command.output().expect("lab can be run"))
}

/// The fixture's tests that end with seed 10; three of them fail.
const MANY: [&str; 6] = ["test", "1A", "1B", "1C", "--seed", "10"];

#[test]
fn tests_that_pass_share_lines_where_there_are_more_than_rows() {
    let said = on_a_screen(80, 10, &MANY).ended(1);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(
        lines[0].starts_with("Part 1A (tests that pass): 3 tests passed -- virtual 9.3 s"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("Test (1C): fails_1c ... FAILED -- ElectionSafety: seed 10 is round\n"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("Part 1C (tests that go wrong): 10 of 13 tests passed, 3 failed\n"),
        "{}",
        said.out
    );
    assert!(said.out.contains("warning: not exercised: no leader ever lost (warns_1a)"), "{}", said.out);
    // Each has its line where all fit, or where the user wants so.
    let wanted = [&MANY[..], &["--each"]].concat();
    for said in [on_a_screen(80, 40, &MANY), on_a_screen(80, 10, &wanted)] {
        let said = said.ended(1);
        let tests = said.out.lines().filter(|line| line.starts_with("Test (1")).count();
        assert_eq!(tests, 18, "{}", said.out);
    }
}

/// The first screen from below names what to read first: rule, moment, what happened.
#[test]
fn the_last_screen_tells_what_to_read_first() {
    let said = on_a_screen(80, 10, &MANY).ended(1);
    let lines: Vec<&str> = said.out.lines().collect();
    let screen = lines[lines.len().saturating_sub(23)..].join("\n");
    for words in [
        "what failed (3 of 18 tests)",
        "  2 tests  ElectionSafety",
        "read first: cargo lab replay fails_1c --seed 10",
        "0.00 s: ElectionSafety: seed 10 is round",
        "    The leader is cut off.\n    Two leaders in term 4.",
        "3 of 18 tests failed in ",
    ] {
        assert!(screen.contains(words), "no {words:?} in\n{screen}");
    }
    assert!(lines.len() <= 80, "{}", lines.len());
}

/// Asserts that what these arguments print is no wider than a terminal of 60, 80, 100 and 160 columns.
#[track_caller]
fn fits(arguments: &[&str]) {
    for width in [60, 80, 100, 160] {
        let said = on_a_screen(width, 24, arguments);
        let out = console::strip_ansi_codes(&said.out).into_owned();
        let widest = out.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
        assert!(widest.chars().count() <= width, "{arguments:?} at {width}:\n{widest}\n\n{out}");
        assert!(!out.is_empty(), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn reports_and_tables_fit_any_width() {
    let folder = |name: &str| scratch().join(name).display().to_string();
    fits(&[]);
    fits(&["list"]);
    fits(&["list", "--check"]);
    fits(&MANY);
    fits(&["test", "fails_1c", "starves_1c", "aborts_1c", "--seed", "4"]);
    fits(&[
        "stress",
        "1A",
        "fails_1c",
        "starves_1c",
        "-n",
        "20",
        "--first-seed",
        "0",
        "--fresh",
        "-o",
        &folder("s"),
    ]);
    fits(&["stress", "fails_1c", "-n", "20", "--first-seed", "0", "--rounds", "--fresh", "-o", &folder("r")]);
    fits(&["replay", "passes_1a", "--seed", "4"]);
    fits(&["replay", "fails_1c", "--seed", "10"]);
    fits(&["logs", "passes_1a", "--seed", "4"]);
    fits(&["logs", "passes_1a", "--seed", "4", "--topics"]);
    fits(&["bench", "--seconds", "0.1"]);
    fits(&["--help"]);
    for verb in
        ["list", "test", "stress", "replay", "logs", "trace", "view", "shrink", "when", "zoo", "mutants"]
    {
        fits(&["help", verb]);
    }
    for verb in ["bench", "completions", "check"] {
        fits(&["help", verb]);
    }
}

#[test]
fn the_zoo_fits_any_width() {
    let place = scratch();
    for width in [60, 80, 100, 160] {
        let mut command =
            command(&["zoo", "mini", "--matrix", "--seeds", "5", "--bug", "M1", "--bug", "M10"]);
        command.env("CARGO_TARGET_DIR", &place).env("COLUMNS", width.to_string());
        let said = Said::new(command.output().expect("lab can be run")).ended(1);
        let widest = said.out.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{widest:?} at {width}:\n{}", said.out);
        assert!(said.out.contains("not caught:"), "{}", said.out);
    }
}

#[test]
fn errors_fit_any_width() {
    for width in [60, 80] {
        for arguments in [
            &["test", "passes_1a", "--seed", "18446744073709551615"][..],
            &["zoo", "nosuch"],
            &["test", "nosuch_with_a_long_name_that_is_of_no_use_to_anyone_at_all"],
            &["bench", "nosuch"],
            &["test", "passes_1a", "--check-determinism", "--threads"],
        ] {
            let said = on_a_screen(width, 24, arguments).ended(2);
            let widest = said.err.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{arguments:?} at {width}: {widest:?}\n{}", said.err);
        }
    }
}

/// Bars for as many tests as there are rows, a line for the others, and the whole table at the end.
#[test]
fn bars_stay_on_a_screen_with_fewer_rows_than_tests() {
    let output = scratch().join("rows").display().to_string();
    let arguments = ["stress", "1A", "1B", "1C", "-n", "4", "--first-seed", "14", "-o", &output];
    let command = command(&arguments);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let script = words.map(|word| format!("'{}'", word.display())).collect::<Vec<_>>().join(" ");
    let target = command.get_envs().find(|(name, _)| *name == "CARGO_TARGET_DIR");
    let target = target.and_then(|(_, value)| value?.to_str()).expect("the fixture has a folder of its own");
    let counts = scratch().join("counts").display().to_string();
    let variables = [("CARGO_TARGET_DIR", target), ("FIXTURE_COUNTS", &counts)];
    // Built before, so that cargo's bar does not count.
    lab(&["test", "passes_1a"]).ended(0);
    let Some(child) =
        in_a_shell(&format!("stty rows 12 cols 80; timeout --foreground 120 {script}"), &variables)
    else {
        return;
    };
    let out = child.wait_with_output().expect("script ends");
    let out = String::from_utf8(out.stdout).expect("it is UTF-8");
    assert!(out.contains("and 9 more tests: bars go to failures and to what runs"), "{out:?}");
    let climbs = climbs(out.split("virtual time").next().unwrap_or_default());
    let longest = climbs.iter().max().copied().unwrap_or_default();
    assert!((3..12).contains(&longest), "the cursor climbs {longest} of 12 rows: {out:?}");
    assert!(out.contains("races_1c") && out.contains("virtual time"), "{out:?}");
}

/// How many rows the cursor climbs, each time that it does.
fn climbs(drawn: &str) -> Vec<usize> {
    let orders = drawn.split("\u{1b}[").filter_map(|order| order.split_once('A'));
    orders.filter_map(|(rows, _)| rows.parse().ok()).collect()
}

/// A screen of no size, as some programs that emulate terminals report it.
#[test]
fn a_terminal_without_a_size_is_no_panic() {
    let command = command(&["list", "1A"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let script = words.map(|word| format!("'{}'", word.display())).collect::<Vec<_>>().join(" ");
    for size in ["rows 0 cols 0", "rows 1 cols 1"] {
        let Some(child) = in_a_shell(&format!("stty {size}; {script}"), &[]) else { return };
        let out = child.wait_with_output().expect("script ends");
        assert!(out.status.success(), "{size}: {out:?}");
        assert!(!String::from_utf8_lossy(&out.stdout).contains("panicked"), "{out:?}");
    }
    for columns in ["0", "1", "99999999999", "many"] {
        let mut command = crate::command(&["test", "passes_1a"]);
        command.env("COLUMNS", columns).env("LINES", columns).stdin(Stdio::null());
        Said::new(command.output().expect("lab can be run")).ended(0);
    }
}
