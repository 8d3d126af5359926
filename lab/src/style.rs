//! What is printed of a test that ran.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use console::style;
use lab_terminal::{count, cut, duration, error_width, width, wrapped};
use labreport::Verdict;

use crate::catalogue::Test;
use crate::protocol::Report;
use crate::runner::World;
use crate::unwritten::unwritten;

/// Prints lines that fit the terminal.
pub(crate) fn say(text: &str) {
    println!("{}", wrapped(text, width()));
}

/// Prints words, or where a program reads, a line of JSON.
pub(crate) fn say_or_json(is_json: bool, words: &str, json: &serde_json::Value) {
    if is_json { println!("{json}") } else { say(words) }
}

/// Prints a warning on standard error, in lines that fit the terminal.
pub(crate) fn warn(text: &str) {
    eprintln!("{}", wrapped(&format!("{} {text}", style("warning:").for_stderr().yellow()), error_width()));
}

/// How much is said of a test that failed.
pub(crate) struct Story<'a> {
    /// So many lines of its report: the head, or the last ones, which name the rule, the moment and the
    /// servers.
    pub(crate) told: usize,
    /// Holds them all.
    pub(crate) file: Option<&'a Path>,
    /// What to type to see the run again.
    pub(crate) replay: &'a str,
}

/// The line that the course prints for a finished test, and, if it failed, its story.
pub(crate) fn print_result(test: &Test, report: &Report, world: &World, story: &Story<'_>) {
    let told = story.told;
    let head = format!("{}{} ...", head_of(test), test.title);
    if let Some(what) = unwritten(report) {
        let place = report.place.as_ref().map_or_else(String::new, |place| format!(", {place}"));
        say(&format!("{head} {} ({what}{place})", style("not implemented").yellow()));
        return;
    }
    if report.ok {
        say(&passed(&head, report, world, width()));
    } else {
        let word = match report.verdict() {
            Verdict::Inconclusive => style("INCONCLUSIVE").yellow().bold(),
            Verdict::Passed | Verdict::Failed => style("FAILED").red().bold(),
        };
        match width().filter(|_| told == 0) {
            // In one line: the name is what a replay needs.
            Some(width) => {
                let room = width.saturating_sub(head_of(test).len() + " ... INCONCLUSIVE".len());
                let name = cut(&test.name, room.max(8));
                let line = format!("{}{name} ... {word} -- {}", head_of(test), one_line(&report.reason()));
                println!("{}", cut(&line, width));
            }
            None => say(&format!("{head} {word} -- seed {}: {}", report.seed, report.reason())),
        }
    }
    print_story(report, told, story.file);
    if !report.ok && (told > 0 || width().is_none()) {
        say(&format!("    replay: {}", story.replay));
    }
    // A report tells the warnings of its run itself.
    let told = report.report.as_deref().unwrap_or_default();
    let new = |what: &&String| report.ok || !told.contains(what.as_str());
    for warning in report.warnings.iter().filter(new) {
        say(&format!("    {} {warning}", style("warning:").yellow()));
    }
}

fn head_of(test: &Test) -> String {
    format!("Test ({}): ", test.part)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the checkers do not see of this solution, and of how many tests that is true. It is the same for most
/// tests of a lab, so it is said once.
pub(crate) fn print_unwatched(unwatched: &BTreeMap<String, usize>) {
    for (what, &tests) in unwatched {
        say(&format!("{} {what} (in {})", style("not watched:").dim(), count(tests, "test")));
    }
}

/// At most so many lines of the report of a failure, indented.
fn print_story(report: &Report, told: usize, file: Option<&Path>) {
    let text = report.report.as_deref().unwrap_or_default();
    if told == 0 {
        return;
    }
    let lines = tail(text, told);
    // Wrapped already; the blanks of a column must stay.
    lines.iter().for_each(|line| println!("    {line}"));
    if let Some(file) = file.filter(|_| lines.first().is_some_and(|line| line.ends_with(BEFORE))) {
        say(&format!("    all of it: {}", file.display()));
    }
}

/// How the line ends that stands for those that were left out.
const BEFORE: &str = " lines before)";

/// The last `told` lines of a report, for a text that stands four blanks deep; before them a line that says
/// how many were left out, if any were.
pub(crate) fn tail(text: &str, told: usize) -> Vec<String> {
    // Of a report that is cut, each line counts.
    let text = if told == usize::MAX { text.trim().to_owned() } else { without_unwatched(text.trim()) };
    let text = wrapped(text.trim(), width().map(|width| width.saturating_sub(4)));
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(told);
    let head = (skipped > 0).then(|| format!("({skipped}{BEFORE}"));
    head.into_iter().chain(lines[skipped..].iter().map(|line| (*line).to_owned())).collect()
}

/// A report without what the checkers do not see, which is said for all tests at once. A line that was broken
/// goes on in lines that are indented.
fn without_unwatched(text: &str) -> String {
    let mut left_out = false;
    let stays = |line: &&str| {
        left_out = line.starts_with("not watched: ") || left_out && line.starts_with("  ");
        !left_out
    };
    text.lines().filter(stays).collect::<Vec<_>>().join("\n")
}

/// What to type to see a run again.
pub(crate) fn replay_command(test: &Test, seed: u64, world: &World) -> String {
    format!("{}cargo lab replay {} --seed {seed}{}", world.prefix(), test.name, world.flags(seed))
}

/// The line of a test that passed, with as many of the course's figures as fit in it.
fn passed(head: &str, report: &Report, world: &World, width: Option<usize>) -> String {
    with_figures(&format!("{head} {}", style("Passed").green()), &figures(report, world), width)
}

/// A line with as many figures as fit in it.
pub(crate) fn with_figures(head: &str, figures: &[String], width: Option<usize>) -> String {
    let mut line = head.to_owned();
    for (number, figure) in figures.iter().enumerate() {
        let longer = format!("{line}{} {figure}", if number == 0 { " --" } else { "," });
        if width.is_some_and(|width| console::measure_text_width(&longer) > width) {
            break;
        }
        line = longer;
    }
    line
}

/// The figures of the course's line: what the run cost.
fn figures(report: &Report, world: &World) -> Vec<String> {
    let Report { peers, rpcs, bytes, commands, .. } = report;
    let lasted = report.virtual_ns as f64 / 1e9;
    let real = duration(Duration::from_nanos(report.real_ns));
    // On real threads the two clocks are one.
    let mut figures = if world.threads {
        vec![format!("real {lasted:.1} s")]
    } else {
        vec![format!("virtual {lasted:.1} s"), format!("real {real}")]
    };
    figures.extend([format!("{peers} peers"), format!("{rpcs} RPCs"), format!("{bytes} bytes")]);
    // Not every test counts commands.
    figures.extend((*commands > 0).then(|| format!("{commands} commands")));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_is_cut_has_no_room_for_what_is_said_once() {
        let report = "broken expectation:\n  no leader\nnot watched: votes; implement\n  `wire`\nseen at 1 s";
        assert_eq!(without_unwatched(report), "broken expectation:\n  no leader\nseen at 1 s");
    }
}
