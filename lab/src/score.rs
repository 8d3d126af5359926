//! What a set of results comes to: how many tests passed, failed or said nothing, and the points.

use console::style;
use lab_terminal::{Outcome, count};
use labreport::Verdict;
use serde::Serialize;

use crate::catalogue::Test;

/// Results of tests, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
            // A pass never comes from nothing having run.
            Score { passed: 0, .. } => Outcome::Unknown,
            _ => Outcome::Passed,
        }
    }

    /// "5 tests passed", "1 of 5 tests failed, 1 inconclusive".
    pub(crate) fn tests(&self) -> String {
        let total = count(self.total(), "test");
        let failed = style("failed").red().bold();
        let inconclusive = style("inconclusive").yellow().bold();
        match (self.failed, self.inconclusive) {
            _ if self.total() == 0 => "no test ran".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Bounds;

    fn score(verdicts: &[(u32, Verdict)]) -> Score {
        let bounds = Bounds { virtual_s: 1, real_s: 1, threads_s: 1, memory_mb: 1 };
        let mut score = Score::default();
        for (points, verdict) in verdicts {
            let [name, title, path, lab, part, package, binary] = Default::default();
            let points = *points;
            let (group, heading, is_demonstration) = (None, None, false);
            let test = Test {
                name,
                title,
                path,
                lab,
                group,
                part,
                package,
                binary,
                points,
                heading,
                is_demonstration,
                percent: 100,
                bounds,
            };
            score.add(&test, *verdict);
        }
        score
    }

    #[test]
    fn a_failure_outweighs_a_test_that_said_nothing() {
        let all = [(5, Verdict::Passed), (3, Verdict::Inconclusive), (2, Verdict::Failed)];
        assert_eq!(score(&all[..1]).outcome(), Outcome::Passed);
        assert_eq!(score(&all[..2]).outcome(), Outcome::Unknown);
        assert_eq!(score(&all).outcome(), Outcome::Failed);
        assert_eq!(score(&all).points(), ", 5 of 10 points");
        assert_eq!(score(&[(0, Verdict::Passed)]).points(), "");
    }
}
