//! What a test binary says of each run: `tester` writes it, `lab` reads it.
//!
//! A test binary writes one line for each seed, in the order of the seeds: a [`Report`] as one line of JSON.
//! Both programs use the type of this crate, so neither parses the other's prose. With `LAB_REPORT=1` the
//! line goes to standard output, behind
//! [`MARK`]. With `LAB_REPORT=socket`, which `lab` asks for, it goes through a socket and behind a secret, so
//! that no line that the code under test prints is taken for a report.
//!
//! ```text
//! @lab {"version":1,"test":"initial_election_2a","seed":7,"ok":true,"virtual_ns":3100000000,...}
//! ```
//!
//! A line may stand behind other output: libtest begins the line of a test's first output with
//! `test NAME ... `, and so may a student's `print!`. Readers therefore look for the mark anywhere in a line.

#![forbid(unsafe_code)]

pub mod grading;
pub mod overrides;
pub mod swarm;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What stands before the JSON of a report.
pub const MARK: &str = "@lab ";

/// The version of [`Report`] that this crate describes. It grows when a field changes its meaning or goes; a
/// new field with a default changes nothing for old readers.
pub const VERSION: u32 = 1;

/// How one run of a test with one seed has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`] of the writer; 0 if it did not say.
    #[serde(default)]
    pub version: u32,
    /// The test's name, as in `labs.toml`: `initial_election_2a`.
    pub test: String,
    /// The seed of the run.
    pub seed: u64,
    /// Whether the run passed. One that did not has failed or is inconclusive, see [`Report::verdict`].
    pub ok: bool,
    /// How long the run lasted on its own clock, in nanoseconds; up to the failure, if it failed.
    #[serde(default)]
    pub virtual_ns: u64,
    /// How long it lasted on the wall clock, in nanoseconds.
    #[serde(default)]
    pub real_ns: u64,
    /// Number of servers.
    #[serde(default)]
    pub peers: u64,
    /// Calls made on the simulated network, also those that could not be delivered.
    #[serde(default)]
    pub rpcs: u64,
    /// Bytes of requests, and of the replies that arrived.
    #[serde(default)]
    pub bytes: u64,
    /// Commands agreed on, or operations of clerks.
    #[serde(default)]
    pub commands: u64,
    /// Hash of all scheduling decisions, 16 hexadecimal digits: equal for two runs of one program with one
    /// seed in the simulation. Empty if the run did not get to its end.
    #[serde(default)]
    pub hash: String,
    /// Remarks that fail no run, such as that it never came into the situation that it is about.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What the run came to, by name, and how often: `elections`, `snapshots installed`. A situation that the
    /// test could have come to, and did not, is there with 0. A pass says nothing about it then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exercised: BTreeMap<String, u64>,
    /// What the checkers could not see in this run, and what would show it to them, one phrase each: "terms
    /// of entries (`watch`)". The same for all runs of a solution's test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unwatched: Vec<String>,
    /// What kind of failure it was; None if the run passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The failure in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The source line that failed, if it was one that failed: `raft/src/election.rs:31:9`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The rule that was broken, if `kind` is [`Kind::Invariant`]: `ElectionSafety`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invariant: Option<String>,
    /// The run never comes back, so the process ends right behind this report. The seeds behind this one are
    /// not run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stuck: bool,
    /// What failed it is that something had not come about: it ended at a limit of time, or an expectation
    /// with a time in it was not met. A run in which less is done fails so for no other reason than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub overdue: bool,
    /// The run was ended before its limit of time, since nobody was to see more of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// The story of the run in many lines, for a human: of every failure, and of a success if `LAB_STORY=1`
    /// asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Scheduling decisions of the run; 0 if they were not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps: u64,
    /// Of a run with overrides: how often each of the test's verbs was used, and how many requests went from
    /// one node to another (`server-0 server-1`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub choices: BTreeMap<String, u64>,
    /// A page that shows the run's history, if one was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PathBuf>,
}

/// What a report says of the solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The run passed.
    Passed,
    /// The solution did something wrong, or did not do in time what it had the time for.
    Failed,
    /// The run says nothing about the solution: on real threads it missed an expectation while other programs
    /// had the processors. To be run again on a quieter machine.
    Inconclusive,
}

/// Why a run did not pass. Its `Display` is its name in reports: `stack_overflow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A thread panicked.
    Panic,
    /// An expectation of the test was not met.
    Expectation,
    /// A rule was broken that holds in every test; [`Report::invariant`] names it.
    Invariant,
    /// Every thread waits and no timer is left.
    Deadlock,
    /// Threads kept running while the virtual clock stood still.
    Spin,
    /// The limit of virtual time was reached.
    VirtualTime,
    /// The limit of wall time was reached, or the process gave no sign of life for longer than that.
    RealTime,
    /// The limit of memory was reached.
    Memory,
    /// A thread did not come back to the runtime: an endless loop, or a call that blocks the OS thread.
    Blocked,
    /// Two runs with one seed differ.
    Determinism,
    /// The recorded history is not linearizable.
    History,
    /// Whether the recorded history is linearizable could not be found out.
    Undecided,
    /// Real threads only: a wall-time expectation was missed while the process was kept from the processors.
    /// The one kind whose verdict is [`Verdict::Inconclusive`].
    Starved,
    /// `lab` says so: ThreadSanitizer has found a data race.
    Race,
    /// `lab` says so: a thread overflowed its stack.
    StackOverflow,
    /// `lab` says so: the code under test ended the process (`std::process::exit`).
    Exit,
    /// `lab` says so: the process ended before the run did.
    Died,
    /// `lab` says so: the test binary writes reports of another [`VERSION`].
    Protocol,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

