//! From a submission on the disk to the texts that are graded.
//!
//! Nothing is unpacked to the disk. An archive is read as a stream, and only the sources of the lab's crates
//! are kept, in memory, within fixed bounds. So a path in an archive can lead nowhere, a link is never
//! followed, and what else was handed in costs no more than reading past it.

mod archive;
mod folder;
mod gather;
mod locate;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use self::gather::Gather;

/// What is graded: the sources of the lab's crates by path, `raft/src/lib.rs`.
pub(crate) type Sources = BTreeMap<String, String>;

/// A submission that can be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) sources: Sources,
    /// What the student may want to know: files that were handed in and do not count.
    pub(crate) notes: Vec<String>,
}

/// Why a submission is not built: the fault's name, and a sentence for the student.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// Stable, for programs: `zip_bomb`.
    pub(crate) fault: String,
    pub(crate) sentence: String,
}

impl Refusal {
    pub(crate) fn new(fault: &str, sentence: impl Into<String>) -> Refusal {
        Refusal { fault: fault.to_owned(), sentence: sentence.into() }
    }
}

/// Whether something that lies beside submissions is none: files of the system's and of editors, and what a
/// Mac puts beside what it unpacks.
pub(crate) fn is_foreign(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with('.') || name == "__MACOSX"
}

/// The name that a package's folder ends with: `warmup` of `lectures/warmup`.
pub(crate) fn name_of(package: &str) -> &str {
    package.rsplit('/').next().unwrap_or(package)
}

/// Reads the submission at `path`, and takes the sources of these packages from it.
pub(crate) fn take(path: &Path, packages: &[String]) -> Result<Taken, Refusal> {
    locate::locate(&read(path)?, packages)
}

/// Reads the submission at `path`, and takes the tests of this package from it.
pub(crate) fn take_tests(path: &Path, package: &str) -> Result<Taken, Refusal> {
    locate::locate_tests(&read(path)?, package)
}

fn read(path: &Path) -> Result<Gather, Refusal> {
    let mut gather = Gather::default();
    let about = fs::symlink_metadata(path)
        .map_err(|error| Refusal::new("unreadable", format!("It cannot be read: {error}.")))?;
    if about.is_dir() {
        if archive::is_bare_repository(path) {
            archive::read_repository(path, &mut gather, archive::LONGEST)?;
        } else {
            folder::read(path, &mut gather)?;
            // Systems that collect submissions make a folder of each, with what was uploaded in it.
            if gather.files.is_empty() && gather.special.is_empty() && gather.archives.len() == 1 {
                let archive = gather.archives.first().map(|name| path.join(name)).unwrap_or_default();
                gather = Gather::default();
                archive::read(&archive, &mut gather)?;
            }
        }
    } else if about.is_file() {
        archive::read(path, &mut gather)?;
    } else if about.is_symlink() {
        let sentence = "It is a link, which is not followed; what it leads to must lie there itself.";
        return Err(Refusal::new("not_a_file", sentence));
    } else {
        return Err(Refusal::new("not_a_file", "It is neither a folder nor an archive."));
    }
    Ok(gather)
}

#[cfg(test)]
mod tests;
