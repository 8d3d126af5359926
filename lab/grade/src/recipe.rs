//! How the lab's crates are compiled: cargo's own calls of rustc, recorded once and made again for each
//! submission.
//!
//! The framework and its dependencies are built once. When cargo builds the reference, this program stands in
//! for rustc (`RUSTC_WORKSPACE_WRAPPER`) and writes down the calls for the lab's crates. A submission is then
//! built by the same calls with other sources, in a sandbox, without cargo: so no manifest, build script,
//! macro crate or configuration of a student's has any part in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use lab_terminal::Failure;
use serde::{Deserialize, Serialize};

use crate::sandbox::{Bounds, Mount, Sandbox};
use crate::take::{Refusal, Sources};
use crate::watch::{Allowance, Cause, End, Pulse, run};

/// The folder that gets the recorded calls.
pub(crate) const RECORD: &str = "LAB_GRADE_RECORD";

/// The crates whose calls are recorded, separated by commas.
pub(crate) const CRATES: &str = "LAB_GRADE_CRATES";

/// Seconds of processor time that the compiler may take for one crate: ten times what a solution takes.
const COMPILE_CPU_S: u64 = 60;

/// Seconds of wall time for one crate. Many times as much, so that the verdict does not depend on what else
/// the machine does.
const COMPILE_REAL_S: u64 = 20 * COMPILE_CPU_S;

/// Mebibytes that the compiler may hold.
const COMPILE_MEMORY_MB: u64 = 3 * 1024;

/// How much the lab's own crates are optimised. A student's code is built once and run a few thousand times;
/// ARCHITECTURE.md has the figures that decided it. The libraries below are optimised as always.
const OPTIMISATION: &[&str] = &["opt-level=2"];

/// How much their tests are. They say what happens, and little of a run's time is theirs. Nor does anybody
/// need their lines but in a panic, which has its own.
const OPTIMISATION_OF_TESTS: &[&str] = &["opt-level=0", "debuginfo=0"];

/// A call of rustc for one crate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    /// The crate's name, with underscores.
    pub(crate) krate: String,
    pub(crate) is_test: bool,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// The calls for a lab, libraries first, each behind those that it stands on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipe {
    pub(crate) calls: Vec<Call>,
    /// The workspace's root, where the tests are.
    pub(crate) workspace: PathBuf,
    /// What cargo has built.
    pub(crate) target: PathBuf,
    /// The compiler's own files.
    pub(crate) sysroot: PathBuf,
}

/// Stands in for rustc: writes the call down if it is for one of the lab's crates, and becomes rustc.
pub(crate) fn record(arguments: &[OsString]) -> ExitCode {
    let complaint = match note(&arguments[1..]) {
        Ok(is_own) => {
            let mut arguments = arguments.to_vec();
            // Only the call is wanted: what it builds is thrown away.
            for argument in arguments.iter_mut().filter(|argument| is_own && **argument == "opt-level=3") {
                *argument = "opt-level=0".into();
            }
            Command::new(&arguments[0]).args(&arguments[1..]).exec().to_string()
        }
        Err(error) => error.to_string(),
    };
    eprintln!("lab-grade: rustc cannot be run: {complaint}");
    ExitCode::from(2)
}

/// The variables of the environment. A user may have some that are not UTF-8, at which std's list of texts
/// panics.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |word: OsString| word.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// Whether it is a call for one of the lab's crates, which then is written down.
fn note(arguments: &[OsString]) -> std::io::Result<bool> {
    let arguments: Vec<String> =
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let name = arguments.iter().skip_while(|argument| *argument != "--crate-name").nth(1);
    let wanted = std::env::var(CRATES).unwrap_or_default();
    let Some(krate) = name.filter(|name| wanted.split(',').any(|wanted| wanted == *name)).cloned() else {
        return Ok(false);
    };
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let environment =
        variables().filter(|(name, _)| name.starts_with("CARGO_") && !name.contains("MAKEFLAGS"));
    // What steers cargo itself, and may hold secrets of registries, is none of rustc's.
    let environment = environment.filter(|(name, _)| {
        ["CARGO_PKG_", "CARGO_MANIFEST_DIR", "CARGO_CRATE_NAME", "CARGO_BIN_", "CARGO_TARGET_TMPDIR"]
            .iter()
            .any(|begin| name.starts_with(begin))
    });
    let call = Call { krate: krate.clone(), is_test, arguments, environment: environment.collect() };
    let folder = PathBuf::from(std::env::var_os(RECORD).unwrap_or_default());
    let kind = if is_test { "test" } else { "lib" };
    fs::write(folder.join(format!("{krate}.{kind}.json")), serde_json::to_vec(&call)?)?;
    Ok(true)
}

