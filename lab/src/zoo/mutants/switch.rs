//! All mutants of a file in one text: each stands behind a switch, so that one build holds them all.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The variable that turns one of them on.
pub(super) const CHOICE: &str = "LAB_MUTANT";

/// What the crate gets besides.
pub(super) const FUNCTION: &str = "
/// Whether this process is the mutant with this number.
pub(crate) fn lab_mutant(number: usize) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| std::env::var(\"LAB_MUTANT\").ok()?.parse().ok()) == Some(number)
}
";

/// A place, and the change there, as `lab-mutants` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Mutant {
    /// From the workspace's root.
    pub(super) file: PathBuf,
    pub(super) operator: String,
    pub(super) begin: usize,
    pub(super) end: usize,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) old: String,
    /// None: the statement is left out.
    pub(super) new: Option<String>,
    /// Its number; none is 0.
    #[serde(skip)]
    pub(super) number: usize,
}

impl Mutant {
    /// `raft/src/log.rs:57:9`, which terminals take for a link.
    pub(super) fn place(&self) -> String {
        format!("{}:{}:{}", self.file.display(), self.line, self.column)
    }

    /// What is changed, on one line.
    pub(super) fn change(&self) -> String {
        let on_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let new = self.new.as_deref().map_or_else(|| "nothing".to_owned(), on_one_line);
        format!("{} -> {new}", on_one_line(&self.old))
    }

    fn lines(&self) -> Range<usize> {
        self.line..self.line + self.old.lines().count().max(1)
    }
}

/// The file's text with these changes, sorted by their places, outer ones first. No line is added, so that
/// what the compiler says of a line is said of the original's.
pub(super) fn switched(text: &str, mutants: &[&Mutant]) -> String {
    render(text, 0..text.len(), mutants)
}

fn render(text: &str, range: Range<usize>, mutants: &[&Mutant]) -> String {
    let (mut out, mut at) = (String::new(), range.start);
    let mut rest = mutants;
    while let [first, ..] = rest {
        let same = rest.partition_point(|other| (other.begin, other.end) == (first.begin, first.end));
        let inner = rest[same..].partition_point(|other| other.begin < first.end);
        let unchanged = render(text, first.begin..first.end, &rest[same..same + inner]);
        out += &text[at..first.begin];
        out += &rest[..same].iter().fold(unchanged, |unchanged, mutant| choice(mutant, &unchanged));
        at = first.end;
        rest = &rest[same + inner..];
    }
    out + &text[at..range.end]
}

fn choice(mutant: &Mutant, unchanged: &str) -> String {
    let number = mutant.number;
    match &mutant.new {
        None => format!("if !crate::lab_mutant({number}) {{ {unchanged} }}"),
        Some(new) => format!("(if crate::lab_mutant({number}) {{ {new} }} else {{ {unchanged} }})"),
    }
}

/// Those that the compiler refuses, by its words. Where a swap of arguments stands among others it is the
/// swap, since nothing else changes types.
pub(super) fn refused(words: &str, mutants: &[Mutant]) -> BTreeSet<usize> {
    let mut is_error = false;
    let mut refused = BTreeSet::new();
    for line in words.lines() {
        if line.starts_with("error") || line.starts_with("warning") {
            is_error = line.starts_with("error");
        }
        let Some((file, line)) = line.trim_start().strip_prefix("--> ").and_then(place) else { continue };
        let here = || mutants.iter().filter(|mutant| mutant.file == *file && mutant.lines().contains(&line));
        if is_error {
            let swaps: BTreeSet<usize> = here()
                .filter(|mutant| mutant.operator == "arguments swapped")
                .map(|mutant| mutant.number)
                .collect();
            refused.extend(if swaps.is_empty() {
                here().map(|mutant| mutant.number).collect()
            } else {
                swaps
            });
        }
    }
    refused
}

/// `raft/src/log.rs:57:9` as a file and a line.
fn place(text: &str) -> Option<(&Path, usize)> {
    let mut parts = text.rsplitn(3, ':');
    let (_, line, file) = (parts.next()?, parts.next()?, parts.next()?);
    Some((Path::new(file), line.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(text: &str, number: usize, old: &str, new: Option<&str>) -> Mutant {
        let begin = text.find(old).expect("it is there");
        let line = text[..begin].lines().count().max(1);
        Mutant {
            file: "raft/src/x.rs".into(),
            operator: "arguments swapped".to_owned(),
            begin,
            end: begin + old.len(),
            line,
            column: 1,
            old: old.to_owned(),
            new: new.map(str::to_owned),
            number,
        }
    }

    #[test]
    fn changes_within_changes_are_switched_apart() {
        let text = "fn f() { self.x = a.min(b + 1); }";
        let mutants = [
            mutant(text, 1, "self.x = a.min(b + 1);", None),
            mutant(text, 2, "a.min(b + 1)", Some("a.max(b + 1)")),
            mutant(text, 3, "b + 1", Some("b")),
        ];
        let expected = "fn f() { if !crate::lab_mutant(1) { self.x = (if crate::lab_mutant(2) { a.max(b + 1) } \
                        else { a.min((if crate::lab_mutant(3) { b } else { b + 1 })) }); } }";
        assert_eq!(switched(text, &mutants.iter().collect::<Vec<_>>()), expected);
    }

    #[test]
    fn the_compilers_words_name_those_that_it_refuses() {
        let text = "fn f() {\n    g(a, b);\n}\n";
        let mutants = [mutant(text, 7, "g(a, b)", Some("g(b, a)"))];
        let warning = "warning: unused\n --> raft/src/x.rs:2:5\n";
        let error = "error[E0308]: mismatched types\n   --> raft/src/x.rs:2:7\n";
        assert_eq!(refused(warning, &mutants), BTreeSet::new());
        assert_eq!(refused(error, &mutants), BTreeSet::from([7]));
    }
}
