//! The course's `early_exit`: a reduce that takes long, to see whether a process ends before it is done.
//!
//! It finds a coordinator that tells a worker to exit as soon as all tasks are handed out, while others still
//! run the last ones.

use labrt::thread;
use labrt::time::Duration;
use mapreduce::app::{Application, Records, Values};

/// How long the reduces of some files take; three seconds in the course.
const SLOW: Duration = Duration::from_millis(400);

/// Counts each file once; slowly for those with `sherlock` or `tom` in their names.
pub struct EarlyExit;

impl Application for EarlyExit {
    fn name(&self) -> &str {
        "early_exit"
    }

    fn map(&self, file: &str, _contents: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        emit(&mapreduce::apps::indexer::escape(file), "1");
    }

    fn reduce(&self, file: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        if file.contains("sherlock") || file.contains("tom") {
            thread::sleep(SLOW);
        }
        emit(&mapreduce::apps::sum(values).to_string());
    }

    fn records(&self) -> Records {
        Records::Whole
    }
}
