//! The log in columns, one for each server, as `dslogs` shows it.

use console::{Alignment, Color, Style, measure_text_width, pad_str};

use super::filter::topic;
use super::lines::Line;

/// The column of times: seconds with microseconds, and two blanks.
const TIME: usize = 14;

/// Columns narrower than this cannot be read; then there is one column, and each line names its server.
const NARROWEST: usize = 14;

/// Colours that can be told apart on dark and on light, for topics.
const COLOURS: [u8; 12] = [32, 37, 64, 97, 130, 133, 136, 166, 169, 67, 71, 104];

/// How the log is laid out.
pub(super) struct Columns {
    /// In the order of their columns.
    nodes: Vec<String>,
    /// Of one column. None: one column for all.
    width: Option<usize>,
    total: usize,
    /// How long the rule below the names is.
    rule: usize,
}

impl Columns {
    /// Columns for `nodes`, `total` letters wide all together.
    pub(super) fn new(mut nodes: Vec<String>, total: usize) -> Columns {
        nodes.sort_by_cached_key(|node| natural(node));
        let width = (total.saturating_sub(TIME) / nodes.len().max(1)).saturating_sub(1);
        let total = total.max(TIME + NARROWEST);
        Columns { nodes, width: (width >= NARROWEST).then_some(width), total, rule: total }
    }

    /// One column for all, as wide as the longest event. Only the rule is `total` letters long.
    pub(super) fn lines(nodes: Vec<String>, total: usize) -> Columns {
        Columns { width: None, total: usize::MAX, ..Columns::new(nodes, total) }
    }

    /// The names above the columns, and a rule.
    pub(super) fn head(&self) -> String {
        if self.nodes.is_empty() {
            return String::new();
        }
        let names = match self.width {
            Some(width) => self.nodes.iter().map(|node| cell(&labtrace::clean(node, 40), width)).collect(),
            None => "server".to_owned(),
        };
        format!("{}{}\n{}\n", cell("seconds", TIME - 1), names.trim_end(), "─".repeat(self.rule))
    }

    /// One event, in as many lines as its text needs.
    pub(super) fn row(&self, line: &Line<'_>) -> String {
        let (event, topic) = (line.event, labtrace::clean(topic(line.event), 40));
        let time = format!("{:.6}", event.t as f64 / 1e9);
        let style = match &*event.kind {
            // What a reader must not miss.
            "promise" => Style::new().red().bold(),
            _ => Style::new().fg(colour(&topic)),
        };
        let column = self.nodes.iter().position(|node| **node == *event.node).unwrap_or(0);
        let (before, width, text) = match self.width {
            Some(width) => (column * (width + 1), width, format!("{topic} {}", line.text)),
            None => {
                (0, self.total - TIME, format!("{} {topic} {}", labtrace::clean(&event.node, 40), line.text))
            }
        };
        let mut row = String::new();
        for (number, line) in wrap(&text, width).iter().enumerate() {
            let time = if number == 0 { time.as_str() } else { "" };
            row += &format!("{}{}{}\n", cell(time, TIME - 1), " ".repeat(before), style.apply_to(line));
        }
        row
    }
}

/// A remark over all columns.
impl Columns {
    pub(super) fn note(&self, text: &str) -> String {
        let rows = wrap(text, self.total - TIME);
        rows.iter().map(|row| format!("{}{}\n", " ".repeat(TIME), Style::new().dim().apply_to(row))).collect()
    }
}

/// A text padded or cut to a width, and a blank.
fn cell(text: &str, width: usize) -> String {
    format!("{} ", pad_str(text, width, Alignment::Left, Some("…")))
}

/// A topic has the same colour in every run.
fn colour(topic: &str) -> Color {
    let sum = topic.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    Color::Color256(COLOURS[sum % COLOURS.len()])
}

/// A key by which `server-10` stands behind `server-9`: the name without its last number, and the number.
fn natural(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

/// Breaks a text into lines of at most `width`, between words where that is possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        loop {
            let line = lines.last_mut().expect("there is always a line: the first, or the one just pushed");
            let room = width.saturating_sub(measure_text_width(line) + usize::from(!line.is_empty()));
            if measure_text_width(&word) <= room {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&word);
                break;
            }
            if line.is_empty() {
                // A word longer than a whole line is broken within.
                let split = word.char_indices().nth(room.max(1)).map_or(word.len(), |(at, _)| at);
                let rest = word.split_off(split);
                line.push_str(&word);
                word = rest;
                if word.is_empty() {
                    break;
                }
            }
            lines.push(String::new());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &Columns, t: u64, node: &str, text: &str) -> String {
        let events = vec![labtrace::Event::new(t, node, "vote", "", text)];
        let trace = labtrace::Trace { events, ..labtrace::Trace::default() };
        columns.row(&super::super::lines::lines(&trace)[0])
    }

    #[test]
    fn each_server_has_its_column() {
        let columns = Columns::new(vec!["server-10".into(), "server-2".into()], TIME + 2 * 21);
        assert!(columns.head().starts_with("seconds       server-2             server-10\n"));
        assert_eq!(row(&columns, 1_500_000, "server-2", "granted"), "0.001500      vote granted\n");
        let second = row(&columns, 1_500_000, "server-10", "granted");
        assert_eq!(second, format!("0.001500      {}vote granted\n", " ".repeat(21)));
    }

    #[test]
    fn too_many_servers_share_one_column() {
        let columns = Columns::new((0..9).map(|number| format!("server-{number}")).collect(), 80);
        assert_eq!(row(&columns, 0, "server-3", "x"), "0.000000      server-3 vote x\n");
        let long = "x ".repeat(200);
        let columns = Columns::lines(vec!["server-0".into(), "server-1".into()], 80);
        assert_eq!(columns.head(), format!("seconds       server\n{}\n", "─".repeat(80)));
        assert_eq!(
            row(&columns, 0, "server-1", &long).trim_end(),
            format!("0.000000      server-1 vote {}", long.trim())
        );
    }

    #[test]
    fn texts_are_wrapped_between_words_if_possible() {
        assert_eq!(wrap("the leader is cut off", 10), ["the leader", "is cut off"]);
        assert_eq!(wrap("a incomprehensible b", 8), ["a", "incompre", "hensible", "b"]);
        assert_eq!(wrap("", 8), [""]);
    }
}
