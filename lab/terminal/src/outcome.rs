//! How a program of the command line ends.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

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
    // What is still in the buffer may not fit on the disk.
    if let Err(error) = std::io::stdout().flush() {
        end_unwritten(&error.to_string());
    }
    match result {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            // Nobody is left to hear of it if this cannot be written, either.
            let text = wrapped(&format!("{} {failure}", error_word()), error_width());
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(2)
        }
    }
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
            None => report(info),
        }
    }));
}

/// Ends the program because its output cannot be written, for instance to a full disk.
fn end_unwritten(why: &str) -> ! {
    let _ = writeln!(std::io::stderr(), "{} the output cannot be written: {why}", error_word());
    std::process::exit(2)
}

/// Ends the program because its output is no longer read. Nothing is wrong, so it prints nothing; but not
/// every question was answered, so it is no success either.
pub fn end_unread() -> ! {
    std::process::exit(2)
}
