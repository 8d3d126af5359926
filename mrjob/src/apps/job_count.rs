//! The course's `jobcount`: counts how often workers ran a map.
//!
//! It finds a coordinator that hands out a map twice without a reason.

use std::fs::{self, File};

use labrt::rand;
use labrt::sync::atomic::{AtomicUsize, Ordering};
use labrt::thread;
use labrt::time::Duration;
use mapreduce::app::{Application, Records, Values};

/// The prefix of the files that maps leave.
const PREFIX: &str = "mr-worker-jobcount-";

/// Each map leaves a file in the workers' current directory and takes a while. The reduce counts the files.
#[derive(Default)]
pub struct JobCount {
    /// The number of maps that this process ran.
    count: AtomicUsize,
}

impl Application for JobCount {
    fn name(&self) -> &str {
        "jobcount"
    }

    /// The course's map takes two to five seconds. A hundredth of that is still long enough for every worker
    /// to take part.
    fn map(&self, _file: &str, _contents: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        let name = format!("{PREFIX}{}-{count}", std::process::id());
        File::create(&name).unwrap_or_else(|error| panic!("cannot create {name}: {error}"));
        thread::sleep(Duration::from_millis(rand::random_range(20..50)));
        emit("a", "x");
    }

    fn reduce(&self, _key: &str, _values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let names = fs::read_dir(".").into_iter().flatten().flatten().map(|entry| entry.file_name());
        let markers = names.filter(|name| name.to_string_lossy().starts_with(PREFIX));
        emit(&markers.count().to_string());
    }

    fn records(&self) -> Records {
        Records::Whole
    }
}
