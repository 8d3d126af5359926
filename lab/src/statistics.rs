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

    /// "1.25 ± 0.10", or a dash if there is no number yet.
    pub(crate) fn show(&self, unit: &str) -> String {
        if self.n == 0 {
            return "-".to_owned();
        }
        let deviation = if self.n > 1 { (self.m2 / (self.n - 1) as f64).sqrt() } else { 0.0 };
        format!("{:.2} ± {deviation:.2} {unit}", self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
