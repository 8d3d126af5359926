// handout: file guided
//! What becomes of workers' reports: progress, success, failure.
//!
//! A report is about one *attempt*. By the time it arrives the coordinator may have given that attempt up, or
//! accepted another one, or heard the very same report before. So each of the three first asks where the
//! attempt stands.
//!
//! | report | the attempt is running | it was given up, the task is open | the task is done |
//! |---|---|---|---|
//! | progress | lives on | cancel | cancel |
//! | done | accepted | accepted, the others are superseded | late; accepted again, if it is this one |
//! | failed | given up, counted | ignored | ignored |

use labrt::time::Instant;

use crate::events::{Cause, Event};
use crate::rpc::{
    AttemptId, NextStep, ProgressArgs, ProgressReply, TaskDoneArgs, TaskDoneReply, TaskFailedArgs,
};
use crate::state::State;
use crate::table::{Done, Task};

// handout: bodies 1A
impl State {
    /// A worker reports its progress. An attempt lives as long as it makes progress: a worker that only says
    /// that it is alive is as good as dead to the job.
    pub fn progress(&mut self, args: &ProgressArgs, now: Instant) -> ProgressReply {
        let id = args.running;
        let Some(attempt) = self.attempt_mut(id) else { return ProgressReply::Cancel };
        let (worker, machine) = (attempt.worker, attempt.machine);
        let advances = args.fraction > attempt.progress;
        let has_just_fetched = args.fetched && !attempt.fetched;
        if worker != args.worker || self.is_over() {
            return ProgressReply::Cancel;
        }
        // handout: from 1B: `hear_machine`
        self.hear_machine(machine, now);
        // handout: end
        if advances {
            self.set_deadline(id, now, |attempt| attempt.progress = args.fraction);
            // handout: from 1B: `prolong_waiting_reduce`
            self.prolong_waiting_reduce(worker, now);
            // handout: end
        }
        if has_just_fetched {
            // Part 1B: from here on the mappers' machines may die without harm to this reduce.
            self.set_deadline(id, now, |attempt| attempt.fetched = true);
        }
        ProgressReply::Continue
    }

    /// A worker reports that it has finished an attempt. The first report wins, even that of an attempt that
    /// was given up before: its result is as good as any other (paper, §3.3). All later ones are late, but
    /// the accepted attempt stays accepted while its task is done, even if its output is lost (`Done::lost`).
    pub fn task_done(&mut self, args: &TaskDoneArgs, now: Instant) -> TaskDoneReply {
        let machine = self.hear(&args.host, now);
        let AttemptId { task, attempt } = args.done;
        let done = self.task(task).and_then(Task::done);
        if done.is_some_and(|done| done.attempt == attempt) {
            // The reply was lost, and the report repeated. "Late" would make the worker delete what counts.
            return TaskDoneReply::Accepted;
        }
        if !self.is_acceptable(args.done) {
            self.tell(Event::Late { id: args.done, worker: args.worker });
            return TaskDoneReply::Late;
        }
        let (partitions, counters) = (args.partitions.clone(), args.counters);
        let done = Done { attempt, machine, partitions, counters, lost: false, complaints: Vec::new() };
        let (tasks, number) = self.tasks_mut(task);
        let attempts = tasks.finish(number, done, now);
        self.tell(Event::Accepted { id: args.done, worker: args.worker, host: args.host.clone(), counters });
        // The workers of the other attempts learn of it when they report.
        for other in attempts {
            let id = AttemptId { task, attempt: other.number };
            self.forget(id, other.worker, other.deadline);
            if id != args.done {
                self.tell(Event::GivenUp { id, worker: other.worker, cause: Cause::Superseded });
            }
        }
        // handout: from 1B: `remember_output`
        // Part 1B, skip.
        self.remember_output(task, machine);
        // handout: end
        self.enter_phase();
        TaskDoneReply::Accepted
    }

    /// Whether the coordinator can still accept this attempt: it was handed out, the task is not done, and
    /// (part 1B) its output has not been lost since. It does not matter whether the attempt was given up.
    fn is_acceptable(&self, id: AttemptId) -> bool {
        let open =
            |task: &Task| task.done().is_none() && (task.valid_from..task.attempts).contains(&id.attempt);
        !self.is_over() && self.task(id.task).is_some_and(open)
    }

    /// A worker reports that an attempt has failed. The task becomes idle and runs again; a task that fails
    /// again and again fails the job.
    pub fn task_failed(&mut self, args: &TaskFailedArgs) -> NextStep {
        let TaskFailedArgs { failed: id, error, .. } = args;
        if self.is_over() {
            return NextStep::Exit;
        }
        // A repeated report, or one of an attempt that was given up before, changes nothing.
        if self.give_up(*id, Cause::Failed(error.to_string())).is_none() {
            return NextStep::Ask;
        }
        if !self.skip_record(id.task, error) {
            self.count_failure(id.task, error);
        }
        if self.is_over() { NextStep::Exit } else { NextStep::Ask }
    }
}
