//! What is said about a seed: a line for `lab`, a line as the course prints it, or the story of a failure.

use super::Verdict;
use crate::failure::{Broken, Invariant};
use crate::test::Figures;
use labrt::{Failure, FailureKind, Stats};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// How a seed's run has ended. Serialised, it is what `lab` reads.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) test: &'static str,
    pub(crate) seed: u64,
    pub(crate) ok: bool,
    virtual_ns: u64,
    real_ns: u64,
    peers: usize,
    rpcs: u64,
    bytes: u64,
    commands: u64,
    hash: String,
    pub(crate) warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invariant: Option<Invariant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
    /// Where the picture of the history is.
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<PathBuf>,
    /// What was found out about the run after it, in lines.
    #[serde(skip)]
    evidence: String,
}

/// Why a run failed, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Panic,
    Expectation,
    Invariant,
    Deadlock,
    Spin,
    VirtualTime,
    RealTime,
    Memory,
    Blocked,
    Determinism,
    /// The recorded history is not linearizable.
    History,
    /// Whether it is, could not be found out.
    Undecided,
}

impl From<FailureKind> for Kind {
    fn from(kind: FailureKind) -> Kind {
        match kind {
            FailureKind::Panic => Kind::Panic,
            FailureKind::Deadlock => Kind::Deadlock,
            FailureKind::Spin => Kind::Spin,
            FailureKind::VirtualTime => Kind::VirtualTime,
            FailureKind::RealTime => Kind::RealTime,
            FailureKind::Memory => Kind::Memory,
            FailureKind::Stuck => Kind::Blocked,
        }
    }
}

impl Report {
    /// A run that passed.
    pub(crate) fn pass(test: &'static str, seed: u64, stats: &Stats, figures: Figures) -> Report {
        Report {
            test,
            seed,
            ok: true,
            virtual_ns: stats.virtual_time.as_nanos() as u64,
            real_ns: stats.real_time.as_nanos() as u64,
            peers: figures.peers,
            rpcs: figures.rpcs,
            bytes: figures.bytes,
            commands: figures.commands,
            hash: format!("{:016x}", stats.event_hash),
            warnings: Vec::new(),
            kind: None,
            message: None,
            invariant: None,
            report: None,
            picture: None,
            evidence: String::new(),
        }
    }

    /// Makes it the report of a failure.
    pub(crate) fn fail(mut self, kind: Kind, message: String) -> Report {
        self.ok = false;
        self.kind = Some(kind);
        self.message = Some(message);
        self
    }

    /// Makes it the report of a run that the runtime ended, perhaps because the test broke it off.
    pub(crate) fn fail_with(self, failure: &Failure, broken: Option<Broken>) -> Report {
        let mut report = match broken {
            Some(Broken { invariant: Some(invariant), message }) => {
                let mut report = self.fail(Kind::Invariant, message);
                report.invariant = Some(invariant);
                report
            }
            Some(Broken { message, .. }) => self.fail(Kind::Expectation, message),
            None => self.fail(failure.kind.into(), first_line(failure)),
        };
        report.virtual_ns = failure.at.as_nanos() as u64;
        report
    }

    /// Adds what was found out about the run after it. If the run itself was all right, that may be what fails it.
    pub(crate) fn find(
        mut self,
        wrong: Option<(Kind, String)>,
        words: &str,
        picture: Option<PathBuf>,
    ) -> Report {
        self.evidence.push_str(words);
        if let Some(path) = &picture {
            let _ = writeln!(self.evidence, "picture: {}", path.display());
        }
        self.picture = self.picture.or(picture);
        match wrong {
            Some((kind, message)) if self.ok => self.fail(kind, message),
            _ => self,
        }
    }

    /// Adds the story: what happened, what was expected, how to see it again.
    pub(crate) fn tell(mut self, story: &str, failure: Option<&Failure>, options: &str) -> Report {
        let Report { test, seed, .. } = self;
        let mut text = format!("\n{test} failed with seed {seed}{options}\n\n{story}\n");
        let message = self.message.as_deref().unwrap_or_default();
        match (self.invariant, self.kind) {
            (Some(invariant), _) => {
                let _ = writeln!(text, "broken invariant: {invariant}\n  {message}");
            }
            (None, Some(Kind::Expectation)) => {
                let _ = writeln!(text, "broken expectation:\n  {message}");
            }
            _ => {}
        }
        if let Some(failure) = failure {
            if matches!(self.kind, Some(Kind::Expectation | Kind::Invariant)) {
                let at = failure.at.as_secs_f64();
                let _ =
                    writeln!(text, "seen at {at:.6} s by thread `{}` of `{}`", failure.thread, failure.node);
            } else {
                let _ = writeln!(text, "{failure}");
            }
        }
        if !self.evidence.is_empty() {
            let gap = if text.ends_with("\n\n") { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{}", self.evidence);
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        let _ = writeln!(text, "replay it with: cargo lab replay {test} --seed {seed}{options}");
        self.report = Some(text);
        self
    }

    /// A run that never came back.
    pub(crate) fn of_stuck_run(test: &'static str, seed: u64, failure: &Failure) -> Report {
        let report = Report::pass(test, seed, &Stats::default(), Figures::default());
        report.fail_with(failure, None).tell("", Some(failure), "")
    }

    /// The worker's thread panicked.
    pub(crate) fn of_lost_worker(test: &'static str) -> Report {
        let report = Report::pass(test, 0, &Stats::default(), Figures::default());
        report.fail(Kind::Panic, "the thread that runs the seeds panicked".to_owned()).tell("", None, "")
    }

    /// Whether the process cannot go on after it.
    pub(crate) fn ends_process(&self) -> bool {
        self.kind == Some(Kind::Memory)
    }

    /// The line for `lab`.
    pub(crate) fn write_line(&self, lines: &mut String) {
        // Numbers, texts and lists of them can always be written.
        if let Ok(json) = serde_json::to_string(self) {
            let _ = writeln!(lines, "@lab {json}");
        }
    }

    pub(crate) fn into_verdict(self) -> Verdict {
        Verdict {
            ok: self.ok,
            invariant: self.invariant,
            text: if self.ok { self.passed() } else { self.text() },
            json: serde_json::to_string(&self).unwrap_or_default(),
            message: self.message.unwrap_or_default(),
        }
    }

    /// The story of a failure.
    pub(crate) fn text(&self) -> String {
        self.report.clone().unwrap_or_default()
    }

    /// The line of a success, with the course's figures.
    pub(crate) fn passed(&self) -> String {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let mut line = format!(
            "{}: passed, {:.1} s ({:.1} ms real), {} peers, {} RPCs, {} bytes, {} commands (seed {})\n",
            self.test,
            seconds(self.virtual_ns),
            seconds(self.real_ns) * 1e3,
            self.peers,
            self.rpcs,
            self.bytes,
            self.commands,
            self.seed
        );
        for warning in &self.warnings {
            let _ = writeln!(line, "  warning: {warning}");
        }
        line + self.report.as_deref().unwrap_or_default()
    }

    /// Adds the story of a success, for who asked for it.
    pub(crate) fn tell_success(mut self, story: String) -> Report {
        self.report = Some(story);
        self
    }
}

fn first_line(failure: &Failure) -> String {
    let line = failure.message.lines().next().unwrap_or_default();
    format!("{line} (thread `{}` of `{}`)", failure.thread, failure.node)
}
