// handout: put classic
// //! What the coordinator knows.
// handout: end
// handout: drop classic
//! The coordinator's state, and the rule that hands out tasks.
//!
//! Every decision of the coordinator is a method on [`State`], here and in the neighbours: `reports.rs`
//! decides about workers' reports, `time_outs.rs` about workers that are silent. The methods have no lock,
//! channel or clock: they cannot block, and the caller tells them the time. `server.rs` has the threads.
//!
//! # How tasks go out: an example
//!
//! A job has two maps and one reduce; workers 7, 8 and 9 ask for tasks again and again.
//!
//! | second | who | what | answer |
//! |---|---|---|---|
//! | 0 | 7 asks | map 0 is idle | map 0, attempt 0, until second 10 |
//! | 0 | 8 asks | map 1 is idle | map 1, attempt 0, until second 10 |
//! | 0 | 9 asks | no map is idle; the reduce needs the output of both maps | wait |
//! | 2 | 7 reports map 0, and asks | no map is idle | accepted; wait |
//! | 3 | 8 dies, and has reported no progress | the coordinator does not notice | – |
//! | 10 | 9 asks | the time of map 1 is over, so that it is idle again | map 1, attempt 1, until second 20 |
//! | 12 | 9 reports map 1, and asks | all maps are done, the reduce is idle | accepted; the reduce |
//! | 13 | 7 asks | the reduce is running | wait |
//! | 14 | 9 reports the reduce, and asks | all reduces are done | accepted; exit |
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
    /// waits for input and a map that the worker runs meanwhile. 1A needs it for lost replies only.
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
        // handout: from 1B: `set_replicas`: which machines have the input of a map
        // Part 1B, skip: which machines have the input (`locality.rs`).
        let machines = &mut state.machines;
        let replicas = state.inputs.iter().map(|input| machines.numbers(&input.hosts)).collect();
        state.maps.set_replicas(replicas);
        // handout: end
        // A job without maps begins with its reduces.
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

    /// A worker asks for a task. First [`State::expire`] gives up what is overdue, since this worker may get
    /// it. Then there are three answers: an idle task; "ask again", if no task is idle but the job is not
    /// over, since a worker may die and the phase will end; and "exit", when the job is over.
    pub fn get_task(&mut self, args: &GetTaskArgs, now: Instant) -> GetTaskReply {
        // The thread of `server.rs` does this, too, when no worker asks.
        self.expire(now);
        if self.is_over() {
            return GetTaskReply::Exit;
        }
        // The machine's number. That it is alive matters in part 1B only (`lost_outputs.rs`).
        let machine = self.hear(&args.host, now);
        let by = By { worker: args.worker, machine };
        // Skip this the first time: the network has repeated the question, or has lost the last answer
        // (`lost_replies.rs`).
        if let Some(reply) = self.answer_again(args, now) {
            return reply;
        }
        match self.next_task(args.running, by, now) {
            Some(task) => self.hand_out(by, task, now),
            None => self.wait(args),
        }
    }

    /// The task that this worker gets: an idle map while some map is not done, then an idle reduce.
    ///
    /// Skip these the first time: if no task is idle, a slow one may run a second time (`stragglers.rs`); a
    /// worker whose reduce is `waiting` for lost files gets maps only (part 1B, `lost_outputs.rs`).
    fn next_task(&mut self, waiting: Option<AttemptId>, by: By, now: Instant) -> Option<TaskId> {
        if waiting.is_some() {
            return self.next_lost_map(by);
        }
        // A reduce reads files of all maps, so that none begins before all maps are done.
        let in_maps = !self.maps.all_done();
        let rule = self.backup_rule();
        let tasks = if in_maps { &mut self.maps } else { &mut self.reduces };
        let task = tasks.next_idle(by.machine).or_else(|| tasks.straggler(by.worker, rule, now))?;
        Some(if in_maps { TaskId::Map(task) } else { TaskId::Reduce(task) })
    }

    /// Begins an attempt of the task: notes it in the task itself, among what the worker holds, and among the
    /// deadlines. If the worker dies, the deadline makes the task idle again (`time_outs.rs`).
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

    /// No task is idle at present: the worker asks again after a short time.
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
                // Skip the bad records (`bad_records.rs`).
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
        if self.is_over() {
            return;
        }
        let phase = match (self.maps.all_done(), self.reduces.all_done()) {
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
