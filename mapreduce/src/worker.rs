// handout: put classic
// //! A worker: a loop of ask, run, report.
// //!
// handout: end
// handout: drop classic
//! A worker: a loop of ask, run, report.
//!
//! ```text
//!  work_loop      register ── get_task ──> map / reduce ── task_done ──> get_task ── …
//!                                              │ fraction      ▲ cancelled?
//!  report_loop                                 └──> progress ──┘        every second while a task runs
//! ```
//!
// handout: end
//! Nothing here knows what carries the calls or where the files are: a [`Network`] gives stubs for the
//! coordinator and the other workers, two [`Store`]s hold the files, and `Tasks` runs the tasks. So the
//! same code runs in the simulation and as a real process.
//!
//! A worker decides nothing. It asks until it is told to exit, and it repeats calls that get no reply. It
//! gives up when the coordinator was silent for [`Setup::patience`].

// handout: drop classic
use labrpc::RpcError;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::thread;
use labrt::time::{Duration, Instant};
// handout: end
// handout: put classic
// use labrt::sync::Arc;
// handout: end

// handout: drop classic
use crate::app::Application;
use crate::fetch::{self, Inputs};
use crate::late_commits::CommitStore;
use crate::rpc::{
    AttemptId, CoordinatorClient, GetTaskArgs, GetTaskReply, Job, MapAssignment, NextStep, PROTOCOL_VERSION,
    PartitionSet, ProgressArgs, ProgressReply, ReduceAssignment, RegisterArgs, RegisterReply, TaskDoneArgs,
    TaskDoneReply, TaskFailedArgs,
};
// handout: end
// handout: put classic
// use crate::rpc::{FetchPartitionArgs, FetchPartitionReply, WorkerRpc};
// handout: end
pub use crate::setup::{Applications, Network, Setup, WorkerError};
// handout: drop classic
use crate::store::Store;
use crate::tasks::{Counters, MapTask, ReduceTask, Step, TaskError};
// handout: end

/// A worker process.
pub struct Worker {
    // handout: put classic
    // setup: Setup,
    // // Your data here.
    // handout: end
    // handout: drop classic
    pub(crate) setup: Setup,
    /// What it does now, shared by its two threads.
    current: Mutex<Current>,
    /// Signalled when `report_loop` may have something to do: a task begins or ends, a report is urgent, the
    /// worker ends.
    changed: Condvar,
    /// How often it has asked for a task.
    asked: AtomicU64,
    // handout: end
}

// handout: drop classic
/// What a worker does now.
#[derive(Default)]
pub(crate) struct Current {
    /// The attempt that it runs. Of a reduce that waits and a map that runs meanwhile, the map.
    running: Option<AttemptId>,
    /// How much of it is done.
    fraction: f64,
    /// Part 1B, reduce: all its input is on this machine.
    fetched: bool,
    /// `report_loop` shall report now, before the interval is over.
    urgent: bool,
    /// The coordinator no longer wants the attempt.
    pub(crate) cancelled: bool,
    /// The worker has ended.
    ended: bool,
}

/// A worker that takes part in a job.
pub(crate) struct Member<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) setup: &'a Setup,
    job: Job,
    application: Arc<dyn Application>,
}

// handout: end
// handout: bodies 1A
impl Worker {
    /// A worker that has not begun.
    pub fn new(setup: Setup) -> Arc<Worker> {
        Arc::new(Worker {
            setup,
            current: Mutex::new(Current::default()),
            changed: Condvar::new(),
            asked: AtomicU64::new(0),
        })
    }

