//! Directed: what the coordinator makes of workers' messages, in orders that chance hardly brings about. The
//! test plays the workers (`sim/alone.rs`).

use std::collections::BTreeSet;

use mapreduce::rpc::{AttemptId, GetTaskReply, NextStep, ProgressReply, TaskDoneReply, TaskId};
use mapreduce::split::RecordPlace;
use mapreduce::state::Backup;
use mapreduce::store::{StoreError, StoreErrorKind};
use mapreduce::tasks::TaskError;
use tester::run;

use crate::sim::alone::{Alone, AloneJob, pass, told};

/// One map, one reduce.
const JOB: AloneJob = AloneJob { maps: 1, reduces: 1, local_disks: false, backup: Backup::Off };

fn bad(piece: u32, offset: u64) -> TaskError {
    let file = format!("text-0-{}", ["a", "b"][piece as usize]);
    TaskError::BadRecord { place: RecordPlace { piece, offset }, file, reason: "poison".to_owned() }
}

/// Two failures on a record lead to its being skipped: on this record of this file, and in two attempts. A
/// map with several bad records gets over all of them.
#[test]
fn mr_bad_records_count() {
    run("mr_bad_records_count", |t| {
        t.scene("A map fails on records of two files. Each report comes twice.");
        let alone = Alone::new(t, &JOB);
        let mut expected = BTreeSet::new();
        for (piece, offset, is_second) in [
            (0, 7, false),
            (1, 7, false),
            (0, 7, true),
            (1, 7, true),
            (0, 20, false),
            (0, 20, true),
            (1, 30, false),
            (1, 30, true),
        ] {
            let map = alone.map_for(1);
            let skip: BTreeSet<RecordPlace> = map.skip.iter().copied().collect();
            t.expect(skip == expected, || format!("{} skips {skip:?}, and not {expected:?}", map.id()));
            for _ in 0..2 {
                let next = alone.failed(1, map.id(), &bad(piece, offset));
                t.expect(next == NextStep::Ask, || {
                    format!("no task has failed four times in a row, and worker 1 gets {next:?}")
                });
            }
            if is_second {
                expected.insert(RecordPlace { piece, offset });
            }
        }
        t.scene("The last attempt skips all four, and is done.");
        let map = alone.map_for(1);
        let skip: BTreeSet<RecordPlace> = map.skip.iter().copied().collect();
        t.expect(skip == expected, || format!("{} skips {skip:?}, and not {expected:?}", map.id()));
        alone.accepted(1, map.id());
        let reduce = alone.reduce_for(1);
        alone.accepted(1, reduce.id());
    });
}

/// A task fails the job with its fourth attempt in a row that fails, however often each says so.
#[test]
fn mr_four_failures() {
    run("mr_four_failures", |t| {
        t.scene("A reduce fails in each attempt. Each report comes twice.");
        let alone = Alone::new(t, &JOB);
        let map = alone.map_for(1);
        alone.accepted(1, map.id());
        let full = TaskError::Store(StoreError::new(StoreErrorKind::Full, "mr-out-0", "disk full"));
        for failures in 1..=4 {
            let reduce = alone.reduce_for(1);
            for _ in 0..2 {
                let next = alone.failed(1, reduce.id(), &full);
                let expected = if failures == 4 { NextStep::Exit } else { NextStep::Ask };
                t.expect(next == expected, || {
                    format!("{failures} attempts have failed, and worker 1 gets {next:?}")
                });
            }
        }
        t.scene("The job has failed.");
        let reply = alone.ask(2);
        t.expect(reply == GetTaskReply::Exit, || {
            format!("the job has failed, and worker 2 {}", told(&reply))
        });
        let summary = alone.coordinator.wait();
        t.expect(summary.failure.is_some(), || "the job does not say why it has failed".to_owned());
    });
}

/// An attempt without progress is given up, although its worker reports.
#[test]
fn mr_reports_without_progress() {
    run("mr_reports_without_progress", |t| {
        let alone = Alone::new(t, &JOB);
        let tasks: [fn(&Alone, u64) -> AttemptId; 2] = [map_of, reduce_of];
        for next in tasks {
            t.scene("A worker reports the same progress again and again.");
            let first = next(&alone, 1);
            for _ in 0..4 {
                let _ = alone.progress(1, first, 0.5, true);
                pass(0.35);
            }
            t.scene("Another worker does its task.");
            let second = next(&alone, 2);
            t.expect(second != first, || format!("{first} was handed out twice"));
            alone.accepted(2, second);
        }
    });
}

/// A worker whose attempt lost to another one is told to stop, and its report is late.
#[test]
fn mr_superseded_attempts_stop() {
    run("mr_superseded_attempts_stop", |t| {
        let alone = Alone::new(t, &JOB);
        let tasks: [fn(&Alone, u64) -> AttemptId; 2] = [map_of, reduce_of];
        for next in tasks {
            t.scene("A worker is silent for the time-out, and another one does its task.");
            let first = next(&alone, 1);
            pass(1.05);
            let second = next(&alone, 2);
            alone.accepted(2, second);
            t.scene("It comes back.");
            let reply = alone.progress(1, first, 0.9, false);
            t.expect(reply == ProgressReply::Cancel, || {
                format!("{second} counts, and the worker of {first} is told to {reply:?}")
            });
            let reply = alone.done(1, first);
            t.expect(reply == TaskDoneReply::Late, || format!("{second} counts, and {first} is {reply:?}"));
        }
        let unknown = AttemptId { task: TaskId::Map(0), attempt: 99 };
        let reply = alone.progress(1, unknown, 0.9, false);
        t.expect(reply == ProgressReply::Cancel, || format!("the job is over, and {unknown} gets {reply:?}"));
    });
}

fn map_of(alone: &Alone, worker: u64) -> AttemptId {
    alone.map_for(worker).id()
}

fn reduce_of(alone: &Alone, worker: u64) -> AttemptId {
    alone.reduce_for(worker).id()
}
