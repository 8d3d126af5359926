//! Colours and words. Nothing is coloured where there is no terminal or where `NO_COLOR` is set.

use std::time::Duration;

use console::style;

/// What stands before a message of failure on standard error.
pub fn error_word() -> String {
    style("error:").for_stderr().red().bold().to_string()
}

/// A duration in the unit that fits it.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 1.0 { format!("{seconds:.1} s") } else { format!("{:.1} ms", seconds * 1e3) }
}

/// How many letters fit in a line of standard output: the terminal's width, or what `COLUMNS` says. None if
/// the output is no terminal, and so nothing needs to be cut.
pub fn width() -> Option<usize> {
    let term = console::Term::stdout();
    let seen = term.is_term().then(|| term.size_checked()).flatten().map(|(_, columns)| usize::from(columns));
    seen.or_else(|| number_in("COLUMNS")).map(|width| width.clamp(NARROWEST, WIDEST))
}

/// The same of standard error.
pub fn error_width() -> Option<usize> {
    let term = console::Term::stderr();
    let seen = term.is_term().then(|| term.size_checked()).flatten().map(|(_, columns)| usize::from(columns));
    seen.or_else(|| number_in("COLUMNS")).map(|width| width.clamp(NARROWEST, WIDEST))
}

/// How many rows the screen of standard output has: the terminal's, or what `LINES` says. Where only the
/// width is known, as many as terminals usually have. None if the output is no terminal.
pub fn height() -> Option<usize> {
    let term = console::Term::stdout();
    let seen = term.is_term().then(|| term.size_checked()).flatten().map(|(rows, _)| usize::from(rows));
    let said = || width().map(|_| number_in("LINES").unwrap_or(USUAL_ROWS));
    seen.or_else(said).map(|rows| rows.max(FEWEST_ROWS))
}

/// How many rows terminals usually have.
const USUAL_ROWS: usize = 24;

/// A lower screen cannot show a report anyway.
const FEWEST_ROWS: usize = 10;

/// A variable of the environment that is a number.
fn number_in(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// No terminal is wider, and a rule of that length is still a line.
const WIDEST: usize = 10_000;

/// A terminal that is narrower gets lines that it has to break itself.
const NARROWEST: usize = 20;

/// A text, each of its lines broken between words into lines of at most `width`. What follows a break stands
/// four blanks deeper than the line's beginning.
pub fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    text.lines().map(|line| wrapped_line(line, width)).collect::<Vec<_>>().join("\n")
}

fn wrapped_line(line: &str, width: usize) -> String {
    if console::measure_text_width(line) <= width {
        return line.to_owned();
    }
    let indent = line.len() - line.trim_start_matches(' ').len();
    let deeper = " ".repeat((indent + 4).min(width / 2));
    let mut lines = vec![" ".repeat(indent.min(width / 2))];
    for word in line.trim_start_matches(' ').split(' ') {
        let mut word = word.to_owned();
        while let Some(last) = lines.last_mut() {
            let is_begin = last.chars().all(|letter| letter == ' ');
            let room = width.saturating_sub(console::measure_text_width(last) + usize::from(!is_begin));
            if console::measure_text_width(&word) <= room {
                *last += if is_begin { "" } else { " " };
                *last += &word;
                break;
            }
            if is_begin {
                // A word longer than a whole line is broken within, a path between its names.
                let most = word.char_indices().nth(room.max(1)).map_or(word.len(), |(at, _)| at);
                let split = word[..most].rfind('/').filter(|&at| at > 0).map_or(most, |at| at + 1);
                let rest = word.split_off(split);
                *last += &word;
                word = rest;
            }
            lines.push(deeper.clone());
        }
    }
    lines.join("\n")
}

/// A text cut to a width, with a mark that it was.
pub fn cut(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

/// "1 test", "2 tests".
pub fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Columns aligned by their widest cell; the first one to the left, the others to the right. The first row is
/// the head. The table is no wider than the terminal, if there is one: the gaps, then the first column, give
/// way.
pub fn table(rows: &[Vec<String>]) -> String {
    table_within(rows, width())
}

fn table_within(rows: &[Vec<String>], room: Option<usize>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width =
        |column: usize| rows.iter().map(|row| console::measure_text_width(&row[column])).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns).map(width).collect();
    let sum: usize = widths.iter().sum();
    let gaps = columns.saturating_sub(1);
    let room = room.unwrap_or(usize::MAX);
    let gap = if sum + 3 * gaps <= room { 3 } else { 1 };
    if let Some(first) = widths.first_mut() {
        let others = sum - *first + gap * gaps;
        *first = (*first).min(room.saturating_sub(others).max(8));
    }
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let side = if column == 0 { console::Alignment::Left } else { console::Alignment::Right };
            console::pad_str(cell, *width, side, Some("…")).into_owned()
        });
        text += &cut(cells.collect::<Vec<_>>().join(&" ".repeat(gap)).trim_end(), room);
        text.push('\n');
        if number == 0 {
            text += &"─".repeat((widths.iter().sum::<usize>() + gap * gaps).min(room));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_by_its_widest_cells() {
        let rows = [["test", "failed"], ["a_long_name", "12"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        let expected = "test          failed\n────────────────────\na_long_name       12\n";
        assert_eq!(table_within(&rows, None), expected);
        let narrow = table_within(&rows, Some(16));
        assert_eq!(narrow, "test      failed\n────────────────\na_long_n…     12\n");
    }

    #[test]
    fn no_line_is_wider_than_asked_for() {
        let text = "    Test (2A): a title of some length ... Passed\nshort\n  anextraordinarilylongwordwithoutblanks";
        let wrapped = wrapped(text, Some(24));
        assert!(wrapped.lines().all(|line| line.chars().count() <= 24), "{wrapped}");
        assert!(wrapped.starts_with("    Test (2A): a title\n        of some length"), "{wrapped}");
        assert_eq!(super::wrapped(text, None), text);
        let path = "see /home/alice/labs/target/pictures/x.txt";
        assert_eq!(
            super::wrapped(path, Some(20)),
            "see\n    /home/alice/\n    labs/target/\n    pictures/x.txt"
        );
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        assert_eq!(duration(Duration::from_micros(151)), "0.2 ms");
        assert_eq!(duration(Duration::from_millis(2345)), "2.3 s");
    }
}
