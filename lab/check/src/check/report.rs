//! What is said of a history: a line and a story for people, an object for programs.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use console::{Term, style};
use linearize::words::{self, span};
use linearize::{Explanation, History, Limit, Model, Progress, Undecided, Verdict, text};
use serde_json::{Value, json};

use super::Subject;
use super::source::{Refusal, Source};
use crate::Outcome;
use crate::style::{clean, count};

/// How wide a story is if it is not for a terminal.
const WIDTH: usize = 120;

/// How far a story is indented, as in `cargo lab test`.
const INDENT: &str = "    ";

/// The verdict on one history, and what belongs to it.
pub(super) struct Finding<'a, M: Model> {
    pub(super) subject: Subject<'a>,
    pub(super) model: &'a M,
    pub(super) history: &'a History<M::Op, M::Result>,
    pub(super) verdict: &'a Verdict,
    /// How long it took to find it.
    pub(super) checking: Duration,
    /// The page that was written.
    pub(super) page: Option<PathBuf>,
}

impl<M: Model> Finding<'_, M> {
    /// The line, and below it what there is to say of a history that is not linearizable.
    pub(super) fn text(&self) -> String {
        let word = match self.verdict {
            Verdict::Linearizable(_) if !self.history.is_observed() => {
                style("NOTHING WAS OBSERVED").yellow().bold()
            }
            Verdict::Linearizable(_) => style("linearizable").green(),
            Verdict::NotLinearizable(_) => style("NOT LINEARIZABLE").red().bold(),
            Verdict::Unknown(_) => style("UNKNOWN").yellow().bold(),
        };
        let Subject { source, failed, keys, reading, recorded, guessed, .. } = &self.subject;
        let name = clean(&source.name());
        let (mut operations, keys) = (count(self.history.len(), "operation"), count(*keys, "key"));
        if *failed > 0 {
            operations += &format!(" without {failed} that failed");
        }
        let (reading, checking) = (span(nanoseconds(*reading)), span(nanoseconds(self.checking)));
        let mut out =
            format!("{name} ... {word} -- {operations}, {keys}, read in {reading}, checked in {checking}");
        if *guessed {
            out += &format!(", model {}, by its functions (--model)", recorded.name());
        }
        out.push('\n');
        if !self.verdict.is_linearizable() || !self.history.is_observed() {
            out += &self.story();
        }
        if let Some(page) = &self.page {
            out += &format!("{INDENT}page: {}\n", clean(&page.to_string_lossy()));
        }
        out
    }

    /// The explanation, and the operations as lanes.
    fn story(&self) -> String {
        let width = Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| usize::from(columns));
        let width = width.saturating_sub(INDENT.len());
        let mut story = text::render(self.model, self.history, self.verdict, &self.subject.faults, width);
        if let Verdict::Unknown(undecided) = self.verdict {
            story += &format!("a higher {} may decide it\n", flag(undecided.limit));
        }
        let indented =
            |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{INDENT}{line}\n") };
        story.lines().map(indented).collect()
    }

    /// A line with an object of JSON.
    pub(super) fn json(&self) -> String {
        let mut object = json!({
            "file": self.subject.source.name(),
            "verdict": match self.verdict {
                Verdict::Linearizable(_) if !self.history.is_observed() => "nothing was observed",
                Verdict::Linearizable(_) => "linearizable",
                Verdict::NotLinearizable(_) => "not linearizable",
                Verdict::Unknown(_) => "unknown",
            },
            "model": self.subject.recorded.name(),
            "model_guessed": self.subject.guessed,
            "operations": self.history.len(),
            "failed": self.subject.failed,
            "keys": self.subject.keys,
            "read_ns": nanoseconds(self.subject.reading),
            "check_ns": nanoseconds(self.checking),
        });
        match self.verdict {
            Verdict::Linearizable(_) => {}
            Verdict::NotLinearizable(explanation) => object["explanation"] = self.explanation(explanation),
            Verdict::Unknown(undecided) => object["undecided"] = self.undecided(undecided),
        }
        if let Some(page) = &self.page {
            object["page"] = json!(page.to_string_lossy());
        }
        line(&object)
    }

    /// As `linearize` tells it, with the operations in place of their indices.
    fn explanation(&self, explanation: &Explanation) -> Value {
        let mut object = explanation.to_json();
        let all = |indices: &[usize]| indices.iter().map(|&index| self.operation(index)).collect::<Value>();
        object["operations"] = all(&explanation.operations);
        object["context"] = all(&explanation.context);
        if let Some(fields) = object.as_object_mut() {
            // It stands beside the explanation already.
            fields.remove("verdict");
        }
        object
    }

    fn undecided(&self, undecided: &Undecided) -> Value {
        json!({
            "key": undecided.key,
            "limit": flag(undecided.limit),
            "states": undecided.states,
            "reached": self.operation(undecided.reached),
            "operations": undecided.operations,
        })
    }

    /// What the clock of the file said.
    fn time(&self, time: u64) -> Value {
        let time = self.history.recorded_time(time);
        // JSON has no larger numbers than these two types.
        i64::try_from(time).map_or_else(|_| json!(u64::try_from(time).ok()), |time| json!(time))
    }

    fn operation(&self, index: usize) -> Value {
        let operation = &self.history[index];
        let result =
            operation.result.as_ref().map(|result| self.model.describe_result(&operation.op, result));
        json!({
            "index": index,
            "client": operation.client,
            "operation": self.model.describe_op(&operation.op),
            "result": result,
            "call": self.time(operation.call),
            "return": operation.returned().map(|time| self.time(time)),
        })
    }
}

