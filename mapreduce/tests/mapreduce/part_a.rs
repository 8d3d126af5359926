//! Part A: intermediate files in the shared store. Every test is watched by the checker (`sim/checker.rs`),
//! so that each says here only what it adds.

use labrt::rand::{random_bool, random_range};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use labrt::time::{Duration, Instant};
use mapreduce::apps::indexer::Indexer;
use mapreduce::apps::wc::WordCount;
use mapreduce::rpc::TaskId;
use tester::{Test, run};

use crate::sim::checker::is_map;
use crate::sim::cluster::{Cluster, Plan, timeout};
use crate::sim::disturb::{crash_or_stall, keep_restarting, of_timeout};
use crate::sim::probe::{Hooks, Late};
use crate::sim::text::{book_files, zipf_files};
use crate::sim::toys::{Dice, Names, Overlap};

#[test]
fn mr_wordcount() {
    run("mr_wordcount", |t| {
        t.scene("Three workers count the words of eight files.");
        let cluster = Cluster::new(t, Plan::new(3, WordCount, book_files(3000)));
        let summary = cluster.wait();
        t.expect(summary.maps.pairs > 0, || "no word was found".to_owned());
        cluster.wait_for_exits(3);
    });
}

#[test]
fn mr_indexer() {
    run("mr_indexer", |t| {
        t.scene("Three workers make an index of eight files.");
        let cluster = Cluster::new(t, Plan::new(3, Indexer, book_files(2000)));
        cluster.wait();
        cluster.wait_for_exits(3);
        let lists_files = cluster.checker().with(|record| {
            record
                .outputs
                .values()
                .any(|bytes| String::from_utf8_lossy(bytes).lines().any(|line| line.contains(',')))
        });
        t.exercised(lists_files, "no word was in two files");
    });
}

#[test]
fn mr_map_parallelism() {
    run("mr_map_parallelism", |t| {
        t.scene("Two workers run maps that take a tenth of the time-out each.");
        let overlap = Overlap::default();
        let hooks = Hooks::default().on_map(overlap.hook(of_timeout(0.1)));
        let cluster = Cluster::with_hooks(t, Plan::new(2, Names, zipf_files(8, 200)), hooks);
        cluster.wait();
        t.expect(overlap.most() >= 2, || format!("{} map ran at a time", overlap.most()));
    });
}

#[test]
fn mr_reduce_parallelism() {
    run("mr_reduce_parallelism", |t| {
        t.scene("Two workers run reduces that take a tenth of the time-out for each key.");
        let overlap = Overlap::default();
        let hooks = Hooks::default().on_reduce(overlap.hook(of_timeout(0.1)));
        let cluster = Cluster::with_hooks(t, Plan::new(2, Names, zipf_files(8, 200)), hooks);
        cluster.wait();
        t.expect(overlap.most() >= 2, || format!("{} reduce ran at a time", overlap.most()));
    });
}

#[test]
fn mr_job_count() {
    run("mr_job_count", |t| {
        t.scene("Two workers run maps that take up to half of the time-out. Two more join in the middle.");
        let hooks = Hooks::default().on_map(|_, _| thread::sleep(of_timeout(random_range(0.2..0.5))));
        let mut plan = Plan::new(4, Names, zipf_files(8, 200));
        plan.rules.timeout = timeout();
        let cluster = Cluster::start(t, plan, &[1, 2], hooks);
        thread::sleep(of_timeout(random_range(0.1..1.0)));
        cluster.restart_machine(3);
        cluster.restart_machine(4);
        cluster.wait();
        let executions = cluster.checker().with(|record| record.executions(true));
        t.expect(executions == 8, || {
            format!("8 maps were executed {executions} times, and nothing was wrong")
        });
    });
}

