//! How often a grading runs each test: `cargo lab grade` does, and `cargo lab zoo` says what it is worth.

/// Runs of a test in a grading that runs a test with points `runs` times. `percent` is the share that the
/// test gets, from 1 to 100. It gets one run at least.
pub fn runs_of(runs: u64, percent: u32) -> u64 {
    (runs * u64::from(percent)).div_ceil(100).max(1)
}

/// The share of the runs, in percent, that a test gets: its `own`, if `labs.toml` gives it one; otherwise all
/// of them if it has points, and `without_points` if it has none.
///
/// # Errors
/// If it is none from 1 to 100: a sentence.
pub fn percent(own: Option<u32>, points: u32, without_points: Option<u32>) -> Result<u32, String> {
    let percent = own.unwrap_or(if points > 0 { 100 } else { without_points.unwrap_or(100) });
    if (1..=100).contains(&percent) {
        Ok(percent)
    } else {
        Err(format!("{percent} is no share of the runs in percent, which is from 1 to 100"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_nothing() {
        assert_eq!([1, 2, 3, 50].map(|runs| runs_of(runs, 40)), [1, 1, 2, 20]);
        assert_eq!(runs_of(400, 100), 400);
        assert_eq!(runs_of(7, 1), 1);
    }

    #[test]
    fn points_decide_where_the_test_does_not() {
        assert_eq!(percent(None, 5, Some(40)), Ok(100));
        assert_eq!(percent(None, 0, Some(40)), Ok(40));
        assert_eq!(percent(None, 0, None), Ok(100));
        assert_eq!(percent(Some(80), 0, Some(40)), Ok(80));
        for bad in [0, 101] {
            assert!(percent(Some(bad), 5, None).is_err() && percent(None, 0, Some(bad)).is_err());
        }
    }
}
