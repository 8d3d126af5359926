//! What a set of results comes to: how many tests passed, failed or said nothing, and the points.

use console::style;
use lab_terminal::{Outcome, count};

use crate::catalogue::Test;
use crate::protocol::Report;

/// What a result says of the solution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// On real threads the test did not get a processor in time. It says nothing about the solution, and is no pass.
    Inconclusive,
}

impl Verdict {
    /// The verdict of a report.
    pub(crate) fn of(report: &Report) -> Verdict {
        match (report.ok, report.kind.as_deref()) {
            (true, _) => Verdict::Passed,
            (false, Some("starved")) => Verdict::Inconclusive,
            (false, _) => Verdict::Failed,
        }
    }
}

/// Results of tests, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Score {
    passed: usize,
    failed: usize,
    inconclusive: usize,
    /// Points of tests that passed.
    earned: u32,
    /// Points of all tests.
    points: u32,
}

impl Score {
    /// Counts one result.
    pub(crate) fn add(&mut self, test: &Test, verdict: Verdict) {
        self.points += test.points;
        match verdict {
            Verdict::Passed => {
                self.passed += 1;
                self.earned += test.points;
            }
            Verdict::Failed => self.failed += 1,
            Verdict::Inconclusive => self.inconclusive += 1,
        }
    }

    /// How many results there are.
    pub(crate) fn total(&self) -> usize {
        self.passed + self.failed + self.inconclusive
    }

    /// How it went. A failure outweighs a test that said nothing.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Score { failed: 1.., .. } => Outcome::Failed,
            Score { inconclusive: 1.., .. } => Outcome::Unknown,
            _ => Outcome::Passed,
        }
    }

    /// "5 tests passed", "1 of 5 tests failed, 1 inconclusive".
    pub(crate) fn tests(&self) -> String {
        let total = count(self.total(), "test");
        let failed = style("failed").red().bold();
        let inconclusive = style("inconclusive").yellow().bold();
        match (self.failed, self.inconclusive) {
            (0, 0) => format!("{total} {}", style("passed").green()),
            (number, 0) => format!("{number} of {total} {failed}"),
            (0, number) => format!("{number} of {total} {inconclusive}"),
            (number, starved) => format!("{number} of {total} {failed}, {starved} {inconclusive}"),
        }
    }

    /// ", 15 of 15 points"; nothing if the tests are worth none.
    pub(crate) fn points(&self) -> String {
        if self.points == 0 { String::new() } else { format!(", {} of {} points", self.earned, self.points) }
    }
}
