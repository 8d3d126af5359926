//! Which test kills which wrong solution, and how often.

use std::collections::BTreeMap;

use console::style;
use lab_terminal::{table, wrapped};
use serde_json::{Value, json};

use super::patch::Patch;
use super::rate::{OFTEN, Rate, Share, at_least_in_a_grading, in_a_grading};
use crate::catalogue::Test;
use crate::protocol::{Kind, Report};
use crate::reference::Reference;

/// What came of one test with one wrong solution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) rate: Rate,
    /// Seeds that ended with an assertion of the solution's own. Another solution has no such assertion, so
    /// they count as nothing.
    own_assertions: u64,
    /// The first killing seed, and the invariant or expectation that explained it.
    first: Option<(u64, String)>,
    /// The first assertion of the solution's own.
    first_own: Option<String>,
}

impl Cell {
    /// Takes in one more run.
    pub(super) fn add(&mut self, report: &Report) {
        self.rate.runs += 1;
        if report.verdict() != labreport::Verdict::Failed {
            return;
        }
        if is_own_assertion(report) {
            self.own_assertions += 1;
            self.first_own.get_or_insert_with(|| report.reason());
        } else {
            self.rate.kills += 1;
            self.first.get_or_insert_with(|| (report.seed, report.reason()));
        }
    }

    /// In the matrix: the rate in percent, with a dagger for assertions of the solution's own, a dot if every
    /// seed passed, or nothing.
    pub(super) fn show(&self) -> String {
        let dagger = if self.own_assertions > 0 { "†" } else { "" };
        match self.rate {
            Rate { runs: 0, .. } => String::new(),
            Rate { kills: 0, .. } if dagger.is_empty() => "·".to_owned(),
            Rate { kills: 0, .. } => dagger.to_owned(),
            rate => format!("{:.0}{dagger}", (rate.estimate() * 100.0).max(1.0)),
        }
    }

    fn was_run(&self) -> bool {
        self.rate.runs > 0
    }
}

/// Panics of the language itself, which every solution with that mistake has.
const OF_THE_LANGUAGE: [&str; 10] = [
    "index out of bounds",
    "out of range for slice",
    "slice index starts at",
    "out of range for",
    "with overflow",
    "divide by zero",
    "`Option::unwrap()` on a `None`",
    "`Result::unwrap()` on an `Err`",
    "already borrowed",
    "already mutably borrowed",
];

/// Whether the solution has ended the run itself, by an assertion that another solution need not have.
fn is_own_assertion(report: &Report) -> bool {
    let message = report.message.as_deref().unwrap_or_default();
    report.kind == Some(Kind::Panic) && !OF_THE_LANGUAGE.iter().any(|words| message.contains(words))
}

/// How a wrong solution fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A test of its own part kills it, and so does a test, or an invariant, that its patch names.
    Caught,
    /// Something kills it, but nothing that its patch names, or nothing of its own part.
    CaughtElsewhere,
    /// Only its own assertions end its runs.
    OwnAssertion,
    Survived,
}

/// One wrong solution and what came of each test.
pub(super) struct Row {
    pub(super) patch: Patch,
    /// In the order of the tests.
    cells: Vec<(Test, Cell)>,
    /// How long its build and its runs took, in seconds.
    seconds: [f64; 2],
    /// Whether its runs ended when its verdict was certain, before all tests had run.
    is_partial: bool,
}

impl Row {
    /// Cells stand in the order of `tests`.
    pub(super) fn new(patch: Patch, tests: &[Test], cells: Vec<Cell>) -> Row {
        let cells = tests.iter().cloned().zip(cells).collect();
        Row { patch, cells, seconds: [0.0; 2], is_partial: false }
    }

    /// What is known of the row besides.
    pub(super) fn with(self, seconds: [f64; 2], is_partial: bool) -> Row {
        Row { seconds, is_partial, ..self }
    }

    /// Whether no further run can change that it is caught, and often enough.
    pub(super) fn is_certain(&self) -> bool {
        let rates = self.cells.iter().map(share);
        self.verdict() == Verdict::Caught && at_least_in_a_grading(rates) >= OFTEN
    }

    /// The probability that a grading with all tests kills it; at least so much, where not all have run.
    pub(super) fn chance(&self) -> f64 {
        self.in_a_grading()[2]
    }

    /// The kills: test, seed, reason.
    pub(super) fn kills(&self) -> impl Iterator<Item = (&Test, u64, &str)> {
        self.cells.iter().filter_map(|(test, cell)| {
            let (seed, reason) = cell.first.as_ref()?;
            Some((test, *seed, reason.as_str()))
        })
    }

