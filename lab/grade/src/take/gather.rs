//! What is kept of a submission while it is read, and the bounds of that.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::Refusal;

/// More entries than this are no lab.
const MOST_ENTRIES: u64 = 20_000;

/// No source is longer than this many bytes.
const LONGEST_SOURCE: u64 = 1024 * 1024;

/// All sources together.
const MOST_KEPT: usize = 16 * 1024 * 1024;

/// How many bytes an archive may unpack to, most of which is only read past.
pub(super) const MOST_UNPACKED: u64 = 256 * 1024 * 1024;

/// Folders in which nothing is looked for.
const SKIPPED: [&str; 2] = [".git", "__MACOSX"];

/// Folders of what others wrote or a program made, unless they lie below a crate's `src`: there they are
/// modules.
const OF_OTHERS: [&str; 3] = ["target", "node_modules", "vendor"];

/// What archives are called that can be read.
const ARCHIVES: [&str; 4] = [".zip", ".tar", ".tar.gz", ".tgz"];

/// What a path in a submission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// A symbolic or hard link.
    Link,
    /// A pipe, a socket, a device.
    Device,
}

/// The files that may matter.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// Sources and manifests by their normal path.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Sources below a `src` in a folder that is called as those of others are. No crate is looked for among
    /// them.
    pub(super) modules: BTreeMap<String, Vec<u8>>,
    /// Links and devices.
    pub(super) special: BTreeMap<String, Special>,
    /// Sources that are longer than a source may be.
    pub(super) too_long: BTreeSet<String>,
    /// Names that are not UTF-8, as far as they can be shown.
    pub(super) strange: BTreeSet<String>,
    /// Archives in what was handed in.
    pub(super) archives: BTreeSet<String>,
    pub(super) entries: u64,
    /// Bytes that were read, also those of sources that are too long.
    read: u64,
    kept: usize,
}

impl Gather {
    /// Counts an entry.
    pub(super) fn count(&mut self) -> Result<(), Refusal> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(Refusal::new(
                "too_many_files",
                format!("It has more than {MOST_ENTRIES} files; hand in the sources only."),
            ));
        }
        Ok(())
    }

    /// A file. It is read only if it may matter.
    pub(super) fn file(&mut self, path: &[u8], mut content: impl Read) -> Result<(), Refusal> {
        let Some(path) = self.normal(path)? else { return Ok(()) };
        if is_skipped(&path) || !may_matter(&path) {
            let lower = path.to_ascii_lowercase();
            if !is_skipped(&path) && ARCHIVES.iter().any(|end| lower.ends_with(end)) {
                self.archives.insert(path);
            }
            return Ok(());
        }
        let mut bytes = Vec::new();
        content.by_ref().take(LONGEST_SOURCE + 1).read_to_end(&mut bytes).map_err(|error| {
            Refusal::new("damaged", format!("`{path}` cannot be read out of it: {error}."))
        })?;
        self.read += bytes.len() as u64;
        if self.read > MOST_UNPACKED {
            return Err(bomb());
        }
        if bytes.len() as u64 > LONGEST_SOURCE {
            self.too_long.insert(path);
            return Ok(());
        }
        let is_module = path.split('/').any(is_of_others);
        // They may be others' all the same, as in a workspace that lies in a folder `src`.
        if is_module && self.kept + bytes.len() > MOST_KEPT {
            return Ok(());
        }
        self.kept += bytes.len();
        if self.kept > MOST_KEPT {
            return Err(Refusal::new("too_large", "Its sources are longer than 16 MiB together."));
        }
        let files = if is_module { &mut self.modules } else { &mut self.files };
        if files.insert(path.clone(), bytes).is_some() {
            return Err(Refusal::new("twice", format!("`{path}` is in it twice.")));
        }
        Ok(())
    }

    /// Something that is neither file nor folder.
    pub(super) fn special(&mut self, path: &[u8], special: Special) -> Result<(), Refusal> {
        if let Some(path) = self.normal(path)?.filter(|path| !is_skipped(path)) {
            self.special.insert(path, special);
        }
        Ok(())
    }

    /// The path without `.`, if it is text. A path that leads out of the submission is refused.
    fn normal(&mut self, path: &[u8]) -> Result<Option<String>, Refusal> {
        let shown = String::from_utf8_lossy(path).escape_debug().to_string();
        if path.starts_with(b"/") {
            return Err(Refusal::new("absolute_path", format!("It has the absolute path `{shown}`.")));
        }
        let parts: Vec<&[u8]> =
            path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        if parts.contains(&b"..".as_slice()) {
            return Err(Refusal::new(
                "path_out",
                format!("It has the path `{shown}`, which leads out of it."),
            ));
        }
        match String::from_utf8(parts.join(b"/".as_slice())) {
            Ok(path) => Ok(Some(path)),
            Err(_) => {
                self.strange.insert(shown);
                Ok(None)
            }
        }
    }
}

/// The refusal of what unpacks to too much.
pub(super) fn bomb() -> Refusal {
    let mebibytes = MOST_UNPACKED / (1024 * 1024);
    Refusal::new(
        "archive_bomb",
        format!("It unpacks to more than {mebibytes} MiB; hand in the sources only, without `target`."),
    )
}

/// Whether a folder of that name is passed over.
pub(super) fn is_skipped_folder(name: &str) -> bool {
    SKIPPED.contains(&name)
}

/// Whether a folder of that name is passed over unless it is a module.
pub(super) fn is_of_others(name: &str) -> bool {
    OF_OTHERS.contains(&name)
}

/// Whether a file lies in a folder that is passed over, or is hidden. No module can be in a hidden file: a
/// Mac keeps there what an archive has no place for (`._lib.rs`), and an editor that a file is open
/// (`.#lib.rs`, a link).
fn is_skipped(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let may_be_modules = |before: &str| before.split('/').any(|folder| folder == "src");
    let is_others = |(end, _): (usize, &str)| {
        let (before, folder) = folders[..end].rsplit_once('/').unwrap_or(("", &folders[..end]));
        is_of_others(folder) && !may_be_modules(before)
    };
    let ends = folders.match_indices('/').chain([(folders.len(), "")]);
    name.starts_with('.') || folders.split('/').any(is_skipped_folder) || ends.into_iter().any(is_others)
}

fn may_matter(path: &str) -> bool {
    path.ends_with(".rs") || path.rsplit('/').next() == Some("Cargo.toml")
}
