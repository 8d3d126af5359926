//! Where campaigns are kept: `lab-runs/NAMES-NUMBER`, or the folder that `--output` names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::cli::StressOptions;

/// How much of the names on the command line goes into a folder's name. Campaigns of other tests may then
/// share a label; their numbers differ, and which is which stands in the journal.
const LONGEST_LABEL: usize = 40;

/// The campaign's journal.
pub(super) fn journal(folder: &Path) -> PathBuf {
    folder.join("journal.jsonl")
}

/// The stories of its failures.
pub(super) fn stories(folder: &Path) -> PathBuf {
    folder.join("failures")
}

/// Folders with journals that may be those of the campaign that is asked for, the newest first.
pub(super) fn candidates(root: &Path, options: &StressOptions) -> Result<Vec<PathBuf>, Failure> {
    let folders = match &options.output {
        Some(folder) => vec![folder.clone()],
        None => numbered(root, options).into_iter().rev().map(|(_, folder)| folder).collect(),
    };
    Ok(folders.into_iter().filter(|folder| journal(folder).is_file()).collect())
}

/// A folder for a new campaign. What another campaign left in the one that `--output` names goes away only on
/// request.
pub(super) fn new(root: &Path, options: &StressOptions) -> Result<PathBuf, Failure> {
    let Some(folder) = &options.output else {
        let last = numbered(root, options).last().map_or(0, |(number, _)| *number);
        return Ok(relative(&root.join("lab-runs").join(format!("{}-{}", label(options), last + 1))));
    };
    if journal(folder).exists() {
        if is_busy(folder) {
            return Err(Failure::new(format!("another process is at work in {}", folder.display())));
        }
        if !options.fresh {
            let folder = folder.display();
            let advice = "--fresh replaces it";
            return Err(Failure::new(format!(
                "{folder} holds another campaign, or a finished one; {advice}"
            )));
        }
        remove(folder)?;
    }
    Ok(folder.clone())
}

/// Whether another process holds the journal.
fn is_busy(folder: &Path) -> bool {
    let journal = fs::File::open(journal(folder));
    journal.is_ok_and(|journal| matches!(journal.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Removes a campaign: only what this program wrote, so that a careless `--output` costs nothing else.
pub(super) fn remove(folder: &Path) -> Result<(), Failure> {
    let cannot = |error| Failure::new(format!("{} cannot be removed: {error}", folder.display()));
    fs::remove_file(journal(folder)).map_err(cannot)?;
    if stories(folder).exists() {
        fs::remove_dir_all(stories(folder)).map_err(cannot)?;
    }
    // It fails if the user keeps something there.
    let _ = fs::remove_dir(folder);
    if let Some(parent) = folder.parent().filter(|parent| parent.ends_with("lab-runs")) {
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// The campaigns of these tests in `lab-runs`, by number.
fn numbered(root: &Path, options: &StressOptions) -> Vec<(u64, PathBuf)> {
    let prefix = format!("{}-", label(options));
    let entries = fs::read_dir(root.join("lab-runs")).into_iter().flatten().flatten();
    let mut folders: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_prefix(&prefix)?.parse().ok()?, relative(&entry.path())))
        })
        .collect();
    folders.sort();
    folders
}

/// The path as the user would type it here, if that is shorter.
pub(crate) fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_path_buf()
}

/// The names on the command line, fit for a folder's name.
fn label(options: &StressOptions) -> String {
    let names = options.selection.patterns.join("+");
    let names: String = names
        .chars()
        .map(|letter| if letter.is_alphanumeric() || "+_".contains(letter) { letter } else { '_' })
        .collect();
    let names: String = names.chars().take(LONGEST_LABEL).collect();
    let names = if names.is_empty() { "all".to_owned() } else { names };
    if options.race { format!("{names}-race") } else { names }
}
