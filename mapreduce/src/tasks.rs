//! The tasks of one phase, all maps or all reduces: which are idle, running or done, and in
//! what order they are handed out. What a change of them means is decided in `state.rs` and
//! its neighbours.
//!
//! Every operation here takes constant time (amortised), whatever the number of tasks, but
//! for the search for a straggler, which looks at the running ones.

use std::collections::{BTreeSet, VecDeque};

use labrt::time::{Duration, Instant};

use crate::rpc::{PartitionSet, WorkerId};
use crate::task::Counters;

/// A machine's position in the coordinator's table.
pub(crate) type MachineId = u32;

/// A task of the job, as the coordinator sees it (paper, §3.2).
#[derive(Clone, Debug)]
pub struct Task {
    /// Where it stands.
    pub status: Status,
    /// How many attempts were handed out so far, which is the number of the next one. It
    /// never decreases, so that no two attempts share a name for their files.
    pub attempts: u32,
    /// Attempts below this are not accepted any more: their output was there, and was lost.
    pub valid_from: u32,
    /// It has had its one backup attempt.
    pub backed_up: bool,
    /// What has gone wrong with it. Few tasks have that.
    pub trouble: Option<Box<Trouble>>,
}

/// Where a task stands (paper, §3.2: idle, in-progress or completed).
#[derive(Clone, Debug)]
pub enum Status {
    /// Nobody works on it.
    Idle,
    /// Each of these attempts works on it: one, or two if the second is a backup.
    Running(Vec<Attempt>),
    /// An attempt was accepted.
    Done(Done),
}

/// A run of a task that has not ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its number.
    pub number: u32,
    /// Who runs it.
    pub worker: WorkerId,
    /// Where.
    pub(crate) machine: MachineId,
    /// When it was handed out.
    pub started: Instant,
    /// How much of it was done when it was last heard of, from 0 to 1.
    pub progress: f64,
    /// When it is given up unless it gets further.
    pub deadline: Instant,
    /// Reduce: it has all its input on its own machine.
    pub fetched: bool,
}

/// A worker and its machine.
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
    /// Where it ran; in part B the output of a map lies there.
    pub(crate) machine: MachineId,
    /// Map: the partitions that it has written.
    pub partitions: PartitionSet,
    /// What it has counted.
    pub counters: Counters,
    /// Map, part B: the output cannot be had any more, and nobody needs it as things stand.
    pub lost: bool,
    /// Map, part B: failed fetches, each by the worker and its count of failures.
    pub complaints: Vec<(WorkerId, u64)>,
}

/// What has gone wrong with a task.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Failures in a row that did not lead to a record being skipped.
    pub failures: u32,
    /// Offsets of bad records, with the number of failures on each.
    pub bad_records: Vec<(u64, u32)>,
    /// Offsets of records to be stepped over.
    pub skip: Vec<u64>,
}

impl Task {
    /// A task that nobody has begun.
    fn new() -> Task {
        Task { status: Status::Idle, attempts: 0, valid_from: 0, backed_up: false, trouble: None }
    }

    /// Whether nobody works on it and nobody has done it.
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

    /// The attempts that are running.
    pub fn running(&self) -> &[Attempt] {
        match &self.status {
            Status::Running(attempts) => attempts,
            _ => &[],
        }
    }

    /// A running attempt, to be changed.
    pub(crate) fn attempt_mut(&mut self, number: u32) -> Option<&mut Attempt> {
        match &mut self.status {
            Status::Running(attempts) => attempts.iter_mut().find(|attempt| attempt.number == number),
            _ => None,
        }
    }

    /// What has gone wrong, for adding to it.
    pub(crate) fn trouble_mut(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }
}

