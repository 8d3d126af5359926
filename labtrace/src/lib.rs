//! The trace of a run: what the runtime, the network, the disks, the tester and the student's own log lines
//! said, in one file. Test binaries write it when `LAB_TRACE` names a file, which `cargo lab trace`, `logs`
//! and `view` do; stress runs write none.
//!
//! # The format, version 1
//!
//! ```text
//! file    = "labtrace 1\n" header "\n" gzip(event*)
//! header  = one line of JSON: {"test": …, "seed": …, "options": …}
//! event   = time node task number kind target count field{count} text
//! time    = signed number: nanoseconds since the event before
//! node, task, kind, target, field's name = name
//! number  = which thread (several may have one name); count = of fields
//! field   = name 0 number | name 1 text
//! name    = 0 text (a new name, which gets the next number, from 1) | number
//! text    = length and so many bytes of UTF-8
//! numbers = LEB128: seven bits a byte, lowest first; signed ones with the sign in the lowest bit
//! ```
//!
//! A reader that meets a field or a kind that it does not know passes it over. [`VERSION`] grows when an old
//! reader would misread a file.
//!
//! | kind | target | fields | from |
//! |---|---|---|---|
//! | `message` | `Service.method` | `leg` (`call`, `request`, `arrives`, `result`, `reply`, `returns`, `fails`), `call`, `to`, `bytes`, `lost` | network |
//! | `state` | | `term`, `role`, `commit`, `base`, `last`, `from`, `terms` (`3x2,4`: entries from `from` on) | observer, or `get_state` (`term`, `role`) |
//! | `disk` | `save`, `append`, `sync`, `read`, … | `number`, `bytes`, `changed` (how many of a save's bytes are new or gone), `snapshot` | persister |
//! | `promise` | `hollow` | | a reply promises what was not written to the disk |
//! | `vote` | `granted`, `refused` | | a reply to a candidate, read on the wire |
//! | `apply` | | `index` | the service of a Raft test |
//! | `client` | `get`, `put`, `append` | `client`, `leg` (`call`, `return`) | clerks |
//! | `span` | `crash`, `links`, `partition`, … | `at`, `leg` (`begin`, `end`, `instant`) | the test's faults |
//! | `verb` | test | `server`, if it is about one | the test's story |
//! | `fault` | what was done | | single links, nodes |
//! | `log` | topic | | `tracing` lines of the code under test |
//! | `print` | `stdout`, `stderr` | | `println!` |
//! | `spawn`, `block`, `wake`, `lock` | | | runtime |
//! | `verdict` | kind of failure | `ok`, `rule` | the last event |
//!
//! [`read`] also reads JSON Lines, which `cargo lab trace --json` writes: a header line with `"labtrace": 1`,
//! then one object for each event, with the names above.

#![forbid(unsafe_code)]

mod calls;
mod clean;
mod compress;
mod json;
mod perfetto;
mod read;
mod shiviz;
mod write;

pub use calls::{Call, calls};
pub use clean::clean;
pub use json::write_json;
pub use perfetto::write_perfetto;
pub use read::{Unreadable, read, read_file};
pub use shiviz::{SHIVIZ_PARSER, write_shiviz};
pub use write::{Writer, Written};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The version of the format that this crate writes.
pub const VERSION: u32 = 1;

/// What stands at the beginning of a file, before the version.
pub(crate) const MAGIC: &str = "labtrace ";

/// Whose trace it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// The test, as in `labs.toml`.
    pub test: String,
    /// The seed.
    pub seed: u64,
    /// Options of the command line that the run needs besides: ` --swarm`.
    pub options: String,
}

/// Something that happened; the module's text explains the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since the start of the run.
    pub t: u64,
    /// The server or client process.
    pub node: Arc<str>,
    /// The thread's name.
    pub task: Arc<str>,
    /// The thread's number.
    pub thread: u64,
    /// What sort of event.
    pub kind: Arc<str>,
    /// What it is about.
    pub target: Arc<str>,
    /// Names and values.
    pub fields: Vec<(Arc<str>, Value)>,
    /// The event in words.
    pub text: String,
}

/// A value of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

/// A trace that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// Whose it is.
    pub header: Header,
    /// All events, in the order in which they happened.
    pub events: Vec<Event>,
    /// If the file ends too early or is damaged: a sentence that says so. The events before that place are
    /// there.
    pub damage: Option<String>,
}

impl Event {
    /// An event without fields, for readers of other notations and for tests.
    pub fn new(t: u64, node: &str, kind: &str, target: &str, text: &str) -> Event {
        Event {
            t,
            node: node.into(),
            task: "".into(),
            thread: 0,
            kind: kind.into(),
            target: target.into(),
            fields: Vec::new(),
            text: text.to_owned(),
        }
    }

    /// The same with one field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Event {
        self.fields.push((name.into(), value.into()));
        self
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(own, _)| **own == *name).map(|(_, value)| value)
    }

    /// A number among the fields.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.value(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A text among the fields; empty if there is none.
    pub fn field(&self, name: &str) -> &str {
        match self.value(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}
