//! What the texts of a handout name, it holds: files, and verbs of `cargo lab`.

use std::path::Path;

use lab_terminal::count;

use crate::labs::FRAMEWORK;
use crate::plan::{Plan, Role};

/// Verbs that need the reference beside them.
const VERBS: [&str; 5] = ["bench", "grade", "handout", "mutants", "zoo"];

/// How names of files end that are looked for.
const ENDS: [&str; 4] = [".rs", ".toml", ".md", ".sh"];

/// How many names of files there are; or the first one that leads nowhere, with its place.
pub(crate) fn are_there(plan: &Plan) -> Result<String, String> {
    let mut number = 0;
    for (path, file) in plan.files.iter().filter(|(path, file)| speaks_to_students(path, file.role)) {
        let text = String::from_utf8_lossy(&file.content);
        for (line, words) in text.lines().enumerate() {
            let fault = |what: &str| format!("{}:{} names {what}", path.display(), line + 1);
            if let Some(verb) = verb(words) {
                return Err(fault(&format!("`cargo lab {verb}`, which a handout lacks")));
            }
            for name in files(words) {
                number += 1;
                if !has(plan, name) {
                    return Err(fault(&format!("`{name}`, which is not there")));
                }
            }
        }
    }
    Ok(count(number, "name"))
}

/// Texts, and the sources of labs. Those of the framework speak to its own readers.
fn speaks_to_students(path: &Path, role: Role) -> bool {
    let ends = |end: &str| path.extension().is_some_and(|extension| extension == end);
    ends("md") || ends("rs") && role != Role::Framework
}

/// A verb in these words that only works beside the reference.
fn verb(words: &str) -> Option<&str> {
    let calls = words.split("cargo lab ").skip(1);
    calls.map(|rest| rest.split([' ', '`']).next().unwrap_or_default()).find(|verb| VERBS.contains(verb))
}

/// The names of files in backquotes.
fn files(words: &str) -> impl Iterator<Item = &str> {
    let is_name = |name: &&str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
        name.chars().all(plain) && ENDS.iter().any(|end| name.len() > end.len() && name.ends_with(end))
    };
    words.split('`').skip(1).step_by(2).filter(is_name)
}

/// Whether there is such a file. A name without a folder is not that of a file of the framework.
fn has(plan: &Plan, name: &str) -> bool {
    let is_of_framework = |path: &Path| FRAMEWORK.iter().any(|folder| path.starts_with(folder));
    plan.files.keys().any(|path| path.ends_with(name) && (name.contains('/') || !is_of_framework(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a handout that has this text, a file of a lab and one of the framework.
    fn fault(text: &str) -> Option<String> {
        let mut plan = Plan::default();
        plan.put("docs/a.md", text, Role::Framework);
        plan.put("raft/src/log.rs", "", Role::Yours);
        plan.put("labrt/src/time.rs", "", Role::Framework);
        are_there(&plan).err()
    }

    #[test]
    fn files_that_are_named_are_there() {
        assert_eq!(fault("`log.rs`, `src/log.rs` and `labrt/src/time.rs`, `x.rs()`, `.rs`, vote.rs"), None);
        let away = |name: &str| Some(format!("docs/a.md:2 names `{name}`, which is not there"));
        assert_eq!(fault("\nThen `vote.rs`."), away("vote.rs"));
        assert_eq!(fault("\n`time.rs` is none of the lab's."), away("time.rs"));
        assert_eq!(fault("\nIn `log.rs`: `kvraft/src/log.rs`"), away("kvraft/src/log.rs"));
    }

    #[test]
    fn verbs_of_the_reference_are_not_named() {
        assert_eq!(fault("`cargo lab test 2A`, `cargo lab`, `cargo lab benches`"), None);
        let expected = "docs/a.md:1 names `cargo lab bench`, which a handout lacks";
        assert_eq!(fault("`cargo lab bench lectures`"), Some(expected.to_owned()));
    }
}
