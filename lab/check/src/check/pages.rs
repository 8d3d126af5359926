//! Where the pages of `--html` go.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::source::Source;
use crate::Failure;
use crate::style::clean;

/// How every page begins.
const DOCTYPE: &[u8] = b"<!doctype html";

/// Where to put a page for each history.
pub(super) enum Pages {
    /// There are none.
    None,
    /// One history, one page.
    File(PathBuf),
    /// A page for each history, and the names that are taken.
    Folder(PathBuf, BTreeSet<String>),
}

impl Pages {
    /// `out` is a page if there is one history, unless it is written as a folder or is one already.
    pub(super) fn new(out: Option<&Path>, histories: usize) -> Result<Pages, Failure> {
        let Some(out) = out else { return Ok(Pages::None) };
        // For FILE it is standard input, so here standard output would be expected, where the verdicts go.
        if out.as_os_str() == "-" {
            return Err(Failure::new(
                "--html wants a file or a folder: no page is written to standard output (./- is a file of that name)",
            ));
        }
        let shown = clean(&out.to_string_lossy());
        let as_folder = out.as_os_str().as_encoded_bytes().ends_with(b"/") || out.is_dir();
        if histories == 1 && !as_folder {
            refuse_other_files(out)?;
            return Ok(Pages::File(out.to_owned()));
        }
        if out.exists() && !out.is_dir() {
            return Err(Failure::new(format!(
                "{shown} is a file; the pages of several histories need a folder"
            )));
        }
        fs::create_dir_all(out).map_err(|error| Failure::new(format!("cannot make {shown}: {error}")))?;
        Ok(Pages::Folder(out.to_owned(), BTreeSet::new()))
    }

    /// Writes what `page` returns to where the page of `source` belongs, and says where that is.
    pub(super) fn write(
        &mut self,
        source: &Source,
        page: impl FnOnce() -> String,
    ) -> Result<Option<PathBuf>, Failure> {
        let path = match self {
            Pages::None => return Ok(None),
            Pages::File(path) => path.clone(),
            Pages::Folder(folder, taken) => folder.join(free_name(&source.stem(), taken)),
        };
        refuse_other_files(&path)?;
        let cannot =
            |error| Failure::new(format!("cannot write {}: {error}", clean(&path.to_string_lossy())));
        fs::write(&path, page()).map_err(cannot)?;
        Ok(Some(path))
    }
}

/// `stem.html`, or `stem-2.html` and so on if histories of one name come from several folders.
fn free_name(stem: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = format!("{stem}.html");
    let mut number = 1;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{stem}-{number}.html");
    }
    name
}

/// `--html *.jsonl` would name a history as the page. Only pages are overwritten.
fn refuse_other_files(path: &Path) -> Result<(), Failure> {
    let regular = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0);
    if !regular {
        return Ok(());
    }
    let mut head = [0; DOCTYPE.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    if read.is_ok() && head.eq_ignore_ascii_case(DOCTYPE) {
        return Ok(());
    }
    let shown = clean(&path.to_string_lossy());
    Err(Failure::new(format!("{shown} exists and is no page, so no page is written over it")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_of_one_name_have_pages_of_their_own() {
        let mut taken = BTreeSet::new();
        let names: Vec<String> =
            ["a", "b", "a", "a"].iter().map(|stem| free_name(stem, &mut taken)).collect();
        assert_eq!(names, ["a.html", "b.html", "a-2.html", "a-3.html"]);
    }
}
