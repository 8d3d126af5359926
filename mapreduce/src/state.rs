// handout: put classic
// //! What the coordinator knows.
// handout: end
// handout: drop classic
//! The coordinator's state, and the rule that hands out tasks.
//!
//! Every decision of the coordinator is a method on [`State`], here and in the neighbours: `reports.rs` has
//! what becomes of workers' reports, `time_outs.rs` what becomes of silence. The methods have no lock,
//! channel or clock: they cannot block, and the caller tells them the time. `server.rs` has the threads.
//!
//! The state is O(M × R) small facts (paper, §3.5): a few dozen bytes for each task, and one bit for each
//! partition of each finished map. Handing out a map and accepting an attempt take constant time, whatever M
//! and R; handing out a reduce takes as long as its list of M sources.

use std::collections::BTreeSet;

use labrt::time::Instant;
use rustc_hash::FxHashMap;

use crate::events::Event;
use crate::lost_outputs::Machines;
use crate::rpc::{
    AttemptId, GetTaskArgs, GetTaskReply, Job, MapAssignment, PROTOCOL_VERSION, ReduceAssignment,
    RegisterArgs, RegisterReply, Source, Sources, TaskId, WorkerId,
};
// handout: end
pub use crate::rules::{Backup, Rules};
pub use crate::split::Input;
// handout: drop classic
use crate::table::{Attempt, By, Task, TaskTable};
// handout: end

/// How far the job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Some maps are not done.
    Map,
    /// All maps are done, and some reduces are not.
    Reduce,
    /// All output is complete.
    Finished,
    /// A task has failed too often, for this reason.
    Failed(String),
}

/// All that a coordinator knows.
#[derive(Debug)]
pub struct State {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    /// What workers are told.
    pub job: Job,
    pub(crate) rules: Rules,
    /// The input of each map.
    inputs: Vec<Input>,
    pub(crate) maps: TaskTable,
    pub(crate) reduces: TaskTable,
    /// Follows from the tasks, except for a job that has failed.
    pub(crate) phase: Phase,
    /// When to give up each running attempt, the first one first.
    pub(crate) deadlines: BTreeSet<(Instant, AttemptId)>,
    /// The attempts that each worker runs, as far as the coordinator knows: one, or (part 1B) a reduce that
    /// waits for input and a map that the worker runs meanwhile.
    pub(crate) holding: FxHashMap<WorkerId, Vec<AttemptId>>,
    /// The number of each worker's latest question (`lost_replies.rs`).
    pub(crate) asked: FxHashMap<WorkerId, u64>,
    /// The machines, and what was lost with them (`lost_outputs.rs`).
    pub(crate) machines: Machines,
    /// Events that the observer has not seen yet.
    pub(crate) events: Vec<Event>,
    // handout: end
}

// handout: drop classic
// handout: bodies 1A
impl State {
    /// A job that has not begun. Its maps are `inputs`, its reduces `job.reduces`.
    ///
    /// # Panics
    /// If the job has no reduces.
    pub fn new(job: Job, inputs: Vec<Input>, rules: Rules) -> State {
        assert!(job.reduces > 0, "a job needs at least one reduce task");
        let mut state = State {
            rules,
            maps: TaskTable::new(inputs.len()),
            reduces: TaskTable::new(job.reduces),
            phase: Phase::Map,
            deadlines: BTreeSet::new(),
            holding: FxHashMap::default(),
            asked: FxHashMap::default(),
            machines: Machines::default(),
            events: Vec::new(),
            inputs,
            job,
        };
        let machines = &mut state.machines;
        let replicas = state.inputs.iter().map(|input| machines.numbers(&input.hosts)).collect();
        state.maps.set_replicas(replicas);
        state.enter_phase();
        state
    }

