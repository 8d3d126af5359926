//! Where the user is: which tests passed when they ran last. `cargo lab` alone shows it, with what comes
//! next.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use console::style;
use lab_terminal::{Failure, count};
use serde::{Deserialize, Serialize};

use crate::build::target_folder;
use crate::catalogue::{Catalogue, Lab, Part, Test};
use crate::cli::Arguments;
use crate::handed::warn_of_changes;
use crate::style::say;

/// The results of the last runs, kept beside what cargo builds. They are a convenience: if they cannot be
/// read or written, all tests count as not run.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    passed: BTreeMap<String, bool>,
    /// How long each test lasted when it last passed, on its own clock.
    seconds: BTreeMap<String, f64>,
}

impl Progress {
    /// What was kept.
    pub(crate) fn read(catalogue: &Catalogue) -> Progress {
        let text = fs::read_to_string(file(catalogue)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A test has run, and lasted so long.
    pub(crate) fn note(&mut self, test: &Test, passed: bool, lasted: Duration) {
        self.passed.insert(test.name.clone(), passed);
        // A run that fails ends when it does.
        if passed {
            self.seconds.insert(test.name.clone(), lasted.as_secs_f64());
        }
    }

    /// How many seconds a test lasted when it last passed. In the simulation virtual ones, which are those of
    /// real threads nearly.
    pub(crate) fn seconds(&self, test: &Test) -> Option<f64> {
        self.seconds.get(&test.name).copied()
    }

    /// Keeps it for later.
    pub(crate) fn keep(&self, catalogue: &Catalogue) {
        let path = file(catalogue);
        let text = serde_json::to_string(self).unwrap_or_default();
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
    target_folder(&catalogue.root).join("lab-progress.json")
}

/// `cargo lab` without a verb: a line for each part, and what to do next. Returns the part that comes next:
/// the first one with a test that has not passed, or else the first one.
pub(crate) fn run(arguments: &Arguments) -> Result<Option<String>, Failure> {
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    warn_of_changes(&catalogue);
    let progress = Progress::read(&catalogue);
    let parts = parts(&catalogue, &progress);
    if arguments.json {
        parts.iter().for_each(|part| println!("{}", serde_json::json!(part)));
    } else {
        lines(&catalogue, &parts).iter().for_each(|line| say(line));
    }
    let next = parts.iter().find(|part| part.next.is_some()).or(parts.first());
    Ok(next.map(|part| part.part.to_owned()))
}

/// How far a part is.
#[derive(Debug, Serialize)]
struct Standing<'a> {
    lab: &'a str,
    part: &'a str,
    title: &'a str,
    /// Tests that earn points, how many of them passed when they ran last, and their points.
    tests: usize,
    passed: usize,
    points: u32,
    of: u32,
    /// The first test that has not passed.
    next: Option<String>,
}

/// The parts with tests that earn points: those are what a part asks for.
fn parts<'a>(catalogue: &'a Catalogue, progress: &Progress) -> Vec<Standing<'a>> {
    let tests = catalogue.tests();
    let parts = catalogue.labs.iter().flat_map(|lab| lab.parts.iter().map(move |part| (lab, part)));
    let standing = |(lab, part): (&'a Lab, &'a Part)| {
        let is_here = |test: &&Test| test.lab == lab.name && test.part == part.name && test.points > 0;
        let graded: Vec<&Test> = tests.iter().filter(is_here).collect();
        let passed: Vec<&&Test> = graded.iter().filter(|test| progress.has_passed(test)).collect();
        Standing {
            lab: &lab.name,
            part: &part.name,
            title: &part.title,
            tests: graded.len(),
            passed: passed.len(),
            points: passed.iter().map(|test| test.points).sum(),
            of: graded.iter().map(|test| test.points).sum(),
            next: graded.iter().find(|test| !progress.has_passed(test)).map(|test| test.name.clone()),
        }
    };
    parts.map(standing).filter(|part| part.tests > 0).collect()
}

fn lines(catalogue: &Catalogue, parts: &[Standing<'_>]) -> Vec<String> {
    let line = |part: &Standing<'_>| {
        let Standing { part, title, tests, passed, points, of, .. } = part;
        let pass = if *tests == 1 { "passes" } else { "pass" };
        let tests = count(*tests, "test");
        let (part, title) = (style(part).bold(), style(title).dim());
        format!("{part}: {passed} of {tests} {pass}, {points} of {of} points  {title}")
    };
    let mut lines: Vec<String> = parts.iter().map(line).collect();
    lines.push(String::new());
    let next = parts.iter().find_map(|part| part.next.as_ref().map(|test| (part.lab, test)));
    lines.push(match next {
        _ if parts.is_empty() => "labs.toml names no test that earns points".to_owned(),
        Some((lab, test)) => {
            let chapter = chapter(catalogue, lab).map(|path| format!(" ({path})")).unwrap_or_default();
            format!("next: cargo lab test {test}{chapter}")
        }
        None => "All pass. Next: cargo lab stress".to_owned(),
    });
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
        let lasted = Duration::from_secs(3);
        progress.note(&tests[0], true, lasted);
        progress.note(&tests[1], false, lasted);
        let lines_now = |progress: &Progress| -> Vec<String> {
            let lines = lines(&catalogue, &parts(&catalogue, progress));
            lines.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect()
        };
        assert_eq!(lines_now(&progress)[0], "2A: 1 of 2 tests pass, 2 of 5 points  election");
        assert_eq!(lines_now(&progress)[2], "next: cargo lab test b");
        assert_eq!((progress.seconds(&tests[0]), progress.seconds(&tests[1])), (Some(3.0), None));
        progress.note(&tests[1], true, lasted);
        assert_eq!(lines_now(&progress)[2], "All pass. Next: cargo lab stress");
    }
}
