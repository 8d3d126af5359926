//! The command `mrjob` with the applications that come with it: `mrjob run --app wc --workers 4 FILES...`

use std::process::ExitCode;

fn main() -> ExitCode {
    mrjob::main(mrjob::Catalogue::shipped())
}
