//! `--diff OLD`: what has changed since a handout was given out.

use std::fs;
use std::path::{Path, PathBuf};

use diffy::DiffOptions;
use lab_terminal::{Failure, fingerprint};

use crate::make::Record;
use crate::plan::Plan;

/// How an earlier handout becomes the present one.
#[derive(Debug, Default)]
pub(crate) struct Update {
    /// For `git apply` or `patch -p1` in the earlier handout's folder.
    pub(crate) patch: String,
    /// Files that have a newer form and were changed in that folder, so that the patch leaves them out.
    pub(crate) touched: Vec<PathBuf>,
}

/// Compares the folder of an earlier handout, in which students may have worked, with the present plan.
pub(crate) fn update(old: &Path, plan: &Plan) -> Result<Update, Failure> {
    let record = Record::read(old)?;
    let mut update = Update::default();
    let gone = record.files.keys().filter(|path| !plan.files.contains_key(*path));
    for path in plan.files.keys().chain(gone) {
        let there = fs::read(old.join(path)).ok();
        let now = plan.files.get(path).map(|file| &file.content);
        let handed_out = record.files.get(path).map(|entry| entry.fingerprint);
        let is_same = now.map(|content| fingerprint(content)) == handed_out;
        if is_same || there.as_ref() == now {
            continue;
        }
        if there.as_ref().map(|content| fingerprint(content)) == handed_out {
            update.patch.push_str(&hunks(path, there.as_deref(), now.map(Vec::as_slice))?);
        } else {
            update.touched.push(path.clone());
        }
    }
    update.touched.sort();
    Ok(update)
}

/// The diff of one file, either side of which may be missing.
fn hunks(path: &Path, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<String, Failure> {
    let text = |content: Option<&[u8]>| {
        String::from_utf8(content.unwrap_or_default().to_vec())
            .map_err(|_| Failure::new(format!("{} is not UTF-8", path.display())))
    };
    let side = |content: Option<&[u8]>, letter: &str| match content {
        Some(_) => format!("{letter}/{}", path.display()),
        None => "/dev/null".to_owned(),
    };
    let (from, to) = (side(old, "a"), side(new, "b"));
    let mut options = DiffOptions::default();
    options.set_original_filename(from).set_modified_filename(to);
    let header = match (old, new) {
        (None, _) => "new file mode 100644\n",
        (_, None) => "deleted file mode 100644\n",
        _ => "",
    };
    let path = path.display();
    Ok(format!("diff --git a/{path} b/{path}\n{header}{}", options.create_patch(&text(old)?, &text(new)?)))
}
