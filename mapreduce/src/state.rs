//! The state of a coordinator, and the rule that hands out tasks.
//!
//! Everything that the coordinator decides is a method on [`State`], here and in two
//! neighbours: `reports.rs` has what becomes of what workers report, `recovery.rs` what
//! becomes of silence and of lost outputs. These methods have no lock, channel or clock:
//! they cannot block, and they are told what time it is. What the threads do with them is
//! in `server.rs`.
//!
//! The state is O(M × R) small facts (paper, §3.5): a few dozen bytes for each task, and
//! one bit for each partition of each finished map. Handing out a map and committing a task
//! take constant time, whatever M and R; handing out a reduce takes as long as its list of
//! M sources is.

use std::collections::BTreeSet;

use labrt::time::{Duration, Instant};
use rustc_hash::FxHashMap;

use crate::events::{Cause, Event};
use crate::rpc::{
    AttemptId, GetTaskArgs, GetTaskReply, Job, PROTOCOL_VERSION, RegisterArgs, RegisterReply, Source,
    Sources, TaskId, WorkerId,
};
pub use crate::rules::{Backup, Rules};
use crate::task::{Counters, Split};
use crate::tasks::{Attempt, By, MachineId, Task, Tasks};

/// A task is backed up when at least this share of its phase's tasks is done, in percent
/// ("close to completion", §3.6).
const BACKUP_FROM_PERCENT: usize = 95;

/// The input of one map, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The piece of a file.
    pub split: Split,
    /// The machines that have it on their own disks; empty if it is equally far from all.
    pub hosts: Vec<String>,
}

/// How far the job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Some maps are not done.
    Map,
    /// All maps are done, and some reduces are not.
    Reduce,
    /// All output is there.
    Finished,
    /// A task has failed too often; this is what it said.
    Failed(String),
}

/// What the coordinator knows of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// Its name.
    pub(crate) host: String,
    /// When it is declared dead unless something is heard of it; None if it is, or was
    /// never heard of.
    pub(crate) deadline: Option<Instant>,
    /// It was declared dead, and nothing was heard of it since.
    pub(crate) dead: bool,
    /// Part B: the maps whose accepted attempt ran here, and perhaps some that have been
    /// lost since.
    pub(crate) outputs: Vec<usize>,
}

/// All that a coordinator knows.
#[derive(Debug)]
pub struct State {
    /// What workers are told.
    pub job: Job,
    /// What it may decide in more than one way. Never changes.
    pub(crate) rules: Rules,
    /// What each map reads. Never changes.
    inputs: Vec<Input>,
    /// Where each map stands.
    pub(crate) maps: Tasks,
    /// Where each reduce stands.
    pub(crate) reduces: Tasks,
    /// How far the job is. Follows from the tasks, but for a job that has failed.
    pub(crate) phase: Phase,
    /// The attempts that each worker is believed to run: one, or a reduce that waits for
    /// input and a map that it has taken on meanwhile.
    pub(crate) holding: FxHashMap<WorkerId, Vec<AttemptId>>,
    /// The number of the latest question of each worker.
    asked: FxHashMap<WorkerId, u64>,
    /// Every machine that was ever heard of, or has a replica of some input. Their names are
    /// long and come again and again, so everything else speaks of them by number.
    pub(crate) machines: Vec<Machine>,
    /// Their numbers, by name.
    machine_numbers: FxHashMap<String, MachineId>,
    /// When attempts are given up, the first one first.
    pub(crate) attempt_deadlines: BTreeSet<(Instant, AttemptId)>,
    /// When machines are declared dead. Kept in part B only: in part A, nothing is lost
    /// with a machine but its attempts.
    pub(crate) machine_deadlines: BTreeSet<(Instant, MachineId)>,
    /// Finished maps whose output is lost, and is not needed as things stand.
    pub(crate) lost: Vec<usize>,
    /// What has happened and was not yet shown to the observer.
    events: Vec<Event>,
}

impl State {
    /// A job that has not begun. Its maps are `inputs`, its reduces `job.reduces`.
    ///
    /// # Panics
    /// If the job has no reduces.
    pub fn new(job: Job, inputs: Vec<Input>, rules: Rules) -> State {
        assert!(job.reduces > 0, "a job needs at least one reduce task");
        let mut state = State {
            rules,
            maps: Tasks::new(0, Vec::new()),
            reduces: Tasks::new(job.reduces, Vec::new()),
            phase: Phase::Map,
            holding: FxHashMap::default(),
            asked: FxHashMap::default(),
            machines: Vec::new(),
            machine_numbers: FxHashMap::default(),
            attempt_deadlines: BTreeSet::new(),
            machine_deadlines: BTreeSet::new(),
            lost: Vec::new(),
            events: Vec::new(),
            inputs: Vec::new(),
            job,
        };
        // The machines with replicas are known before any worker has registered, so that the
        // first one to ask already gets a map whose input is near.
        let replicas =
            inputs.iter().map(|input| input.hosts.iter().map(|host| state.machine(host)).collect());
        let replicas = replicas.collect();
        state.maps = Tasks::new(inputs.len(), replicas);
        state.inputs = inputs;
        state.enter_phase();
        state
    }

