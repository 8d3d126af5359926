//! What `lab` says of a solution's sources: state in a `static`, and what the simulation does not see.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Said, fixture, scratch};

/// The fixture in a folder of its own, with this source besides. Nothing compiles it, and `lab` reads it as
/// it does all others.
fn with_source(text: &str) -> PathBuf {
    let folder = scratch();
    copy(&fixture().join("src"), &folder.join("src"));
    copy(&fixture().join("tests"), &folder.join("tests"));
    for file in ["Cargo.toml", "Cargo.lock", "labs.toml"] {
        fs::copy(fixture().join(file), folder.join(file)).expect("the fixture can be copied");
    }
    fs::write(folder.join("src/cache.rs"), text).expect("the copy can be written");
    folder
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(status.expect("cp can be run").success());
}

/// Runs `lab` on that copy.
fn lab_on(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = crate::binary();
    command.arg("--labs").arg(folder.join("labs.toml")).args(arguments);
    command.env("CARGO_TARGET_DIR", folder.join("target")).env_remove("RUSTFLAGS");
    Said::new(command.output().expect("lab can be run"))
}

#[test]
fn state_in_a_static_and_a_lock_of_std_are_named_before_the_tests_run() {
    let folder = with_source(
        "use std::sync::Mutex;\n\nstatic CACHE: Mutex<Vec<u8>> = Mutex::new(Vec::new());\nconst LIMIT: u8 = 3;\n",
    );
    let said = lab_on(&folder, &["test", "passes_1a"]).ended(0);
    for words in [
        "src/cache.rs:3: `static CACHE: Mutex<Vec<u8>>` is state that all servers share",
        "src/cache.rs:1: `std::sync::Mutex` is not seen by the simulation",
        "use labrt::sync::Mutex",
    ] {
        assert!(said.err.contains(words), "no {words:?} in {}", said.err);
    }
    assert!(!said.err.contains("LIMIT") && !said.err.contains("may be why"), "{}", said.err);
    // Where a test fails they are the first thing to look at, and by then they have left the screen.
    let said = lab_on(&folder, &["test", "fails_1c", "--seed", "10"]).ended(1);
    let last = said.err.lines().last().unwrap_or_default();
    assert!(last.contains("may be why: src/cache.rs:1: `std::sync::Mutex`"), "{}", said.err);
}

#[test]
fn sources_without_such_things_are_not_spoken_of() {
    let folder = with_source("// static OLD: Mutex<u8>\nconst NAMES: [&str; 1] = [\"std::thread\"];\n");
    let said = lab_on(&folder, &["test", "passes_1a"]).ended(0);
    assert!(!said.err.contains("warning"), "{}", said.err);
}
