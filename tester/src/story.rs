//! The story of a test, which helps to find out why it failed: one line for each verb, scene, change of role
//! and milestone, with one column for each server.
//!
//! Noting costs a few nanoseconds, since thousands of runs pass for each one whose story is told.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use labapi::Role;

/// How many lines of a long story are told; what came before is told by scenes alone.
const TOLD: usize = 120;

const TIME_WIDTH: usize = 11;
const TEST_WIDTH: usize = 44;
const SERVER_WIDTH: usize = 15;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// The test says what it is about to do.
    Scene(Cow<'static, str>),
    /// A verb of the test, or its result.
    Verb(Cow<'static, str>),
    /// Something happened to a server, or a verb was used on it.
    Server(Cow<'static, str>),
    /// A server has changed its role or term.
    Role(Role, u64),
    /// A leader has committed everything up to this index.
    Committed(u64),
    /// A server accepted a command at this index.
    Started(u64),
}

struct Line {
    /// Nanoseconds since the start of the run.
    at: u64,
    /// Column of a server; None for the test's own.
    server: Option<usize>,
    what: What,
}

/// The story so far.
#[derive(Default)]
pub(crate) struct Story {
    lines: Vec<Line>,
    servers: usize,
}

impl Story {
    pub(crate) fn tell(&mut self, at: u64, server: Option<usize>, what: What) {
        if let Some(server) = server {
            self.servers = self.servers.max(server + 1);
        }
        // A leader commits one index after the other; the last one tells them all.
        if let (What::Committed(index), Some(last)) = (&what, self.lines.last_mut())
            && last.server == server
            && let What::Committed(before) = &mut last.what
        {
            *before = *index;
            return;
        }
        self.lines.push(Line { at, server, what });
    }

    /// The story as text, the last lines in full (all of them if `whole`), of what came before only the
    /// scenes.
    pub(crate) fn render(&self, whole: bool) -> String {
        let mut text = String::new();
        self.header(&mut text);
        let skipped = if whole { 0 } else { self.lines.len().saturating_sub(TOLD) };
        for (number, line) in self.lines.iter().enumerate() {
            if number == skipped && skipped > 0 {
                let _ = writeln!(text, "{:>TIME_WIDTH$}  ({skipped} lines before are left out)", "");
            }
            if number >= skipped || matches!(line.what, What::Scene(_)) {
                self.line(line, &mut text);
            }
        }
        text
    }

    fn header(&self, text: &mut String) {
        let _ = write!(text, "{:>TIME_WIDTH$}  {:<TEST_WIDTH$}", "time", "test");
        for server in 0..self.servers {
            let _ = write!(text, "{:<SERVER_WIDTH$}", format!("server {server}"));
        }
        end_line(text);
    }

    fn line(&self, line: &Line, text: &mut String) {
        let seconds = Duration::from_nanos(line.at).as_secs_f64();
        let _ = write!(text, "{seconds:>width$.6}s  ", width = TIME_WIDTH - 1);
        let words = line.what.words();
        match line.server {
            None => text.push_str(&words),
            Some(server) => {
                let indent = TEST_WIDTH + server * SERVER_WIDTH;
                let _ = write!(text, "{:indent$}{words}", "");
            }
        }
        end_line(text);
    }
}

/// Ends a line without blanks at its end.
fn end_line(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

impl What {
    pub(crate) fn words(&self) -> Cow<'_, str> {
        match self {
            What::Scene(scene) => format!("── {scene}").into(),
            What::Verb(words) | What::Server(words) => Cow::Borrowed(words),
            What::Role(Role::Leader, term) => format!("LEADER of {term}").into(),
            What::Role(role, term) => format!("{role} {term}").into(),
            What::Committed(index) => format!("commits ..{index}").into(),
            What::Started(index) => format!("start -> {index}").into(),
        }
    }
}
