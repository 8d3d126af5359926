// handout: file guided
//! Part 1B: outputs that are lost with their machines (paper, §3.3).
//!
//! Intermediate files on the mapper's own disk halve the traffic and die with the machine. When a machine was
//! silent for the time-out, or two fetches of an output have failed, the coordinator *takes back* what it has
//! said before: the finished map becomes idle again. It no longer accepts reports of earlier attempts, since
//! they speak of the files that are gone. Reduces are never undone: their output is in the shared store.
//!
//! When is a lost output needed? A reduce that is done, or has copied all its input, no longer needs it.
//! While every reduce is one of these, the map stays done although its output is gone (`Done::lost`); when a
//! reduce becomes idle again, so does the map.
//!
//! One trap is not in the paper: when all workers run reduces that wait for a lost output, no worker is left
//! to make it again. So a worker whose reduce waits asks for a map ([`crate::rpc::GetTaskArgs::running`]).

use std::collections::BTreeSet;

use labrt::time::Instant;
use rustc_hash::FxHashMap;

use crate::events::{Event, Loss};
use crate::rpc::{AttemptId, FetchFailedArgs, SourceUpdateArgs, SourceUpdateReply, TaskId, WorkerId};
use crate::rules::Backup;
use crate::state::State;
use crate::table::{By, MachineId, Status, Task, TaskTable};

/// Failed fetches of one output after which it counts as lost.
const FAILED_FETCHES: usize = 2;

/// What the coordinator knows of the machines. Part 1A uses only their names.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    /// Every machine that has registered or has a replica of some input. Names are long and come again and
    /// again, so that all other parts of the state use numbers.
    list: Vec<Machine>,
    by_name: FxHashMap<String, MachineId>,
    /// When to declare each machine dead, the first one first.
    deadlines: BTreeSet<(Instant, MachineId)>,
    /// Finished maps whose output is lost, and which no reduce needs at present.
    pub(crate) lost: Vec<usize>,
}

#[derive(Debug)]
struct Machine {
    host: String,
    /// When the coordinator declares it dead unless it hears of it; `None` if it is dead, or was never heard
    /// of.
    deadline: Option<Instant>,
    dead: bool,
    /// The maps whose accepted attempt ran here, and perhaps some that have been lost since.
    outputs: Vec<usize>,
}

// handout: bodies 1B
impl Machines {
    // handout: body 1A
    /// The number of a machine, a new one if it is new.
    fn number(&mut self, host: &str) -> MachineId {
        if let Some(&number) = self.by_name.get(host) {
            return number;
        }
        let number = self.list.len() as MachineId;
        self.list.push(Machine { host: host.to_owned(), deadline: None, dead: false, outputs: Vec::new() });
        self.by_name.insert(host.to_owned(), number);
        number
    }

    // handout: body 1A
    /// The numbers of several machines.
    pub(crate) fn numbers(&mut self, hosts: &[String]) -> Vec<MachineId> {
        hosts.iter().map(|host| self.number(host)).collect()
    }

    // handout: body kept
    /// The name of a machine.
    pub(crate) fn name(&self, machine: MachineId) -> &str {
        &self.list[machine as usize].host
    }

    // handout: body 1A
    /// When to declare the next machine dead.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }
}

impl TaskTable {
    /// Makes a finished task idle again, because its output is lost. No earlier attempt will be accepted. How
    /// long the accepted one took is no longer known, so that `taken` loses the mean of before.
    fn undo(&mut self, task: usize) {
        let mean = self.mean_time();
        let Some(entry) = self.get_mut(task) else { panic!("there is no task {task} to undo") };
        let Status::Done(done) = &entry.status else { panic!("task {task} is not done, and was undone") };
        let counters = done.counters;
        // Every attempt so far may have written the files that are lost now.
        entry.valid_from = entry.attempts;
        entry.backed_up = false;
        self.counters.add(&counters, u64::wrapping_sub);
        self.taken -= mean;
        self.done -= 1;
        self.make_idle(task);
    }
}

impl State {
    // handout: body 1A
    /// Notes that the machine is alive, and returns its number.
    pub(crate) fn hear(&mut self, host: &str, now: Instant) -> MachineId {
        let machine = self.machines.number(host);
        // handout: from 1B: `hear_machine`
        self.hear_machine(machine, now);
        // handout: end
        machine
    }

    /// Gives the machine the whole time-out again. If it was declared dead before, that was wrong, or it has
    /// started again. Its outputs count as lost all the same: other workers run its maps by now.
    ///
    /// A report of progress names no machine, and is heard for the attempt's, while that attempt runs. The
    /// worker of an attempt that was given up is told to stop, and heard again when it asks.
    pub(crate) fn hear_machine(&mut self, number: MachineId, now: Instant) {
        // In part 1A a machine has nothing to lose but attempts, which have deadlines of their own.
        if !self.job.local_disks {
            return;
        }
        let deadline = now + self.rules.timeout;
        let machine = &mut self.machines.list[number as usize];
        if let Some(before) = machine.deadline.replace(deadline) {
            self.machines.deadlines.remove(&(before, number));
        }
        self.machines.deadlines.insert((deadline, number));
        if std::mem::take(&mut machine.dead) {
            let host = machine.host.clone();
            self.tell(Event::MachineBack { host });
        }
    }

