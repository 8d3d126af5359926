//! Reading histories from files: our JSON Lines, and what Jepsen, knossos, Maelstrom and porcupine write;
//! plain or compressed by gzip.
//!
//! How a file begins tells which it is. A byte-order mark before it is skipped. Input is never trusted:
//! whatever the bytes, the answer is a history or an error that names file and line.
//!
//! | what | how it begins | times |
//! |---|---|---|
//! | JSON Lines | `{"client":6,"op":"append","key":"k0","value":"6.0;","output":"","call":44029,"return":552535}` | as given |
//! | `history.edn` of Jepsen and Maelstrom | `{:type :invoke, :f :write, :value 3, :process 0, :time 3291485317, :index 0}`, or a record `#jepsen.history.Op{…}` | `:time`, or the number of the event |
//! | files of knossos | the same maps in one vector or list | the same |
//! | porcupine's key/value tests | `{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}` | the number of the event |
//! | `history.txt` | `0 :invoke :write 3` with tabs between | the number of the event |
//! | `jepsen.log` | `INFO  jepsen.util - 4 :invoke :cas [2 4]`, and the spellings since | the number of the event |
//!
//! [`ModelName`] says which objects are known; `objects` has the table of functions.
//!
//! # What events mean
//!
//! - `:ok`: it returned. `:info`: it may have happened, so it stays open. `:fail`: it did not
//!   happen, for whatever reason.
//! - What a call leaves out, its answer tells: `:value nil` called and `:value 3` answered is a write of 3.
//! - If all failed, nothing was observed.
//! - A failed `:cas` is the one place where two readings are in use, see [`FailedCas`].
//! - An `:ok` read of `nil` saw `nil`: what a register holds at first, unless [`Options::initial`] says
//!   otherwise. (Knossos takes it for a read that says nothing. But a register that forgot its value answers
//!   like that, and this checker would not notice.)
//! - A process calls again only after its answer. If that was `:info`, what it had called stays open and is
//!   another client's from then on, numbered behind all others.
//! - The order of events in the file is the order of real time, also if their times are equal, and whatever
//!   their `:index`. Times are kept if each event has one, a whole number, and they never go back; otherwise
//!   events are numbered.
//! - A process that has a name in place of a number is a client if it calls: numbered behind all others, in
//!   the order in which they come. The process `nemesis` never is one.
//! - What a nemesis reports becomes a [`Fault`] of the picture.
//! - A collection where a value or key is wanted is one, too: equal to another if what is in it is, whatever
//!   the order of a map or set.
//! - Transactions (`:txn`) are no operations on one object: they are refused, and Elle is named.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "reads recorded histories, on real threads and outside of any simulation"
)]

mod calls;
mod edn;
mod events;
mod input;
mod json;
mod kv;
mod log;
mod nemesis;
mod objects;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use calls::{Calls, Datum, Outcome};
use events::{Events, Notation};
use flate2::bufread::MultiGzDecoder;
use input::Input;

use linearize::models::any::{Answer, Keyed, KeyedOp};
use linearize::models::scalar::Scalar;
use linearize::{Fault, History, HistoryError, HistoryErrorKind, KvHistory};
use serde::de::IgnoredAny;

/// A value longer than this, in bytes, is refused.
pub const LONGEST_VALUE: usize = 8 << 20;

/// A line, or a form of EDN, longer than this, in bytes, is refused: room for an escaped key, value and
/// output.
const LONGEST_LINE: usize = 64 << 20;

/// What a file may record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// Keys with texts: get, put and append.
    KeyValue,
    /// Registers: read, write and compare-and-set.
    Register,
    /// Queues: enqueue and dequeue.
    Queue,
    /// Stacks: push and pop.
    Stack,
    /// Sets that are read as a whole: add and read.
    Set,
    /// Sets that are asked for single elements: insert, remove and contains.
    Elements,
    /// Counters: add and read.
    Counter,
    /// Locks without owners: acquire and release.
    Lock,
    /// Logs: append, read and length.
    Log,
    /// Registers with versions: get and put.
    Versioned,
}

impl ModelName {
    /// All of them.
    pub const ALL: [ModelName; 10] = [
        ModelName::KeyValue,
        ModelName::Register,
        ModelName::Queue,
        ModelName::Stack,
        ModelName::Set,
        ModelName::Elements,
        ModelName::Counter,
        ModelName::Lock,
        ModelName::Log,
        ModelName::Versioned,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ModelName::KeyValue => "kv",
            ModelName::Register => "register",
            ModelName::Queue => "queue",
            ModelName::Stack => "stack",
            ModelName::Set => "set",
            ModelName::Elements => "elements",
            ModelName::Counter => "counter",
            ModelName::Lock => "lock",
            ModelName::Log => "log",
            ModelName::Versioned => "versioned",
        }
    }

    /// The model of this name; a mutex is a lock.
    pub fn named(name: &str) -> Option<ModelName> {
        let name = if name == "mutex" { "lock" } else { name };
        ModelName::ALL.into_iter().find(|model| model.name() == name)
    }

    /// The names of the functions that it knows.
    pub fn functions(self) -> &'static [&'static str] {
        objects::functions(self)
    }
}

