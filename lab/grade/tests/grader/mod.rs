//! The program under test, and folders for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder for one test, empty.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // It is there if the test ran before.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for a test can be made");
    folder
}

/// Runs the grader to its end. It never panics.
pub(crate) fn grade(arguments: &[&str]) -> Output {
    ended(Command::new(env!("CARGO_BIN_EXE_lab-grade")).args(arguments))
}

/// The same with a command that leads to it.
pub(crate) fn ended(command: &mut Command) -> Output {
    let output = command.output().expect("the program was built");
    let words = words(&output);
    assert!(!words.contains("panicked"), "{words}");
    output
}

/// What it complained of.
pub(crate) fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The grader takes handouts from the program beside it.
pub(crate) fn build_handout() {
    let target =
        Path::new(env!("CARGO_BIN_EXE_lab-grade")).parent().and_then(Path::parent).expect("a target folder");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--bin", "lab-handout", "--target-dir"])
        .arg(target)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "lab-handout is built");
}
