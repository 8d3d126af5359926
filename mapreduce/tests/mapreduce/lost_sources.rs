//! Directed, part B: outputs that are lost while reduces need them, have them, or wait for them.

use std::collections::BTreeSet;

use labrpc::{Direction, TapAction};
use labrt::channel::unbounded;
use labrt::rand::random_range;
use labrt::time::Duration;
use mapreduce::apps::wc::WordCount;
use mapreduce::events::Event;
use mapreduce::names;
use mapreduce::rpc::{AttemptId, GetTaskReply, ProgressReply, TaskId};
use mapreduce::state::{Backup, Phase};
use mapreduce::store::{StoreError, StoreErrorKind};
use mapreduce::tasks::TaskError;
use tester::{Test, run};

use crate::sim::alone::{Alone, AloneJob, pass, told};
use crate::sim::checker::is_map;
use crate::sim::cluster::{Cluster, Plan, host_name};
use crate::sim::odd_apps::Digest;
use crate::sim::text::zipf_files;

/// Two maps, which workers 1 and 2 have done. Also gives what worker 1 has done.
fn shuffle(t: &Test, reduces: usize, backup: Backup) -> (Alone, AttemptId) {
    t.scene("Workers 1 and 2 have done a map each.");
    let alone = Alone::new(t, &AloneJob { maps: 2, reduces, local_disks: true, backup });
    let [first, _] = [1, 2].map(|worker| {
        let id = alone.map_for(worker).id();
        alone.accepted(worker, id);
        id
    });
    (alone, first)
}

/// A reducer reports that it has all its input, and so much progress. It lives.
fn has_fetched(t: &Test, alone: &Alone, worker: u64, reduce: AttemptId, fraction: f64) {
    let reply = alone.progress(worker, reduce, fraction, true);
    t.expect(reply == ProgressReply::Continue, || format!("{reduce} makes progress, and gets {reply:?}"));
}

/// A reduce that waits for lost outputs lives on, however long that takes, and what is said of the lost
/// output no longer matters when there is a new one.
#[test]
fn mr_waiting_reduce_lives() {
    run("mr_waiting_reduce_lives", |t| {
        let (alone, lost) = shuffle(t, 1, Backup::Off);
        let TaskId::Map(missing) = lost.task else { t.fail(format!("{lost} is no map")) };
        t.scene("Worker 3 has the reduce, and cannot fetch the output of worker 1.");
        let reduce = alone.reduce_for(3).id();
        alone.fetch_failed(3, reduce, lost, 1);
        t.scene("The report of its first failure comes again, which is no second failure.");
        alone.fetch_failed(3, reduce, lost, 1);
        alone.waits(2, "one fetch has failed, and was reported twice");
        alone.fetch_failed(3, reduce, lost, 2);
        t.scene("The map runs again for more than three time-outs, in four attempts of which three fail.");
        let full = TaskError::Store(StoreError::new(StoreErrorKind::Full, "mr-0-0", "disk full"));
        let mut again = alone.map_for(4).id();
        for step in 1..=8 {
            pass(0.4);
            let sources = alone.sources(3, reduce, &[missing]);
            t.expect(sources.rows.is_empty(), || {
                format!("the map is not done, and is said to be: {sources:?}")
            });
            alone.waits(2, "the map runs, and the reduce waits for it");
            if step % 2 == 0 && step < 8 {
                let _ = alone.failed(4, again, &full);
                again = alone.map_for(4).id();
            }
        }
        alone.accepted(4, again);
        let rows = alone.sources(3, reduce, &[missing]).rows;
        t.expect(rows.len() == 1 && rows[0].attempt == again.attempt, || {
            format!("{again} is done, and worker 3 is told of {rows:?}")
        });

        t.scene("Old complaints about the lost output come.");
        alone.fetch_failed(3, reduce, lost, 3);
        alone.fetch_failed(3, reduce, lost, 4);
        alone.waits(2, "nobody has complained about the new output");
        let reply = alone.progress(3, reduce, 0.9, true);
        t.expect(reply == ProgressReply::Continue, || format!("{reduce} has its input, and gets {reply:?}"));
        alone.accepted(3, reduce);
    });
}