#[test]
fn mr_early_exit() {
    run("mr_early_exit", |t| {
        t.scene("One of the reduces takes a third of the time-out. The others are soon done.");
        let slow = Arc::new(AtomicBool::new(false));
        let was_slow = slow.clone();
        let hooks = Hooks::default().on_reduce(move |_, key| {
            if key == "text-3" {
                was_slow.store(true, Ordering::SeqCst);
                thread::sleep(of_timeout(0.34));
            }
        });
        let cluster = Cluster::with_hooks(t, Plan::new(3, Names, zipf_files(8, 200)), hooks);

        t.scene("The first process ends: a worker, or the coordinator.");
        let watched = cluster.clone();
        let first = thread::spawn(move || {
            while watched.exits().is_empty() && !watched.is_over() {
                thread::sleep(Duration::from_millis(5));
            }
            watched.outputs()
        });
        let Ok(at_first_exit) = first.join() else { t.fail("the watching thread was lost") };
        t.expect(at_first_exit.len() == 10, || {
            format!("a process has ended, and of the output there is only {:?}", at_first_exit.keys())
        });
        cluster.wait();
        cluster.wait_for_exits(3);
        t.expect(at_first_exit == cluster.outputs(), || {
            "the output has changed after the first process had ended".to_owned()
        });
        t.exercised(slow.load(Ordering::SeqCst), "no reduce was slow");
    });
}

#[test]
fn mr_crash_random() {
    // A task that crashes six times in a row takes a minute and more, and that is not the solution's fault.
    let allowance = tester::Allowance { virtual_time: Duration::from_secs(600), ..Default::default() };
    tester::run_within("mr_crash_random", allowance, |t| {
        t.scene("Four workers, whose machines crash or stall in a third of the calls each. They are started again.");
        let disturbed = Late::default();
        let of_map = disturbed.clone();
        let of_reduce = disturbed.clone();
        let hooks = Hooks::default()
            .on_map(move |machine, _| of_map.with(|cluster| crash_or_stall(cluster, machine, 0.33)))
            .on_reduce(move |machine, _| of_reduce.with(|cluster| crash_or_stall(cluster, machine, 0.33)));
        let cluster = Cluster::with_hooks(t, Plan::new(4, Names, zipf_files(8, 100)), hooks);
        disturbed.set(&cluster);
        keep_restarting(&cluster, 0.0);
        cluster.wait();
        disturbed.clear();
        let (in_maps, in_reduces) =
            cluster.checker().with(|record| (record.executions(true) > 8, record.executions(false) > 10));
        t.exercised(in_maps || in_reduces, "no task was executed twice");
    });
}

#[test]
fn mr_all_workers_die_then_new() {
    run("mr_all_workers_die_then_new", |t| {
        t.scene("Four workers begin.");
        let cluster = Cluster::new(t, Plan::new(4, WordCount, zipf_files(8, 3000)));
        let patience = random_range(0.0..1.2);
        wait_for_work(&cluster, patience);

        t.scene("All four are killed. After a while four new ones join.");
        cluster.workers().for_each(|machine| cluster.crash_machine(machine));
        let unfinished = !cluster.is_over();
        thread::sleep(of_timeout(random_range(0.0..1.5)));
        cluster.workers().for_each(|machine| cluster.restart_machine(machine));
        cluster.wait();
        cluster.wait_for_exits(4);
        t.exercised(unfinished, "the job was over before the workers died");
    });
}

