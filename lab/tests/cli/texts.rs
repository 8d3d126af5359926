//! The commands that the texts print: each is one that `lab` knows, and each test that they name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::Said;

/// No verb has this option. Whatever stands before it in a command was understood if `lab` complains of it.
const NO_OPTION: &str = "--no-such-option";

/// What texts write for something of the reader's.
const PLACEHOLDERS: [(&str, &str); 5] =
    [("TEST", "figure_8_2c"), ("PART", "2C"), ("N", "7"), ("FILE", "file"), ("LAB", "raft")];

/// The verbs, and those that this program does not take apart itself.
const VERBS: [&str; 12] = [
    "list", "test", "stress", "replay", "logs", "trace", "view", "shrink", "when", "zoo", "mutants", "bench",
];
const OTHERS: [&str; 6] = ["check", "handout", "grade", "help", "completions", "VERB"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace").to_path_buf()
}

fn texts() -> Vec<PathBuf> {
    let chapters = fs::read_dir(root().join("docs/src")).expect("the chapters");
    let chapters = chapters.map(|entry| entry.expect("a chapter").path());
    let beside = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "lab/handout/given/README.md"];
    let examples = ["lab/src/examples.rs", "lab/src/overview.rs"];
    let all = beside.iter().chain(&examples).map(|name| root().join(name)).chain(chapters);
    all.filter(|path| path.extension().is_some_and(|end| end == "md" || end == "rs")).collect()
}

/// The words behind each `cargo lab` that begins a line, or stands in quotes, up to where it ends.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for line in text.lines() {
        for (at, _) in line.match_indices("cargo lab ") {
            let (before, rest) = (line[..at].trim(), &line[at + "cargo lab ".len()..]);
            if !before.is_empty() && !before.ends_with(['`', '"']) {
                continue;
            }
            let ends = ["`", "\"", " #", "  ", " | ", " > ", ";"];
            let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
            let words = rest[..end].split_whitespace().map(|word| {
                let kept = PLACEHOLDERS.iter().find(|(placeholder, _)| *placeholder == word);
                kept.map_or(word, |(_, example)| example).trim_matches('\'').to_owned()
            });
            commands.push(words.collect());
        }
    }
    commands
}

#[test]
fn every_command_of_the_texts_is_understood() {
    let mut tried = BTreeSet::new();
    for path in texts() {
        let text = fs::read_to_string(&path).expect("a text");
        for words in commands(&text) {
            let Some(verb) = words.first() else { continue };
            let is_known = VERBS.contains(&verb.as_str()) || OTHERS.contains(&verb.as_str());
            assert!(is_known || verb.starts_with('-'), "{}: cargo lab {words:?}", path.display());
            if !VERBS.contains(&verb.as_str()) || !tried.insert(words.clone()) {
                continue;
            }
            let mut command = crate::binary();
            command.args(&words).arg(NO_OPTION).current_dir(root()).stdin(Stdio::null());
            let said = Said::new(command.output().expect("lab can be run")).ended(2);
            assert!(said.err.contains(NO_OPTION), "{}: cargo lab {words:?}: {}", path.display(), said.err);
        }
    }
    assert!(tried.len() > 50, "the texts have commands: {tried:?}");
}

/// A test's name, `figure_8_2c`, is one of `labs.toml`; a piece of one is part of some.
#[test]
fn every_test_that_a_command_names_is_there() {
    let list = fs::read_to_string(root().join("labs.toml")).expect("the list");
    for path in texts() {
        let text = fs::read_to_string(&path).expect("a text");
        for words in commands(&text).into_iter().filter(|words| words.len() > 1) {
            let verb = words[0].as_str();
            if ["replay", "logs", "trace", "view", "shrink", "when"].contains(&verb)
                && !words[1].starts_with('-')
            {
                let name = format!("\"{}\"", words[1]);
                assert!(list.contains(&name), "{}: cargo lab {words:?}", path.display());
            }
        }
    }
}
