//! A story's columns. A line has one item only, so the text of the test, and of the last server, may use all
//! of the width that is left.

use std::fmt::Write;
use std::time::Duration;

use super::Told;

/// Seconds with six digits behind the point, as in the log of a replay, and two blanks.
const TIME: usize = 12;

/// Columns narrower than this cannot be read. Then each line names its server.
const NARROWEST: usize = 13;

/// Wider columns would only move servers apart.
const WIDEST: usize = 18;

/// Lines break within this much, even if the terminal has less.
const LEAST: usize = 12;

/// A story that is being laid out.
pub(super) struct Layout {
    width: usize,
    /// Of one server's column; None if there is no room for columns.
    column: Option<usize>,
    text: String,
}

impl Layout {
    /// The head of a story with so many servers.
    pub(super) fn new(servers: usize, width: usize) -> Layout {
        let width = width.max(TIME + LEAST);
        let column = ((width - TIME) / servers.max(1)).min(WIDEST);
        let column = (column >= NARROWEST).then_some(column);
        let mut layout = Layout { width, column, text: String::new() };
        let mut head = format!("{:<TIME$}", "time");
        if let Some(column) = column {
            (0..servers).for_each(|server| head += &format!("{:<column$}", format!("server {server}")));
        }
        let _ = writeln!(layout.text, "{}", head.trim_end());
        layout
    }

    /// Says that lines are missing here.
    pub(super) fn gap(&mut self, skipped: usize) {
        if skipped > 0 {
            let s = if skipped == 1 { "" } else { "s" };
            let _ = writeln!(self.text, "{:TIME$}({skipped} line{s} left out)", "");
        }
    }

    /// One line, in as many rows as its text needs.
    pub(super) fn line(&mut self, line: &Told) {
        let seconds = format!("{:.6}", Duration::from_nanos(line.at).as_secs_f64());
        let (indent, words) = match (line.server, self.column) {
            (None, _) => (0, line.text.clone()),
            (Some(server), Some(column)) => (server * column, line.text.clone()),
            (Some(server), None) => (0, format!("server {server}: {}", line.text)),
        };
        let room = self.width.saturating_sub(TIME + indent).max(LEAST);
        for (number, row) in wrap(&words, room).iter().enumerate() {
            let time = if number == 0 { seconds.as_str() } else { "" };
            let _ = writeln!(self.text, "{time:<TIME$}{:indent$}{row}", "");
        }
    }

    pub(super) fn text(self) -> String {
        self.text
    }
}

/// Breaks a text between words into rows of at most `room` letters; a longer word is broken within.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut letters: Vec<char> = word.chars().collect();
        let gap = usize::from(length > 0);
        if length > 0 && length + gap + letters.len() > room {
            rows.push(String::new());
            length = 0;
        }
        while letters.len() > room {
            let rest = letters.split_off(room);
            push(&mut rows, &letters, 0);
            rows.push(String::new());
            letters = rest;
        }
        let gap = usize::from(length > 0);
        push(&mut rows, &letters, gap);
        length += gap + letters.len();
    }
    rows
}

fn push(rows: &mut [String], letters: &[char], gap: usize) {
    if let Some(row) = rows.last_mut() {
        row.extend(std::iter::repeat_n(' ', gap));
        row.extend(letters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_break_between_words_if_possible() {
        assert_eq!(wrap("the leader is cut off", 10), ["the leader", "is cut off"]);
        assert_eq!(wrap("a incomprehensible b", 8), ["a", "incompre", "hensible", "b"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn three_servers_have_columns_at_80_and_five_at_100() {
        assert!(Layout::new(3, 80).column.is_some() && Layout::new(5, 100).column.is_some());
        assert!(Layout::new(9, 80).column.is_none());
    }
}
