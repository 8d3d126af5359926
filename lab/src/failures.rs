//! What failed, by signature: runs that failed in one way stand together, and the shortest of them is the one
//! to read first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use console::style;
use lab_terminal::{count, cut, width};
use labreport::Kind;
use serde::{Deserialize, Serialize};

use crate::catalogue::Test;
use crate::protocol::Report;
use crate::runner::World;
use crate::statistics::{clean_runs, wilson};
use crate::style::{replay_command, say};

/// How many ways to fail are listed.
const LISTED: usize = 5;

/// How many tests of one way are named.
const NAMED: usize = 3;

/// Runs that failed in one way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Group {
    /// The broken rule or the kind, and the message without its numbers.
    pub(crate) signature: String,
    /// A rule was broken that holds in every test.
    is_rule: bool,
    pub(crate) runs: u64,
    /// Which tests failed like this.
    pub(crate) tests: BTreeSet<String>,
    /// Of the run with the least virtual time.
    pub(crate) shortest: Shortest,
}

/// The run to read first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shortest {
    pub(crate) test: String,
    pub(crate) seed: u64,
    /// Virtual nanoseconds up to the failure.
    pub(crate) virtual_ns: u64,
    pub(crate) reason: String,
    /// What shows it again.
    pub(crate) replay: String,
    /// Where its whole report is.
    pub(crate) file: Option<PathBuf>,
}

impl Shortest {
    /// Where the run stands among those of its group. Tests run beside each other, so of runs that are
    /// equally short the first to end is another one each time: the name and the seed decide between them.
    fn rank(&self) -> (bool, u64, &str, u64) {
        // A run that died tells no time, and is not the shortest for that.
        (self.virtual_ns == 0, self.virtual_ns, &self.test, self.seed)
    }
}

/// One run that failed, as the journal of a campaign keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    signature: String,
    run: Shortest,
}

impl Failed {
    /// Of the report of a failure, whose whole text is in `file`.
    pub(crate) fn new(test: &Test, report: &Report, world: &World, file: Option<&Path>) -> Failed {
        let run = Shortest {
            test: test.name.clone(),
            seed: report.seed,
            virtual_ns: report.virtual_ns,
            reason: report.reason(),
            replay: replay_command(test, report.seed, world),
            file: file.map(Path::to_path_buf),
        };
        Failed { signature: signature(report), run }
    }
}

/// All that failed so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    groups: BTreeMap<String, Group>,
}

impl Failures {
    /// Counts a run that failed.
    pub(crate) fn add(&mut self, failed: &Failed) {
        let Failed { signature, run } = failed;
        let group = self.groups.entry(signature.clone()).or_insert_with(|| Group {
            signature: signature.clone(),
            is_rule: run.reason.starts_with(&format!("{signature}:")),
            runs: 0,
            tests: BTreeSet::new(),
            shortest: run.clone(),
        });
        group.runs += 1;
        group.tests.insert(run.test.clone());
        if run.rank() < group.shortest.rank() {
            group.shortest = run.clone();
        }
    }

    /// The ways to fail, the one to read first at the front: broken rules come before what follows from them,
    /// and short runs before long ones.
    pub(crate) fn groups(&self) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.values().collect();
        groups.sort_by_key(|group| {
            let vague = ["virtual_time", "real_time", "undecided"];
            let is_vague = vague.iter().any(|kind| group.signature.starts_with(kind));
            let rank = if group.is_rule { 0 } else { 1 + u8::from(is_vague) };
            (rank, group.shortest.rank())
        });
        groups
    }

    /// Prints the ways to fail, and which run to read first; returns that run. `total`: of how many.
    pub(crate) fn print(&self, total: u64, of: Of) -> Option<&Shortest> {
        let groups = self.groups();
        let failed: u64 = groups.iter().map(|group| group.runs).sum();
        let first = &groups.first()?.shortest;
        let what = if of == Of::Tests { "tests" } else { "runs" };
        say(&format!("\n{}", style(format!("what failed ({failed} of {total} {what})")).bold()));
        groups.iter().take(LISTED).for_each(|group| group.print(total, of));
        if groups.len() > LISTED {
            say(&format!("  and {} more", count(groups.len() - LISTED, "way")));
        }
        if of == Of::Runs {
            let (low, _) = wilson(failed, total);
            let say_so = match clean_runs(low) {
                1 => "1 clean run says so".to_owned(),
                clean => format!("{clean} clean runs in a row say so"),
            };
            say(&format!("  mended? {say_so} with a confidence of 99 %"));
        }
        say(&format!("{} {}", style("read first:").bold(), first.replay));
        // In two lines: the report has all of it.
        let room = width().map_or(usize::MAX, |width| (2 * width).saturating_sub(24));
        let moment = first.moment().map_or_else(String::new, |moment| format!("{moment}: "));
        say(&format!("    {moment}{}", cut(&first.reason, room)));
        if let Some(file) = &first.file {
            say(&format!("    its report: {}", file.display()));
        }
        Some(first)
    }
}

/// What is counted: runs of a campaign, or tests that ran once each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Runs,
    Tests,
}

impl Shortest {
    /// When it failed; None for a run that died, which tells no time.
    fn moment(&self) -> Option<String> {
        (self.virtual_ns > 0).then(|| format!("{:.2} s", self.virtual_ns as f64 / 1e9))
    }
}

