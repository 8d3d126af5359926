//! Word count (paper, §2.1), the first example of the paper.
//!
//! Each occurrence of a word is a pair of the word and "1"; the sum of the values is the word's count. Sums
//! of sums are sums, so that reduce can be its own combiner.

use super::letters;
use crate::app::{Application, Records, Values};

/// Counts the words of all files. A word is a maximal run of Unicode letters; bytes that are not UTF-8 are no
/// letters.
pub struct WordCount;

impl Application for WordCount {
    fn name(&self) -> &str {
        "wc"
    }

    fn map(&self, _file: &str, text: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        letters::for_each_word(text, |word| emit(word, "1"));
    }

    fn reduce(&self, _word: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        emit(&super::sum(counts).to_string());
    }

    fn has_combiner(&self) -> bool {
        true
    }

    fn combine(&self, word: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        self.reduce(word, counts, emit);
    }

    fn records(&self) -> Records {
        Records::Text
    }
}
