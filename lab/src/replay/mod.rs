//! `cargo lab replay`: one seed of one test again, with tracing on, told as a story and as columns.

mod columns;
mod event;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use columns::Columns;
use event::{Event, Filter};
use labreport::Verdict;

use crate::build::build;
use crate::catalogue::Catalogue;
use crate::cli::{Arguments, ReplayOptions};
use crate::process::Supervisor;
use crate::runner::{Job, Runner};
use crate::select::select_one;
use crate::style::print_result;
use crate::{Failure, Outcome, environment};

/// Without a terminal, the width of all columns together.
const WIDTH: usize = 160;

/// Runs the seed, prints the result with its story, then the log.
pub(crate) fn run(arguments: &Arguments, options: &ReplayOptions) -> Result<Outcome, Failure> {
    environment::check()?;
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let test = select_one(&catalogue, &options.test)?;
    let binaries = build(&catalogue.root, std::slice::from_ref(&test), &options.run.build(false))?;
    let binary = &binaries[&(test.package.clone(), test.binary.clone())];
    let trace = options.trace.clone().unwrap_or_else(scratch_file);
    let mut world = options.run.world()?;
    world.variables.push(("LAB_TRACE", trace.display().to_string()));

    let runner = Runner { supervisor: Supervisor::start()?, world };
    let job = Job { binary, test: &test, seeds: options.seed..options.seed + 1 };
    let mut last = None;
    runner.run(&job, &mut |report| {
        last = Some(report);
        ControlFlow::Continue(())
    })?;
    let Some(mut report) = last else { return Ok(Outcome::Interrupted) };
    if options.no_story {
        report.report = None;
    }
    let shown = check_topics(&trace, options).and_then(|()| show_log(&trace, options));
    if options.trace.is_none() {
        // It is not there if the test died before it could write it.
        let _ = std::fs::remove_file(&trace);
    }
    shown?;
    if options.form.json {
        println!("{}", serde_json::json!({ "result": report }));
    } else {
        print_result(&test, &report, &runner.world, usize::MAX, None);
    }
    Ok(match report.verdict() {
        Verdict::Passed => Outcome::Passed,
        Verdict::Failed => Outcome::Failed,
        Verdict::Inconclusive => Outcome::Unknown,
    })
}

/// A file of this process's own.
fn scratch_file() -> PathBuf {
    std::env::temp_dir().join(format!("lab-replay-{}.jsonl", std::process::id()))
}

/// Refuses topics that this run does not have, and names those that it has.
fn check_topics(trace: &Path, options: &ReplayOptions) -> Result<(), Failure> {
    let words = || options.just.iter().chain(&options.ignore);
    let (mut topics, mut unknown) = (BTreeMap::new(), words().collect::<Vec<_>>());
    unknown.retain(|word| !event::is_kind(word));
    if words().any(|word| word.trim().is_empty()) {
        return Err(Failure::new("a topic is empty"));
    }
    each_event(trace, &Filter::everything(), |event| {
        unknown.retain(|word| !event.is_named(word));
        *topics.entry(event.topic().to_owned()).or_insert(0_u64) += 1;
        true
    })?;
    if let Some(word) = unknown.first() {
        let names: Vec<&str> = topics.keys().map(String::as_str).collect();
        return Err(Failure::new(format!("this run has no topic {word}; it has: {}", names.join(", "))));
    }
    if options.topics && options.form.json {
        println!("{}", serde_json::json!({ "topics": topics }));
    } else if options.topics {
        topics.iter().for_each(|(topic, number)| println!("{topic:24} {number:>8}"));
    }
    Ok(())
}

/// Prints the events that the user wants to see. Reads the file twice: the columns must be known before the
/// first line.
fn show_log(trace: &Path, options: &ReplayOptions) -> Result<(), Failure> {
    let filter = Filter::new(&options.just, &options.ignore);
    if options.topics {
        return Ok(());
    }
    if options.form.json {
        return each_event(trace, &filter, |event| {
            println!("{}", serde_json::json!({ "event": event }));
            true
        });
    }
    let mut nodes = Vec::new();
    each_event(trace, &filter, |event| {
        if !nodes.contains(&event.node) {
            nodes.push(event.node);
        }
        true
    })?;
    let terminal = lab_terminal::width().unwrap_or(WIDTH);
    let columns = Columns::new(nodes, options.columns_width.map_or(terminal, usize::from));
    let mut out = std::io::stdout().lock();
    // A reader such as `head` may close the pipe; that is no failure.
    let mut open = out.write_all(columns.head().as_bytes()).is_ok();
    each_event(trace, &filter, |event| {
        open = open && out.write_all(columns.row(&event).as_bytes()).is_ok();
        open
    })
}

/// Calls `take` with each event that passes the filter, until it returns false. Lines that are no events are
/// passed over.
fn each_event(trace: &Path, filter: &Filter, mut take: impl FnMut(Event) -> bool) -> Result<(), Failure> {
    let file = match File::open(trace) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::new(format!("{}: {error}", trace.display()))),
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let events = lines.filter_map(|line| serde_json::from_str::<Event>(&line).ok());
    for event in events.filter(|event| filter.shows(event)) {
        if !take(event) {
            break;
        }
    }
    Ok(())
}