impl Report {
    /// What the report says of the solution.
    pub fn verdict(&self) -> Verdict {
        match (self.ok, self.kind) {
            (true, _) => Verdict::Passed,
            (false, Some(Kind::Starved)) => Verdict::Inconclusive,
            (false, _) => Verdict::Failed,
        }
    }

    /// Why the run did not pass, in one line: the broken rule or else the kind, and the message.
    pub fn reason(&self) -> String {
        let message = self.message.as_deref().unwrap_or("no reason given");
        match (&self.invariant, self.kind) {
            (Some(invariant), _) => format!("{invariant}: {message}"),
            (None, Some(kind)) => format!("{kind}: {message}"),
            (None, None) => message.to_owned(),
        }
    }
}

impl Kind {
    /// The name, as it stands in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Panic => "panic",
            Kind::Expectation => "expectation",
            Kind::Invariant => "invariant",
            Kind::Deadlock => "deadlock",
            Kind::Spin => "spin",
            Kind::VirtualTime => "virtual_time",
            Kind::RealTime => "real_time",
            Kind::Memory => "memory",
            Kind::Blocked => "blocked",
            Kind::Determinism => "determinism",
            Kind::History => "history",
            Kind::Undecided => "undecided",
            Kind::Starved => "starved",
            Kind::Race => "race",
            Kind::StackOverflow => "stack_overflow",
            Kind::Exit => "exit",
            Kind::Died => "died",
            Kind::Protocol => "protocol",
            Kind::Other => "other",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The JSON of a report, if the line holds one: everything behind the mark.
pub fn json_of(line: &[u8]) -> Option<&[u8]> {
    let mark = MARK.as_bytes();
    let is_report = |window: &[u8]| window.starts_with(mark) && window.ends_with(b"{");
    let at = line.windows(mark.len() + 1).position(is_report)?;
    Some(&line[at + mark.len()..])
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: Kind) -> Report {
        Report { test: "x".to_owned(), seed: 7, kind: Some(kind), ..Report::default() }
    }

    const KINDS: [Kind; 19] = [
        Kind::Panic,
        Kind::Expectation,
        Kind::Invariant,
        Kind::Deadlock,
        Kind::Spin,
        Kind::VirtualTime,
        Kind::RealTime,
        Kind::Memory,
        Kind::Blocked,
        Kind::Determinism,
        Kind::History,
        Kind::Undecided,
        Kind::Starved,
        Kind::Race,
        Kind::StackOverflow,
        Kind::Exit,
        Kind::Died,
        Kind::Protocol,
        Kind::Other,
    ];

    #[test]
    fn a_kind_has_one_name_in_json_and_in_words() {
        for kind in KINDS {
            assert_eq!(serde_json::to_string(&kind).unwrap_or_default(), format!("\"{kind}\""));
        }
    }

    #[test]
    fn a_report_that_is_written_and_read_is_the_same() {
        let report = Report {
            version: VERSION,
            hash: "0123456789abcdef".to_owned(),
            virtual_ns: 3,
            peers: 5,
            exercised: BTreeMap::from([("elections".to_owned(), 3), ("snapshots installed".to_owned(), 0)]),
            warnings: vec!["w".to_owned()],
            unwatched: vec!["u".to_owned()],
            message: Some("two\nlines".to_owned()),
            invariant: Some("ElectionSafety".to_owned()),
            stuck: true,
            picture: Some(PathBuf::from("page.html")),
            ..failed(Kind::Invariant)
        };
        let line = format!("{MARK}{}", serde_json::to_string(&report).unwrap_or_default());
        assert!(!line.contains('\n'), "{line}");
        let read = json_of(line.as_bytes()).map(serde_json::from_slice::<Report>);
        assert_eq!(read.and_then(Result::ok), Some(report));
    }

    #[test]
    fn an_unknown_kind_or_field_is_read_all_the_same() {
        let line = br#"{"version":9,"test":"x","seed":7,"ok":false,"kind":"of_tomorrow","shape":[1,2]}"#;
        let report: Result<Report, _> = serde_json::from_slice(line);
        let expected = Report { version: 9, ..failed(Kind::Other) };
        assert_eq!(report.ok(), Some(expected));
    }

    #[test]
    fn only_who_was_starved_is_inconclusive() {
        for kind in KINDS {
            let expected = if kind == Kind::Starved { Verdict::Inconclusive } else { Verdict::Failed };
            assert_eq!(failed(kind).verdict(), expected, "{kind}");
        }
        assert_eq!(Report { ok: true, ..Report::default() }.verdict(), Verdict::Passed);
    }

    #[test]
    fn the_rule_explains_better_than_the_kind() {
        let report = Report { message: Some("two leaders".to_owned()), ..failed(Kind::Panic) };
        assert_eq!(report.reason(), "panic: two leaders");
        let report = Report { invariant: Some("ElectionSafety".to_owned()), ..report };
        assert_eq!(report.reason(), "ElectionSafety: two leaders");
    }

    #[test]
    fn a_report_is_found_behind_other_output() {
        let json = json_of(b"test part_2a::x ... @lab {\"test\":1}\n");
        assert_eq!(json, Some(b"{\"test\":1}\n".as_slice()));
        assert_eq!(json_of(b"@lab and no report"), None);
        assert_eq!(json_of(b"@la"), None);
        assert_eq!(json_of(b""), None);
    }
}
