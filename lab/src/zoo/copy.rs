//! A copy of the workspace that may be spoiled.
//!
//! Only what differs is written, so that cargo sees as changed what is changed and nothing else.
//!
//! The copy may stand on another *base*: a folder `bugs/bases/NAME` whose files lie over those of the
//! workspace. A `src` folder that a base has is all there is of that folder in the copy.
//!
//! A student has none of the reference's assertions, and one that ends a run hides whether a test would have
//! noticed. So in the sources of some packages each `assert!` of the copy is a `debug_assert!`, which is then
//! not built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// Folders that hold no sources.
const LEFT_OUT: [&str; 3] = ["target", "lab-runs", "node_modules"];

/// The copy.
pub(super) struct WorkspaceCopy {
    original: PathBuf,
    folder: PathBuf,
    base: Option<String>,
    /// The packages without assertions.
    muted: Vec<String>,
    /// Each file's source, by its path in the copy.
    sources: BTreeMap<PathBuf, PathBuf>,
    /// Files that differ from their sources.
    spoiled: BTreeSet<PathBuf>,
}

impl WorkspaceCopy {
    /// Makes `folder` equal to the sources in `original`, but for the assertions of the packages `muted`.
    pub(super) fn of(original: &Path, folder: &Path, muted: &[String]) -> Result<WorkspaceCopy, Failure> {
        let copy = WorkspaceCopy {
            original: original.to_path_buf(),
            folder: folder.to_path_buf(),
            base: None,
            muted: muted.to_vec(),
            sources: sources(original)?,
            spoiled: BTreeSet::new(),
        };
        copy.make_equal()?;
        Ok(copy)
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The source of a file, with its assertions; of a file that there is not, where it would be.
    pub(super) fn source(&self, file: &Path) -> PathBuf {
        self.sources.get(file).cloned().unwrap_or_else(|| self.original.join(file))
    }

    /// Undoes all replacements, and lays this base over the workspace.
    pub(super) fn restore(&mut self, base: Option<&str>) -> Result<(), Failure> {
        if self.base.as_deref() == base {
            while let Some(file) = self.spoiled.pop_first() {
                self.renew(&file)?;
            }
            return Ok(());
        }
        self.spoiled.clear();
        self.sources = sources(&self.original)?;
        if let Some(base) = base {
            self.lay(&self.original.join("bugs/bases").join(base))?;
        }
        self.base = base.map(str::to_owned);
        self.make_equal()
    }

    /// Replaces the sources that this base has.
    fn lay(&mut self, base: &Path) -> Result<(), Failure> {
        let mut files = sources(base)?;
        // Wrong solutions that are made of it.
        files.retain(|file, _| !file.starts_with("bugs"));
        let folders: BTreeSet<PathBuf> = files.keys().filter_map(|file| source_folder(file)).collect();
        self.sources.retain(|file, _| source_folder(file).is_none_or(|folder| !folders.contains(&folder)));
        self.sources.extend(files);
        Ok(())
    }

    fn make_equal(&self) -> Result<(), Failure> {
        self.sources.keys().try_for_each(|file| self.renew(file))?;
        let mut there = BTreeSet::new();
        list(&self.folder, Path::new(""), &mut there)?;
        for file in there.iter().filter(|file| !self.sources.contains_key(*file)) {
            // A lock file that cargo wrote, where the original has none, may stay.
            if !file.ends_with("Cargo.lock") {
                fs::remove_file(self.folder.join(file)).map_err(|error| cannot(file, &error))?;
            }
        }
        Ok(())
    }

    /// Gives a file another text.
    pub(super) fn replace(&mut self, file: &Path, text: &str) -> Result<(), Failure> {
        self.spoiled.insert(file.to_path_buf());
        let text = self.muted(file, text.as_bytes().to_vec());
        fs::write(self.folder.join(file), text).map_err(|error| cannot(file, &error))
    }

    /// What a file of this text becomes in the copy.
    fn muted(&self, file: &Path, text: Vec<u8>) -> Vec<u8> {
        let package = source_folder(file).and_then(|folder| Some(folder.parent()?.file_name()?.to_owned()));
        match (package, std::str::from_utf8(&text)) {
            (Some(package), Ok(code)) if self.muted.iter().any(|muted| package == muted.as_str()) => {
                without_assertions(code).into_bytes()
            }
            _ => text,
        }
    }

    /// Makes one file equal to its source.
    fn renew(&self, file: &Path) -> Result<(), Failure> {
        let (from, to) = (&self.sources[file], self.folder.join(file));
        let text = self.muted(file, fs::read(from).map_err(|error| cannot(from, &error))?);
        if fs::read(&to).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let parent = to.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).and_then(|()| fs::write(&to, text)).map_err(|error| cannot(&to, &error))
    }
}

/// The text with each assertion as a debug assertion.
fn without_assertions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begin = 0;
    for (at, word) in text.match_indices("assert") {
        let is_word_before = text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let behind = &text[at + word.len()..];
        if !is_word_before && ["!(", "_eq!(", "_ne!("].iter().any(|end| behind.starts_with(end)) {
            out.push_str(&text[begin..at]);
            out.push_str("debug_");
            begin = at;
        }
    }
    out + &text[begin..]
}

/// All files below `root`, by their paths from there.
fn sources(root: &Path) -> Result<BTreeMap<PathBuf, PathBuf>, Failure> {
    let mut files = BTreeSet::new();
    list(root, Path::new(""), &mut files)?;
    Ok(files.into_iter().map(|file| (file.clone(), root.join(file))).collect())
}

/// The `src` folder that holds a file: `raft/src` for `raft/src/log.rs`.
fn source_folder(file: &Path) -> Option<PathBuf> {
    file.ancestors().find(|folder| folder.ends_with("src")).map(Path::to_path_buf)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_replaces_its_source_folders_whole() {
        let root = std::env::temp_dir().join(format!("lab-copy-{}", std::process::id()));
        let (original, copy) = (root.join("original"), root.join("copy"));
        let write = |file: &str, text: &str| {
            let path = original.join(file);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders can be made");
            fs::write(path, text).expect("files can be written");
        };
        write("raft/src/old.rs", "old");
        write("raft/Cargo.toml", "manifest");
        write("bugs/bases/other/raft/src/new.rs", "new");
        let made = WorkspaceCopy::of(&original, &copy, &[]).and_then(|mut made| {
            made.restore(Some("other"))?;
            made.replace(Path::new("raft/src/new.rs"), "wrong")?;
            Ok(made)
        });
        let Ok(mut made) = made else { panic!("it can be copied") };
        assert!(copy.join("raft/Cargo.toml").is_file() && !copy.join("raft/src/old.rs").exists());
        assert_eq!(fs::read_to_string(copy.join("raft/src/new.rs")).ok().as_deref(), Some("wrong"));
        assert!(made.restore(None).is_ok());
        assert!(copy.join("raft/src/old.rs").is_file() && !copy.join("raft/src/new.rs").exists());
        fs::remove_dir_all(root).expect("it is there");
    }

    #[test]
    fn assertions_become_debug_assertions() {
        let code = "assert!(a); assert_eq!(a, b); debug_assert_ne!(a, b); my_assert!(a); assert_ne!(a, b)";
        let muted = "debug_assert!(a); debug_assert_eq!(a, b); debug_assert_ne!(a, b); my_assert!(a); \
                     debug_assert_ne!(a, b)";
        assert_eq!(without_assertions(code), muted);
        assert_eq!(without_assertions(muted), muted);
    }
}
