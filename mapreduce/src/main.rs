//! MapReduce as real processes: `mapreduce run --app wc --workers 4 --reduces 10
//! FILES...`
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a command of real processes, outside of any simulation"
)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
