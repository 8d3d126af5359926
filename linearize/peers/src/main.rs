//! Our checker beside its peer, on the same histories in the same run, and how much memory ours takes:
//! `cargo run --release --manifest-path linearize/peers/Cargo.toml`, with a part of a name behind `--` for
//! some rows alone, and with `--every` to list every history that is beyond its bound. About two minutes.
//!
//! Times are from a parsed history to its verdict, medians of runs in turns; with `--explained` ours also
//! says why a history is not linearizable, which the peer never does. Each row has a process of its own, so
//! that what one leaves behind in memory does not slow another. Where the peer checks several keys at once,
//! "lucky" is the ratio to what it would take if it began with the key that it refutes fastest.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

mod contest;
mod memory;
mod peer;
#[path = "../../benches/common/queue.rs"]
mod queue;
mod rows;
mod table;

use std::process::{Command, ExitCode, Stdio};

use contest::{EXPLAINED, Finding, Outcome, contest};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["row", name] => measure(name),
        ["memory", name] => memory::measure(name, false),
        ["memory-of-peer", name] => memory::measure(name, true),
        _ => {
            let wanted = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or("");
            let settings: &[_] = if words.contains(&"--explained") { &[(EXPLAINED, "1")] } else { &[] };
            return tables(wanted, words.contains(&"--every"), settings);
        }
    }
    ExitCode::SUCCESS
}

/// In a process of its own: plays the row called `name` and prints a line for each of its histories.
fn measure(name: &str) {
    let row = rows::rows().into_iter().find(|row| row.name == name).expect("the parent knows the names");
    for case in row.cases() {
        println!("{}", contest(&case, row.limit).line());
    }
}

/// What this program prints if it is run again with these arguments.
fn again(arguments: [&str; 2], settings: &[(&str, &str)]) -> Option<String> {
    let program = std::env::current_exe().expect("a program that runs has a file");
    let mut command = Command::new(program);
    command.args(arguments).envs(settings.iter().copied()).stderr(Stdio::inherit());
    let output = command.output().expect("what runs can be run again");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn tables(wanted: &str, every: bool, settings: &[(&str, &str)]) -> ExitCode {
    let mut table = table::Table::new(if every { usize::MAX } else { 3 });
    for row in rows::rows().iter().filter(|row| row.name.contains(wanted)) {
        let outcomes: Option<Vec<Outcome>> = again(["row", &row.name], settings)
            .and_then(|lines| lines.lines().map(Outcome::of_line).collect());
        table.add(row, outcomes.unwrap_or_default());
    }
    table.finish();
    println!();
    memory::table(wanted);
    if table.disagreements == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
