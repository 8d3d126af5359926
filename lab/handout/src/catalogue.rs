//! The handout's `labs.toml` and `reference.toml`: the entries of its labs.

use std::path::Path;

use lab_terminal::Failure;

use crate::plan::{Choice, Plan, Role, cut_file};

/// Adds `labs.toml` with the labs of this choice, and no benches.
pub(crate) fn add(plan: &mut Plan, root: &Path, choice: &Choice) -> Result<(), Failure> {
    let text = cut_file(root, Path::new("labs.toml"), choice.case())?.text.unwrap_or_default();
    let names: Vec<&str> = choice.labs.iter().flat_map(|lab| lab.catalogue).copied().collect();
    let catalogue = only(&text, &names);
    // What the reference needs tells a student that a solution is wasteful, and nothing else.
    let figures = cut_file(root, Path::new("reference.toml"), choice.case())?.text.unwrap_or_default();
    plan.put("reference.toml", figures_of(&figures, &catalogue), Role::Framework);
    plan.put("labs.toml", catalogue, Role::Framework);
    Ok(())
}

/// The figures of the tests that the catalogue names.
fn figures_of(figures: &str, catalogue: &str) -> String {
    let is_kept = |line: &&str| {
        let test = line.split_once(" = ").map(|(test, _)| format!("\"{test}\""));
        test.is_none_or(|test| catalogue.contains(&test))
    };
    figures.split_inclusive('\n').filter(is_kept).collect()
}

/// The text without the entries of other labs.
fn only(text: &str, names: &[&str]) -> String {
    let mut out = String::new();
    let mut is_kept = true;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        match line.trim() {
            "[[lab]]" => {
                let name = lines.peek().and_then(|next| next.trim().strip_prefix("name = "));
                is_kept = name.is_some_and(|name| names.contains(&name.trim_matches('"')));
            }
            "[[bench]]" => is_kept = false,
            _ => {}
        }
        // The comment about benches stands before the first of them. The others are for `cargo lab mutants`.
        let is_for_mutants = line.starts_with("rules = ") || line.starts_with("tested_by = ");
        if is_kept && !line.contains("cargo lab bench") && !is_for_mutants {
            out.push_str(line);
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_other_labs_are_left_out() {
        let figures = "# A comment.\n[rpcs]\nchurn_2c = 5\nunreliable_churn_2c = 6\nbasic_3a = 7\n";
        let kept = figures_of(figures, "tests = [{ name = \"unreliable_churn_2c\" }]");
        assert_eq!(kept, "# A comment.\n[rpcs]\nunreliable_churn_2c = 6\n");
    }

    #[test]
    fn other_labs_are_left_out() {
        let text = "# Labs.\n\n[[lab]]\nname = \"a\"\nrules = []\ntested_by = []\n[[lab.part]]\nx\n\n[[lab]]\nname = \"b\"\n\n[[bench]]\ny\n";
        assert_eq!(only(text, &["a"]), "# Labs.\n\n[[lab]]\nname = \"a\"\n[[lab.part]]\nx\n");
        assert_eq!(only(text, &["b"]), "# Labs.\n\n[[lab]]\nname = \"b\"\n");
    }
}
