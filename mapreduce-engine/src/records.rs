//! Cuts a piece of a file into records. Its buffer is about as large as the longest record.
//!
//! Reading and cutting are separate calls ([`RecordReader::fill`], [`RecordReader::next_ready`]). Reading can
//! fail and takes time, also in the simulation. So the inner loop only hands out records that are already in
//! the buffer.

use mapreduce::app::Records;
use mapreduce::split::{Piece, is_border};
use mapreduce::store::{ReadFile, Store};
use mapreduce::tasks::TaskError;

/// Bytes of one read.
const READ_SIZE: usize = 1 << 20;

/// The longest record of [`Records::Text`], unless a word is longer. It fits into the first cache.
const TEXT_PIECE: usize = 32 << 10;

/// The longest record of [`Records::Blocks`], unless a line is longer.
const BLOCK_PIECE: usize = 256 << 10;

/// The records of a piece.
pub(super) struct RecordReader<'a> {
    file: Box<dyn ReadFile>,
    piece: &'a Piece,
    records: Records,
    /// The start of the piece's first record, and the end of its last one.
    start: u64,
    end: u64,
    /// Bytes of the file. The buffer never shrinks, since the next record may be as long as the longest so
    /// far.
    buffer: Vec<u8>,
    /// The place in the file of the buffer's first byte.
    buffer_offset: u64,
    /// The part of the buffer that was not handed out yet, from `at` to `filled`.
    at: usize,
    filled: usize,
    /// How many bytes of that part are known to contain no border.
    searched: usize,
    /// Whether a record was handed out.
    begun: bool,
}

impl<'a> RecordReader<'a> {
    /// Opens the piece's file, checks that it has not changed since it was cut into pieces, and finds the
    /// first and the last record.
    pub(super) fn open(
        input: &dyn Store,
        records: Records,
        piece: &'a Piece,
        buffer: Vec<u8>,
    ) -> Result<Self, TaskError> {
        let mut file = input.open(&piece.file)?;
        piece.check(&*file)?;
        let bounds = piece.bounds(&mut *file, records)?;
        Ok(RecordReader {
            file,
            piece,
            records,
            start: bounds.start,
            end: bounds.end,
            buffer,
            buffer_offset: bounds.start,
            at: 0,
            filled: 0,
            searched: 0,
            begun: false,
        })
    }

    /// Checks that the file has not changed while it was read, and returns the buffer for the next piece.
    pub(super) fn close(self) -> Result<Vec<u8>, TaskError> {
        self.piece.check(&*self.file)?;
        Ok(self.buffer)
    }

    /// Bytes of the piece's records.
    pub(super) fn length(&self) -> u64 {
        self.end - self.start
    }

    /// Bytes handed out so far.
    pub(super) fn consumed(&self) -> u64 {
        self.buffer_offset + self.at as u64 - self.start
    }

    /// Whether the next record, or the end, needs no more reading.
    pub(super) fn is_ready(&self) -> bool {
        self.is_all_read() || self.find_end().is_some()
    }

    fn is_all_read(&self) -> bool {
        self.buffer_offset + self.filled as u64 == self.end
    }

    /// Reads until [`RecordReader::is_ready`].
    pub(super) fn fill(&mut self) -> Result<(), TaskError> {
        while !self.is_ready() {
            self.searched = self.filled - self.at;
            self.read_more()?;
        }
        Ok(())
    }

    /// The next record and its place in the file; `None` if more must be read ([`RecordReader::fill`]), or at
    /// the end.
    pub(super) fn next_ready(&mut self) -> Option<(u64, &[u8])> {
        let next = match self.find_end() {
            Some(next) => next,
            // The last record need not end with a border.
            None if self.is_all_read() && (self.at < self.filled || self.is_empty_whole()) => self.filled,
            None => return None,
        };
        let start = std::mem::replace(&mut self.at, next);
        self.searched = 0;
        self.begun = true;
        let record = &self.buffer[start..next];
        let record = match self.records {
            Records::Lines => record.strip_suffix(b"\n").unwrap_or(record),
            Records::Whole | Records::Blocks | Records::Text => record,
        };
        Some((self.buffer_offset + start as u64, record))
    }

    /// A whole file is one record even if it is empty, and must be handed out once.
    fn is_empty_whole(&self) -> bool {
        self.records == Records::Whole && !self.begun
    }

    /// The end of the next record, if it is in the buffer.
    fn find_end(&self) -> Option<usize> {
        let unread = &self.buffer[self.at..self.filled];
        match self.records {
            // It ends with the file.
            Records::Whole => None,
            Records::Lines => {
                let found = memchr::memchr(b'\n', &unread[self.searched..])?;
                Some(self.at + self.searched + found + 1)
            }
            Records::Blocks => self.find_last(unread, BLOCK_PIECE),
            Records::Text => self.find_last(unread, TEXT_PIECE),
        }
    }

    /// The end of as many whole lines (or words) as fit into `longest` bytes, but at least of the first one.
    fn find_last(&self, unread: &[u8], longest: usize) -> Option<usize> {
        let border = |&byte: &u8| is_border(self.records, byte);
        let piece = &unread[..unread.len().min(longest)];
        let last = if self.searched >= piece.len() { None } else { piece.iter().rposition(border) };
        let found = last.or_else(|| {
            let rest = &unread[self.searched.max(piece.len()).min(unread.len())..];
            Some(unread.len() - rest.len() + rest.iter().position(border)?)
        })?;
        Some(self.at + found + 1)
    }

    /// Moves the incomplete record to the front of the buffer and reads more after it.
    fn read_more(&mut self) -> Result<(), TaskError> {
        // About one record for each megabyte is copied here.
        self.buffer.copy_within(self.at..self.filled, 0);
        self.buffer_offset += self.at as u64;
        self.filled -= self.at;
        self.at = 0;
        let unread = self.end - self.buffer_offset - self.filled as u64;
        if self.buffer.len() - self.filled < READ_SIZE.min(unread as usize) {
            // A long record. The buffer doubles, but has no room beyond the piece's last record, so that a
            // buffer for a whole file is as large as the file.
            let more = (READ_SIZE.max(self.filled) as u64).min(unread) as usize;
            self.buffer.reserve_exact((self.filled + more).saturating_sub(self.buffer.len()));
            self.buffer.resize(self.filled + more, 0);
        }
        let room = (self.buffer.len() - self.filled).min(unread as usize);
        let target = &mut self.buffer[self.filled..][..room];
        let count = self.file.read_at(self.buffer_offset + self.filled as u64, target)?;
        if count < room {
            // The file has become shorter since it was cut.
            return Err(self.piece.changed());
        }
        self.filled += count;
        Ok(())
    }
}
