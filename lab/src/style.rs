//! What is printed of a test that ran.

use std::time::Duration;

use console::style;
use lab_terminal::duration;
use labreport::Verdict;

use crate::catalogue::Test;
use crate::protocol::Report;
use crate::runner::World;
use crate::unwritten::unwritten;

/// The line that the course prints for a finished test, and the story behind it if it failed.
pub(crate) fn print_result(test: &Test, report: &Report, world: &World) {
    let head = format!("Test ({}): {} ...", test.part, test.title);
    if let Some(what) = unwritten(report) {
        println!("{head} {} ({what})", style("not implemented").yellow());
        return;
    }
    if report.ok {
        println!("{head} {} -- {}", style("Passed").green(), figures(report));
    } else {
        let word = match report.verdict() {
            Verdict::Inconclusive => style("INCONCLUSIVE").yellow().bold(),
            Verdict::Passed | Verdict::Failed => style("FAILED").red().bold(),
        };
        println!("{head} {word} -- seed {}: {}", report.seed, report.reason());
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
