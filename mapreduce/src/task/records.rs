//! Cutting a split into records, with a buffer that is as large as the longest record and
//! no larger.

//!
//! Reading and cutting are two calls ([`RecordReader::fill`], [`RecordReader::next_ready`])
//! because reading can fail and takes time, in the simulation too, while the records that
//! are there already are handed out in a loop that does nothing else.

use super::Split;
use crate::app::Records;
use crate::store::{ReadFile, StoreError};

/// How much is read at once.
const READ_SIZE: usize = 1 << 20;

/// The longest piece of [`Records::Text`], unless a word is longer. Short enough to stay
/// in the nearest caches.
const TEXT_PIECE: usize = 32 << 10;

/// The records of a split.
pub(super) struct RecordReader {
    file: Box<dyn ReadFile>,
    /// What a record is.
    records: Records,
    /// Where the split's first record begins and its last one ends.
    start: u64,
    end: u64,
    /// What has been read. As long as it ever was, since the next record may be as long.
    buffer: Vec<u8>,
    /// Where in the file the buffer's first byte is.
    buffer_offset: u64,
    /// What of the buffer has not been handed out.
    at: usize,
    filled: usize,
    /// How much of that is known to contain no border.
    searched: usize,
    /// Whether an empty whole file has been handed out.
    done: bool,
}

impl RecordReader {
    /// Finds the borders of the split's records.
    pub(super) fn new(
        mut file: Box<dyn ReadFile>,
        records: Records,
        split: &Split,
    ) -> Result<Self, StoreError> {
        let (start, end) = match records {
            Records::Whole => (0, file.length()),
            Records::Lines | Records::Text => {
                let end = split.offset.saturating_add(split.length);
                (border(&mut *file, records, split.offset)?, border(&mut *file, records, end)?)
            }
        };
        Ok(RecordReader {
            file,
            records,
            start,
            end,
            buffer: Vec::new(),
            buffer_offset: start,
            at: 0,
            filled: 0,
            searched: 0,
            done: false,
        })
    }

    /// Bytes of the split's records.
    pub(super) fn length(&self) -> u64 {
        self.end - self.start
    }

    /// Bytes handed out so far.
    pub(super) fn consumed(&self) -> u64 {
        self.buffer_offset + self.at as u64 - self.start
    }

    /// Whether a record, or the end, can be had without reading the file.
    pub(super) fn is_ready(&self) -> bool {
        self.buffer_offset + self.filled as u64 == self.end || self.find_end().is_some()
    }

    /// Reads until [`RecordReader::is_ready`].
    pub(super) fn fill(&mut self) -> Result<(), StoreError> {
        while !self.is_ready() {
            self.searched = self.filled - self.at;
            self.read_more()?;
        }
        Ok(())
    }

    /// The next record and its place in the file; None when more must be read
    /// ([`RecordReader::fill`]) or there is no more.
    pub(super) fn next_ready(&mut self) -> Option<(u64, &[u8])> {
        // At the end of the split the last record need not have an end of its own.
        let complete = self.buffer_offset + self.filled as u64 == self.end;
        let next = match self.find_end() {
            Some(next) => next,
            None if complete && (self.at < self.filled || self.is_empty_whole()) => self.filled,
            None => return None,
        };
        let start = std::mem::replace(&mut self.at, next);
        self.searched = 0;
        self.done = true;
        let record = &self.buffer[start..next];
        let record = match self.records {
            Records::Lines => record.strip_suffix(b"\n").unwrap_or(record),
            Records::Whole | Records::Text => record,
        };
        Some((self.buffer_offset + start as u64, record))
    }

    /// A whole file is one record even if it has no byte, and must be handed out once.
    fn is_empty_whole(&self) -> bool {
        self.records == Records::Whole && !self.done
    }

    /// Where in the buffer the record ends, if its end is there to be seen.
    fn find_end(&self) -> Option<usize> {
        let unread = &self.buffer[self.at..self.filled];
        match self.records {
            // Its end is that of the file.
            Records::Whole => None,
            Records::Lines => {
                let found = memchr::memchr(b'\n', &unread[self.searched..])?;
                Some(self.at + self.searched + found + 1)
            }
            Records::Text => {
                let piece = &unread[..unread.len().min(TEXT_PIECE)];
                // As many whole words as fit; if not even one does, all of that word.
                let last = piece.iter().rposition(|&byte| is_border(Records::Text, byte));
                let found = last.or_else(|| {
                    let rest = &unread[self.searched.max(piece.len()).min(unread.len())..];
                    let first = rest.iter().position(|&byte| is_border(Records::Text, byte))?;
                    Some(unread.len() - rest.len() + first)
                })?;
                Some(self.at + found + 1)
            }
        }
    }

    /// Moves the unfinished record to the buffer's front and reads more behind it.
    fn read_more(&mut self) -> Result<(), StoreError> {
        // About one record for each megabyte is copied here.
        self.buffer.copy_within(self.at..self.filled, 0);
        self.buffer_offset += self.at as u64;
        self.filled -= self.at;
        self.at = 0;
        let unread = self.end - self.buffer_offset - self.filled as u64;
        if self.buffer.len() - self.filled < READ_SIZE.min(unread as usize) {
            // A long record: exactly as much more as it can need when the end is near, so
            // that a whole file is read into its own size, and twice as much when it is
            // not.
            let more = (READ_SIZE.max(self.filled) as u64).min(unread) as usize;
            self.buffer.reserve_exact(self.filled + more - self.buffer.len());
            self.buffer.resize(self.filled + more, 0);
        }
        let room = (self.buffer.len() - self.filled).min(unread as usize);
        let target = &mut self.buffer[self.filled..][..room];
        let count = self.file.read_at(self.buffer_offset + self.filled as u64, target)?;
        self.filled += count;
        if count < room {
            // The file has become shorter since the borders were found.
            self.end = self.buffer_offset + self.filled as u64;
        }
        Ok(())
    }
}

/// Where the first record begins that begins at `offset` or later.
fn border(file: &mut dyn ReadFile, records: Records, offset: u64) -> Result<u64, StoreError> {
    if offset == 0 || offset >= file.length() {
        return Ok(offset.min(file.length()));
    }
    // Lines are mostly short; for the others the steps become longer.
    let mut buffer = vec![0; 4 << 10];
    // One byte earlier: a split that begins exactly behind a line's end begins with a line.
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
        buffer.resize((buffer.len() * 2).min(READ_SIZE), 0);
    }
}

/// Whether a record may end after this byte. No part of a longer UTF-8 sequence is such a
/// byte.
fn is_border(records: Records, byte: u8) -> bool {
    match records {
        Records::Whole => false,
        Records::Lines => byte == b'\n',
        Records::Text => byte.is_ascii_whitespace(),
    }
}
