//! `cargo lab grade`: builds the programs `lab-grade` and `lab-handout`, and becomes the first.

use std::os::unix::process::CommandExt;
use std::process::Command;

use lab_terminal::{Failure, Outcome};

use crate::check::program;
use crate::cli::GradeOptions;

/// Grades submissions, in the place of this process. Returns only if that is impossible.
pub(crate) fn run(options: &GradeOptions) -> Result<Outcome, Failure> {
    // The pristine workspace is a handout, made by the program beside it.
    program("lab-handout")?;
    let program = program("lab-grade")?;
    let error = Command::new(&program).args(&options.arguments).exec();
    Err(Failure::new(format!("cannot run {}: {error}", program.display())))
}
