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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    /// A canary that no longer applies would end every batch of its lab.
    #[test]
    fn every_canary_applies_to_the_reference() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let canaries = settings::grading(&root).expect("labs.toml can be read").canary;
        assert!(canaries.len() >= 8, "each lab has one: {canaries:?}");
        for (lab, patch) in canaries {
            let text = fs::read_to_string(root.join(&patch)).expect("the patch is there");
            let paths = text.lines().filter_map(|line| line.strip_prefix("--- a/"));
            let reference: Sources = paths
                .map(|path| (path.to_owned(), fs::read_to_string(root.join(path)).expect("a source")))
                .collect();
            let canary = sources(&reference, &root.join(&patch)).expect("it applies");
            assert_ne!(canary, reference, "{lab}");
        }
    }
}
