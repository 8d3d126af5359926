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

/// "1 test", "2 tests".
pub fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Columns aligned by their widest cell; the first one to the left, the others to the right. The first row is
/// the head.
pub fn table(rows: &[Vec<String>]) -> String {
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