    /// Works until the coordinator says that the job is over.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub fn run(self: &Arc<Worker>) -> Result<(), WorkerError> {
        let job = self.register()?;
        let application = (self.setup.applications)(&job).map_err(WorkerError::Application)?;
        let interval = Duration::from_millis(job.report_every_ms);
        // Another thread reports, since this one runs the user's functions, which cannot report in between.
        let reporter = self.clone();
        thread::spawn_named("report_loop", move || reporter.report_loop(interval));
        let result = Member { worker: self, setup: &self.setup, job, application }.work_loop();
        self.change(|current| current.ended = true);
        result
    }

    /// Registers, and learns what the job is. The coordinator may not have started yet, so that this repeats
    /// the call.
    fn register(&self) -> Result<Job, WorkerError> {
        let Setup { worker, host, .. } = &self.setup;
        let args = RegisterArgs { version: PROTOCOL_VERSION, worker: *worker, host: host.clone() };
        match self.insist(|coordinator| coordinator.register(&args))? {
            RegisterReply::Welcome(job) => Ok(job),
            RegisterReply::Refused(reason) => Err(WorkerError::Refused(reason)),
        }
    }

    /// Asks for a task; `running` is the reduce that waits meanwhile, if any.
    pub(crate) fn ask(&self, running: Option<AttemptId>) -> Result<GetTaskReply, WorkerError> {
        // Every repetition of this call carries the same number, so that the coordinator knows it again.
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let Setup { worker, host, .. } = &self.setup;
        let args = GetTaskArgs { worker: *worker, host: host.clone(), number, running };
        self.insist(|coordinator| coordinator.get_task(&args))
    }

    /// Notes the progress of the attempt; tells whether to go on.
    pub(crate) fn advance(&self, fraction: f64) -> Step {
        let mut current = self.current.lock();
        current.fraction = fraction;
        if current.cancelled { Step::Cancel } else { Step::Continue }
    }

    /// While a task runs, reports its progress from time to time, and learns whether the coordinator still
    /// wants it.
    fn report_loop(&self, interval: Duration) {
        let mut current = self.current.lock();
        let mut due = Instant::now() + interval;
        while !current.ended {
            // Idle workers need no reports: they ask for tasks.
            let Some(running) = current.running else {
                self.changed.wait(&mut current);
                due = Instant::now() + interval;
                continue;
            };
            if !current.urgent && Instant::now() < due {
                self.changed.wait_until(&mut current, due);
                continue;
            }
            current.urgent = false;
            let Current { fraction, fetched, .. } = *current;
            drop(current);
            let args = ProgressArgs { worker: self.setup.worker, running, fraction, fetched };
            // The next report makes up for one that is lost.
            let reply = self.setup.network.coordinator().progress(&args);
            // Counted from the reply, so that a slow network is not flooded.
            due = Instant::now() + interval;
            current = self.current.lock();
            // By now the worker may be doing something else, which no one has cancelled.
            if reply == Ok(ProgressReply::Cancel) && current.running == Some(running) {
                current.cancelled = true;
            }
        }
    }

    /// Changes what the worker does, and wakes `report_loop`.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Current) -> R) -> R {
        let result = change(&mut self.current.lock());
        self.changed.notify_all();
        result
    }

    /// Calls the coordinator until it answers. So the coordinator may get the call twice, which does no harm.
    pub(crate) fn insist<R>(
        &self,
        call: impl Fn(&CoordinatorClient) -> Result<R, RpcError>,
    ) -> Result<R, WorkerError> {
        let coordinator = self.setup.network.coordinator();
        let silent_since = Instant::now();
        loop {
            match call(&coordinator) {
                Ok(reply) => return Ok(reply),
                Err(RpcError::Garbled(error)) => return Err(WorkerError::Garbled(error.to_string())),
                Err(_) if silent_since.elapsed() >= self.setup.patience => {
                    return Err(WorkerError::CoordinatorLost);
                }
                Err(_) => thread::sleep(self.setup.retry),
            }
        }
    }
}

