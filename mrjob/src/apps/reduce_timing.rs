//! The course's `rtiming`: shows whether two workers run reduces at once.
//!
//! It finds a coordinator that uses one worker for all reduces, or runs one reduce after the other.

use mapreduce::app::{Application, Records, Values};

use super::workers_at_work;

/// The keys, which the default partition spreads over all of ten reduces.
const KEYS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// Emits for each key how many processes ran reduces at the time of its own.
pub struct ReduceTiming;

impl Application for ReduceTiming {
    fn name(&self) -> &str {
        "rtiming"
    }

    fn map(&self, _file: &str, _contents: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        KEYS.iter().for_each(|key| emit(key, "1"));
    }

    fn reduce(&self, _key: &str, _values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        emit(&workers_at_work::most_at_once("reduce").to_string());
    }

    fn records(&self) -> Records {
        Records::Whole
    }
}
