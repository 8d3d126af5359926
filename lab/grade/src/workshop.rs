//! The pristine workspace of a lab, built once: a handout, the framework's libraries, the calls of the
//! compiler for the lab's own crates, and what the reference and the skeleton look like there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab_terminal::{Failure, RECORD as HANDOUT};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::recipe::{CRATES, RECORD, Recipe, variables};
use crate::settings::Grading;
use crate::take::{Sources, name_of};
use crate::{scratch, settings};

/// A workspace to lay submissions over.
pub(crate) struct Workshop {
    /// The folders of the lab's crates, each named for its crate: `raft`, `lectures/warmup`.
    pub(crate) packages: Vec<String>,
    pub(crate) recipe: Recipe,
    /// What a student begins with.
    pub(crate) skeleton: Sources,
    /// What passes.
    pub(crate) reference: Sources,
    /// Of everything that decides what a submission is built to. Equal on all machines that grade alike.
    pub(crate) fingerprint: String,
    /// Held as long as this lives, so that nobody else rebuilds it.
    _lock: File,
}

/// The record of a handout, as far as it matters here.
#[derive(Deserialize)]
struct Record {
    files: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    role: String,
}

fn cannot(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

impl Workshop {
    /// Makes it in the folder `cache`, or takes what is there if nothing has changed.
    /// `with` are earlier labs that are put in as the reference has them.
    pub(crate) fn prepare(lab: &str, with: &[String], cache: &Path) -> Result<Workshop, Failure> {
        fs::create_dir_all(cache).map_err(|error| cannot(cache, error))?;
        let cache = cache.canonicalize().map_err(|error| cannot(cache, error))?;
        // Several graders may use one cache. Each makes a handout of its own to see whether the cache is
        // right.
        let fresh = scratch::folder("handout")?;
        hand_out(lab, with, &[], &fresh)?;
        let (packages, skeleton) = read_handout(&fresh)?;
        let solved = scratch::folder("solved")?;
        hand_out(lab, with, &["--solved"], &solved)?;
        let (_, reference) = read_handout(&solved)?;
        remove(&solved)?;
        let fingerprint = fingerprint(&fresh, &reference)?;
        let crates: Vec<String> = packages.iter().map(|package| krate(package)).collect();
        // A lab may have crates without tests of their own.
        let tested: BTreeSet<String> =
            settings::tests(&fresh, &Grading::default())?.into_iter().map(|test| test.krate).collect();
        let mut recipe = Recipe {
            calls: Vec::new(),
            workspace: cache.join("workspace"),
            target: cache.join("target"),
            sysroot: sysroot()?,
        };
        let stamp = cache.join("stamp");
        let is_right = || fs::read_to_string(&stamp).is_ok_and(|text| text == fingerprint);
        let lock = File::create(cache.join("lock")).map_err(|error| cannot(&cache, error))?;
        lock.lock_shared().map_err(|error| cannot(&cache, error))?;
        while !is_right() {
            // Alone: whoever uses the cache as it is has to finish first.
            lock.unlock().and_then(|()| lock.lock()).map_err(|error| cannot(&cache, error))?;
            if !is_right() {
                remove(&stamp)?;
                replace(&fresh, &recipe.workspace)?;
                lay(&recipe.workspace, &reference)?;
                build(&cache, &crates, &tested)?;
                lay(&recipe.workspace, &skeleton)?;
                remove_own_libraries(&recipe.target, &crates)?;
                fs::write(&stamp, &fingerprint).map_err(|error| cannot(&stamp, error))?;
            }
            // Others wait for the same; one that builds something else may come in between.
            lock.lock_shared().map_err(|error| cannot(&cache, error))?;
        }
        remove(&fresh)?;
        recipe.calls = Recipe::read(&cache.join("recipes"), &crates, &tested)?;
        Ok(Workshop { packages, recipe, skeleton, reference, fingerprint, _lock: lock })
    }
}

/// The name of a package's crate.
fn krate(package: &str) -> String {
    name_of(package).replace('-', "_")
}

fn remove(path: &Path) -> Result<(), Failure> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot(path, error)),
        _ => Ok(()),
    }
}

/// Makes a folder like a fresh one. Files that are right already keep their times, for cargo's sake.
fn replace(fresh: &Path, folder: &Path) -> Result<(), Failure> {
    for path in if folder.is_dir() { files(folder)? } else { Vec::new() } {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        if !fresh.join(name).is_file() {
            remove(&path)?;
        }
    }
    for path in files(fresh)? {
        let place = folder.join(path.strip_prefix(fresh).unwrap_or(&path));
        let content = fs::read(&path).map_err(|error| cannot(&path, error))?;
        if fs::read(&place).is_ok_and(|there| there == content) {
            continue;
        }
        let parent = place.parent().map_or(Ok(()), fs::create_dir_all);
        parent.and_then(|()| fs::write(&place, content)).map_err(|error| cannot(&place, error))?;
    }
    Ok(())
}

