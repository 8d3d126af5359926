//! A coordinator by itself: the test sends it the messages of workers that do not exist, in an order that
//! chance would hardly bring about.

use std::collections::BTreeMap;

use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use mapreduce::Coordinator;
use mapreduce::rpc::{
    AttemptId, CoordinatorRpc, FetchFailedArgs, GetTaskArgs, GetTaskReply, Job, MapAssignment, NextStep,
    PROTOCOL_VERSION, PartitionSet, ProgressArgs, ProgressReply, ReduceAssignment, RegisterArgs,
    SourceUpdateArgs, SourceUpdateReply, Sources, TaskDoneArgs, TaskDoneReply, TaskFailedArgs, TaskId,
    WorkerId,
};
use mapreduce::split::{Piece, Split};
use mapreduce::state::{Backup, Input, Rules};
use mapreduce::store::FileVersion;
use mapreduce::tasks::{Counters, TaskError};
use tester::Test;

use super::cluster::{host_name, timeout};
use super::disturb::of_timeout;

/// The coordinator, and the test that plays its workers. Worker 7 runs on machine 7.
pub(crate) struct Alone {
    test: Test,
    pub(crate) coordinator: Arc<Coordinator>,
    reduces: usize,
    /// How often each worker has asked.
    asked: Mutex<BTreeMap<WorkerId, u64>>,
}

/// A job without backup attempts, for [`Alone`].
pub(crate) struct AloneJob {
    pub(crate) maps: usize,
    pub(crate) reduces: usize,
    pub(crate) local_disks: bool,
    pub(crate) backup: Backup,
}

/// The input of one map: two pieces, each a file.
fn input(map: usize) -> Input {
    let version = FileVersion { length: 100, ..FileVersion::default() };
    let piece = |half: &str| Piece { file: format!("text-{map}-{half}"), offset: 0, length: 100, version };
    Input { split: Split { pieces: vec![piece("a"), piece("b")] }, hosts: Vec::new() }
}

impl Alone {
    /// Starts the coordinator. Workers 1 to 9 have registered.
    pub(crate) fn new(test: &Test, of: &AloneJob) -> Alone {
        Alone::near(test, of, &[])
    }

    /// The same with maps whose input is on these machines; that of the others is equally far from all.
    pub(crate) fn near(test: &Test, of: &AloneJob, machines: &[usize]) -> Alone {
        let job = Job {
            id: 1,
            application: "wc".to_owned(),
            parameters: Vec::new(),
            reduces: of.reduces,
            local_disks: of.local_disks,
            report_every_ms: timeout().as_millis() as u64 / 10,
        };
        let rules = Rules { timeout: timeout(), backup: of.backup, ..Rules::default() };
        let mut inputs: Vec<Input> = (0..of.maps).map(input).collect();
        for (input, machine) in inputs.iter_mut().zip(machines) {
            input.hosts.push(host_name(*machine));
        }
        let coordinator = Coordinator::new(job, inputs, rules);
        for worker in 1..10 {
            let host = host_name(worker as usize);
            let _ = coordinator.register(RegisterArgs { version: PROTOCOL_VERSION, worker, host });
        }
        Alone { test: test.clone(), coordinator, reduces: of.reduces, asked: Mutex::default() }
    }

    /// A new question of this worker, which runs nothing.
    pub(crate) fn ask(&self, worker: WorkerId) -> GetTaskReply {
        *self.asked.lock().entry(worker).or_default() += 1;
        self.ask_again(worker)
    }

    /// The network repeats the worker's latest question.
    pub(crate) fn ask_again(&self, worker: WorkerId) -> GetTaskReply {
        self.send_question(worker, None)
    }

    /// A new question of this worker, whose reduce waits for lost outputs.
    pub(crate) fn ask_while_waiting(&self, worker: WorkerId, reduce: AttemptId) -> GetTaskReply {
        *self.asked.lock().entry(worker).or_default() += 1;
        self.send_question(worker, Some(reduce))
    }

    fn send_question(&self, worker: WorkerId, running: Option<AttemptId>) -> GetTaskReply {
        let number = self.asked.lock().get(&worker).copied().unwrap_or_default();
        let args = GetTaskArgs { worker, host: host_name(worker as usize), number, running };
        let reply = self.coordinator.get_task(args);
        self.test.note(format!("worker {worker} {}", told(&reply)));
        reply
    }

