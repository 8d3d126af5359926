//! Word count (paper, §2.1).

use crate::app::{Application, Values};

/// Counts the words of all files. A word is a maximal run of letters; bytes that are no UTF-8 are no letters.
pub struct WordCount;

impl Application for WordCount {
    fn name(&self) -> &str {
        "wc"
    }

    fn map(&self, _file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        let line = String::from_utf8_lossy(line);
        for word in line.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty()) {
            emit(word, "1");
        }
    }

    fn reduce(&self, _word: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let mut sum = 0;
        while let Some(count) = counts.next() {
            sum += count.parse().unwrap_or(0_u64);
        }
        emit(&sum.to_string());
    }

    fn has_combiner(&self) -> bool {
        true
    }

    fn combine(&self, word: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        self.reduce(word, counts, emit);
    }
}
