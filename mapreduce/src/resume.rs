// handout: file guided
//! Goes on with a job whose coordinator has died (paper, §3.3, master failure: "a new copy can be started
//! from the last checkpointed state").
//!
//! The checkpoint is the list of the accepted attempts. What was running is forgotten, and runs again under
//! numbers that the first coordinator has not used, so that no two attempts share a file. A worker that has
//! lived through it may still report an attempt of before, and that report is welcome.

use labrt::time::Instant;
use serde::{Deserialize, Serialize};

use crate::rpc::{PartitionSet, TaskId};
use crate::state::State;
use crate::table::Done;
use crate::tasks::Counters;

/// A task that the coordinator has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedTask {
    /// The task.
    pub task: TaskId,
    /// The accepted attempt.
    pub attempt: u32,
    /// The machine on which it ran.
    pub host: String,
    /// Map: the partitions that it has written.
    pub partitions: PartitionSet,
    /// What it has counted.
    pub counters: Counters,
}

// handout: bodies 1A
impl State {
    /// The accepted attempt of a task, for a checkpoint; `None` if the task is not done.
    pub fn finished(&self, task: TaskId) -> Option<FinishedTask> {
        let Done { attempt, partitions, counters, .. } = self.task(task)?.done()?.clone();
        Some(FinishedTask { task, attempt, host: self.host_of(task)?.to_owned(), partitions, counters })
    }

    /// Goes on from a checkpoint. To be called before any task goes out; new attempts count from
    /// `first_attempt` on.
    pub fn resume(&mut self, finished: Vec<FinishedTask>, first_attempt: u32, now: Instant) {
        for task in 0..self.maps.len() {
            self.skip_attempts(TaskId::Map(task), first_attempt);
        }
        for task in 0..self.reduces.len() {
            self.skip_attempts(TaskId::Reduce(task), first_attempt);
        }
        for FinishedTask { task, attempt, host, partitions, counters } in finished {
            let machine = self.hear(&host, now);
            let done = Done { attempt, machine, partitions, counters, lost: false, complaints: Vec::new() };
            let (tasks, number) = self.tasks_mut(task);
            if tasks.get(number).is_some_and(|task| task.is_idle()) {
                tasks.finish(number, done, now);
                self.remember_output(task, machine);
            }
        }
        self.enter_phase();
    }

    fn skip_attempts(&mut self, id: TaskId, first: u32) {
        let (tasks, number) = self.tasks_mut(id);
        if let Some(task) = tasks.get_mut(number) {
            task.attempts = first;
        }
    }
}
