//! A worker: a loop of ask, run, report.
//!
//! ```text
//!  work_loop      register ── get_task ──> run_map / run_reduce ── task_done ──> get_task ── …
//!                                              │ fraction      ▲ cancelled?
//!  report_loop                                 └──> progress ──┘        every second while a task runs
//! ```
//!
//! Nothing here knows what carries the calls or where the files are: a [`Network`] gives
//! stubs for the coordinator and for the other workers, and two [`Store`]s hold the files.
//! So the same code runs in the simulation and as a real process.
//!
//! A worker decides nothing. It asks until it is told to go; it says again what may not
//! have arrived; and it takes silence for an end only when it has lasted for
//! [`Setup::patience`].

use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::thread;
use labrt::time::{Duration, Instant};
use std::fmt;

use labrpc::RpcError;

use crate::app::Application;
use crate::commit::CommitStore;
use crate::fetch;
use crate::rpc::{
    AttemptId, CoordinatorClient, FetchPartitionArgs, FetchPartitionReply, GetTaskArgs, GetTaskReply, Job,
    NextStep, PROTOCOL_VERSION, PartitionSet, ProgressArgs, ProgressReply, RegisterArgs, RegisterReply,
    Sources, TaskDoneArgs, TaskDoneReply, TaskFailedArgs, TaskId, WorkerClient, WorkerId, WorkerRpc,
};
use crate::store::Store;
use crate::task::{
    Counters, MapTask, ReduceTask, Source, Split, Step, TaskError, delete_map_output, run_map, run_reduce,
};

/// How a worker reaches the others. Its clients' calls should end after a second or so,
/// whatever happens.
pub trait Network: Send + Sync + 'static {
    /// The coordinator.
    fn coordinator(&self) -> CoordinatorClient;

    /// The worker on this machine, for its local disk; None if there is no such machine.
    fn worker(&self, host: &str) -> Option<WorkerClient>;
}

/// Finds the application that a job names. Functions cannot travel in messages: each worker has
/// the program already, as the course's workers have their plugin, and is told which one.
pub type Applications = dyn Fn(&Job) -> Result<Arc<dyn Application>, String> + Send + Sync;

/// What a worker is started with.
pub struct Setup {
    /// Its name, which no other process has or has had.
    pub worker: WorkerId,
    /// Its machine.
    pub host: String,
    /// How it reaches the others.
    pub network: Box<dyn Network>,
    /// What all machines share: input and output, and in part A everything.
    pub shared: Arc<dyn Store>,
    /// The machine's own disk.
    pub local: Arc<dyn Store>,
    /// Finds the application.
    pub applications: Box<Applications>,
    /// How many bytes of pairs a task keeps in memory.
    pub memory: usize,
    /// For how long it goes on calling a coordinator that does not answer.
    pub patience: Duration,
    /// How long it waits before it repeats a call.
    pub retry: Duration,
}

/// Why a worker ended before the job did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerError {
    /// The coordinator did not want it.
    Refused(String),
    /// The job's application is not to be had here.
    Application(String),
    /// The coordinator was silent for too long: it is taken to have gone.
    CoordinatorLost,
    /// The coordinator says what is no message of this protocol.
    Garbled(String),
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerError::Refused(reason) => write!(f, "refused by the coordinator: {reason}"),
            WorkerError::Application(reason) => write!(f, "{reason}"),
            WorkerError::CoordinatorLost => write!(f, "the coordinator does not answer"),
            WorkerError::Garbled(what) => write!(f, "the coordinator speaks another language: {what}"),
        }
    }
}

impl std::error::Error for WorkerError {}

/// A worker process.
pub struct Worker {
    setup: Setup,
    /// What it does now, shared by its two threads.
    current: Mutex<Current>,
    /// Signalled when a task begins or ends, when there is something to report at once, and
    /// at the end.
    changed: Condvar,
    /// How often it has asked for a task.
    asked: AtomicU64,
}

