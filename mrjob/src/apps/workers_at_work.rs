//! Counts workers at work, for the timing applications. While a worker runs a map or reduce, a file with its
//! process id is in the workers' current directory. Only for real processes.
#![allow(
    clippy::disallowed_methods,
    reason = "these applications ask about processes and the wall clock, which no simulation has"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;

use labrt::thread;
use labrt::time::{Duration, Instant};

/// How long a worker waits for others. The course's workers always sleep that long; here they go on once they
/// have seen another one.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a worker counts the others.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Marks this process as being in `phase`, until it is dropped.
struct Marker {
    path: PathBuf,
}

impl Marker {
    /// Creates the file.
    fn new(phase: &str) -> Marker {
        let path = PathBuf::from(format!("mr-worker-{phase}-{}", process::id()));
        File::create(&path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
        Marker { path }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // If this fails, the file counts as long as this process lives, and a test fails.
        let _ = fs::remove_file(&self.path);
    }
}

/// How many living processes are in `phase` now.
fn count(phase: &str) -> usize {
    let prefix = format!("mr-worker-{phase}-");
    let names = fs::read_dir(".").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let process = |name: &str| name.strip_prefix(&prefix)?.parse::<u32>().ok();
    // The file of a killed worker does not count.
    let alive = |process: u32| Path::new(&format!("/proc/{process}")).exists();
    names.filter_map(|name| process(name.to_str()?)).filter(|&process| alive(process)).count()
}

/// Waits until another process is in `phase`, but at most a second. Returns how many were there, including
/// this one.
pub(super) fn most_at_once(phase: &str) -> usize {
    let _marker = Marker::new(phase);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = count(phase);
        if seen > 1 || Instant::now() >= deadline {
            // Gives the other process time to see this one.
            thread::sleep(4 * LOOK_EVERY);
            return seen;
        }
        thread::sleep(LOOK_EVERY);
    }
}
