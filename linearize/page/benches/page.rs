//! What a page costs to make, to open and to move about in: `cargo bench -p linearize-page`, or with
//! numbers of operations behind `--`. Without Chromium only the making is measured. The pages stay in the
//! directory `LINEARIZE_PICTURES`, if that is set.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

use std::fs;
use std::process::Command;
use std::time::Instant;

use linearize::generate::{Spoil, Workload, spoil};
use linearize::{KvHistory, Limits, Verdict};
use linearize_page::page;
use serde_json::Value;

#[path = "../tests/page/devtools.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod devtools;

use devtools::Browser;

/// How many times a page is made and opened; the table shows medians.
const TIMES: usize = 5;

/// What the pages are of.
const KINDS: [&str; 3] = ["10 keys, stale read", "10 keys, linearizable", "1 key, stale read"];

/// The argument that asks for the memory of making one page, which a process of its own measures.
const MEMORY: &str = "memory";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [memory, kind, operations] = &arguments[..]
        && memory == MEMORY
    {
        return print_memory(kind, operations.parse().expect("a number of operations"));
    }
    // As criterion does: `cargo test --benches` is not meant to measure.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return println!("only `cargo bench` measures");
    }
    let asked: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![10_000, 100_000, 1_000_000] } else { asked };
    let mut browser = Browser::start();
    println!(
        "Medians of {TIMES}. Made: from the verdict, by one thread. Peak: of the process, and what it held before."
    );
    println!(
        "Opened, from the request for the file: its verdict is painted; the first screen is drawn, complete; all of"
    );
    println!(
        "the history is read. Frames a second, and milliseconds of work for one: near = at the error, pan = a"
    );
    println!("twentieth of all keys, all = zooming everything.\n");
    println!(
        "{:>10} {:<22} {:>6} {:>8} {:>12} {:>10} {:>8} {:>8}  frames/s (ms): near, pan, all",
        "operations", "history", "MB", "made ms", "peak MB", "verdict ms", "drawn ms", "read ms"
    );
    for operations in sizes {
        for kind in KINDS {
            row(kind, operations, browser.as_mut());
        }
    }
}

fn history(kind: &str, operations: usize) -> KvHistory {
    let workload =
        if kind == KINDS[2] { Workload::appends(10, operations) } else { Workload::lab(10, 10, operations) };
    let good = workload.generate();
    if kind == KINDS[1] { good } else { spoil(&good, Spoil::Stale) }
}

/// Measures one history and prints its row.
fn row(name: &str, operations: usize, browser: Option<&mut Browser>) {
    let history = history(name, operations);
    let verdict = history.check(&Limits::default());
    let mut made = Vec::new();
    let mut text = String::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        text = make(&history, &verdict);
        made.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let peak = memory(name, operations).unwrap_or_else(|| "-".to_owned());
    if let Some(directory) = std::env::var_os("LINEARIZE_PICTURES") {
        let file = format!("{operations} {name}.html");
        fs::write(std::path::Path::new(&directory).join(file), &text).expect("the directory is there");
    }
    let opened = browser.map_or_else(|| "skipped: no Chromium".to_owned(), |browser| open(browser, &text));
    println!(
        "{operations:>10} {name:<22} {:>6.2} {:>8.0} {peak:>12} {opened}",
        text.len() as f64 / 1e6,
        median(made),
    );
}

fn make(history: &KvHistory, verdict: &Verdict) -> String {
    page(&history.model(), history.history(), verdict, &[])
}

/// Opens a page several times and lets it move about the last time.
fn open(browser: &mut Browser, text: &str) -> String {
    let (mut verdict, mut drawn, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TIMES {
        browser.open(text, "");
        drawn.push(number(browser, "Number(document.getElementById('bench').dataset.ready)"));
        read.push(number(browser, "Number(document.getElementById('bench').dataset.complete)"));
        verdict.push(number(
            browser,
            "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN",
        ));
    }
    browser.open(text, "?bench");
    let moved = browser.evaluate(
        "new Promise((done) => { const look = () => { const text = document.getElementById('bench').textContent; \
         text ? done(text) : setTimeout(look, 100); }; look(); })",
    );
    let moved: Value =
        serde_json::from_str(moved.as_str().unwrap_or_default()).expect("the page writes JSON");
    let frames: Vec<String> = ["near", "pan", "all"]
        .iter()
        .map(|view| {
            let value = |name: &str| moved[view][name].as_f64().unwrap_or(f64::NAN);
            format!("{:.0} ({:.1})", value("fps"), value("work"))
        })
        .collect();
    format!("{:>10.0} {:>8.0} {:>8.0}  {}", median(verdict), median(drawn), median(read), frames.join(", "))
}

fn number(browser: &mut Browser, expression: &str) -> f64 {
    browser.evaluate(expression).as_f64().unwrap_or(f64::NAN)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What [`print_memory`] says in a process of its own, where nothing is left from before.
fn memory(kind: &str, operations: usize) -> Option<String> {
    let process = Command::new(std::env::current_exe().ok()?)
        .args([MEMORY, kind, &operations.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8(process.stdout).ok()?;
    (!said.is_empty()).then(|| said.trim().to_owned())
}

/// The peak of this process while it makes a page, and what it held before; nothing where the system does not
/// tell.
fn print_memory(kind: &str, operations: usize) {
    let history = history(kind, operations);
    let verdict = history.check(&Limits::default());
    // The peak starts anew from here.
    if fs::write("/proc/self/clear_refs", "5").is_err() {
        return;
    }
    let before = status("VmRSS:");
    let length = make(&history, &verdict).len();
    if let (Some(before), Some(peak)) = (before, status("VmHWM:"))
        && length > 0
    {
        println!("{:.0} ({:.0})", peak as f64 / 1e6, before as f64 / 1e6);
    }
}

/// A line of what the system knows of this process, in bytes.
fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
