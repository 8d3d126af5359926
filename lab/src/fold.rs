//! Where more tests run than a screen has rows, the tests of a part that have nothing to tell share a line,
//! so that what failed, and what to read first, stay in sight.

use std::collections::BTreeMap;
use std::time::Duration;

use console::style;
use lab_terminal::{count, duration, height, width};
use labreport::Verdict;

use crate::catalogue::{Catalogue, Test};
use crate::protocol::Report;
use crate::runner::World;
use crate::style::with_figures;
use crate::unwritten::unwritten;

/// More tests than this share lines on any screen: the report of a failure, and the list of all failures,
/// must have room below them.
const MOST: usize = 30;

/// How many tests that failed have a line of their own.
const FAILED_LINES: usize = 10;

/// How many of the others are named.
const NAMED: usize = 6;

/// How many remarks on single tests are told at the end.
const REMARKS: usize = 3;

/// The results that have no line of their own.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    is_on: bool,
    threads: bool,
    /// Of each lab and part.
    titles: BTreeMap<(String, String), String>,
    part: Option<Part>,
    /// How many tests that failed had a line of their own.
    told: usize,
    /// What runs that passed warned of, and which tests.
    warnings: BTreeMap<String, Vec<String>>,
    /// On tests that passed.
    remarks: Vec<String>,
}

/// A part whose tests come in.
#[derive(Debug, Default)]
struct Part {
    lab: String,
    name: String,
    tests: usize,
    passed: usize,
    unwritten: usize,
    inconclusive: usize,
    failed: usize,
    /// Those that failed and have no line of their own.
    untold: Vec<String>,
    virtual_time: Duration,
    real_time: Duration,
    rpcs: u64,
}

