//! Directed, part A: input that is cut in the middle of words, jobs that must fail, workers that stall at bad
//! moments, and what is left in the store.

use std::collections::BTreeSet;

use labrpc::{Direction, Name, TapAction};
use labrt::quiet::Mutex;
use labrt::rand::{random_bool, random_range};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use labrt::time::Instant;
use mapreduce::app::Records;
use mapreduce::apps::wc::WordCount;
use mapreduce::events::Event;
use mapreduce::names;
use mapreduce::rpc::TaskId;
use mapreduce::state::{Backup, Phase};
use mapreduce::tasks::{Counters, MapOutput, MapTask, Progress, ReduceTask, TaskError, Tasks};
use mapreduce::worker::WorkerError;
use tester::{Test, run};

use crate::sim::checker::is_map;
use crate::sim::cluster::{Cluster, Plan};
use crate::sim::disturb::of_timeout;
use crate::sim::odd_apps::Lines;
use crate::sim::probe::Hooks;
use crate::sim::text::zipf_files;
use crate::sim::toys::{Dice, Names, Squeamish, is_poison};

/// Files whose lines and words are short, long, empty, and not all of ASCII letters. Some end in the middle
/// of a line.
fn ragged_files() -> Vec<(String, Vec<u8>)> {
    let file = |number: usize| {
        let mut text = String::new();
        for _ in 0..random_range(1..25) {
            let words: Vec<String> = (0..random_range(0..5))
                .map(|_| {
                    let letter = ["a", "b", "c", "é", "ß"][random_range(0..5)];
                    letter.repeat(if random_bool(0.1) { 100 } else { random_range(1..8) })
                })
                .collect();
            text += &words.join([" ", "  ", "\t"][random_range(0..3)]);
            text += "\n";
        }
        text += ["", "\n", "the end"][random_range(0..3)];
        (format!("text-{number}"), text.into_bytes())
    };
    (0..3).map(file).collect()
}

#[test]
fn mr_split_pieces() {
    run("mr_split_pieces", |t| {
        let split_size = random_range(5..60);
        t.scene(format!("Files are cut after {split_size} bytes and less. The application wants words."));
        let files = ragged_files();
        let job = |plan: Plan| {
            let mut plan = Plan { split_size, reduces: 3, ..plan };
            plan.rules.backup = Backup::Off;
            let cluster = Cluster::new(t, plan);
            cluster.wait();
            cluster.stop();
        };
        job(Plan::new(3, WordCount, files.clone()));
        t.scene("The application wants lines.");
        job(Plan::new(3, Lines { records: Records::Lines }, files.clone()));
        t.scene("The application wants blocks of lines.");
        job(Plan::new(3, Lines { records: Records::Blocks }, files));
    });
}

/// Waits until the job has failed, and all workers have ended.
fn wait_for_failure(t: &Test, cluster: &Cluster, workers: usize) {
    t.wait_for(of_timeout(0.9), "the job has failed", || cluster.is_over().then_some(()));
    let summary = cluster.coordinator().wait();
    t.expect(summary.failure.is_some(), || "the job is finished, and must fail".to_owned());
    cluster.wait_for_exits(workers);
}

/// Fails unless this task was executed four times, and failed each time.
fn expect_four(t: &Test, cluster: &Cluster, task: TaskId) {
    let executions = cluster.checker().with(|record| record.executions_of(task));
    t.expect(executions == 4, || {
        format!("a job fails with the fourth failure of a task in a row, and {task} was executed {executions} times")
    });
}

#[test]
fn mr_input_changed() {
    run("mr_input_changed", |t| {
        t.scene("A file grows after the input was cut into splits.");
        let mut files = zipf_files(4, 200);
        let plan = Plan::new(3, WordCount, files.clone());
        let cluster = Cluster::start(t, plan, &[], Hooks::default());
        let (name, bytes) = &mut files[random_range(0..4)];
        bytes.extend_from_slice(b"more words\n");
        cluster.storage().put(name, bytes, &[]);
        cluster.workers().for_each(|machine| cluster.restart_machine(machine));
        wait_for_failure(t, &cluster, 3);
    });
}

#[test]
fn mr_failing_reduce() {
    run("mr_failing_reduce", |t| {
        t.scene("Reduce fails on one key, each time.");
        let hooks = Hooks::default().on_reduce(|_, key| assert!(key != "text-3", "this key is poison"));
        let mut plan = Plan::new(3, Names, zipf_files(8, 200));
        plan.rules.backup = Backup::Off;
        let partition = plan.application.partition("text-3", plan.reduces);
        let cluster = Cluster::with_hooks(t, plan, hooks);
        wait_for_failure(t, &cluster, 3);
        expect_four(t, &cluster, TaskId::Reduce(partition));
    });
}

