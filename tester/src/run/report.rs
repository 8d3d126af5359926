//! The report of a seed: a line for `lab`, a line as the course prints it, or the story of a failure.

use super::Verdict;
use crate::failure::{Broken, Invariant};
use crate::test::Figures;
pub(crate) use labreport::Kind;
use std::fmt::Write;
use std::path::PathBuf;

use labreport::VERSION;
use labrt::{Failure, FailureKind, Stats};

/// How a seed's run has ended.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// What `lab` reads.
    pub(crate) line: labreport::Report,
    invariant: Option<Invariant>,
    /// What was found out about the run after it, in lines.
    evidence: String,
}

fn kind_of(kind: FailureKind) -> Kind {
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

impl Report {
    /// A run that passed.
    pub(crate) fn pass(test: &'static str, seed: u64, stats: &Stats, figures: Figures) -> Report {
        let line = labreport::Report {
            version: VERSION,
            test: test.to_owned(),
            seed,
            ok: true,
            virtual_ns: stats.virtual_time.as_nanos() as u64,
            real_ns: stats.real_time.as_nanos() as u64,
            peers: figures.peers as u64,
            rpcs: figures.rpcs,
            bytes: figures.bytes,
            commands: figures.commands,
            hash: format!("{:016x}", stats.event_hash),
            ..labreport::Report::default()
        };
        Report { line, invariant: None, evidence: String::new() }
    }

    /// Makes it the report of a failure.
    pub(crate) fn fail(mut self, kind: Kind, message: String) -> Report {
        self.line.ok = false;
        self.line.kind = Some(kind);
        self.line.message = Some(message);
        self
    }

    pub(crate) fn ok(&self) -> bool {
        self.line.ok
    }

    /// Makes it the report of a run that the runtime ended, perhaps because the test broke it off.
    pub(crate) fn fail_with(self, failure: &Failure, broken: Option<Broken>) -> Report {
        let mut report = match broken {
            Some(Broken { invariant: Some(invariant), message }) => {
                let mut report = self.fail(Kind::Invariant, message);
                report.invariant = Some(invariant);
                report.line.invariant = Some(invariant.to_string());
                report
            }
            Some(Broken { message, .. }) => self.fail(Kind::Expectation, message),
            None => self.fail(kind_of(failure.kind), first_line(failure)),
        };
        report.line.virtual_ns = failure.at.as_nanos() as u64;
        report
    }

    /// The run was starved, as `measured` tells. What it missed on the wall clock says nothing then.
    pub(crate) fn excuse(self, measured: &str) -> Report {
        match self.line.kind {
            Some(Kind::Expectation | Kind::VirtualTime | Kind::RealTime) => {
                let missed = self.line.message.clone().unwrap_or_default();
                let message =
                    format!("inconclusive, for other programs had the processors ({measured}): {missed}");
                self.fail(Kind::Starved, message)
            }
            _ => self,
        }
    }

    /// Adds what was found out about the run after it. If the run itself was all right, that may be what
    /// fails it.
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
        self.line.picture = self.line.picture.or(picture);
        match wrong {
            Some((kind, message)) if self.line.ok => self.fail(kind, message),
            _ => self,
        }
    }

    /// Adds the story: what happened, what was expected, how to see it again.
    pub(crate) fn tell(mut self, story: &str, failure: Option<&Failure>, options: &str) -> Report {
        let labreport::Report { test, seed, kind, message, .. } = &self.line;
        let how =
            if self.line.verdict() == labreport::Verdict::Failed { "failed" } else { "is inconclusive" };
        let mut text = format!("\n{test} {how} with seed {seed}{options}\n\n{story}\n");
        let message = message.as_deref().unwrap_or_default();
        match (self.invariant, kind) {
            (Some(invariant), _) => {
                let _ = writeln!(text, "broken invariant: {invariant}\n  {message}");
            }
            (None, Some(Kind::Starved)) => {
                let _ = writeln!(text, "starved:\n  {message}");
            }
            (None, Some(Kind::Expectation)) => {
                let _ = writeln!(text, "broken expectation:\n  {message}");
            }
            _ => {}
        }
        if let Some(failure) = failure {
            if matches!(kind, Some(Kind::Expectation | Kind::Invariant | Kind::Starved)) {
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
        for warning in &self.line.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        for what in &self.line.unwatched {
            let _ = writeln!(text, "not watched: {what}");
        }
        let _ = writeln!(text, "replay it with: cargo lab replay {test} --seed {seed}{options}");
        self.line.report = Some(text);
        self
    }

    /// A run that never came back. `options` as for [`Report::tell`].
    pub(crate) fn of_stuck_run(test: &'static str, seed: u64, failure: &Failure, options: &str) -> Report {
        let report = Report::pass(test, seed, &Stats::default(), Figures::default());
        report.fail_with(failure, None).tell("", Some(failure), options).stuck()
    }

    /// The worker's thread panicked while it was at this seed.
    pub(crate) fn of_lost_worker(test: &'static str, seed: u64, options: &str) -> Report {
        let report = Report::pass(test, seed, &Stats::default(), Figures::default());
        let message = "the thread that runs the seeds panicked".to_owned();
        report.fail(Kind::Panic, message).tell("", None, options).stuck()
    }

    /// No other seed comes behind this one.
    fn stuck(mut self) -> Report {
        self.line.stuck = true;
        // The run did not get to its end, so there is no hash of it.
        self.line.hash.clear();
        self
    }

    /// Whether the process cannot go on after it, so that other tests in it do not run, either.
    pub(crate) fn ends_process(&self) -> bool {
        self.line.kind == Some(Kind::Memory)
    }

    /// The line for `lab`.
    pub(crate) fn write_line(&self, lines: &mut String) {
        // Numbers, texts and lists of them can always be written.
        if let Ok(json) = serde_json::to_string(&self.line) {
            let _ = writeln!(lines, "{}{json}", labreport::MARK);
        }
    }

    pub(crate) fn into_verdict(self) -> Verdict {
        Verdict {
            ok: self.line.ok,
            invariant: self.invariant,
            text: if self.line.ok { self.passed() } else { self.text() },
            message: self.line.message.clone().unwrap_or_default(),
            report: self.line,
        }
    }

    /// The story of a failure.
    pub(crate) fn text(&self) -> String {
        self.line.report.clone().unwrap_or_default()
    }

    /// The line of a success, with the course's figures.
    pub(crate) fn passed(&self) -> String {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let mut line = format!(
            "{}: passed, {:.1} s ({:.1} ms real), {} peers, {} RPCs, {} bytes, {} commands (seed {})\n",
            self.line.test,
            seconds(self.line.virtual_ns),
            seconds(self.line.real_ns) * 1e3,
            self.line.peers,
            self.line.rpcs,
            self.line.bytes,
            self.line.commands,
            self.line.seed
        );
        for warning in &self.line.warnings {
            let _ = writeln!(line, "  warning: {warning}");
        }
        for what in &self.line.unwatched {
            let _ = writeln!(line, "  not watched: {what}");
        }
        line + self.line.report.as_deref().unwrap_or_default()
    }

    /// Adds the story of a success (`LAB_STORY=1`).
    pub(crate) fn tell_success(mut self, story: String) -> Report {
        self.line.report = Some(story);
        self
    }
}

fn first_line(failure: &Failure) -> String {
    let line = failure.message.lines().next().unwrap_or_default();
    format!("{line} (thread `{}` of `{}`)", failure.thread, failure.node)
}