impl Fold {
    /// For so many tests. `each`: every test has a line of its own, as the user wishes.
    pub(crate) fn new(catalogue: &Catalogue, tests: usize, world: &World, each: bool) -> Fold {
        let is_on = !each && height().is_some_and(|rows| tests > rows.min(MOST));
        let parts = catalogue.labs.iter().flat_map(|lab| lab.parts.iter().map(move |part| (lab, part)));
        let titles =
            parts.map(|(lab, part)| ((lab.name.clone(), part.name.clone()), part.title.clone())).collect();
        Fold { is_on, threads: world.threads, titles, ..Fold::default() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Takes a result in. Returns the line of the part before, if this test is the first of another one, and
    /// whether the test still needs a line of its own.
    pub(crate) fn take(
        &mut self,
        test: &Test,
        report: &Report,
        remark: Option<&str>,
    ) -> (Option<String>, bool) {
        if !self.is_on {
            return (None, true);
        }
        let is_other = |part: &Part| part.lab != test.lab || part.name != test.part;
        let before = if self.part.as_ref().is_some_and(is_other) { self.last() } else { None };
        let part = self.part.get_or_insert_with(|| Part {
            lab: test.lab.clone(),
            name: test.part.clone(),
            ..Part::default()
        });
        let has_line = part.add(test, report, self.told < FAILED_LINES);
        self.told += usize::from(has_line && report.verdict() == Verdict::Failed);
        if !has_line {
            for warning in &report.warnings {
                self.warnings.entry(warning.clone()).or_default().push(test.name.clone());
            }
            self.remarks.extend(remark.map(|remark| format!("{}: {remark}", test.name)));
        }
        (before, has_line)
    }

    /// The line of the part whose tests came in last.
    pub(crate) fn last(&mut self) -> Option<String> {
        let part = self.part.take()?;
        let title = self.titles.get(&(part.lab.clone(), part.name.clone())).map_or("", String::as_str);
        Some(part.line(title, self.threads))
    }

    /// What tests without a line of their own warned of, and remarks on them.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.warnings.iter().map(|(what, tests)| warning(what, tests)).collect();
        let word = style("remark:").dim();
        lines.extend(self.remarks.iter().take(REMARKS).map(|remark| format!("{word} {remark}")));
        if self.remarks.len() > REMARKS {
            let more = self.remarks.len() - REMARKS;
            lines.push(format!("{word} {} more need many more RPCs than the reference", count(more, "test")));
        }
        lines
    }
}

fn warning(what: &str, tests: &[String]) -> String {
    let names = named(tests);
    format!("{} {what} ({names})", style("warning:").yellow())
}

/// Some of these names, and how many more there are.
fn named(names: &[String]) -> String {
    let some = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

impl Part {
    /// Counts a result. Returns whether it has a line of its own; a failure only if there is `room`.
    fn add(&mut self, test: &Test, report: &Report, room: bool) -> bool {
        self.tests += 1;
        if unwritten(report).is_some() {
            self.unwritten += 1;
            return false;
        }
        match report.verdict() {
            Verdict::Passed => {
                self.passed += 1;
                self.virtual_time += Duration::from_nanos(report.virtual_ns);
                self.real_time += Duration::from_nanos(report.real_ns);
                self.rpcs += report.rpcs;
                false
            }
            Verdict::Inconclusive => {
                self.inconclusive += 1;
                true
            }
            Verdict::Failed => {
                self.failed += 1;
                if !room {
                    self.untold.push(test.name.clone());
                }
                room
            }
        }
    }

    /// What its tests cost, all together.
    fn figures(&self, threads: bool) -> Vec<String> {
        let lasted = self.virtual_time.as_secs_f64();
        let rpcs = format!("{} RPCs", self.rpcs);
        match threads {
            true => vec![format!("real {lasted:.1} s"), rpcs],
            false => {
                vec![format!("virtual {lasted:.1} s"), format!("real {}", duration(self.real_time)), rpcs]
            }
        }
    }

    /// "Part 2A (election): 11 tests passed -- virtual 61.0 s, …", "Part 2B (log): 3 of 12 tests passed, 9
    /// failed".
    fn line(&self, title: &str, threads: bool) -> String {
        let Part { name, tests, passed, .. } = self;
        let head = format!("Part {name} ({title}):");
        let word = style("passed").green();
        if passed == tests {
            let head = format!("{head} {} {word}", count(*tests, "test"));
            return with_figures(&head, &self.figures(threads), width());
        }
        let mut line = format!("{head} {passed} of {} {word}", count(*tests, "test"));
        if self.failed > 0 {
            line += &format!(", {} {}", self.failed, style("failed").red());
        }
        if self.inconclusive > 0 {
            line += &format!(", {} {}", self.inconclusive, style("inconclusive").yellow());
        }
        if self.unwritten > 0 {
            line += &format!(", {} {}", self.unwritten, style("not implemented").yellow());
        }
        if !self.untold.is_empty() {
            let other = if self.untold.len() < self.failed { "also " } else { "" };
            line += &format!(" ({other}{})", named(&self.untold));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use labreport::Kind;

    use super::*;

    const LABS: &str = "[limits]\nvirtual_s = 1\nreal_s = 1\nthreads_s = 1\nmemory_mb = 1\n\
        [[lab]]\nname = 'raft'\ntitle = 'r'\npackage = 'raft'\nbinary = 'raft'\n\
        [[lab.part]]\nname = '2A'\ntitle = 'election'\nmodule = 'a'\ntests = [{ name = 'one', title = '1' }]\n\
        [[lab.part]]\nname = '2B'\ntitle = 'log'\nmodule = 'b'\ntests = [{ name = 'two', title = '2' }]\n";

    fn fold_and_tests() -> (Fold, Vec<Test>) {
        let catalogue: Catalogue = toml::from_str(LABS).expect("it is a catalogue");
        let fold = Fold::new(&catalogue, 1, &World::default(), true);
        (Fold { is_on: true, ..fold }, catalogue.tests())
    }

    fn passed() -> Report {
        Report { ok: true, virtual_ns: 1_500_000_000, rpcs: 7, ..Report::default() }
    }

    fn failed() -> Report {
        Report { kind: Some(Kind::Invariant), ..Report::default() }
    }

    #[test]
    fn the_tests_of_a_part_that_pass_share_a_line() {
        let (mut fold, tests) = fold_and_tests();
        let warns = Report { warnings: vec!["not exercised".to_owned()], ..passed() };
        assert_eq!(fold.take(&tests[0], &passed(), None), (None, false));
        assert_eq!(fold.take(&tests[0], &warns, Some("900 RPCs")), (None, false));
        let (before, has_line) = fold.take(&tests[1], &failed(), None);
        let expected = "Part 2A (election): 2 tests passed -- virtual 3.0 s, real 0.0 ms, 14 RPCs";
        assert_eq!((before.as_deref(), has_line), (Some(expected), true));
        assert_eq!(fold.last().as_deref(), Some("Part 2B (log): 0 of 1 test passed, 1 failed"));
        assert_eq!(fold.remarks(), ["warning: not exercised (one)", "remark: one: 900 RPCs"]);
        assert_eq!(fold.last(), None);
    }

    /// However many fail, the list at the end stays on the screen.
    #[test]
    fn of_many_failures_the_first_have_lines_and_some_names() {
        let (mut fold, tests) = fold_and_tests();
        let lines = (0..40).filter(|_| fold.take(&tests[0], &failed(), None).1).count();
        assert_eq!(lines, FAILED_LINES);
        let last = fold.last().expect("there is a part");
        assert!(
            last.starts_with("Part 2A (election): 0 of 40 tests passed, 40 failed (also one, "),
            "{last}"
        );
        assert!(last.ends_with("one and 24 more)"), "{last}");
    }

    #[test]
    fn what_is_not_written_yet_is_no_failure() {
        let (mut fold, tests) = fold_and_tests();
        let message = Some("panic: not yet implemented: 2A (thread `a` of `b`)".to_owned());
        let todo = Report { kind: Some(Kind::Panic), message, ..Report::default() };
        assert!(!fold.take(&tests[0], &todo, None).1);
        assert_eq!(fold.last().as_deref(), Some("Part 2A (election): 0 of 1 test passed, 1 not implemented"));
    }

    #[test]
    fn where_all_lines_fit_each_test_has_its_own() {
        let (mut fold, tests) = fold_and_tests();
        fold.is_on = false;
        assert_eq!(fold.take(&tests[0], &passed(), None), (None, true));
        assert_eq!(fold.last(), None);
    }
}