    /// As [`Row::kills`], and those by assertions of the solution's own.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&Test, String)> {
        self.cells.iter().filter_map(|(test, cell)| {
            let of_test = cell.first.as_ref().map(|(seed, reason)| format!("seed {seed}: {reason}"));
            Some((test, of_test.or_else(|| cell.first_own.clone())?))
        })
    }

    /// How many tests were run.
    pub(super) fn run(&self) -> usize {
        self.cells.iter().filter(|(_, cell)| cell.was_run()).count()
    }

    /// What came of the test with this position.
    pub(super) fn cell(&self, column: usize) -> &Cell {
        &self.cells[column].1
    }

    /// Why the test with this position kills it.
    pub(super) fn reason(&self, column: usize) -> Option<&str> {
        let Cell { first, first_own, .. } = self.cell(column);
        first.as_ref().map(|(_, reason)| reason.as_str()).or(first_own.as_deref())
    }

    /// The id, and the base if it is not the workspace.
    pub(super) fn name(&self) -> String {
        self.patch.name()
    }

    /// The kill that the patch foretells: by a test that it names, or explained by an invariant that it
    /// names.
    fn foretold(&self) -> Option<(&Test, u64, &str)> {
        let named = |test: &str, reason: &str| {
            self.patch
                .caught_by
                .iter()
                .any(|name| name == test || reason.split(':').any(|word| word.trim() == name))
        };
        self.kills().find(|(test, _, reason)| named(&test.name, reason))
    }

    /// How the wrong solution fared.
    pub(super) fn verdict(&self) -> Verdict {
        let in_own_part = self.kills().any(|(test, ..)| test.part.eq_ignore_ascii_case(&self.patch.part));
        match (self.foretold(), in_own_part, self.kills().next()) {
            (Some(_), true, _) => Verdict::Caught,
            (_, _, Some(_)) => Verdict::CaughtElsewhere,
            _ if self.cells.iter().any(|(_, cell)| cell.own_assertions > 0) => Verdict::OwnAssertion,
            _ => Verdict::Survived,
        }
    }

    /// The probability that a grading kills it: with the course's tests, with the directed ones, with all.
    pub(super) fn in_a_grading(&self) -> [f64; 3] {
        let with =
            |of: fn(&Test) -> bool| in_a_grading(self.cells.iter().filter(|(test, _)| of(test)).map(share));
        [with(|test| !is_directed(test)), with(is_directed), with(|_| true)]
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let cells: Vec<Value> = self.cells.iter().filter(|(_, cell)| cell.was_run()).map(cell_json).collect();
        let Patch { id, part, title, caught_by, base, .. } = &self.patch;
        let verdict = match self.verdict() {
            Verdict::Caught => "caught",
            Verdict::CaughtElsewhere => "caught_elsewhere",
            Verdict::OwnAssertion => "own_assertion",
            Verdict::Survived => "survived",
        };
        let [classical, directed, all] = self.in_a_grading();
        let [built_s, ran_s] = self.seconds;
        json!({"id": id, "base": base, "part": part, "title": title, "foretold": caught_by, "verdict": verdict,
            "all_tests": !self.is_partial, "built_s": built_s, "ran_s": ran_s, "grading": {"classical": classical, "directed": directed, "all": all}, "tests": cells})
    }

    /// Two lines: the bug, then the test that killed it, the seed, and why.
    pub(super) fn verdict_line(&self) -> String {
        let Patch { part, title, caught_by, .. } = &self.patch;
        let head = format!("{:4} {part}  {title}", self.name());
        let Some((test, seed, reason)) = self.foretold().or_else(|| self.kills().next()) else {
            let words = match self.failures().next() {
                Some((test, assertion)) => {
                    format!("SURVIVED, but for its own assertions ({}: {assertion})", test.name)
                }
                None => "SURVIVED every test".to_owned(),
            };
            return format!("{head}\n       {}", style(words).red().bold());
        };
        let others = self.kills().count() - 1;
        let others = if others == 0 { String::new() } else { format!(" (and {others} more)") };
        let killed = format!("killed by {} seed {seed}{others}: {reason}", test.name);
        let [classical, directed, all] = self.in_a_grading().map(|p| p * 100.0);
        let grading = if self.is_partial {
            format!("a grading kills it with {all:.0} %, whatever the other tests do")
        } else {
            format!(
                "a grading kills it with {all:.0} % (the course's tests {classical:.0} %, directed {directed:.0} %)"
            )
        };
        match self.verdict() {
            Verdict::Caught => format!("{head}\n       {killed}\n       {grading}"),
            _ => {
                let missing = format!("not caught in {part} by {}", caught_by.join(" or "));
                format!("{head}\n       {}; {killed}\n       {grading}", style(missing).red().bold())
            }
        }
    }
}

