//! Progress on a terminal: a bar for each phase, with rate and time left. And the counters at the end of the
//! job.
//!
//! The maps' bar moves back when a lost output makes maps run again.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mapreduce::{Status, Summary};

use crate::report::bytes;

/// The layout of a bar.
const TEMPLATE: &str = "{prefix:>7} [{bar:40}] {pos}/{len}  {elapsed}  {msg}";

/// How often rate and time left are updated.
const WORDS_EVERY: Duration = Duration::from_millis(200);

/// The bar of one phase.
struct Bar {
    bar: ProgressBar,
    /// When the phase began, and how many of its tasks were done by then (by an earlier coordinator).
    begun: Option<(Instant, usize)>,
}

/// The bars.
pub(crate) struct Bars {
    map: Bar,
    reduce: Bar,
    shown: Instant,
}

impl Bars {
    /// Two bars, hidden if `quiet`.
    pub(crate) fn new(status: &Status, quiet: bool) -> Bars {
        // indicatif draws to standard error, and only if that is a terminal.
        let bars = MultiProgress::new();
        if quiet {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = |name: &'static str, length: usize| {
            let bar = ProgressBar::new(length as u64).with_style(style.clone()).with_prefix(name);
            Bar { bar: bars.add(bar), begun: None }
        };
        Bars {
            map: bar("map", status.maps.1),
            reduce: bar("reduce", status.reduces.1),
            shown: Instant::now(),
        }
    }

    /// Shows the progress.
    pub(crate) fn show(&mut self, status: &Status) {
        let words = self.shown.elapsed() >= WORDS_EVERY;
        if words {
            self.shown = Instant::now();
        }
        let (maps, reduces) = &status.counters;
        self.map.show(status.maps, maps.bytes_in, words);
        if status.maps.0 == status.maps.1 {
            self.reduce.show(status.reduces, reduces.bytes_in, words);
        }
    }

    /// Leaves the bars as they are.
    pub(crate) fn end(&self) {
        self.map.bar.abandon();
        self.reduce.bar.abandon();
    }
}

impl Bar {
    fn show(&mut self, (done, all): (usize, usize), bytes_in: u64, words: bool) {
        let (begun, before) = *self.begun.get_or_insert_with(|| {
            self.bar.reset_elapsed();
            (Instant::now(), done)
        });
        self.bar.set_position(done as u64);
        if words {
            self.bar.set_message(rate_and_time_left(begun.elapsed(), before, done, all, bytes_in));
        }
    }
}

/// For example `250.3 MB/s, 12 s left`.
fn rate_and_time_left(elapsed: Duration, before: usize, done: usize, all: usize, bytes_in: u64) -> String {
    if done <= before || elapsed.is_zero() {
        return String::new();
    }
    let rate = bytes((bytes_in as f64 / elapsed.as_secs_f64()) as u64);
    let left = elapsed.as_secs_f64() * (all - done) as f64 / (done - before) as f64;
    if done == all { format!("{rate}/s") } else { format!("{rate}/s, {left:.0} s left") }
}

/// The job's counters, as lines.
pub(crate) fn summary(summary: &Summary, elapsed: Duration) -> String {
    let Summary { maps, reduces, .. } = summary;
    let mut lines = format!(
        "{} records, {} pairs, {} keys in {:.2} s\n{} read, {} intermediate, {} written\n",
        maps.records,
        maps.pairs,
        reduces.keys,
        elapsed.as_secs_f64(),
        bytes(maps.bytes_in),
        bytes(maps.bytes_out),
        bytes(reduces.bytes_out)
    );
    for (count, what) in
        [(maps.bytes_spilled + reduces.bytes_spilled, "spilled"), (reduces.bytes_fetched, "fetched")]
    {
        if count > 0 {
            lines += &format!("{} {what}\n", bytes(count));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_and_the_time_left() {
        let words = |done| rate_and_time_left(Duration::from_secs(10), 0, done, 40, 1_000_000_000);
        assert_eq!(words(0), "");
        assert_eq!(words(10), "100.0 MB/s, 30 s left");
        assert_eq!(words(40), "100.0 MB/s");
        // Tasks that an earlier coordinator did say nothing about the speed of this one.
        assert_eq!(rate_and_time_left(Duration::from_secs(10), 20, 30, 40, 0), "0 B/s, 10 s left");
    }
}
