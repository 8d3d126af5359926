//! Reading histories from files: our JSON Lines, porcupine's test format for keys with texts, Jepsen's logs; plain or
//! compressed by gzip.
//!
//! The three are told apart by the first line. A byte-order mark before it is skipped. Input is never trusted: whatever the bytes, the answer is a history or
//! an error that names file and line.
//!
//! | format | first line | times |
//! |---|---|---|
//! | JSON Lines | `{"client":6,"op":"append","key":"k0","value":"6.0;","output":"","call":44029,"return":552535}` | as given |
//! | porcupine | `{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}` | the line's number |
//! | Jepsen | `INFO  jepsen.util - 4 :invoke :cas [2 4]` | the line's number |

mod edn;
mod jepsen;
mod json;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::history::{History, HistoryError, HistoryErrorKind};
use crate::models::key_value::KvHistory;
use crate::models::register::{RegisterOp, RegisterResult};

/// A value longer than this, in bytes, is refused.
pub const LONGEST_VALUE: usize = 8 << 20;

/// A line longer than this, in bytes, is refused: room for an escaped key, value and output.
const LONGEST_LINE: u64 = 64 << 20;

/// A history of a register with compare-and-swap, as Jepsen records it.
pub type RegisterHistory = History<RegisterOp<i64>, RegisterResult<i64>>;

/// What a file held.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// Keys with texts.
    KeyValue(KvHistory),
    /// One register, initially empty.
    Register(RegisterHistory),
}

impl Loaded {
    /// How many operations there are.
    pub fn len(&self) -> usize {
        match self {
            Loaded::KeyValue(history) => history.history().len(),
            Loaded::Register(history) => history.len(),
        }
    }

    /// Whether there are none. [`read`] never returns such a history.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, counted from 1; `None` if the file as a whole is at fault.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The operating system, or the decompression, failed.
    Io(String),
    /// There is no operation in it.
    Empty,
    /// The first line is of no known format.
    UnknownFormat,
    /// The line is longer than 64 MiB.
    LongLine,
    /// A value is longer than [`LONGEST_VALUE`].
    LongValue,
    /// The line is not what the format wants.
    Broken(String),
    /// The format is right, and the operation is not known.
    UnknownOperation(String),
    /// A client got an answer and had not called.
    ReturnWithoutCall(u32),
    /// The operations are not a history.
    History(HistoryErrorKind, u32),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Io(error) => formatter.write_str(error),
            Problem::Empty => formatter.write_str("no operation in it"),
            Problem::UnknownFormat => {
                formatter.write_str("neither JSON Lines, nor porcupine's key/value format, nor a Jepsen log")
            }
            Problem::LongLine => write!(formatter, "a line of more than {} MiB", LONGEST_LINE >> 20),
            Problem::LongValue => write!(formatter, "a value of more than {} MiB", LONGEST_VALUE >> 20),
            Problem::Broken(what) => formatter.write_str(what),
            Problem::UnknownOperation(name) => {
                write!(formatter, "unknown operation {}", crate::words::quoted(name))
            }
            Problem::ReturnWithoutCall(client) => {
                write!(formatter, "client {client} gets an answer and has not called")
            }
            Problem::History(kind, client) => {
                write!(formatter, "{}", HistoryError { index: 0, client: *client, kind: *kind })
            }
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.file, self.problem),
            None => write!(formatter, "{}: {}", self.file, self.problem),
        }
    }
}

impl std::error::Error for ReadError {}

/// A problem and the line that has it.
type Located<T> = Result<T, (Option<u64>, Problem)>;

/// Reads a file, plain or compressed.
///
/// # Errors
///
/// [`ReadError`], which names the file as `path` is written.
pub fn read_file(path: &Path) -> Result<Loaded, ReadError> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => read(&name, file),
        Err(error) => Err(ReadError { file: name, line: None, problem: Problem::Io(error.to_string()) }),
    }
}

