//! One call of cargo that builds the test binaries and says where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::Failure;
use crate::catalogue::Test;

/// What the race detector needs of the compiler. No rebuilt standard library: its synchronisation is
/// understood as it is.
const SANITIZER: &str = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer";

/// How cargo's last message begins, if it came as far as the compiler.
const FINISHED: &str = "{\"reason\":\"build-finished\"";

/// What `cargo test` builds, so that nothing is built twice.
pub(crate) const DEFAULT_PROFILE: &str = "dev";

/// How test binaries are built.
#[derive(Clone, Debug)]
pub(crate) struct BuildOptions {
    /// Cargo's profile.
    pub(crate) profile: String,
    /// Build with `ThreadSanitizer`, which needs a nightly toolchain.
    pub(crate) race: bool,
    /// Where cargo shall put what it builds, if not where it always does.
    pub(crate) target: Option<PathBuf>,
    /// The file that gets cargo's messages; None: the user sees them as they come, with cargo's own progress
    /// on a terminal. If the build fails, the user sees them in any case.
    pub(crate) log: Option<PathBuf>,
    /// Packages that are built without debug assertions, which a student's solution does not have.
    pub(crate) without_assertions: Vec<String>,
    /// Packages that are built as fast as possible, since little of them runs.
    pub(crate) unoptimised: Vec<String>,
    /// The build may well fail, and then only the log tells why.
    pub(crate) is_tentative: bool,
}

impl BuildOptions {
    /// A plain build with this profile.
    pub(crate) fn new(profile: &str) -> BuildOptions {
        BuildOptions {
            profile: profile.to_owned(),
            race: false,
            target: None,
            log: None,
            without_assertions: Vec::new(),
            unoptimised: Vec::new(),
            is_tentative: false,
        }
    }
}

/// Where the test binary of each package and test target is.
pub(crate) type Binaries = BTreeMap<(String, String), PathBuf>;

/// The parts of cargo's messages that matter here.
#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    target: ArtifactTarget,
    executable: PathBuf,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    kind: Vec<String>,
    name: String,
}

/// Builds the binaries of `tests` in the workspace at `root`.
pub(crate) fn build(root: &Path, tests: &[Test], options: &BuildOptions) -> Result<Binaries, Failure> {
    let mut command = if options.race { sanitizing_cargo(root)? } else { Command::new(cargo()) };
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    command.args(["--profile", &options.profile]).current_dir(root);
    if let Some(target) = &options.target {
        command.arg("--target-dir").arg(target);
    }
    let mut set = |package: &str, value: &str| {
        command.arg("--config").arg(format!("profile.{}.package.{package}.{value}", options.profile));
    };
    options.without_assertions.iter().for_each(|package| set(package, "debug-assertions=false"));
    for package in &options.unoptimised {
        set(package, "opt-level=0");
        set(package, "debug=false");
    }
    let targets: BTreeSet<&str> = tests.iter().map(|test| test.binary.as_str()).collect();
    // Of the whole workspace, whatever is asked for: cargo unites the features of the packages that are
    // selected, so that another selection builds libraries anew. Only what these tests need is built.
    command.arg("--workspace").args(targets.into_iter().flat_map(|binary| ["--test", binary]));
    let binaries = match &options.log {
        None => run(&mut command)?,
        Some(log) => run_logged(&mut command, log, options.is_tentative)?,
    };
    match tests.iter().find(|test| !binaries.contains_key(&(test.package.clone(), test.binary.clone()))) {
        Some(test) => {
            Err(Failure::new(format!("cargo built no test target {} in {}", test.binary, test.package)))
        }
        None => Ok(binaries),
    }
}

/// Builds a program of the workspace at `root`, with this profile, into the folder `target`.
pub(crate) fn program(root: &Path, program: &str, profile: &OsStr, target: &Path) -> Result<(), Failure> {
    let mut command = Command::new(cargo());
    // Of the whole workspace, so that libraries have the features that they have in tests, and are not built
    // again.
    command.args(["build", "--workspace", "--bin", program, "--profile"]).arg(profile);
    command.arg("--target-dir").arg(target).current_dir(root).stdin(Stdio::null());
    if !std::io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::new(format!("{program} cannot be built; the compiler's words are above"))),
        Err(error) => Err(Failure::new(format!("cannot run {}: {error}", command.get_program().display()))),
    }
}

