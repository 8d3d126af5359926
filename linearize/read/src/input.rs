//! Bytes of an input, in lines or in forms of EDN, never more of them at once than the longest of these.

use std::io::Read;

use super::edn::{self, End};
use super::{LONGEST_LINE, Located, Problem, broken, problem_of};

/// How much is read at once, at least.
const CHUNK: usize = 1 << 18;

/// An input with what was read and not used yet.
pub(super) struct Input<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    /// The line at `at`, counted from 1.
    line: u64,
    ended: bool,
}

impl<R: Read> Input<R> {
    pub(super) fn new(input: R) -> Self {
        Input { input, buffer: Vec::new(), at: 0, line: 1, ended: false }
    }

    /// The number of the line that comes next.
    pub(super) fn line_number(&self) -> u64 {
        self.line
    }

    /// What comes next, up to `wanted` bytes of it or all there is.
    pub(super) fn peek(&mut self, wanted: usize) -> Located<&[u8]> {
        while !self.ended && self.buffer.len() - self.at < wanted {
            self.fill()?;
        }
        // Some editors begin a file with a byte-order mark, which says nothing in UTF-8.
        if self.line == 1 && self.at == 0 && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        Ok(&self.buffer[self.at..])
    }

    /// Reads more behind what is there.
    fn fill(&mut self) -> Located<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let length = self.buffer.len();
        if length >= LONGEST_LINE {
            return Err((Some(self.line), Problem::LongLine));
        }
        // Twice as much each time, so that a long form is looked through a few times only.
        self.buffer.resize(length + length.max(CHUNK).min(LONGEST_LINE - length), 0);
        let mut used = length;
        while used < self.buffer.len() && !self.ended {
            match self.input.read(&mut self.buffer[used..]) {
                Ok(0) => self.ended = true,
                Ok(count) => used += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.truncate(used);
                    return Err((Some(self.line), problem_of(&error)));
                }
            }
        }
        self.buffer.truncate(used);
        Ok(())
    }

    /// The next line and its number; `None` at the end.
    pub(super) fn line(&mut self) -> Located<Option<(u64, &str)>> {
        let mut searched = 0;
        let end = loop {
            match memchr::memchr(b'\n', &self.buffer[self.at + searched..]) {
                Some(found) => break self.at + searched + found,
                None if !self.ended => {
                    searched = self.buffer.len() - self.at;
                    self.fill()?;
                }
                None if self.at == self.buffer.len() => return Ok(None),
                None => break self.buffer.len(),
            }
        };
        let number = self.line;
        let line = &self.buffer[self.at..end];
        self.at = (end + 1).min(self.buffer.len());
        self.line += 1;
        let mark: &[u8] = if number == 1 { b"\xef\xbb\xbf" } else { b"" };
        let line = line.strip_prefix(mark).unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match str::from_utf8(line) {
            Ok(line) => Ok(Some((number, line))),
            Err(_) => Err((Some(number), broken("not UTF-8"))),
        }
    }

    /// Skips blanks, comments and forms behind `#_`, and says which byte comes next; `None` at the end.
    pub(super) fn next_byte(&mut self) -> Located<Option<u8>> {
        // Most often there is a line break and nothing else.
        if let [b'\n', next, ..] = self.buffer[self.at..]
            && edn::begins_form(next)
        {
            (self.at, self.line) = (self.at + 1, self.line + 1);
            return Ok(Some(next));
        }
        let end = self.find(edn::end_of_blanks)?;
        self.skip(end);
        Ok(self.buffer.get(self.at).copied())
    }

    /// The rest of the line, if it is short and all of it is here.
    pub(super) fn short_line(&self) -> Option<&str> {
        /// In a file of one line, the end of that is not looked for again and again.
        const SHORT: usize = 1 << 10;
        let rest = &self.buffer[self.at..];
        let end = memchr::memchr(b'\n', &rest[..rest.len().min(SHORT)]);
        let end = end.or((self.ended && rest.len() < SHORT).then_some(rest.len()))?;
        str::from_utf8(&rest[..end]).ok()
    }

    /// The next form, as it is written. There must be one.
    pub(super) fn form(&mut self) -> Located<&str> {
        let number = self.line;
        let end = self.find(edn::end_of_form)?;
        let start = self.at;
        self.skip(end);
        match str::from_utf8(&self.buffer[start..start + end]) {
            Ok(form) => Ok(form),
            Err(_) => Err((Some(number), broken("not UTF-8"))),
        }
    }

    /// Where something ends that may not have been read as a whole yet.
    fn find(&mut self, end: impl Fn(&[u8], bool) -> Result<End, Problem>) -> Located<usize> {
        loop {
            match end(&self.buffer[self.at..], self.ended).map_err(|problem| (Some(self.line), problem))? {
                End::At(end) => return Ok(end),
                End::Unknown if self.ended => {
                    return Err((Some(self.line), broken("the file ends where something should come")));
                }
                End::Unknown => self.fill()?,
            }
        }
    }

    /// Goes on behind so many bytes of the line.
    pub(super) fn skip_in_line(&mut self, count: usize) {
        self.at += count;
    }

    /// Goes on behind so many bytes.
    pub(super) fn skip(&mut self, count: usize) {
        let skipped = &self.buffer[self.at..self.at + count];
        self.line += memchr::memchr_iter(b'\n', skipped).count() as u64;
        self.at += count;
    }
}
