//! Distributed grep (paper, §2.3): the lines that match a pattern.

//!
//! All of the work is in map: reduce copies. What MapReduce adds is that many machines read
//! at once, and that the output is sorted.

use regex::bytes::Regex;

use super::AppError;
use crate::app::{Application, Values};

/// The lines that match, each as often as it occurs, in the order of their bytes within a
/// partition. Bytes that are no UTF-8 can be matched, but come out as U+FFFD.
pub struct Grep {
    pattern: Regex,
}

impl Grep {
    /// Looks for a regular expression, in the syntax of the `regex` crate.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(pattern: &str) -> Result<Grep, AppError> {
        let pattern = Regex::new(pattern).map_err(|error| AppError::Parameters(format!("grep: {error}")))?;
        Ok(Grep { pattern })
    }
}

impl Application for Grep {
    fn name(&self) -> &str {
        "grep"
    }

    fn map(&self, _file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        if self.pattern.is_match(line) {
            emit(&String::from_utf8_lossy(line), "");
        }
    }

    fn reduce(&self, _line: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        super::copy(values, emit);
    }
}
