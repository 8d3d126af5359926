//! How a program of the command line ends.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use crate::echo::restore_echo;
use crate::style::{error_width, error_word, wrapped};

/// The exit code of a program that was interrupted, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// Why a command could not do what was asked. It ends the program with 2.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// What to tell the user.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a command that did what was asked ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All went well.
    Passed,
    /// A test failed, a bound was missed, or a history is not linearizable.
    Failed,
    /// Ctrl-C, and nothing had failed until then.
    Interrupted,
    /// Nothing failed, but of something it is not known whether it is right: a check reached its limits, or a
    /// test on real threads did not get a processor. This is never a pass.
    Unknown,
    /// Some of what was asked could not be done, as was said when it was found.
    CouldNotRun,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        match outcome {
            Outcome::Passed => ExitCode::SUCCESS,
            Outcome::Failed => ExitCode::from(1),
            Outcome::Interrupted => ExitCode::from(INTERRUPTED),
            Outcome::Unknown => ExitCode::from(3),
            Outcome::CouldNotRun => ExitCode::from(2),
        }
    }
}

/// The exit code of a program whose work had this result. A failure is told on standard error.
pub fn exit_code(result: Result<Outcome, Failure>) -> ExitCode {
    restore_echo();
    // What is still in the buffer may not fit on the disk.
    if let Err(error) = std::io::stdout().flush() {
        end_unwritten(&error.to_string());
    }
    match result {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            // Nobody is left to hear of it if this cannot be written, either.
            let text = format!("{} {}", error_word(), harmless(&failure.to_string()));
            let text = wrapped(&text, error_width());
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(2)
        }
    }
}

/// A text in which no character steers a terminal. A failure names what was typed and what stands in files.
fn harmless(text: &str) -> String {
    // Those behind `control` turn the direction of writing.
    let steers = |letter: char| {
        letter.is_control() && !matches!(letter, '\n' | '\t')
            || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if steers(letter) {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Ends this program when its output cannot be written: quietly if it is no longer read (`cargo lab replay …
/// | head`), with a sentence if a disk is full. The print macros of std would panic.
pub fn end_quietly_when_nobody_reads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        match message.strip_prefix("failed printing to ") {
            Some(rest) if rest.starts_with("stderr") || rest.contains("Broken pipe") => end_unread(),
            Some(rest) => end_unwritten(rest.strip_prefix("stdout: ").unwrap_or(rest)),
            None => {
                restore_echo();
                report(info);
            }
        }
    }));
}

/// Ends the program because its output cannot be written, for instance to a full disk.
fn end_unwritten(why: &str) -> ! {
    restore_echo();
    let _ = writeln!(std::io::stderr(), "{} the output cannot be written: {why}", error_word());
    std::process::exit(2)
}

/// Ends the program because its output is no longer read. Nothing is wrong, so it prints nothing; but not
/// every question was answered, so it is no success either.
pub fn end_unread() -> ! {
    restore_echo();
    std::process::exit(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_steers_no_terminal() {
        assert_eq!(harmless("no \u{1b}[2J\u{202e}, ä\n\tx"), "no \\u{1b}[2J\\u{202e}, ä\n\tx");
    }
}
