//! The report of a seed: a line for `lab`, a line as the course prints it, or the story of a failure.

use std::fmt::Write;
use std::path::PathBuf;

use labreport::Kind;
use labreport::VERSION;
use labrt::{Failure, FailureKind, Stats};

use super::Verdict;
use super::channel::Reports;
use super::plan::Plan;
use crate::failure::{Broken, Invariant};
use crate::knobs::Knobs;
use crate::stall;
use crate::test::Figures;

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
            steps: stats.steps,
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

    /// Time was over, but what was expected in it and did not come tells more.
    pub(crate) fn blame(self, broken: Option<String>) -> Report {
        match broken {
            Some(message) if self.is_out_of_time() => self.fail(Kind::Expectation, message),
            _ => self,
        }
    }

    /// Whether a limit of time ended the run, and nothing better is known about it.
    pub(crate) fn is_out_of_time(&self) -> bool {
        matches!(self.line.kind, Some(Kind::VirtualTime | Kind::RealTime))
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
            None => {
                let mut report = self.fail(kind_of(failure.kind), first_line(failure));
                report.line.place.clone_from(&failure.location);
                report
            }
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

    /// Adds what is known besides the story, in lines: what each server knew, where the whole story is.
    pub(crate) fn add(mut self, lines: &[String]) -> Report {
        for line in lines {
            self.evidence.push_str(line);
            self.evidence.push('\n');
        }
        self
    }

    /// Adds the story: what happened, what was expected, how to see it again.
    pub(crate) fn tell(mut self, story: &str, failure: Option<&Failure>, plan: &Plan) -> Report {
        let labreport::Report { test, seed, kind, message, .. } = &self.line;
        let options = plan.options(*seed);
        let how =
            if self.line.verdict() == labreport::Verdict::Failed { "failed" } else { "is inconclusive" };
        let mut text = format!("\n{test} {how} with seed {seed}{options}\n");
        let drawn = if plan.swarm.has(*seed) { Knobs::draw(*seed).words() } else { String::new() };
        if !drawn.is_empty() {
            let _ = writeln!(text, "the seed has also drawn: {drawn}");
        }
        let _ = write!(text, "\n{story}\n");
        let message = message.as_deref().unwrap_or_default();
        match (self.invariant, kind) {
            (Some(invariant), _) => {
                let _ = writeln!(text, "broken invariant: {invariant}\n  {message}");
                let _ = writeln!(text, "  the rule: {}", invariant.words());
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
            let is_of_test = matches!(kind, Some(Kind::Expectation | Kind::Invariant | Kind::Starved));
            if is_of_test && !is_limit(failure) {
                let at = failure.at.as_secs_f64();
                let _ =
                    writeln!(text, "seen at {at:.6} s by thread `{}` of `{}`", failure.thread, failure.node);
            } else {
                let _ = writeln!(text, "{}", words_of(failure));
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
        // `lab` says it itself, with the options that only it knows.
        if plan.reports == Reports::Nobody {
            let _ = writeln!(text, "replay it with: cargo lab replay {test} --seed {seed}{options}");
        }
        self.line.report = Some(wrap(&text, plan.width));
        self
    }

    /// A run that never came back, with its story so far.
    pub(crate) fn of_stuck_run(plan: &Plan, seed: u64, failure: &Failure, story: &str) -> Report {
        let report = Report::pass(plan.test, seed, &Stats::default(), Figures::default());
        report.fail_with(failure, None).tell(story, Some(failure), plan).stuck()
    }

    /// The worker's thread panicked while it was at this seed.
    pub(crate) fn of_lost_worker(plan: &Plan, seed: u64, why: &str) -> Report {
        let report = Report::pass(plan.test, seed, &Stats::default(), Figures::default());
        let message = format!(
            "the thread that runs the seeds panicked, before a run or after it (in a destructor?): {why}"
        );
        report.fail(Kind::Panic, message).tell("", None, plan).stuck()
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
        // Not every test counts commands.
        let commands = match self.line.commands {
            0 => String::new(),
            commands => format!(", {commands} commands"),
        };
        let mut line = format!(
            "{}: passed, {:.1} s ({:.1} ms real), {} peers, {} RPCs, {} bytes{commands} (seed {})\n",
            self.line.test,
            seconds(self.line.virtual_ns),
            seconds(self.line.real_ns) * 1e3,
            self.line.peers,
            self.line.rpcs,
            self.line.bytes,
            self.line.seed
        );
        if !self.line.exercised.is_empty() {
            let met = self.line.exercised.iter().map(|(situation, times)| format!("{situation} {times}"));
            let _ = writeln!(line, "  exercised: {}", met.collect::<Vec<_>>().join(", "));
        }
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

/// Whether the runtime ended the run at a limit of time.
pub(crate) fn is_limit(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::VirtualTime | FailureKind::RealTime)
}

/// A failure of the runtime's, with frames of the solution only.
fn words_of(failure: &Failure) -> String {
    let mut failure = located(failure);
    failure.backtrace = failure.backtrace.as_deref().map(own_frames);
    // What was due is told apart: of all threads that wait, those that matter have room beside it.
    if is_limit(&failure)
        && let Some((message, threads)) = failure.message.split_once('\n')
    {
        failure.message = format!("{message}\n{}", stall::lines_of(threads).join("\n"));
    }
    failure.to_string()
}

/// The failure of a thread that never came back, with the innermost line of the solution where it is.
fn located(failure: &Failure) -> Failure {
    let place = || failure.backtrace.as_deref().and_then(own_place);
    Failure { location: failure.location.clone().or_else(place), ..failure.clone() }
}

/// A piece of a backtrace: a frame, or the heading of a thread.
fn pieces(trace: &str) -> Vec<Vec<&str>> {
    let mut pieces: Vec<Vec<&str>> = Vec::new();
    for line in trace.lines() {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let begins = line.trim_start().split_once(':').is_some_and(|(number, _)| is_number(number));
        match pieces.last_mut() {
            Some(piece) if !begins && !is_heading(line) => piece.push(line),
            _ => pieces.push(vec![line]),
        }
    }
    pieces
}

/// Whether a line says whose frames follow: where several threads are told of.
fn is_heading(line: &str) -> bool {
    line.starts_with('`') && line.ends_with(':')
}

/// A backtrace without the frames of std, the runtime and the tester. Of a solution that is built without
/// lines these are the frames within the outermost call of std. If nothing is left, all of it.
fn own_frames(trace: &str) -> String {
    let pieces = pieces(trace);
    let mut own: Vec<&Vec<&str>> =
        pieces.iter().filter(|piece| is_own(piece) || is_heading(piece[0])).collect();
    if !own.iter().any(|piece| is_own(piece)) {
        own = pieces.iter().take_while(|piece| place_of(piece).is_none() && !is_of_std(piece)).collect();
        if own.is_empty() {
            return trace.to_owned();
        }
    }
    let left_out = pieces.len() - own.len();
    let text: Vec<&str> = own.into_iter().flatten().copied().collect();
    format!("{}\n  ({left_out} frames of std, runtime and tester left out)", text.join("\n"))
}

/// Whether a frame without a place is of std, by its name.
fn is_of_std(frame: &[&str]) -> bool {
    let name = frame[0].split_once(": ").map_or("", |(_, name)| name);
    ["std::", "core::", "alloc::", "labrt::"]
        .iter()
        .any(|part| name.trim_start_matches('<').starts_with(part))
}

/// File and line of the innermost frame of the solution or of a test.
fn own_place(trace: &str) -> Option<String> {
    let pieces = pieces(trace);
    let innermost = pieces.iter().find(|piece| is_own(piece))?;
    place_of(innermost).map(str::to_owned)
}

fn place_of<'a>(frame: &[&'a str]) -> Option<&'a str> {
    frame.iter().find_map(|line| line.trim_start().strip_prefix("at "))
}

/// Whether a frame's place, which stands in its second line, is in the solution or in a test.
fn is_own(frame: &[&str]) -> bool {
    let foreign = [
        "/rustc/",
        "/registry/",
        "labrt/",
        "labrpc/",
        "labgob/",
        "labapi/",
        "tester/src/",
        "/library/",
        "linearize/",
    ];
    // The C library's frames have places, too.
    place_of(frame)
        .is_some_and(|place| place.contains(".rs:") && !foreign.iter().any(|part| place.contains(part)))
}

/// A text whose lines are no longer than `width`. Story and pictures are laid out already; what is broken
/// here are messages.
pub(crate) fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::new();
    for line in text.lines() {
        let indent = line.chars().take_while(|letter| *letter == ' ').count();
        let deeper = " ".repeat((indent + 2).min(width / 2));
        let letters: Vec<char> = line.chars().collect();
        // A message may have a million letters in one line: none of them is moved.
        let (mut rest, mut margin) = (letters.as_slice(), "");
        while margin.len() + rest.len() > width {
            let room = width - margin.len();
            // Not within the indentation, which would break for ever.
            let is_behind_it = |at: &usize| margin.len() + *at > indent.max(deeper.len());
            let last = |letter: char, before: usize| rest[..before].iter().rposition(|one| *one == letter);
            let blank = last(' ', room + 1).filter(is_behind_it);
            // A path is longer than a line now and then: it is broken between its names.
            let slash = last('/', room).map(|at| at + 1).filter(is_behind_it);
            let (head, tail) = rest.split_at(blank.or(slash).unwrap_or(room));
            wrapped.push_str(margin);
            wrapped.extend(head);
            wrapped.push('\n');
            let blanks = tail.iter().take_while(|letter| **letter == ' ').count();
            (rest, margin) = (&tail[blanks..], &deeper);
        }
        wrapped.push_str(margin);
        wrapped.extend(rest);
        wrapped.push('\n');
    }
    wrapped
}