/// Runs cargo with its words in a file, and shows them if they are needed and no failure was expected.
fn run_logged(command: &mut Command, log: &Path, is_tentative: bool) -> Result<Binaries, Failure> {
    let file = File::create(log).map_err(|error| Failure::new(format!("{}: {error}", log.display())))?;
    run(command.stderr(file)).inspect_err(|_| {
        if !is_tentative {
            eprint!("{}", std::fs::read_to_string(log).unwrap_or_default());
        }
    })
}

/// Runs cargo and gathers the executables from its messages.
fn run(command: &mut Command) -> Result<Binaries, Failure> {
    let mut cargo =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| {
            Failure::new(format!("cannot run {}: {error}", command.get_program().display()))
        })?;
    let messages =
        cargo.stdout.take().map(BufReader::new).into_iter().flat_map(|out| out.lines().map_while(Result::ok));
    let (mut binaries, mut has_built) = (Binaries::new(), false);
    for message in messages {
        has_built |= message.starts_with(FINISHED);
        binaries.extend(executable(&message));
    }
    match cargo.wait() {
        Ok(status) if status.success() => Ok(binaries),
        Ok(_) if has_built => Err(Failure::new("the tests do not compile; the compiler's words are above")),
        Ok(_) => Err(Failure::new("cargo cannot build the tests; its words are above")),
        Err(error) => Err(Failure::new(format!("cargo was lost: {error}"))),
    }
}

/// The test binary that a message of cargo's announces, if it announces one.
fn executable(message: &str) -> Option<((String, String), PathBuf)> {
    // Most messages are about libraries: a look at the text is much cheaper than to parse them all.
    if !message.contains("\"executable\":\"") {
        return None;
    }
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    let is_test = artifact.target.kind.iter().any(|kind| kind == "test");
    is_test.then(|| ((package_name(&artifact.package_id), artifact.target.name), artifact.executable))
}

/// The name in a package id: `path+file:///labs/raft#0.1.0` or `path+file:///labs/raft#name@0.1.0`.
fn package_name(id: &str) -> String {
    let (place, version) = id.rsplit_once('#').unwrap_or((id, ""));
    match version.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => place.rsplit('/').next().unwrap_or(place).to_owned(),
    }
}

/// Where cargo puts what it builds of the workspace at `root`.
pub(crate) fn target_folder(root: &Path) -> PathBuf {
    // Cargo is run in the root, and from there it takes a path that is not absolute.
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Cargo names itself to what it runs, which saves a start of the toolchain's proxy.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The nightly cargo, set up to build with `ThreadSanitizer` into a folder of its own.
fn sanitizing_cargo(root: &Path) -> Result<Command, Failure> {
    let nightly = Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]).current_dir(root).output();
    let version = nightly.ok().filter(|output| output.status.success());
    let Some(version) = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()) else {
        let advice = "`rustup toolchain install nightly --profile minimal` installs one";
        return Err(Failure::new(format!(
            "the race detector needs a nightly toolchain, and there is none; {advice}"
        )));
    };
    let host =
        version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("x86_64-unknown-linux-gnu");
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).env_remove("RUSTC").env("RUSTFLAGS", SANITIZER);
    // An explicit target keeps the flags away from build scripts and macros, which run in the compiler.
    command.env("CARGO_BUILD_TARGET", host).env("CARGO_TARGET_DIR", target_folder(root).join("race"));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_ids_of_both_kinds_are_read() {
        assert_eq!(package_name("path+file:///labs/raft#0.1.0"), "raft");
        assert_eq!(package_name("path+file:///labs/fixture#mini@0.1.0"), "mini");
    }

    #[test]
    fn only_test_binaries_count() {
        let test = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/raft#0.1.0","target":{"kind":["test"],"name":"raft"},"executable":"/t/raft-1"}"#;
        let expected = (("raft".to_owned(), "raft".to_owned()), PathBuf::from("/t/raft-1"));
        assert_eq!(executable(test), Some(expected));
        assert_eq!(executable(&test.replace("[\"test\"]", "[\"bin\"]")), None);
        assert_eq!(executable(&test.replace("\"/t/raft-1\"", "null")), None);
    }
}
