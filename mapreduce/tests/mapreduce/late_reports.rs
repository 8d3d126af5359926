//! Directed: reports that come when the coordinator no longer expects them, and an answer that comes when the
//! worker no longer expects it.

use std::collections::BTreeMap;

use labrpc::{Direction, Name, TapAction};
use labrt::channel::unbounded;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use labrt::time::{Duration, Instant};
use mapreduce::events::Event;
use mapreduce::rpc::ProgressReply;
use mapreduce::state::{Backup, Phase};
use tester::run;

use crate::sim::checker::is_map;
use crate::sim::cluster::{Cluster, Plan};
use crate::sim::disturb::of_timeout;
use crate::sim::probe::Hooks;
use crate::sim::text::zipf_files;
use crate::sim::toys::Names;

/// The method by which workers report that a task is done.
const DONE: &str = "CoordinatorRpc.task_done";

/// The method by which workers report the progress of a task.
const PROGRESS: &str = "CoordinatorRpc.progress";

/// The report of a map that has been done by another worker meanwhile comes while one map still runs. It must
/// not be counted in that one's place: reduces begin when all maps are done, and not when so many reports
/// have come.
#[test]
fn mr_late_report_counts_for_none() {
    run("mr_late_report_counts_for_none", |t| {
        t.scene("Three workers run maps. Of two, the last maps take nearly as long as the time-out.");
        // The last file but two and the last but one at once, then the last one: it runs when the first
        // worker's map has been given to another, and for some time after that.
        let hooks = Hooks::default().on_map(move |_, file| {
            if ["text-5", "text-6", "text-7"].contains(&file) {
                thread::sleep(of_timeout(0.8));
            }
        });
        let mut plan = Plan::new(3, Names, zipf_files(8, 600));
        plan.rules.backup = Backup::Off;
        let cluster = Cluster::with_hooks(t, plan, hooks);
        // A repeated report would go past the tap.
        cluster.net().network().set_duplication(0.0);
        let (late, maps_done) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
        let came = late.clone();
        cluster.checker().on_event(move |event| match event {
            Event::Entered(Phase::Reduce) => maps_done.store(true, Ordering::SeqCst),
            Event::Late { id, .. } if is_map(id.task) && !maps_done.load(Ordering::SeqCst) => {
                came.store(true, Ordering::SeqCst);
            }
            _ => {}
        });

        t.scene("The first worker's reports take a little longer than the time-out.");
        let (first, until) = (Mutex::new(None), Instant::now() + of_timeout(1.3));
        cluster.net().network().set_tap(move |message| {
            if message.direction != Direction::Request || message.method != DONE {
                return TapAction::Deliver;
            }
            let first = first.lock().get_or_insert_with(|| message.end.clone()).clone();
            let left = until.duration_since(Instant::now());
            let is_late = first == *message.end && left > Duration::ZERO;
            if is_late { TapAction::Delay(left) } else { TapAction::Deliver }
        });
        cluster.wait();
        cluster.net().network().clear_tap();
        t.exercised(late.load(Ordering::SeqCst), "no report came late while a map still ran");
    });
}