/// Reads a history from `input`, plain or compressed; errors call it `name`.
///
/// # Errors
///
/// [`ReadError`].
pub fn read(name: &str, input: impl Read) -> Result<Loaded, ReadError> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let compressed = input.fill_buf().map(|head| head.starts_with(&[0x1f, 0x8b]));
    let loaded = match compressed {
        Ok(false) => read_lines(Lines::new(input)),
        Ok(true) => read_lines(Lines::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input)))),
        Err(error) => Err((None, Problem::Io(error.to_string()))),
    };
    loaded.map_err(|(line, problem)| ReadError { file: name.to_owned(), line, problem })
}

fn read_lines(mut lines: Lines<impl BufRead>) -> Located<Loaded> {
    loop {
        let Some((number, line)) = lines.next()? else { return Err((None, Problem::Empty)) };
        let Some(format) = Format::of(line) else { continue };
        lines.rewind();
        return match format {
            Format::Json => json::read(lines).map(Loaded::KeyValue),
            Format::Edn => edn::read(lines).map(Loaded::KeyValue),
            Format::Jepsen => jepsen::read(lines).map(Loaded::Register),
            Format::Unknown => Err((Some(number), Problem::UnknownFormat)),
        };
    }
}

enum Format {
    Json,
    Edn,
    Jepsen,
    Unknown,
}

impl Format {
    /// The format of a file that begins with `line`; `None` if the line is blank.
    fn of(line: &str) -> Option<Format> {
        let start = line.trim_start();
        let inside = start.strip_prefix('{').map(str::trim_start);
        match inside {
            _ if start.is_empty() => None,
            Some(inside) if inside.starts_with(':') => Some(Format::Edn),
            Some(_) => Some(Format::Json),
            None if jepsen::is_log_line(line) => Some(Format::Jepsen),
            None => Some(Format::Unknown),
        }
    }
}

/// The lines of an input, numbered from 1.
struct Lines<R> {
    input: R,
    bytes: Vec<u8>,
    number: u64,
    again: bool,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Lines { input, bytes: Vec::new(), number: 0, again: false }
    }

    /// Makes [`Lines::next`] return the last line once more.
    fn rewind(&mut self) {
        self.again = true;
    }

    fn next(&mut self) -> Located<Option<(u64, &str)>> {
        if !std::mem::take(&mut self.again) {
            self.bytes.clear();
            let read = (&mut self.input).take(LONGEST_LINE).read_until(b'\n', &mut self.bytes);
            self.number += 1;
            let at = Some(self.number);
            match read {
                Ok(0) => return Ok(None),
                Ok(count) if count as u64 == LONGEST_LINE => return Err((at, Problem::LongLine)),
                Ok(_) => {}
                Err(error) => return Err((at, problem_of(&error))),
            }
        }
        let line = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        // Some editors begin a file with a byte-order mark, which says nothing in UTF-8.
        let mark: &[u8] = if self.number == 1 { b"\xef\xbb\xbf" } else { b"" };
        let line = line.strip_prefix(mark).unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match str::from_utf8(line) {
            Ok(line) => Ok(Some((self.number, line))),
            Err(_) => Err((Some(self.number), Problem::Broken("not UTF-8".to_owned()))),
        }
    }
}

/// Which of the fields that mean something were seen in a line. If one came twice, no choice between them would be right.
struct Once {
    fields: &'static [&'static str],
    /// A bit for each of them.
    seen: u8,
}

impl Once {
    fn new(fields: &'static [&'static str]) -> Self {
        Once { fields, seen: 0 }
    }

    fn see(&mut self, name: &str) -> Result<(), Problem> {
        let Some(place) = self.fields.iter().position(|field| *field == name) else { return Ok(()) };
        let bit = 1 << place;
        if self.seen & bit != 0 {
            return Err(broken(format!("field {} occurs twice", crate::words::quoted(name))));
        }
        self.seen |= bit;
        Ok(())
    }
}

fn problem_of(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Problem::Io("the compressed data ends too early".to_owned()),
        _ => Problem::Io(error.to_string()),
    }
}

/// The line of the operation that an error names.
fn locate(error: &HistoryError, lines: &[u64]) -> (Option<u64>, Problem) {
    (lines.get(error.index).copied(), Problem::History(error.kind, error.client))
}

fn broken(what: impl Into<String>) -> Problem {
    Problem::Broken(what.into())
}