/// All tasks of a phase.
///
/// The numbers and queues beside the table could all be computed from it. They are kept so
/// that nothing has to be searched for among 20,000 tasks, and the methods below are the only
/// ones that change either, so that they agree.
#[derive(Debug)]
pub struct Tasks {
    /// Each task, by its number.
    table: Vec<Task>,
    /// How many are idle.
    idle: usize,
    /// How many are done.
    done: usize,
    /// Which are running: never more than there are workers.
    running: BTreeSet<usize>,
    /// The order in which idle tasks are handed out. May name tasks that are idle no more,
    /// which are stepped over.
    queue: VecDeque<usize>,
    /// The same for each machine, of those tasks whose input lies there.
    local: Vec<VecDeque<usize>>,
    /// On which machines each task's input lies; empty if it does not matter.
    replicas: Vec<Vec<MachineId>>,
    /// How long the accepted attempts have taken, added up.
    taken: Duration,
    /// Sum over the accepted attempts.
    counters: Counters,
}

impl Tasks {
    /// This many idle tasks, with the machines that have their input, if that matters.
    pub(crate) fn new(count: usize, replicas: Vec<Vec<MachineId>>) -> Tasks {
        let mut tasks = Tasks {
            table: vec![Task::new(); count],
            idle: count,
            done: 0,
            running: BTreeSet::new(),
            queue: (0..count).collect(),
            local: Vec::new(),
            replicas,
            taken: Duration::ZERO,
            counters: Counters::default(),
        };
        for task in 0..count {
            tasks.enqueue_local(task, VecDeque::push_back);
        }
        tasks
    }

    /// One of the tasks.
    pub fn get(&self, task: usize) -> Option<&Task> {
        self.table.get(task)
    }

    /// One of the tasks, to be changed. Its status changes through the other methods only.
    pub(crate) fn get_mut(&mut self, task: usize) -> Option<&mut Task> {
        self.table.get_mut(task)
    }

    /// All tasks, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Task> {
        self.table.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many are idle.
    pub fn idle(&self) -> usize {
        self.idle
    }

    /// How many are running.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// How many are done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// What the accepted attempts have counted, each task once (paper, §4.8).
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether all are done.
    pub fn all_done(&self) -> bool {
        self.done == self.table.len()
    }

    /// An idle task for this machine: one whose input it has, if there is one (paper,
    /// §3.4), or else the first.
    pub(crate) fn next_idle(&mut self, machine: MachineId) -> Option<usize> {
        // A task stands in several queues. It leaves the one that it is found in, and the others
        // step over it later, when they find that it is idle no more.
        let Tasks { table, local, queue, .. } = self;
        let near = local.get_mut(machine as usize).and_then(|near| first_idle(table, near));
        near.or_else(|| first_idle(table, queue))
    }

    /// The straggler that most deserves a backup from `worker`: a task that runs once,
    /// elsewhere, and has had none yet; the one that `urgency` says the most of, if it says
    /// anything.
    pub(crate) fn straggler(
        &self,
        worker: WorkerId,
        urgency: impl Fn(&Attempt) -> Option<Duration>,
    ) -> Option<usize> {
        let candidates = self.running.iter().filter_map(|&task| match self.table[task].running() {
            [only] if only.worker != worker && !self.table[task].backed_up => Some((urgency(only)?, task)),
            _ => None,
        });
        // Of equals the first, so that the choice does not depend on more than it says.
        candidates.max_by_key(|&(urgency, task)| (urgency, std::cmp::Reverse(task))).map(|(_, task)| task)
    }

    /// How long an accepted attempt takes on average; zero if there is none.
    pub(crate) fn mean_time(&self) -> Duration {
        self.taken.checked_div(self.done as u32).unwrap_or_default()
    }

    /// A new attempt begins. Returns its number.
    pub(crate) fn start(&mut self, task: usize, by: By, now: Instant, deadline: Instant) -> u32 {
        let By { worker, machine } = by;
        let entry = &mut self.table[task];
        let number = entry.attempts;
        let attempt =
            Attempt { number, worker, machine, started: now, progress: 0.0, deadline, fetched: false };
        entry.attempts += 1;
        match &mut entry.status {
            Status::Idle => {
                entry.status = Status::Running(vec![attempt]);
                self.idle -= 1;
                self.running.insert(task);
            }
            // The first attempt goes on; whichever of the two is done first will count.
            Status::Running(attempts) => {
                attempts.push(attempt);
                entry.backed_up = true;
            }
            Status::Done(_) => panic!("task {task} is done, and was handed out again"),
        }
        number
    }

