//! The course's `mtiming`: shows whether two workers run maps at once.
//!
//! It finds a coordinator that hands out a task only after the one before is done.

use labrt::time::Instant;
use mapreduce::app::{Application, Records, Values};

use super::workers_at_work;

/// Emits for each map the time when this process began it (`times-PID`), and how many processes ran maps at
/// that time (`parallel-PID`).
pub struct MapTiming;

impl Application for MapTiming {
    fn name(&self) -> &str {
        "mtiming"
    }

    fn map(&self, _file: &str, _contents: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        let process = std::process::id();
        let start = Instant::now().as_nanos();
        let workers = workers_at_work::most_at_once("map");
        emit(&format!("times-{process}"), &format!("{:.1}", start as f64 / 1e9));
        emit(&format!("parallel-{process}"), &workers.to_string());
    }

    fn reduce(&self, _key: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        emit(&super::sorted(values).join(" "));
    }

    fn records(&self) -> Records {
        Records::Whole
    }
}