    /// Declares machines dead that were silent for the time-out.
    pub(crate) fn expire_machines(&mut self, now: Instant) {
        while let Some(&(deadline, machine)) =
            self.machines.deadlines.first().filter(|&&(deadline, _)| deadline <= now)
        {
            self.machines.deadlines.remove(&(deadline, machine));
            self.declare_dead(machine);
        }
    }

    /// Declares a machine dead: what its maps have written is lost.
    fn declare_dead(&mut self, number: MachineId) {
        let machine = &mut self.machines.list[number as usize];
        machine.deadline = None;
        machine.dead = true;
        let outputs = std::mem::take(&mut machine.outputs);
        let host = machine.host.clone();
        self.tell(Event::MachineDied { host });
        // Some of these may have been lost before, and done again elsewhere.
        for map in outputs {
            let done = self.maps.get(map).and_then(Task::done);
            if done.is_some_and(|done| done.machine == number && !done.lost) {
                self.lose(map, Loss::MachineDied);
            }
        }
    }

    /// Remembers that the output of this map is lost when its machine is.
    pub(crate) fn remember_output(&mut self, task: TaskId, machine: MachineId) {
        if let (TaskId::Map(map), true) = (task, self.job.local_disks) {
            self.machines.list[machine as usize].outputs.push(map);
        }
    }

    /// The output of a finished map is lost. The map becomes idle again if some reduce needs it.
    fn lose(&mut self, map: usize, loss: Loss) {
        let again = self.is_output_needed();
        let Some(Task { status: Status::Done(done), .. }) = self.maps.get_mut(map) else {
            panic!("map {map} has no output to lose")
        };
        done.lost = true;
        let id = AttemptId { task: TaskId::Map(map), attempt: done.attempt };
        self.tell(Event::Lost { id, loss, again });
        self.machines.lost.push(map);
        if again {
            self.rerun_lost_maps();
        }
    }

    /// If some reduce needs lost outputs, their maps become idle again.
    pub(crate) fn rerun_lost_maps(&mut self) {
        if self.is_over() || !self.is_output_needed() {
            return;
        }
        for map in std::mem::take(&mut self.machines.lost) {
            self.maps.undo(map);
        }
        self.enter_phase();
    }

    /// Whether some reduce has yet to fetch its input. It looks at all reduces, which it can afford, since
    /// outputs are lost rarely.
    fn is_output_needed(&self) -> bool {
        self.reduces.iter().any(|reduce| match &reduce.status {
            Status::Idle => true,
            Status::Running(attempts) => !attempts.iter().any(|attempt| attempt.fetched),
            Status::Done(_) => false,
        })
    }

    // handout: body 1A
    /// Which stragglers get a backup now. While an output is lost that only the first attempt of a reduce
    /// has, a backup of that reduce could not get its input.
    pub(crate) fn backup_rule(&self) -> Backup {
        if self.machines.lost.is_empty() { self.rules.backup } else { Backup::Off }
    }

    /// A map for a worker whose reduce waits for lost outputs.
    pub(crate) fn next_lost_map(&mut self, by: By) -> Option<TaskId> {
        self.maps.next_idle(by.machine).map(TaskId::Map)
    }

    /// A worker makes progress with a map. A reduce of the same worker that waits for it is not to blame for
    /// waiting.
    pub(crate) fn prolong_waiting_reduce(&mut self, worker: WorkerId, now: Instant) {
        for other in self.holding.get(&worker).cloned().unwrap_or_default() {
            self.set_deadline(other, now, |_| ());
        }
    }

    /// A reducer could not fetch a map's output. One failure may be chance; after the second the output
    /// counts as lost, even if its machine is alive, since the reducer cannot do without it. The reducer is
    /// alive: from `now` on its attempt and its machine have the whole time-out again.
    pub fn fetch_failed(&mut self, args: &FetchFailedArgs, now: Instant) {
        let id = AttemptId { task: TaskId::Map(args.map), attempt: args.attempt };
        if self.is_over() || !self.set_deadline(args.running, now, |_| ()) {
            return;
        }
        let Some(Task { status: Status::Done(done), .. }) = self.maps.get_mut(args.map) else { return };
        // The message may be old: the map may be running again, or done again. Or it may be a repetition,
        // which is no second failure.
        let complaint = (args.worker, args.number);
        if done.attempt != args.attempt || done.lost || done.complaints.contains(&complaint) {
            return;
        }
        done.complaints.push(complaint);
        let lost = done.complaints.len() >= FAILED_FETCHES;
        self.tell(Event::FetchFailed { map: id, reducer: args.running });
        if lost {
            self.lose(args.map, Loss::FetchFailed);
        }
    }

    /// A reducer asks where the outputs are that it lacks. It waits for others, and so keeps its time.
    pub fn source_update(&mut self, args: &SourceUpdateArgs, now: Instant) -> SourceUpdateReply {
        let TaskId::Reduce(reduce) = args.running.task else { return SourceUpdateReply::Cancel };
        if self.is_over() || !self.set_deadline(args.running, now, |_| ()) {
            return SourceUpdateReply::Cancel;
        }
        SourceUpdateReply::Sources(self.sources(args.missing.iter().copied(), reduce))
    }
}