    /// How far the job is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The maps.
    pub fn maps(&self) -> &Tasks {
        &self.maps
    }

    /// The reduces.
    pub fn reduces(&self) -> &Tasks {
        &self.reduces
    }

    /// One task.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks(id).0.get(self.tasks(id).1)
    }

    /// What the accepted maps and the accepted reduces have counted.
    pub fn counters(&self) -> (Counters, Counters) {
        (self.maps.counters(), self.reduces.counters())
    }

    /// Whether all output is there, or never will be.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Finished | Phase::Failed(_))
    }

    /// The tasks from which workers are served now: while a map is not done, the maps,
    /// since no reduce could end.
    pub fn current(&self) -> &Tasks {
        if self.maps.all_done() { &self.reduces } else { &self.maps }
    }

    /// A worker says that it is there.
    pub fn register(&mut self, args: &RegisterArgs, now: Instant) -> RegisterReply {
        if args.version != PROTOCOL_VERSION {
            return RegisterReply::Refused(format!(
                "the worker speaks version {} of the protocol, the coordinator {PROTOCOL_VERSION}",
                args.version
            ));
        }
        self.hear(&args.host, now);
        self.tell(Event::Registered { worker: args.worker, host: args.host.clone() });
        RegisterReply::Welcome(self.job.clone())
    }

    /// A worker asks for a task.
    pub fn get_task(&mut self, args: &GetTaskArgs, now: Instant) -> GetTaskReply {
        // What is due by now is idle again, and may be just what this worker is waiting for.
        self.expire(now);
        let machine = self.hear(&args.host, now);
        if self.is_over() {
            return GetTaskReply::Exit;
        }
        let asked = self.asked.entry(args.worker).or_default();
        if args.number <= *asked {
            return self.repeat(args);
        }
        *asked = args.number;
        // The two sides may disagree on what the worker is doing, since replies can be lost. The
        // worker knows better.
        let held = self.holding.get(&args.worker).map_or(&[][..], Vec::as_slice);
        let unknown = held.iter().copied().find(|&held| args.running != Some(held));
        if let Some(reply) = unknown.and_then(|id| self.hand_out_again(args.worker, id, now)) {
            return reply;
        }
        let by = By { worker: args.worker, machine };
        if args.running.is_some() {
            return self.help(by, now);
        }
        match self.choose(by, now) {
            Some(task) => self.hand_out(by, task, now),
            None => self.wait(args.worker),
        }
    }

    /// There is nothing for a free worker. It is to ask again, and not to go: when another worker
    /// dies, or the phase ends, there will be something.
    fn wait(&mut self, worker: WorkerId) -> GetTaskReply {
        self.tell(Event::Waits { worker });
        GetTaskReply::Wait { ms: self.rules.wait.as_millis() as u64 }
    }

    /// The question was answered before: it was repeated by the network, or by a worker that got
    /// no reply. The answer is the same, if it still holds, and nothing changes.
    fn repeat(&mut self, args: &GetTaskArgs) -> GetTaskReply {
        let held = self.holding.get(&args.worker).map_or(&[][..], Vec::as_slice);
        let unknown = held.iter().copied().find(|&held| args.running != Some(held));
        match unknown.filter(|&id| self.has_input(id.task)) {
            Some(id) => {
                self.tell(Event::HandedOutAgain { id, worker: args.worker });
                self.assignment(id)
            }
            None => GetTaskReply::Wait { ms: self.rules.wait.as_millis() as u64 },
        }
    }

    /// Whether somebody could begin the task now: not a reduce some of whose input is lost.
    fn has_input(&self, task: TaskId) -> bool {
        matches!(task, TaskId::Map(_)) || self.maps.all_done() && self.lost.is_empty()
    }

    /// A worker asks whose reduce cannot go on until lost outputs have been made again
    /// (part B). It gets one of those maps. Otherwise, when every worker has a reduce that
    /// waits, nobody would be left to end the waiting.
    fn help(&mut self, by: By, now: Instant) -> GetTaskReply {
        match self.maps.next_idle(by.machine) {
            Some(map) => self.hand_out(by, TaskId::Map(map), now),
            // It does wait, but not for want of a task: it has one.
            None => GetTaskReply::Wait { ms: self.rules.wait.as_millis() as u64 },
        }
    }

    /// The next task for this worker: an idle one, or else a straggler that deserves a
    /// backup. As long as there is an idle task in the phase, nobody waits.
    fn choose(&mut self, by: By, now: Instant) -> Option<TaskId> {
        let in_maps = !self.maps.all_done();
        let tasks = if in_maps { &mut self.maps } else { &mut self.reduces };
        // No second attempt of a reduce could get its input once an output is lost that
        // only the first one has.
        let backup = if self.lost.is_empty() { self.rules.backup } else { Backup::Off };
        let task = tasks.next_idle(by.machine).or_else(|| straggler(tasks, backup, by.worker, now))?;
        Some(if in_maps { TaskId::Map(task) } else { TaskId::Reduce(task) })
    }

    /// Begins an attempt of the task. Should the reply be lost, the worker asks again and gets
    /// the same one; should the worker die, the deadline ends it.
    fn hand_out(&mut self, by: By, task: TaskId, now: Instant) -> GetTaskReply {
        // Whether it is a backup follows from what is running; who chose it need not say so.
        let deadline = now + self.rules.timeout;
        let (tasks, number) = self.tasks_mut(task);
        let backup = !tasks.get(number).is_some_and(Task::is_idle);
        let attempt = tasks.start(number, by, now, deadline);
        let id = AttemptId { task, attempt };
        self.holding.entry(by.worker).or_default().push(id);
        self.attempt_deadlines.insert((deadline, id));
        let host = self.machines[by.machine as usize].host.clone();
        self.tell(Event::HandedOut { id, worker: by.worker, host, backup });
        self.assignment(id)
    }

    /// The worker is believed to run an attempt, but asks for work: it has never heard of
    /// it, because the reply was lost. It gets the same attempt, so that a lost message
    /// costs no second execution. None if there is nothing to give again: the attempt was a
    /// reduce, some of whose input has been lost meanwhile, and is taken back.
    fn hand_out_again(&mut self, worker: WorkerId, id: AttemptId, now: Instant) -> Option<GetTaskReply> {
        if !self.has_input(id.task) {
            self.give_up(id, Cause::TakenBack);
            return None;
        }
        self.set_deadline(id, now, |attempt| attempt.started = now);
        self.tell(Event::HandedOutAgain { id, worker });
        Some(self.assignment(id))
    }

    /// What a worker is told to do.
    fn assignment(&self, id: AttemptId) -> GetTaskReply {
        let attempt = id.attempt;
        match id.task {
            TaskId::Map(map) => {
                let trouble = self.maps.get(map).and_then(|task| task.trouble.as_ref());
                let skip = trouble.map_or_else(Vec::new, |trouble| trouble.skip.clone());
                let split = self.inputs[map].split.clone();
                GetTaskReply::Map { map, attempt, split, skip, reduces: self.job.reduces }
            }
            TaskId::Reduce(reduce) => {
                let sources = self.sources(0..self.maps.len(), reduce);
                GetTaskReply::Reduce { reduce, attempt, sources }
            }
        }
    }

    /// Where the partitions for this reduce are, of those of the maps that are done and
    /// have one.
    pub(crate) fn sources(&self, maps: impl Iterator<Item = usize>, reduce: usize) -> Sources {
        let mut sources = Sources::default();
        // Where each machine stands in the reply's own table, once it does.
        let mut positions: Vec<Option<u32>> = vec![None; self.machines.len()];
        for map in maps {
            let Some(done) = self.maps.get(map).and_then(Task::done) else { continue };
            if done.lost || !done.partitions.contains(reduce) {
                continue;
            }
            let host = *positions[done.machine as usize].get_or_insert_with(|| {
                sources.hosts.push(self.machines[done.machine as usize].host.clone());
                (sources.hosts.len() - 1) as u32
            });
            sources.rows.push(Source { map, attempt: done.attempt, host });
        }
        sources
    }

    /// Takes note that the machine was heard of, and gives its number.
    pub(crate) fn hear(&mut self, host: &str, now: Instant) -> MachineId {
        let number = self.machine(host);
        self.hear_machine(number, now);
        number
    }

    /// The machine gets the whole time-out again. If it had been declared dead, that was wrong,
    /// or it has been started again. What it had is lost all the same: its maps run elsewhere by
    /// now, and taking them back once more would help nobody.
    pub(crate) fn hear_machine(&mut self, number: MachineId, now: Instant) {
        // In part A nothing but attempts is lost with a machine, and those have their own times.
        if !self.job.local_disks {
            return;
        }
        let deadline = now + self.rules.timeout;
        let machine = &mut self.machines[number as usize];
        if let Some(before) = machine.deadline.replace(deadline) {
            self.machine_deadlines.remove(&(before, number));
        }
        self.machine_deadlines.insert((deadline, number));
        if std::mem::take(&mut machine.dead) {
            let host = machine.host.clone();
            self.tell(Event::MachineBack { host });
        }
    }

    /// The number of a machine, a new one if it is new.
    pub(crate) fn machine(&mut self, host: &str) -> MachineId {
        if let Some(&number) = self.machine_numbers.get(host) {
            return number;
        }
        let number = self.machines.len() as MachineId;
        self.machines.push(Machine {
            host: host.to_owned(),
            deadline: None,
            dead: false,
            outputs: Vec::new(),
        });
        self.machine_numbers.insert(host.to_owned(), number);
        number
    }

    /// The name of the machine on which a finished task ran.
    pub fn host_of(&self, task: TaskId) -> Option<&str> {
        let done = self.task(task)?.done()?;
        Some(&self.machines[done.machine as usize].host)
    }

    /// The phase's table and the task's number in it.
    pub(crate) fn tasks(&self, id: TaskId) -> (&Tasks, usize) {
        match id {
            TaskId::Map(map) => (&self.maps, map),
            TaskId::Reduce(reduce) => (&self.reduces, reduce),
        }
    }

    /// The same, to be changed.
    pub(crate) fn tasks_mut(&mut self, id: TaskId) -> (&mut Tasks, usize) {
        match id {
            TaskId::Map(map) => (&mut self.maps, map),
            TaskId::Reduce(reduce) => (&mut self.reduces, reduce),
        }
    }

    /// A running attempt.
    pub(crate) fn attempt_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        let (tasks, number) = self.tasks_mut(id.task);
        tasks.get_mut(number)?.attempt_mut(id.attempt)
    }

    /// Changes a running attempt, and gives it the whole time-out again. False if it is not
    /// running.
    pub(crate) fn set_deadline(
        &mut self,
        id: AttemptId,
        now: Instant,
        change: impl FnOnce(&mut Attempt),
    ) -> bool {
        let deadline = now + self.rules.timeout;
        let Some(attempt) = self.attempt_mut(id) else { return false };
        change(attempt);
        // The set of deadlines must not name a time that the attempt does not know.
        let before = std::mem::replace(&mut attempt.deadline, deadline);
        let machine = attempt.machine;
        self.hear_machine(machine, now);
        self.attempt_deadlines.remove(&(before, id));
        self.attempt_deadlines.insert((deadline, id));
        true
    }

    /// Works out the phase anew. It follows from the tasks, so that it cannot be wrong; to set it
    /// by hand at each place that finishes or undoes a task could be. A job that is over stays
    /// so: when all output is there, a map that is lost after all means nothing.
    pub(crate) fn enter_phase(&mut self) {
        let phase = match (self.maps.all_done(), self.reduces.all_done()) {
            _ if self.is_over() => return,
            (_, true) => Phase::Finished,
            (true, false) => Phase::Reduce,
            (false, false) => Phase::Map,
        };
        if phase != self.phase {
            self.phase = phase.clone();
            self.tell(Event::Entered(phase));
        }
    }

    /// Keeps an event for the observer.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// What has happened since the last time that this was asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// A task that deserves a backup attempt by this worker (paper, §3.6), if the phase is
/// close to its end. What has not yet run for as long as others took is no straggler.
fn straggler(tasks: &Tasks, backup: Backup, worker: WorkerId, now: Instant) -> Option<usize> {
    if backup == Backup::Off || tasks.done() * 100 < tasks.len() * BACKUP_FROM_PERCENT {
        return None;
    }
    // All tasks of a phase are about equally large. The last ones to be handed out are not
    // slow, they are only young, and would be done before their backups.
    let mean = tasks.mean_time();
    tasks.straggler(worker, |attempt| {
        let age = now.duration_since(attempt.started);
        let urgency = match backup {
            Backup::LongestRemaining => remaining(age, attempt.progress),
            _ => age,
        };
        (age > mean).then_some(urgency)
    })
}

/// How long an attempt will still take if it goes on as it has so far.
fn remaining(age: Duration, progress: f64) -> Duration {
    let seconds = age.as_secs_f64() * (1.0 - progress) / progress.max(f64::MIN_POSITIVE);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
