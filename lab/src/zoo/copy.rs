//! A copy of the workspace that may be spoiled.
//!
//! Only what differs is written, so that cargo sees as changed what is changed and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// Folders that hold no sources.
const LEFT_OUT: [&str; 3] = ["target", "lab-runs", "node_modules"];

/// The copy.
pub(super) struct WorkspaceCopy {
    original: PathBuf,
    folder: PathBuf,
    /// Files that differ from the original's.
    spoiled: BTreeSet<PathBuf>,
}

impl WorkspaceCopy {
    /// Makes `folder` equal to the sources in `original`.
    pub(super) fn of(original: &Path, folder: &Path) -> Result<WorkspaceCopy, Failure> {
        let mut sources = BTreeSet::new();
        list(original, Path::new(""), &mut sources)?;
        let copy = WorkspaceCopy {
            original: original.to_path_buf(),
            folder: folder.to_path_buf(),
            spoiled: BTreeSet::new(),
        };
        sources.iter().try_for_each(|file| copy.renew(file))?;
        let mut there = BTreeSet::new();
        list(folder, Path::new(""), &mut there)?;
        for file in there.difference(&sources) {
            // A lock file that cargo wrote, where the original has none, may stay.
            if !file.ends_with("Cargo.lock") {
                fs::remove_file(folder.join(file)).map_err(|error| cannot(file, &error))?;
            }
        }
        Ok(copy)
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Undoes all replacements.
    pub(super) fn restore(&mut self) -> Result<(), Failure> {
        while let Some(file) = self.spoiled.pop_first() {
            self.renew(&file)?;
        }
        Ok(())
    }

    /// Gives a file another text.
    pub(super) fn replace(&mut self, file: &Path, text: &str) -> Result<(), Failure> {
        self.spoiled.insert(file.to_path_buf());
        fs::write(self.folder.join(file), text).map_err(|error| cannot(file, &error))
    }

    /// Makes one file equal to the original's.
    fn renew(&self, file: &Path) -> Result<(), Failure> {
        let (from, to) = (self.original.join(file), self.folder.join(file));
        let text = fs::read(&from).map_err(|error| cannot(&from, &error))?;
        if fs::read(&to).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let parent = to.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).and_then(|()| fs::write(&to, text)).map_err(|error| cannot(&to, &error))
    }
}

/// Gathers the files below `root/folder`, as paths from `root`. Links are left out: they may lead anywhere.
fn list(root: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<(), Failure> {
    let here = root.join(folder);
    for entry in fs::read_dir(&here).map_err(|error| cannot(&here, &error))? {
        let entry = entry.map_err(|error| cannot(&here, &error))?;
        let kind = entry.file_type().map_err(|error| cannot(&here, &error))?;
        let name = entry.file_name();
        let path = folder.join(&name);
        if kind.is_file() {
            files.insert(path);
        } else if kind.is_dir() && holds_sources(&name.to_string_lossy()) {
            list(root, &path, files)?;
        }
    }
    Ok(())
}

/// Hidden folders hold none either, but for cargo's.
fn holds_sources(name: &str) -> bool {
    name == ".cargo" || !(name.starts_with('.') || LEFT_OUT.contains(&name))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
