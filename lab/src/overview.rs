//! `cargo lab` alone: what there is to do. And the completions of these words for shells.

use std::ffi::OsString;

use clap::CommandFactory;
use lab_terminal::{Failure, Outcome};

use crate::cli::{Arguments, CompletionsOptions};
use crate::style::say;
use crate::{handed, progress};

/// What to begin with, and what it does.
const BEGINNINGS: [(&str, &str); 7] = [
    ("cargo lab test 2A", "the tests of a part, once"),
    ("cargo lab stress 2A", "a thousand seeds of each, with a live table"),
    ("cargo lab replay TEST --seed N", "a run again: its story, and a column for each server"),
    ("cargo lab view TEST --seed N", "the same as a page; logs, shrink and when look closer"),
    ("cargo lab zoo raft", "do the tests catch wrong solutions?"),
    ("cargo lab check FILE", "is a recorded history linearizable?"),
    ("cargo lab help VERB", "options and examples"),
];

/// Prints how far each part is, and the verbs.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let outcome = progress::run(arguments)?;
    println!();
    let is_handout = handed::is_handout();
    for (command, what) in BEGINNINGS {
        if is_handout && !handed::is_for_students(command) {
            continue;
        }
        say(&format!("{command:32} {what}"));
    }
    Ok(outcome)
}

/// Prints the completions for a shell.
pub(crate) fn completions(options: &CompletionsOptions) -> Result<Outcome, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command().bin_name("lab"), "lab", &mut text);
    print!("{}", String::from_utf8_lossy(&text));
    Ok(Outcome::Passed)
}

/// The words of the command line, `help check` as `check --help`: another program knows that help.
pub(crate) fn words(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    if let Some(at) = words.windows(2).position(|pair| pair[0] == "help" && pair[1] == "check")
        && words[1..at].iter().all(|word| word.to_string_lossy().starts_with('-'))
    {
        words.splice(at..at + 2, ["check".into(), "--help".into()]);
    }
    words
}
