//! A bar for each phase, on a terminal; nothing elsewhere.
//!
//! Maps that are run again after a loss move their bar back, which is the truth.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mapreduce::Status;

/// What the bars look like.
const TEMPLATE: &str = "{prefix:>7} [{bar:40}] {pos}/{len}  {elapsed}";

/// The bars.
pub(crate) struct Bars {
    map: ProgressBar,
    reduce: ProgressBar,
}

impl Bars {
    /// Two empty bars.
    pub(crate) fn new(status: &Status) -> Bars {
        // indicatif draws to standard error, and only if that is a terminal.
        let bars = MultiProgress::new();
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = |name: &'static str, length: usize| {
            let bar = ProgressBar::new(length as u64).with_style(style.clone()).with_prefix(name);
            bars.add(bar)
        };
        Bars { map: bar("map", status.maps.1), reduce: bar("reduce", status.reduces.1) }
    }

    /// Shows how far the job is.
    pub(crate) fn show(&self, status: &Status) {
        self.map.set_position(status.maps.0 as u64);
        self.reduce.set_position(status.reduces.0 as u64);
    }

    /// Leaves the bars as they are.
    pub(crate) fn end(&self) {
        self.map.abandon();
        self.reduce.abandon();
    }
}