/// A worker whose reduce waits for a lost output may be the one that makes it again. It does not ask for
/// sources meanwhile.
#[test]
fn mr_waiting_reduce_runs_the_map() {
    run("mr_waiting_reduce_runs_the_map", |t| {
        let (alone, lost) = shuffle(t, 1, Backup::Off);
        let TaskId::Map(missing) = lost.task else { t.fail(format!("{lost} is no map")) };
        t.scene("Worker 3 has the reduce, cannot fetch the output of worker 1, and gets the map.");
        let reduce = alone.reduce_for(3).id();
        alone.fetch_failed(3, reduce, lost, 1);
        alone.fetch_failed(3, reduce, lost, 2);
        let reply = alone.ask_while_waiting(3, reduce);
        let GetTaskReply::Map(map) = reply else {
            t.fail(format!("{lost} is lost, and worker 3 {}", told(&reply)))
        };
        t.scene("The map takes longer than the time-out, and makes progress all the time.");
        for fraction in [0.3, 0.6] {
            pass(0.4);
            let _ = alone.progress(3, map.id(), fraction, false);
        }
        pass(0.4);
        alone.accepted(3, map.id());
        let rows = alone.sources(3, reduce, &[missing]).rows;
        t.expect(rows.len() == 1, || format!("{} is done, and worker 3 is told of {rows:?}", map.id()));
        has_fetched(t, &alone, 3, reduce, 0.5);
        alone.accepted(3, reduce);
    });
}

/// Outputs that all open reduces have fetched are not made again, until one of these reduces is given up.
#[test]
fn mr_fetched_outputs_are_not_needed() {
    run("mr_fetched_outputs_are_not_needed", |t| {
        let (alone, _) = shuffle(t, 2, Backup::Off);
        pass(0.7);
        t.scene("Worker 3 does a reduce; worker 4 has fetched the input of the other one.");
        let (done, running) = (alone.reduce_for(3).id(), alone.reduce_for(4).id());
        alone.accepted(3, done);
        has_fetched(t, &alone, 4, running, 0.5);
        t.scene("Machines 1 and 2 have been silent for the time-out.");
        pass(0.4);
        has_fetched(t, &alone, 4, running, 0.6);
        alone.waits(3, "the reduce that runs has all its input");
        t.scene("Worker 4 dies, too. Its reduce needs all maps again.");
        pass(0.5);
        alone.waits(3, "worker 4 may live");
        pass(0.7);
        for _ in 0..2 {
            let reply = alone.ask(3);
            alone.has_all_sources(&reply, 2);
            let GetTaskReply::Map(map) = reply else {
                t.fail(format!("the outputs of both maps are lost, and worker 3 {}", told(&reply)))
            };
            alone.accepted(3, map.id());
        }
        let reply = alone.ask(3);
        alone.has_all_sources(&reply, 2);
        t.expect(matches!(reply, GetTaskReply::Reduce(_)), || {
            format!("the reduce is idle, and worker 3 {}", told(&reply))
        });
    });
}

/// A reduce whose worker has never heard of it does not go out again without the outputs that were lost
/// meanwhile.
#[test]
fn mr_lost_assignment_of_a_reduce() {
    run("mr_lost_assignment_of_a_reduce", |t| {
        let (alone, lost) = shuffle(t, 2, Backup::Off);
        t.scene("Worker 3 gets a reduce. Worker 4 does not learn of its own.");
        let first = alone.reduce_for(3).id();
        let _ = alone.reduce_for(4);
        t.scene("The output of worker 1 is lost. Worker 4's question comes again, and then its next one.");
        alone.fetch_failed(3, first, lost, 1);
        alone.fetch_failed(3, first, lost, 2);
        alone.has_all_sources(&alone.ask_again(4), 2);
        let reply = alone.ask(4);
        alone.has_all_sources(&reply, 2);
        if let GetTaskReply::Map(map) = reply {
            alone.accepted(4, map.id());
            let reply = alone.ask(4);
            alone.has_all_sources(&reply, 2);
            t.expect(matches!(reply, GetTaskReply::Reduce(_)), || {
                format!("a reduce is idle, and worker 4 {}", told(&reply))
            });
        }
    });
}

/// A reduce gets no backup that would lack the outputs of which the first attempt has the last copies.
#[test]
fn mr_no_backup_without_sources() {
    run("mr_no_backup_without_sources", |t| {
        let (alone, _) = shuffle(t, 20, Backup::LongestRunning);
        pass(0.7);
        t.scene("Worker 3 does 19 of 20 reduces, and has fetched the input of the last one.");
        for _ in 0..19 {
            let id = alone.reduce_for(3).id();
            pass(0.01);
            alone.accepted(3, id);
        }
        let last = alone.reduce_for(3).id();
        has_fetched(t, &alone, 3, last, 0.5);
        t.scene("Machines 1 and 2 have been silent for the time-out. Worker 5 asks.");
        pass(0.4);
        has_fetched(t, &alone, 3, last, 0.6);
        alone.has_all_sources(&alone.ask(5), 2);
        alone.accepted(3, last);
    });
}

