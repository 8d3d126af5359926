//! `cargo lab handout`: builds the program `lab-handout`, and becomes it. Few use it, so no test run waits for it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use lab_terminal::{Failure, Outcome};

use crate::check::program;
use crate::cli::HandoutOptions;

/// The package, and the name of its program.
const PROGRAM: &str = "lab-handout";

/// Makes a handout, in the place of this process. Returns only if that is impossible.
pub(crate) fn run(options: &HandoutOptions) -> Result<Outcome, Failure> {
    let program = program(PROGRAM)?;
    let error = Command::new(&program).args(&options.arguments).exec();
    Err(Failure::new(format!("cannot run {}: {error}", program.display())))
}
