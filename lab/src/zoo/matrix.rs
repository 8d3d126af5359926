//! Which test kills which wrong solution.

use console::style;
use lab_terminal::table;

use super::patch::Patch;
use crate::catalogue::Test;
use crate::protocol::Report;

/// What came of one test with one wrong solution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// The test belongs to a later part.
    NotRun,
    /// All seeds passed.
    Survived,
    /// This seed failed first, and this is the invariant or expectation that explained it.
    Killed { seed: u64, reason: String },
}

impl Cell {
    /// The cell for a failure.
    pub(super) fn killed(report: &Report) -> Cell {
        Cell::Killed { seed: report.seed, reason: report.reason() }
    }

    /// In the matrix: the killing seed, a dot, or nothing.
    fn show(&self) -> String {
        match self {
            Cell::NotRun => String::new(),
            Cell::Survived => "·".to_owned(),
            Cell::Killed { seed, .. } => seed.to_string(),
        }
    }
}

/// How a wrong solution fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A test of its own part kills it, and so does a test, or an invariant, that its patch names.
    Caught,
    /// Something kills it, but nothing that its patch names, or nothing of its own part.
    CaughtElsewhere,
    Survived,
}

/// One wrong solution and what came of each test.
pub(super) struct Row {
    pub(super) patch: Patch,
    /// Part, test and cell, in the order of the tests.
    cells: Vec<(String, String, Cell)>,
}

impl Row {
    /// Cells stand in the order of `tests`.
    pub(super) fn new(patch: Patch, tests: &[Test], cells: Vec<Cell>) -> Row {
        let cells = tests
            .iter()
            .zip(cells)
            .map(|(test, cell)| (test.part.clone(), test.name.clone(), cell))
            .collect();
        Row { patch, cells }
    }

    /// The kills: part, test, seed, reason.
    pub(super) fn kills(&self) -> impl Iterator<Item = (&str, &str, u64, &str)> {
        self.cells.iter().filter_map(|(part, test, cell)| match cell {
            Cell::Killed { seed, reason } => Some((part.as_str(), test.as_str(), *seed, reason.as_str())),
            Cell::NotRun | Cell::Survived => None,
        })
    }

    /// How many tests were run.
    pub(super) fn run(&self) -> usize {
        self.cells.iter().filter(|(.., cell)| *cell != Cell::NotRun).count()
    }

    /// The kill that the patch foretells: by a test that it names, or explained by an invariant that it
    /// names.
    fn foretold(&self) -> Option<(&str, &str, u64, &str)> {
        let named = |test: &str, reason: &str| {
            self.patch
                .caught_by
                .iter()
                .any(|name| name == test || reason.split(':').any(|word| word.trim() == name))
        };
        self.kills().find(|(_, test, _, reason)| named(test, reason))
    }

    /// How the wrong solution fared.
    pub(super) fn verdict(&self) -> Verdict {
        let in_own_part = self.kills().any(|(part, ..)| part.eq_ignore_ascii_case(&self.patch.part));
        match (self.foretold(), in_own_part, self.kills().next()) {
            (Some(_), true, _) => Verdict::Caught,
            (_, _, Some(_)) => Verdict::CaughtElsewhere,
            (_, _, None) => Verdict::Survived,
        }
    }

    /// The same for programs.
    pub(super) fn json(&self) -> serde_json::Value {
        let kills: Vec<_> = self
            .kills()
            .map(|(part, test, seed, reason)| serde_json::json!({"part": part, "test": test, "seed": seed, "reason": reason}))
            .collect();
        let Patch { id, part, title, caught_by, .. } = &self.patch;
        let verdict = match self.verdict() {
            Verdict::Caught => "caught",
            Verdict::CaughtElsewhere => "caught_elsewhere",
            Verdict::Survived => "survived",
        };
        serde_json::json!({"id": id, "part": part, "title": title, "foretold": caught_by, "verdict": verdict,
            "tests": self.run(), "kills": kills})
    }

    /// One line: the bug, who killed it with which seed, and why.
    pub(super) fn verdict_line(&self) -> String {
        let Patch { id, part, title, caught_by, .. } = &self.patch;
        let head = format!("{id:4} {part}  {title}");
        let best = self.foretold().or_else(|| self.kills().next());
        let Some((_, test, seed, reason)) = best else {
            return format!("{head}\n       {}", style("SURVIVED every test").red().bold());
        };
        let others = self.kills().count() - 1;
        let others = if others == 0 { String::new() } else { format!(" (and {others} more)") };
        let killed = format!("killed by {test} seed {seed}{others}: {reason}");
        match self.verdict() {
            Verdict::Caught => format!("{head}\n       {killed}"),
            _ => {
                let missing = format!("not caught in {part} by {}", caught_by.join(" or "));
                format!("{head}\n       {}; {killed}", style(missing).red().bold())
            }
        }
    }
}

/// The matrix: a row for each bug, a column for each test that any bug met (numbered; the names stand below),
/// and the first killing seeds in it.
/// On a terminal too narrow for all columns the matrix stands in several pieces.
pub(super) fn show(tests: &[Test], rows: &[Row], width: Option<usize>) -> String {
    let met = |column: &usize| rows.iter().any(|row| row.cells[*column].2 != Cell::NotRun);
    let columns: Vec<usize> = (0..tests.len()).filter(met).collect();
    // A column is at most four letters wide, and its gap three.
    let fit = width.map_or(usize::MAX, |width| (width.saturating_sub(8) / 7).max(1));
    let mut text = String::new();
    for columns in columns.chunks(fit) {
        let numbers = columns.iter().map(|column| (column + 1).to_string());
        let mut lines = vec![std::iter::once("bug".to_owned()).chain(numbers).collect::<Vec<_>>()];
        for row in rows {
            let cells = columns.iter().map(|&column| row.cells[column].2.show());
            lines.push(std::iter::once(row.patch.id.clone()).chain(cells).collect());
        }
        text += &table(&lines);
        text.push('\n');
    }
    let names = columns.iter().map(|&column| format!("{:3}  {}\n", column + 1, tests[column].name));
    text + &names.collect::<String>()
}