    /// An attempt has ended without a result. With the last one the task is idle again, and
    /// first in the queue: the others may be waiting for it.
    pub(crate) fn stop(&mut self, task: usize, number: u32) -> Option<Attempt> {
        let Status::Running(attempts) = &mut self.table[task].status else { return None };
        let position = attempts.iter().position(|attempt| attempt.number == number)?;
        let attempt = attempts.remove(position);
        if attempts.is_empty() {
            self.make_idle(task);
        }
        Some(attempt)
    }

    /// An attempt is accepted. Returns those that were running, which may include it.
    pub(crate) fn finish(&mut self, task: usize, done: Done, now: Instant) -> Vec<Attempt> {
        let number = done.attempt;
        add(&mut self.counters, &done.counters, u64::wrapping_add);
        let attempts = match std::mem::replace(&mut self.table[task].status, Status::Done(done)) {
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
        self.done += 1;
        // Of an attempt that was given up before it was accepted nobody knows when it began.
        let accepted = attempts.iter().find(|attempt| attempt.number == number);
        self.taken +=
            accepted.map_or_else(|| self.mean_time(), |attempt| now.duration_since(attempt.started));
        attempts
    }

    /// The output of a finished task is lost: it must be done again, and nobody's earlier
    /// attempt will do.
    pub(crate) fn undo(&mut self, task: usize) {
        let entry = &mut self.table[task];
        let Status::Done(done) = &entry.status else { panic!("task {task} is not done, and was undone") };
        // It counts no more: the next attempt will.
        add(&mut self.counters, &done.counters, u64::wrapping_sub);
        // Every attempt so far may have written the files that are lost now.
        entry.valid_from = entry.attempts;
        entry.backed_up = false;
        // The time that it took goes with it, as far as the mean is concerned.
        self.taken -= self.taken.checked_div(self.done as u32).unwrap_or_default();
        self.done -= 1;
        self.make_idle(task);
    }

    /// The task is to be handed out again, before all others: it has already kept the phase
    /// waiting once.
    fn make_idle(&mut self, task: usize) {
        self.table[task].status = Status::Idle;
        self.running.remove(&task);
        self.idle += 1;
        self.queue.push_front(task);
        self.enqueue_local(task, VecDeque::push_front);
    }

    /// Puts the task into the queues of the machines that have its input.
    fn enqueue_local(&mut self, task: usize, push: fn(&mut VecDeque<usize>, usize)) {
        let Some(replicas) = self.replicas.get(task) else { return };
        for &machine in replicas {
            let machine = machine as usize;
            if self.local.len() <= machine {
                self.local.resize_with(machine + 1, VecDeque::new);
            }
            push(&mut self.local[machine], task);
        }
    }
}

/// Adds up counters, or takes one of the summands out of the sum again.
fn add(sum: &mut Counters, counters: &Counters, operation: fn(u64, u64) -> u64) {
    let Counters { records, skipped_records, pairs, keys, bytes_in, bytes_out } = sum;
    *records = operation(*records, counters.records);
    *skipped_records = operation(*skipped_records, counters.skipped_records);
    *pairs = operation(*pairs, counters.pairs);
    *keys = operation(*keys, counters.keys);
    *bytes_in = operation(*bytes_in, counters.bytes_in);
    *bytes_out = operation(*bytes_out, counters.bytes_out);
}

/// The first idle task of a queue. It leaves the queue, and so does everything before it,
/// which is idle no more.
fn first_idle(table: &[Task], queue: &mut VecDeque<usize>) -> Option<usize> {
    while let Some(task) = queue.pop_front() {
        if table[task].is_idle() {
            return Some(task);
        }
    }
    None
}