/// A machine that has started again with an empty disk says that an output is gone. That is no empty output.
#[test]
fn mr_disk_lost_machine_back() {
    run("mr_disk_lost_machine_back", |t| {
        t.scene("Five machines run all maps.");
        let mut plan = Plan::new(5, WordCount, zipf_files(20, 600)).on_local_disks();
        plan.rules.backup = Backup::Off;
        let cluster = Cluster::new(t, plan);
        let (sender, receiver) = unbounded();
        cluster.checker().on_event(move |event| {
            if *event == Event::Entered(Phase::Reduce) {
                // The test may have ended.
                let _ = sender.send(());
            }
        });
        let _ = receiver.recv();
        let accepted = cluster.checker().record().accepted;
        let (_, worker, _) = &accepted[random_range(0..accepted.len())];
        let victim = crate::sim::story::machine_of(*worker);
        t.scene("One of them crashes, and is back at once without what was on its disk.");
        cluster.crash_machine(victim);
        cluster.storage().lose_disk(victim);
        cluster.restart_machine(victim);
        cluster.wait();
        let lost = cluster.checker().with(|record| !record.lost.is_empty());
        t.exercised(lost, "no output was lost that was needed");
    });
}

/// A mapper may hand over a partition in pieces. The reducer asks until there are no more.
#[test]
fn mr_long_partitions() {
    run("mr_long_partitions", |t| {
        t.scene("Each map has a megabyte for one partition.");
        let mut plan = Plan::new(4, Digest, zipf_files(4, 1_200_000)).on_local_disks();
        plan.reduces = 4;
        plan.costs.byte = Duration::from_nanos(20);
        let cluster = Cluster::new(t, plan);
        cluster.wait();
    });
}

/// Of so many long replies [`mr_lost_pieces`] loses every other one.
const LONG_REPLIES: usize = 60;

/// Pieces of a partition are lost on their way. What has come of it is not the partition.
#[test]
fn mr_lost_pieces() {
    run("mr_lost_pieces", |t| {
        t.scene("Each map has a megabyte for one partition, and every other long reply is lost.");
        let mut plan = Plan::new(4, Digest, zipf_files(4, 1_200_000)).on_local_disks();
        plan.reduces = 4;
        plan.costs.byte = Duration::from_nanos(20);
        let cluster = Cluster::new(t, plan);
        let mut sent = 0;
        cluster.net().network().set_tap(move |message| {
            let is_long = message.direction == Direction::Reply && message.bytes.len() > 20_000;
            sent += usize::from(is_long);
            if is_long && sent < LONG_REPLIES && sent % 2 == 0 { TapAction::Drop } else { TapAction::Deliver }
        });
        cluster.wait();
        let failures = cluster.checker().with(|record| record.fetch_failures.len());
        t.exercised(failures > 0, "no piece was lost");
    });
}

/// A worker's own disk may lose what the worker has written. The worker can no more do without it than
/// without the output of another one.
#[test]
fn mr_own_disk_lost() {
    run("mr_own_disk_lost", |t| {
        t.scene("One machine runs all maps, and its disk is lost when they are done. Its worker goes on.");
        let mut plan = Plan::new(1, WordCount, zipf_files(3, 600)).on_local_disks();
        plan.rules.backup = Backup::Off;
        plan.reduces = 4;
        let cluster = Cluster::new(t, plan);
        let (sender, receiver) = unbounded();
        cluster.checker().on_event(move |event| {
            if *event == Event::Entered(Phase::Reduce) {
                // The test may have ended.
                let _ = sender.send(());
            }
        });
        let _ = receiver.recv();
        cluster.storage().lose_disk(1);
        cluster.wait();
        let failures = cluster.checker().with(|record| record.fetch_failures.len());
        t.exercised(failures > 0, "no output was missed");
    });
}

/// A reducer deletes what it has copied when its attempt ends.
#[test]
fn mr_copies_are_deleted() {
    run("mr_copies_are_deleted", |t| {
        t.scene("Four machines run a job.");
        let mut plan = Plan::new(4, WordCount, zipf_files(8, 600)).on_local_disks();
        plan.rules.backup = Backup::Off;
        let cluster = Cluster::new(t, plan);
        cluster.wait();
        cluster.wait_for_exits(4);
        t.scene("When the workers have ended, each disk has the outputs of its own maps.");
        let accepted = cluster.checker().record().accepted;
        for machine in cluster.workers() {
            let here = accepted.iter().filter(|(.., host)| *host == host_name(machine));
            let maps = here.filter_map(|(id, ..)| match id.task {
                TaskId::Map(map) => Some((map, id.attempt)),
                TaskId::Reduce(_) => None,
            });
            let own: BTreeSet<String> = maps
                .flat_map(|(map, attempt)| (0..10).map(move |part| names::intermediate(map, part, attempt)))
                .collect();
            let mut others = cluster.storage().names_on_disk(machine);
            others.retain(|name| !own.contains(name));
            t.expect(others.is_empty(), || {
                format!("{} has copied and not deleted {others:?}", host_name(machine))
            });
        }
        let mappers: BTreeSet<&String> =
            accepted.iter().filter(|(id, ..)| is_map(id.task)).map(|(.., host)| host).collect();
        t.exercised(mappers.len() > 1, "one machine has run all maps");
    });
}
