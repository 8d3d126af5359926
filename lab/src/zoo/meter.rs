//! How far a zoo is: a bar, or a line now and then where nothing can move.

use indicatif::{ProgressBar, ProgressStyle};
use lab_terminal::{Waiting, is_lively};

/// What is done, and what goes on.
pub(super) struct Meter {
    bar: ProgressBar,
    waiting: Waiting,
    done: usize,
    all: usize,
    what: String,
}

impl Meter {
    /// Nothing is done, of so many.
    pub(super) fn begin(all: usize) -> Meter {
        let bar = if is_lively() { ProgressBar::new(all as u64) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}") {
            bar.set_style(style);
        }
        Meter { bar, waiting: Waiting::begin(), done: 0, all, what: String::new() }
    }

    /// So many are done, and this goes on now.
    pub(super) fn show(&mut self, done: usize, what: impl Into<String>) {
        (self.done, self.what) = (done, what.into());
        self.bar.set_position(done as u64);
        self.bar.set_message(self.what.clone());
        self.wait();
    }

    /// Nothing has come for a while.
    pub(super) fn wait(&mut self) {
        let Meter { waiting, done, all, what, .. } = self;
        if let Some(line) = waiting.due(|| format!("{done} of {all}; {what}")) {
            eprintln!("{line}");
        }
    }

    /// Prints something beside it.
    pub(super) fn print(&mut self, print: impl FnOnce()) {
        self.waiting.heard();
        self.bar.suspend(print);
    }

    /// Clears what moves.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
