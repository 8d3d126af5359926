//! Inverted index (paper, §2.3): which files have a word.

//!
//! Sets of files under union are as good for a combiner as sums are.

use std::collections::BTreeSet;

use super::letters;
use crate::app::{Application, Records, Values};

/// For each word the number of files that have it, and their names in order, with commas
/// in between.
pub struct Indexer;

impl Application for Indexer {
    fn name(&self) -> &str {
        "indexer"
    }

    /// Emits the file for each occurrence. That a file is named once for each word is the
    /// combiner's work, which costs nothing here: equal values in a row are kept as one.
    fn map(&self, file: &str, text: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        letters::for_each_word(text, |word| emit(word, file));
    }

    fn reduce(&self, _word: &str, files: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let files = super::distinct(files);
        emit(&format!("{} {}", files.len(), Vec::from_iter(files).join(",")));
    }

    fn has_combiner(&self) -> bool {
        true
    }

    fn combine(&self, _word: &str, files: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let files: BTreeSet<String> = super::distinct(files);
        files.iter().for_each(|file| emit(file));
    }

    fn records(&self) -> Records {
        Records::Text
    }
}