/// Waits until a task was handed out, and then for so many seconds of a simulation.
fn wait_for_work(cluster: &Cluster, seconds: f64) {
    while cluster.checker().with(|record| record.handed_out.is_empty()) {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(of_timeout(seconds / 10.0));
}

#[test]
fn mr_late_report() {
    run("mr_late_report", |t| {
        t.scene("The first report that a task is done takes more than the time-out to arrive.");
        let cluster =
            Cluster::start(t, Plan::new(2, WordCount, zipf_files(8, 1000)), &[1, 2], Hooks::default());
        // A repeated report would go past the tap.
        cluster.net().network().set_duplication(0.0);
        let held = Arc::new(labrt::quiet::Mutex::new(None));
        let of_tap = held.clone();
        let until = Instant::now() + of_timeout(1.6);
        cluster.net().network().set_tap(move |message| {
            use labrpc::{Direction, TapAction};
            if message.direction != Direction::Request || message.method != "CoordinatorRpc.task_done" {
                return TapAction::Deliver;
            }
            // The first worker to report is the one whose reports are late, until then.
            let first = of_tap.lock().get_or_insert_with(|| message.end.clone()).clone();
            let left = until.duration_since(labrt::runtime::now());
            if first == *message.end && left > Duration::ZERO {
                TapAction::Delay(left)
            } else {
                TapAction::Deliver
            }
        });
        cluster.wait();
        thread::sleep(of_timeout(1.7).saturating_sub(Duration::from_nanos(Instant::now().as_nanos())));
        cluster.wait_for_exits(2);
        let late = cluster.checker().with(|record| record.late.len());
        t.expect(late > 0, || "no report was answered that it was late".to_owned());

        t.scene("Counters and output are still those of the job's end.");
        cluster.wait();
    });
}

#[test]
fn mr_partition_worker() {
    run("mr_partition_worker", |t| {
        t.scene("Three workers begin. Sometimes no two attempts of a reduce have the same output.");
        let plan = if random_bool(0.5) {
            Plan::new(3, WordCount, zipf_files(8, 4000))
        } else {
            Plan { is_pure: false, ..Plan::new(3, Dice, zipf_files(8, 4000)) }
        };
        let cluster = Cluster::new(t, plan);
        wait_for_work(&cluster, random_range(0.0..2.5));

        t.scene("One of them is cut off from the coordinator, for three time-outs. The files it still sees.");
        let busy: Vec<usize> = cluster.workers().filter(|&machine| cluster.runs_something(machine)).collect();
        let machine = if busy.is_empty() { 1 } else { busy[random_range(0..busy.len())] };
        cluster.disconnect(machine);
        let cut = Instant::now();
        let at_work = cluster.runs_something(machine);
        cluster.wait();
        let at_end = cluster.outputs();
        t.expect(cut.elapsed() < of_timeout(3.0), || {
            format!("the job took {:?} without the worker that was cut off", cut.elapsed())
        });

        t.scene("It comes back, and reports what it has done.");
        thread::sleep(of_timeout(3.0).saturating_sub(cut.elapsed()));
        cluster.connect(machine);
        cluster.wait_for_exits(3);
        t.expect(at_end == cluster.outputs(), || "the output has changed after the job's end".to_owned());
        t.exercised(at_work, "the worker that was cut off had nothing to do");
    });
}

#[test]
fn mr_unreliable_rpc() {
    run("mr_unreliable_rpc", |t| {
        t.scene("The network loses, repeats and reorders messages.");
        let plan = Plan::new(4, WordCount, zipf_files(20, 800));
        let (workers, tasks, wait) = (4, 30, plan.rules.wait);
        let cluster = Cluster::new(t, plan);
        let network = cluster.net().network();
        network.set_reliable(false);
        network.set_long_reordering(true);
        network.set_duplication(0.1);
        let start = Instant::now();
        cluster.wait();
        // While a worker has nothing to do it asks once in each waiting time, and while it has, it reports
        // ten times in each time-out; twice that for calls that have to be repeated.
        let waits = start.elapsed().as_secs_f64() / wait.as_secs_f64();
        let reports = start.elapsed().as_secs_f64() / of_timeout(0.1).as_secs_f64();
        let bound = 10.0 * tasks as f64 + 2.0 * workers as f64 * (waits + reports);
        let calls = network.total_count();
        t.expect((calls as f64) <= bound, || {
            format!("{calls} calls for {tasks} tasks, and at most {bound:.0} are due")
        });
        let again = cluster.checker().with(|record| record.handed_out_again);
        t.exercised(again > 0 || labrt::world() == labrt::World::Threads, "no assignment was lost");
    });
}

#[test]
fn mr_partial_write_hidden() {
    run("mr_partial_write_hidden", |t| {
        t.scene("Each first attempt to write an output is killed when half of the file is written.");
        let mut plan = Plan::new(5, WordCount, zipf_files(8, 1500));
        plan.reduces = 5;
        let cluster = Cluster::new(t, plan);
        let victims = Arc::new(labrt::quiet::Mutex::new(std::collections::BTreeSet::new()));
        let (killed, of_hook) = (victims.clone(), cluster.clone());
        cluster.storage().on_write(Arc::new(move |machine, name| {
            // The name of the output without the attempt's number.
            let output = name.rsplit_once('-').map_or(name, |(output, _)| output).to_owned();
            if killed.lock().insert(output) {
                of_hook.crash_machine(machine);
            }
        }));
        keep_restarting(&cluster, 0.0);
        cluster.wait();
        let killed = victims.lock().len();
        t.exercised(killed > 0, "no worker was killed in the middle of a write");
        t.expect(killed == 5, || format!("{killed} of 5 outputs were written under temporary names"));
        cluster.storage().forget_hooks();
    });
}

#[test]
fn mr_backup_tasks() {
    run("mr_backup_tasks", |t| {
        let workers = 10;
        let plan = || {
            let mut plan = Plan::new(workers, WordCount, zipf_files(120, 1500));
            plan.reduces = 100;
            plan.costs.call = Duration::ZERO;
            plan
        };
        t.scene("Ten workers, all of the same speed.");
        let (even, _) = measure(t, plan(), |_| ());
        t.scene("One of them is twenty times slower.");
        let (uneven, backups) = measure(t, plan(), |cluster| cluster.storage().set_slowness(1, 20.0));
        t.expect(uneven <= even.mul_f64(1.3), || {
            format!("with a slow worker the job took {uneven:?}, and without one {even:?}")
        });
        t.expect(backups <= 11, || format!("{backups} backup attempts for 220 tasks are more than 5 %"));
        t.exercised(backups > 0, "no task had a backup attempt");
    });
}

/// Runs a job and gives the time that it took, and how many backup attempts there were.
fn measure(t: &Test, plan: Plan, prepare: impl FnOnce(&Cluster)) -> (Duration, usize) {
    let cluster = Cluster::new(t, plan);
    prepare(&cluster);
    let start = Instant::now();
    cluster.wait();
    let taken = start.elapsed();
    t.note(format!("it took {:.2} s", taken.as_secs_f64()));
    let record = cluster.checker().record();
    cluster.stop();
    (taken, record.handed_out.values().filter(|(_, is_backup)| *is_backup).count())
}

#[test]
fn mr_combiner_equivalent() {
    run("mr_combiner_equivalent", |t| {
        let files = zipf_files(6, 20_000);
        let plan = |combine: bool| {
            let mut plan = Plan::new(3, crate::sim::toys::Combining { combine }, files.clone());
            plan.costs.call = Duration::ZERO;
            plan.costs.byte /= 10;
            plan
        };
        let shuffled = |combine: bool| {
            let cluster = Cluster::new(t, plan(combine));
            let bytes = cluster.wait().maps.bytes_out;
            let outputs = cluster.outputs();
            cluster.stop();
            (bytes, outputs)
        };
        t.scene("Words are counted without a combiner, and with one.");
        let (plain, output) = shuffled(false);
        let (combined, same) = shuffled(true);
        t.note(format!("{plain} bytes of intermediate files without, {combined} with"));
        t.expect(output == same, || "the output depends on the combiner".to_owned());
        t.expect(plain >= 5 * combined, || {
            format!("the combiner made {combined} bytes of {plain}, which are not five times fewer")
        });
    });
}

#[test]
fn mr_skip_bad_record() {
    run("mr_skip_bad_record", |t| {
        t.scene("Map fails on one record of one file.");
        let mut files = zipf_files(6, 600);
        let bad = random_range(0..6);
        let text = String::from_utf8_lossy(&files[bad].1).into_owned();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.insert(random_range(0..=lines.len()), "this is poison for map");
        files[bad].1 = (lines.join("\n") + "\n").into_bytes();
        let mut plan = Plan::new(3, crate::sim::toys::Squeamish, files);
        plan.skips = |_, record| crate::sim::toys::is_poison(record);
        let cluster = Cluster::new(t, plan);
        let summary = cluster.wait();
        let record = cluster.checker().record();
        t.expect(record.skipped.len() == 1, || {
            format!("one record should be skipped, and {:?} are", record.skipped)
        });
        t.expect(summary.maps.skipped_records == 1, || {
            format!("{} records are reported as skipped", summary.maps.skipped_records)
        });
        let executions = record.executions_of(TaskId::Map(bad));
        t.expect(executions == 3, || {
            format!("after two failures the third attempt ends, but there were {executions}")
        });
        let others = record.handed_out.keys().filter(|id| is_map(id.task)).count() - executions;
        t.expect(others == 5, || format!("the five other maps were executed {others} times"));
    });
}
