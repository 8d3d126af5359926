//! Runs a test in a process of its own, for what ends its process.

use std::process::Command;
use std::time::{Duration, Instant};

/// How a child ended.
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// Standard error, and standard output in front of it.
    pub(crate) text: String,
    pub(crate) took: Duration,
    pub(crate) code: Option<i32>,
}

/// Runs the test of this name (`module::name`) in a process of its own.
pub(crate) fn run_as_child(test: &str) -> Ended {
    run_with(test, &[])
}

/// As [`run_as_child`], with these variables in the environment.
pub(crate) fn run_with(test: &str, environment: &[(&str, &str)]) -> Ended {
    let executable = std::env::current_exe().expect("a test knows its own file");
    let mut command = Command::new(executable);
    command.args(["--exact", test, "--nocapture"]).env("LABRT_TEST_CHILD", "1");
    command.envs(environment.iter().copied());
    let started = Instant::now();
    let output = command.output().expect("a test can start itself");
    let text = [output.stdout, output.stderr].concat();
    Ended {
        success: output.status.success(),
        text: String::from_utf8_lossy(&text).into_owned(),
        took: started.elapsed(),
        code: output.status.code(),
    }
}

pub(crate) fn is_child() -> bool {
    std::env::var_os("LABRT_TEST_CHILD").is_some()
}
