//! How the timing applications find out how many workers are at work: each leaves a file
//! with its process id, in the directory in which the workers run, while it is in a map
//! or reduce. Only for real processes.
#![allow(
    clippy::disallowed_methods,
    reason = "these applications ask about processes and the wall clock, which no simulation has"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;

use labrt::thread;
use labrt::time::{Duration, Instant};

/// How long a worker looks for others. The course's workers always sleep that long; here they go on as soon
/// as they have seen another one.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Tells the others that this process is in `phase`, until it is dropped.
struct Marker {
    path: PathBuf,
}

impl Marker {
    /// Leaves the file.
    fn new(phase: &str) -> Marker {
        let path = PathBuf::from(format!("mr-worker-{phase}-{}", process::id()));
        File::create(&path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
        Marker { path }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // A file that cannot be deleted counts as long as this process lives, and a test will notice.
        let _ = fs::remove_file(&self.path);
    }
}

/// How many living processes are in `phase` now.
fn count(phase: &str) -> usize {
    let prefix = format!("mr-worker-{phase}-");
    let names = fs::read_dir(".").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let process = |name: &str| name.strip_prefix(&prefix)?.parse::<u32>().ok();
    // A worker that was killed has left its file behind; it does not count.
    let alive = |process: u32| Path::new(&format!("/proc/{process}")).exists();
    names.filter_map(|name| process(name.to_str()?)).filter(|&process| alive(process)).count()
}

/// The largest number of processes that were seen in `phase` at the same time, this one
/// included, from now until a second one has come, but at most for a second.
pub(super) fn most_at_once(phase: &str) -> usize {
    let _marker = Marker::new(phase);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = count(phase);
        if seen > 1 || Instant::now() >= deadline {
            // The other must have time to see this one, too.
            thread::sleep(4 * LOOK_EVERY);
            return seen;
        }
        thread::sleep(LOOK_EVERY);
    }
}