impl Group {
    fn print(&self, total: u64, of: Of) {
        // Where a number or a text was, so that no one takes them for an empty text.
        let signature = self.signature.replace('#', "N").replace("\"\"", "\"…\"");
        let signature = style(signature).red();
        let Shortest { test, seed, .. } = &self.shortest;
        let moment = self.shortest.moment().map_or_else(String::new, |moment| format!(", {moment}"));
        match of {
            Of::Runs => {
                let share = 100.0 * self.runs as f64 / total.max(1) as f64;
                let (low, high) = wilson(self.runs, total);
                let (low, high) = (100.0 * low, 100.0 * high);
                let interval = format!("(95 %: {low:.1}–{high:.1} %)");
                say(&format!("  {:>4} × {share:.1} %  {signature}  {interval}", self.runs));
                say(&format!("      shortest: {test} seed {seed}{moment}"));
            }
            Of::Tests => {
                let tests = usize::try_from(self.runs).unwrap_or(usize::MAX);
                say(&format!("  {:>8}  {signature}", count(tests, "test")));
                say(&format!("      {test} seed {seed}{moment}"));
            }
        }
        let others: Vec<&str> = self.tests.iter().map(String::as_str).filter(|name| name != test).collect();
        let mut names = others.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        if others.len() > NAMED {
            names += &format!(" and {} more", others.len() - NAMED);
        }
        if !others.is_empty() {
            say(&format!("      also: {names}"));
        }
    }
}

/// What two failures have in common if they have one cause: the rule or the kind, and the words of the
/// message, without numbers and without what is quoted or bracketed.
pub(crate) fn signature(report: &Report) -> String {
    if report.kind == Some(Kind::Invariant)
        && let Some(rule) = &report.invariant
    {
        return rule.clone();
    }
    let mut words = String::new();
    let (mut in_number, mut in_quotes) = (false, false);
    // What a client read is data.
    for letter in report.reason().chars() {
        let is_digit = letter.is_ascii_digit();
        let is_quote = letter == '"';
        match (is_digit, in_quotes && !is_quote) {
            (_, true) => {}
            (false, _) => words.push(letter),
            (true, _) if !in_number => words.push('#'),
            (true, _) => {}
        }
        if is_quote {
            in_quotes = !in_quotes;
        }
        in_number = is_digit || (in_number && letter == '.');
    }
    for detail in ["…\"\"", " (# bytes)", " (# characters)"] {
        words = words.replace(detail, "");
    }
    words.chars().take(LONGEST).collect::<String>().trim().to_owned()
}

/// How many letters of a message make its signature.
const LONGEST: usize = 120;

/// Keeps the whole report of a run in this folder.
pub(crate) fn keep(folder: &Path, test: &Test, report: &Report, world: &World) -> io::Result<PathBuf> {
    // As pictures are named: with swarm the same seed is another run.
    let swarm = if world.flags(report.seed).contains("--swarm") { "-swarm" } else { "" };
    let path = folder.join(format!("{}-seed-{}{swarm}.txt", test.name, report.seed));
    let text = format!(
        "{} seed {}\n{}\nreplay: {}\n\n{}\n",
        test.name,
        report.seed,
        if report.ok { "passed".to_owned() } else { report.reason() },
        replay_command(test, report.seed, world),
        report.report.as_deref().unwrap_or_default().trim_end()
    );
    fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).map(|()| path)
}

/// The report in the text of a file that [`keep`] has written.
pub(crate) fn report_in(text: &str) -> &str {
    text.split_once("\n\n").map_or("", |(_, report)| report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kind: Kind, message: &str) -> Report {
        Report { kind: Some(kind), message: Some(message.to_owned()), ..Report::default() }
    }

    #[test]
    fn numbers_do_not_make_another_failure() {
        let first = report(Kind::Expectation, "one(x7) failed to agree within 10.5 s at index 31");
        let second = report(Kind::Expectation, "one(x9) failed to agree within 10.5 s at index 4");
        assert_eq!(signature(&first), signature(&second));
        let read = |what: &str| {
            signature(&report(Kind::Expectation, &format!("append \"x 1\" is there twice in {what}")))
        };
        assert_eq!(read("\"x 1x 1\""), read("\"x 1x\"…\"1\" (382 bytes)"));
        assert_ne!(
            signature(&first),
            signature(&report(Kind::Panic, "one(x7) failed to agree within 10.5 s at index 31"))
        );
    }

    #[test]
    fn a_broken_rule_is_its_own_signature() {
        let mut broken = report(Kind::Invariant, "servers 1 and 2 both lead term 3");
        broken.invariant = Some("ElectionSafety".to_owned());
        assert_eq!(signature(&broken), "ElectionSafety");
    }

    /// Tests run beside each other: which of two equally short runs ends first is chance.
    #[test]
    fn the_run_to_read_first_does_not_depend_on_which_ended_first() {
        let failed = |seed: u64| Failed {
            signature: "ElectionSafety".to_owned(),
            run: Shortest {
                test: "fails_1c".to_owned(),
                seed,
                virtual_ns: 7,
                reason: String::new(),
                replay: String::new(),
                file: None,
            },
        };
        for order in [[0, 10, 20], [10, 0, 20], [20, 10, 0]] {
            let mut failures = Failures::default();
            for seed in order {
                failures.add(&failed(seed));
            }
            assert_eq!(failures.groups()[0].shortest.seed, 0, "{order:?}");
        }
    }
}
