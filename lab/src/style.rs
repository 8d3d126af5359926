//! Colours and words. Nothing is coloured where there is no terminal or where `NO_COLOR` is set.

use std::time::Duration;

use console::style;

use crate::catalogue::Test;
use crate::protocol::Report;
use crate::runner::World;

/// What stands before a message of failure on standard error.
pub(crate) fn error_word() -> String {
    style("error:").for_stderr().red().bold().to_string()
}

/// The line that the course prints for a finished test, and the story behind it if it failed.
pub(crate) fn print_result(test: &Test, report: &Report, world: &World) {
    let head = format!("Test ({}): {} ...", test.part, test.title);
    if report.ok {
        println!("{head} {} -- {}", style("Passed").green(), figures(report));
    } else {
        println!("{head} {} -- seed {}: {}", style("FAILED").red().bold(), report.seed, report.reason());
        print_story(report);
        let replay = format!("{}{}", replay_command(test, report.seed), world.flags());
        if !report.report.as_ref().is_some_and(|report| report.lines().any(|line| line.ends_with(&replay))) {
            println!("    replay: {replay}");
        }
    }
    for warning in &report.warnings {
        println!("    {} {warning}", style("warning:").yellow());
    }
}

/// The whole report of a failure, indented.
fn print_story(report: &Report) {
    for line in report.report.as_deref().unwrap_or_default().trim_end().lines() {
        println!("    {line}");
    }
}

/// What to type to see a run again.
pub(crate) fn replay_command(test: &Test, seed: u64) -> String {
    format!("cargo lab replay {} --seed {seed}", test.name)
}

/// The figures of the course's line: what the run cost.
fn figures(report: &Report) -> String {
    let Report { peers, rpcs, bytes, commands, .. } = report;
    let virtual_s = report.virtual_ns as f64 / 1e9;
    let real = duration(Duration::from_nanos(report.real_ns));
    format!(
        "virtual {virtual_s:.1} s, real {real}, {peers} peers, {rpcs} RPCs, {bytes} bytes, {commands} commands"
    )
}

/// A duration in the unit that fits it.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 1.0 { format!("{seconds:.1} s") } else { format!("{:.1} ms", seconds * 1e3) }
}

/// "1 test", "2 tests".
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// `text` with everything escaped that could steer a terminal: what comes from files, and their names, is not trusted.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if linearize::words::steers(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Columns aligned by their widest cell; the first one to the left, the others to the right. The first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width =
        |column: usize| rows.iter().map(|row| console::measure_text_width(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let side = if column == 0 { console::Alignment::Left } else { console::Alignment::Right };
            console::pad_str(cell, *width, side, None).into_owned()
        });
        text += cells.collect::<Vec<_>>().join("   ").trim_end();
        text.push('\n');
        if number == 0 {
            text += &"─".repeat(widths.iter().sum::<usize>() + 3 * columns.saturating_sub(1));
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
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        assert_eq!(duration(Duration::from_micros(151)), "0.2 ms");
        assert_eq!(duration(Duration::from_millis(2345)), "2.3 s");
    }
}
