//! The course's `early_exit`: a slow reduce shows whether a process ends before the job is done.
//!
//! It finds a coordinator that tells workers to exit once all tasks are handed out, while the last ones still
//! run.

use labrt::thread;
use labrt::time::Duration;
use mapreduce::app::{Application, Records, Values};

/// How long the reduces of some files take; three seconds in the course.
const SLOW: Duration = Duration::from_millis(400);

/// Counts each file once, and takes long for names with `sherlock` or `tom`.
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