/// What `--json` says of a file without a verdict: it could not be read, or records something else than was
/// demanded.
pub(super) fn refusal(source: &Source, refusal: &Refusal) -> String {
    line(&json!({
        "file": source.name(),
        "verdict": "unreadable",
        "line": refusal.line,
        "error": refusal.text,
    }))
}

/// JSON in one line, in which no character steers a terminal. `serde_json` escapes only those that JSON
/// forbids.
fn line(object: &Value) -> String {
    let mut out = String::new();
    for character in object.to_string().chars() {
        if words::steers(character) {
            let mut units = [0; 2];
            out.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(character);
        }
    }
    out.push('\n');
    out
}

/// The flag that raises a limit.
fn flag(limit: Limit) -> &'static str {
    match limit {
        Limit::States => "--max-states",
        Limit::Memory => "--max-memory",
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What there is to say of a check that is going on and visits at most so many states for each key.
pub(super) fn how_far(progress: &Progress, most: u64) -> String {
    let keys = progress.partitions();
    let states = visited(progress.states(), most, keys);
    format!("{} of {} decided{states}", progress.partitions_done(), count(keys as usize, "key"))
}

/// How many states were visited, of how many. The states of all keys are counted together, and the bound is
/// one for each.
fn visited(states: u64, most: u64, keys: u64) -> String {
    let (done, most) = (states as f64 / 1e6, most as f64 / 1e6);
    match (states, keys) {
        (0, _) => String::new(),
        (_, 0 | 1) => format!(", {done:.1} of at most {most} million states"),
        _ => format!(", {done:.1} million states, at most {most} million for a key"),
    }
}

/// How many histories got which verdict.
#[derive(Debug, Default)]
pub(super) struct Tally {
    linearizable: usize,
    not_linearizable: usize,
    unknown: usize,
    /// Of histories in which nothing returned.
    unobserved: usize,
    /// What could not be done: files that could not be read, pages that could not be written.
    pub(super) refused: usize,
}

impl Tally {
    /// Counts a verdict.
    pub(super) fn add(&mut self, verdict: &Verdict, observed: bool) {
        match verdict {
            Verdict::Linearizable(_) if !observed => self.unobserved += 1,
            Verdict::Linearizable(_) => self.linearizable += 1,
            Verdict::NotLinearizable(_) => self.not_linearizable += 1,
            Verdict::Unknown(_) => self.unknown += 1,
        }
    }

    /// How the command ends. What could not be done comes first: then not all that was asked was answered.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Tally { refused: 1.., .. } => Outcome::CouldNotRun,
            Tally { not_linearizable: 1.., .. } => Outcome::Failed,
            Tally { unknown: 1.., .. } | Tally { unobserved: 1.., .. } => Outcome::Unknown,
            Tally { .. } => Outcome::Passed,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.linearizable, "linearizable"),
            (self.not_linearizable, "not linearizable"),
            (self.unknown, "unknown"),
            (self.unobserved, "nothing was observed"),
            (self.refused, if self.refused == 1 { "error" } else { "errors" }),
        ];
        let said = words.iter().filter(|(number, _)| *number > 0);
        f.write_str(&said.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_json_steers_a_terminal_and_all_can_be_read_back() {
        let nasty = "\u{1b}[31m \u{9b}2J \u{202e}abc \u{7f} \u{feff} <b>é😀";
        let text = line(&json!({ "key": nasty }));
        assert!(!text.trim_end().chars().any(words::steers), "{text:?}");
        let back: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(back["key"], nasty);
    }

    #[test]
    fn progress_names_the_bound() {
        assert_eq!(visited(0, 20_000_000, 1), "");
        assert_eq!(visited(700_000, 20_000_000, 1), ", 0.7 of at most 20 million states");
        assert_eq!(visited(700_000, 500_000, 3), ", 0.7 million states, at most 0.5 million for a key");
    }

    #[test]
    fn what_could_not_be_done_outweighs_what_was_found() {
        let tally = |not_linearizable, unknown, refused| {
            Tally { linearizable: 1, not_linearizable, unknown, unobserved: 0, refused }.outcome()
        };
        assert_eq!(tally(0, 0, 0), Outcome::Passed);
        assert_eq!(tally(0, 1, 0), Outcome::Unknown);
        assert_eq!(tally(1, 1, 0), Outcome::Failed);
        assert_eq!(tally(1, 1, 1), Outcome::CouldNotRun);
    }
}
