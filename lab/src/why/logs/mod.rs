//! `cargo lab logs`: the events of a run in columns, one for each server.

mod columns;
mod filter;
mod fold;
mod lines;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};

use lab_terminal::{count, end_unread};
use labtrace::Trace;

use columns::Columns;
use filter::Filter;
use fold::{Folded, fold};
use lines::{Line, lines};

use super::cli::{LogsOptions, Shown};
use crate::cli::Arguments;
use crate::{Failure, Outcome};

/// Without a terminal, the width of all columns together.
const WIDTH: usize = 160;

/// Runs the seed, or reads a trace, and prints the log.
pub(crate) fn run(arguments: &Arguments, options: &LogsOptions) -> Result<Outcome, Failure> {
    let Some(traced) = options.source.open(arguments, &options.run, None)? else {
        return Ok(Outcome::Interrupted);
    };
    traced.check_written()?;
    match show(&traced.trace, &options.shown)? {
        0 => Err(nothing(&traced.trace)),
        _ => Ok(Outcome::Passed),
    }
}

/// The failure of a log without a line.
fn nothing(trace: &Trace) -> Failure {
    let lasted = trace.events.last().map_or(0, |event| event.t) as f64 / 1e9;
    Failure::new(format!(
        "these options show no event of this run, which has {} and lasted {lasted:.6} s; --topics lists what \
         they are about",
        count(trace.events.len(), "event")
    ))
}

/// Prints the events that the user wants to see, or their topics; returns how many.
///
/// # Errors
/// If the user asked for something that the run does not have. A run that died has no event at all.
pub(crate) fn show(trace: &Trace, shown: &Shown) -> Result<usize, Failure> {
    let lines = lines(trace);
    check_topics(&lines, shown)?;
    if shown.topics {
        return Ok(lines.len());
    }
    let filter = Filter::new(trace, shown)?;
    let chosen: Vec<&Line<'_>> = lines.iter().filter(|line| filter.shows(line)).collect();
    if chosen.is_empty() && shown.is_narrowed() && !trace.events.is_empty() {
        return Err(nothing(trace));
    }
    let mut out = std::io::stdout().lock();
    if shown.form.json {
        for line in &chosen {
            put(&mut out, &format!("{}\n", serde_json::json!({ "event": line.json() })))?;
        }
        return Ok(chosen.len());
    }
    let mut nodes: Vec<String> = Vec::new();
    for line in &chosen {
        if !nodes.iter().any(|node| **node == *line.event.node) {
            nodes.push(line.event.node.to_string());
        }
    }
    let width = shown.columns_width.map_or(lab_terminal::width().unwrap_or(WIDTH), usize::from);
    let columns = if shown.lines { Columns::lines(nodes, width) } else { Columns::new(nodes, width) };
    put(&mut out, &columns.head())?;
    for row in fold(&chosen, shown.unfolded || shown.lines) {
        let text = match row {
            Folded::Line(line) => columns.row(line),
            Folded::Repetitions(text) => columns.note(&text),
        };
        put(&mut out, &text)?;
    }
    Ok(chosen.len())
}

/// Writes a part of the output. A reader such as `head` may have closed the pipe: then this program ends.
fn put(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    match out.write_all(text.as_bytes()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => end_unread(),
        Err(error) => Err(Failure::new(format!("the output cannot be written: {error}"))),
    }
}

/// Refuses topics that this run does not have, and names those that it has.
fn check_topics(lines: &[Line<'_>], shown: &Shown) -> Result<(), Failure> {
    let words = || shown.just.iter().chain(&shown.ignore);
    if words().any(|word| word.trim().is_empty()) {
        return Err(Failure::new("a topic is empty"));
    }
    let mut topics: BTreeMap<String, u64> = BTreeMap::new();
    let mut unknown: Vec<&String> = words().filter(|word| !filter::is_kind(word)).collect();
    for line in lines {
        unknown.retain(|word| !filter::is_named(line.event, word));
        *topics.entry(filter::topic(line.event).to_owned()).or_default() += 1;
    }
    if let Some(word) = unknown.first() {
        let names: Vec<&str> = topics.keys().map(String::as_str).collect();
        let names = labtrace::clean(&names.join(", "), 2000);
        return Err(Failure::new(format!("this run has no topic {word}; it has: {names}")));
    }
    if shown.topics && shown.form.json {
        println!("{}", serde_json::json!({ "topics": topics }));
    } else if shown.topics {
        let row =
            |(topic, number): (&String, &u64)| println!("{:24} {number:>8}", labtrace::clean(topic, 50));
        topics.iter().for_each(row);
    }
    Ok(())
}
