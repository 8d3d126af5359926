//! Where the user is: which tests passed when they ran last. `cargo lab` alone shows it, with what comes
//! next.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use console::style;
use lab_terminal::{Failure, Outcome, count};

use crate::catalogue::{Catalogue, Test};
use crate::cli::Arguments;
use crate::handed::warn_of_changes;
use crate::style::say;

/// The results of the last runs, kept beside what cargo builds. They are a convenience: if they cannot be
/// read or written, all tests count as not run.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    passed: BTreeMap<String, bool>,
}

impl Progress {
    /// What was kept.
    pub(crate) fn read(catalogue: &Catalogue) -> Progress {
        let text = fs::read_to_string(file(catalogue)).unwrap_or_default();
        Progress { passed: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// A test has run.
    pub(crate) fn note(&mut self, test: &Test, passed: bool) {
        self.passed.insert(test.name.clone(), passed);
    }

    /// Keeps it for later.
    pub(crate) fn keep(&self, catalogue: &Catalogue) {
        let path = file(catalogue);
        let text = serde_json::to_string(&self.passed).unwrap_or_default();
        // Whole or not at all: another run may read it meanwhile.
        let new = path.with_extension(format!("{}.json", std::process::id()));
        // Nothing depends on it but a summary.
        let _ = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &path));
    }

    fn has_passed(&self, test: &Test) -> bool {
        self.passed.get(&test.name) == Some(&true)
    }
}

fn file(catalogue: &Catalogue) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    catalogue.root.join(target).join("lab-progress.json")
}

/// `cargo lab` without a verb: a line for each part, and what to do next.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    warn_of_changes(&catalogue);
    let progress = Progress::read(&catalogue);
    lines(&catalogue, &progress).iter().for_each(|line| say(line));
    Ok(Outcome::Passed)
}

fn lines(catalogue: &Catalogue, progress: &Progress) -> Vec<String> {
    let tests = catalogue.tests();
    let mut lines = Vec::new();
    let mut next = None;
    for part in catalogue.labs.iter().flat_map(|lab| lab.parts.iter().map(move |part| (lab, part))) {
        let (lab, part) = part;
        // What earns points is what a part asks for.
        let graded: Vec<&Test> = tests
            .iter()
            .filter(|test| test.lab == lab.name && test.part == part.name && test.points > 0)
            .collect();
        let passed = graded.iter().filter(|test| progress.has_passed(test)).count();
        if graded.is_empty() {
            continue;
        }
        let points: u32 =
            graded.iter().filter(|test| progress.has_passed(test)).map(|test| test.points).sum();
        let of: u32 = graded.iter().map(|test| test.points).sum();
        let pass = if graded.len() == 1 { "passes" } else { "pass" };
        lines.push(format!(
            "{}: {passed} of {} {pass}, {points} of {of} points  {}",
            style(&part.name).bold(),
            count(graded.len(), "test"),
            style(&part.title).dim()
        ));
        if let Some(first) = graded.iter().find(|test| !progress.has_passed(test)).filter(|_| next.is_none())
        {
            let chapter = chapter(catalogue, &lab.name).map(|path| format!(" ({path})")).unwrap_or_default();
            next = Some(format!("next: cargo lab test {}{chapter}", first.name));
        }
    }
    lines.push(String::new());
    lines.push(next.unwrap_or_else(|| "All pass. Next: cargo lab stress".to_owned()));
    lines.push("`cargo lab --help` lists all verbs, `cargo lab list` all tests.".to_owned());
    lines
}

/// Where the text of a lab stands, if it is there: in a handout, or in the repository of the reference.
pub(crate) fn chapter(catalogue: &Catalogue, lab: &str) -> Option<String> {
    let name = if lab == "rsm" { "kvraft" } else { lab };
    let there = ["docs", "docs/src"].map(|folder| format!("{folder}/{name}.md"));
    there.into_iter().find(|path| catalogue.root.join(path).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABS: &str = r#"
[limits]
[[lab]]
name = "raft"
title = "Raft"
package = "raft"
binary = "raft"
[[lab.part]]
name = "2A"
title = "election"
module = "part_2a"
tests = [{ name = "a", title = "A", points = 2 }, { name = "b", title = "B", points = 3 }]
[[lab.part.ungraded]]
heading = "h"
tests = [{ name = "c", title = "C" }]
"#;

    #[test]
    fn a_part_tells_how_far_it_is() {
        let catalogue: Catalogue = toml::from_str(LABS).unwrap();
        let mut progress = Progress::default();
        let tests = catalogue.tests();
        progress.note(&tests[0], true);
        progress.note(&tests[1], false);
        let lines_now = |progress: &Progress| -> Vec<String> {
            let lines = lines(&catalogue, progress);
            lines.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect()
        };
        assert_eq!(lines_now(&progress)[0], "2A: 1 of 2 tests pass, 2 of 5 points  election");
        assert_eq!(lines_now(&progress)[2], "next: cargo lab test b");
        progress.note(&tests[1], true);
        assert_eq!(lines_now(&progress)[2], "All pass. Next: cargo lab stress");
    }
}
