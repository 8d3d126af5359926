// handout: file guided
//! The tasks of one phase, all maps or all reduces: which are idle, running or done, and in what order they
//! go out. `state.rs` and its neighbours decide what a change means. Skip the fields that name another file;
//! that file explains them.
//!
//! Every operation takes constant (amortized) time, whatever the number of tasks.

use std::collections::{BTreeSet, VecDeque};

use labrt::time::{Duration, Instant};

use crate::bad_records::Trouble;
use crate::locality::LocalQueues;
use crate::rpc::{PartitionSet, WorkerId};
use crate::tasks::Counters;

/// A machine's position in the coordinator's list.
pub(crate) type MachineId = u32;

/// A task as the coordinator sees it (paper, §3.2).
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Where it stands.
    pub status: Status,
    /// How many attempts were handed out so far, which is the number of the next one. It never decreases, so
    /// that no two attempts share a name for their files.
    pub attempts: u32,
    /// It has had its one backup (`stragglers.rs`): `start` sets this, and only `undo` resets it.
    pub backed_up: bool,
    /// Attempts below this number are no longer accepted: their output existed and was lost
    /// (`lost_outputs.rs`).
    pub valid_from: u32,
    /// Failures so far (`bad_records.rs`). Few tasks have any.
    pub trouble: Option<Box<Trouble>>,
}

/// Where a task stands (paper, §3.2: idle, in-progress or completed).
#[derive(Clone, Debug, Default)]
pub enum Status {
    /// No worker runs it.
    #[default]
    Idle,
    /// Workers run these attempts: one, or two if the second is a backup.
    Running(Vec<Attempt>),
    /// An attempt was accepted.
    Done(Done),
}

/// A run of a task that has not ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its number.
    pub number: u32,
    /// The worker that runs it.
    pub worker: WorkerId,
    pub(crate) machine: MachineId,
    /// When it was handed out.
    pub started: Instant,
    /// How much of it was done at its last report, from 0 to 1.
    pub progress: f64,
    /// When the coordinator gives it up unless it makes progress.
    pub deadline: Instant,
    /// Part 1B, reduce: it has all its input on its own machine.
    pub fetched: bool,
}

/// By whom an attempt is run: a worker, and the machine on which it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By {
    pub(crate) worker: WorkerId,
    pub(crate) machine: MachineId,
}

/// The accepted attempt of a task.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its number.
    pub attempt: u32,
    /// Where it ran; in part 1B a map's output is there.
    pub(crate) machine: MachineId,
    /// Map: the partitions that it has written.
    pub partitions: PartitionSet,
    /// What it has counted.
    pub counters: Counters,
    /// Part 1B, map: the output is lost, and no reduce needs it at present.
    pub lost: bool,
    /// Part 1B, map: failed fetches, each as the worker and its count of failures.
    pub complaints: Vec<(WorkerId, u64)>,
}

impl Task {
    /// Whether no worker runs it and none has done it.
    pub fn is_idle(&self) -> bool {
        matches!(self.status, Status::Idle)
    }

    /// The accepted attempt, if there is one.
    pub fn done(&self) -> Option<&Done> {
        match &self.status {
            Status::Done(done) => Some(done),
            _ => None,
        }
    }

    /// The running attempts.
    pub fn running(&self) -> &[Attempt] {
        match &self.status {
            Status::Running(attempts) => attempts,
            _ => &[],
        }
    }

    pub(crate) fn attempt_mut(&mut self, number: u32) -> Option<&mut Attempt> {
        match &mut self.status {
            Status::Running(attempts) => attempts.iter_mut().find(|attempt| attempt.number == number),
            _ => None,
        }
    }
}

/// All tasks of a phase.
///
/// The counts and queues follow from the list of tasks. They are kept so that nothing has to be searched for
/// among 20,000 tasks. Only methods of this type change them, so that they agree with the list.
#[derive(Debug, Default)]
pub struct TaskTable {
    pub(crate) tasks: Vec<Task>,
    pub(crate) idle: usize,
    pub(crate) done: usize,
    /// The running tasks: never more than there are workers.
    pub(crate) running: BTreeSet<usize>,
    /// The order in which idle tasks go out. It may name tasks that are no longer idle; they are skipped.
    queue: VecDeque<usize>,
    /// The same for each machine, of the tasks whose input is there (`locality.rs`).
    pub(crate) local: LocalQueues,
    /// How long the accepted attempts took, added up (`stragglers.rs`). One that was given up before it was
    /// accepted counts as `mean_time`, and `undo` subtracts a `mean_time`.
    pub(crate) taken: Duration,
    pub(crate) counters: Counters,
}

