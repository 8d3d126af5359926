//! `bugs/equivalent.toml`: mutants that behave as the original does, each with the reason, so that nobody has
//! to think of them again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::switch::Mutant;
use crate::Failure;

/// One of them. It is known by its text, since lines move.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: PathBuf,
    /// What the line holds, from its first letter on, as far as it takes to know it.
    line: String,
    /// As `cargo lab mutants` prints it.
    change: String,
    #[serde(rename = "reason")]
    _reason: String,
}

/// Those that are recorded, by lab.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Equivalent(BTreeMap<String, Vec<Entry>>);

impl Equivalent {
    /// Those of the workspace at `root`.
    pub(super) fn load(root: &Path) -> Result<Equivalent, Failure> {
        let path = root.join("bugs/equivalent.toml");
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Equivalent::default()),
            Err(error) => Err(Failure::new(format!("{}: {error}", path.display()))),
            Ok(text) => {
                toml::from_str(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
            }
        }
    }

    /// Whether this mutant, in a line of this text, is one of the lab's.
    pub(super) fn has(&self, lab: &str, mutant: &Mutant, line: &str) -> bool {
        self.0.get(lab).into_iter().flatten().any(|entry| {
            entry.file == mutant.file
                && line.trim_start().starts_with(&entry.line)
                && entry.change == mutant.change()
        })
    }
}