/// What a worker does now.
#[derive(Default)]
struct Current {
    /// The attempt that it runs. Of two, a reduce that waits and a map that is run meanwhile,
    /// it is the map.
    running: Option<AttemptId>,
    /// How much of it is done.
    fraction: f64,
    /// Reduce: all its input is on this machine.
    fetched: bool,
    /// There is something to report before the interval is over.
    urgent: bool,
    /// The coordinator does not want the attempt any more.
    cancelled: bool,
    /// The worker has ended.
    ended: bool,
}

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
    /// If the worker could not take part, or not to the end.
    pub fn run(self: &Arc<Worker>) -> Result<(), WorkerError> {
        // The coordinator may not be there yet, if both are started at once. Registering insists.
        let job = self.register()?;
        let application = (self.setup.applications)(&job).map_err(WorkerError::Application)?;
        let reporter = self.clone();
        let interval = Duration::from_millis(job.report_every_ms);
        let spawned = thread::Builder::new()
            .name("report_loop".to_owned())
            .spawn(move || reporter.report_loop(interval));
        // Without its reports the worker would be taken for dead in the middle of each long
        // task.
        spawned.expect("the system has room for a thread");
        // The reports come from another thread, since this one is busy with the user's function,
        // which nobody can ask to report in between.
        let result = self.work_loop(&job, &*application);
        self.change(|current| current.ended = true);
        result
    }

    /// Makes the worker known, and learns what the job is.
    fn register(&self) -> Result<Job, WorkerError> {
        let Setup { worker, host, .. } = &self.setup;
        let args = RegisterArgs { version: PROTOCOL_VERSION, worker: *worker, host: host.clone() };
        match self.insist(|coordinator| coordinator.register(&args))? {
            RegisterReply::Welcome(job) => Ok(job),
            RegisterReply::Refused(reason) => Err(WorkerError::Refused(reason)),
        }
    }

    /// Asks for a task, runs it, reports it, and asks again.
    fn work_loop(&self, job: &Job, application: &dyn Application) -> Result<(), WorkerError> {
        loop {
            // Each arm ends with what to do next; all of them but the last ask again.
            let step = match self.ask(None)? {
                GetTaskReply::Map { map, attempt, split, skip, reduces } => {
                    let task = MapAssignment { map, attempt, split, skip, reduces };
                    self.attempt(task.id(), |worker| worker.map(job, application, &task))?
                }
                GetTaskReply::Reduce { reduce, attempt, sources } => {
                    let id = AttemptId { task: TaskId::Reduce(reduce), attempt };
                    self.attempt(id, |worker| worker.reduce(job, application, id, reduce, sources))?
                }
                // There may be work later, when another worker has died or the phase has
                // ended.
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

    /// Asks for a task; `running` says what the worker has not finished yet.
    fn ask(&self, running: Option<AttemptId>) -> Result<GetTaskReply, WorkerError> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let Setup { worker, host, .. } = &self.setup;
        let args = GetTaskArgs { worker: *worker, host: host.clone(), number, running };
        self.insist(|coordinator| coordinator.get_task(&args))
    }

    /// Runs a map while a reduce of this worker waits. False if there was none to run.
    fn help(
        &self,
        job: &Job,
        application: &dyn Application,
        waiting: AttemptId,
    ) -> Result<bool, WorkerError> {
        let GetTaskReply::Map { map, attempt, split, skip, reduces } = self.ask(Some(waiting))? else {
            return Ok(false);
        };
        let task = MapAssignment { map, attempt, split, skip, reduces };
        self.attempt(task.id(), |worker| worker.map(job, application, &task))?;
        Ok(true)
    }

    /// Runs one attempt and reports how it went. Another one may be waiting meanwhile.
    fn attempt(
        &self,
        id: AttemptId,
        run: impl FnOnce(&Worker) -> Result<Finished, TaskError>,
    ) -> Result<NextStep, WorkerError> {
        // What the worker did before comes back at the end: nothing, or a reduce that waits.
        let waiting = self.change(|current| {
            std::mem::replace(current, Current { running: Some(id), ..Current::default() })
        });
        let result = run(self);
        self.change(|current| *current = waiting);
        match result {
            Ok(finished) => self.report_done(id, finished),
            // The coordinator knows: it was the one who wanted it.
            Err(TaskError::Cancelled) => Ok(NextStep::Ask),
            Err(error) => {
                let args = TaskFailedArgs { worker: self.setup.worker, failed: id, error };
                self.insist(|coordinator| coordinator.task_failed(&args))
            }
        }
    }

    /// Everything that the attempt has written is complete. If it does not count, what only
    /// it would need goes.
    fn report_done(&self, id: AttemptId, finished: Finished) -> Result<NextStep, WorkerError> {
        let args = TaskDoneArgs {
            worker: self.setup.worker,
            host: self.setup.host.clone(),
            done: id,
            partitions: finished.partitions,
            counters: finished.counters,
        };
        let reply = self.insist(|coordinator| coordinator.task_done(&args))?;
        // The output of a reduce has its final name, under which the accepted attempt's
        // output is the same.
        if let (TaskDoneReply::Late, Some((store, map, reduces))) = (reply, finished.intermediate) {
            // Files that cannot be deleted cost room and do no harm.
            let _ = delete_map_output(&*store, map, id.attempt, reduces);
        }
        Ok(NextStep::Ask)
    }

    /// Runs a map. Its files have their names when this returns, and nobody looks at them before
    /// the coordinator has accepted the attempt (§3.3).
    fn map(
        &self,
        job: &Job,
        application: &dyn Application,
        task: &MapAssignment,
    ) -> Result<Finished, TaskError> {
        let store = if job.local_disks { &self.setup.local } else { &self.setup.shared };
        let map = MapTask {
            application,
            map: task.map,
            attempt: task.attempt,
            split: &task.split,
            reduces: task.reduces,
            skip: &task.skip,
            input: &*self.setup.shared,
            output: &**store,
            memory: self.setup.memory,
        };
        let output = run_map(&map, &mut |fraction| self.advance(fraction))?;
        Ok(Finished {
            partitions: PartitionSet::of_lengths(&output.lengths),
            counters: output.counters,
            intermediate: Some((store.clone(), task.map, task.reduces)),
        })
    }

    /// Runs a reduce, the last step of which gives the output its final name. The report comes
    /// after that: what has been reported must survive the worker.
    fn reduce(
        &self,
        job: &Job,
        application: &dyn Application,
        id: AttemptId,
        partition: usize,
        sources: Sources,
    ) -> Result<Finished, TaskError> {
        let help = || self.help(job, application, id);
        // The user's function sees nothing until the last partition is here (paper, §3.1,
        // step 5).
        let copied =
            if job.local_disks { Some(fetch::fetch_all(self, id, sources.clone(), &help)?) } else { None };
        let (names, store) = match &copied {
            Some(copies) => (copies.names(), &self.setup.local),
            None => (fetch::names_of(&sources, partition), &self.setup.shared),
        };
        self.change(|current| (current.fetched, current.urgent) = (true, job.local_disks));
        let sources: Vec<Source<'_>> =
            names.into_iter().map(|name| Source { store: &**store, name }).collect();
        let output = CommitStore { store: &*self.setup.shared, worker: self, id };
        let reduce = ReduceTask {
            application,
            partition,
            attempt: id.attempt,
            sources: &sources,
            local: &*self.setup.local,
            output: &output,
            memory: self.setup.memory,
        };
        // Fetching has been a part of the work, where there was any.
        let done = if job.local_disks { fetch::SHARE } else { 0.0 };
        let output = run_reduce(&reduce, &mut |fraction| self.advance(done + (1.0 - done) * fraction));
        // Whatever else went wrong, an attempt that nobody wants has not failed.
        let output =
            output.map_err(|error| if self.is_cancelled() { TaskError::Cancelled } else { error })?;
        Ok(Finished { partitions: PartitionSet::default(), counters: output.counters, intermediate: None })
    }

    /// Asks whether an attempt may give its output the final name, until there is an answer.
    pub(crate) fn may_commit(&self, id: AttemptId) -> bool {
        let args = ProgressArgs { worker: self.setup.worker, running: id, fraction: 1.0, fetched: true };
        let wanted = self.insist(|coordinator| coordinator.progress(&args)) == Ok(ProgressReply::Continue);
        self.change(|current| current.cancelled |= !wanted);
        wanted
    }

    fn is_cancelled(&self) -> bool {
        self.current.lock().cancelled
    }

    /// Takes note of how far the attempt is; tells whether to go on.
    pub(crate) fn advance(&self, fraction: f64) -> Step {
        let mut current = self.current.lock();
        current.fraction = fraction;
        if current.cancelled { Step::Cancel } else { Step::Continue }
    }

    /// While a task runs, tells the coordinator from time to time how far it is, and hears
    /// whether it is still wanted.
    fn report_loop(&self, interval: Duration) {
        let mut current = self.current.lock();
        let mut due = Instant::now() + interval;
        while !current.ended {
            // Idle workers say enough by asking for tasks.
            let Some(running) = current.running else {
                self.changed.wait(&mut current);
                due = Instant::now() + interval;
                continue;
            };
            // Woken too early: another task has begun, or this one has only got further.
            if !current.urgent && Instant::now() < due {
                self.changed.wait_until(&mut current, due);
                continue;
            }
            current.urgent = false;
            let Current { fraction, fetched, .. } = *current;
            drop(current);
            let args = ProgressArgs { worker: self.setup.worker, running, fraction, fetched };
            // A report that is lost is followed by the next one.
            let reply = self.setup.network.coordinator().progress(&args);
            // Counted from the reply, so that a slow network is not flooded.
            due = Instant::now() + interval;
            current = self.current.lock();
            // By now the worker may be doing something else, which nobody has cancelled.
            if reply == Ok(ProgressReply::Cancel) && current.running == Some(running) {
                current.cancelled = true;
            }
        }
    }

    /// Changes what the worker does, and lets `report_loop` know.
    fn change<R>(&self, change: impl FnOnce(&mut Current) -> R) -> R {
        let result = change(&mut self.current.lock());
        self.changed.notify_all();
        result
    }

    /// Calls the coordinator until it answers. The reply may be that to a repetition of the
    /// call: all calls are made so that this does no harm.
    pub(crate) fn insist<R>(
        &self,
        call: impl Fn(&CoordinatorClient) -> Result<R, RpcError>,
    ) -> Result<R, WorkerError> {
        // One stub for all tries: whether it connects anew is its own business.
        let coordinator = self.setup.network.coordinator();
        let silent_since = Instant::now();
        loop {
            match call(&coordinator) {
                Ok(reply) => return Ok(reply),
                Err(RpcError::Garbled(error)) => return Err(WorkerError::Garbled(error.to_string())),
                // A message that is lost is nothing: one in ten may be. A minute without any reply is.
                Err(_) if silent_since.elapsed() >= self.setup.patience => {
                    return Err(WorkerError::CoordinatorLost);
                }
                Err(_) => thread::sleep(self.setup.retry),
            }
        }
    }

    /// What the worker was started with.
    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }
}

/// The paper's map assignment, as it came in the reply.
struct MapAssignment {
    map: usize,
    attempt: u32,
    split: Split,
    skip: Vec<u64>,
    reduces: usize,
}

impl MapAssignment {
    /// Which attempt it is.
    fn id(&self) -> AttemptId {
        AttemptId { task: TaskId::Map(self.map), attempt: self.attempt }
    }
}

/// What a finished attempt has to report.
struct Finished {
    /// Map: which partitions have a file.
    partitions: PartitionSet,
    /// What it has counted.
    counters: Counters,
    /// The files to delete if the report comes late: their store, the map, and the number
    /// of partitions.
    intermediate: Option<(Arc<dyn Store>, usize, usize)>,
}

impl WorkerRpc for Worker {
    fn fetch_partition(&self, args: FetchPartitionArgs) -> FetchPartitionReply {
        fetch::serve(&*self.setup.local, &args)
    }
}
