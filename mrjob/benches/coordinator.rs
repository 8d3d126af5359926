//! What a task costs the coordinator: time and memory, for jobs of different sizes. The paper's jobs have
//! about 20,000 tasks; both should not grow with the job (but for the list of sources that each reduce is
//! sent).
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench stands outside of the simulation, and measures real time"
)]

use labrt::time::{Duration, Instant};
use mapreduce::rpc::{
    GetTaskArgs, GetTaskReply, Job, PartitionSet, ProgressArgs, TaskDoneArgs, TaskDoneReply, TaskId,
};
use mapreduce::split::{Piece, Split};
use mapreduce::state::{Input, Rules, State};
use mapreduce::store::FileVersion;
use mapreduce::tasks::Counters;

const WORKERS: u64 = 2000;

fn main() {
    println!(
        "{:>7} {:>6} {:>14} {:>14} {:>16} {:>14}",
        "maps", "reduces", "ns per map", "ns per reduce", "ns per source", "bytes per task"
    );
    for (maps, reduces) in [(2_000, 100), (20_000, 100), (2_000, 1_000), (20_000, 1_000), (200_000, 1_000)] {
        measure(maps, reduces);
    }
}

/// Plays a whole job: each task is handed out, reports its progress once, and is done.
fn measure(maps: usize, reduces: usize) {
    let before = resident();
    let mut state = State::new(job(reduces), (0..maps).map(input).collect(), Rules::default());
    let mut turn = Turn {
        worker: 0,
        asked: 0,
        now: Instant::from_nanos(0),
        all: PartitionSet::of_lengths(&vec![1; reduces]),
    };
    let per_map = time(maps, || turn.play(&mut state));
    let memory = resident().saturating_sub(before);
    let per_reduce = time(reduces, || turn.play(&mut state));
    assert!(state.is_over(), "the job should be finished");
    println!(
        "{maps:>7} {reduces:>6} {per_map:>14.0} {per_reduce:>14.0} {:>16.1} {:>14}",
        per_reduce / maps as f64,
        memory / (maps + reduces)
    );
}

/// Mean time of a call, in nanoseconds.
fn time(calls: usize, mut call: impl FnMut()) -> f64 {
    let start = std::time::Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed().as_nanos() as f64 / calls as f64
}

struct Turn {
    worker: u64,
    asked: u64,
    now: Instant,
    all: PartitionSet,
}

impl Turn {
    /// The next worker takes a task, and does it.
    fn play(&mut self, state: &mut State) {
        self.worker = (self.worker + 1) % WORKERS;
        self.now += Duration::from_micros(100);
        let host = format!("machine-{}", self.worker);
        self.asked += 1;
        let ask = GetTaskArgs { worker: self.worker, host: host.clone(), number: self.asked, running: None };
        let done = match state.get_task(&ask, self.now) {
            GetTaskReply::Map(map) => map.id(),
            GetTaskReply::Reduce(reduce) => reduce.id(),
            other => panic!("expected a task, not {other:?}"),
        };
        let progress = ProgressArgs { worker: self.worker, running: done, fraction: 0.5, fetched: false };
        state.progress(&progress, self.now);
        let partitions =
            if matches!(done.task, TaskId::Map(_)) { self.all.clone() } else { PartitionSet::default() };
        let report =
            TaskDoneArgs { worker: self.worker, host, done, partitions, counters: Counters::default() };
        assert_eq!(state.task_done(&report, self.now), TaskDoneReply::Accepted);
        drop(state.take_events());
    }
}

fn job(reduces: usize) -> Job {
    Job {
        id: 1,
        application: "wc".to_owned(),
        parameters: Vec::new(),
        reduces,
        local_disks: true,
        report_every_ms: 1000,
    }
}

/// A split with three replicas.
fn input(number: usize) -> Input {
    let version = FileVersion::default();
    let piece = Piece { file: "input".to_owned(), offset: number as u64, length: 1, version };
    let split = Split { pieces: vec![piece] };
    let hosts = (0..3).map(|replica| format!("machine-{}", (number * 7 + replica * 13) as u64 % WORKERS));
    Input { split, hosts: hosts.collect() }
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
