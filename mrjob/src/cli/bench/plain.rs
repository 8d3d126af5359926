//! A straightforward word count.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use crate::cli::{Done, Problem};

/// Counts the words of files in one thread with straightforward code, and prints the number of words and of
/// different words.
pub(crate) fn count_words(files: &[PathBuf]) -> Done {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for file in files {
        let text = fs::read_to_string(file).map_err(Problem::failed)?;
        for word in text.split(|character: char| !character.is_alphabetic()).filter(|word| !word.is_empty()) {
            *counts.entry(word.to_owned()).or_insert(0) += 1;
        }
    }
    println!("{} words, {} different ones", counts.values().sum::<u64>(), counts.len());
    Ok(())
}
