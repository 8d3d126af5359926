//! A workspace that was handed out: whether its fixed files are still as they were.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches};
use lab_terminal::{RECORD, error_width, fingerprint, wrapped};
use serde::Deserialize;

use crate::Failure;
use crate::catalogue::Catalogue;
use crate::cli::Arguments;
use crate::environment;
use crate::style::warn;

/// What `cargo lab handout` recorded, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Record {
    files: BTreeMap<PathBuf, Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    role: String,
    fingerprint: u64,
}

/// Verbs that work on the reference alone.
const NOT_FOR_STUDENTS: [&str; 5] = ["zoo", "mutants", "bench", "handout", "grade"];

/// Whether this workspace was handed out.
pub(crate) fn is_handout() -> bool {
    let here = std::env::current_dir().unwrap_or_default();
    here.ancestors().any(|folder| folder.join(RECORD).is_file())
}

/// Whether the command, `cargo lab VERB …`, is of use in a handout.
pub(crate) fn is_for_students(command: &str) -> bool {
    command.split(' ').nth(2).is_none_or(is_verb_for_students)
}

/// Whether the verb is of use in a handout.
pub(crate) fn is_verb_for_students(verb: &str) -> bool {
    !NOT_FOR_STUDENTS.contains(&verb)
}

/// Parses the command line. In a handout, `--help` leaves out the verbs that are of no use there.
///
/// # Errors
/// In a handout, one of these verbs.
pub(crate) fn arguments() -> Result<Arguments, Failure> {
    let is_handout = is_handout();
    let mut command = environment::without_empty(Arguments::command());
    for verb in NOT_FOR_STUDENTS.into_iter().filter(|_| is_handout) {
        command = command.mut_subcommand(verb, |verb| verb.hide(true));
    }
    let matches = command.try_get_matches_from(crate::overview::words(std::env::args_os()));
    let matches = matches.unwrap_or_else(|error| explain(&error));
    if let Some(verb) = matches.subcommand_name().filter(|verb| is_handout && NOT_FOR_STUDENTS.contains(verb))
    {
        return Err(Failure::new(format!(
            "cargo lab {verb} needs the reference, and this workspace was handed out without it"
        )));
    }
    Ok(Arguments::from_arg_matches(&matches).unwrap_or_else(|error| explain(&error)))
}

/// Prints what clap says of the command line, in lines that fit the terminal, and ends. Help and version are
/// no errors, and clap lays them out itself.
fn explain(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.render();
    let text = if console::colors_enabled_stderr() { text.ansi().to_string() } else { text.to_string() };
    eprintln!("{}", wrapped(text.trim_end(), error_width()));
    std::process::exit(error.exit_code())
}

/// Warns of fixed files that have changed: at grading they are replaced. In one line, whatever their number.
pub(crate) fn warn_of_changes(catalogue: &Catalogue) {
    let Ok(text) = fs::read_to_string(catalogue.root.join(RECORD)) else { return };
    let Ok(record) = serde_json::from_str::<Record>(&text) else {
        warn(&format!("{RECORD} is damaged; it tells which files are fixed"));
        return;
    };
    let is_changed = |(path, entry): &(&PathBuf, &Entry)| {
        // Cargo itself rewrites the lock file when it is of another version.
        let is_fixed = entry.role != "yours" && path.extension().is_none_or(|extension| extension != "lock");
        is_fixed
            && fs::read(catalogue.root.join(path)).map(|bytes| fingerprint(&bytes)).ok()
                != Some(entry.fingerprint)
    };
    let changed: Vec<String> =
        record.files.iter().filter(is_changed).map(|(path, _)| path.display().to_string()).collect();
    let Some((first, more)) = changed.split_first() else { return };
    let others = match more {
        [] => "differs from what was handed out; it is".to_owned(),
        [second] => format!("and {second} differ from what was handed out; they are"),
        [second, rest @ ..] => {
            format!("and {second} and {} more differ from what was handed out; they are", rest.len())
        }
    };
    warn(&format!("{first} {others} replaced at grading"));
}
