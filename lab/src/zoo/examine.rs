//! The tests run against one wrong solution: all of them, or only until its verdict is certain.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::build::Built;
use super::matrix::{Cell, Row};
use super::rate;
use crate::catalogue::{Lab, Test};
use crate::cli::ZooOptions;
use crate::runner::{Job, Runner};
use crate::{Failure, pool};

/// The runs of one wrong solution, as far as they got.
struct Board<'a> {
    built: &'a Built,
    tests: &'a [Test],
    cells: Mutex<Vec<Cell>>,
    /// Whether the runs end as soon as the verdict is certain.
    is_short: bool,
    is_certain: AtomicBool,
}

impl Board<'_> {
    /// Runs a test until it has killed often enough, to the last seed, or until no further run can change the
    /// verdict.
    fn run(&self, runner: &Runner, index: usize, job: &Job<'_>) -> Result<(), Failure> {
        let mut cell = Cell::default();
        runner.run(job, &mut |report| {
            let kills = cell.rate.kills;
            cell.add(&report);
            self.put(index, &cell, cell.rate.kills > kills);
            if cell.rate.kills >= rate::ENOUGH || self.is_certain.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    fn put(&self, index: usize, cell: &Cell, is_kill: bool) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells[index] = cell.clone();
        if self.is_short && is_kill && self.row(cells.clone()).is_certain() {
            self.is_certain.store(true, Ordering::Relaxed);
        }
    }

    fn row(&self, cells: Vec<Cell>) -> Row {
        Row::new(self.built.patch.clone(), self.tests, cells)
    }
}

/// Runs the tests up to the bug's part; of a sample, those that its patch names. Each runs with all seeds, or
/// until it has killed often enough to know how often it does. Unless the whole matrix is wanted, those that
/// the patch names are first, and the runs end when it is certain that the solution is caught.
pub(super) fn examine(
    built: &Built,
    lab: &Lab,
    tests: &[Test],
    runner: &Runner,
    options: &ZooOptions,
) -> Result<Row, Failure> {
    let patch = &built.patch;
    let rank = |part: &str| lab.parts.iter().position(|other| other.name.eq_ignore_ascii_case(part));
    let last = rank(&patch.part).ok_or_else(|| {
        Failure::new(format!("{} is of part {}, which {} has not", patch.id, patch.part, lab.name))
    })?;
    let is_named = |test: &Test| patch.caught_by.contains(&test.name);
    let names_tests = tests.iter().any(is_named);
    let applies = |test: &Test| match options.sample {
        Some(_) if names_tests => is_named(test),
        _ => rank(&test.part).is_some_and(|part| part <= last),
    };
    // Seeds are fixed here: a wrong solution that is caught today is caught tomorrow.
    let seeds = 1..options.seeds() + 1;
    let mut jobs: Vec<(usize, Job<'_>)> = (0..tests.len())
        .filter(|&index| applies(&tests[index]))
        .map(|index| (index, &tests[index]))
        .map(|(index, test)| (index, Job { binary: built.binary(test), test, seeds: seeds.clone() }))
        .collect();
    let is_short = !options.is_whole();
    if is_short {
        // A stable sort: among equals the cheaper ones are first in the list.
        jobs.sort_by_key(|(_, job)| (!is_named(job.test), rank(&job.test.part) != Some(last)));
    }
    let begin = Instant::now();
    let cells = Mutex::new(vec![Cell::default(); tests.len()]);
    let board = Board { built, tests, cells, is_short, is_certain: AtomicBool::new(false) };
    let mut failure = None;
    pool::run(
        options.workers.number(),
        &jobs,
        |(index, job), sender| {
            let _ = sender.send(board.run(runner, *index, job));
        },
        |result| {
            failure = failure.take().or(result.err());
            failure.is_none() && !board.is_certain.load(Ordering::Relaxed)
        },
    );
    built.discard();
    let cells = std::mem::take(&mut *board.cells.lock().unwrap_or_else(PoisonError::into_inner));
    let times = [built.seconds, begin.elapsed().as_secs_f64()];
    let is_partial = board.is_certain.load(Ordering::Relaxed);
    failure.map_or_else(|| Ok(board.row(cells).with(times, is_partial)), Err)
}
