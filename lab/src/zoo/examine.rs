//! The tests run against one wrong solution: all of them, or only until its verdict is certain.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::build::Built;
use super::cli::ZooOptions;
use super::matrix::{Cell, Row};
use super::rate;
use crate::catalogue::{Lab, Test};
use crate::runner::{Job, Runner};
use crate::{Failure, pool};

/// What to run against a solution.
pub(super) struct Work<'a> {
    pub(super) built: &'a Built,
    pub(super) tests: &'a [Test],
    /// Which of them, and in which order.
    pub(super) order: Vec<usize>,
    pub(super) seeds: Range<u64>,
    pub(super) workers: usize,
    /// After a kill: whether no further run is wanted. None: everything is run.
    pub(super) is_over: Option<fn(&Row) -> bool>,
}

/// The runs, as far as they got.
struct Board<'a> {
    work: &'a Work<'a>,
    cells: Mutex<Vec<Cell>>,
    is_over: AtomicBool,
}

impl Board<'_> {
    /// Runs a test until it has killed often enough, to the last seed, or until no further run is wanted.
    fn run(&self, runner: &Runner, index: usize) -> Result<(), Failure> {
        let Work { built, tests, seeds, .. } = self.work;
        if self.is_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let test = &tests[index];
        let job = Job { binary: built.binary(test), test, seeds: seeds.clone() };
        let mut cell = Cell::default();
        runner.run(&job, &mut |report| {
            let kills = cell.rate.kills;
            cell.add(&report);
            self.put(index, &cell, cell.rate.kills > kills);
            if cell.rate.kills >= rate::ENOUGH || self.is_over.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    fn put(&self, index: usize, cell: &Cell, is_kill: bool) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells[index] = cell.clone();
        if is_kill && self.work.is_over.is_some_and(|is_over| is_over(&self.row(cells.clone()))) {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    fn row(&self, cells: Vec<Cell>) -> Row {
        Row::new(self.work.built.patch.clone(), self.work.tests, cells)
    }
}

/// Runs the tests. Returns what came of them, and whether they ended early because no more was wanted.
pub(super) fn run_tests(work: &Work<'_>, runner: &Runner) -> Result<(Row, bool), Failure> {
    let cells = Mutex::new(vec![Cell::default(); work.tests.len()]);
    let board = Board { work, cells, is_over: AtomicBool::new(false) };
    let mut failure = None;
    pool::run(
        work.workers,
        &work.order,
        |index, sender| {
            let _ = sender.send(board.run(runner, *index));
        },
        |result| {
            failure = failure.take().or(result.err());
            failure.is_none() && !board.is_over.load(Ordering::Relaxed)
        },
    );
    let cells = std::mem::take(&mut *board.cells.lock().unwrap_or_else(PoisonError::into_inner));
    failure.map_or_else(|| Ok((board.row(cells), board.is_over.load(Ordering::Relaxed))), Err)
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
    let mut order: Vec<usize> = (0..tests.len()).filter(|&index| applies(&tests[index])).collect();
    let is_short = !options.is_whole();
    if is_short {
        // A stable sort: those of one kind stay in the order of the list.
        order.sort_by_key(|&index| (!is_named(&tests[index]), rank(&tests[index].part) != Some(last)));
    }
    let work = Work {
        built,
        tests,
        order,
        // Seeds are fixed here: a wrong solution that is caught today is caught tomorrow.
        seeds: 1..options.seeds() + 1,
        workers: options.workers.number_in(&runner.world),
        is_over: is_short.then_some(Row::is_certain),
    };
    let begin = Instant::now();
    let ran = run_tests(&work, runner);
    built.discard();
    let (row, is_partial) = ran?;
    Ok(row.with([built.seconds, begin.elapsed().as_secs_f64()], is_partial))
}
