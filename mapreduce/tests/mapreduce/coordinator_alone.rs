//! Directed: what the coordinator makes of workers' messages, in orders that chance hardly brings about. The
//! test plays the workers (`sim/alone.rs`).

use std::collections::BTreeSet;

use mapreduce::rpc::{
    AttemptId, CoordinatorRpc, GetTaskReply, NextStep, PROTOCOL_VERSION, ProgressReply, RegisterArgs,
    RegisterReply, TaskDoneReply, TaskId,
};
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

/// An attempt that makes progress is never given up, however long it takes.
#[test]
fn mr_progress_saves() {
    run("mr_progress_saves", |t| {
        let alone = Alone::new(t, &JOB);
        let tasks: [fn(&Alone, u64) -> AttemptId; 2] = [map_of, reduce_of];
        for next in tasks {
            t.scene("A worker makes progress for more than two time-outs. Another one asks meanwhile.");
            let id = next(&alone, 1);
            for step in 1..=6 {
                pass(0.4);
                let reply = alone.progress(1, id, f64::from(step) / 10.0, true);
                t.expect(reply == ProgressReply::Continue, || {
                    format!("{id} makes progress, and its worker is told to {reply:?}")
                });
                alone.waits(2, "the task's attempt makes progress");
            }
            alone.accepted(1, id);
        }
    });
}

/// A worker whose attempt was given up may still be at work. What it says of its progress does not save the
/// attempt that has taken the place of its own.
#[test]
fn mr_given_up_attempts_save_none() {
    run("mr_given_up_attempts_save_none", |t| {
        let alone = Alone::new(t, &JOB);
        let tasks: [fn(&Alone, u64) -> AttemptId; 2] = [map_of, reduce_of];
        for next in tasks {
            t.scene("A worker is silent for the time-out. Another one gets its task, and dies.");
            let first = next(&alone, 1);
            pass(1.05);
            let second = next(&alone, 2);
            t.scene("The first one comes back, and says that it makes progress.");
            for fraction in [0.2, 0.4, 0.6] {
                pass(0.35);
                let reply = alone.progress(1, first, fraction, true);
                t.expect(reply == ProgressReply::Cancel, || {
                    format!("{first} was given up, and its worker is told to {reply:?}")
                });
            }
            t.scene("The second attempt has made no progress for the time-out. A third worker asks.");
            let third = next(&alone, 3);
            t.expect(third != first && third != second, || format!("{third} was handed out twice"));
            alone.accepted(3, third);
        }
    });
}

/// Without any input the output is empty and complete: no map, and reduces without sources.
#[test]
fn mr_no_maps() {
    run("mr_no_maps", |t| {
        t.scene("A job has no maps.");
        let alone = Alone::new(t, &AloneJob { maps: 0, reduces: 2, ..JOB });
        for worker in [1, 2] {
            let reduce = alone.reduce_for(worker);
            let sources = reduce.sources.rows.len();
            t.expect(sources == 0, || format!("{} has {sources} sources of no map", reduce.id()));
            alone.accepted(worker, reduce.id());
        }
        let reply = alone.ask(1);
        t.expect(reply == GetTaskReply::Exit, || {
            format!("the job is finished, and worker 1 {}", told(&reply))
        });
    });
}

/// A worker that speaks another version of the messages does not take part.
#[test]
fn mr_other_version_refused() {
    run("mr_other_version_refused", |t| {
        let alone = Alone::new(t, &JOB);
        for version in [PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1] {
            let args = RegisterArgs { version, worker: 77, host: "machine-7".to_owned() };
            let reply = alone.coordinator.register(args);
            t.expect(matches!(reply, RegisterReply::Refused(_)), || {
                format!("a worker of version {version} registers, and is told {reply:?}")
            });
        }
    });
}

/// Maps that fail far from their input are idle again, and go to the machines that have it.
#[test]
fn mr_failed_maps_go_home() {
    run("mr_failed_maps_go_home", |t| {
        t.scene("Machines 1 and 2 have the input of a map each. Workers 3 and 4 run the maps, and fail.");
        let job = AloneJob { maps: 2, local_disks: true, ..JOB };
        let alone = Alone::near(t, &job, &[1, 2]);
        let full = TaskError::Store(StoreError::new(StoreErrorKind::Full, "mr-0-0", "disk full"));
        for near in [[1, 2], [2, 1]] {
            let maps = [3, 4].map(|worker| (worker, alone.map_for(worker).id()));
            for (worker, id) in maps {
                let _ = alone.failed(worker, id, &full);
            }
            t.scene("The maps are idle again. Workers 1 and 2 ask, and fail once.");
            for worker in near {
                let map = alone.map_for(worker);
                t.expect(map.map as u64 + 1 == worker, || {
                    format!("machine {worker} gets {}, and the map whose input it has is idle", map.id())
                });
                if near[0] == 1 {
                    let _ = alone.failed(worker, map.id(), &full);
                }
            }
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
