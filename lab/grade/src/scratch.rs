//! Folders that live as long as this process: handouts before they are used, submissions while they are
//! built.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use lab_terminal::Failure;

const NAME: &str = "lab-grade-";

/// A new folder of this process's, which only its user can look into. Graders that were killed leave theirs;
/// the next one removes them.
pub(crate) fn folder(name: &str) -> Result<PathBuf, Failure> {
    let all = std::env::temp_dir();
    let mine = all.join(format!("{NAME}{}", std::process::id()));
    if !mine.is_dir() {
        sweep(&all);
    }
    let path = mine.join(name);
    let _ = fs::remove_dir_all(&path);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
    made.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(path)
}

/// Removes this process's folder.
pub(crate) fn remove() {
    let _ = fs::remove_dir_all(std::env::temp_dir().join(format!("{NAME}{}", std::process::id())));
}

/// Removes the folders of processes that are gone, where the system tells which are.
fn sweep(all: &Path) {
    if !Path::new("/proc/self").exists() {
        return;
    }
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix(NAME))
            .and_then(|number| number.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            // Another user's folder stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