#[test]
fn mr_bad_record_not_to_be_skipped() {
    run("mr_bad_record_not_to_be_skipped", |t| {
        t.scene("Map fails on a record, and the job's rules say that none is skipped.");
        let mut files = zipf_files(6, 300);
        let bad = random_range(0..6);
        files[bad].1.extend_from_slice(b"this is poison for map\n");
        let mut plan = Plan::new(3, Squeamish, files);
        plan.rules.skip_bad_records = false;
        plan.rules.backup = Backup::Off;
        plan.skips = |_, record| is_poison(record);
        let cluster = Cluster::new(t, plan);
        wait_for_failure(t, &cluster, 3);
        expect_four(t, &cluster, TaskId::Map(bad));
    });
}

/// The first worker that writes an output stalls in the middle, until another attempt of its task counts. It
/// must have written to a file of its own, and must not give it the final name any more, not even if it
/// cannot ask the coordinator when it goes on.
#[test]
fn mr_stalled_write() {
    run("mr_stalled_write", |t| {
        t.scene("No two attempts of a reduce have the same output. The first one stalls while it writes.");
        let mut plan = Plan { is_pure: false, ..Plan::new(3, Dice, zipf_files(4, 600)) };
        plan.reduces = 4;
        plan.rules.backup = Backup::Off;
        let cluster = Cluster::new(t, plan);
        let is_cut_off = random_bool(0.5);
        let (stalled, of_hook) = (Arc::new(Mutex::new(None)), cluster.clone());
        let first = stalled.clone();
        cluster.storage().on_write(Arc::new(move |machine, _| {
            if first.lock().is_some() {
                return;
            }
            *first.lock() = Some(machine);
            if is_cut_off {
                of_hook.disconnect(machine);
            }
            thread::sleep(of_timeout(1.6));
        }));
        cluster.wait();
        let at_end = cluster.outputs();
        if let Some(machine) = stalled.lock().filter(|_| is_cut_off) {
            t.scene("It goes on, and does not reach the coordinator for some time.");
            thread::sleep(of_timeout(1.0));
            cluster.connect(machine);
        }
        cluster.wait_for_exits(3);
        cluster.storage().forget_hooks();
        let shared = cluster.storage().written_by_two();
        t.expect(shared.is_empty(), || format!("two attempts wrote at once to {shared:?}"));
        t.expect(at_end == cluster.outputs(), || "the output has changed after the job's end".to_owned());
        let reduces = cluster.checker().with(|record| record.executions(false));
        t.exercised(reduces > 4, "no reduce ran twice");
    });
}

/// Runs a job whose first worker to report a map, or a reduce, is heard only when another attempt counts.
fn with_late_reports(t: &Test, of_maps: bool) {
    let mut plan = Plan::new(3, WordCount, zipf_files(8, 600));
    plan.rules.backup = Backup::Off;
    let cluster = Cluster::new(t, plan);
    // A repeated report would go past the tap.
    cluster.net().network().set_duplication(0.0);
    let in_reduces = Arc::new(AtomicBool::new(false));
    let of_tap = in_reduces.clone();
    cluster.checker().on_event(move |event| {
        if *event == Event::Entered(Phase::Reduce) {
            in_reduces.store(true, Ordering::SeqCst);
        }
    });
    let first: Mutex<Option<(Name, Instant)>> = Mutex::new(None);
    cluster.net().network().set_tap(move |message| {
        let is_due = of_maps || of_tap.load(Ordering::SeqCst);
        if message.direction != Direction::Request || message.method != "CoordinatorRpc.task_done" || !is_due
        {
            return TapAction::Deliver;
        }
        let (end, until) = first
            .lock()
            .get_or_insert_with(|| (message.end.clone(), Instant::now() + of_timeout(1.5)))
            .clone();
        let left = until.duration_since(Instant::now());
        if end == *message.end && !left.is_zero() { TapAction::Delay(left) } else { TapAction::Deliver }
    });
    cluster.wait();
    let at_end = cluster.outputs();
    cluster.wait_for_exits(3);
    cluster.net().network().clear_tap();
    t.expect(at_end == cluster.outputs(), || "the output has changed after the job's end".to_owned());
    let left = left_behind(&cluster);
    t.expect(left.is_empty(), || format!("attempts that do not count have left {left:?}"));
    let late = cluster.checker().with(|record| record.late.iter().any(|(id, _)| is_map(id.task) == of_maps));
    t.exercised(late, "no report was late");
    cluster.stop();
}

