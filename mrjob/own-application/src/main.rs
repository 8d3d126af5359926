//! The length of the longest line that begins with each letter.

// ANCHOR: own-application
use mrjob::{Application, Catalogue, Values};

struct LongestLine;

impl Application for LongestLine {
    fn name(&self) -> &str {
        "longest-line"
    }

    fn map(&self, _file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        let line = String::from_utf8_lossy(line);
        if let Some(first) = line.chars().next().filter(|first| first.is_alphabetic()) {
            emit(&first.to_string(), &line.len().to_string());
        }
    }

    fn reduce(&self, _letter: &str, lengths: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let mut longest = 0;
        while let Some(length) = lengths.next() {
            longest = longest.max(length.parse().unwrap_or(0));
        }
        emit(&longest.to_string());
    }
}

fn main() -> std::process::ExitCode {
    mrjob::main(Catalogue::shipped().with(|| LongestLine))
}
// ANCHOR_END: own-application
