//! How often a test kills a wrong solution, and how sure that is.

use labreport::grading::runs_of;

use crate::statistics::wilson;

/// After so many kills the test's rate is known well enough.
pub(super) const ENOUGH: u64 = 10;

/// A wrong solution must be caught in so many gradings.
pub(super) const OFTEN: f64 = 0.95;

/// Fewer kills than this are too few to be certain of anything.
const FEW: u64 = 3;

/// How many seeds a grading has of a test that gets all of its runs.
const GRADING: u64 = 50;

/// Runs of one test with one wrong solution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rate {
    /// Seeds that were run.
    pub(super) runs: u64,
    /// Seeds that failed, for a reason that any solution would show.
    pub(super) kills: u64,
}

impl Rate {
    /// The estimated probability that a seed kills. The runs end with the tenth kill, so that the last one
    /// says nothing of how often kills come.
    pub(super) fn estimate(self) -> f64 {
        match self {
            Rate { kills: 0, .. } => 0.0,
            Rate { runs, kills } if kills == runs => 1.0,
            Rate { runs, kills } if kills >= ENOUGH => (kills - 1) as f64 / (runs - 1) as f64,
            Rate { runs, kills } => kills as f64 / runs as f64,
        }
    }

    /// Wilson's interval for it, at 95 %.
    pub(super) fn interval(self) -> (f64, f64) {
        wilson(self.kills, self.runs)
    }
}

/// A probability that a grading with these tests most likely exceeds: with the lower ends of the intervals,
/// and without the tests that killed but once or twice.
pub(super) fn at_least_in_a_grading(rates: impl Iterator<Item = Share>) -> f64 {
    one_kills(rates, |rate| if rate.kills < FEW { 0.0 } else { rate.interval().0 })
}

/// The probability that one grading with these tests kills: each test has its share of 50 seeds, and one kill
/// is enough.
pub(super) fn in_a_grading(rates: impl Iterator<Item = Share>) -> f64 {
    one_kills(rates, Rate::estimate)
}

/// The rate of a test, and its share of the runs in percent.
pub(super) type Share = (Rate, u32);

fn one_kills(rates: impl Iterator<Item = Share>, of: impl Fn(Rate) -> f64) -> f64 {
    let survives = |(rate, percent): Share| (1.0 - of(rate)).powf(runs_of(GRADING, percent) as f64);
    1.0 - rates.map(survives).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        let (low, high) = Rate { runs: 20, kills: 1 }.interval();
        assert!((low - 0.0089).abs() < 1e-3 && (high - 0.2361).abs() < 1e-3, "{low} to {high}");
        let (low, high) = Rate { runs: 10, kills: 10 }.interval();
        assert!((low - 0.7225).abs() < 1e-3 && high > 0.999, "{low} to {high}");
    }

    #[test]
    fn runs_that_end_with_a_kill_are_not_counted_too_high() {
        assert_eq!(Rate { runs: 19, kills: 10 }.estimate(), 0.5);
        assert_eq!(Rate { runs: 20, kills: 1 }.estimate(), 0.05);
        assert_eq!(Rate { runs: 10, kills: 10 }.estimate(), 1.0);
    }

    #[test]
    fn a_grading_needs_one_kill_only() {
        let rates = [(Rate { runs: 20, kills: 1 }, 100), (Rate { runs: 20, kills: 0 }, 100)];
        assert!((in_a_grading(rates.into_iter()) - 0.923).abs() < 1e-3);
        let fewer = [(Rate { runs: 20, kills: 1 }, 40)];
        assert!((in_a_grading(fewer.into_iter()) - 0.642).abs() < 1e-3, "20 seeds");
        assert_eq!(in_a_grading([].into_iter()), 0.0);
    }

    #[test]
    fn a_few_kills_in_a_row_make_certain() {
        let certain = |runs, kills| at_least_in_a_grading([(Rate { runs, kills }, 100)].into_iter()) >= OFTEN;
        assert!(certain(3, 3) && certain(20, 4));
        assert!(!certain(2, 2) && !certain(20, 3) && !certain(20, 0));
    }
}