// handout: drop classic
impl Member<'_> {
    /// Asks for a task, runs it, reports it, and asks again.
    fn work_loop(&self) -> Result<(), WorkerError> {
        loop {
            let step = match self.worker.ask(None)? {
                GetTaskReply::Map(map) => self.attempt(map.id(), || self.map(&map))?,
                GetTaskReply::Reduce(reduce) => self.attempt(reduce.id(), || self.reduce(&reduce))?,
                // There may be work later, when another worker has died or the phase has ended.
                GetTaskReply::Wait { ms } => {
                    thread::sleep(Duration::from_millis(ms));
                    NextStep::Ask
                }
                GetTaskReply::Exit => NextStep::Exit,
            };
            if step == NextStep::Exit {
                return Ok(());
            }
        }
    }

    /// Runs one attempt and reports how it went.
    pub(crate) fn attempt(
        &self,
        id: AttemptId,
        run: impl FnOnce() -> Result<Finished, TaskError>,
    ) -> Result<NextStep, WorkerError> {
        // What the worker did before comes back at the end: nothing, or a reduce that waits.
        let current = Current { running: Some(id), ..Current::default() };
        let waiting = self.worker.change(|before| std::mem::replace(before, current));
        let result = run();
        let cancelled = self.worker.change(|current| std::mem::replace(current, waiting).cancelled);
        match result {
            Ok(finished) => self.report_done(id, finished),
            // The coordinator has cancelled the attempt, so it needs no report of a failure.
            Err(_) if cancelled => Ok(NextStep::Ask),
            Err(TaskError::Cancelled) => Ok(NextStep::Ask),
            Err(error) => {
                let args = TaskFailedArgs { worker: self.setup.worker, failed: id, error };
                self.worker.insist(|coordinator| coordinator.task_failed(&args))
            }
        }
    }

    /// Reports an attempt, all of whose files are complete. If the report comes late, the files of a map go;
    /// the output of a reduce has its final name, under which the accepted attempt's output is the same.
    fn report_done(&self, id: AttemptId, finished: Finished) -> Result<NextStep, WorkerError> {
        let args = TaskDoneArgs {
            worker: self.setup.worker,
            host: self.setup.host.clone(),
            done: id,
            partitions: finished.partitions,
            counters: finished.counters,
        };
        let reply = self.worker.insist(|coordinator| coordinator.task_done(&args))?;
        if let (TaskDoneReply::Late, Some((store, map, reduces))) = (reply, finished.intermediate) {
            // Files that cannot be deleted take up space and do no harm.
            let _ = self.setup.tasks.delete_map_output(&*store, map, id.attempt, reduces);
        }
        Ok(NextStep::Ask)
    }

    /// Runs a map. Its files have their names when this returns, and no one reads them before the coordinator
    /// has accepted the attempt (§3.3).
    pub(crate) fn map(&self, assignment: &MapAssignment) -> Result<Finished, TaskError> {
        let MapAssignment { map, attempt, split, skip, reduces } = assignment;
        let store = if self.job.local_disks { &self.setup.local } else { &self.setup.shared };
        let task = MapTask {
            application: &*self.application,
            map: *map,
            attempt: *attempt,
            split,
            reduces: *reduces,
            skip,
            input: &*self.setup.shared,
            output: &**store,
            memory: self.setup.memory,
        };
        let output = self.setup.tasks.run_map(&task, &mut |fraction| self.worker.advance(fraction))?;
        Ok(Finished {
            partitions: PartitionSet::of_lengths(&output.lengths),
            counters: output.counters,
            intermediate: Some((store.clone(), *map, *reduces)),
        })
    }

    /// Runs a reduce, whose last step gives the output its final name. The report comes after that: what has
    /// been reported must survive the worker.
    fn reduce(&self, assignment: &ReduceAssignment) -> Result<Finished, TaskError> {
        let (id, partition) = (assignment.id(), assignment.reduce);
        // Part 1A reads the files where the maps wrote them; part 1B copies them first.
        let inputs = if self.job.local_disks {
            fetch::fetch_all(self, id, partition, assignment.sources.clone())?
        } else {
            Inputs::shared(&*self.setup.shared, &assignment.sources, partition)
        };
        self.worker.change(|current| (current.fetched, current.urgent) = (true, self.job.local_disks));
        // Skip `CommitStore` (`late_commits.rs`): the shared store, which asks once more before the rename.
        let task = ReduceTask {
            application: &*self.application,
            partition,
            attempt: assignment.attempt,
            sources: &inputs.sources(),
            local: &*self.setup.local,
            output: &CommitStore { store: &*self.setup.shared, worker: self.worker, id },
            memory: self.setup.memory,
        };
        let before = inputs.progress();
        let mut advance = |fraction: f64| self.worker.advance(before + (1.0 - before) * fraction);
        let counters = self.setup.tasks.run_reduce(&task, &mut advance)?;
        let counters = Counters { bytes_fetched: inputs.fetched(), ..counters };
        Ok(Finished { partitions: PartitionSet::default(), counters, intermediate: None })
    }
}

/// What a finished attempt has to report.
pub(crate) struct Finished {
    /// Map: the partitions that have a file.
    partitions: PartitionSet,
    counters: Counters,
    /// Map: what to delete if the report comes late: the files' store, the map, and the number of partitions.
    intermediate: Option<(Arc<dyn Store>, usize, usize)>,
}
// handout: end
// handout: put classic
// impl WorkerRpc for Worker {
//     fn fetch_partition(&self, args: FetchPartitionArgs) -> FetchPartitionReply {
//         todo!("1B")
//     }
// }
// handout: end