/// What a compare-and-set that failed says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedCas {
    /// That it did not happen, for whatever reason. So Jepsen reads it, and so does this module, but for logs
    /// of 2014.
    DidNotHappen,
    /// That the register held another value, unless a reason is given. So porcupine reads logs of 2014.
    SawAnother,
}

/// What to read a file as, where that can be chosen.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What it records; guessed from the names of functions if this is not given.
    pub model: Option<ModelName>,
    /// What a failed compare-and-set says, if not what is usual for the format.
    pub failed_cas: Option<FailedCas>,
    /// What a register holds at first, if not `nil`.
    pub initial: Option<Scalar>,
}

/// What a file held.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// Keys with texts.
    KeyValue(KvHistory),
    /// Objects of another kind.
    Keyed(Keyed, History<KeyedOp, Answer>),
}

/// What was read from a file.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The history.
    pub loaded: Loaded,
    /// What it is a history of.
    pub model: ModelName,
    /// Whether that was concluded from the names of functions.
    pub guessed: bool,
    /// What a nemesis did meanwhile.
    pub faults: Vec<Fault>,
    /// How many calls are not in the history, because their answers say that they did not happen.
    pub failed: usize,
}

impl Loaded {
    /// How many operations there are.
    pub fn len(&self) -> usize {
        match self {
            Loaded::KeyValue(history) => history.history().len(),
            Loaded::Keyed(_, history) => history.len(),
        }
    }