// handout: bodies 1A
impl TaskTable {
    /// This many idle tasks.
    pub(crate) fn new(count: usize) -> TaskTable {
        let (tasks, queue) = (vec![Task::default(); count], (0..count).collect());
        TaskTable { tasks, idle: count, queue, ..TaskTable::default() }
    }

    // handout: body kept
    /// One of the tasks.
    pub fn get(&self, task: usize) -> Option<&Task> {
        self.tasks.get(task)
    }

    /// One of the tasks. Only the other methods may change its status.
    pub(crate) fn get_mut(&mut self, task: usize) -> Option<&mut Task> {
        self.tasks.get_mut(task)
    }

    // handout: body kept
    /// Whether all are done.
    pub fn all_done(&self) -> bool {
        self.done == self.tasks.len()
    }

    /// An idle task for this machine: one whose input it has, if there is one (paper, §3.4), or else the
    /// first.
    pub(crate) fn next_idle(&mut self, machine: MachineId) -> Option<usize> {
        // A task is in several queues. It leaves the one in which it is found; the others skip it later,
        // because it is no longer idle.
        let near = self.local.queue(machine).and_then(|near| first_idle(&self.tasks, near));
        near.or_else(|| first_idle(&self.tasks, &mut self.queue))
    }

    /// Begins a new attempt and returns its number.
    pub(crate) fn start(&mut self, task: usize, by: By, now: Instant, deadline: Instant) -> u32 {
        let By { worker, machine } = by;
        let entry = &mut self.tasks[task];
        let number = entry.attempts;
        entry.attempts += 1;
        let attempt =
            Attempt { number, worker, machine, started: now, progress: 0.0, deadline, fetched: false };
        match &mut entry.status {
            Status::Idle => {
                entry.status = Status::Running(vec![attempt]);
                self.idle -= 1;
                self.running.insert(task);
            }
            // A backup. The first attempt goes on, and the one that is done first counts.
            Status::Running(attempts) => {
                attempts.push(attempt);
                entry.backed_up = true;
            }
            Status::Done(_) => panic!("task {task} is done, and was handed out again"),
        }
        number
    }

    /// Ends an attempt without a result. With its last attempt the task becomes idle again.
    pub(crate) fn stop(&mut self, task: usize, number: u32) -> Option<Attempt> {
        let Status::Running(attempts) = &mut self.tasks.get_mut(task)?.status else { return None };
        let position = attempts.iter().position(|attempt| attempt.number == number)?;
        let attempt = attempts.remove(position);
        if attempts.is_empty() {
            self.make_idle(task);
        }
        Some(attempt)
    }

    /// Accepts an attempt. Returns the attempts that were running, which may include it.
    pub(crate) fn finish(&mut self, task: usize, done: Done, now: Instant) -> Vec<Attempt> {
        let number = done.attempt;
        self.counters.add(&done.counters, u64::wrapping_add);
        let attempts = match std::mem::replace(&mut self.tasks[task].status, Status::Done(done)) {
            Status::Idle => {
                self.idle -= 1;
                Vec::new()
            }
            Status::Running(attempts) => {
                self.running.remove(&task);
                attempts
            }
            Status::Done(_) => panic!("task {task} is done already, and was finished again"),
        };
        // An attempt that was given up before has no start any more; it counts as an average one.
        let accepted = attempts.iter().find(|attempt| attempt.number == number);
        self.taken +=
            accepted.map_or_else(|| self.mean_time(), |attempt| now.duration_since(attempt.started));
        self.done += 1;
        attempts
    }

    /// Puts the task before all others: it has already kept the phase waiting once.
    pub(crate) fn make_idle(&mut self, task: usize) {
        self.tasks[task].status = Status::Idle;
        self.running.remove(&task);
        self.idle += 1;
        self.queue.push_front(task);
        // handout: from 1B: `put_first`
        self.local.put_first(task);
        // handout: end
    }
}

/// Takes tasks from the front of a queue until one is idle, and returns that one.
fn first_idle(tasks: &[Task], queue: &mut VecDeque<usize>) -> Option<usize> {
    while let Some(task) = queue.pop_front() {
        if tasks[task].is_idle() {
            return Some(task);
        }
    }
    None
}
