//! What a page costs to make, to open and to move about in: `cargo bench -p linearize --bench page`, or with numbers of
//! operations behind `--`. Without Chromium only the making is measured. The pages stay in the directory `LINEARIZE_PICTURES`, if that is set.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

use std::fs;
use std::time::Instant;

use linearize::generate::{Spoil, Workload, spoil};
use linearize::picture::page;
use linearize::{KvHistory, Limits, Verdict};
use serde_json::Value;

#[path = "../tests/linearize/devtools.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod devtools;

use devtools::Browser;

/// How many times a page is made and opened; the table shows medians.
const TIMES: usize = 5;

fn main() {
    // Cargo adds options of its own.
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![10_000, 100_000, 1_000_000] } else { asked };
    let mut browser = Browser::start();
    println!(
        "Medians of {TIMES}. Made: by one thread, from the verdict. Peak: memory on top of the history."
    );
    println!(
        "Opened: from the request for the file to its verdict, and to the first complete drawing. Frames a"
    );
    println!(
        "second, and milliseconds of work for one: near = at the error, pan = all keys, all = zooming out of everything."
    );
    println!(
        "\n{:>10} {:<22} {:>6} {:>8} {:>8} {:>10} {:>8}  {:<30}",
        "operations",
        "history",
        "MB",
        "made ms",
        "peak MB",
        "verdict ms",
        "drawn ms",
        "frames/s (ms): near, pan, all"
    );
    for operations in sizes {
        let lab = Workload::lab(10, 10, operations).generate();
        row("10 keys, stale read", &spoil(&lab, Spoil::Stale), browser.as_mut());
        row("10 keys, linearizable", &lab, browser.as_mut());
        drop(lab);
        let appends = Workload::appends(10, operations).generate();
        row("1 key, stale read", &spoil(&appends, Spoil::Stale), browser.as_mut());
    }
}

/// Measures one history and prints its row.
fn row(name: &str, history: &KvHistory, browser: Option<&mut Browser>) {
    let verdict = history.check(&Limits::default());
    let mut made = Vec::new();
    let mut text = String::new();
    let mut peak = None;
    for _ in 0..TIMES {
        text.clear();
        text.shrink_to_fit();
        let before = memory_now();
        let began = Instant::now();
        text = make(history, &verdict);
        made.push(began.elapsed().as_secs_f64() * 1e3);
        peak = before.and_then(|before| Some(memory_peak()?.saturating_sub(before)));
    }
    let peak = peak.map_or_else(|| "-".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1e6));
    if let Some(directory) = std::env::var_os("LINEARIZE_PICTURES") {
        let file = format!("{} {name}.html", history.history().len());
        fs::write(std::path::Path::new(&directory).join(file), &text).expect("the directory is there");
    }
    let opened = browser.map_or_else(|| "skipped: no Chromium".to_owned(), |browser| open(browser, &text));
    println!(
        "{:>10} {name:<22} {:>6.2} {:>8.0} {peak:>8} {opened}",
        history.history().len(),
        text.len() as f64 / 1e6,
        median(made),
    );
}

fn make(history: &KvHistory, verdict: &Verdict) -> String {
    page(&history.model(), history.history(), verdict, &[])
}

/// Opens a page several times and lets it move about the last time.
fn open(browser: &mut Browser, text: &str) -> String {
    let (mut verdict, mut drawn) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        browser.open(text, "");
        drawn.push(number(browser, "Number(document.getElementById('bench').dataset.ready)"));
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
    format!("{:>10.0} {:>8.0}  {}", median(verdict), median(drawn), frames.join(", "))
}

fn number(browser: &mut Browser, expression: &str) -> f64 {
    browser.evaluate(expression).as_f64().unwrap_or(f64::NAN)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Bytes in memory now, where Linux tells; the peak starts anew from here.
fn memory_now() -> Option<u64> {
    fs::write("/proc/self/clear_refs", "5").ok()?;
    status("VmRSS:")
}

fn memory_peak() -> Option<u64> {
    status("VmHWM:")
}

fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
