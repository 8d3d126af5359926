//! `cargo lab` alone: what there is to do. And the completions of these words for shells.

use std::ffi::OsString;

use clap::{Command, CommandFactory};
use lab_terminal::{Failure, Outcome, width};

use crate::cli::{Arguments, CompletionsOptions};
use crate::style::say;
use crate::{handed, progress};

/// What to begin with, and what it does. `PART` stands for the part that comes next.
const BEGINNINGS: [(&str, &str); 7] = [
    ("cargo lab test PART", "the tests of a part, once"),
    ("cargo lab stress PART", "a thousand seeds of each, with a live table"),
    ("cargo lab replay TEST --seed N", "a run again: its story, and a column for each server"),
    ("cargo lab view TEST --seed N", "the same as a page; logs, shrink and when look closer"),
    ("cargo lab zoo raft", "do the tests catch wrong solutions?"),
    ("cargo lab check FILE", "is a recorded history linearizable?"),
    ("cargo lab help VERB", "options and examples"),
];

/// Prints how far each part is, and the verbs.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let next = progress::run(arguments)?;
    if arguments.json {
        return Ok(Outcome::Passed);
    }
    println!();
    let is_handout = handed::is_handout();
    for (command, what) in BEGINNINGS {
        if is_handout && !handed::is_for_students(command) {
            continue;
        }
        let command = next.as_ref().map_or(command.to_owned(), |part| command.replace("PART", part));
        print_beginning(&command, what);
    }
    Ok(Outcome::Passed)
}

/// A command, and behind it or below it what it does.
fn print_beginning(command: &str, what: &str) {
    let line = format!("{command:32} {what}");
    match width() {
        Some(width) if line.chars().count() > width => {
            say(command);
            say(&format!("    {what}"));
        }
        _ => println!("{line}"),
    }
}

/// Prints the completions for a shell.
pub(crate) fn completions(options: &CompletionsOptions) -> Result<Outcome, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut completed(handed::is_handout()), "lab", &mut text);
    print!("{}", String::from_utf8_lossy(&text));
    Ok(Outcome::Passed)
}

/// The words to complete. In a handout that is not its whole command line: a verb that is hidden there would
/// be completed all the same.
fn completed(is_handout: bool) -> Command {
    let all = Arguments::command();
    let verbs =
        all.get_subcommands().filter(|verb| !is_handout || handed::is_verb_for_students(verb.get_name()));
    let lab = Command::new("lab").bin_name("lab").version(env!("CARGO_PKG_VERSION"));
    lab.args(all.get_arguments()).subcommands(verbs)
}

/// Verbs that are programs of their own.
const PROGRAMS: [&str; 3] = ["check", "handout", "grade"];

/// The words of the command line, `help check` as `check --help`: another program knows that help.
pub(crate) fn words(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let is_program = |word: &OsString| PROGRAMS.iter().any(|program| word == program);
    // `help` is the verb if nothing but options, and what they take, stands before it.
    let is_verb = |at: usize| {
        let before = words[1..at].iter().map(|word| word.to_string_lossy());
        let mut last = String::new();
        before.into_iter().all(|word| {
            let is_option = word.starts_with('-') || last == "--labs";
            last = word.into_owned();
            is_option
        })
    };
    let found = words.windows(2).position(|pair| pair[0] == "help" && is_program(&pair[1]));
    if let Some(at) = found.filter(|&at| is_verb(at)) {
        let verb = words[at + 1].clone();
        words.splice(at..at + 2, [verb, "--help".into()]);
    }
    words
}