/// A machine has done a map and does not learn that this was accepted. It is cut off, declared dead, and
/// comes back with its old report while the map runs again. What it has written was given up with the
/// machine.
#[test]
fn mr_dead_machine_reports() {
    run("mr_dead_machine_reports", |t| {
        t.scene("Five machines run maps. The first one that reports gets no answers.");
        let is_slow = Arc::new(AtomicBool::new(false));
        let slow = is_slow.clone();
        let hooks = Hooks::default().on_map(move |_, _| {
            if slow.load(Ordering::SeqCst) {
                thread::sleep(of_timeout(0.08));
            }
        });
        let mut plan = Plan::new(5, Names, zipf_files(20, 600)).on_local_disks();
        plan.rules.backup = Backup::Off;
        let cluster = Cluster::with_hooks(t, plan, hooks);
        let (sender, receiver) = unbounded();
        let first: Mutex<Option<Name>> = Mutex::new(None);
        cluster.net().network().set_tap(move |message| {
            if message.direction != Direction::Reply || message.method != DONE {
                return TapAction::Deliver;
            }
            let first = first
                .lock()
                .get_or_insert_with(|| {
                    // The test waits for it.
                    let _ = sender.send(message.end.clone());
                    message.end.clone()
                })
                .clone();
            if first == *message.end { TapAction::Drop } else { TapAction::Deliver }
        });
        let Ok(end) = receiver.recv() else { t.fail("no map was done") };
        let is_its = |&machine: &usize| Name::from(cluster.link(machine, 0)) == end;
        let Some(machine) = cluster.workers().find(is_its) else { t.fail("no machine has that end") };

        t.scene("It is cut off until its maps run again, which takes long.");
        cluster.disconnect(machine);
        is_slow.store(true, Ordering::SeqCst);
        let cut = Instant::now();
        let lost = || cluster.checker().with(|record| !record.lost.is_empty());
        while !lost() && cut.elapsed() < of_timeout(3.0) {
            thread::sleep(of_timeout(0.005));
        }
        let is_lost = lost();
        t.scene("It comes back, and reports again.");
        cluster.net().network().clear_tap();
        cluster.connect(machine);
        thread::sleep(of_timeout(0.2));
        is_slow.store(false, Ordering::SeqCst);
        cluster.wait();
        let late = cluster.checker().with(|record| record.late.len());
        t.exercised(is_lost && late > 0, "no machine that was declared dead reported");
    });
}

/// A worker asks whether its map is still wanted. The answer is no, and comes when the worker runs the next
/// map. That one is wanted, and goes on.
#[test]
fn mr_late_cancel() {
    run("mr_late_cancel", |t| {
        t.scene("Two workers run maps. One takes longer than the time-out, until somebody is told to stop.");
        let cancelled = Arc::new(AtomicBool::new(false));
        let runs: Arc<Mutex<BTreeMap<(usize, String), usize>>> = Arc::default();
        let (of_hook, is_told) = (runs.clone(), cancelled.clone());
        let hooks = Hooks::default().on_map(move |machine, file| {
            *of_hook.lock().entry((machine, file.to_owned())).or_default() += 1;
            let is_first =
                file == "text-0" && of_hook.lock().keys().filter(|(_, of)| of == file).count() == 1;
            let start = Instant::now();
            while is_first && !is_told.load(Ordering::SeqCst) && start.elapsed() < of_timeout(2.0) {
                thread::sleep(of_timeout(0.005));
            }
            thread::sleep(of_timeout(if is_first { 0.0 } else { 0.15 }));
        });
        let mut plan = Plan::new(2, Names, zipf_files(20, 200));
        plan.rules.backup = Backup::Off;
        let cluster = Cluster::with_hooks(t, plan, hooks);
        t.scene("It takes a while to come.");
        let of_tap = cancelled.clone();
        cluster.net().network().set_tap(move |message| {
            let is_cancel = message.direction == Direction::Reply
                && message.method == PROGRESS
                && labgob::decode(message.bytes)
                    .is_ok_and(|reply: ProgressReply| reply == ProgressReply::Cancel);
            let is_late = is_cancel && !of_tap.swap(true, Ordering::SeqCst);
            if is_late { TapAction::Delay(of_timeout(0.08)) } else { TapAction::Deliver }
        });
        cluster.wait();
        cluster.net().network().clear_tap();
        t.met("answers that tell a worker to stop", u64::from(cancelled.load(Ordering::SeqCst)));
        let runs = runs.lock();
        let twice = runs.iter().find(|(_, runs)| **runs > 1);
        t.expect(twice.is_none() || !t.is_ordinary(), || {
            format!("a worker was told to stop when it ran another map, and began that one again: {twice:?}")
        });
    });
}
