// handout: bodies kept
//! Cuts the input into map tasks (paper, §3.1, step 1).
//!
//! A file is cut by length alone, without a look at its bytes. A line (or a word) belongs to the piece in
//! which its first byte is. For example, in `one\ntwo\nthree\n`, cut after six bytes, `two` begins in the
//! first piece and belongs to it: the map of the first piece reads on until that line ends, and the map of
//! the second begins after it, with `three`.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::app::Records;
use crate::store::{FileVersion, ReadFile, Store, StoreError, StoreErrorKind};
use crate::tasks::TaskError;

/// The size of the smallest pages of memory, in bytes.
const PAGE: u64 = 4 << 10;

/// The input of one map task: mostly one piece of a file, or several small files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The pieces, in the order in which the map reads them.
    pub pieces: Vec<Piece>,
}

/// A piece of an input file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The name of the file, as the user gave it.
    pub file: String,
    /// The first byte.
    pub offset: u64,
    /// The number of bytes.
    pub length: u64,
    /// The file when it was cut.
    pub version: FileVersion,
}

/// The input of one map, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The pieces of files.
    pub split: Split,
    /// The machines that have it on their own disks; empty if it is equally far from all.
    pub hosts: Vec<String>,
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordPlace {
    /// The piece, as a position in [`Split::pieces`].
    pub piece: u32,
    /// The byte of the piece's file.
    pub offset: u64,
}

impl Split {
    /// The length of all pieces together, in bytes.
    pub fn length(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.length).sum()
    }
}

impl Piece {
    /// Checks that the file is the one that was cut. A map asks before and after it reads: with a file that
    /// someone has changed meanwhile, different maps would see different inputs.
    ///
    /// # Errors
    /// [`TaskError::InputChanged`], or the store's.
    pub fn check(&self, file: &dyn ReadFile) -> Result<(), TaskError> {
        if file.version()? == self.version { Ok(()) } else { Err(self.changed()) }
    }

    /// The error of a file that is not the one that was cut.
    pub fn changed(&self) -> TaskError {
        TaskError::InputChanged { name: self.file.clone() }
    }

    /// The bytes of the records that begin in this piece.
    ///
    /// # Errors
    /// The store's.
    pub fn bounds(&self, file: &mut dyn ReadFile, records: Records) -> Result<Range<u64>, StoreError> {
        if records == Records::Whole {
            return Ok(0..file.length());
        }
        let end = self.offset.saturating_add(self.length);
        let (start, end) = (border(file, records, self.offset)?, border(file, records, end)?);
        // If the file is cut off between the two, the end can be before the start.
        Ok(start..end.max(start))
    }
}

/// The map tasks of a job, in the order of the files and of the places in them. No piece is longer than
/// `split_size`, and those of one file are about equally long; an application that wants whole files gets one
/// split for each. An empty file is one empty split, as in the course, where each file is a map task.
///
/// # Errors
/// If a file cannot be opened, or has a length that says nothing about its content, as below `/proc`.
pub fn split_inputs(
    store: &dyn Store,
    files: &[String],
    records: Records,
    split_size: u64,
) -> Result<Vec<Split>, StoreError> {
    let mut splits = Vec::new();
    for name in files {
        let mut file = store.open(name)?;
        let version = file.version()?;
        let length = version.length;
        check_length(&mut *file, name)?;
        let pieces = match records {
            Records::Whole => 1,
            _ => length.div_ceil(split_size.max(1)).max(1),
        };
        let cut = |piece: u64| (u128::from(length) * u128::from(piece) / u128::from(pieces)) as u64;
        splits.extend((0..pieces).map(|piece| {
            let (offset, end) = (cut(piece), cut(piece + 1));
            Split { pieces: vec![Piece { file: name.clone(), offset, length: end - offset, version }] }
        }));
    }
    Ok(splits)
}

/// Refuses files whose length says nothing about their content. Their length is 0 below `/proc`, and that of
/// a page or more below `/sys`.
fn check_length(file: &mut dyn ReadFile, name: &str) -> Result<(), StoreError> {
    let length = file.length();
    let detail = if length == 0 && file.read_at(0, &mut [0])? > 0 {
        "has content although its length is 0 (as in /proc); make a copy and use that"
    } else if length > 0 && length.is_multiple_of(PAGE) && file.read_at(length - 1, &mut [0])? == 0 {
        "is shorter than its length (as in /sys); make a copy and use that"
    } else {
        return Ok(());
    };
    Err(StoreError::new(StoreErrorKind::NotAFile, name, detail))
}

/// Where the first record begins that begins at `offset` or later.
fn border(file: &mut dyn ReadFile, records: Records, offset: u64) -> Result<u64, StoreError> {
    if offset == 0 || offset >= file.length() {
        return Ok(offset.min(file.length()));
    }
    // Most lines are short; for longer ones the steps become longer.
    let mut buffer = vec![0; 4 << 10];
    // Start one byte earlier: a piece that begins exactly behind a line's end begins with a line.
    let mut at = offset - 1;
    loop {
        let count = file.read_at(at, &mut buffer)?;
        if count == 0 {
            return Ok(at);
        }
        if let Some(found) = buffer[..count].iter().position(|&byte| is_border(records, byte)) {
            return Ok(at + found as u64 + 1);
        }
        at += count as u64;
        buffer.resize((buffer.len() * 2).min(1 << 20), 0);
    }
}

/// Whether a record may end after this byte. No part of a longer UTF-8 sequence is such a byte.
pub fn is_border(records: Records, byte: u8) -> bool {
    match records {
        Records::Whole => false,
        Records::Lines | Records::Blocks => byte == b'\n',
        Records::Text => byte.is_ascii_whitespace(),
    }
}