/// Files of the job in the shared store that belong neither to the output nor to accepted maps.
fn left_behind(cluster: &Cluster) -> Vec<String> {
    let record = cluster.checker().record();
    let mut known: BTreeSet<String> = (0..10).map(names::output).collect();
    for (id, ..) in &record.accepted {
        if let TaskId::Map(map) = id.task {
            known.extend((0..10).map(|partition| names::intermediate(map, partition, id.attempt)));
        }
    }
    let all = cluster.storage().names().into_iter();
    all.filter(|name| names::is_own(name) && !known.contains(name)).collect()
}

#[test]
fn mr_late_reports_leave_nothing() {
    run("mr_late_reports_leave_nothing", |t| {
        t.scene("The first worker that has done a map is heard when another one has done it, too.");
        with_late_reports(t, true);
        t.scene("The same with a reduce, whose output has its final name and must stay.");
        with_late_reports(t, false);
    });
}

#[test]
fn mr_coordinator_lost() {
    run("mr_coordinator_lost", |t| {
        t.scene("The coordinator dies in the middle of a job.");
        let mut plan = Plan::new(3, WordCount, zipf_files(8, 600));
        plan.patience = of_timeout(1.0);
        let cluster = Cluster::new(t, plan);
        t.wait_for(of_timeout(1.0), "a task was handed out", || {
            cluster.checker().with(|record| (!record.handed_out.is_empty()).then_some(()))
        });
        thread::sleep(of_timeout(random_range(0.0..0.05)));
        let was_over = cluster.is_over();
        cluster.crash(0);
        t.scene("The workers lose patience after a time-out.");
        let gone = Instant::now();
        while cluster.exits().len() < 3 && gone.elapsed() < of_timeout(2.5) {
            thread::sleep(of_timeout(0.01));
        }
        let exits = cluster.exits();
        let lost = exits.iter().filter(|exit| **exit == Err(WorkerError::CoordinatorLost)).count();
        t.expect(exits.len() == 3 && (lost == 3 || was_over), || {
            format!("three workers have no coordinator any more, and have ended so: {exits:?}")
        });
        t.exercised(!was_over, "the job was over before");
    });
}

/// Tasks that take two time-outs, and say all the time how far they are.
struct Slow(Arc<dyn Tasks>);

/// Takes two time-outs for the first half of a task.
fn dawdle(progress: &mut Progress<'_>) -> Result<(), TaskError> {
    (1..=10).try_for_each(|step| {
        thread::sleep(of_timeout(0.2));
        progress(f64::from(step) / 20.0).check()
    })
}

impl Tasks for Slow {
    fn run_map(&self, task: &MapTask<'_>, progress: &mut Progress<'_>) -> Result<MapOutput, TaskError> {
        dawdle(progress)?;
        self.0.run_map(task, &mut |fraction| progress(0.5 + fraction / 2.0))
    }

    fn run_reduce(&self, task: &ReduceTask<'_>, progress: &mut Progress<'_>) -> Result<Counters, TaskError> {
        dawdle(progress)?;
        self.0.run_reduce(task, &mut |fraction| progress(0.5 + fraction / 2.0))
    }
}

/// A worker passes on what its task says of its progress, so that the task may take as long as it likes. A
/// worker that has nothing to do asks once in a while, and not all the time.
#[test]
fn mr_slow_tasks_live() {
    run("mr_slow_tasks_live", |t| {
        t.scene("Each task takes more than two time-outs, and makes progress all the time.");
        let mut plan = Plan::new(2, WordCount, zipf_files(1, 300));
        (plan.reduces, plan.rules.backup) = (1, Backup::Off);
        plan.tasks = Arc::new(Slow(plan.tasks));
        let wait = plan.rules.wait;
        let cluster = Cluster::new(t, plan);
        cluster.net().network().set_duplication(0.0);
        let start = Instant::now();
        t.wait_for(of_timeout(8.0), "the job is finished", || {
            let executions = cluster.checker().with(|record| record.handed_out.len());
            t.expect(executions <= 2, || {
                format!("a map and a reduce make progress all the time, and were executed {executions} times")
            });
            cluster.is_over().then_some(())
        });
        cluster.wait();
        // As in `mr_unreliable_rpc`: of two workers one waits and one reports.
        let taken = start.elapsed().as_secs_f64();
        let bound = 20.0 + 4.0 * (taken / wait.as_secs_f64() + taken / of_timeout(0.1).as_secs_f64());
        let calls = cluster.net().network().total_count();
        t.expect((calls as f64) <= bound, || {
            format!("{calls} calls in {taken:.1} s, and at most {bound:.0} are due")
        });
    });
}
