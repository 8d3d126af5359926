//! A wrong solution out of the zoo, which must fail in every batch: if it passes, so might a student's.

use std::fs;
use std::path::Path;

use lab_terminal::Failure;

use crate::take::Sources;

/// The reference with the patch of a wrong solution applied.
pub(crate) fn sources(reference: &Sources, patch: &Path) -> Result<Sources, Failure> {
    let cannot = |why: String| Failure::new(format!("the canary {}: {why}", patch.display()));
    let text = fs::read_to_string(patch).map_err(|error| cannot(error.to_string()))?;
    let mut sources = reference.clone();
    let begins: Vec<usize> = text.match_indices("\n--- a/").map(|(at, _)| at + 1).collect();
    if begins.is_empty() {
        return Err(cannot("it has no patch".to_owned()));
    }
    for (number, begin) in begins.iter().enumerate() {
        let end = begins.get(number + 1).copied().unwrap_or(text.len());
        let piece = &text[*begin..end];
        let path = piece.lines().next().and_then(|line| line.strip_prefix("--- a/")).unwrap_or_default();
        let patch = diffy::Patch::from_str(piece).map_err(|error| cannot(error.to_string()))?;
        let old = sources.get(path).ok_or_else(|| cannot(format!("there is no {path}")))?;
        let new = diffy::apply(old, &patch).map_err(|error| cannot(format!("{path}: {error}")))?;
        sources.insert(path.to_owned(), new);
    }
    Ok(sources)
}
