//! The board: the worker posts reports there, which the test's thread prints. The watchdog posts runs that
//! are stuck.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use labreport::Verdict;
use labrt::Failure;
use parking_lot::{Condvar, Mutex};

use super::channel::Reports;
use super::plan::Plan;
use super::report::Report;
use crate::test::Test;

/// All boards of tests that run now, for the watchdog.
static OPEN: Mutex<Vec<Arc<Board>>> = Mutex::new(Vec::new());

pub(crate) struct Board {
    /// By which the watchdog finds it: [`labrt::Config::tag`].
    pub(crate) tag: u64,
    plan: Arc<Plan>,
    news: Mutex<News>,
    changed: Condvar,
    /// Seeds that have failed.
    failed: AtomicU64,
    /// Seeds that say nothing, since the machine was too busy.
    inconclusive: AtomicU64,
    /// The seed that runs now.
    pub(crate) seed: AtomicU64,
    /// The run of that seed, whose story is told if it is stuck.
    test: Mutex<Option<Test>>,
}

/// What has been posted since the last look.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) lines: String,
    pub(crate) done: bool,
    pub(crate) stuck: Option<Report>,
}

impl Board {
    pub(crate) fn open(plan: &Arc<Plan>) -> Arc<Board> {
        static WATCH: Once = Once::new();
        WATCH.call_once(|| labrt::on_stuck(post_stuck));
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let board = Arc::new(Board {
            tag: NEXT.fetch_add(1, Ordering::Relaxed),
            plan: Arc::clone(plan),
            news: Mutex::default(),
            changed: Condvar::new(),
            failed: AtomicU64::new(0),
            inconclusive: AtomicU64::new(0),
            seed: AtomicU64::new(plan.first),
            test: Mutex::new(None),
        });
        OPEN.lock().push(Arc::clone(&board));
        board
    }

    pub(crate) fn close(&self) {
        OPEN.lock().retain(|board| board.tag != self.tag);
    }

    /// A seed has ended. Returns whether to go on with the next.
    pub(crate) fn post(&self, report: &Report) -> bool {
        let plan = &self.plan;
        {
            let lines = &mut self.news.lock().lines;
            if plan.reports != Reports::Nobody {
                report.write_line(lines);
            } else if !report.ok() {
                lines.push_str(&report.text());
            } else if plan.seeds.end - plan.seeds.start == 1 {
                lines.push_str(&report.passed());
            }
        }
        match report.line.verdict() {
            Verdict::Passed => return true,
            Verdict::Failed => self.failed.fetch_add(1, Ordering::Relaxed),
            Verdict::Inconclusive => self.inconclusive.fetch_add(1, Ordering::Relaxed),
        };
        report.line.verdict() != Verdict::Failed || plan.keep_going
    }

    /// The worker has nothing left to do.
    pub(crate) fn done(&self) {
        let mut news = self.news.lock();
        let seeds = self.plan.seeds.end - self.plan.seeds.start;
        if self.plan.reports == Reports::Nobody && seeds > 1 {
            let (failed, unknown) = (self.failed(), self.inconclusive.load(Ordering::Relaxed));
            let unknown = if unknown > 0 { format!(", {unknown} inconclusive") } else { String::new() };
            news.lines.push_str(&format!("{}: {seeds} seeds, {failed} failed{unknown}\n", self.plan.test));
        }
        news.done = true;
        self.changed.notify_all();
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits for the end, at most so long, and takes what was posted meanwhile.
    pub(crate) fn wait(&self, at_most: Duration) -> News {
        let mut news = self.news.lock();
        if !news.done && news.stuck.is_none() {
            self.changed.wait_for(&mut news, at_most);
        }
        std::mem::take(&mut news)
    }
}

/// Tells the board of this tag, if there is one, which run begins.
pub(super) fn begin(tag: u64, test: &Test) {
    let board = OPEN.lock().iter().find(|board| board.tag == tag).cloned();
    if let Some(board) = board {
        *board.test.lock() = Some(test.clone());
    }
}

/// Called on the watchdog's thread.
fn post_stuck(failure: &Failure, tag: u64) {
    let board = OPEN.lock().iter().find(|board| board.tag == tag).cloned();
    let Some(board) = board else {
        eprintln!("{failure}");
        return;
    };
    let seed = board.seed.load(Ordering::Relaxed);
    let story =
        board.test.lock().as_ref().map_or_else(String::new, |test| test.story_if_free(board.plan.width));
    board.news.lock().stuck = Some(Report::of_stuck_run(&board.plan, seed, failure, &story));
    board.changed.notify_all();
}
