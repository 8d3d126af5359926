//! Mean and standard deviation of numbers that come one by one.

use serde::{Deserialize, Serialize};

/// Welford's running mean and variance: nothing is kept but three numbers, and nothing is lost to
/// cancellation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moments {
    n: u64,
    mean: f64,
    /// The sum of squared distances from the mean.
    m2: f64,
}

impl Moments {
    /// Takes in one more number.
    pub(crate) fn add(&mut self, value: f64) {
        self.n += 1;
        let distance = value - self.mean;
        self.mean += distance / self.n as f64;
        self.m2 += distance * (value - self.mean);
    }

    /// Takes in all numbers that `other` has taken in.
    pub(crate) fn merge(&mut self, other: &Moments) {
        let n = self.n + other.n;
        if n == 0 {
            return;
        }
        let distance = other.mean - self.mean;
        let share = other.n as f64 / n as f64;
        self.m2 += other.m2 + distance * distance * self.n as f64 * share;
        self.mean += distance * share;
        self.n = n;
    }

    /// The mean; None if there is no number yet.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.n > 0).then_some(self.mean)
    }

    /// "1.25 ± 0.10", or a dash if there is no number yet.
    pub(crate) fn show(&self, unit: &str) -> String {
        if self.n == 0 {
            return "-".to_owned();
        }
        let deviation = if self.n > 1 { (self.m2 / (self.n - 1) as f64).sqrt() } else { 0.0 };
        format!("{:.2} ± {deviation:.2} {unit}", self.mean)
    }
}

/// Wilson's interval (JASA 1927): with a confidence of 95 % the probability is in it, of something that
/// happened in `hits` of `runs` independent tries. Right also where `hits` is 0 or `runs`, unlike the usual
/// one.
pub(crate) fn wilson(hits: u64, runs: u64) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if runs == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (runs as f64, hits as f64 / runs as f64);
    let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

/// How many runs in a row must be clean until a failure with probability `p` would have shown with a
/// confidence of 99 %.
pub(crate) fn clean_runs(p: f64) -> u64 {
    if p >= 1.0 { 1 } else { (0.01_f64.ln() / (-p).ln_1p()).ceil() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_as_in_the_books() {
        let near = |(low, high): (f64, f64), one: f64, other: f64| {
            assert!((low - one).abs() < 5e-4 && (high - other).abs() < 5e-4, "{low} {high}");
        };
        // Newcombe 1998, table I, method 3.
        near(wilson(81, 263), 0.2553, 0.3662);
        near(wilson(15, 148), 0.0624, 0.1605);
        near(wilson(0, 20), 0.0, 0.1611);
        near(wilson(1, 29), 0.0061, 0.1718);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn rare_failures_need_many_clean_runs() {
        assert_eq!(clean_runs(0.01), 459);
        assert_eq!(clean_runs(0.5), 7);
        assert_eq!(clean_runs(1.0), 1);
    }

    #[test]
    fn merging_is_the_same_as_adding() {
        let values = [3.0, 7.5, -2.0, 11.0, 0.25, 8.0];
        let gather = |values: &[f64]| {
            let mut moments = Moments::default();
            values.iter().for_each(|value| moments.add(*value));
            moments
        };
        let (all, mut left, right) = (gather(&values), gather(&values[..2]), gather(&values[2..]));
        left.merge(&right);
        left.merge(&Moments::default());
        assert_eq!(left.n, all.n);
        assert!((left.mean - all.mean).abs() < 1e-12 && (left.m2 - all.m2).abs() < 1e-9);
    }

    #[test]
    fn mean_and_deviation_are_those_of_a_sample() {
        let mut moments = Moments::default();
        assert_eq!(moments.show("s"), "-");
        [2.0, 4.0, 6.0].iter().for_each(|value| moments.add(*value));
        assert_eq!(moments.show("s"), "4.00 ± 2.00 s");
    }
}
