//! Tests of the command line against the fixture, a lab whose tests go wrong in every way that a test process
//! can.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "nothing here runs in a simulation: these tests wait for processes"
)]

mod campaigns;
mod check;
mod deaths;
mod faults;
mod forks;
mod odd;
mod refused;
mod screen;
mod scripts;
mod sources;
mod terminal;
mod texts;
mod verbs;
mod why;
mod zoo;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a run of `lab` said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn new(output: Output) -> Said {
        let text = |bytes| String::from_utf8(bytes).expect("lab prints UTF-8");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Asserts the exit code, with all that was said if it is another.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// The cells of the row of a table that begins with `name`.
    #[track_caller]
    pub(crate) fn row(&self, name: &str) -> Vec<&str> {
        let row = self.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = row.into_iter().find(|cells| cells.first() == Some(&name));
        found.unwrap_or_else(|| panic!("no row {name} in\n{}", self.out))
    }
}

/// The fixture's folder.
pub(crate) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture")
}

/// A folder that no other test uses.
pub(crate) fn scratch() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    folder
}

/// Whoever runs these tests may steer his own with variables, which the programs here must not see.
pub(crate) fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("LAB_")) {
        command.env_remove(name);
    }
    command
}

/// `lab` itself.
pub(crate) fn binary() -> Command {
    program(env!("CARGO_BIN_EXE_lab"))
}

/// `lab` with the fixture's labs.toml, and what it builds kept apart from what cargo builds for this test.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = binary();
    command.arg("--labs").arg(fixture().join("labs.toml")).args(arguments);
    command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixture"));
    command.env_remove("COLUMNS").env_remove("RUSTFLAGS").stdin(Stdio::null());
    command
}

/// Runs `lab` to its end.
pub(crate) fn lab(arguments: &[&str]) -> Said {
    Said::new(command(arguments).output().expect("lab can be run"))
}
