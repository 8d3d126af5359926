//! What a run ends with: a result or a failure that explains itself, figures, events.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Schedule;

/// What [`crate::run`] returns.
#[derive(Debug)]
pub struct Outcome<T> {
    /// What the main closure returned, or why the run ended before it did.
    pub result: Result<T, Failure>,
    /// Figures of the run.
    pub stats: Stats,
    /// Recorded events, if [`crate::Config::trace`] was on.
    pub events: Vec<Event>,
    /// Mistakes that do not fail a run, such as a lock held across a blocking call; each is told once.
    pub warnings: Vec<String>,
    /// The scheduling decisions, if [`crate::Config::record`] was on.
    pub schedule: Schedule,
    /// One line for each of the first [`TOLD_DECISIONS`] scheduling decisions, if [`crate::Config::record`]
    /// was on: they tell where two runs part, and [`Stats::event_hash`] whether they do.
    pub decisions: Vec<Decision>,
}

impl<T> Outcome<T> {
    /// The same outcome with another result of the main closure.
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        let Outcome { result, stats, events, warnings, schedule, decisions } = self;
        Outcome { result: result.map(f), stats, events, warnings, schedule, decisions }
    }
}

/// How many scheduling decisions of a run are told. A run may have many millions, whose lines would take
/// gigabytes.
pub const TOLD_DECISIONS: usize = 200_000;

/// Figures of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// How long the run lasted on its own clock.
    pub virtual_time: Duration,
    /// How long it lasted on the wall clock.
    pub real_time: Duration,
    /// Number of scheduling decisions (simulated world only).
    pub steps: u64,
    /// Number of tasks that were started.
    pub tasks: u64,
    /// A hash of all scheduling decisions with their times (simulated world only): equal seeds give equal
    /// hashes.
    pub event_hash: u64,
}

/// A scheduling decision: the thread that ran, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Virtual time since the start of the run.
    pub at: Duration,
    /// Node and thread that were chosen.
    pub who: String,
    /// The source line where it had last entered the runtime, if it had.
    pub place: String,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:.6} s {} from {}", self.at.as_secs_f64(), self.who, self.place)
    }
}

/// Why a run ended before its main closure returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A thread panicked.
    Panic,
    /// Every thread waits and no timer is left that could wake one.
    Deadlock,
    /// Threads kept running while the virtual clock stood still.
    Spin,
    /// The limit of virtual time was reached.
    VirtualTime,
    /// The limit of wall time was reached.
    RealTime,
    /// A thread did not come back to the runtime: an endless loop, or a call that blocks the OS thread.
    Stuck,
    /// The limit of memory was reached.
    Memory,
}

/// Why a run failed, in words for the author of the code. Its `Display` is the whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// One line or, for deadlocks and the like, a table of what each thread waits for.
    pub message: String,
    /// The source line that failed, if one is known.
    pub location: Option<String>,
    /// Node of the thread that failed, or that was running.
    pub node: String,
    /// Thread that failed, or that was running.
    pub thread: String,
    /// Time on the run's clock.
    pub at: Duration,
    /// The backtrace, if `RUST_BACKTRACE` asked for one.
    pub backtrace: Option<String>,
    /// The last lines that threads of the run printed, oldest first.
    pub printed: Vec<Event>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FailureKind::Panic => "panic",
            FailureKind::Deadlock => "deadlock",
            FailureKind::Spin => "spinning",
            FailureKind::VirtualTime => "out of virtual time",
            FailureKind::RealTime => "out of real time",
            FailureKind::Stuck => "stuck thread",
            FailureKind::Memory => "out of memory",
        };
        write!(f, "{what} at {:.6} s in thread `{}` of `{}`", self.at.as_secs_f64(), self.thread, self.node)?;
        if let Some(location) = &self.location {
            write!(f, " ({location})")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(backtrace) = &self.backtrace {
            write!(f, "\n{backtrace}")?;
        }
        if !self.printed.is_empty() {
            write!(f, "\nthe last lines that the threads printed:")?;
        }
        for line in &self.printed {
            let seconds = line.t as f64 / 1e9;
            write!(f, "\n  {seconds:.6} s {} / {}: {}", line.node, line.task, line.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Something that happened in a run: what `cargo lab trace`, `logs` and `view` show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since the start of the run.
    pub t: u64,
    /// Node, for example `server-0`.
    pub node: Arc<str>,
    /// Thread, for example `election_loop`.
    pub task: Arc<str>,
    /// The thread's number in the run: several may have one name.
    pub thread: u64,
    /// `spawn`, `block`, `wake`, `lock`, `message`, `fault`, `verb`, `log`, `print`, and what the tester
    /// adds.
    pub kind: &'static str,
    /// Topic of a log line, name of a lock, and the like; may be empty.
    pub target: &'static str,
    /// What programs read of the event: names and values.
    pub fields: Fields,
    /// The event in words.
    pub text: String,
}

/// Names and values of an [`Event`].
pub type Fields = Vec<(&'static str, FieldValue)>;

/// A value of an [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// A number: of a call, an index, a term.
    Number(u64),
    /// A text: the name of a server.
    Text(Cow<'static, str>),
}

impl From<u64> for FieldValue {
    fn from(number: u64) -> FieldValue {
        FieldValue::Number(number)
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> FieldValue {
        FieldValue::Text(text.into())
    }
}

impl From<&'static str> for FieldValue {
    fn from(text: &'static str) -> FieldValue {
        FieldValue::Text(text.into())
    }
}
