//! `test-scripts/*.sh`, with a `cargo` that runs the fixture.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{Said, command, scratch};

/// A folder with a `cargo` whose `lab` is the one under test, at the fixture.
fn stand_in_for_cargo() -> PathBuf {
    let folder = scratch();
    let path = folder.join("cargo");
    // The first argument is `lab`; the scripts call nothing else.
    fs::write(&path, format!("#!/bin/sh\nshift\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_lab")))
        .expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is there");
    folder
}

fn script(name: &str, arguments: &[&str]) -> Said {
    script_in("", name, arguments)
}

/// Runs a script in a folder of this name, as in the folder of a package.
fn script_in(package: &str, name: &str, arguments: &[&str]) -> Said {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-scripts").join(name);
    let folder = stand_in_for_cargo();
    let here = folder.join(package);
    fs::create_dir_all(&here).expect("a folder can be made");
    fs::write(here.join("Cargo.toml"), "").expect("a file can be written");
    let mut script = crate::program(path);
    script.args(arguments).envs(command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    let search = std::env::var("PATH").unwrap_or_default();
    script.env("PATH", format!("{}:{search}", folder.display()));
    script.env("LAB_LABS", crate::fixture().join("labs.toml")).env("CARGO", env!("CARGO"));
    Said::new(script.current_dir(&here).output().expect("the script can be run"))
}

#[test]
fn test_many_takes_the_arguments_of_go_test_many() {
    let said = script("test-many.sh", &["17", "2", "passes_1a warns_1a"]).ended(0);
    assert!(said.out.contains("Done 017/17; 17 ok, 0 failed"), "{}", said.out);
    assert_eq!(said.row("warns_1a")[1..3], ["0", "17"]);
}

/// In the folder of a lab, as go-test-many.sh is used, that lab's tests; and a pattern may have bars.
#[test]
fn test_many_runs_what_is_meant() {
    let said = script_in("1A", "test-many.sh", &["3"]).ended(0);
    assert_eq!(said.row("slow_1a")[1..3], ["0", "3"]);
    assert!(!said.out.contains("answer_1b"), "{}", said.out);
    let said = script("test-many.sh", &["2", "1", "passes_1a|answer_1b"]).ended(0);
    assert_eq!((said.row("passes_1a")[2], said.row("answer_1b")[2]), ("2", "2"));
    assert!(!said.out.contains("slow_1a"), "{}", said.out);
}

#[test]
fn test_many_explains_itself() {
    assert!(script("test-many.sh", &["--help"]).ended(0).out.starts_with("usage: test-many.sh [RUNS=100]"));
    script("test-many.sh", &["1", "2", "3", "4"]).ended(2);
    assert!(script("test-many.sh", &["1", "1", "nothing_like_it"]).ended(2).err.contains("there is no lab"));
}

#[test]
fn race_looks_for_races() {
    assert!(script("race.sh", &["--help"]).ended(0).out.starts_with("usage: race.sh"));
    let said = script("race.sh", &["passes_1a", "--", "--runs", "3"]);
    if said.code == Some(2) {
        assert!(said.err.contains("needs a nightly toolchain"), "{}", said.err);
        return;
    }
    assert_eq!(said.ended(0).row("passes_1a")[1..3], ["0", "3"]);
}

#[test]
fn screens_explains_itself() {
    let said = script("screens.sh", &["--help"]).ended(0);
    assert!(said.out.contains("test-scripts/screens.sh") && said.out.contains("tmux"), "{}", said.out);
    assert!(script("screens.sh", &["--nosuch"]).ended(2).err.contains("no option --nosuch"));
}

/// What the page shows is what a terminal of 80 columns and 24 rows can show.
#[test]
fn the_page_of_screens_has_screens() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/screens.md");
    let Ok(page) = fs::read_to_string(page) else { return println!("skipped: the page is not here") };
    let blocks: Vec<&str> =
        page.split("```text\n").skip(1).filter_map(|text| text.split("\n```").next()).collect();
    assert!(blocks.len() >= 9, "{} screens", blocks.len());
    for block in blocks {
        assert!(block.lines().count() <= 24, "{block}");
        assert!(block.lines().all(|line| line.chars().count() <= 80), "{block}");
        assert!(!block.contains("panicked"), "{block}");
    }
}
