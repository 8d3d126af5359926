//! Part B: intermediate files on the mappers' disks, fetched by the reducers.

use std::collections::BTreeSet;

use labrt::channel::{Receiver, unbounded};
use labrt::rand::{random_bool, random_range};
use labrt::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use labrt::thread;
use labrt::time::{Duration, Instant};
use mapreduce::apps::wc::WordCount;
use mapreduce::events::Event;
use mapreduce::rpc::TaskId;
use mapreduce::state::{Backup, Phase};
use tester::run;

use crate::sim::checker::{Checker, Record, is_map};
use crate::sim::cluster::{Cluster, Plan, host_name, timeout};
use crate::sim::disturb::{crash_or_stall, keep_restarting, of_timeout};
use crate::sim::probe::{Hooks, Late};
use crate::sim::text::zipf_files;
use crate::sim::toys::Names;

/// A job of 20 maps and 10 reduces on five machines, without backup attempts, so that every execution has one
/// of the causes that part B is about.
fn plan() -> Plan {
    let mut plan = Plan::new(5, WordCount, zipf_files(20, 1200)).on_local_disks();
    plan.rules.backup = Backup::Off;
    plan
}

/// Tells of the first event of a kind.
fn first(checker: &Checker, is_it: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Receiver<Event> {
    let (sender, receiver) = unbounded();
    let told = AtomicBool::new(false);
    checker.on_event(move |event| {
        if is_it(event) && !told.swap(true, Ordering::SeqCst) {
            // The test may have stopped listening.
            let _ = sender.send(event.clone());
        }
    });
    receiver
}

fn enters_reduce(event: &Event) -> bool {
    *event == Event::Entered(Phase::Reduce)
}

/// The maps whose accepted output lies on this machine.
fn maps_of(record: &Record, machine: usize) -> BTreeSet<usize> {
    let map = |task| match task {
        TaskId::Map(map) => Some(map),
        TaskId::Reduce(_) => None,
    };
    let there = record.accepted.iter().filter(|(.., host)| *host == host_name(machine));
    there.filter_map(|(id, ..)| map(id.task)).collect()
}

/// The maps that were lost.
fn lost_maps(record: &Record) -> BTreeSet<usize> {
    let map = |task| match task {
        TaskId::Map(map) => Some(map),
        TaskId::Reduce(_) => None,
    };
    record.lost.iter().filter_map(|id| map(id.task)).collect()
}

#[test]
fn mr_local_disk_lost() {
    run("mr_local_disk_lost", |t| {
        t.scene("Five machines run all maps.");
        let cluster = Cluster::new(t, plan());
        let before_shuffle = random_bool(0.5);
        // Nine of the ten reduces at most have been handed out then, and the others need all outputs.
        let reduces = random_range(1..10);
        let begun = AtomicUsize::new(0);
        let now = first(cluster.checker(), move |event| match event {
            Event::HandedOut { id, .. } if !before_shuffle && !is_map(id.task) => {
                begun.fetch_add(1, Ordering::SeqCst) + 1 == reduces
            }
            _ => before_shuffle && enters_reduce(event),
        });
        let _ = now.recv();
        if !before_shuffle {
            t.note(format!("{reduces} reduces have been handed out"));
        }

        t.scene("A machine is lost with its disk.");
        let before = cluster.checker().record();
        let owners: Vec<usize> =
            cluster.workers().filter(|&machine| !maps_of(&before, machine).is_empty()).collect();
        let victim = owners[random_range(0..owners.len())];
        let victims = maps_of(&before, victim);
        let was_over = cluster.is_over();
        cluster.crash_machine(victim);
        cluster.storage().lose_disk(victim);
        cluster.wait();

        t.scene("Only what was lost runs again.");
        let record = cluster.checker().record();
        let lost = lost_maps(&record);
        t.expect(lost.is_subset(&victims), || format!("maps {victims:?} were lost, and {lost:?} run again"));
        t.expect(!before_shuffle || lost == victims, || {
            format!("maps {victims:?} were lost before any reducer had fetched them, and {lost:?} run again")
        });
        for map in 0..20 {
            let again = record.lost.iter().any(|id| id.task == TaskId::Map(map));
            let executions = record.executions_of(TaskId::Map(map));
            t.expect(executions == 1 + usize::from(again), || {
                format!("map {map} was executed {executions} times, and its output was lost: {again}")
            });
        }
        for (id, (worker, _)) in &before.handed_out {
            let on_victim = crate::sim::story::machine_of(*worker) == victim;
            let executions = record.executions_of(id.task);
            t.expect(is_map(id.task) || on_victim || executions == 1, || {
                format!("{} ran on a machine that was not lost, and was executed {executions} times", id.task)
            });
        }
        t.exercised(!was_over && !lost.is_empty(), "nothing that was lost was still needed");
    });
}

#[test]
fn mr_fetch_failure() {
    run("mr_fetch_failure", |t| {
        t.scene("Five machines run all maps.");
        let cluster = Cluster::new(t, plan());
        let maps_done = first(cluster.checker(), enters_reduce);
        let _ = maps_done.recv();

        t.scene("One machine can no longer be reached from another one, though both reach all others.");
        let (reducer, mapper) = two_of(5);
        let victims = cluster.checker().with(|record| maps_of(record, mapper));
        t.note(format!("no link {reducer} -> {mapper}"));
        cluster.net().network().enable(cluster.link(reducer, mapper), false);
        cluster.wait();

        let record = cluster.checker().record();
        let lost = lost_maps(&record);
        t.expect(lost.is_subset(&victims), || {
            format!("maps {lost:?} run again, of which {victims:?} cannot be reached")
        });
        let reduces = record.executions(false);
        t.expect(reduces == 10, || format!("10 reduces were executed {reduces} times, and none had failed"));
        t.exercised(!record.fetch_failures.is_empty(), "no fetch failed");
    });
}

/// Two different machines of so many.
fn two_of(machines: usize) -> (usize, usize) {
    let one = random_range(1..=machines);
    let other = (one + random_range(0..machines - 1)) % machines + 1;
    (one, other)
}

#[test]
fn mr_reduce_committed_not_rerun() {
    run("mr_reduce_committed_not_rerun", |t| {
        t.scene("A machine finishes a reduce. The job will last until it has long been declared dead.");
        let mut plan = plan();
        plan.reduces = 30;
        // Not in map, which is called once for each file, or for each word, as the solution likes.
        let hooks = Hooks::default().on_reduce(|_, _| thread::sleep(of_timeout(0.03)));
        let cluster = Cluster::with_hooks(t, plan, hooks);
        let done =
            first(cluster.checker(), |event| matches!(event, Event::Accepted { id, .. } if !is_map(id.task)));
        let Ok(Event::Accepted { id, host, .. }) = done.recv() else { t.fail("no reduce was accepted") };

        t.scene("It is lost, with its disk.");
        let Some(machine) = cluster.workers().find(|&machine| host_name(machine) == host) else {
            t.fail(format!("there is no machine {host}"))
        };
        let was_over = cluster.is_over();
        cluster.crash_machine(machine);
        cluster.storage().lose_disk(machine);
        let lost = Instant::now();
        cluster.wait();
        let was_found_dead = lost.elapsed() > timeout();
        let executions = cluster.checker().with(|record| record.executions_of(id.task));
        t.expect(executions == 1, || format!("{} was done, and was executed {executions} times", id.task));
        t.exercised(!was_over && was_found_dead, "the job was over before the machine was declared dead");
    });
}

#[test]
fn mr_locality() {
    run("mr_locality", |t| {
        t.scene("Six machines; each of 60 files has replicas on three of them.");
        let mut plan = Plan::new(6, WordCount, zipf_files(60, 1000)).on_local_disks();
        plan.rules.backup = Backup::Off;
        plan.replicas = (0..60).map(|_| three_of(6)).collect();
        let cluster = Cluster::new(t, plan);
        cluster.wait();
        let (near, far) = cluster.storage().input_bytes();
        t.note(format!("{near} bytes were read locally, and {far} over the network"));
        t.expect(near >= 9 * far, || format!("{near} bytes were read locally, and {far} over the network"));
    });
}

/// Three different machines of so many.
fn three_of(machines: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (1..=machines).collect();
    (0..3).map(|_| all.remove(random_range(0..all.len()))).collect()
}

#[test]
fn mr_crash_random_local_disks() {
    let allowance = tester::Allowance { virtual_time: Duration::from_secs(900), ..Default::default() };
    tester::run_within("mr_crash_random_local_disks", allowance, |t| {
        t.scene("Machines crash and stall in map and reduce; they come back with their disks, or without.");
        let disturbed = Late::default();
        let (of_map, of_reduce) = (disturbed.clone(), disturbed.clone());
        let hooks = Hooks::default()
            .on_map(move |machine, _| of_map.with(|cluster| crash_or_stall(cluster, machine, 0.2)))
            .on_reduce(move |machine, _| of_reduce.with(|cluster| crash_or_stall(cluster, machine, 0.1)));
        let plan = Plan::new(4, Names, zipf_files(8, 100)).on_local_disks();
        let cluster = Cluster::with_hooks(t, plan, hooks);
        disturbed.set(&cluster);
        cluster.net().network().set_reliable(random_bool(0.5));
        keep_restarting(&cluster, 0.3);
        cluster.wait();
        disturbed.clear();
        let again = cluster.checker().with(|record| !record.lost.is_empty());
        t.exercised(again, "no output was lost that was needed");
    });
}