/// Makes a handout with the program beside this one.
fn hand_out(lab: &str, with: &[String], options: &[&str], out: &Path) -> Result<(), Failure> {
    let this =
        std::env::current_exe().map_err(|error| Failure::new(format!("this program is gone: {error}")))?;
    let program = this.with_file_name("lab-handout");
    let mut command = Command::new(&program);
    command.args(["--lab", lab, "--out"]).arg(out).args(options).stdin(Stdio::null());
    if !with.is_empty() {
        command.args(["--with", &with.join(",")]);
    }
    let output = command.output().map_err(|error| {
        Failure::new(format!("{}: {error}; `cargo lab grade` builds it", program.display()))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(words.trim().trim_start_matches("error: ").to_owned()))
}

/// The packages of which the student writes the sources, and these sources.
fn read_handout(handout: &Path) -> Result<(Vec<String>, Sources), Failure> {
    let path = handout.join(HANDOUT);
    let text = fs::read_to_string(&path).map_err(|error| cannot(&path, error))?;
    let record: Record = serde_json::from_str(&text).map_err(|error| cannot(&path, error))?;
    let (mut packages, mut skeleton) = (Vec::new(), Sources::new());
    for (name, _) in record.files.iter().filter(|(_, entry)| entry.role == "yours") {
        let package = name.split("/src/").next().unwrap_or_default().to_owned();
        if !packages.contains(&package) {
            packages.push(package);
        }
        let path = handout.join(name);
        skeleton.insert(name.clone(), fs::read_to_string(&path).map_err(|error| cannot(&path, error))?);
    }
    // As the handout's manifest lists them: each behind those that it stands on.
    let manifest = fs::read_to_string(handout.join("Cargo.toml")).unwrap_or_default();
    packages.sort_by_key(|package| manifest.find(&format!("\n    \"{package}\",")));
    Ok((packages, skeleton))
}

/// Makes the sources of the packages in the workspace these.
fn lay(workspace: &Path, sources: &Sources) -> Result<(), Failure> {
    let packages: BTreeSet<&str> = sources.keys().filter_map(|path| path.split("/src/").next()).collect();
    for package in packages {
        remove(&workspace.join(package).join("src"))?;
    }
    for (path, text) in sources {
        let path = workspace.join(path);
        let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
        parent.and_then(|()| fs::write(&path, text)).map_err(|error| cannot(&path, error))?;
    }
    Ok(())
}

/// Builds the reference by cargo, with this program in the place of rustc.
fn build(cache: &Path, crates: &[String], tested: &BTreeSet<String>) -> Result<(), Failure> {
    let recipes = cache.join("recipes");
    remove(&recipes)?;
    fs::create_dir_all(&recipes).map_err(|error| cannot(&recipes, error))?;
    // Otherwise cargo might find that a crate is built already, and no call would be recorded.
    remove_own_libraries(&cache.join("target"), crates)?;
    let this =
        std::env::current_exe().map_err(|error| Failure::new(format!("this program is gone: {error}")))?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--no-run", "--locked", "--workspace"]);
    command.args(tested.iter().flat_map(|krate| ["--test", krate.as_str()]));
    command.env("CARGO_TARGET_DIR", cache.join("target")).env("RUSTC_WORKSPACE_WRAPPER", this);
    command.env(RECORD, &recipes).env(CRATES, crates.join(",")).env("CARGO_INCREMENTAL", "0");
    command.current_dir(cache.join("workspace")).stdin(Stdio::null()).stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::new("the reference cannot be built; the compiler's words are above")),
        Err(error) => {
            Err(Failure::new(format!("cargo cannot be run: {error}; is a Rust toolchain installed?")))
        }
    }
}

/// Removes what cargo knows and has built of the lab's crates, so that no part of the reference is left.
fn remove_own_libraries(target: &Path, crates: &[String]) -> Result<(), Failure> {
    let is_own = |name: &str| {
        // Behind the crate's name stands a hash. `vmft-machine` is not `vmft`.
        let stem = name.rsplit_once('-').map_or(name, |(stem, _)| stem).replace('-', "_");
        crates.iter().any(|own| stem.strip_prefix("lib").unwrap_or(&stem) == own.as_str())
    };
    for folder in ["debug/deps", "debug/.fingerprint"] {
        let Ok(entries) = fs::read_dir(target.join(folder)) else { continue };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(is_own) {
                remove(&entry.path())?;
            }
        }
    }
    Ok(())
}

fn sysroot() -> Result<PathBuf, Failure> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| {
        Failure::new(format!("rustc cannot be run: {error}; is a Rust toolchain installed?"))
    })?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if text.is_empty() {
        return Err(Failure::new(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(PathBuf::from(text))
}

/// Of the handout, the reference, the compiler, and what steers the build.
fn fingerprint(handout: &Path, reference: &Sources) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    let mut put = |name: &str, content: &[u8]| {
        hash.update(format!("{name}\0{}\0", content.len()));
        hash.update(content);
    };
    // Texts for people build nothing.
    let builds = |path: &PathBuf| {
        path.extension().is_some_and(|end| ["rs", "toml", "lock"].map(std::ffi::OsStr::new).contains(&end))
    };
    for path in files(handout)?.into_iter().filter(builds) {
        let name = path.strip_prefix(handout).unwrap_or(&path).display().to_string();
        put(&name, &fs::read(&path).map_err(|error| cannot(&path, error))?);
    }
    for (path, text) in reference {
        put(path, text.as_bytes());
    }
    let version = Command::new("rustc").arg("-vV").stdin(Stdio::null()).output();
    put("rustc", &version.map(|output| output.stdout).unwrap_or_default());
    let mut variables: Vec<(String, String)> =
        variables().filter(|(name, _)| name.starts_with("CARGO_PROFILE_") || name == "RUSTFLAGS").collect();
    variables.sort();
    for (name, value) in variables {
        put(&name, value.as_bytes());
    }
    Ok(hex(&hash.finalize()[..16]))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| cannot(&folder, error))? {
            let path = entry.map_err(|error| cannot(&folder, error))?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}
