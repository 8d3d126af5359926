//! The course's `crash` and `nocrash`: a job whose workers die and stall at random, and the same job without
//! faults.
//!
//! It finds a coordinator that waits for a dead worker, output of half a reduce, and output of two attempts
//! of one task.

use labrt::rand;
use labrt::thread;
use labrt::time::Duration;
use mapreduce::app::{Application, Records, Values};
use mapreduce::apps::indexer::escape;

use crate::catalogue::AppError;

/// The longest stall, in milliseconds, unless a parameter says otherwise.
const LONGEST_STALL_MS: u64 = 10_000;

/// Emits a few facts about each file. Each call of map and reduce first ends the process with probability
/// 1/3, or stalls with probability 1/3.
pub struct Crash {
    /// None for `nocrash`.
    longest_stall: Option<Duration>,
}

impl Crash {
    /// With faults. The optional parameter is the longest stall in milliseconds, at least 1.
    ///
    /// # Errors
    /// If the parameter is not such a number.
    pub fn faulty(parameters: &[String]) -> Result<Crash, AppError> {
        let milliseconds = match parameters {
            [] => LONGEST_STALL_MS,
            [one] => one.parse().ok().filter(|&number| number > 0).ok_or_else(|| {
                AppError::Parameters(format!("crash: `{one}` is no number of milliseconds above 0"))
            })?,
            _ => return Err(AppError::Parameters("crash: one parameter at most".to_owned())),
        };
        Ok(Crash { longest_stall: Some(Duration::from_millis(milliseconds)) })
    }

    /// Without faults.
    pub fn faultless() -> Crash {
        Crash { longest_stall: None }
    }

    /// Ends the process, stalls, or does nothing, each with probability 1/3.
    fn maybe_fail(&self) {
        let Some(longest) = self.longest_stall else { return };
        match rand::random_range(0..3) {
            // No destructor runs, and the coordinator gets no message.
            0 => std::process::exit(1),
            1 => thread::sleep(Duration::from_millis(rand::random_range(0..longest.as_millis() as u64))),
            _ => {}
        }
    }
}

impl Application for Crash {
    fn name(&self) -> &str {
        if self.longest_stall.is_some() { "crash" } else { "nocrash" }
    }

    fn map(&self, file: &str, contents: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        self.maybe_fail();
        emit("a", &escape(file));
        emit("b", &file.len().to_string());
        emit("c", &contents.len().to_string());
        emit("d", "xyzzy");
    }

    fn reduce(&self, _key: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        self.maybe_fail();
        emit(&super::sorted(values).join(" "));
    }

    fn records(&self) -> Records {
        Records::Whole
    }
}