    /// Whether there are none, because all failed.
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
    /// It begins like no known format.
    UnknownFormat,
    /// It is JSON, and not an operation a line.
    JsonOverLines,
    /// It records transactions.
    Transactions,
    /// It records one thing, and another was demanded.
    OtherModel(ModelName, ModelName),
    /// An initial value was given for something that has none to choose.
    Initial,
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
            Problem::UnknownFormat => formatter.write_str(
                "neither JSON Lines, nor a history in EDN (history.edn, knossos, porcupine), nor history.txt or jepsen.log",
            ),
            Problem::JsonOverLines => formatter.write_str(
                "JSON over several lines; an object with one operation in each line is wanted (jq -c '.[]' writes an array so)",
            ),
            Problem::Transactions => formatter.write_str(
                "transactions (:txn): this checks operations on one object at a time; Elle checks transactions (elle-cli reads this file)",
            ),
            Problem::OtherModel(found, wanted) => {
                write!(formatter, "records {}, not {}", found.name(), wanted.name())
            }
            Problem::Initial => formatter.write_str("only a register has an initial value to choose"),
            Problem::LongLine => write!(formatter, "a line of more than {} MiB", LONGEST_LINE >> 20),
            Problem::LongValue => write!(formatter, "a value of more than {} MiB", LONGEST_VALUE >> 20),
            Problem::Broken(what) => formatter.write_str(what),
            Problem::UnknownOperation(name) => {
                write!(formatter, "unknown operation {}", linearize::words::quoted(name))
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

/// A result, or a problem and the line that has it.
type Located<T> = Result<T, (Option<u64>, Problem)>;

/// Reads a file, plain or compressed, as it is usually meant.
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

/// Reads a history from `input`, plain or compressed, as it is usually meant; errors call it `name`.
///
/// # Errors
///
/// [`ReadError`].
pub fn read(name: &str, input: impl Read) -> Result<Loaded, ReadError> {
    read_as(name, input, &Options::default()).map(|recording| recording.loaded)
}

/// Reads a history from `input`, plain or compressed; errors call it `name`.
///
/// # Errors
///
/// [`ReadError`], also if it records another model than the options demand.
pub fn read_as(name: &str, input: impl Read, options: &Options) -> Result<Recording, ReadError> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let compressed = input.fill_buf().map(|head| head.starts_with(&[0x1f, 0x8b]));
    let recording = match compressed {
        Ok(false) => read_any(Input::new(Box::new(input) as Box<dyn Read + '_>), options),
        Ok(true) => read_any(Input::new(Box::new(MultiGzDecoder::new(input)) as Box<dyn Read + '_>), options),
        Err(error) => Err((None, Problem::Io(error.to_string()))),
    };
    recording.map_err(|(line, problem)| ReadError { file: name.to_owned(), line, problem })
}

/// The value that `text` is in EDN: `0`, `"a text"`, `:a`, `nil`, `[1 2]`. What a file writes in the same way
/// is equal to it.
///
/// # Errors
///
/// [`Problem::Broken`], if it is no value, or more than one.
pub fn value(text: &str) -> Result<Scalar, Problem> {
    let mut reader = edn::Reader::new(text);
    let value = Datum::of(&reader.form()?).value().into_owned();
    match reader.peek()? {
        None => Ok(value),
        Some(_) => Err(broken("more than one value")),
    }
}

fn read_any(mut input: Input<Box<dyn Read + '_>>, options: &Options) -> Located<Recording> {
    let notation = match Format::of(input.peek(FORMAT)?) {
        Format::Empty => return Err((None, Problem::Empty)),
        Format::Json => return json(input, options),
        Format::JsonOverLines(line) => return Err((Some(line), Problem::JsonOverLines)),
        Format::Unknown(line) => return Err((Some(line), Problem::UnknownFormat)),
        Format::Events(notation) => notation,
    };
    let calls = Calls::read(Events::new(input, notation), options.failed_cas)?;
    if calls.all.is_empty() {
        return Err((None, Problem::Empty));
    }
    objects::check_no_transactions(&calls)?;
    let known = |wanted: ModelName| calls.functions.iter().all(|name| wanted.functions().contains(&&**name));
    let model = match options.model {
        Some(wanted) if known(wanted) => wanted,
        _ => objects::model_of(&calls)?,
    };
    if let Some(wanted) = options.model.filter(|wanted| *wanted != model) {
        objects::check_functions(&calls, model)?;
        return Err((None, Problem::OtherModel(model, wanted)));
    }
    let failed = calls.all.iter().filter(|call| call.outcome == Outcome::DidNotHappen).count();
    let (loaded, faults) = if model == ModelName::KeyValue {
        let (history, faults) = kv::build(calls, options)?;
        (Loaded::KeyValue(history), faults)
    } else {
        let (model, history, faults) = objects::build(calls, model, options)?;
        (Loaded::Keyed(model, history), faults)
    };
    Ok(Recording { loaded, model, guessed: options.model.is_none(), faults, failed })
}

fn json(input: Input<Box<dyn Read + '_>>, options: &Options) -> Located<Recording> {
    match options.model {
        None | Some(ModelName::KeyValue) => {}
        Some(wanted) => return Err((None, Problem::OtherModel(ModelName::KeyValue, wanted))),
    }
    if options.initial.is_some() {
        return Err((None, Problem::Initial));
    }
    let loaded = Loaded::KeyValue(json::read(input)?);
    Ok(Recording { loaded, model: ModelName::KeyValue, guessed: false, faults: Vec::new(), failed: 0 })
}

/// So many bytes tell the format of a file.
const FORMAT: usize = 1 << 16;

enum Format {
    Empty,
    Json,
    /// And the line where it begins.
    JsonOverLines(u64),
    Events(Notation),
    /// And the line where it begins.
    Unknown(u64),
}

impl Format {
    /// The format of a file that begins with `head`.
    fn of(head: &[u8]) -> Format {
        let mut lines = head.split(|&byte| byte == b'\n').zip(1..);
        let Some((line, number)) = lines.find(|(line, _)| !line.trim_ascii().is_empty()) else {
            return Format::Empty;
        };
        let text = String::from_utf8_lossy(line);
        // What comes next in this line, or in one of the next.
        let behind = |bytes: &[u8]| {
            let rest = line[line.len() - bytes.len()..].trim_ascii_start().first().copied();
            let later = || lines.clone().find_map(|(line, _)| line.trim_ascii_start().first().copied());
            (rest.or_else(later), rest.is_some())
        };
        match line.trim_ascii_start() {
            [b'{', rest @ ..] => match behind(rest) {
                (Some(b'"'), true) if breaks_off(line, lines.clone().map(|(line, _)| line)) => {
                    Format::JsonOverLines(number)
                }
                (Some(b'"'), true) | (None, _) => Format::Json,
                (Some(b'"' | b'}'), _) => Format::JsonOverLines(number),
                (_, _) if rest.trim_ascii_start().first() == Some(&b'}') => Format::Json,
                _ => Format::Events(Notation::Maps),
            },
            [b'[', rest @ ..] => match behind(rest) {
                _ if log::is_log_line(&text) => Format::Events(Notation::Log),
                (Some(b'{'), _) if holds_json(head) => Format::JsonOverLines(number),
                _ => Format::Events(Notation::Maps),
            },
            [b'(' | b';' | b'#' | b'^', ..] => Format::Events(Notation::Maps),
            _ if events::is_columns(&text) => Format::Events(Notation::Columns),
            _ if log::is_log_line(&text) => Format::Events(Notation::Log),
            // What was shown before a run began.
            _ if lines.any(|(line, _)| log::has_event(&String::from_utf8_lossy(line))) => {
                Format::Events(Notation::Log)
            }
            _ => Format::Unknown(number),
        }
    }
}

/// Whether an object of JSON goes on behind its first line. After a line that was cut off another object
/// begins.
fn breaks_off<'a>(line: &[u8], mut later: impl Iterator<Item = &'a [u8]>) -> bool {
    let ends_early = serde_json::from_slice::<IgnoredAny>(line).is_err_and(|error| error.is_eof());
    let next = later.find_map(|line| line.trim_ascii_start().first());
    ends_early && next.is_some_and(|&next| next != b'{')
}

/// Whether the first map of a file is an object of JSON.
fn holds_json(head: &[u8]) -> bool {
    let inside = head.iter().position(|&byte| byte == b'{').map_or(&[][..], |at| &head[at + 1..]);
    inside.trim_ascii_start().first() == Some(&b'"')
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
