//! The second table: how much memory a check takes.
//!
//! Each number is of a process that makes its history, looks how much memory that takes, and checks it; Linux
//! counts how much was resident at most meanwhile.

use std::hint::black_box;
use std::time::Duration;

use linearize::generate::{Values, Workload};
use linearize::models::collections::{Queue, QueueOp};
use linearize::{History, Limits, check};

use crate::again;
use crate::contest::{Case, Finding};
use crate::queue::{Plain, queue_history};

/// What is checked.
enum Subject {
    Case(Case),
    Queue(History<QueueOp<u32>, Option<u32>>),
}

/// The peer's bound for 100,000 operations, in bytes.
const BOUND: f64 = 309e6;

/// Rows: the name, and whether the peer can do it too.
const ROWS: [(&str, bool); 7] = [
    ("memory, lab 10,000", true),
    ("memory, lab 100,000", true),
    ("memory, lab 1,000,000", false),
    ("memory, appends 100,000", false),
    ("memory, 5 texts 10,000", true),
    ("memory, queue by steps 1,000, good", false),
    ("memory, queue by steps 1,000, spoilt", false),
];

fn subject(name: &str) -> Subject {
    let workload = match name.trim_start_matches("memory, ") {
        "lab 10,000" => Workload::lab(10, 10, 10_000),
        "lab 100,000" => Workload::lab(10, 10, 100_000),
        "lab 1,000,000" => Workload::lab(10, 10, 1_000_000),
        "appends 100,000" => Workload::appends(50, 100_000),
        "5 texts 10,000" => Workload::register(10, 10_000, Values::Few(5)),
        queue => return Subject::Queue(queue_history(queue.ends_with("spoilt"))),
    };
    Subject::Case(Case::keys(name, workload.generate()))
}

impl Subject {
    fn operations(&self) -> usize {
        match self {
            Subject::Case(case) => case.history.len(),
            Subject::Queue(history) => history.len(),
        }
    }

    fn check(&self) -> Finding {
        Finding::of(&match self {
            Subject::Case(case) => case.check(),
            Subject::Queue(history) => check(&Plain(Queue::new()), history, &Limits::default()),
        })
    }
}

/// In a process of its own: prints operations, the bytes of an empty
/// process, with the history, and at most during the check, and the finding.
pub(crate) fn measure(name: &str, peer: bool) {
    let empty = status("VmRSS:");
    let subject = subject(name);
    let operations = subject.operations();
    let run: Box<dyn Fn() -> Finding> = match subject {
        Subject::Case(case) if peer => {
            let prepared = case.for_peer();
            drop(case);
            Box::new(move || prepared.at_once_within(Duration::from_secs(5)))
        }
        subject => Box::new(move || subject.check()),
    };
    let before = status("VmRSS:");
    // The highest so far is of the making; this sets it back to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may forget its own peak");
    let finding = black_box(run()).word();
    println!("{operations} {empty} {before} {} {finding}", status("VmHWM:"));
}

/// A count of bytes that Linux keeps of this process.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this bench is for Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux has this field");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
    kibibytes << 10
}

/// Large pieces of memory go back to the system when they are freed, so that what is resident is what is
/// used.
const SETTINGS: [(&str, &str); 3] =
    [("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_TRIM_THRESHOLD_", "65536"), ("MALLOC_TOP_PAD_", "0")];

pub(crate) fn table(wanted: &str) {
    let rows: Vec<_> = ROWS.iter().filter(|row| row.0.contains(wanted)).collect();
    if rows.is_empty() {
        return;
    }
    println!(
        "{:<38} | {:>10} | verdict | {:>10} | {:>10} | {:>9} | {:>9} | {:>13} | bound",
        "memory", "operations", "history MB", "check MB", "in all MB", "check B/op", "the peer's MB"
    );
    for (name, peer) in rows {
        let theirs = if *peer { figures("memory-of-peer", name) } else { None };
        let theirs = theirs.map_or("–".to_owned(), |figures| {
            let over = if figures.finding == "?" { "over " } else { "" };
            format!("{over}{:.1}", figures.highest / 1e6)
        });
        let Some(Figures { operations, empty, before, highest, finding }) = figures("memory", name) else {
            println!("{name}: the process did not end well");
            continue;
        };
        let check = highest - before;
        let bound = if operations == 100_000.0 { format!("{:.0} MB", BOUND / 1e6) } else { "–".to_owned() };
        println!(
            "{:<38} | {operations:>10} | {finding:<7} | {:>10.1} | {:>10.1} | {:>9.1} | {:>9.0} | {theirs:>13} | {bound}",
            name.trim_start_matches("memory, "),
            (before - empty) / 1e6,
            check / 1e6,
            highest / 1e6,
            check / operations,
        );
    }
}

struct Figures {
    operations: f64,
    empty: f64,
    before: f64,
    highest: f64,
    finding: String,
}

fn figures(mode: &str, name: &str) -> Option<Figures> {
    let output = again([mode, name], &SETTINGS)?;
    let words: Vec<&str> = output.split_whitespace().collect();
    let [operations, empty, before, highest, finding] = words[..] else { return None };
    let number = |word: &str| word.parse::<f64>().ok();
    Some(Figures {
        operations: number(operations)?,
        empty: number(empty)?,
        before: number(before)?,
        highest: number(highest)?,
        finding: finding.to_owned(),
    })
}
