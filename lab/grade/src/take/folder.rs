//! Submissions that are folders.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Refusal;
use super::gather::{Gather, Special, is_of_others, is_skipped_folder};

/// Folders within folders, at most.
const DEEPEST: usize = 64;

/// Reads a folder without following any link.
pub(super) fn read(root: &Path, gather: &mut Gather) -> Result<(), Refusal> {
    let cannot = |path: &Path, error: std::io::Error| {
        let path = path.strip_prefix(root).unwrap_or(path);
        Refusal::new("unreadable", format!("`{}` cannot be read: {error}.", path.display()))
    };
    let mut folders = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if depth > DEEPEST {
            return Err(Refusal::new(
                "too_deep",
                format!("Its folders are nested more than {DEEPEST} deep."),
            ));
        }
        for entry in fs::read_dir(&folder).map_err(|error| cannot(&folder, error))? {
            gather.count()?;
            let entry = entry.map_err(|error| cannot(&folder, error))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| cannot(&path, error))?;
            let name = relative(root, &path);
            if kind.is_dir() {
                let is = |what: fn(&str) -> bool| entry.file_name().to_str().is_some_and(what);
                if !is(is_skipped_folder) && (!is(is_of_others) || lies_in_crate(root, &folder)) {
                    folders.push((path, depth + 1));
                }
            } else if kind.is_file() {
                // Opened only if it may matter, and a file that nobody may read matters only then.
                gather.file(&name, Lazily::new(path))?;
            } else {
                let special = if kind.is_symlink() { Special::Link } else { Special::Device };
                gather.special(&name, special)?;
            }
        }
    }
    Ok(())
}

/// Whether the folder is a crate's `src`, or lies below one.
fn lies_in_crate(root: &Path, folder: &Path) -> bool {
    let source =
        folder.ancestors().take_while(|above| above.starts_with(root)).find(|above| above.ends_with("src"));
    source.is_some_and(|source| source.join("lib.rs").is_file())
}

fn relative(root: &Path, path: &Path) -> Vec<u8> {
    path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes().to_vec()
}

/// A file that is opened when it is first read.
struct Lazily {
    path: PathBuf,
    file: Option<File>,
}

impl Lazily {
    fn new(path: PathBuf) -> Lazily {
        Lazily { path, file: None }
    }
}

impl std::io::Read for Lazily {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.file.is_none() {
            self.file = Some(File::open(&self.path)?);
        }
        self.file.as_mut().map_or(Ok(0), |file| file.read(buffer))
    }
}
