//! Cutting the input into map tasks (paper, §3.1, step 1).

use serde::{Deserialize, Serialize};

use super::records::RecordReader;
use crate::app::Records;
use crate::store::{Store, StoreError};

/// A piece of an input file: the input of one map task.
///
/// Splits are cut by length alone, without looking at the bytes. A line (or a word)
/// belongs to the split in which its first byte lies: so a map begins after the first
/// line's end in its split, unless that split begins the file, and reads on beyond its
/// end until its last line is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Name of the file, as the user gave it.
    pub file: String,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// The map tasks of a job, in the order of the files and of the places in them. No split
/// is longer than `split_size`, and those of one file are about equally long; an
/// application that wants whole files gets one split for each. An empty file is one empty
/// split, as in the course, where each file is a map task.
///
/// # Errors
/// If a file cannot be opened.
pub fn split_inputs(
    store: &dyn Store,
    files: &[String],
    records: Records,
    split_size: u64,
) -> Result<Vec<Split>, StoreError> {
    let mut splits = Vec::new();
    for file in files {
        let length = store.open(file)?.length();
        let pieces = match records {
            Records::Whole => 1,
            Records::Lines | Records::Text => length.div_ceil(split_size.max(1)).max(1),
        };
        let cut = |piece: u64| (u128::from(length) * u128::from(piece) / u128::from(pieces)) as u64;
        splits.extend((0..pieces).map(|piece| Split {
            file: file.clone(),
            offset: cut(piece),
            length: cut(piece + 1) - cut(piece),
        }));
    }
    Ok(splits)
}

/// The first lines of a split, at most `count`, for a sample. Bytes that are no UTF-8
/// come out as U+FFFD.
///
/// # Errors
/// If the file cannot be read.
pub fn first_lines(store: &dyn Store, split: &Split, count: usize) -> Result<Vec<String>, StoreError> {
    let mut reader = RecordReader::new(store.open(&split.file)?, Records::Lines, split)?;
    let mut lines = Vec::new();
    while lines.len() < count {
        reader.fill()?;
        let Some((_, line)) = reader.next_ready() else { break };
        lines.push(String::from_utf8_lossy(line).into_owned());
    }
    Ok(lines)
}
