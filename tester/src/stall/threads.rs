//! The threads' lines in a report of something that did not happen.

use labrt::runtime;

/// With story and table a report still fits one screen.
const MOST: usize = 6;

/// The threads' lines, those that wait for locks first: as many as a screen has room for.
pub(crate) fn threads() -> Vec<String> {
    let lines = lines_of(&runtime::waiting_report());
    if lines.is_empty() { lines } else { std::iter::once("threads:".to_owned()).chain(lines).collect() }
}

/// The same of a report that was made already, without the heading. A circle of waiting threads goes first.
pub(crate) fn lines_of(report: &str) -> Vec<String> {
    let (cycle, others): (Vec<&str>, Vec<&str>) = split(report);
    let mut lines: Vec<&str> = others.into_iter().filter(|line| !is_idle(line)).collect();
    lines.sort_by_cached_key(|line| rank(line));
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    let shown = cycle.into_iter().map(str::to_owned);
    let mut lines: Vec<String> =
        shown.chain(lines.into_iter().map(|line| format!("  {}", line.trim_start()))).collect();
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines
}

/// The lines of the circle, and all others.
fn split(report: &str) -> (Vec<&str>, Vec<&str>) {
    let lines: Vec<&str> = report.lines().collect();
    let is_cycle = |line: &str| line.trim_start().starts_with("the cycle:");
    let Some(first) = lines.iter().position(|line| is_cycle(line)) else { return (Vec::new(), lines) };
    // What belongs to it is indented deeper.
    let indent = |line: &str| line.len() - line.trim_start().len();
    let end = (first + 1..lines.len()).find(|&at| indent(lines[at]) <= indent(lines[first]));
    let end = end.unwrap_or(lines.len());
    let others = lines[..first].iter().chain(&lines[end..]).copied().collect();
    (lines[first..end].to_vec(), others)
}

/// The thread that a line names, or the example of many.
fn name(line: &str) -> &str {
    line.split('`').nth(1).unwrap_or_default()
}

/// Whether a line says nothing: the tester's own threads wait for what the test waits for.
fn is_idle(line: &str) -> bool {
    let is_in_test = line.contains("tester/") || line.contains("/tests/");
    name(line).starts_with("the tester's")
        || line.trim_start().starts_with("`main` of `main`") && is_in_test
        || line.contains("could run on")
}

/// What is told first: waiting for locks, handlers (a handler should be short), what the test itself runs
/// (its clients), then what the fewest threads do: most wait for what every server waits for.
fn rank(line: &str) -> (usize, usize) {
    let line = line.trim_start();
    // A thread without a name has that of the line that started it.
    let is_handler = name(line).contains('.') && !name(line).contains(".rs:");
    let class = match line {
        // On real threads nobody knows who holds it.
        _ if line.contains("held by") || line.contains("waits for a lock") => 0,
        _ if is_handler => 1,
        _ if line.contains("of `main` waits") => 2,
        _ => 3,
    };
    let count = line.split_once(" threads").and_then(|(count, _)| count.parse().ok());
    (class, count.unwrap_or(1))
}