impl Recipe {
    /// The recorded calls in this folder, for crates in this order, of which these have tests.
    pub(crate) fn read(
        folder: &Path,
        crates: &[String],
        tested: &BTreeSet<String>,
    ) -> Result<Vec<Call>, Failure> {
        let mut calls = Vec::new();
        for kind in ["lib", "test"] {
            for krate in crates.iter().filter(|krate| kind == "lib" || tested.contains(*krate)) {
                let path = folder.join(format!("{krate}.{kind}.json"));
                let call = fs::read(&path).map_err(|error| error.to_string());
                let call =
                    call.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
                calls.push(call.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?);
            }
        }
        Ok(calls)
    }

    /// Compiles these sources below `folder`. Returns the test binary of each crate.
    ///
    /// # Errors
    /// Outside: the build could not be tried. Inside: it failed, in the compiler's words.
    pub(crate) fn build(
        &self,
        sandbox: Sandbox,
        sources: &Sources,
        folder: &Path,
    ) -> Result<Result<BTreeMap<String, PathBuf>, Refusal>, Failure> {
        let folder = &lay(sources, folder)?;
        // A lab's tests are read where the pristine workspace has them.
        let (out, workspace) = (folder.join("out"), self.workspace.clone());
        let mut binaries = BTreeMap::new();
        for call in &self.calls {
            let sources = if call.is_test { &workspace } else { folder };
            if let Err(refusal) = self.compile(sandbox, call, sources, &out, &out)? {
                return Ok(Err(refusal));
            }
            if call.is_test {
                binaries.insert(call.krate.clone(), call.binary(&out));
            }
        }
        Ok(Ok(binaries))
    }

    /// The calls for libraries alone.
    pub(crate) fn libraries(&self) -> Vec<Call> {
        self.calls.iter().filter(|call| !call.is_test).cloned().collect()
    }

    /// Compiles these tests of the last crate below `folder`, over the libraries that were built below
    /// another one. Returns the test binary.
    ///
    /// # Errors
    /// As [`Recipe::build`].
    pub(crate) fn build_tests(
        &self,
        sandbox: Sandbox,
        tests: &Sources,
        libraries: &Path,
        folder: &Path,
    ) -> Result<Result<PathBuf, Refusal>, Failure> {
        let folder = &lay(tests, folder)?;
        let libraries = libraries.canonicalize().map_err(|error| cannot(libraries, error))?.join("out");
        let call = self.calls.last().ok_or_else(|| Failure::new("the lab has no tests"))?;
        let out = folder.join("out");
        let compiled = self.compile(sandbox, call, folder, &libraries, &out)?;
        Ok(compiled.map(|()| call.binary(&out)))
    }

    /// Compiles one crate, whose sources are below `sources`, over the lab's libraries in `libraries`.
    fn compile(
        &self,
        sandbox: Sandbox,
        call: &Call,
        sources: &Path,
        libraries: &Path,
        out: &Path,
    ) -> Result<Result<(), Refusal>, Failure> {
        let mut mounts = vec![
            Mount::here(&self.sysroot),
            Mount::here(&self.target),
            Mount::here(&self.workspace),
            Mount::here(sources),
            Mount::here(libraries),
            Mount { writable: true, ..Mount::here(out) },
        ];
        // A compiler of the system's is there already.
        mounts.retain(|mount| !mount.at.starts_with("/usr") || mount.at.starts_with("/usr/local"));
        let bounds = Bounds { cpu_s: COMPILE_CPU_S, address_mb: 0, file_mb: 512, is_test: false };
        // Names of files stand in messages and panics. From here they are those that the student sees.
        let cwd = sources;
        let variables: Vec<(String, String)> = call.environment.clone().into_iter().collect();
        let mut command = sandbox.command(&bounds, &variables, &mounts, cwd);
        command.arg(self.sysroot.join("bin/rustc")).args(self.arguments(call, libraries, out));
        let allowance = Allowance {
            silence: Duration::from_secs(COMPILE_REAL_S),
            memory_mb: COMPILE_MEMORY_MB,
            output: 64 * 1024 * 1024,
        };
        let (end, ()) = run(&mut command, allowance, &Pulse::default(), || ())
            .map_err(|error| Failure::new(format!("the compiler cannot be run: {error}")))?;
        Ok(match end.cause {
            Cause::Exit(0) => Ok(()),
            Cause::Exit(code) if code == i32::from(crate::sandbox::confine::BROKEN) => {
                return Err(Failure::new(end.output));
            }
            _ if is_full(out, &end) => {
                return Err(Failure::new(format!("{}: no room is left to compile in", out.display())));
            }
            Cause::Exit(_) => Err(Refusal::new("compiler", self.words(&end.output, sources))),
            cause => {
                Err(Refusal::new("compiler_limit", format!("The compiler was ended: {}.", limit(cause))))
            }
        })
    }

    /// The compiler's words without paths of this machine.
    fn words(&self, output: &str, folder: &Path) -> String {
        let mut text = output.to_owned();
        for place in [folder, &self.workspace, &self.target, &self.sysroot] {
            text = text.replace(&format!("{}/", place.display()), "");
        }
        text.trim().to_owned()
    }

