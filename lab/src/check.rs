//! `cargo lab check`: builds the program `lab-check`, and becomes it.
//!
//! The checker and its generic code are large, and a test run needs none of it. So `check` is a program of
//! its own, with its own folder `lab/check`, that is built when it is first asked for.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab_terminal::{Failure, Outcome};

use crate::build;
use crate::cli::CheckOptions;

/// The package, and the name of its program.
const PROGRAM: &str = "lab-check";

/// Checks histories, in the place of this process. Returns only if that is impossible.
pub(crate) fn run(options: &CheckOptions) -> Result<Outcome, Failure> {
    let program = program(PROGRAM)?;
    let error = Command::new(&program).args(&options.arguments).exec();
    Err(Failure::new(format!("cannot run {}: {error}", program.display())))
}

/// A program of the workspace, up to date. If this one is not in a target folder of cargo's, it was installed, and so the
/// other one is expected beside it.
pub(crate) fn program(name: &str) -> Result<PathBuf, Failure> {
    let this = std::env::current_exe()
        .map_err(|error| Failure::new(format!("the system does not tell where this program is: {error}")))?;
    let folder = this.parent().unwrap_or(Path::new("/"));
    let beside = folder.join(name);
    // This crate's folder is in the workspace's root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"));
    match (folder.file_name(), folder.parent()) {
        (Some(profile), Some(target)) if folder.join(".fingerprint").is_dir() && root.is_dir() => {
            // Cargo calls the folder of the profile `dev` by another name than the profile.
            let profile = if profile == "debug" { "dev".into() } else { profile.to_os_string() };
            build::program(root, name, &profile, target)?;
        }
        _ => {}
    }
    Ok(beside)
}