fn first_line(failure: &Failure) -> String {
    let line = failure.message.lines().next().unwrap_or_default();
    // The message of a panic says what is wrong. Of a thread that never came back only the place does.
    let place = if failure.kind == FailureKind::Stuck { located(failure).location } else { None };
    let place = place.map_or_else(String::new, |place| format!(" at {place}"));
    format!("{line} (thread `{}` of `{}`{place})", failure.thread, failure.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_longer_than_a_line_is_broken_between_its_names() {
        let text = wrap("the story: /home/alice/labs/target/pictures/backup.txt", 24);
        assert_eq!(text, "the story:\n  /home/alice/labs/\n  target/pictures/\n  backup.txt\n");
        assert_eq!(wrap("/abcdefgh", 4), "/abc\n  de\n  fg\n  h\n");
    }

    #[test]
    fn a_backtrace_shows_the_solutions_frames() {
        let trace = "   0: std::panicking::begin\n             at /rustc/x.rs:1\n   1: raft::vote::grant\n             \
                     at ./src/vote.rs:7\n   2: labrt::sim::drive\n             at ./labrt/src/sim/drive.rs:9";
        let own = own_frames(trace);
        assert!(
            own.contains("raft::vote::grant") && own.contains("vote.rs:7") && own.contains("2 frames"),
            "{own}"
        );
        assert!(!own.contains("labrt") && !own.contains("panicking"), "{own}");
        assert_eq!(own_frames("   0: std::x\n"), "   0: std::x\n");
        assert_eq!(own_place(trace).as_deref(), Some("./src/vote.rs:7"));
    }

    #[test]
    fn a_backtrace_without_lines_shows_what_std_did_not_call() {
        let trace = "   0: raft::compute\n   1: raft::Raft::make::{{closure}}\n   2: core::ops::FnOnce::call_once\n   3: {closure#1}\n             at labrt/src/sim/drive.rs:40";
        let own = own_frames(trace);
        assert!(own.contains("raft::compute") && own.contains("make::{{closure}}"), "{own}");
        assert!(
            own.contains("(2 frames") && !own.contains("call_once") && !own.contains("drive.rs"),
            "{own}"
        );
    }

    #[test]
    fn a_backtrace_of_several_threads_says_whose_frames_are_whose() {
        let trace = "`main` of `main`:\n   0: futex\n             at /rustc/x.rs:1\n`ticker` of `server-1`:\n   \
                     0: raft::tick\n             at raft/src/tick.rs:7";
        let own = own_frames(&format!("{trace}\n   9: clone3\n             at ./misc/clone3.S:81"));
        assert!(own.starts_with("`main` of `main`:\n`ticker` of `server-1`:\n   0: raft::tick\n"), "{own}");
        assert!(!own.contains("futex") && own.contains("(2 frames") && !own.contains("clone3"), "{own}");
        assert_eq!(own_place(trace).as_deref(), Some("raft/src/tick.rs:7"));
    }

    #[test]
    fn lines_break_at_the_width() {
        let text = wrap("  a message of several words that is long\nwithoutanyblankinalltheletters", 20);
        assert!(text.lines().all(|line| line.chars().count() <= 20), "{text}");
        assert!(text.starts_with("  a message of\n    several words\n"), "{text}");
    }
}
