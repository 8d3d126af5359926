//! Pairs in intermediate files. A pair is the length of the key, the length of the value, the key and the
//! value. A length has seven bits in each byte, lowest bits first. A file consists of pairs only, sorted by
//! the bytes of their keys; for UTF-8 that is also the order of the characters.
//!
//! The lengths come first, so a reader knows how much to read, and texts may contain anything, even line
//! ends. There is no checksum: the store is trusted not to change bytes. The reader notices a truncated file,
//! and a file with other content.

use std::ops::Range;

use mapreduce::store::{ReadFile, Store, StoreError, WriteFile};
use mapreduce::tasks::TaskError;

/// Size of the buffer of a writer, in bytes.
const WRITE_BUFFER: usize = 256 << 10;

/// The first eight bytes of a key as a number: two keys with different numbers have the order of these. It
/// decides most comparisons of a sort.
pub fn prefix(key: &[u8]) -> u64 {
    match key.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut padded = [0; 8];
            padded[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(padded)
        }
    }
}

/// Appends a pair to `buffer`.
pub(super) fn append(buffer: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    append_length(buffer, key.len());
    append_length(buffer, value.len());
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value);
}

/// Appends a length. A length below 128 takes one byte, and almost all keys and values are that short.
fn append_length(buffer: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        buffer.push(length as u8 | 0x80);
        length >>= 7;
    }
    buffer.push(length as u8);
}

/// The places of a pair's key and value.
type Place = (Range<usize>, Range<usize>);

/// The places of the first pair's key and value in `bytes`. `Ok(None)` if `bytes` ends within the pair, `Err`
/// if `bytes` does not begin with a pair.
fn locate(bytes: &[u8]) -> Result<Option<Place>, ()> {
    let mut at = 0;
    let (Some(key), Some(value)) = (read_length(bytes, &mut at)?, read_length(bytes, &mut at)?) else {
        return Ok(None);
    };
    let key_end = at.checked_add(key).ok_or(())?;
    let end = key_end.checked_add(value).ok_or(())?;
    Ok((end <= bytes.len()).then_some((at..key_end, key_end..end)))
}

/// Reads a length and moves `at` behind it. A length has at most ten bytes.
fn read_length(bytes: &[u8], at: &mut usize) -> Result<Option<usize>, ()> {
    let mut length = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let Some(&byte) = bytes.get(*at) else { return Ok(None) };
        *at += 1;
        length |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return usize::try_from(length).map(Some).map_err(drop);
        }
    }
    Err(())
}

/// Writes a file in large pieces, under a temporary name until it is complete.
pub(super) struct Writer<'a> {
    /// The store of the file, for the rename.
    store: &'a dyn Store,
    temporary: String,
    file: Box<dyn WriteFile>,
    buffer: Vec<u8>,
    /// Bytes that the store has, without those in the buffer.
    written: u64,
}