    /// The map that this worker gets.
    pub(crate) fn map_for(&self, worker: WorkerId) -> MapAssignment {
        match self.ask(worker) {
            GetTaskReply::Map(map) => map,
            other => self.test.fail(format!("a map is idle, and worker {worker} {}", told(&other))),
        }
    }

    /// The reduce that this worker gets.
    pub(crate) fn reduce_for(&self, worker: WorkerId) -> ReduceAssignment {
        match self.ask(worker) {
            GetTaskReply::Reduce(reduce) => reduce,
            other => self.test.fail(format!("a reduce is idle, and worker {worker} {}", told(&other))),
        }
    }

    /// A worker asks, and must be told to wait.
    pub(crate) fn waits(&self, worker: WorkerId, why: &str) {
        let reply = self.ask(worker);
        self.test.expect(matches!(reply, GetTaskReply::Wait { .. }), || {
            format!("{why}, so that worker {worker} must wait; it {}", told(&reply))
        });
    }

    /// A worker reports that it is done.
    pub(crate) fn done(&self, worker: WorkerId, id: AttemptId) -> TaskDoneReply {
        self.coordinator.task_done(TaskDoneArgs {
            worker,
            host: host_name(worker as usize),
            done: id,
            partitions: PartitionSet::of_lengths(&vec![1; self.reduces]),
            counters: Counters::default(),
        })
    }

    /// A worker reports that it is done, which must count.
    pub(crate) fn accepted(&self, worker: WorkerId, id: AttemptId) {
        let reply = self.done(worker, id);
        self.test.expect(reply == TaskDoneReply::Accepted, || format!("{id} was done, and is {reply:?}"));
    }

    pub(crate) fn failed(&self, worker: WorkerId, id: AttemptId, error: &TaskError) -> NextStep {
        self.coordinator.task_failed(TaskFailedArgs { worker, failed: id, error: error.clone() })
    }

    /// A worker reports so much progress.
    pub(crate) fn progress(
        &self,
        worker: WorkerId,
        running: AttemptId,
        fraction: f64,
        fetched: bool,
    ) -> ProgressReply {
        self.coordinator.progress(ProgressArgs { worker, running, fraction, fetched })
    }

    /// A reducer reports that it could not fetch an attempt's output, for the `number`th time.
    pub(crate) fn fetch_failed(&self, worker: WorkerId, running: AttemptId, of: AttemptId, number: u64) {
        let TaskId::Map(map) = of.task else { panic!("{of} is no map") };
        // The machine that has the output is the one of worker 1 in all tests.
        let (attempt, host) = (of.attempt, host_name(1));
        self.coordinator.fetch_failed(FetchFailedArgs { worker, running, map, attempt, host, number });
    }

    /// A reducer asks where these outputs are.
    pub(crate) fn sources(&self, worker: WorkerId, running: AttemptId, missing: &[usize]) -> Sources {
        let args = SourceUpdateArgs { worker, running, missing: missing.to_vec() };
        match self.coordinator.source_update(args) {
            SourceUpdateReply::Sources(sources) => sources,
            SourceUpdateReply::Cancel => {
                self.test.fail(format!("{running} asks for lost outputs, and is told to stop"))
            }
        }
    }

    /// Fails unless this answer, if it is a reduce, names an output of each map.
    pub(crate) fn has_all_sources(&self, reply: &GetTaskReply, maps: usize) {
        if let GetTaskReply::Reduce(reduce) = reply {
            let rows = reduce.sources.rows.len();
            self.test.expect(rows == maps, || {
                format!("{} was handed out with {rows} sources of {maps}", reduce.id())
            });
        }
    }
}

/// What an answer tells its worker, in short.
pub(crate) fn told(reply: &GetTaskReply) -> String {
    match reply {
        GetTaskReply::Map(map) => format!("gets {}", map.id()),
        GetTaskReply::Reduce(reduce) => format!("gets {}", reduce.id()),
        GetTaskReply::Wait { .. } => "is told to wait".to_owned(),
        GetTaskReply::Exit => "is told to exit".to_owned(),
    }
}

/// Sleeps for a fraction of the time-out.
pub(crate) fn pass(fraction: f64) {
    thread::sleep(of_timeout(fraction));
}
