//! Writing a trace.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use crate::compress::Compressor;
use crate::{Header, MAGIC, VERSION};

/// Longer texts are cut: a student may print megabytes.
const LONGEST: usize = 4096;

/// Bytes that are collected before they are compressed.
const CHUNK: usize = 64 * 1024;

/// A value of an event that is written.
#[derive(Debug, Clone, Copy)]
pub enum Written<'a> {
    /// A number.
    Number(u64),
    /// A text.
    Text(&'a str),
}

/// Writes a file, event by event. A thread of its own compresses them.
pub struct Writer<W: Write> {
    out: Compressor<W>,
    names: FxHashMap<Box<str>, u64>,
    last: u64,
    bytes: Vec<u8>,
}

impl<W: Write + Send + 'static> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn new(mut out: W, header: &Header) -> io::Result<Writer<W>> {
        writeln!(out, "{MAGIC}{VERSION}")?;
        serde_json::to_writer(&mut out, header)?;
        out.write_all(b"\n")?;
        Ok(Writer { out: Compressor::new(out), names: FxHashMap::default(), last: 0, bytes: Vec::new() })
    }

    /// Adds an event.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn event<'a>(
        &mut self,
        t: u64,
        (node, task, thread): (&str, &str, u64),
        (kind, target): (&str, &str),
        fields: impl ExactSizeIterator<Item = (&'a str, Written<'a>)>,
        text: &str,
    ) -> io::Result<()> {
        let step = t.wrapping_sub(self.last).cast_signed();
        self.last = t;
        self.number(((step << 1) ^ (step >> 63)).cast_unsigned());
        self.name(node);
        self.name(task);
        self.number(thread);
        self.name(kind);
        self.name(target);
        self.number(fields.len() as u64);
        for (name, value) in fields {
            self.name(name);
            match value {
                Written::Number(number) => {
                    self.bytes.push(0);
                    self.number(number);
                }
                Written::Text(text) => {
                    self.bytes.push(1);
                    self.text(text);
                }
            }
        }
        self.text(text);
        if self.bytes.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    /// Ends the file. One that is not ended is read as truncated.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        self.out.finish()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write(&mut self.bytes)
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn text(&mut self, text: &str) {
        let mut end = text.len().min(LONGEST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let rest = text.len() - end;
        let more = if rest > 0 { format!("… ({rest} bytes more)") } else { String::new() };
        self.number((end + more.len()) as u64);
        self.bytes.extend_from_slice(&text.as_bytes()[..end]);
        self.bytes.extend_from_slice(more.as_bytes());
    }

    fn name(&mut self, name: &str) {
        if let Some(&number) = self.names.get(name) {
            return self.number(number);
        }
        self.number(0);
        self.text(name);
        self.names.insert(name.into(), self.names.len() as u64 + 1);
    }
}
