//! Inverted index (paper, §2.3): which files have a word.
//!
//! The union of sets of files is as good for a combiner as a sum of counts.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::letters;
use crate::app::{Application, Records, Values};

/// For each word the number of files that have it, a blank, and their names in order, with commas in between.
///
/// A name may contain commas and line ends. So that the output can be parsed, a comma, a backslash or a
/// control character in a name becomes `\xHH`, its two hexadecimal digits: `a,b` is written `a\x2cb`.
pub struct Indexer;

impl Application for Indexer {
    fn name(&self) -> &str {
        "indexer"
    }

    /// Emits the file for each occurrence, and leaves it to the combiner to name each file once.
    fn map(&self, file: &str, text: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        let file = escape(file);
        letters::for_each_word(text, |word| emit(word, &file));
    }

    fn reduce(&self, _word: &str, files: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let files = distinct(files);
        emit(&format!("{} {}", files.len(), Vec::from_iter(files).join(",")));
    }

    fn has_combiner(&self) -> bool {
        true
    }

    fn combine(&self, _word: &str, files: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        distinct(files).iter().for_each(|file| emit(file));
    }

    fn records(&self) -> Records {
        Records::Text
    }
}

/// A name as a list of names can hold it: without commas and control characters. Backslashes that begin an
/// escape already stay as they are.
pub fn escape(name: &str) -> Cow<'_, str> {
    let is_plain = |character: char| character != ',' && !character.is_control();
    if name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let mut escaped = String::new();
    for character in name.chars() {
        if is_plain(character) {
            escaped.push(character);
        } else {
            character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escaped += &format!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(escaped)
}

/// The different values, in order.
pub fn distinct(values: &mut dyn Values) -> BTreeSet<String> {
    let mut distinct = BTreeSet::new();
    while let Some(value) = values.next() {
        if !distinct.contains(value) {
            distinct.insert(value.to_owned());
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_so_that_a_list_of_them_can_be_parsed() {
        for (name, escaped) in [
            ("pg-grimm.txt", "pg-grimm.txt"),
            ("with blank é", "with blank é"),
            ("a,b\nc", r"a\x2cb\x0ac"),
            ("tab\t\u{85}", r"tab\x09\xc2\x85"),
            (r"\xff", r"\xff"),
        ] {
            assert_eq!(escape(name), escaped);
        }
    }
}
