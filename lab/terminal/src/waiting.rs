//! What a user sees while work takes long: something that moves, or where nothing can move, a line now and
//! then.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How long nothing is said where nothing can move.
const QUIET: Duration = Duration::from_secs(10);

/// Whether something can move on standard error: it is a terminal that knows how to.
pub fn is_lively() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Words for a terminal on which nothing moves, and for a file: a line after each ten seconds of silence.
pub struct Waiting {
    last: Instant,
    is_lively: bool,
}

impl Waiting {
    /// The silence begins now.
    pub fn begin() -> Waiting {
        Waiting { last: Instant::now(), is_lively: is_lively() }
    }

    /// Something else was said.
    pub fn heard(&mut self) {
        self.last = Instant::now();
    }

    /// The line that is due, if one is.
    pub fn due(&mut self, say: impl FnOnce() -> String) -> Option<String> {
        self.due_after(QUIET, say)
    }

    fn due_after(&mut self, quiet: Duration, say: impl FnOnce() -> String) -> Option<String> {
        if self.is_lively || self.last.elapsed() < quiet {
            return None;
        }
        self.last = Instant::now();
        Some(say())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_after_a_silence_and_only_where_nothing_moves() {
        let mut dumb = Waiting { last: Instant::now(), is_lively: false };
        assert_eq!(dumb.due(|| "soon".to_owned()), None);
        assert_eq!(dumb.due_after(Duration::ZERO, || "3 of 4".to_owned()), Some("3 of 4".to_owned()));
        let mut lively = Waiting { last: Instant::now(), is_lively: true };
        assert_eq!(lively.due_after(Duration::ZERO, || "3 of 4".to_owned()), None);
    }
}
