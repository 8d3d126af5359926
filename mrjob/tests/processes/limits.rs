//! Memory does not grow with the input.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::stage::{Process, Stage, await_event};

/// The largest that a worker may become, in MB, for splits of 16 MiB: 64 MB and twice its split.
const BOUND_MB: u64 = 64 + 2 * 16;

/// The most memory that the process has had so far, in MB; none if it has ended.
fn peak_mb(process: &Process) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024 / 1_000_000)
}

/// Runs a job on two workers, and gives the most memory that one of them has had.
fn largest_worker(stage: &Stage, job: &[&str]) -> u64 {
    let mut coordinator = stage.start(&[&["coordinator"], job].concat());
    let mut workers = [stage.worker(), stage.worker()];
    let mut largest = 0;
    let succeeded = await_event("the end of the job", || {
        let peak = workers.iter().filter_map(peak_mb).max();
        largest = largest.max(peak.unwrap_or(0));
        coordinator.ended()
    });
    assert!(succeeded);
    assert!(workers.iter_mut().all(Process::wait));
    largest
}

fn write(path: &Path, pieces: usize, piece: impl Fn(usize) -> String) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    (0..pieces).for_each(|number| file.write_all(piece(number).as_bytes()).unwrap());
    file.flush().unwrap();
}

#[test]
fn a_line_of_100_mb() {
    let stage = Stage::new();
    write(&stage.path().join("line"), 1_050_000, |number| {
        format!(
            "{} lorem ipsum dolor sit amet, consectetur adipiscing elit sed do eiusmod tempor ut labore et dol ",
            number % 10
        )
    });
    let length = fs::metadata(stage.path().join("line")).unwrap().len();
    assert!(length >= 100_000_000);
    let largest = largest_worker(&stage, &["--app", "wc", "line"]);
    assert!(stage.lines().contains(&"consectetur 1050000".to_owned()));
    assert_eq!(stage.lines().len(), 16);
    assert!(largest <= BOUND_MB, "a worker took {largest} MB");
}

#[test]
fn a_line_of_100_mb_for_an_application_that_needs_it_whole() {
    let stage = Stage::new();
    write(&stage.path().join("line"), 1001, |number| match number {
        0 => "short\n".to_owned(),
        1000 => "needle\nshort\n".to_owned(),
        _ => "x".repeat(100_101),
    });
    let largest = largest_worker(&stage, &["--app", "grep", "--parameter", "needle|short", "line"]);
    let lengths: Vec<usize> = stage.lines().iter().map(String::len).collect();
    assert_eq!(lengths, [5, 5, 999 * 100_101 + 6]);
    // The record, its copy in text, and its place in a buffer: a record is what must fit into memory.
    assert!(largest <= 64 + 5 * 100, "a worker took {largest} MB");
}

#[test]
fn a_partition_larger_than_memory() {
    let stage = Stage::new();
    // Different lines, so that nothing can be combined, and one reduce for them all.
    write(&stage.path().join("lines"), 1_500_000, |number| {
        format!("{:016x} {:0>82}\n", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15), number)
    });
    let largest = largest_worker(&stage, &["--app", "sort", "--reduces", "1", "lines"]);
    let sorted = fs::read_to_string(stage.path().join("mr-out-0")).unwrap();
    assert_eq!(sorted.lines().count(), 1_500_000);
    assert!(sorted.lines().is_sorted());
    assert!(largest <= BOUND_MB, "a worker took {largest} MB");
}
