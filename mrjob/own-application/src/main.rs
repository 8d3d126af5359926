//! How many lines have each length.

// ANCHOR: own-application
use mrjob::{Application, Catalogue, Values, collect};

struct LineLengths;

impl Application for LineLengths {
    fn name(&self) -> &str {
        "line-lengths"
    }

    fn map(&self, _file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        emit(&line.len().to_string(), "one line");
    }

    fn reduce(&self, _length: &str, lines: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        emit(&collect(lines).len().to_string());
    }
}

fn main() -> std::process::ExitCode {
    mrjob::main(Catalogue::shipped().with(|| LineLengths))
}
// ANCHOR_END: own-application