    fn arguments(&self, call: &Call, libraries: &Path, out: &Path) -> Vec<String> {
        let own: Vec<&Call> = self.calls.iter().filter(|call| !call.is_test).collect();
        let mut arguments = Vec::new();
        let mut rest = call.arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--out-dir" | "--diagnostic-width" => {
                    rest.next();
                }
                "--extern" => arguments.extend([argument.clone(), own_extern(&own, rest.next(), libraries)]),
                "-C" => match rest.next() {
                    Some(value) if value.starts_with("incremental=") => {}
                    Some(value) if value.starts_with("opt-level=") => {}
                    value => arguments.extend([argument.clone(), value.cloned().unwrap_or_default()]),
                },
                text if ["--error-format", "--json", "--emit", "--diagnostic-width"]
                    .iter()
                    .any(|name| text.starts_with(name)) => {}
                _ => arguments.push(argument.clone()),
            }
        }
        let sysroot = self.sysroot.display().to_string();
        let out = out.display().to_string();
        // The last one counts.
        let own = if call.is_test { OPTIMISATION_OF_TESTS } else { OPTIMISATION };
        arguments.extend(own.iter().flat_map(|option| ["-C".to_owned(), (*option).to_owned()]));
        let more = [
            "--emit=link",
            "--color=never",
            "--out-dir",
            &out,
            "--sysroot",
            &sysroot,
            "-A",
            "warnings",
            "-F",
            "unsafe_code",
        ];
        arguments.extend(["-L".to_owned(), format!("dependency={}", libraries.display())]);
        arguments.extend(more.map(str::to_owned));
        arguments
    }
}

/// `--extern raft=…`: the submission's own library, if it is one of the lab's.
fn own_extern(own: &[&Call], value: Option<&String>, libraries: &Path) -> String {
    let value = value.cloned().unwrap_or_default();
    let (name, _) = value.split_once('=').unwrap_or((&value, ""));
    match own.iter().find(|call| call.krate == name) {
        Some(call) => {
            let file = format!("lib{name}{}.rlib", call.value("extra-filename="));
            format!("{name}={}", libraries.join(file).display())
        }
        // Of others the whole library is there, too, not only what a pipelined build needs.
        None => value.strip_suffix(".rmeta").map_or(value.clone(), |stem| format!("{stem}.rlib")),
    }
}

fn cannot(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

/// Writes sources below a folder, with a folder beside them for what is built. Returns the folder's full
/// path.
fn lay(sources: &Sources, folder: &Path) -> Result<PathBuf, Failure> {
    let folder = folder.canonicalize().map_err(|error| cannot(folder, error))?;
    for (path, text) in sources {
        let path = folder.join(path);
        let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
        parent.and_then(|()| fs::write(&path, text)).map_err(|error| cannot(&path, error))?;
    }
    fs::create_dir_all(folder.join("out")).map_err(|error| cannot(&folder, error))?;
    Ok(folder)
}

impl Call {
    /// The test binary that it makes.
    fn binary(&self, out: &Path) -> PathBuf {
        out.join(format!("{}{}", self.krate, self.value("extra-filename=")))
    }

    /// What stands behind `-C KEY=`.
    fn value(&self, key: &str) -> &str {
        self.arguments.iter().find_map(|argument| argument.strip_prefix(key)).unwrap_or_default()
    }
}

/// Whether the compiler failed because no room is left where it writes, for which no student can do anything.
/// The linker maps its output, and dies of a bus error then.
fn is_full(out: &Path, end: &End) -> bool {
    let words = ["No space left on device", "Bus error"];
    let says_so = end.cause == Cause::Signal(nix::sys::signal::Signal::SIGBUS as i32)
        || words.iter().any(|words| end.output.contains(words));
    // A source can make the compiler say that, too.
    says_so && !has_room(out)
}

/// Tries whether 64 MiB, more than any binary takes, can be written.
fn has_room(folder: &Path) -> bool {
    let path = folder.join("room");
    let megabyte = vec![1; 1 << 20];
    let written =
        File::create(&path).and_then(|mut file| (0..64).try_for_each(|_| file.write_all(&megabyte)));
    // It was made for this alone.
    let _ = fs::remove_file(&path);
    written.is_ok()
}

fn limit(cause: Cause) -> String {
    match cause {
        Cause::Processor => format!("it took more than {COMPILE_CPU_S} s of processor time for one crate"),
        Cause::Silence => format!("it took more than {COMPILE_REAL_S} s"),
        Cause::Memory => format!("it held more than {COMPILE_MEMORY_MB} MiB of memory"),
        Cause::Output => "it printed more than 64 MiB".to_owned(),
        Cause::FileSize => "it wrote a file of more than 512 MiB".to_owned(),
        Cause::Signal(signal) => format!("by signal {signal}"),
        Cause::ForbiddenCall => "by a forbidden system call".to_owned(),
        Cause::Stopped => "nobody waits for it".to_owned(),
        Cause::Exit(code) => format!("with status {code}"),
    }
}