    // handout: body kept
    /// One task.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        match id {
            TaskId::Map(map) => self.maps.get(map),
            TaskId::Reduce(reduce) => self.reduces.get(reduce),
        }
    }

    /// The table with the task, and its number there.
    pub(crate) fn tasks_mut(&mut self, id: TaskId) -> (&mut TaskTable, usize) {
        match id {
            TaskId::Map(map) => (&mut self.maps, map),
            TaskId::Reduce(reduce) => (&mut self.reduces, reduce),
        }
    }

    pub(crate) fn attempt_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        let (tasks, number) = self.tasks_mut(id.task);
        tasks.get_mut(number)?.attempt_mut(id.attempt)
    }

    /// Whether the job is finished or has failed.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Finished | Phase::Failed(_))
    }

    /// A worker registers.
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

    /// A worker asks for a task. It gets the next one of the phase; if there is none it is told to ask again,
    /// because there will be work when another worker dies or the phase ends; and when the job is over it is
    /// told to exit.
    pub fn get_task(&mut self, args: &GetTaskArgs, now: Instant) -> GetTaskReply {
        // An attempt whose time is over makes its task idle, perhaps for this very worker.
        self.expire(now);
        if self.is_over() {
            return GetTaskReply::Exit;
        }
        let by = By { worker: args.worker, machine: self.hear(&args.host, now) };
        // The question may be a repeated message, or the reply to the last one was lost (`lost_replies.rs`).
        if let Some(reply) = self.answer_again(args, now) {
            return reply;
        }
        let task = match args.running {
            None => self.next_task(by, now),
            // Part 1B: a worker whose reduce waits takes maps only (`lost_outputs.rs`).
            Some(_) => self.next_lost_map(by),
        };
        match task {
            Some(task) => self.hand_out(by, task, now),
            None => self.wait(args),
        }
    }

    /// The next task for this worker: an idle one, or else a straggler that needs a backup (`stragglers.rs`).
    fn next_task(&mut self, by: By, now: Instant) -> Option<TaskId> {
        let in_maps = !self.maps.all_done();
        let backup = self.backup_rule();
        let tasks = if in_maps { &mut self.maps } else { &mut self.reduces };
        let task = tasks.next_idle(by.machine).or_else(|| tasks.straggler(by.worker, backup, now))?;
        Some(if in_maps { TaskId::Map(task) } else { TaskId::Reduce(task) })
    }

    /// Begins an attempt of the task. If the worker dies, the deadline ends it.
    fn hand_out(&mut self, by: By, task: TaskId, now: Instant) -> GetTaskReply {
        let deadline = now + self.rules.timeout;
        let (tasks, number) = self.tasks_mut(task);
        let backup = !tasks.get(number).is_some_and(Task::is_idle);
        let attempt = tasks.start(number, by, now, deadline);
        let id = AttemptId { task, attempt };
        self.holding.entry(by.worker).or_default().push(id);
        self.deadlines.insert((deadline, id));
        let host = self.machines.name(by.machine).to_owned();
        self.tell(Event::HandedOut { id, worker: by.worker, host, backup });
        self.assignment(id)
    }

    /// There is nothing to do for this worker at present.
    fn wait(&mut self, args: &GetTaskArgs) -> GetTaskReply {
        if args.running.is_none() {
            self.tell(Event::Waits { worker: args.worker });
        }
        GetTaskReply::Wait { ms: self.rules.wait.as_millis() as u64 }
    }

    /// The message that describes an attempt to its worker.
    pub(crate) fn assignment(&self, id: AttemptId) -> GetTaskReply {
        let attempt = id.attempt;
        match id.task {
            TaskId::Map(map) => {
                let (split, skip) = (self.inputs[map].split.clone(), self.records_to_skip(map));
                GetTaskReply::Map(MapAssignment { map, attempt, split, skip, reduces: self.job.reduces })
            }
            TaskId::Reduce(reduce) => {
                let sources = self.sources(0..self.maps.len(), reduce);
                GetTaskReply::Reduce(ReduceAssignment { reduce, attempt, sources })
            }
        }
    }

    /// Where this reduce finds its input: those of the maps that are done and have written its partition.
    pub(crate) fn sources(&self, maps: impl Iterator<Item = usize>, reduce: usize) -> Sources {
        let mut sources = Sources::default();
        // The position of each machine in the reply's own table.
        let mut positions = FxHashMap::default();
        for map in maps {
            let Some(done) = self.maps.get(map).and_then(Task::done) else { continue };
            if done.lost || !done.partitions.contains(reduce) {
                continue;
            }
            let host = *positions.entry(done.machine).or_insert_with(|| {
                sources.hosts.push(self.machines.name(done.machine).to_owned());
                (sources.hosts.len() - 1) as u32
            });
            sources.rows.push(Source { map, attempt: done.attempt, host });
        }
        sources
    }

    /// Computes the phase anew. It follows from the tasks, except that a job that is over stays so: when all
    /// output is complete, a lost map no longer matters.
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
}
// handout: end