impl<'a> Writer<'a> {
    /// Creates the file.
    pub(super) fn create(store: &'a dyn Store, temporary: String) -> Result<Writer<'a>, StoreError> {
        let file = store.create(&temporary)?;
        Ok(Writer { store, temporary, file, buffer: Vec::with_capacity(WRITE_BUFFER), written: 0 })
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends a pair.
    pub(super) fn pair(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        append(&mut self.buffer, key, value);
        self.flush_if_full()
    }

    /// Appends a line of output.
    pub(super) fn line(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(key.as_bytes());
        if !value.is_empty() {
            self.buffer.push(b' ');
            self.buffer.extend_from_slice(value.as_bytes());
        }
        self.buffer.push(b'\n');
        self.flush_if_full()
    }

    /// Writes only when the buffer is full, because a call of the store costs more than a pair.
    fn flush_if_full(&mut self) -> Result<(), StoreError> {
        if self.buffer.len() < WRITE_BUFFER { Ok(()) } else { self.flush() }
    }

    /// Writes the buffer to the store.
    fn flush(&mut self) -> Result<(), StoreError> {
        self.file.write(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Completes the file, which keeps its temporary name, and returns its length.
    pub(super) fn finish(mut self) -> Result<u64, StoreError> {
        self.flush()?;
        self.file.finish()?;
        Ok(self.written)
    }

    /// Completes the file, gives it its final name, and returns its length.
    pub(super) fn publish(mut self, name: &str) -> Result<u64, StoreError> {
        self.flush()?;
        self.file.finish()?;
        self.store.rename(&self.temporary, name)?;
        Ok(self.written)
    }
}

/// Reads the pairs of a range of a file, one after the other, through a small buffer. Key and value borrow
/// from the buffer until the next call.
pub(super) struct Reader {
    file: Box<dyn ReadFile>,
    /// The file's name, for errors.
    name: String,
    /// The part of the range that is not in the buffer yet.
    unread: Range<u64>,
    buffer: Vec<u8>,
    /// The part of the buffer after the current pair.
    rest: Range<usize>,
    /// The current pair's key and value in the buffer, as ranges, since a struct cannot borrow from itself.
    key: Range<usize>,
    value: Range<usize>,
}

impl Reader {
    /// A reader of `range` of the file, before the first pair.
    pub(super) fn new(file: Box<dyn ReadFile>, name: &str, range: Range<u64>, buffer_size: usize) -> Reader {
        let size =
            usize::try_from(range.end - range.start).map_or(buffer_size, |length| length.min(buffer_size));
        Reader {
            file,
            name: name.to_owned(),
            unread: range,
            buffer: vec![0; size],
            rest: 0..0,
            key: 0..0,
            value: 0..0,
        }
    }

    /// Key of the current pair.
    pub(super) fn key(&self) -> &[u8] {
        &self.buffer[self.key.clone()]
    }

    /// Value of the current pair.
    pub(super) fn value(&self) -> &[u8] {
        &self.buffer[self.value.clone()]
    }

    /// The error for a file that is damaged, or is not an intermediate file.
    pub(super) fn corrupt(&self) -> TaskError {
        TaskError::Corrupt { name: self.name.clone() }
    }

    /// Moves to the next pair; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, TaskError> {
        loop {
            let bytes = &self.buffer[self.rest.clone()];
            if let Some((key, value)) = locate(bytes).map_err(|()| self.corrupt())? {
                let start = self.rest.start;
                self.key = start + key.start..start + key.end;
                self.value = start + value.start..start + value.end;
                self.rest.start = self.value.end;
                return Ok(true);
            }
            // The buffer has an incomplete pair, or nothing.
            if self.unread.is_empty() {
                return if bytes.is_empty() { Ok(false) } else { Err(self.corrupt()) };
            }
            self.refill()?;
        }
    }

    /// Moves the rest to the front of the buffer and reads more after it. If a pair is longer than the
    /// buffer, the buffer grows, but not beyond the length of the file. So a damaged length leads to an error
    /// instead of using up the memory.
    fn refill(&mut self) -> Result<(), TaskError> {
        self.buffer.copy_within(self.rest.clone(), 0);
        self.rest = 0..self.rest.len();
        let unread = usize::try_from(self.unread.end - self.unread.start).unwrap_or(usize::MAX);
        // The pair is longer than the buffer.
        if self.rest.end == self.buffer.len() {
            let more = self.buffer.len().max(1).min(unread);
            self.buffer.resize(self.buffer.len() + more, 0);
        }
        let room = (self.buffer.len() - self.rest.end).min(unread);
        let target = &mut self.buffer[self.rest.end..][..room];
        // The range was fixed when the file was opened. If fewer bytes are there now, the file was truncated.
        if self.file.read_at(self.unread.start, target)? < room {
            return Err(self.corrupt());
        }
        self.unread.start += room as u64;
        self.rest.end += room;
        Ok(())
    }
}