/// How long all builds and all runs took.
pub(super) fn total(rows: &[Row]) -> [f64; 2] {
    [0, 1].map(|what| rows.iter().map(|row| row.seconds[what]).sum())
}

/// Whether a test is none of the course's: it has no points.
fn is_directed(test: &Test) -> bool {
    test.heading.is_some()
}

/// The rate of a test, with its share of a grading's runs.
fn share((test, cell): &(Test, Cell)) -> Share {
    (cell.rate, test.percent)
}

fn cell_json((test, cell): &(Test, Cell)) -> Value {
    let Rate { runs, kills } = cell.rate;
    let (low, high) = cell.rate.interval();
    let (seed, reason) = cell.first.clone().unzip();
    json!({"part": test.part, "test": test.name, "directed": is_directed(test), "runs": runs, "kills": kills,
        "own_assertions": cell.own_assertions, "rate": cell.rate.estimate(), "low": low, "high": high,
        "seed": seed, "reason": reason})
}

/// Of each test the wrong solutions that need it: which it catches in enough gradings, and no cheaper test
/// does.
pub(super) fn needed(tests: &[Test], rows: &[Row], reference: &Reference) -> BTreeMap<String, Vec<String>> {
    let mut needed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let cost = |column: usize| (reference.rpcs(&tests[column]).unwrap_or(u64::MAX), column);
    for row in rows {
        let catches = |column: &usize| in_a_grading(std::iter::once(share(&row.cells[*column]))) >= OFTEN;
        if let Some(cheapest) = (0..tests.len()).filter(catches).min_by_key(|&column| cost(column)) {
            needed.entry(tests[cheapest].name.clone()).or_default().push(row.name());
        }
    }
    needed
}

/// The tests that any row has met.
pub(super) fn columns(tests: &[Test], rows: &[Row]) -> Vec<usize> {
    (0..tests.len()).filter(|&column| rows.iter().any(|row| row.cell(column).was_run())).collect()
}

/// The matrix: a row for each bug, a column for each test that any bug met (numbered; the names stand below),
/// and in it the percentage of seeds that kill.
/// On a terminal too narrow for all columns the matrix stands in several pieces.
pub(super) fn show(tests: &[Test], rows: &[Row], width: Option<usize>) -> String {
    let columns = columns(tests, rows);
    // A column is at most four letters wide, and its gap three.
    let fit = width.map_or(usize::MAX, |width| (width.saturating_sub(14) / 7).max(1));
    let mut text = String::new();
    for columns in columns.chunks(fit) {
        let numbers = columns.iter().map(|column| (column + 1).to_string());
        let mut lines = vec![std::iter::once("bug".to_owned()).chain(numbers).collect::<Vec<_>>()];
        for row in rows {
            let cells = columns.iter().map(|&column| row.cell(column).show());
            lines.push(std::iter::once(row.name()).chain(cells).collect());
        }
        text += &table(&lines);
        text.push('\n');
    }
    let names = columns.iter().map(|&column| {
        let directed = if is_directed(&tests[column]) { " (directed)" } else { "" };
        format!("{:3}  {}{directed}", column + 1, tests[column].name)
    });
    let legend =
        "Percent of the seeds that kill; † an assertion of the solution's own, which does not count.";
    let below = std::iter::once(legend.to_owned()).chain(names).collect::<Vec<_>>().join("\n");
    text + &wrapped(&below, width) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panic(message: &str) -> Report {
        Report { kind: Some(Kind::Panic), message: Some(message.to_owned()), ..Report::default() }
    }

    #[test]
    fn an_assertion_of_the_solution_is_no_kill() {
        let mut cell = Cell::default();
        cell.add(&panic("the term would regress from 3 to 2 (thread `a` of `b`)"));
        assert_eq!((cell.rate.kills, cell.own_assertions, cell.show().as_str()), (0, 1, "†"));
        cell.add(&panic("index out of bounds: the len is 3 but the index is 7 (thread `a` of `b`)"));
        assert_eq!((cell.rate.kills, cell.rate.runs, cell.show().as_str()), (1, 2, "50†"));
    }
}
